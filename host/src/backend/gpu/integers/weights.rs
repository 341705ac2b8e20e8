//! Stored numbers in the order in which the shaders read them.

use foveola_core::Shape;
use foveola_core::net::model::Integers;
use foveola_core::net::op::Op;
use foveola_core::net::quant::Quantisation;

use super::{quads, words};

/// Four stored numbers as a word, the first in its lowest byte; behind the end
/// of `values` stands `rest`.
fn word(values: &[i8], rest: i8) -> u32 {
    let byte = |i: usize| values.get(i).copied().unwrap_or(rest).cast_unsigned();
    u32::from_le_bytes(std::array::from_fn(byte))
}

/// Numbers in plain order, four a word.
pub(super) fn bytes(values: &[i8]) -> Vec<u32> {
    values.chunks(4).map(|four| word(four, 0)).collect()
}

/// A tensor in plain order (HWC) as words of four channels.
pub(in crate::backend::gpu) fn packed(shape: Shape, values: &[i8]) -> Vec<u32> {
    let pixels = values.chunks(shape.c.max(1));
    pixels.flat_map(bytes).collect()
}

/// The plain order of a tensor that lies as words of four channels.
pub(in crate::backend::gpu) fn unpacked(shape: Shape, packed: &[u32]) -> Vec<i8> {
    let pixels = packed[..words(shape)].chunks(quads(shape).max(1));
    let numbers = |pixel: &[u32]| {
        let bytes = pixel.iter().flat_map(|word| word.to_le_bytes());
        bytes.map(u8::cast_signed).take(shape.c).collect::<Vec<_>>()
    };
    pixels.flat_map(numbers).collect()
}

/// Weights, then a bias, a multiplier and a shift for each channel of the
/// output's words, and where those begin.
pub(super) fn weights(
    op: Op,
    integers: &Integers<'_>,
    (input, output): (Shape, Shape),
) -> Option<(Vec<u32>, usize)> {
    let channels = output.c;
    let (weights, shifts) = integers
        .bytes
        .split_at_checked(integers.bytes.len().checked_sub(channels)?)?;
    let (biases, multipliers) = integers.words.split_at_checked(channels)?;
    let mut numbers = match op {
        Op::Conv { groups, .. } if groups != 1 => bytes(weights),
        Op::Depthwise { .. } => {
            let taps = weights.chunks(channels.max(1));
            taps.flat_map(bytes).collect()
        }
        // A Dense reads whole pixels, each with words of its own, as a
        // convolution's taps.
        _ => blocks(weights, input.c, channels, integers.weights_zero_point),
    };
    let at = numbers.len();
    let padded = quads(output) * 4;
    let shifts: Vec<i32> = shifts.iter().map(|&s| s.into()).collect();
    for values in [biases, multipliers, &shifts] {
        numbers.extend(values.iter().map(|v| v.cast_unsigned()));
        numbers.resize(numbers.len() + padded - channels, 0);
    }
    Some((numbers, at))
}

/// Filters of runs of `inputs` weights, four filters beside each other. Lanes
/// without an input hold the zero point, which adds nothing.
fn blocks(weights: &[i8], inputs: usize, outputs: usize, zero: i8) -> Vec<u32> {
    let filter = weights.len() / outputs.max(1);
    let filters: Vec<Vec<u32>> = weights
        .chunks(filter.max(1))
        .map(|filter| {
            let runs = filter.chunks(inputs.max(1));
            let words = runs.flat_map(|run| run.chunks(4).map(|four| word(four, zero)));
            words.collect()
        })
        .collect();
    let depth = filters.first().map_or(0, Vec::len);
    let mut blocks = Vec::with_capacity(outputs.next_multiple_of(4) * depth);
    for four in filters.chunks(4) {
        for k in 0..depth {
            let lanes = (0..4).map(|i| four.get(i).map_or(0, |filter| filter[k]));
            blocks.extend(lanes);
        }
    }
    blocks
}

/// For each stored number from -127 to 127 the bits of the least f32 that is
/// stored as it or as a greater one: with them comparisons quantise, which
/// every adapter makes exactly.
pub(super) fn thresholds(quant: Quantisation) -> Vec<u32> {
    // f32 in order as integers in order.
    let real = |place: i32| {
        let bits = place ^ ((place >> 31) & i32::MAX);
        f32::from_bits(bits.cast_unsigned())
    };
    let least = |stored: i8| {
        // -infinity is stored below, +infinity is not.
        let (mut below, mut above) = (0x807f_ffff_u32.cast_signed(), 0x7f80_0000);
        while i64::from(above) - i64::from(below) > 1 {
            let middle = ((i64::from(above) + i64::from(below)) >> 1) as i32;
            if quant.stored(real(middle)) >= stored {
                above = middle;
            } else {
                below = middle;
            }
        }
        real(above).to_bits()
    };
    (-127..=127).map(least).collect()
}
