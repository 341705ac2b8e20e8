//! Which real numbers 255 steps are spread over.

use super::histogram::Histogram;
use crate::card::Card;
use crate::graph::Quant;

/// Share of the values that [`RangeRule::Percentile`] leaves outside on each side.
const OUTSIDE: f64 = 1.0 - 0.9999;
/// Ranges of an MSE search, in percent of the whole.
const PERCENT: std::ops::RangeInclusive<u32> = 10..=100;

/// How the range of a tensor follows from its values. The default agreed best
/// with the float network on ResNet-8, VWW, SqueezeNet and MobileNetV2, in
/// answers and in evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RangeRule {
    /// From the least to the greatest value
    Minmax,
    /// Without 0.01 % of the values on each side
    Percentile,
    /// With the least mean squared error of the stored values
    #[default]
    Mse,
}

impl RangeRule {
    /// Its name, as it is chosen by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minmax => "minmax",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
        }
    }

    /// The range of a tensor, 0 included.
    pub fn range(self, seen: &Histogram) -> [f32; 2] {
        match self {
            Self::Minmax => seen.extent(),
            Self::Percentile => seen.percentile(OUTSIDE),
            Self::Mse => least_error(seen),
        }
    }
}

/// What the card makes of pixels 0 and 255, over all channels: a photo never
/// leaves it.
pub fn of_pixels(card: &Card) -> [f32; 2] {
    let ends = card.mean.iter().zip(&card.scale);
    let ends = ends.flat_map(|(&mean, &scale)| [-mean * scale, (255.0 - mean) * scale]);
    ends.fold([0.0; 2], |[low, high], x| [low.min(x), high.max(x)])
}

/// Scale and zero point that spread 255 steps over a range; 0 is stored exactly.
pub fn quant([low, high]: [f32; 2]) -> Quant {
    let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
    let scale = ((high - low) / 255.0) as f32;
    // A tensor that is always 0 takes any scale.
    if scale < f32::MIN_POSITIVE {
        return Quant {
            scale: 1.0,
            zero_point: 0,
            unsigned: false,
        };
    }
    let zero_point = (-128.0 - low / f64::from(scale)).round();
    Quant {
        scale,
        zero_point: zero_point.clamp(-128.0, 127.0) as i8,
        unsigned: false,
    }
}

/// The range with the least squared error of the stored values: first both ends
/// move in together, then each alone.
fn least_error(seen: &Histogram) -> [f32; 2] {
    let points = seen.points();
    let mut best = seen.extent();
    let mut least = squared_error(&points, best);
    for moved in [[true, true], [false, true], [true, false]] {
        let from = best;
        for percent in PERCENT.rev() {
            let part = percent as f32 / 100.0;
            let end = |i: usize| if moved[i] { from[i] * part } else { from[i] };
            let range = [end(0), end(1)];
            let error = squared_error(&points, range);
            if error < least {
                (least, best) = (error, range);
            }
        }
    }
    best
}

/// Sum of the squared errors of values stored by a range.
pub fn squared_error(points: &[(f64, u64)], range: [f32; 2]) -> f64 {
    let quant = quant(range);
    let (scale, zero) = (f64::from(quant.scale), f64::from(quant.zero_point));
    let inverse = 1.0 / scale;
    let error = |&(x, count): &(f64, u64)| {
        let step = (x * inverse).round().clamp(-128.0 - zero, 127.0 - zero);
        let error = x - step * scale;
        error * error * count as f64
    };
    points.iter().map(error).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = f32>) -> Histogram {
        let mut seen = Histogram::default();
        seen.add(values);
        seen
    }

    #[test]
    fn zero_is_exact_and_the_ends_are_within_half_a_step() {
        for range in [
            [0.0, 6.0],
            [-1.0, 3.0],
            [-5.0, 0.0],
            [-0.3, 0.7],
            [2.0, 9.0],
        ] {
            let quant = quant(range).quantisation();
            assert_eq!(quant.real(quant.zero_point), 0.0);
            for end in range {
                let error = (quant.real(quant.stored(end)) - end).abs();
                assert!(error <= quant.scale * 0.501, "{range:?}: {end} {error}");
            }
        }
        assert_eq!(quant([0.0, 0.0]).scale, 1.0);
    }

    #[test]
    fn an_even_distribution_keeps_its_range_and_has_a_twelfth_of_a_step_squared() {
        let seen = of((0..400_000).map(|i| -1.0 + 2.0 * (i as f32 + 0.5) / 400_000.0));
        let points = seen.points();
        let range = RangeRule::Mse.range(&seen);
        assert!(range[0] < -0.985 && range[1] > 0.985, "{range:?}");
        let step = 2.0 / 255.0;
        let variance = squared_error(&points, [-1.0, 1.0]) / 400_000.0;
        assert!(
            (variance / (step * step / 12.0) - 1.0).abs() < 0.02,
            "{variance}"
        );
    }

    /// One outlier at distance d among n even values over 0..1: the best end r
    /// minimises n * (r / 255)^2 / 12 + (d - r)^2. With n = 10^6 and d = 2 that
    /// is r = d / (1 + n / (12 * 255^2)) = 0.876, where the step function's own
    /// clipping of the even values puts it at 1.
    #[test]
    fn an_outlier_is_given_up_where_that_costs_less() {
        let even = (0..1_000_000).map(|i| (i as f32 + 0.5) / 1e6);
        let seen = of(even.clone().chain([2.0]));
        assert_eq!(RangeRule::Minmax.range(&seen), [0.0, 2.0]);
        let [_, end] = RangeRule::Mse.range(&seen);
        assert!((0.98..=1.04).contains(&end), "{end}");
        let [_, end] = RangeRule::Percentile.range(&seen);
        assert!((end - 0.9999).abs() < 2.0 / 2048.0, "{end}");
        // Among few values it is worth its room.
        let seen = of(even.step_by(1000).chain([2.0]));
        let [_, end] = RangeRule::Mse.range(&seen);
        let closed = 2.0 / (1.0 + 1000.0 / (12.0 * 255.0 * 255.0));
        assert!((end - closed).abs() < 0.02, "{end} {closed}");
    }
}
