//! The scores of the maps of one picture.

use std::sync::atomic::{AtomicBool, Ordering};

use foveola_core::explain::{Cost, MethodRow, Outcome, Progress};
use foveola_core::metric::{Attribution, Explain, Needs, Scored, Subject, Witness, baseline};
use foveola_core::{Classifier, Error, Fill, Picture, Score, Shape};

use super::examine::{Found, Seen, others};
use super::inquiry::{Inquiry, Nothing};
use super::view::Curve;
use crate::explainer::{Again, ExplainError};
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::model::Running;
use crate::photo::{Hidden, Photo};

/// What the metrics say of one map.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// One a metric.
    pub scores: Vec<Result<f64, String>>,
    /// What they saw on the way.
    pub curves: Vec<Curve>,
}

/// Everything that metrics share about one picture.
pub struct Judges<'a> {
    inquiry: &'a Inquiry,
    seen: &'a Seen<'a>,
    targets: &'a [usize],
    backgrounds: Vec<Photo>,
    /// What hides, for each metric that hides.
    hidden: Vec<Option<Result<Hidden, String>>>,
}

/// The map that is judged.
struct Map<'a> {
    /// `None` for a baseline.
    method: Option<&'static MethodRow>,
    shape: Shape,
    values: &'a [f32],
    score: Score,
    evidence: &'a [f32],
}

impl<'a> Judges<'a> {
    pub fn new(inquiry: &'a Inquiry, seen: &'a Seen<'a>, targets: &'a [usize]) -> Self {
        let intake = inquiry.model.intake();
        let open = |item: &super::data::Item| Photo::open(&item.path, &intake).ok();
        let changed = |m: &MetricSpec| m.row.needs == Needs::Scores;
        let backgrounds = match inquiry.metrics.iter().any(changed) {
            true => others(&inquiry.data, seen.id, inquiry.seed, open),
            false => Vec::new(),
        };
        let hide = |m: &MetricSpec| Some(seen.photo.hidden(m.baseline?));
        Self {
            inquiry,
            seen,
            targets,
            backgrounds,
            hidden: inquiry.metrics.iter().map(hide).collect(),
        }
    }

    /// For each target what the metrics say of each method's map, then of each
    /// baseline; `None` if the run was stopped.
    pub fn all(
        &self,
        running: &mut Running,
        makers: &mut Makers<'_>,
        found: &[Vec<Result<Found, String>>],
        stop: &AtomicBool,
    ) -> Option<Vec<Vec<Judged>>> {
        let mut all = vec![Vec::new(); self.targets.len()];
        let tensor = self.seen.photo.is_tensor();
        for (slot, maps) in makers.0.iter_mut().zip(found) {
            let maker = slot.take().map(|again| Box::new(again.of_tensors(tensor)));
            let mut asker = Asker::Method(maker);
            let mut shared = Vec::new();
            for (i, map) in maps.iter().enumerate() {
                let judged = match map {
                    Err(reason) => self.without(reason),
                    Ok(found) => self.method(running, &mut asker, (i, found), &mut shared, stop)?,
                };
                all[i].push(judged);
            }
            if let Asker::Method(again) = asker {
                *slot = again;
            }
        }
        for &nothing in self.inquiry.nothings() {
            let mut shared = Vec::new();
            for (i, judged) in all.iter_mut().enumerate() {
                judged.push(self.nothing(running, nothing, i, &mut shared, stop)?);
            }
        }
        Some(all)
    }

    /// No score, for one reason.
    fn without(&self, reason: &str) -> Judged {
        let none = |_: &MetricSpec| Err(reason.to_string());
        Judged {
            scores: self.inquiry.metrics.iter().map(none).collect(),
            curves: Vec::new(),
        }
    }

    fn method(
        &self,
        running: &mut Running,
        asker: &mut Asker<'_>,
        (i, found): (usize, &Found),
        shared: &mut Vec<Option<Result<f64, String>>>,
        stop: &AtomicBool,
    ) -> Option<Judged> {
        let Some(evidence) = &found.evidence else {
            let reason = match found.map.outcome {
                Outcome::Undefined(reason) => reason,
                _ => "the map holds no evidence",
            };
            return Some(self.without(reason));
        };
        let (shape, values) = found.raw();
        let map = Map {
            method: Some(found.map.spec.row),
            shape,
            values,
            score: found.map.score,
            evidence,
        };
        self.judge(running, asker, (i, &map), shared, stop)
    }

    fn nothing(
        &self,
        running: &mut Running,
        nothing: Nothing,
        i: usize,
        shared: &mut Vec<Option<Result<f64, String>>>,
        stop: &AtomicBool,
    ) -> Option<Judged> {
        let Shape { h, w, .. } = self.seen.photo.shape();
        let mut blank = Blank::new(nothing, [h, w], self.inquiry.seed, self.seen.id, i);
        let mut evidence = vec![0.0; h * w];
        blank.fill(&mut evidence);
        let map = Map {
            method: None,
            shape: Shape::new(h, w, 1),
            values: &evidence,
            score: Score::Probability,
            evidence: &evidence,
        };
        self.judge(running, &mut Asker::Blank(blank), (i, &map), shared, stop)
    }

    /// All metrics on one map. What is said of the picture as a whole is asked
    /// once and `shared` by its classes.
    fn judge(
        &self,
        running: &mut Running,
        asker: &mut Asker<'_>,
        (i, map): (usize, &Map<'_>),
        shared: &mut Vec<Option<Result<f64, String>>>,
        stop: &AtomicBool,
    ) -> Option<Judged> {
        let mut judged = Judged::default();
        shared.resize(self.inquiry.metrics.len(), None);
        for (number, metric) in self.inquiry.metrics.iter().enumerate() {
            let known = shared[number].clone().filter(|_| !metric.row.per_class);
            let score = match known {
                Some(score) => score,
                None => {
                    let mut notes = Notes::new(stop);
                    let score = self.score(running, asker, (i, map), (number, metric), &mut notes);
                    judged
                        .curves
                        .extend(notes.curves(metric, &self.inquiry.metrics));
                    score
                }
            };
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            shared[number] = Some(score.clone());
            judged.scores.push(score);
        }
        Some(judged)
    }

    fn score(
        &self,
        running: &mut Running,
        asker: &mut Asker<'_>,
        (i, map): (usize, &Map<'_>),
        (number, metric): (usize, &MetricSpec),
        notes: &mut Notes<'_>,
    ) -> Result<f64, String> {
        if matches!(asker, Asker::Blank(_)) && metric.row.needs == Needs::Weights {
            return Err(String::from("a baseline asks no weights"));
        }
        metric.suits(map.method)?;
        let region = self.seen.regions.of(self.targets[i]);
        if metric.row.needs == Needs::Region && region.is_none() {
            return Err(String::from("nobody said where it is"));
        }
        let fill = match &self.hidden[number] {
            Some(Ok(hidden)) => hidden.fill(),
            Some(Err(reason)) => return Err(reason.clone()),
            None => Fill::Colour(self.seen.photo.picture().colour(0.0)),
        };
        let backgrounds: Vec<Picture<'_>> = self.backgrounds.iter().map(Photo::picture).collect();
        let subject = Subject {
            picture: self.seen.photo.picture(),
            fill,
            target: self.targets[i],
            evidence: map.evidence,
            attribution: Attribution {
                shape: map.shape,
                values: map.values,
                score: map.score,
            },
            region,
            backgrounds: &backgrounds,
            seed: self.inquiry.seed,
        };
        let classifier = &mut *running.classifier;
        // Maps are made anew with scratch of their own.
        let cost = Cost {
            forward: 0,
            backward: 0,
            scratch: 0,
        };
        let scored = metric.with_metric(|metric| {
            let need = metric.cost(classifier.input(), classifier.classes(), cost);
            let mut scratch = vec![0.0; need.scratch];
            metric.score(classifier, &subject, asker, &mut scratch, notes)
        });
        match scored {
            Ok(Scored::Value(value)) => Ok(value),
            Ok(Scored::Undefined(reason)) => Err(reason.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Each method once more, for metrics that ask for maps of their own.
pub struct Makers<'a>(Vec<Option<Box<Again<'a>>>>);

impl<'a> Makers<'a> {
    /// # Errors
    /// A model that does not start.
    pub fn new(inquiry: &'a Inquiry) -> Result<Self, ExplainError> {
        let anew = |m: &MetricSpec| matches!(m.row.needs, Needs::Maps | Needs::Weights);
        let asked = inquiry.metrics.iter().any(anew);
        let make = |spec: &MethodSpec| {
            let again = || Again::new(&inquiry.model, spec, 1, (None, inquiry.seed));
            asked.then(again).transpose().map(|made| made.map(Box::new))
        };
        let all: Result<Vec<_>, _> = inquiry.methods.iter().map(make).collect();
        all.map(Self)
    }
}

/// Makes maps anew.
enum Asker<'a> {
    /// By a method, if any metric asks for that.
    Method(Option<Box<Again<'a>>>),
    Blank(Blank),
}

/// A baseline.
struct Blank {
    nothing: Nothing,
    grid: [usize; 2],
    seed: u64,
    sample: u32,
}

impl Blank {
    /// Each picture and class has maps of its own, and each call another one.
    fn new(nothing: Nothing, grid: [usize; 2], seed: u64, id: usize, answer: usize) -> Self {
        let counter = [id as u32, answer as u32, 0, MAPS];
        let key = [seed as u32, (seed >> 32) as u32];
        let [low, high, ..] = foveola_core::rng::philox4x32_10(counter, key);
        Self {
            nothing,
            grid,
            seed: u64::from(low) | u64::from(high) << 32,
            sample: 0,
        }
    }

    fn fill(&mut self, evidence: &mut [f32]) {
        match self.nothing {
            Nothing::Random => baseline::random(self.seed, self.sample, evidence),
            Nothing::Centre => baseline::centre(self.grid, evidence),
        }
        self.sample += 1;
    }
}

/// Purpose of the random numbers that choose the seeds of random maps.
const MAPS: u32 = (1 << 31) + 1;

impl Explain for Asker<'_> {
    fn evidence(
        &mut self,
        classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        match self {
            Self::Method(None) => Err(Error::BadOrder),
            Self::Method(Some(again)) => again.evidence(classifier, picture, target, evidence),
            Self::Blank(blank) => {
                blank.fill(evidence);
                Ok(true)
            }
        }
    }

    fn randomised(
        &mut self,
        depth: usize,
        cascading: bool,
        seed: u64,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        match self {
            Self::Method(Some(again)) => {
                again.randomised(depth, cascading, seed, picture, target, evidence)
            }
            _ => Err(Error::NotWhiteBox),
        }
    }
}

/// What a metric tells on its way.
struct Notes<'a> {
    stop: &'a AtomicBool,
    curves: Vec<Curve>,
}

impl<'a> Notes<'a> {
    const fn new(stop: &'a AtomicBool) -> Self {
        let curves = Vec::new();
        Self { stop, curves }
    }

    /// The curves under the metric's name; under all that it was asked for with,
    /// if it was asked for twice.
    fn curves(self, metric: &MetricSpec, all: &[MetricSpec]) -> impl Iterator<Item = Curve> {
        let name = metric.row.name;
        let twice = all.iter().filter(|m| m.row.name == name).count() > 1;
        let own = if twice {
            metric.to_string()
        } else {
            name.to_string()
        };
        self.curves.into_iter().map(move |curve| Curve {
            name: match curve.name == name {
                true => own.clone(),
                false => format!("{own} {}", curve.name),
            },
            points: curve.points,
        })
    }
}

impl Progress for Notes<'_> {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

impl Witness for Notes<'_> {
    fn point(&mut self, curve: &'static str, share: f64, score: f64) {
        let point = [share, score];
        match self.curves.iter_mut().find(|c| c.name == curve) {
            Some(known) => known.points.push(point),
            None => self.curves.push(Curve {
                name: String::from(curve),
                points: vec![point],
            }),
        }
    }

    fn part(&mut self, _name: &'static str, _value: f64) {}
}
