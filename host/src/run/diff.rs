//! Two runs on the same pictures, compared: float against int8, old against
//! new, host against device.
//!
//! Pictures are matched by name, classes by label (by number where one of the
//! models has no labels), methods as they were asked for; where no other is
//! called so, the first Grad-CAM of one run meets the first of the other,
//! whatever its layer.
//!
//! The **drift** of an answer is what the evidence of the two maps lacks to the
//! same ranking: one minus Spearman's correlation, the worst of all methods; 0 for
//! the same ranking, 1 for an unrelated one or where one of them has no evidence,
//! 2 for the opposite. Maps of different size are brought to the larger one.

use std::collections::HashMap;

use foveola_core::explain::upsample_bilinear;
use foveola_core::metric::agreement::{overlap, spearman};
use foveola_core::metric::bootstrap::{RESAMPLES, of_mean};
use serde::Serialize;

use super::view::{Answer, FetchError, MapValues, Pictures, Run, Sample};
use crate::card::label;
use crate::explainer::evidence_of;
use crate::quantise::plain_label;
use crate::report::sentence::Evidence;

/// The strongest tenth of a map.
const TENTH: f64 = 0.1;

/// Two runs, compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Pictures that both runs could read.
    pub pictures: usize,
    /// Pictures of the first run alone, unreadable ones of either counted.
    pub only_first: usize,
    /// Pictures of the second run alone.
    pub only_second: usize,
    /// Pictures whose best label changed.
    pub label_changes: usize,
    /// The methods of both runs: as the first and as the second calls them.
    pub methods: Vec<[String; 2]>,
    /// The classes that both explained, picture by picture.
    pub answers: Vec<Pair>,
    /// Evidence, method by method, over answers whose picture kept its label.
    pub kept: Vec<EvidenceChange>,
    /// The same over answers whose picture changed its label.
    pub changed: Vec<EvidenceChange>,
    /// Scores that both runs have, method by method and metric by metric.
    pub scores: Vec<ScoreChange>,
}

/// One class of one picture in both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// The picture, as the data set names it.
    pub file: String,
    /// The class that was explained.
    pub label: String,
    /// The best label of the first and of the second run.
    pub best: [String; 2],
    /// Whether they are the same.
    pub same_label: bool,
    /// Probability of the class that was explained, in both.
    pub probability: [f32; 2],
    /// One a method of both runs.
    pub evidence: Vec<EvidencePair>,
    /// The worst of them; `None` without any.
    pub drift: Option<f64>,
}

/// Two maps of the same question.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EvidencePair {
    /// Number of the method.
    pub method: usize,
    /// Spearman's correlation of the evidence; `None` where one has none.
    pub spearman: Option<f64>,
    /// Intersection over union of the strongest tenths; `None` where one has none.
    pub overlap: Option<f64>,
}

impl EvidencePair {
    /// See the module. What rounding leaves of the same ranking is 0.
    pub fn drift(&self) -> f64 {
        let drift = 1.0 - self.spearman.unwrap_or(0.0);
        if drift < 1e-12 { 0.0 } else { drift }
    }
}

/// How the evidence of one method changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidenceChange {
    /// Number of the method.
    pub method: usize,
    /// Answers that both runs have a map of.
    pub n: usize,
    /// Answers of which one has evidence and the other has none, or both have none.
    pub without: usize,
    /// Mean of Spearman's correlation, its 95 % interval.
    pub spearman: Option<f64>,
    /// Lower and upper end.
    pub interval: Option<[f64; 2]>,
    /// Mean overlap of the strongest tenths.
    pub overlap: Option<f64>,
}

/// How one score of one method changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreChange {
    /// Number of the method.
    pub method: usize,
    /// The metric, as both runs call it.
    pub metric: String,
    /// Answers that both have the score of.
    pub n: usize,
    /// Mean in the first and in the second run.
    pub means: [f64; 2],
    /// 95 % interval of the second less the first.
    pub interval: Option<[f64; 2]>,
}

/// A run and where its maps are.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its maps.
    pub maps: &'a dyn Pictures,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Side({})", self.run.provenance.model)
    }
}

/// Compares two runs. `watch` learns how many pictures of how many are done.
///
/// # Errors
/// Maps that cannot be read; runs without a common picture are compared to nothing.
pub fn compare(
    first: Side<'_>,
    second: Side<'_>,
    watch: &mut dyn FnMut(usize, usize),
) -> Result<Comparison, FetchError> {
    let matched = Matched::new([first.run, second.run]);
    let mut work = Work {
        sides: [first, second],
        methods: &matched.methods,
        answers: Vec::new(),
        scores: HashMap::new(),
    };
    let mut label_changes = 0;
    for (done, &pair) in matched.pictures.iter().enumerate() {
        watch(done, matched.pictures.len());
        let same = work.picture(pair)?;
        label_changes += usize::from(!same);
    }
    let spec = |&[a, b]: &[usize; 2]| {
        [
            first.run.methods[a].spec.clone(),
            second.run.methods[b].spec.clone(),
        ]
    };
    let seed = first.run.provenance.seed;
    let methods = matched.methods.len();
    let scores = work.score_changes(seed);
    let answers = work.answers;
    Ok(Comparison {
        pictures: matched.pictures.len(),
        only_first: first.run.samples.len() - matched.pictures.len(),
        only_second: second.run.samples.len() - matched.pictures.len(),
        label_changes,
        methods: matched.methods.iter().map(spec).collect(),
        kept: evidence_changes(&answers, true, methods, seed),
        changed: evidence_changes(&answers, false, methods, seed),
        scores,
        answers,
    })
}

/// What belongs together.
struct Matched {
    pictures: Vec<[usize; 2]>,
    methods: Vec<[usize; 2]>,
}

impl Matched {
    fn new([first, second]: [&Run; 2]) -> Self {
        let readable = |s: &&(usize, &Sample)| s.1.failure.is_none();
        let second_samples: Vec<(usize, &Sample)> = second.samples.iter().enumerate().collect();
        let by_name: HashMap<&str, usize> = second_samples
            .iter()
            .filter(readable)
            .map(|(i, s)| (&s.file[..], *i))
            .collect();
        let first_samples: Vec<(usize, &Sample)> = first.samples.iter().enumerate().collect();
        let own = first_samples.iter().filter(readable);
        let pictures = own.filter_map(|(i, s)| Some([*i, *by_name.get(&s.file[..])?]));
        Self {
            pictures: pictures.collect(),
            methods: methods(first, second),
        }
    }
}

/// Methods whose maps are kept, by their whole name and then by their first word.
fn methods(first: &Run, second: &Run) -> Vec<[usize; 2]> {
    let kept = |run: &Run| -> Vec<usize> {
        let all = 0..run.methods.len();
        all.filter(|&m| !run.methods[m].baseline).collect()
    };
    let (own, mut free) = (kept(first), kept(second));
    let mut found = Vec::new();
    let mut take = |found: &mut Vec<[usize; 2]>, alike: &dyn Fn(&str, &str) -> bool| {
        for &a in &own {
            if found.iter().any(|[taken, _]| *taken == a) {
                continue;
            }
            let (this, others) = (&first.methods[a].spec, &second.methods);
            if let Some(at) = free.iter().position(|&b| alike(this, &others[b].spec)) {
                found.push([a, free.remove(at)]);
            }
        }
    };
    take(&mut found, &|a, b| a == b);
    take(&mut found, &|a, b| word(a) == word(b));
    found.sort_unstable();
    found
}

/// The method's name in what it was asked for.
fn word(spec: &str) -> &str {
    spec.split(':').next().unwrap_or(spec)
}

struct Work<'a> {
    sides: [Side<'a>; 2],
    methods: &'a [[usize; 2]],
    answers: Vec<Pair>,
    /// Scores of both by method and metric.
    scores: HashMap<(usize, usize), Vec<[f64; 2]>>,
}

impl Work<'_> {
    /// Compares a picture; whether its best label is the same.
    fn picture(&mut self, pair: [usize; 2]) -> Result<bool, FetchError> {
        let [first, second] = self.sides;
        let samples = [&first.run.samples[pair[0]], &second.run.samples[pair[1]]];
        let names = [&first.run.labels, &second.run.labels];
        let bests = samples.map(|s| crate::explainer::best(&s.probabilities));
        let best = [label(names[0], bests[0]), label(names[1], bests[1])];
        let same_label = is_same([names[0], names[1]], bests);
        for (a, answer) in samples[0].answers.iter().enumerate() {
            let mut others = samples[1].answers.iter().enumerate();
            let alike =
                |other: &&Answer| is_same([names[0], names[1]], [answer.label, other.label]);
            let Some((b, other)) = others.find(|(_, other)| alike(other)) else {
                continue;
            };
            let evidence = self.evidence(pair, [a, b])?;
            self.collect_scores([answer, other]);
            let probability = |s: &Sample, class: usize| s.probabilities.get(class).copied();
            self.answers.push(Pair {
                file: samples[0].file.clone(),
                label: label(names[0], answer.label),
                best: best.clone(),
                same_label,
                probability: [
                    probability(samples[0], answer.label).unwrap_or(f32::NAN),
                    probability(samples[1], other.label).unwrap_or(f32::NAN),
                ],
                drift: evidence.iter().map(EvidencePair::drift).reduce(f64::max),
                evidence,
            });
        }
        Ok(same_label)
    }

    /// The evidence of both maps of each method.
    fn evidence(
        &self,
        pictures: [usize; 2],
        answers: [usize; 2],
    ) -> Result<Vec<EvidencePair>, FetchError> {
        let [first, second] = self.sides;
        let each = self.methods.iter().enumerate();
        each.map(|(method, &[a, b])| {
            let maps = [
                first.maps.map(pictures[0], answers[0], a)?,
                second.maps.map(pictures[1], answers[1], b)?,
            ];
            let kind = evidence_of(word(&first.run.methods[a].spec));
            Ok(compare_maps(method, &maps, kind))
        })
        .collect()
    }

    fn collect_scores(&mut self, answers: [&Answer; 2]) {
        let runs = [self.sides[0].run, self.sides[1].run];
        for (method, methods) in self.methods.iter().enumerate() {
            for (k, metric) in runs[0].metrics.iter().enumerate() {
                let other = runs[1].metrics.iter().position(|m| m.spec == metric.spec);
                let score = |side: usize, k: usize| -> Option<f64> {
                    let map = answers[side].maps.get(methods[side])?;
                    map.scores.get(k)?.as_ref().ok().copied()
                };
                let both = other.and_then(|other| Some([score(0, k)?, score(1, other)?]));
                if let Some(both) = both {
                    self.scores.entry((method, k)).or_default().push(both);
                }
            }
        }
    }

    fn score_changes(&self, seed: u64) -> Vec<ScoreChange> {
        let mut keys: Vec<&(usize, usize)> = self.scores.keys().collect();
        keys.sort_unstable();
        let change = |key: &&(usize, usize)| {
            let scores = &self.scores[*key];
            let n = scores.len();
            let mean = |side: usize| scores.iter().map(|s| s[side]).sum::<f64>() / n as f64;
            let differences: Vec<f64> = scores.iter().map(|[a, b]| b - a).collect();
            let interval = of_mean(&differences, seed, &mut [0.0; RESAMPLES]);
            ScoreChange {
                method: key.0,
                metric: self.sides[0].run.metrics[key.1].spec.clone(),
                n,
                means: [mean(0), mean(1)],
                interval: interval.map(|i| [i.low, i.high]),
            }
        };
        keys.iter().map(change).collect()
    }
}

/// Whether two classes are called the same, or have the same number where one
/// of them has no label.
fn is_same(names: [&Vec<String>; 2], classes: [usize; 2]) -> bool {
    let name = |side: usize| names[side].get(classes[side]).filter(|n| !n.is_empty());
    match (name(0), name(1)) {
        (Some(a), Some(b)) => plain_label(a) == plain_label(b),
        _ => classes[0] == classes[1],
    }
}

/// Compares the evidence of two maps.
fn compare_maps(method: usize, maps: &[MapValues; 2], kind: Evidence) -> EvidencePair {
    let none = EvidencePair {
        method,
        spearman: None,
        overlap: None,
    };
    if maps.iter().any(|map| map.values.is_empty()) {
        return none;
    }
    let side = |i: usize| maps[0].grid[i].max(maps[1].grid[i]);
    let size = [side(0), side(1)];
    let weigh = |map: &MapValues| -> Option<Vec<f32>> {
        let weights = kind.weigh(&map.values);
        let weights: Vec<f32> = weights.into_iter().map(|w| w as f32).collect();
        if map.grid == size {
            return Some(weights);
        }
        let mut out = vec![0.0; size[0] * size[1]];
        let done = upsample_bilinear(&weights, map.grid, size, &mut out);
        done.is_ok().then_some(out)
    };
    let (Some(a), Some(b)) = (weigh(&maps[0]), weigh(&maps[1])) else {
        return none;
    };
    let mut scratch = vec![0; 2 * a.len()];
    let correlation = spearman(&a, &b, &mut scratch).ok();
    let common = overlap(&a, &b, TENTH, &mut scratch).ok();
    EvidencePair {
        method,
        spearman: correlation.and_then(foveola_core::metric::Scored::value),
        overlap: common.and_then(Result::ok).map(|o| o.iou),
    }
}

/// Means over the answers that kept their label, or over the others.
fn evidence_changes(
    answers: &[Pair],
    same_label: bool,
    methods: usize,
    seed: u64,
) -> Vec<EvidenceChange> {
    let all: Vec<&Pair> = answers
        .iter()
        .filter(|p| p.same_label == same_label)
        .collect();
    let change = |method: usize| {
        let pairs = || all.iter().filter_map(move |p| p.evidence.get(method));
        let correlations: Vec<f64> = pairs().filter_map(|e| e.spearman).collect();
        let overlaps: Vec<f64> = pairs().filter_map(|e| e.overlap).collect();
        let mean = |values: &[f64]| {
            let n = values.len();
            (n > 0).then(|| values.iter().sum::<f64>() / n as f64)
        };
        let interval = of_mean(&correlations, seed, &mut [0.0; RESAMPLES]);
        EvidenceChange {
            method,
            n: pairs().count(),
            without: pairs().filter(|e| e.spearman.is_none()).count(),
            spearman: mean(&correlations),
            interval: interval.map(|i| [i.low, i.high]),
            overlap: mean(&overlaps),
        }
    };
    (0..methods).map(change).collect()
}

impl Comparison {
    /// Answers whose picture kept its label, the largest drift first.
    pub fn same_label_other_evidence(&self, above: f64) -> Vec<&Pair> {
        let far = |p: &&Pair| p.same_label && p.drift.is_some_and(|d| d > above);
        let mut found: Vec<&Pair> = self.answers.iter().filter(far).collect();
        let drift = |p: &Pair| p.drift.unwrap_or(0.0);
        found.sort_by(|a, b| drift(b).total_cmp(&drift(a)));
        found
    }

    /// Answers whose picture changed its label, as in the data set.
    pub fn other_label(&self) -> Vec<&Pair> {
        self.answers.iter().filter(|p| !p.same_label).collect()
    }
}

#[cfg(test)]
mod tests;
