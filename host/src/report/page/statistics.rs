//! Numbers of the whole run, also of the pictures that are not shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::run::verdict::{EvidenceMatrix, Place};
use crate::run::view::{Answer, Flag, Run, Sample, Verdict};

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
