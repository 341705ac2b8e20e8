//! From a raw map to colours: viridis, or a diverging map around 0 where a map
//! has both signs.

use colorous::{PURPLE_ORANGE, VIRIDIS};
use image::Rgb;

/// Below this share of the largest magnitude a negative value is rounding, not a sign.
const NOISE: f32 = 1e-6;

/// How values become colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourScale {
    /// Value of the first colour.
    pub low: f32,
    /// Value of the last colour.
    pub high: f32,
    /// Whether 0 is the middle: purple below, orange above.
    pub diverging: bool,
    /// Whether a few values lie beyond the scale.
    pub clipped: bool,
}

/// Share of the values that the scale of a map with outliers covers.
const COVERED: f64 = 0.995;
/// How far an outlier lies from the rest, as a factor.
const OUTLIER: f32 = 2.0;

impl ColourScale {
    /// The scale of a map: from its least to its largest value, or symmetric
    /// around 0 if it has both signs. Where few values outshine all others by
    /// far, the scale ends before them. `None` if there is nothing to see: an
    /// empty map, equal values, or values that are not finite.
    pub fn of(map: &[f32]) -> Option<Self> {
        if map.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let low = map.iter().copied().reduce(f32::min)?;
        let high = map.iter().copied().reduce(f32::max)?;
        let size = low.abs().max(high.abs());
        if low >= high {
            return None;
        }
        let diverging = low < -NOISE * size && high > NOISE * size;
        let common = covering(map);
        let clipped = common > low && size > OUTLIER * common;
        let end = if clipped { common } else { size };
        // Rounding below 0 is 0.
        let low = if low.abs() <= NOISE * size { 0.0 } else { low };
        let (low, high) = match diverging {
            true => (-end, end),
            false if high > 0.0 && clipped => (low, end),
            false => (low, high),
        };
        Some(Self {
            low,
            high,
            diverging,
            clipped,
        })
    }

    /// The same scale with 0 in the middle, for a map beside others of both signs.
    #[must_use]
    pub fn around_zero(self) -> Self {
        let end = self.low.abs().max(self.high.abs());
        Self {
            low: -end,
            high: end,
            diverging: true,
            ..self
        }
    }

    /// Where a value lies on the scale, 0 to 1.
    pub fn place(&self, value: f32) -> f32 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Colour of a value.
    pub fn colour(&self, value: f32) -> Rgb<u8> {
        let gradient = if self.diverging {
            PURPLE_ORANGE
        } else {
            VIRIDIS
        };
        let c = gradient.eval_continuous(f64::from(self.place(value)));
        Rgb([c.r, c.g, c.b])
    }

    /// How much of the colour covers the picture, 0 to 1: more where the
    /// evidence is stronger, so that what matters little stays visible as itself.
    pub fn opacity(&self, value: f32) -> f32 {
        let place = self.place(value);
        if self.diverging {
            0.20 + 0.65 * (2.0 * place - 1.0).abs().sqrt()
        } else {
            0.40 + 0.35 * place
        }
    }

    /// Values worth a number on the colour bar, from the top down.
    pub fn ticks(&self) -> [f32; 5] {
        [1.0, 0.75, 0.5, 0.25, 0.0].map(|t| self.low + t * (self.high - self.low))
    }
}

/// The magnitude that most values stay below.
fn covering(map: &[f32]) -> f32 {
    let mut sizes: Vec<f32> = map.iter().map(|v| v.abs()).collect();
    let at = ((sizes.len() as f64 * COVERED) as usize).min(sizes.len() - 1);
    *sizes.select_nth_unstable_by(at, f32::total_cmp).1
}

/// A number in at most seven characters or so.
pub fn short_number(value: f32) -> String {
    let size = value.abs();
    if size == 0.0 {
        return String::from("0");
    }
    if !(1e-3..1e4).contains(&size) {
        return format!("{value:.1e}");
    }
    let digits = match size {
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_maps_of_both_signs_0_is_in_the_middle() {
        let positive = ColourScale::of(&[1.0, 3.0]).unwrap().around_zero();
        assert_eq!((positive.low, positive.high), (-3.0, 3.0));
        let negative = ColourScale::of(&[-4.0, -1.0]).unwrap().around_zero();
        assert_eq!((negative.low, negative.high), (-4.0, 4.0));
        let both = ColourScale::of(&[-1.0, 2.0]).unwrap();
        assert_eq!(both.around_zero(), both);
        // No evidence is as pale beside them as in them.
        assert_eq!(positive.colour(0.0), both.colour(0.0));
    }

    #[test]
    fn one_sign_is_viridis_from_least_to_largest() {
        let scale = ColourScale::of(&[0.0, 1.0, 3.0]).unwrap();
        assert!(!scale.diverging);
        // First and last colour of matplotlib's viridis.
        assert_eq!(scale.colour(0.0), Rgb([68, 1, 84]));
        assert_eq!(scale.colour(3.0), Rgb([253, 231, 37]));
    }

    #[test]
    fn two_signs_are_symmetric_and_zero_is_neutral() {
        let scale = ColourScale::of(&[-1.0, 0.0, 3.0]).unwrap();
        assert!(scale.diverging);
        assert_eq!((scale.low, scale.high), (-3.0, 3.0));
        let Rgb([r, g, b]) = scale.colour(0.0);
        assert!(r.abs_diff(g) < 12 && g.abs_diff(b) < 12);
        let Rgb([r, _, b]) = scale.colour(2.0);
        assert!(r > b, "for: orange");
        let Rgb([r, g, b]) = scale.colour(-2.0);
        assert!(b > g && b > r, "against: purple");
    }

    #[test]
    fn nothing_to_see_has_no_scale() {
        assert_eq!(ColourScale::of(&[]), None);
        assert_eq!(ColourScale::of(&[2.0; 4]), None);
        assert_eq!(ColourScale::of(&[1.0, f32::NAN]), None);
    }

    #[test]
    fn outliers_do_not_hide_the_rest() {
        let mut map = vec![0.0; 1000];
        for (i, v) in map.iter_mut().enumerate() {
            *v = if i % 2 == 0 { 1.0 } else { -1.0 };
        }
        map[3] = 50.0;
        let scale = ColourScale::of(&map).unwrap();
        assert_eq!((scale.low, scale.high, scale.clipped), (-1.0, 1.0, true));
        // One bright pixel in the dark is no outlier but the whole map.
        let mut map = vec![0.0; 1000];
        map[3] = 50.0;
        let scale = ColourScale::of(&map).unwrap();
        assert_eq!((scale.low, scale.high, scale.clipped), (0.0, 50.0, false));
    }

    #[test]
    fn rounding_below_zero_is_no_sign() {
        let scale = ColourScale::of(&[-1e-9, 1.0]).unwrap();
        assert!(!scale.diverging);
        assert_eq!(scale.low, 0.0);
    }

    #[test]
    fn numbers_stay_short() {
        let cases = [
            (0.0, "0"),
            (0.57, "0.57"),
            (-12.34, "-12.3"),
            (8062.9, "8063"),
        ];
        for (value, text) in cases {
            assert_eq!(short_number(value), text);
        }
        assert_eq!(short_number(3.2e-5), "3.2e-5");
    }
}
