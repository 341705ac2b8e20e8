//! What is remembered of the values of a tensor.

/// Bins on either side of 0.
const HALF: i64 = 4096;

/// Values of a tensor, counted. Bin k holds k * width <= x < (k + 1) * width;
/// the width is a power of two that doubles when a value lies outside. The
/// result therefore depends neither on the order of the values nor on how they
/// are split among several histograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// The width is two to this power; `None` before the first value but 0.
    exponent: Option<i32>,
    bins: Vec<u64>,
    /// Values that are exactly 0: no scale rounds them.
    zeros: u64,
    /// Values that are not finite.
    broken: u64,
    least: f32,
    greatest: f32,
}

impl Histogram {
    /// Counts values.
    pub fn add(&mut self, values: impl Iterator<Item = f32>) {
        let mut limit = self.limit();
        let mut inverse = self.exponent.map_or(0.0, |e| 2.0_f64.powi(-e));
        for x in values {
            if x == 0.0 {
                self.zeros += 1;
                continue;
            }
            if !x.is_finite() {
                self.broken += 1;
                continue;
            }
            let wide = f64::from(x);
            if wide.abs() >= limit {
                self.widen(exponent_for(wide.abs()));
                limit = self.limit();
                inverse = self.exponent.map_or(0.0, |e| 2.0_f64.powi(-e));
            }
            self.least = self.least.min(x);
            self.greatest = self.greatest.max(x);
            let bin = (wide * inverse).floor() as i64 + HALF;
            self.bins[bin as usize] += 1;
        }
    }

    /// Adds what another histogram has counted.
    pub fn merge(&mut self, mut other: Self) {
        if let Some(exponent) = other.exponent {
            self.widen(exponent);
        }
        if let Some(exponent) = self.exponent {
            other.widen(exponent);
        }
        for (to, from) in self.bins.iter_mut().zip(&other.bins) {
            *to += from;
        }
        self.zeros += other.zeros;
        self.broken += other.broken;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    /// Number of finite values.
    pub fn count(&self) -> u64 {
        self.zeros + self.bins.iter().sum::<u64>()
    }

    /// Whether a value was not finite.
    pub const fn is_broken(&self) -> bool {
        self.broken > 0
    }

    /// Least and greatest value and 0.
    pub const fn extent(&self) -> [f32; 2] {
        [self.least, self.greatest]
    }

    /// Bins that are not empty: their middle (or the extreme value, if that is
    /// nearer to 0) and their count. Values of exactly 0 are left out.
    pub fn points(&self) -> Vec<(f64, u64)> {
        let width = self.exponent.map_or(0.0, |e| 2.0_f64.powi(e));
        let [least, greatest] = self.extent().map(f64::from);
        let point = |(bin, &count): (i64, &u64)| {
            let middle = ((bin - HALF) as f64 + 0.5) * width;
            (middle.clamp(least, greatest), count)
        };
        let filled = (0..).zip(&self.bins).filter(|&(_, &n)| n > 0);
        filled.map(point).collect()
    }

    /// The ends of the range that leaves at most `share` of the values outside
    /// on each side, to the width of a bin; 0 lies inside.
    pub fn percentile(&self, share: f64) -> [f32; 2] {
        let allowed = (share * self.count() as f64) as u64;
        let points = self.points();
        let half = self.exponent.map_or(0.0, |e| 2.0_f64.powi(e) / 2.0);
        let (negative, positive) = points.split_at(points.partition_point(|p| p.0 < 0.0));
        let low = end(negative.iter(), allowed);
        let high = end(positive.iter().rev(), allowed);
        let low = if low < 0.0 { low - half } else { 0.0 };
        let high = if high > 0.0 { high + half } else { 0.0 };
        [self.least.max(low as f32), self.greatest.min(high as f32)]
    }

    fn limit(&self) -> f64 {
        self.exponent.map_or(0.0, |e| HALF as f64 * 2.0_f64.powi(e))
    }

    /// Makes bins at least two to the power `exponent` wide.
    fn widen(&mut self, exponent: i32) {
        let Some(now) = self.exponent else {
            self.exponent = Some(exponent);
            self.bins = vec![0; 2 * HALF as usize];
            return;
        };
        if exponent <= now {
            return;
        }
        // Beyond 13 halvings all bins are 0 and -1.
        let steps = (exponent - now).min(13);
        let old = std::mem::replace(&mut self.bins, vec![0; 2 * HALF as usize]);
        for (bin, count) in (0..).zip(old) {
            // A shift of a negative number rounds down, as floor does.
            let to = ((bin - HALF) >> steps) + HALF;
            self.bins[to as usize] += count;
        }
        self.exponent = Some(exponent);
    }
}

/// The first of some points, from outside, beyond which no more than `allowed`
/// values lie; 0 if all may.
fn end<'a>(points: impl Iterator<Item = &'a (f64, u64)>, allowed: u64) -> f64 {
    let mut beyond = 0;
    for &(x, count) in points {
        beyond += count;
        if beyond > allowed {
            return x;
        }
    }
    0.0
}

/// The least width, as a power of two, at which a value lies inside.
fn exponent_for(x: f64) -> i32 {
    let mut exponent = (x / HALF as f64).log2().floor() as i32;
    while x >= HALF as f64 * 2.0_f64.powi(exponent) {
        exponent += 1;
    }
    exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,001 numbers evenly over -1..=3.
    fn even() -> impl Iterator<Item = f32> {
        (0..=100_000).map(|i| -1.0 + 4.0 * (i as f32) / 100_000.0)
    }

    #[test]
    fn percentiles_of_an_even_distribution_are_its_shares() {
        let mut h = Histogram::default();
        h.add(even());
        assert_eq!(h.count(), 100_001);
        assert_eq!(h.extent(), [-1.0, 3.0]);
        let width = 4.0 / 4096.0;
        for share in [0.0001, 0.001, 0.01, 0.1] {
            let [low, high] = h.percentile(share);
            let inside = 4.0 * share as f32;
            assert!((low - (-1.0 + inside)).abs() <= width, "{share}: {low}");
            assert!((high - (3.0 - inside)).abs() <= width, "{share}: {high}");
            let beyond = even().filter(|&x| x > high).count();
            assert!(beyond as f64 <= share * 100_001.0, "{share}: {beyond}");
        }
        assert_eq!(h.percentile(0.0), [-1.0, 3.0]);
    }

    #[test]
    fn order_and_split_do_not_matter() {
        let values: Vec<f32> = (0..5000_i32)
            .map(|i| ((i * 7919) % 5000 - 1700) as f32 * 1.7e-3 * 1.003_f32.powi(i % 900))
            .collect();
        let mut whole = Histogram::default();
        whole.add(values.iter().copied());
        let mut backwards = Histogram::default();
        backwards.add(values.iter().rev().copied());
        assert_eq!(whole, backwards);
        let mut parts = Histogram::default();
        for part in values.chunks(701).rev() {
            let mut one = Histogram::default();
            one.add(part.iter().copied());
            parts.merge(one);
        }
        assert_eq!(whole, parts);
        // Against plain counting in bins of the same width.
        let width = 2.0_f32.powi(whole.exponent.expect("values"));
        for (middle, count) in whole.points() {
            let bin = (middle / f64::from(width)).floor() as f32;
            let inside = |x: &&f32| **x != 0.0 && (**x / width).floor() == bin;
            assert_eq!(values.iter().filter(inside).count() as u64, count);
        }
    }

    #[test]
    fn zeros_and_broken_values_are_apart() {
        let mut h = Histogram::default();
        h.add([0.0, -0.0, f32::NAN, 0.0].into_iter());
        assert_eq!((h.count(), h.is_broken(), h.extent()), (3, true, [0.0; 2]));
        assert_eq!(h.percentile(0.1), [0.0; 2]);
        h.add([1e-30, -f32::MAX].into_iter());
        assert_eq!((h.count(), h.points().len()), (5, 2));
    }
}
