//! Sliding windows, and those that engines confuse them with.

use foveola_core::Shape;
use foveola_core::net::op::Geometry;

use super::Kind;

/// A sliding window whose padding may be negative: it then begins inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Between windows.
    pub stride: [i64; 2],
    /// Between taps.
    pub dilation: [i64; 2],
    /// Above and left.
    pub pad: [i64; 2],
}

impl From<Geometry> for Taps {
    fn from(g: Geometry) -> Self {
        Self {
            kernel: g.kernel.map(usize::from),
            stride: g.stride.map(i64::from),
            dilation: g.dilation.map(i64::from),
            pad: g.pad.map(i64::from),
        }
    }
}

impl Taps {
    /// One tap on one element.
    pub const ONE: Self = Self {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    };

    /// The position under tap `k` of output position `o` along an axis;
    /// `None` in the padding.
    pub fn under(&self, axis: usize, o: usize, k: usize, size: usize) -> Option<usize> {
        let at = o as i64 * self.stride[axis] + k as i64 * self.dilation[axis] - self.pad[axis];
        usize::try_from(at).ok().filter(|&at| at < size)
    }

    /// Padding above or left and below or right that windows reach.
    fn reach(&self, axis: usize, input: usize, output: usize) -> i64 {
        let last = (output as i64 - 1) * self.stride[axis]
            + (self.kernel[axis] as i64 - 1) * self.dilation[axis];
        (last + 1 - input as i64).max(0)
    }
}

/// Windows that engines confuse with this one, the likely ones first, with
/// what is wrong in words.
pub fn confused(taps: Taps, input: Shape, output: Shape) -> Vec<(Taps, Kind, String)> {
    let sizes = [(input.h, output.h), (input.w, output.w)];
    let total = [0, 1].map(|a| taps.reach(a, sizes[a].0, sizes[a].1));
    let mut all = moved(taps, total);
    all.extend(strides(taps, sizes));
    if taps.kernel != [1, 1] {
        for dilation in [1, 2, 3] {
            let wrong = Taps {
                dilation: [dilation; 2],
                ..taps
            };
            let words = format!("the dilation is {dilation}, not {:?}", taps.dilation);
            all.push((wrong, Kind::Stride, words));
        }
    }
    all.retain(|(wrong, ..)| *wrong != taps);
    all
}

/// Windows that begin elsewhere: the padding on the other side first, then both
/// axes alike.
fn moved(taps: Taps, total: [i64; 2]) -> Vec<(Taps, Kind, String)> {
    let [rows, columns] = taps.pad;
    let range = |axis: usize| {
        let most = total[axis].max(taps.pad[axis]) + 1;
        -taps.stride[axis].max(2)..=most
    };
    let mut pads: Vec<[i64; 2]> = range(0)
        .flat_map(|y| range(1).map(move |x| [y, x]))
        .collect();
    let other_side = [total[0] - rows, total[1] - columns];
    pads.sort_by_key(|&[y, x]| {
        let alike = y - rows == x - columns;
        let apart = (y - rows).abs() + (x - columns).abs();
        ([y, x] != other_side, !alike, apart)
    });
    let describe = |pad: [i64; 2]| {
        // Other shares of the padding that there is.
        let shared = (0..2).all(|a| (0..=total[a].max(taps.pad[a])).contains(&pad[a]));
        let [y, x] = pad;
        let (kind, words) = match shared {
            true => (
                Kind::Padding,
                format!("{y} rows above and {x} columns left are padded, not {rows} and {columns}"),
            ),
            false => (
                Kind::Stride,
                format!(
                    "windows begin {} rows and {} columns off",
                    rows - y,
                    columns - x
                ),
            ),
        };
        (Taps { pad, ..taps }, kind, words)
    };
    pads.into_iter().map(describe).collect()
}

/// Windows at other distances, with the padding as it is, as SAME wants it for
/// that distance, or without any.
fn strides(taps: Taps, sizes: [(usize, usize); 2]) -> Vec<(Taps, Kind, String)> {
    let [rows, columns] = taps.stride;
    let mut all = Vec::new();
    for y in 1..=4 {
        for x in 1..=4 {
            let stride = [y, x];
            if stride == taps.stride {
                continue;
            }
            let same = [0, 1].map(|a| {
                let outputs = (sizes[a].0 as i64 + stride[a] - 1) / stride[a];
                let wrong = Taps { stride, ..taps };
                wrong.reach(a, sizes[a].0, outputs as usize) / 2
            });
            for pad in [taps.pad, same, [0, 0]] {
                let words = format!("the stride is {y}, {x}, not {rows}, {columns}");
                all.push((
                    Taps {
                        stride,
                        pad,
                        ..taps
                    },
                    Kind::Stride,
                    words,
                ));
            }
        }
    }
    all.sort_by_key(|(wrong, ..)| {
        let changed = (0..2).filter(|&a| wrong.stride[a] != taps.stride[a]);
        let alike = wrong.stride[0] == wrong.stride[1];
        (!alike, changed.count())
    });
    all
}
