//! Pixels in the order of their evidence.

use super::pass::cut;
use crate::error::Error;
use zerocopy::{FromBytes, IntoBytes};

/// Scratch of [`ranks`], in elements.
pub(super) const fn room(area: usize) -> usize {
    2 * area
}

/// Writes the rank of each pixel, 0 the strongest, the first of equals first.
/// Needs [`room`] of scratch. Sorted by radix: stable, without recursion, and
/// as fast for every map.
pub(super) fn ranks<'s>(evidence: &[f32], scratch: &'s mut [f32]) -> Result<&'s [u32], Error> {
    let (order, rest) = cut(scratch, evidence.len())?;
    let (spare, _) = cut(rest, evidence.len())?;
    let (mut order, mut spare) = (integers(order)?, integers(spare)?);
    for (i, place) in (0u32..).zip(order.iter_mut()) {
        *place = i;
    }
    for digit in 0..4 {
        pass(evidence, digit, order, spare);
        core::mem::swap(&mut order, &mut spare);
    }
    for (rank, pixel) in (0u32..).zip(order.iter()) {
        if let Some(place) = spare.get_mut(*pixel as usize) {
            *place = rank;
        }
    }
    Ok(spare)
}

/// The same memory as whole numbers.
pub(super) fn integers(buffer: &mut [f32]) -> Result<&mut [u32], Error> {
    <[u32]>::mut_from_bytes(buffer.as_mut_bytes()).map_err(|_| Error::Internal)
}

/// One byte of a number that is the smaller, the stronger the evidence.
fn byte(value: f32, digit: usize) -> u8 {
    // Adding 0 turns -0 into 0, which is its equal.
    let bits = (value + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    (!ascending).to_le_bytes().get(digit).copied().unwrap_or(0)
}

/// Deals the pixels of `from` out to `to` by one byte.
fn pass(evidence: &[f32], digit: usize, from: &[u32], to: &mut [u32]) {
    let mut starts = [0usize; 256];
    for &value in evidence {
        if let Some(count) = starts.get_mut(usize::from(byte(value, digit))) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        (*start, sum) = (sum, sum + *start);
    }
    for &pixel in from {
        let value = evidence.get(pixel as usize).copied().unwrap_or(0.0);
        if let Some(start) = starts.get_mut(usize::from(byte(value, digit))) {
            if let Some(place) = to.get_mut(*start) {
                *place = pixel;
            }
            *start += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn by_comparison(evidence: &[f32]) -> Vec<u32> {
        let mut order: Vec<usize> = (0..evidence.len()).collect();
        order.sort_by(|a, b| evidence[*b].partial_cmp(&evidence[*a]).unwrap());
        let mut ranks = vec![0; evidence.len()];
        for (rank, pixel) in order.into_iter().enumerate() {
            ranks[pixel] = rank as u32;
        }
        ranks
    }

    /// Against the standard library's stable sort.
    #[test]
    fn it_sorts_as_a_stable_comparison_does() {
        let mut maps = vec![
            vec![0.0, -0.0, 1.0, 0.0, -1.0, f32::MAX, f32::MIN, 1e-45, -1e-45],
            vec![2.0; 5],
            vec![],
        ];
        maps.push((0..999).map(|i| (i as f32 * 0.7).sin()).collect());
        maps.push((0..999).map(|i| (i * 37 % 10) as f32).collect());
        for map in maps {
            let mut scratch = vec![7.0; room(map.len())];
            assert_eq!(ranks(&map, &mut scratch).unwrap(), by_comparison(&map));
        }
        let short = ranks(&[1.0, 2.0], &mut [0.0; 3]).unwrap_err();
        assert_eq!(short, Error::BufferTooSmall { need: 2, have: 1 });
    }
}
