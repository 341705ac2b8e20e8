//! On Arm with a floating-point unit for single precision. All blocks put its
//! registers back themselves, because the compiler does not take them as
//! operands where double precision is missing.

use super::{MOST_TAPS, Run, Tap};
use core::mem::MaybeUninit;

/// What a block reads and counts.
#[repr(C)]
struct Arguments {
    /// First and last of the taps, each source and weights.
    table: *const [*const f32; 2],
    end: *const [*const f32; 2],
    target: *mut f32,
    /// Bytes from the first pixel of a source to the present one.
    offset: usize,
    pixels: usize,
    /// Blocks of channels, or fours of factors.
    count: usize,
    /// Bytes from a pixel to the next: source, target.
    source_step: usize,
    target_step: usize,
    lanes: usize,
    zeros: &'static [f32; 16],
    /// Factors behind the fours.
    rest: usize,
    /// Written before it is read.
    sums: MaybeUninit<[f32; 16]>,
}

#[inline(always)]
fn arguments(
    run: Run,
    target: &mut [f32],
    table: &[MaybeUninit<[*const f32; 2]>],
    (count, lanes): (usize, usize),
) -> Arguments {
    let range = table.as_ptr_range();
    let (first, end) = (range.start.cast(), range.end.cast());
    Arguments {
        table: first,
        end,
        target: target.as_mut_ptr(),
        offset: 0,
        pixels: run.pixels,
        count,
        source_step: run.source_step.wrapping_mul(4),
        target_step: run.target_step.wrapping_mul(4),
        lanes,
        zeros: &[0.0; 16],
        rest: 0,
        sums: MaybeUninit::uninit(),
    }
}

/// Where the taps of a block lie, each source and weights.
type Table = [MaybeUninit<[*const f32; 2]>; MOST_TAPS];

/// Room for a table.
const EMPTY: Table = [MaybeUninit::uninit(); MOST_TAPS];

/// Writes the table of these taps.
fn table<'t>(room: &'t mut Table, taps: &[Tap<'_>]) -> Option<&'t [MaybeUninit<[*const f32; 2]>]> {
    for (place, (source, weights)) in room.iter_mut().zip(taps) {
        place.write([source.as_ptr(), weights.as_ptr()]);
    }
    room.get(..taps.len())
}

/// Adds eight sums to the target, of which so many bytes lie before.
macro_rules! whole {
    ($place:literal $target:literal $bytes:literal: $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal) => {
        concat!(
            "add ",
            $place,
            ", ",
            $target,
            ", #",
            $bytes,
            "\n",
            "vldm ",
            $place,
            ", {{s16-s23}}\n",
            "vadd.f32 s16, s16, ",
            $a,
            "\n",
            "vadd.f32 s17, s17, ",
            $b,
            "\n",
            "vadd.f32 s18, s18, ",
            $c,
            "\n",
            "vadd.f32 s19, s19, ",
            $d,
            "\n",
            "vadd.f32 s20, s20, ",
            $e,
            "\n",
            "vadd.f32 s21, s21, ",
            $f,
            "\n",
            "vadd.f32 s22, s22, ",
            $g,
            "\n",
            "vadd.f32 s23, s23, ",
            $h,
            "\n",
            "vstm ",
            $place,
            ", {{s16-s23}}\n"
        )
    };
}

mod channelwise;
mod multiples;

pub use channelwise::add_channelwise;
pub use multiples::add_multiples;
