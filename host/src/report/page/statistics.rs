//! Numbers of the whole run, also of the pictures that are not shown.

use std::collections::BTreeMap;

use foveola_core::metric::bootstrap::{RESAMPLES, of_mean};
use serde::Serialize;

use crate::run::verdict::{EvidenceMatrix, Place};
use crate::run::view::{Answer, Flag, Run, Sample, Verdict};

/// A mean of scores with its 95 % interval.
#[derive(Serialize)]
pub struct Mean {
    /// Scores that exist.
    n: usize,
    /// The mean; `None` without scores.
    mean: Option<f64>,
    /// Lower and upper end.
    interval: Option<[f64; 2]>,
    /// Why scores are missing, and how many for each reason.
    undefined: BTreeMap<String, usize>,
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
        Self {
            n,
            mean: (n > 0).then(|| values.iter().sum::<f64>() / n as f64),
            interval: of_mean(&values, seed, &mut [0.0; RESAMPLES]).map(|i| [i.low, i.high]),
            undefined,
        }
    }
}

/// Two methods on the same answers, by one metric.
#[derive(Serialize)]
pub struct Difference {
    metric: usize,
    methods: [usize; 2],
    n: usize,
    /// Mean of the first minus the second.
    mean: f64,
    interval: [f64; 2],
}

/// Scores of methods.
#[derive(Serialize)]
pub struct Evaluation {
    /// By method and metric.
    scores: Vec<Vec<Mean>>,
    /// By label, method and metric.
    classes: BTreeMap<usize, Vec<Vec<Mean>>>,
    differences: Vec<Difference>,
}

/// Means, per class and paired.
pub fn evaluate(run: &Run) -> Evaluation {
    let answers: Vec<&Answer> = run.samples.iter().flat_map(|s| &s.answers).collect();
    let mut classes: BTreeMap<usize, Vec<&Answer>> = BTreeMap::new();
    for answer in &answers {
        classes.entry(answer.label).or_default().push(answer);
    }
    Evaluation {
        scores: table(run, &answers),
        classes: classes
            .into_iter()
            .map(|(label, answers)| (label, table(run, &answers)))
            .collect(),
        differences: differences(run, &answers),
    }
}

fn table(run: &Run, answers: &[&Answer]) -> Vec<Vec<Mean>> {
    let cell = |method: usize, metric: usize| {
        Mean::of(
            answers
                .iter()
                .filter_map(move |a| a.maps.get(method)?.scores.get(metric)),
            run.provenance.seed,
        )
    };
    let row = |method| (0..run.metrics.len()).map(|m| cell(method, m)).collect();
    (0..run.methods.len()).map(row).collect()
}

fn differences(run: &Run, answers: &[&Answer]) -> Vec<Difference> {
    let mut all = Vec::new();
    for metric in 0..run.metrics.len() {
        for a in 0..run.methods.len() {
            for b in a + 1..run.methods.len() {
                all.extend(difference(answers, metric, [a, b], run.provenance.seed));
            }
        }
    }
    all
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

/// How often what.
#[derive(Default, Serialize)]
pub struct Counts {
    pictures: usize,
    unreadable: usize,
    answers: usize,
    true_positive: usize,
    false_positive: usize,
    false_negative: usize,
    unknown: usize,
    right: usize,
    right_wrong_reason: usize,
    wrong: usize,
    /// Pictures whose most probable class is a true one, of those with truth.
    top: [usize; 2],
    /// True label, most probable label, pictures; of pictures with one label.
    confusion: Vec<[usize; 3]>,
    /// Predicted label, [number of the place](place_number) that its evidence
    /// lies on, answers.
    evidence: Vec<[usize; 3]>,
}

/// Counts over the whole run.
pub fn count(run: &Run) -> Counts {
    let mut counts = Counts {
        pictures: run.samples.len(),
        ..Counts::default()
    };
    let mut confusion = BTreeMap::new();
    for sample in &run.samples {
        counts.unreadable += usize::from(sample.failure.is_some());
        if let (Some(top), false) = (top(sample), sample.truth.is_empty()) {
            counts.top[0] += usize::from(sample.truth.contains(&top));
            counts.top[1] += 1;
            if let [truth] = sample.truth[..] {
                *confusion.entry([truth, top]).or_default() += 1;
            }
        }
        for answer in &sample.answers {
            counts.add(answer);
        }
    }
    counts.confusion = confusion.into_iter().map(|([a, b], n)| [a, b, n]).collect();
    counts.evidence = evidence(run);
    counts
}

/// A label's own number; that of the background follows the last label's.
pub fn place_number(run: &Run, place: Place) -> usize {
    match place {
        Place::Label(label) => label,
        Place::Background => run.labels.len(),
    }
}

fn evidence(run: &Run) -> Vec<[usize; 3]> {
    let matrix = EvidenceMatrix::of(run);
    let mut triples = Vec::new();
    for (label, counts) in matrix.labels.iter().zip(&matrix.counts) {
        for (place, count) in matrix.places.iter().zip(counts).filter(|(_, n)| **n > 0) {
            triples.push([*label, place_number(run, *place), *count as usize]);
        }
    }
    triples
}

impl Counts {
    fn add(&mut self, answer: &Answer) {
        self.answers += 1;
        *match answer.flag {
            Flag::TruePositive => &mut self.true_positive,
            Flag::FalsePositive => &mut self.false_positive,
            Flag::FalseNegative => &mut self.false_negative,
            Flag::Unknown => &mut self.unknown,
        } += 1;
        match answer.verdict {
            Some(Verdict::Right) => self.right += 1,
            Some(Verdict::RightWrongReason) => self.right_wrong_reason += 1,
            Some(Verdict::Wrong) => self.wrong += 1,
            None => {}
        }
    }
}

/// The most probable class, the first among equals.
fn top(sample: &Sample) -> Option<usize> {
    let p = &sample.probabilities;
    (!p.is_empty()).then(|| crate::explainer::best(p))
}
