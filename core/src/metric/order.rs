//! Order: sorting in the caller's buffers, and ranks.

use core::mem::swap;

use zerocopy::{FromBytes, IntoBytes};

use crate::error::Error;

/// Sorts by heapsort (J. W. J. Williams 1964): in place, never more than
/// n log n comparisons, and without the panic of `sort_unstable_by` on an order
/// that is none. `before` must be a total order for the result to be sorted.
pub(crate) fn sort<T>(items: &mut [T], before: &impl Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sift(items, root, before);
    }
    for end in (1..items.len()).rev() {
        exchange(items, 0, end);
        if let Some(heap) = items.get_mut(..end) {
            sift(heap, 0, before);
        }
    }
}

/// Moves an item down until no item below it belongs behind it.
fn sift<T>(heap: &mut [T], mut root: usize, before: &impl Fn(&T, &T) -> bool) {
    loop {
        let mut child = 2 * root + 1;
        let Some(first) = heap.get(child) else {
            return;
        };
        if heap.get(child + 1).is_some_and(|next| before(first, next)) {
            child += 1;
        }
        let (Some(above), Some(below)) = (heap.get(root), heap.get(child)) else {
            return;
        };
        if !before(above, below) {
            return;
        }
        exchange(heap, root, child);
        root = child;
    }
}

fn exchange<T>(items: &mut [T], i: usize, j: usize) {
    if let Ok([a, b]) = items.get_disjoint_mut([i, j]) {
        swap(a, b);
    }
}

/// A metric's scratch as whole numbers.
pub(super) fn integers(scratch: &mut [f32]) -> Result<&mut [u32], Error> {
    <[u32]>::mut_from_bytes(scratch.as_mut_bytes()).map_err(|_| Error::Internal)
}

/// Scratch of [`ranks`], in elements.
pub(super) const fn room(area: usize) -> usize {
    2 * area
}

/// Writes the rank of each pixel, 0 the strongest, the first of equals first.
///
/// # Errors
/// [`Error::BufferTooSmall`] for a scratch of less than [`room`].
pub(super) fn ranks<'s>(evidence: &[f32], scratch: &'s mut [f32]) -> Result<&'s [u32], Error> {
    let (order, ranks) = two(integers(scratch)?, evidence.len())?;
    for (rank, pixel) in (0u32..).zip(strongest_first(evidence, order)?.iter()) {
        if let Some(place) = ranks.get_mut(*pixel as usize) {
            *place = rank;
        }
    }
    Ok(ranks)
}

/// The first `n` of `scratch` and the `n` after them.
pub(super) fn two(scratch: &mut [u32], n: usize) -> Result<(&mut [u32], &mut [u32]), Error> {
    let have = scratch.len();
    let need = 2 * n;
    let both = scratch.get_mut(..need);
    both.and_then(|both| both.split_at_mut_checked(n))
        .ok_or(Error::BufferTooSmall { need, have })
}

/// Writes the places of `values` into the first of `order`, strongest first and
/// the first place first among equals. NaN gives no order.
///
/// # Errors
/// [`Error::BufferTooSmall`] if `order` is shorter than `values`.
pub fn strongest_first<'o>(values: &[f32], order: &'o mut [u32]) -> Result<&'o mut [u32], Error> {
    let before = |a: f32, b: f32| a > b;
    arrange(values, order, before)
}

/// As [`strongest_first`], weakest first.
pub(super) fn weakest_first<'o>(
    values: &[f32],
    order: &'o mut [u32],
) -> Result<&'o mut [u32], Error> {
    arrange(values, order, |a, b| a < b)
}

fn arrange<'o>(
    values: &[f32],
    order: &'o mut [u32],
    before: impl Fn(f32, f32) -> bool,
) -> Result<&'o mut [u32], Error> {
    let (need, have) = (values.len(), order.len());
    let order = order
        .get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })?;
    for (place, i) in order.iter_mut().zip(0..) {
        *place = i;
    }
    sort(order, &|&i, &j| {
        let (a, b) = (value(values, i), value(values, j));
        before(a, b) || (a == b && i < j)
    });
    Ok(order)
}

/// The value at a place.
pub(super) fn value(values: &[f32], place: u32) -> f32 {
    values.get(place as usize).copied().unwrap_or(f32::NAN)
}

/// Hands out the places of equal values, weakest first, each group with twice
/// the mean rank from 0 that its places share: a whole number.
pub(super) fn each_rank(
    values: &[f32],
    order: &mut [u32],
    mut rank: impl FnMut(&[u32], u32),
) -> Result<(), Error> {
    let order = weakest_first(values, order)?;
    let mut first = 0;
    for group in order.chunk_by(|&i, &j| value(values, i) == value(values, j)) {
        let len = group.len() as u32;
        rank(group, 2 * first + len - 1);
        first += len;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// `std`'s own sort.
    #[test]
    fn sorts_as_std_does() {
        for n in [0, 1, 2, 3, 10, 257] {
            let mut items: Vec<u64> = (0..n).map(|i| i * 7919 % 101).collect();
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sort(&mut items, &|a, b| a < b);
            assert_eq!(items, sorted);
        }
    }

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
        assert_eq!(short, Error::BufferTooSmall { need: 4, have: 3 });
    }

    #[test]
    fn the_first_comes_first_among_equals() {
        let mut order = [9; 6];
        let values = [1.0, 3.0, -0.0, 0.0, 3.0, 1.0];
        let found = strongest_first(&values, &mut order).unwrap();
        assert_eq!(found, [1, 4, 0, 5, 2, 3]);
        let found = weakest_first(&values, &mut order).unwrap();
        assert_eq!(found, [2, 3, 0, 5, 1, 4]);
        let short = strongest_first(&values, &mut order[..5]).unwrap_err();
        assert_eq!(short, Error::BufferTooSmall { need: 6, have: 5 });
    }

    /// SciPy's `rankdata([1, 3, 0, 0, 3, 1])` is [3.5, 5.5, 1.5, 1.5, 5.5, 3.5], from 1.
    #[test]
    fn equals_share_their_mean_rank() {
        let (mut order, mut ranks) = ([0; 6], [0; 6]);
        let values = [1.0, 3.0, -0.0, 0.0, 3.0, 1.0];
        each_rank(&values, &mut order, |group, doubled| {
            group.iter().for_each(|&i| ranks[i as usize] = doubled);
        })
        .unwrap();
        assert_eq!(ranks, [5, 9, 1, 1, 9, 5]);
    }
}
