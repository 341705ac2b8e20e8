//! `Conv`: the patches of some pairs of pixels are widened once, then all
//! output channels of these pixels are made, two at a time.

use super::{is_short, limit};
use crate::net::arch::dsp::{Dsp, Filters, MOST, Narrow, NarrowRoom, PatchRoom, Patches as Wide};
use crate::net::int8::Node8;
use crate::net::int8::channels::Channels;
use crate::net::int8::patches::{Patches, Walk};
use crate::net::op::Op;

/// Whether [`convolve`] takes a node.
pub(in crate::net::int8) fn takes(node: &Node8<'_>, channels: &Channels<'_>) -> bool {
    let len = channels.filters.len();
    // Weights are read by fours; behind them lie the shifts, one a channel.
    let spare = len.next_multiple_of(4) - len;
    matches!(node.op, Op::Conv { .. })
        && (1..=MOST).contains(&len)
        && spare <= channels.shift.len()
        && node.weights_zero_point == 0
        && is_short(channels)
}

/// Output rows of a convolution, as many as `out` holds.
// In a frame of its own where Helium's variant has another beside it.
#[cfg_attr(foveola_helium, inline(never))]
pub(in crate::net::int8) fn convolve(
    dsp: Dsp,
    node: &Node8<'_>,
    channels: &Channels<'_>,
    patches: &Patches<'_>,
    out: &mut [i8],
) -> Option<()> {
    let (c, outputs) = (node.output.c.max(1), channels.filters.outputs.max(1));
    let len = channels.filters.len();
    let fours = len.div_ceil(4).max(1);
    // Pixels whose patches fit.
    let most = (MOST / 4).checked_div(fours)?.max(1) * 2;
    let (mut room, mut narrow) = (PatchRoom::uninit(), NarrowRoom::uninit());
    let mut wide = Wide::new(&mut room);
    for (group, first) in (0..c).step_by(outputs).enumerate() {
        let filters = Filters {
            weights: node.bytes.get(first * len..)?,
            len,
            bias: channels.bias.get(first..)?,
            multiplier: channels.multiplier.get(first..)?,
            shift: channels.shift.get(first..)?,
            zero_point: node.output_quant.zero_point,
            count: outputs,
        };
        let mut window = Window {
            dsp,
            walk: patches.walk(group),
            len,
            in_place: patches.in_place(),
            narrow: Narrow::new(&mut narrow),
        };
        for out in out.chunks_mut(most.checked_mul(c)?.max(1)) {
            let pixels = out.len().checked_div(c)?;
            for pixel in 0..pixels {
                window.widen(&mut wide, pixel / 2 * fours, pixel % 2 == 1)?;
                // An odd one fills both places.
                if pixel + 1 == pixels && pixel % 2 == 0 {
                    window.widen(&mut wide, pixel / 2 * fours, true)?;
                }
                window.walk.advance();
            }
            let out = out.get_mut(first..)?;
            dsp.products(&wide, fours, pixels, &filters, out, c)?;
        }
    }
    limit(dsp, node, out);
    Some(())
}

/// What the current pixel sees.
struct Window<'p, 'a> {
    dsp: Dsp,
    walk: Walk<'p, 'a>,
    /// Elements of a patch.
    len: usize,
    /// Whether each patch is one pixel of the input.
    in_place: bool,
    narrow: Narrow<'p>,
}

impl Window<'_, '_> {
    /// Widens its patch into items from `at` on.
    fn widen(&mut self, wide: &mut Wide<'_>, mut at: usize, second: bool) -> Option<()> {
        let dsp = self.dsp;
        self.walk.settle()?;
        if self.in_place {
            wide.widen(dsp, self.walk.pointed(self.len)?, at, second)?;
            return Some(());
        }
        self.narrow.clear();
        match self.walk.inside() {
            Some(runs) if runs.size.is_multiple_of(4) => {
                for run in runs {
                    at = wide.widen(dsp, run?, at, second)?;
                }
                return Some(());
            }
            Some(runs) => {
                for run in runs {
                    self.narrow.push(dsp, run?)?;
                }
            }
            None => self.walk.gather(dsp, self.len, &mut self.narrow)?,
        }
        wide.widen(dsp, self.narrow.elements(), at, second)?;
        Some(())
    }
}
