//! Sliding windows: kernel, strides, dilations, padding rules and the size
//! that comes out (ONNX operators Conv, MaxPool, AveragePool).

use foveola_core::net::op::Geometry;

use super::builder::{MAX_AXIS, small};
use super::call::Call;
use super::error::{Stop, malformed};

/// A window and what it makes of an input.
pub(super) struct Window {
    pub geometry: Geometry,
    pub pad_end: [u16; 2],
    pub output: [usize; 2],
}

/// One direction of a window.
struct Line {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Line {
    /// Elements from the first tap to the last.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// SAME padding: as many windows as strides fit.
    fn pad_same(&mut self, odd_after: bool) -> usize {
        let output = self.input.div_ceil(self.stride);
        let total = ((output - 1) * self.stride + self.reach()).saturating_sub(self.input);
        self.before = if odd_after {
            total / 2
        } else {
            total.div_ceil(2)
        };
        self.after = total - self.before;
        output
    }

    /// Windows that fit; with `ceil` also one that is cut off at the end,
    /// unless it would start in the padding.
    fn count(&self, ceil: bool) -> Option<usize> {
        let room = (self.input + self.before + self.after).checked_sub(self.reach())?;
        let mut output = room / self.stride + 1;
        if ceil
            && !room.is_multiple_of(self.stride)
            && output * self.stride < self.input + self.before
        {
            output += 1;
        }
        Some(output)
    }

    /// Whether the window at `output` has a tap inside the input.
    fn touches(&self, output: usize) -> bool {
        let start = output * self.stride;
        let skipped = self.before.saturating_sub(start).div_ceil(self.dilation);
        let first = start + skipped * self.dilation;
        skipped < self.kernel && first < self.input + self.before
    }
}

fn pair(call: &Call, key: &str, default: usize) -> Result<[usize; 2], Stop> {
    let Some(values) = call.ints_attribute(key)? else {
        return Ok([default; 2]);
    };
    let &[h, w] = values else {
        return malformed(format!("{key} is {values:?} for two directions"));
    };
    for v in [h, w] {
        if v < 1 {
            return malformed(format!("{key} is {values:?}"));
        }
        small(v, key)?;
    }
    Ok([h as usize, w as usize])
}

/// The attribute `kernel_shape`.
pub(super) fn kernel_shape(call: &Call) -> Result<Option<[usize; 2]>, Stop> {
    let given = call.has_attribute("kernel_shape");
    given.then(|| pair(call, "kernel_shape", 1)).transpose()
}

/// Padding above, left, below, right.
fn pads(call: &Call) -> Result<[usize; 4], Stop> {
    let Some(values) = call.ints_attribute("pads")? else {
        return Ok([0; 4]);
    };
    let &[top, left, bottom, right] = values else {
        return malformed(format!("pads is {values:?} for two directions"));
    };
    let mut pads = [0; 4];
    for (pad, value) in pads.iter_mut().zip([top, left, bottom, right]) {
        *pad = usize::from(small(value, "pad")?);
    }
    Ok(pads)
}

/// The window of a node over an input of `size` rows and columns.
pub(super) fn window(
    call: &Call,
    kernel: [usize; 2],
    size: [usize; 2],
    ceil: bool,
) -> Result<Window, Stop> {
    let stride = pair(call, "strides", 1)?;
    let dilation = pair(call, "dilations", 1)?;
    let pads = pads(call)?;
    let rule = call.text_attribute("auto_pad")?;
    let mut lines = [0, 1].map(|d| Line {
        input: size[d],
        kernel: kernel[d],
        stride: stride[d],
        dilation: dilation[d],
        before: pads[d],
        after: pads[d + 2],
    });
    let mut output = [0; 2];
    for (line, out) in lines.iter_mut().zip(&mut output) {
        *out = outputs(line, rule.as_deref(), ceil)?;
    }
    let both = |get: fn(&Line) -> usize| -> Result<[u16; 2], Stop> {
        Ok([
            small(get(&lines[0]) as i64, "window")?,
            small(get(&lines[1]) as i64, "window")?,
        ])
    };
    Ok(Window {
        geometry: Geometry {
            kernel: both(|l| l.kernel)?,
            stride: both(|l| l.stride)?,
            dilation: both(|l| l.dilation)?,
            pad: both(|l| l.before)?,
        },
        pad_end: both(|l| l.after)?,
        output,
    })
}

fn outputs(line: &mut Line, rule: Option<&str>, ceil: bool) -> Result<usize, Stop> {
    if line.kernel == 0 || line.kernel > MAX_AXIS {
        return malformed(format!("its kernel has {} taps", line.kernel));
    }
    let fitting = match rule {
        Some("SAME_UPPER") => return Ok(line.pad_same(true)),
        Some("SAME_LOWER") => return Ok(line.pad_same(false)),
        Some("VALID") => {
            (line.before, line.after) = (0, 0);
            line.count(ceil)
        }
        None | Some("NOTSET" | "") => line.count(ceil),
        Some(other) => return malformed(format!("auto_pad {other} does not exist")),
    };
    match fitting {
        Some(n) => Ok(n),
        None => malformed(format!(
            "its window reaches over {} elements, the padded input has {}",
            line.reach(),
            line.input + line.before + line.after
        )),
    }
}

impl Window {
    /// Refuses a pool of which some window holds nothing but padding: it has no value.
    pub fn no_empty_window(&self, size: [usize; 2]) -> Result<(), Stop> {
        for (d, &input) in size.iter().enumerate() {
            let line = Line {
                input,
                kernel: self.geometry.kernel[d].into(),
                stride: self.geometry.stride[d].into(),
                dilation: self.geometry.dilation[d].into(),
                before: self.geometry.pad[d].into(),
                after: self.pad_end[d].into(),
            };
            if !(0..self.output[d]).all(|o| line.touches(o)) {
                return malformed("one of its windows holds nothing but padding");
            }
        }
        Ok(())
    }
}
