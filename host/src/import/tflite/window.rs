//! Sliding windows with TFLite's two padding rules.
//!
//! Source: `ComputeOutSize` and `ComputePaddingWithOffset` in TensorFlow's
//! `tensorflow/lite/kernels/padding.h`: with SAME, what does not divide evenly
//! lies below and right.

use foveola_core::net::op::Geometry;
use tract_tflite::tflite::Padding;

use super::super::builder::{MAX_AXIS, small};
use super::super::error::{Stop, malformed};

/// Steps of a window as the file gives them, rows first.
pub(super) struct Steps {
    pub padding: Padding,
    pub stride: [i32; 2],
    pub dilation: [i32; 2],
}

/// A window and what it makes of an input.
pub(super) struct Window {
    pub geometry: Geometry,
    pub pad_end: [u16; 2],
    pub output: [usize; 2],
}

/// Padding before and after, and how many windows there are.
fn line(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> Result<[usize; 3], Stop> {
    if kernel == 0 || kernel > MAX_AXIS {
        return malformed(format!("its kernel has {kernel} taps"));
    }
    let reach = (kernel - 1) * dilation + 1;
    match padding {
        Padding::SAME => {
            let output = input.div_ceil(stride);
            let total = (output.saturating_sub(1) * stride + reach).saturating_sub(input);
            Ok([total / 2, total - total / 2, output])
        }
        Padding::VALID => match input.checked_sub(reach) {
            Some(room) => Ok([0, 0, room / stride + 1]),
            None => malformed(format!(
                "its window reaches over {reach} elements, its input has {input}"
            )),
        },
        other => malformed(format!("padding {} does not exist", other.0)),
    }
}

fn steps(values: [i32; 2], what: &str) -> Result<[u16; 2], Stop> {
    if values.iter().any(|&v| v < 1) {
        return malformed(format!("its {what} is {values:?}"));
    }
    let [h, w] = values;
    Ok([small(h.into(), what)?, small(w.into(), what)?])
}

/// The window over an input of `size` rows and columns.
pub(super) fn window(size: [usize; 2], kernel: [usize; 2], how: &Steps) -> Result<Window, Stop> {
    let stride = steps(how.stride, "stride")?;
    let dilation = steps(how.dilation, "dilation")?;
    let mut lines = [[0; 3]; 2];
    for (d, found) in lines.iter_mut().enumerate() {
        *found = line(
            size[d],
            kernel[d],
            stride[d].into(),
            dilation[d].into(),
            how.padding,
        )?;
    }
    let both = |get: [usize; 2]| -> Result<[u16; 2], Stop> {
        Ok([
            small(get[0] as i64, "window")?,
            small(get[1] as i64, "window")?,
        ])
    };
    let [[top, bottom, rows], [left, right, columns]] = lines;
    Ok(Window {
        geometry: Geometry {
            kernel: both(kernel)?,
            stride,
            dilation,
            pad: both([top, left])?,
        },
        pad_end: both([bottom, right])?,
        output: [rows, columns],
    })
}
