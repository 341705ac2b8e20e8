//! One bit of the numbers of one output channel: all values that differ are of
//! this channel, and each is off by the same multiple of what the weight meets.

use foveola_core::net::quant::Factor;

use super::linear::{Linear, Tap, finished};
use super::{Cause, Kind, Scene};

/// A channel whose values differ, with what each of its outputs is made of.
struct Channel<'a> {
    scene: &'a Scene<'a>,
    linear: Linear<'a>,
    channel: usize,
    places: Vec<usize>,
    sums: Vec<i32>,
}

/// The bit that explains all that differs, if one does.
pub(super) fn one_bit(scene: &Scene<'_>) -> Option<Cause> {
    let linear = Linear::new(scene)?;
    let length = scene.expected.len();
    let wrong: Vec<usize> = (0..length)
        .filter(|&i| scene.expected[i] != scene.found[i])
        .collect();
    let channel = linear.channel(*wrong.first()?);
    if wrong.iter().any(|&i| linear.channel(i) != channel) {
        return None;
    }
    // Those that differ first: they reject a wrong guess at once.
    let mut places: Vec<usize> = (0..length)
        .filter(|&i| linear.channel(i) == channel)
        .collect();
    places.sort_by_key(|&i| scene.expected[i] == scene.found[i]);
    let sums = places.iter().map(|&i| linear.plain_sum(i)).collect();
    let channel = Channel {
        scene,
        linear,
        channel,
        places,
        sums,
    };
    let weight = channel.weight();
    weight
        .or_else(|| channel.bias())
        .or_else(|| channel.multiplier())
}

impl Channel<'_> {
    /// Whether sums that are off by `more` give what was found.
    fn explains(&self, factor: Factor, more: impl Fn(usize) -> i32) -> bool {
        let mut places = self.places.iter().zip(&self.sums).enumerate();
        places.all(|(at, (&i, &sum))| {
            let scaled = self
                .linear
                .rounding
                .scale(factor, sum.wrapping_add(more(at)));
            finished(self.scene, scaled) == self.scene.found[i]
        })
    }

    fn factor(&self) -> Factor {
        self.linear.factor(self.channel)
    }

    fn taps(&self, place: usize) -> Vec<Tap> {
        let mut taps = Vec::with_capacity(self.linear.filter_len());
        self.linear
            .each(self.linear.taps, place, |tap| taps.push(tap));
        taps
    }

    fn weight(&self) -> Option<Cause> {
        let taps: Vec<Vec<Tap>> = self.places.iter().map(|&place| self.taps(place)).collect();
        let zero = self.scene.input_zero();
        let mut found = Vec::new();
        for number in 0..self.linear.filter_len() {
            let index = taps.first()?[number].weight;
            let stored = self.linear.stored_weight(index);
            for bit in 0..8 {
                let flipped = (stored.cast_unsigned() ^ 1 << bit).cast_signed();
                let delta = i32::from(flipped) - i32::from(stored);
                let meets = |at: usize| self.linear.under(taps[at][number]);
                // Kernels that folded the zero point into the bias do not fold anew.
                let alone = self.explains(self.factor(), |at| delta * meets(at));
                let folded = || self.explains(self.factor(), |at| delta * (meets(at) + zero));
                if alone || folded() {
                    found.push((number, index, bit));
                }
            }
        }
        let &(number, index, bit) = found.first()?;
        let text = self.weight_text(number, index, bit, found.len() - 1);
        Some(Cause::new(Kind::WeightBit, text).of_channel(self.channel))
    }

    fn weight_text(&self, number: usize, index: usize, bit: u32, others: usize) -> String {
        let stored = self.linear.stored_weight(index);
        let flipped = (stored.cast_unsigned() ^ 1 << bit).cast_signed();
        let [kernel_h, kernel_w] = self.linear.taps.kernel;
        let inputs = (self.linear.filter_len() / (kernel_h * kernel_w).max(1)).max(1);
        let (row, column) = (number / inputs / kernel_w, number / inputs % kernel_w);
        let others = match others {
            0 => String::new(),
            count => format!("; {count} other bits of this channel would do the same"),
        };
        format!(
            "bit {bit} of weight {index} (output channel {}, row {row}, column {column}, input \
             channel {}) is flipped: {flipped}, not {stored}{others}",
            self.channel,
            number % inputs
        )
    }

    fn bias(&self) -> Option<Cause> {
        let powers = (0..31).flat_map(|bit| [(bit, 1_i32 << bit), (bit, -(1_i32 << bit))]);
        for (bit, delta) in powers {
            if self.explains(self.factor(), |_| delta) {
                let text = format!(
                    "the bias of output channel {} is off by {delta}: bit {bit}",
                    self.channel
                );
                return Some(Cause::new(Kind::BiasBit, text).of_channel(self.channel));
            }
        }
        None
    }

    fn multiplier(&self) -> Option<Cause> {
        let Factor { multiplier, shift } = self.factor();
        let flipped = (0..31).map(|bit| {
            let words = format!("bit {bit} of the multiplier");
            let multiplier = multiplier ^ 1 << bit;
            (Factor { multiplier, shift }, words)
        });
        let shifted = (-3..=3).filter(|&by| by != 0).map(|by| {
            let words = format!("the shift (off by {by})");
            let shift = shift.saturating_add(by).clamp(-31, 30);
            (Factor { multiplier, shift }, words)
        });
        for (factor, words) in flipped.chain(shifted) {
            if self.explains(factor, |_| 0) {
                let text = format!("{words} of output channel {} is wrong", self.channel);
                return Some(Cause::new(Kind::MultiplierBit, text).of_channel(self.channel));
            }
        }
        None
    }
}
