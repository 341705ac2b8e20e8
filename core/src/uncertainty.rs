//! How sure a network is of its scores: epistemic uncertainty by Monte Carlo
//! dropout, and what the scores themselves say.
//!
//! Mean and variance (ddof 0) of each class come from one sweep over the
//! passes in f64 (Welford 1962, "Note on a method for calculating corrected
//! sums of squares and products"), in the order of the passes, so their bits
//! are the same for any number of threads, on host and device.

use crate::classifier::{Classifier, Dropout, Saturation, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::rng::DEFAULT_SEED;

/// How uncertainty is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Passes with dropout, 1 or more.
    pub passes: usize,
    /// The dropout.
    pub dropout: Dropout,
}

impl Default for Setting {
    /// MindSpore XAI's: 10 passes, one half kept.
    fn default() -> Self {
        Self {
            passes: 10,
            dropout: Dropout {
                seed: DEFAULT_SEED,
                keep: 0.5,
            },
        }
    }
}

/// Writes mean and variance (ddof 0) of each class's probability over the
/// passes, and answers what saturated in all of them. `mean`, `variance` and
/// the scratch `scores` have one element a class.
///
/// # Errors
/// Those of [`Classifier::classify_dropped`]; [`Error::BadParameter`] for no
/// pass, [`Error::BufferTooSmall`].
pub fn measure(
    classifier: &mut dyn Classifier,
    x: &Masked<'_>,
    setting: &Setting,
    mean: &mut [f64],
    variance: &mut [f64],
    scores: &mut [f32],
) -> Result<Saturation, Error> {
    if setting.passes == 0 {
        return Err(Error::BadParameter("passes"));
    }
    let need = classifier.classes();
    let short = |have: usize| Error::BufferTooSmall { need, have };
    let (have, also) = (mean.len(), variance.len());
    let mean = mean.get_mut(..need).ok_or(short(have))?;
    let variance = variance.get_mut(..need).ok_or(short(also))?;
    mean.fill(0.0);
    variance.fill(0.0);
    let mut seen = Saturation::default();
    let mut sink = |pass: usize, scores: &[f32], saturated: Saturation| {
        seen = seen.with(saturated);
        let count = (pass + 1) as f64;
        for ((mean, sum), &score) in mean.iter_mut().zip(&mut *variance).zip(scores) {
            let score = f64::from(score);
            let before = score - *mean;
            *mean += before / count;
            *sum += before * (score - *mean);
        }
        Ok(())
    };
    let Setting { passes, dropout } = setting;
    classifier.classify_dropped(x, dropout, *passes, Score::Probability, scores, &mut sink)?;
    for sum in variance {
        *sum /= *passes as f64;
    }
    Ok(seen)
}

/// Difference of the two highest probabilities; `None` with fewer than two classes.
#[must_use]
pub fn margin(probabilities: &[f32]) -> Option<f64> {
    let mut best: [Option<f32>; 2] = [None; 2];
    for &p in probabilities {
        let [first, second] = best;
        if first.is_none_or(|first| p > first) {
            best = [Some(p), first];
        } else if second.is_none_or(|second| p > second) {
            best = [first, Some(p)];
        }
    }
    let [first, second] = best;
    Some(f64::from(first?) - f64::from(second?))
}

/// Entropy of a distribution in nats, terms added in the order of the classes.
/// It says something of probabilities that exclude each other only.
#[must_use]
pub fn entropy(probabilities: &[f32]) -> f64 {
    let terms = probabilities.iter().filter(|&&p| p > 0.0);
    terms.fold(0.0, |sum, &p| {
        let p = f64::from(p);
        sum - p * libm::log(p)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]
    use super::*;
    use crate::classifier::DroppedSink;
    use crate::picture::Picture;
    use crate::tensor::Shape;

    /// Answers what it was given, pass by pass.
    struct Told([[f32; 2]; 4]);

    impl Classifier for Told {
        fn input(&self) -> Shape {
            Shape::new(1, 1, 1)
        }

        fn classes(&self) -> usize {
            2
        }

        fn classify(&mut self, _: &Masked<'_>, _: Score, _: &mut [f32]) -> Result<(), Error> {
            Err(Error::Backend)
        }

        fn classify_dropped(
            &mut self,
            _: &Masked<'_>,
            _: &Dropout,
            passes: usize,
            _: Score,
            _: &mut [f32],
            sink: &mut DroppedSink<'_>,
        ) -> Result<(), Error> {
            let seen = Saturation {
                saturated: 1,
                of: 10,
            };
            let mut answers = self.0.iter().take(passes).enumerate();
            answers.try_for_each(|(pass, scores)| sink(pass, scores, seen))
        }
    }

    /// Mean and population variance of 1/4 1/2 1/2 3/4 and of four equal numbers.
    #[test]
    fn mean_and_variance_are_those_of_the_passes() {
        let mut told = Told([[0.25, 0.1], [0.5, 0.1], [0.5, 0.1], [0.75, 0.1]]);
        let picture = Picture::Tensor {
            shape: Shape::new(1, 1, 1),
            data: &[0.0],
        };
        let x = Masked::whole(picture);
        let (mut mean, mut variance, mut scores) = ([9.0; 2], [9.0; 2], [0.0; 2]);
        let setting = Setting {
            passes: 4,
            ..Setting::default()
        };
        let mut ask = |setting| {
            measure(
                &mut told,
                &x,
                setting,
                &mut mean,
                &mut variance,
                &mut scores,
            )
        };
        let seen = ask(&setting).unwrap();
        assert_eq!(
            ask(&Setting {
                passes: 0,
                ..setting
            }),
            Err(Error::BadParameter("passes"))
        );
        assert_eq!(seen.share(), 0.1);
        assert_eq!(mean, [0.5, f64::from(0.1_f32)]);
        assert_eq!(variance, [0.03125, 0.0]);
    }

    #[test]
    fn margin_is_between_the_two_best() {
        assert_eq!(margin(&[0.25, 0.5, 0.125]), Some(0.25));
        assert_eq!(margin(&[0.5, 0.25, 0.5]), Some(0.0));
        assert_eq!(margin(&[0.5]), None);
    }

    /// ln 4 for four equal classes, 0 for a certain one.
    #[test]
    fn entropy_is_in_nats() {
        assert!((entropy(&[0.25; 4]) - 4_f64.ln()).abs() < 1e-15);
        assert_eq!(entropy(&[0.0, 1.0, 0.0]), 0.0);
    }
}
