//! How sure a network is of its answer: Monte Carlo dropout, and what the
//! probabilities themselves say.
//!
//! ```
//! use foveola::explainer::Explainer;
//! use foveola::uncertainty::Setting;
//!
//! let mut explainer = Explainer::open("demo/scene.onnx")?;
//! let photo = explainer.photo("demo/scene.png")?;
//! let found = explainer.uncertainty(&photo, &Setting::default())?;
//! let best = &found.classes[0];
//! assert!(best.interval.low <= best.interval.high);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use foveola_core::uncertainty::{entropy, margin, measure};
use foveola_core::{Classifier, Error, Masked, Saturation, Score};
use serde_json::{Value, json};
use statrs::function::beta::checked_beta_reg;

pub use foveola_core::Dropout;
pub use foveola_core::uncertainty::Setting;

use crate::card::{Card, OutputActivation};
use crate::photo::Photo;
pub use crate::run::view::Uncertainty as Interval;

/// How sure a network is about one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncertainty {
    /// One a class.
    pub classes: Vec<OfClass>,
    /// What int8 could not hold in all passes.
    pub saturation: Saturation,
    /// Difference of the two highest probabilities; `None` with one class.
    pub margin: Option<f64>,
    /// Entropy of the probabilities in nats. It says something of classes that
    /// exclude each other only.
    pub entropy: f64,
}

/// How sure a network is about one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfClass {
    /// The probability without dropout.
    pub probability: f32,
    /// Mean over the passes with dropout.
    pub mean: f64,
    /// Variance over them (ddof 0).
    pub variance: f64,
    /// Standard deviation, and the 95 % interval around `probability`.
    pub interval: Interval,
}

impl Uncertainty {
    /// From probabilities without dropout, mean and variance of each with
    /// dropout, and what saturated then.
    pub fn new(
        probabilities: &[f32],
        moments: impl Iterator<Item = (f64, f64)>,
        saturation: Saturation,
    ) -> Self {
        let of_class = |(&probability, (mean, variance)): (&f32, (f64, f64))| OfClass {
            probability,
            mean,
            variance,
            interval: interval(probability.into(), variance),
        };
        Self {
            classes: probabilities.iter().zip(moments).map(of_class).collect(),
            saturation,
            margin: margin(probabilities),
            entropy: entropy(probabilities),
        }
    }

    /// Everything as JSON: numbers of these classes, and what is about all.
    pub fn to_json(
        &self,
        setting: &Setting,
        card: &Card,
        classes: impl Iterator<Item = usize>,
    ) -> Value {
        let class = |class: usize| {
            let of = self.classes.get(class)?;
            Some(json!({
                "class": class,
                "label": card.label(class),
                "probability": of.probability,
                "mean": of.mean,
                "deviation": of.interval.deviation,
                "interval": [of.interval.low, of.interval.high],
            }))
        };
        json!({
            "passes": setting.passes,
            "seed": setting.dropout.seed,
            "keep": setting.dropout.keep,
            "classes": classes.filter_map(class).collect::<Vec<_>>(),
            "margin": self.margin,
            "entropy": self.entropy_of(card),
            "saturated": self.saturation.saturated,
            "saturation": self.saturation.share(),
        })
    }

    /// The entropy, if the classes exclude each other.
    pub fn entropy_of(&self, card: &Card) -> Option<f64> {
        let exclusive = card.activation != OutputActivation::Sigmoid && self.classes.len() > 1;
        exclusive.then_some(self.entropy)
    }
}

/// Measures how sure a classifier is about a photo.
///
/// # Errors
/// What the classifier reports; [`Error::NotWhiteBox`] for one that has no
/// dropout (tract, an accelerator, one of your own).
pub fn of(
    classifier: &mut dyn Classifier,
    photo: &Photo,
    setting: &Setting,
) -> Result<Uncertainty, Error> {
    let x = Masked::whole(photo.picture());
    let classes = classifier.classes();
    let (mut mean, mut variance) = (vec![0.0; classes], vec![0.0; classes]);
    let mut scores = vec![0.0; classes];
    let saturation = measure(
        classifier,
        &x,
        setting,
        &mut mean,
        &mut variance,
        &mut scores,
    )?;
    classifier.classify(&x, Score::Probability, &mut scores)?;
    let moments = mean.into_iter().zip(variance);
    Ok(Uncertainty::new(&scores, moments, saturation))
}

/// Standard deviation and central 95 % interval of the Beta distribution with
/// this mean and variance. Where there is none (no variance, or as much as
/// only 0 and 1 have) the interval is the mean and the deviation 0.
pub fn interval(mean: f64, variance: f64) -> Interval {
    let collapsed = Interval {
        deviation: 0.0,
        low: mean,
        high: mean,
    };
    let a = mean * mean * (1.0 - mean) / variance - mean;
    let b = a * (1.0 - mean) / mean;
    if !(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite() && variance > 0.0) {
        return collapsed;
    }
    let found = match a.min(b) > NARROW {
        true => narrow(a, b).map(Some),
        false => [0.025, 0.975].map(|share| quantile(a, b, share)),
    };
    match found {
        [Some(low), Some(high)] => Interval {
            deviation: variance.sqrt(),
            low,
            high,
        },
        _ => collapsed,
    }
}

/// Above it the continued fraction of the library ends before it converges.
const NARROW: f64 = 2000.0;

/// The 95 % interval of a Beta distribution that is nearly normal: Cornish and
/// Fisher's expansion, off by about 1e-6 of the deviation.
fn narrow(a: f64, b: f64) -> [f64; 2] {
    /// The normal distribution's quantile of 0.975.
    const Z: f64 = 1.959_963_984_540_054;
    let n = a + b;
    let mean = a / n;
    let deviation = (a * b / (n + 1.0)).sqrt() / n;
    let skewness = 2.0 * (b - a) * (n + 1.0).sqrt() / ((n + 2.0) * (a * b).sqrt());
    let spread = (a - b) * (a - b) * (n + 1.0) - a * b * (n + 2.0);
    let excess = 6.0 * spread / (a * b * (n + 2.0) * (n + 3.0));
    [-Z, Z].map(|z| {
        let cubic = z * (z * z - 3.0);
        let step = z + skewness * (z * z - 1.0) / 6.0 + excess * cubic / 24.0
            - skewness * skewness * (2.0 * z * (z * z) - 5.0 * z) / 36.0;
        mean + deviation * step
    })
}

/// Where the Beta distribution reaches a share, by bisection: Newton's steps
/// need not end for the tiny parameters of classes that hardly occur.
fn quantile(a: f64, b: f64, share: f64) -> Option<f64> {
    let [mut low, mut high] = [0.0, 1.0];
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high || high - low < LEAST {
            return Some(middle);
        }
        match checked_beta_reg(a, b, middle).ok()? {
            reached if reached < share => low = middle,
            reached if reached >= share => high = middle,
            _ => return None,
        }
    }
}

/// Quantiles are this close, or neighbouring numbers.
const LEAST: f64 = 1e-14;

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, variance, low, high.
    const INTERVALS: [(f64, f64, f64, f64); 10] = [
        (0.9, 0.01, 0.632_708_404_131_445, 0.998_713_611_427_142_3),
        (
            0.5,
            0.0001,
            0.480_402_011_551_427_75,
            0.519_597_988_448_572_2,
        ),
        (
            0.01,
            0.002,
            4.654_177_050_656_541_5e-42,
            0.122_917_304_058_129_73,
        ),
        (
            0.999,
            1e-7,
            0.998_291_604_710_014_1,
            0.999_520_542_070_246_1,
        ),
        (0.3, 0.2, 3.152_627_581_453_303_6e-97, 1.0),
        (0.5, 1e-9, 0.499_938_020_496_821_7, 0.500_061_979_503_178_3),
        (0.3, 1e-8, 0.299_804_021_645_142_5, 0.300_196_014_436_875_94),
        (0.9, 1e-6, 0.898_031_634_995_120_8, 0.901_951_526_627_972_8),
        (0.999, 1e-9, 0.998_937_079_797_838_7, 0.999_061_027_926_317),
        (
            0.01,
            1e-9,
            0.009_938_114_309_890_379,
            0.010_062_073_207_145_32,
        ),
    ];

    /// Against SciPy's `beta.ppf`, digits as in its output.
    #[test]
    fn intervals_are_those_of_the_beta_distribution() {
        for (mean, variance, low, high) in INTERVALS {
            let found = interval(mean, variance);
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * variance.sqrt();
            assert!(near(found.low, low), "{mean} {variance}: {found:?}");
            assert!(near(found.high, high), "{mean} {variance}: {found:?}");
            assert_eq!(found.deviation, variance.sqrt());
        }
    }

    #[test]
    fn an_interval_without_a_distribution_is_the_mean() {
        for (mean, variance) in [
            (0.5, 0.25),
            (0.3, 0.0),
            (0.0, 0.01),
            (1.0, 0.01),
            (0.2, 0.5),
        ] {
            let found = interval(mean, variance);
            let of = (found.deviation, found.low, found.high);
            assert_eq!(of, (0.0, mean, mean));
        }
    }
}
