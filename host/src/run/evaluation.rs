//! The scores of a run: means with intervals, methods against each other, and
//! one overall score by the reader's weights.
//!
//! A **mean** is over all answers of the run (each class that was explained on
//! each picture), or over those of one class, that have the score: those that
//! have none are counted with their reasons, and never enter as 0. Its interval
//! is [the 95 % bootstrap](foveola_core::metric::bootstrap) with the run's seed.
//!
//! The **normalised** mean of metric k, whose row states the range lo..hi, is
//!
//! ```text
//! v(k) = (mean(k) - lo(k)) / (hi(k) - lo(k))      if high scores are good,
//! v(k) = (hi(k) - mean(k)) / (hi(k) - lo(k))      if low ones are,
//! ```
//!
//! and undefined if there is no mean, or the range has no bound on one side.
//!
//! The **overall** score of a method with weights w(k) >= 0, which are relative
//! (only their ratios count), is over the metrics whose v(k) is defined
//!
//! ```text
//! overall = sum w(k) v(k) / sum w(k)
//! ```
//!
//! so 0 is worst and 1 is best. What a method lacks gives its weight to the
//! others, in proportion; the overall score is then *partial*: it is not to be
//! compared with those that lack nothing.

use std::collections::BTreeMap;

use foveola_core::metric::bootstrap::{RESAMPLES, of_mean};
use foveola_core::metric::{Better, Family, MetricRow};
use rayon::prelude::*;
use serde::Serialize;

use super::view::{Answer, Run};
use crate::suggest::hint;

/// A mean of scores with its 95 % interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Mean {
    /// Scores that exist.
    pub n: usize,
    /// The mean; `None` without scores.
    pub mean: Option<f64>,
    /// Lower and upper end; `None` for fewer than two scores.
    pub interval: Option<[f64; 2]>,
    /// Why scores are missing, and how many for each reason.
    pub undefined: BTreeMap<String, usize>,
}

impl Mean {
    fn of<'a>(scores: impl Iterator<Item = &'a Result<f64, String>>, seed: u64) -> Self {
        let (mut values, mut undefined) = (Vec::new(), BTreeMap::new());
        for score in scores {
            match score {
                Ok(value) => values.push(*value),
                Err(reason) => *undefined.entry(reason.clone()).or_default() += 1,
            }
        }
        let n = values.len();
        let interval = of_mean(&values, seed, &mut [0.0; RESAMPLES]);
        Self {
            n,
            mean: (n > 0).then(|| values.iter().sum::<f64>() / n as f64),
            interval: interval.map(|i| [i.low, i.high]),
            undefined,
        }
    }

    /// Scores that do not exist.
    pub fn missing(&self) -> usize {
        self.undefined.values().sum()
    }
}

/// Two methods on the same answers, by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Number of the metric.
    pub metric: usize,
    /// Numbers of the two methods.
    pub methods: [usize; 2],
    /// Answers that both have a score for.
    pub n: usize,
    /// Mean of the first less the second.
    pub mean: f64,
    /// Lower and upper end of its 95 % interval.
    pub interval: [f64; 2],
}

/// Answers below which a difference is never beyond chance: even if all agree
/// about its sign, the sign test gives five of them p = 0.0625.
const LEAST_ANSWERS: usize = 6;

impl Difference {
    /// Which of the two is better, as far as chance lets it be said.
    pub fn better(&self, row: &MetricRow) -> Option<usize> {
        if self.n < LEAST_ANSWERS {
            return None;
        }
        let [low, high] = self.interval;
        let first_is_higher = match (low > 0.0, high < 0.0) {
            (true, _) => true,
            (_, true) => false,
            _ => return None,
        };
        let first = first_is_higher == (row.better == Better::Higher);
        Some(self.methods[usize::from(!first)])
    }
}

/// Scores of all methods.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// By method and metric.
    pub scores: Vec<Vec<Mean>>,
    /// By class, method and metric.
    pub classes: BTreeMap<usize, Vec<Vec<Mean>>>,
    /// Each pair of methods by each metric, where two answers at least have both.
    pub differences: Vec<Difference>,
}

impl Evaluation {
    /// Evaluates a run.
    pub fn of(run: &Run) -> Self {
        let answers: Vec<&Answer> = run.samples.iter().flat_map(|s| &s.answers).collect();
        let mut classes: BTreeMap<usize, Vec<&Answer>> = BTreeMap::new();
        for answer in &answers {
            classes.entry(answer.label).or_default().push(answer);
        }
        let classes = classes
            .into_par_iter()
            .map(|(label, answers)| (label, table(run, &answers)));
        Self {
            scores: table(run, &answers),
            classes: classes.collect(),
            differences: differences(run, &answers),
        }
    }

    /// The overall score of each method.
    pub fn overall(&self, run: &Run, weights: &Weights) -> Vec<Overall> {
        let rows: Vec<&MetricRow> = run.metrics.iter().map(|m| m.row).collect();
        let of = |means: &Vec<Mean>| Overall::of(means, &rows, weights);
        self.scores.iter().map(of).collect()
    }
}

fn table(run: &Run, answers: &[&Answer]) -> Vec<Vec<Mean>> {
    let (methods, metrics) = (run.methods.len(), run.metrics.len());
    let cell = |method: usize, metric: usize| {
        let score = |a: &&'_ Answer| a.maps.get(method).is_some_and(|m| metric < m.scores.len());
        let scores = answers.iter().filter(|a| score(a));
        let scores = scores.map(|a| &a.maps[method].scores[metric]);
        Mean::of(scores, run.provenance.seed)
    };
    let row = |method| {
        (0..metrics)
            .into_par_iter()
            .map(|metric| cell(method, metric))
            .collect()
    };
    (0..methods).map(row).collect()
}

fn differences(run: &Run, answers: &[&Answer]) -> Vec<Difference> {
    let methods = run.methods.len();
    let pairs = (0..methods).flat_map(|a| (a + 1..methods).map(move |b| [a, b]));
    let asked: Vec<(usize, [usize; 2])> = (0..run.metrics.len())
        .flat_map(|metric| pairs.clone().map(move |pair| (metric, pair)))
        .collect();
    let seed = run.provenance.seed;
    let all = asked.into_par_iter();
    all.filter_map(|(metric, pair)| difference(answers, metric, pair, seed))
        .collect()
}

fn difference(
    answers: &[&Answer],
    metric: usize,
    methods: [usize; 2],
    seed: u64,
) -> Option<Difference> {
    let score = |answer: &Answer, method: usize| {
        let score = answer.maps.get(method)?.scores.get(metric)?;
        score.as_ref().ok().copied()
    };
    let pair = |answer: &&Answer| Some(score(answer, methods[0])? - score(answer, methods[1])?);
    let values: Vec<f64> = answers.iter().filter_map(pair).collect();
    let estimate = of_mean(&values, seed, &mut [0.0; RESAMPLES])?;
    Some(Difference {
        metric,
        methods,
        n: values.len(),
        mean: estimate.mean,
        interval: [estimate.low, estimate.high],
    })
}

/// The overall score of a method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overall {
    /// 0 (worst) to 1 (best); `None` if no weighted metric has a score.
    pub value: Option<f64>,
    /// Numbers of weighted metrics that the method lacks: it is partial if
    /// there are any.
    pub missing: Vec<usize>,
}

impl Overall {
    /// Of the means of one method, one a metric.
    pub fn of(means: &[Mean], rows: &[&MetricRow], weights: &Weights) -> Self {
        let (mut sum, mut total, mut missing) = (0.0, 0.0, Vec::new());
        for (k, ((mean, row), &weight)) in means.iter().zip(rows).zip(&weights.0).enumerate() {
            if weight <= 0.0 {
                continue;
            }
            match mean.mean.and_then(|mean| normalised(mean, row)) {
                Some(value) => {
                    sum += weight * value;
                    total += weight;
                }
                None => missing.push(k),
            }
        }
        Self {
            value: (total > 0.0).then(|| sum / total),
            missing,
        }
    }
}

/// A mean between 0 and 1 where 1 is good; `None` where the range has no bound.
pub fn normalised(mean: f64, row: &MetricRow) -> Option<f64> {
    let [low, high] = row.range;
    let width = high - low;
    let value = match row.better {
        Better::Higher => (mean - low) / width,
        Better::Lower => (high - mean) / width,
    };
    width.is_finite().then_some(value)
}

/// A family in one word.
pub const fn family_word(family: Family) -> &'static str {
    match family {
        Family::Faithfulness => "faithfulness",
        Family::Localization => "localization",
        Family::Sensitivity => "sensitivity",
        Family::Robustness => "robustness",
        Family::Complexity => "complexity",
    }
}

/// What each metric of a run counts, relative to the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weights(Vec<f64>);

/// Weights that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// A name that the run does not know.
    #[error("`{name}` is no metric of this run, nor a family of one; {hint}")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest ones.
        hint: String,
    },
    /// Not a weight.
    #[error("`{text}` is no weight of `{name}`: a number of at least 0")]
    Number {
        /// What it should weigh.
        name: String,
        /// What was given.
        text: String,
    },
    /// Nothing counts.
    #[error("all weights are 0")]
    Nothing,
}

impl Weights {
    /// All alike.
    pub fn equal(run: &Run) -> Self {
        Self(vec![1.0; run.metrics.len()])
    }

    /// One a metric, in the order of the run.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Reads `NAME=WEIGHT,..`: a name is a metric as it was asked for, a metric
    /// of the table (all of that name then), or a family, whose metrics share
    /// its weight evenly. What is not named counts nothing; what is named twice
    /// counts both.
    ///
    /// # Errors
    /// A name that the run does not know, a weight that is none.
    pub fn parse(text: &str, run: &Run) -> Result<Self, WeightsError> {
        let mut weights = vec![0.0; run.metrics.len()];
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, chosen) = longest_name(rest, run)?;
            let value = &rest[name.len() + 1..];
            let (number, after) = value.split_once(',').unwrap_or((value, ""));
            let weight = number.trim().parse().ok();
            let weight: f64 = weight
                .filter(|w: &f64| w.is_finite() && *w >= 0.0)
                .ok_or_else(|| WeightsError::Number {
                    name: String::from(name),
                    text: String::from(number),
                })?;
            let share = match is_family(name) {
                true => weight / chosen.len() as f64,
                false => weight,
            };
            chosen.into_iter().for_each(|k| weights[k] += share);
            rest = after.trim();
        }
        match weights.iter().any(|w| *w > 0.0) {
            true => Ok(Self(weights)),
            false => Err(WeightsError::Nothing),
        }
    }
}

fn is_family(name: &str) -> bool {
    FAMILIES.iter().any(|family| family_word(*family) == name)
}

const FAMILIES: [Family; 5] = [
    Family::Faithfulness,
    Family::Localization,
    Family::Sensitivity,
    Family::Robustness,
    Family::Complexity,
];

/// The longest name that a text begins with, before `=`, and the metrics that
/// it means. (What a metric was asked for with may itself hold `=` and `,`.)
fn longest_name<'a>(text: &'a str, run: &Run) -> Result<(&'a str, Vec<usize>), WeightsError> {
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (k, metric) in run.metrics.iter().enumerate() {
        let mut own = vec![
            &metric.spec[..],
            metric.row.name,
            family_word(metric.row.family),
        ];
        own.sort_unstable();
        own.dedup();
        for name in own {
            names.entry(name).or_default().push(k);
        }
    }
    let begins = |name: &str| {
        text.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    };
    let found = names
        .iter()
        .filter(|(name, _)| begins(name))
        .max_by_key(|(name, _)| name.len());
    match found {
        Some((name, chosen)) => Ok((&text[..name.len()], chosen.clone())),
        None => {
            let name = text.split(['=', ',']).next().unwrap_or(text);
            Err(WeightsError::Unknown {
                name: String::from(name),
                hint: hint(name, names.keys().copied()),
            })
        }
    }
}

#[cfg(test)]
mod tests;
