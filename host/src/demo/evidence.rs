//! How much of a map's evidence lies on the pole, on the ground, and above it,
//! and how sure that is.

pub use foveola_core::metric::bootstrap::Interval as Estimate;
use foveola_core::metric::bootstrap::{RESAMPLES, of_mean};

use super::scene::{SIDE, Scene};

/// A part of a scene. Ground and background end where the pole's box begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The box around the pole.
    Pole,
    /// Below the horizon.
    Ground,
    /// Above the horizon: sky, hills, the upper part of what stands there.
    Background,
}

impl Part {
    /// All of them; together they are the whole scene.
    pub const ALL: [Self; 3] = [Self::Pole, Self::Ground, Self::Background];

    /// What people call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pole => "the pole",
            Self::Ground => "the ground",
            Self::Background => "the background above the ground",
        }
    }

    /// The part that a pixel belongs to.
    pub const fn of(scene: &Scene, x: usize, y: usize) -> Self {
        if scene.pole.contains(x, y) {
            Self::Pole
        } else if y >= scene.horizon {
            Self::Ground
        } else {
            Self::Background
        }
    }
}

/// Shares of the parts, in the order of [`Part::ALL`].
pub type Shares = [f64; 3];

/// Where the evidence lies; `weights` holds one number of at least 0 a pixel.
/// A map without any evidence gives 0 everywhere: what says nothing does not
/// speak for the pole.
pub fn shares(weights: &[f64], scene: &Scene) -> Shares {
    let total: f64 = weights.iter().sum();
    let mut sums = [0.0; 3];
    if !(total > 0.0 && total.is_finite()) {
        return sums;
    }
    for (i, weight) in weights.iter().enumerate() {
        sums[Part::of(scene, i % SIDE, i / SIDE) as usize] += weight;
    }
    sums.map(|sum| sum / total)
}

/// Shares that an even map would have: the areas.
pub fn areas(scene: &Scene) -> Shares {
    shares(&[1.0; SIDE * SIDE], scene)
}

/// A mean with its 95 % interval: Foveola's bootstrap. One value is its own
/// interval, and no value gives 0.
pub fn estimate(values: &[f64]) -> Estimate {
    let mean = mean(values);
    let found = of_mean(values, 0, &mut [0.0; RESAMPLES]);
    found.unwrap_or(Estimate {
        mean,
        low: mean,
        high: mean,
    })
}

/// The mean; 0 without values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Snow, draw};
    use super::*;

    #[test]
    fn parts_cover_the_scene_once() {
        let scene = draw(5, 1, Snow::Anywhere);
        let area = areas(&scene);
        assert!((area.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let pole = scene.pole.area() as f64 / (SIDE * SIDE) as f64;
        assert!((area[0] - pole).abs() < 1e-12);
    }

    #[test]
    fn evidence_is_counted_where_it_lies() {
        let scene = draw(5, 1, Snow::Anywhere);
        let mut weights = vec![0.0; SIDE * SIDE];
        weights[scene.pole.y * SIDE + scene.pole.x] = 3.0;
        weights[SIDE * SIDE - 1] = 1.0;
        weights[0] = 4.0;
        assert_eq!(shares(&weights, &scene), [0.375, 0.125, 0.5]);
        assert_eq!(shares(&vec![0.0; SIDE * SIDE], &scene), [0.0; 3]);
    }

    /// For many values the bootstrap is the normal approximation.
    #[test]
    fn the_interval_is_the_textbooks() {
        let values: Vec<f64> = (0..1000)
            .map(|i| f64::from(i * 7919 % 1000) / 1000.0)
            .collect();
        let found = estimate(&values);
        let n = values.len() as f64;
        let variance = values.iter().map(|v| (v - found.mean).powi(2)).sum::<f64>() / n;
        let half = 1.96 * (variance / n).sqrt();
        assert!((found.mean - 0.4995).abs() < 1e-9);
        assert!(((found.mean - found.low) / half - 1.0).abs() < 0.08);
        assert!(((found.high - found.mean) / half - 1.0).abs() < 0.08);
    }
}
