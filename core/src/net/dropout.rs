//! Dropout while a network answers: which elements stay, and the arithmetic of
//! those that do. [`crate::classifier::Dropout`] says what it is.

use super::op::Activation;
use super::ops::activation::settle;
use crate::rng::{self, Purpose};

/// The random mask of one dropout in one pass. Which element it keeps depends
/// on the element's own place alone, so rows may be made one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct DropMask {
    pub seed: u64,
    pub pass: u32,
    /// Which of the network's dropouts, from 0.
    pub ordinal: u32,
    /// Share of kept elements, above 0 and at most 1.
    pub keep: f32,
}

impl DropMask {
    /// Whether elements `first`, `first + 1`, .. are kept.
    pub fn from(self, first: usize) -> impl Iterator<Item = bool> {
        let mut words = [0; 4];
        (first..).map(move |index| {
            let lane = index % 4;
            if lane == 0 || index == first {
                // A tensor has at most 2^26 elements.
                let block = (index / 4) as u32;
                words = rng::words(self.seed, self.pass, block, self.ordinal, Purpose::Dropout);
            }
            let word = words.get(lane).copied().unwrap_or(0);
            rng::unit(word) < self.keep
        })
    }

    /// Drops f32 values from element `first` on, then applies the activation;
    /// whether there was NaN. One half kept doubles what stays, exactly.
    pub fn apply(self, first: usize, then: Activation, values: &mut [f32]) -> bool {
        for (value, kept) in values.iter_mut().zip(self.from(first)) {
            *value = if kept { *value / self.keep } else { 0.0 };
        }
        settle(then, values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test may stop")]
    use super::*;

    const MASK: DropMask = DropMask {
        seed: 7,
        pass: 3,
        ordinal: 1,
        keep: 0.3,
    };

    /// Each element by its own counter, from wherever the row begins.
    #[test]
    fn an_element_is_kept_by_its_own_number() {
        let wanted = |index: u32| {
            let [seed, high] = [7, 0];
            let counter = [3, index / 4, 1, 2];
            let words = rng::philox4x32_10(counter, [seed, high]);
            f64::from(words[index as usize % 4] >> 8) / f64::from(1 << 24) < f64::from(0.3_f32)
        };
        for first in [0_usize, 1, 2, 3, 6, 4001] {
            let found = MASK.from(first).take(50);
            assert!(found.zip(first as u32..).all(|(kept, i)| kept == wanted(i)));
        }
    }

    /// The share of kept elements lies within 5 standard deviations of `keep`.
    #[test]
    fn the_share_of_kept_elements_is_keep() {
        let kept = MASK.from(0).take(100_000).filter(|&kept| kept).count() as f64;
        assert!((kept - 30_000.0).abs() < 5.0 * (100_000.0_f64 * 0.3 * 0.7).sqrt());
        assert!(
            DropMask { keep: 1.0, ..MASK }
                .from(0)
                .take(4096)
                .all(|kept| kept)
        );
    }
}
