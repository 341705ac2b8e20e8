//! One picture: read, classified, explained and scored.

use std::sync::atomic::{AtomicBool, Ordering};

use foveola_core::explain::{Cost, MapKind, Outcome};
use foveola_core::metric::agreement::{overlap, spearman};
use foveola_core::uncertainty::{entropy, margin};
use foveola_core::{Error, Masked, Score, Shape};

use super::data::{DataSet, Item};
use super::inquiry::Inquiry;
use super::judge::{Judged, Judges, Makers};
use super::nearest::{Features, SHOWN};
use super::read::lasting;
use super::record::Record;
use super::verdict::{Regions, flag, is_doubtful, seen, verdict};
use super::view::{Agreement, Answer, Flag, MapInfo, MapValues, Sample};
use crate::card::OutputActivation;
use crate::explainer::{ExplainError, Region, SaliencyMap, Watch, explain_known, wanted};
use crate::method_spec::MethodSpec;
use crate::model::Running;
use crate::photo::{Photo, PhotoError};
use crate::uncertainty;

/// The share of a map whose overlap with another is counted.
const STRONGEST: f64 = 0.1;

/// Why a picture has no record.
pub enum Halt {
    /// Someone stopped the run.
    Stopped,
    /// Something that no other picture would get past either.
    Failed(Box<ExplainError>),
}

impl From<ExplainError> for Halt {
    fn from(error: ExplainError) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Stops what runs when the flag is set.
pub struct Flagged<'a>(pub &'a AtomicBool);

impl Watch for Flagged<'_> {
    fn begin(&mut self, _method: &MethodSpec, _cost: &Cost) {}
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        !self.stopped()
    }
    fn end(&mut self) {}
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A model that runs, for one picture after the other.
pub struct Examiner<'a> {
    inquiry: &'a Inquiry,
    running: Running,
    makers: Makers<'a>,
    features: Option<Features>,
    stop: &'a AtomicBool,
}

/// A picture that was read.
pub struct Seen<'a> {
    pub id: usize,
    pub photo: &'a Photo,
    pub probabilities: &'a [f32],
    pub regions: &'a Regions,
}

/// The map of one method for one class.
pub struct Found {
    pub map: SaliencyMap,
    /// One weight a pixel; `None` if there is nothing to see.
    pub evidence: Option<Vec<f32>>,
}

impl<'a> Examiner<'a> {
    /// Starts the model on one thread.
    ///
    /// # Errors
    /// As [`crate::model::OpenModel::start`].
    pub fn new(inquiry: &'a Inquiry, stop: &'a AtomicBool) -> Result<Self, ExplainError> {
        let running = inquiry.model.start_for(&wanted(&inquiry.asked()), 1)?;
        Ok(Self {
            inquiry,
            running,
            makers: Makers::new(inquiry)?,
            features: inquiry.train.as_ref().map(|t| t.features.another()),
            stop,
        })
    }

    /// Everything about picture number `id`.
    ///
    /// # Errors
    /// [`Halt`]; a picture that cannot be read or classified is a record too.
    pub fn examine(&mut self, id: usize) -> Result<Record, Halt> {
        let mut record = Record::default();
        let Some(item) = self.inquiry.data.items.get(id) else {
            return Ok(record);
        };
        record.sample = Sample {
            id: id as u64,
            file: item.name.clone(),
            truth: item.truth.clone().unwrap_or_default(),
            ..Sample::default()
        };
        match Photo::open(&item.path, &self.inquiry.model.intake()) {
            Err(error) => record.sample.failure = Some(unreadable(&error)),
            Ok(photo) => self.look(item, &photo, &mut record)?,
        }
        // A device that was lost fails on every picture.
        self.inquiry.model.sound().map_err(ExplainError::Model)?;
        Ok(record)
    }

    fn look(&mut self, item: &Item, photo: &Photo, record: &mut Record) -> Result<(), Halt> {
        let sample = &mut record.sample;
        sample.size = photo.frame().file_size();
        sample.boxes = seen(&item.boxes, photo.frame());
        if self.inquiry.pictures {
            record.picture = Some(png(photo));
        }
        match self.probabilities(photo) {
            Ok(probabilities) => sample.probabilities = probabilities,
            Err(error) => {
                let reason = self.inquiry.reason(error);
                sample.failure = Some(format!("the model fails on it: {reason}"));
                return Ok(());
            }
        }
        let card = &self.inquiry.model.card;
        let several = sample.probabilities.len() > 1;
        let exclusive = several && card.activation != OutputActivation::Sigmoid;
        match &self.inquiry.unit {
            Some(asked) => sample.answers = vec![answer(asked.unit.channel, Flag::Unknown)],
            None => {
                sample.entropy = exclusive.then(|| entropy(&sample.probabilities));
                sample.margin = margin(&sample.probabilities);
                sample.answers = answers(item, &sample.probabilities, self.inquiry.threshold);
            }
        }
        // Boxes that are none were refused when the data set was opened.
        let regions = Regions::new(&item.boxes, photo.frame()).map_err(ExplainError::Classifier)?;
        let seen = Seen {
            id: sample.id as usize,
            photo,
            probabilities: &sample.probabilities,
            regions: &regions,
        };
        record.maps = self.explain(&seen, &mut sample.answers)?;
        self.add_uncertainty(photo, &mut sample.answers);
        self.add_nearest(photo, sample.margin, &mut sample.answers);
        Ok(())
    }

    fn probabilities(&mut self, photo: &Photo) -> Result<Vec<f32>, Error> {
        let classifier = &mut self.running.classifier;
        let mut out = vec![0.0; classifier.classes()];
        let whole = Masked::whole(photo.picture());
        classifier.classify(&whole, Score::Probability, &mut out)?;
        Ok(out)
    }

    /// Maps, scores, agreement and regions of all answers.
    fn explain(&mut self, seen: &Seen<'_>, answers: &mut [Answer]) -> Result<Vec<MapValues>, Halt> {
        if answers.is_empty() {
            return Ok(Vec::new());
        }
        let targets: Vec<usize> = answers.iter().map(|a| a.label).collect();
        let mut found = Vec::new();
        for spec in &self.inquiry.methods {
            found.push(self.maps(spec, seen, &targets)?);
        }
        let judged = Judges::new(self.inquiry, seen, &targets).all(
            &mut self.running,
            &mut self.makers,
            &found,
            self.stop,
        );
        let judged = judged.ok_or(Halt::Stopped)?;
        self.add_regions(seen, answers)?;
        let mut kept = Vec::new();
        for (i, (answer, judged)) in answers.iter_mut().zip(judged).enumerate() {
            let own: Vec<&Result<Found, String>> = found.iter().map(|all| &all[i]).collect();
            answer.agreement = agreements(&own);
            decide(answer, own.first(), seen.regions);
            for (map, judged) in own.iter().zip(&judged) {
                answer.maps.push(info(map, judged));
                kept.push(values(map));
            }
            let grid = [seen.photo.shape().h, seen.photo.shape().w];
            for judged in judged.iter().skip(own.len()) {
                answer.maps.push(MapInfo {
                    grid,
                    outcome: Outcome::Ok,
                    scores: judged.scores.clone(),
                    curves: judged.curves.clone(),
                });
                let values = Vec::new();
                kept.push(MapValues { grid, values });
            }
        }
        Ok(kept)
    }

    /// One map a target; a method that fails on this picture says why.
    fn maps(
        &mut self,
        spec: &MethodSpec,
        seen: &Seen<'_>,
        targets: &[usize],
    ) -> Result<Vec<Result<Found, String>>, Halt> {
        let maps = self.ask(spec, seen, targets)?;
        Ok(match maps {
            Ok(maps) => maps.into_iter().map(|map| Ok(Found::new(map))).collect(),
            Err(reason) => targets.iter().map(|_| Err(reason.clone())).collect(),
        })
    }

    /// The inner error is one of this picture.
    fn ask(
        &mut self,
        spec: &MethodSpec,
        seen: &Seen<'_>,
        targets: &[usize],
    ) -> Result<Result<Vec<SaliencyMap>, String>, Halt> {
        let labels = &self.inquiry.model.card.labels;
        let maps = explain_known(
            &mut self.running,
            (seen.photo, labels),
            spec,
            (targets, seen.probabilities),
            self.inquiry.seed,
            &mut Flagged(self.stop),
        );
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        match maps {
            Ok(maps) => Ok(Ok(maps)),
            Err(ExplainError::Classifier(error)) => Ok(Err(self.inquiry.reason(error))),
            Err(ExplainError::Method { reason, .. }) => Ok(Err(reason)),
            Err(other) => Err(other.into()),
        }
    }

    /// HOC's answer for every class above the threshold.
    fn add_regions(&mut self, seen: &Seen<'_>, answers: &mut [Answer]) -> Result<(), Halt> {
        let inquiry = self.inquiry;
        let Some(hoc) = &inquiry.hoc else {
            return Ok(());
        };
        let above = |a: &&mut Answer| seen.probabilities[a.label] > inquiry.threshold;
        let mut above: Vec<&mut Answer> = answers.iter_mut().filter(above).collect();
        let targets: Vec<usize> = above.iter().map(|a| a.label).collect();
        if targets.is_empty() {
            return Ok(());
        }
        match self.ask(hoc, seen, &targets)? {
            Ok(maps) => {
                for (answer, map) in above.iter_mut().zip(maps) {
                    answer.region = Some(region(map));
                }
            }
            Err(reason) => {
                for answer in above {
                    answer.region = Some(Err(reason.clone()));
                }
            }
        }
        Ok(())
    }

    fn add_uncertainty(&mut self, photo: &Photo, answers: &mut [Answer]) {
        let Some(setting) = &self.inquiry.uncertainty else {
            return;
        };
        // A model without dropout was refused before the first picture; a pass
        // that is not finite leaves the picture without an interval.
        let found = uncertainty::of(&mut *self.running.classifier, photo, setting);
        let Ok(found) = found else {
            return;
        };
        for answer in answers {
            let of = found.classes.get(answer.label);
            answer.uncertainty = of.map(|class| class.interval);
        }
    }

    /// The training pictures nearest to one with doubtful answers.
    fn add_nearest(&mut self, photo: &Photo, margin: Option<f64>, answers: &mut [Answer]) {
        let (Some(train), Some(features)) = (&self.inquiry.train, &mut self.features) else {
            return;
        };
        let mut doubtful = answers
            .iter_mut()
            .filter(|a| is_doubtful(a.verdict, margin));
        let Some(first) = doubtful.next() else {
            return;
        };
        // The model has run on this picture already.
        if let Ok(activations) = features.of(photo) {
            first.nearest = train.neighbours.near(&activations, SHOWN);
            let nearest = first.nearest.clone();
            doubtful.for_each(|a| a.nearest = nearest.clone());
        }
    }
}

/// What the first method's evidence lies on, and the verdict.
fn decide(answer: &mut Answer, first: Option<&&Result<Found, String>>, regions: &Regions) {
    let found = first.and_then(|found| found.as_ref().ok());
    let evidence = found.and_then(|found| found.evidence.as_deref());
    let evidence = evidence.unwrap_or_default();
    answer.looked_at = regions.looked_at(evidence);
    answer.verdict = verdict(answer.flag, answer.label, evidence, regions);
}

impl Found {
    pub fn new(map: SaliencyMap) -> Self {
        let seen = matches!(map.outcome, Outcome::Ok | Outcome::Partial { .. });
        let evidence = seen
            .then(|| map.weights())
            .filter(|e| e.iter().any(|w| *w > 0.0));
        Self { map, evidence }
    }

    /// Shape and values of the map as its method made it.
    pub fn raw(&self) -> (Shape, &[f32]) {
        (self.map.shape, &self.map.values)
    }
}

fn region(map: SaliencyMap) -> Result<Region, String> {
    match (map.region, map.outcome) {
        (Some(region), _) => Ok(region),
        (None, Outcome::Undefined(reason)) => Err(reason.to_string()),
        (None, _) => Err(String::from("nothing was found")),
    }
}

fn info(map: &Result<Found, String>, judged: &Judged) -> MapInfo {
    let (grid, outcome) = match map {
        Ok(found) => (grid(found).0, found.map.outcome),
        Err(reason) => ([0, 0], Outcome::Undefined(lasting(reason.clone()))),
    };
    MapInfo {
        grid,
        outcome,
        scores: judged.scores.clone(),
        curves: judged.curves.clone(),
    }
}

/// Rows, columns and values of what is kept: one channel, at the method's own
/// resolution where it has one.
fn grid(found: &Found) -> ([usize; 2], &[f32]) {
    let map = &found.map;
    match map.shape.c == 1 && map.spec.row.map != MapKind::Elements {
        true => ([map.shape.h, map.shape.w], &map.values),
        false => (map.size, &map.pixels),
    }
}

fn values(map: &Result<Found, String>) -> MapValues {
    let (grid, values) = match map {
        Ok(found) if !matches!(found.map.outcome, Outcome::Undefined(_)) => grid(found),
        _ => ([0, 0], &[][..]),
    };
    let values = values.to_vec();
    MapValues { grid, values }
}

/// True labels, then predicted ones, by class.
fn answers(item: &Item, probabilities: &[f32], threshold: f32) -> Vec<Answer> {
    let truth = item.truth.as_deref();
    let is_true = |label: usize| truth.is_some_and(|t| t.contains(&label));
    let above = |label: usize| probabilities.get(label).is_some_and(|p| *p > threshold);
    let all = 0..probabilities.len();
    let mut labels: Vec<usize> = all.clone().filter(|&l| is_true(l)).collect();
    labels.extend(all.filter(|&l| above(l) && !is_true(l)));
    let flagged = |label: usize| answer(label, flag(label, above(label), truth));
    labels.into_iter().map(flagged).collect()
}

/// Nothing found out yet.
const fn answer(label: usize, flag: Flag) -> Answer {
    Answer {
        label,
        flag,
        verdict: None,
        looked_at: None,
        uncertainty: None,
        maps: Vec::new(),
        agreement: Vec::new(),
        region: None,
        nearest: Vec::new(),
    }
}

/// Each pair of methods that both have evidence.
fn agreements(found: &[&Result<Found, String>]) -> Vec<Agreement> {
    let evidence = |i: usize| {
        let found: &Result<Found, String> = found.get(i)?;
        found.as_ref().ok()?.evidence.as_deref()
    };
    let mut all = Vec::new();
    let mut scratch = Vec::new();
    for i in 0..found.len() {
        for j in i + 1..found.len() {
            let Some((a, b)) = evidence(i).zip(evidence(j)) else {
                continue;
            };
            scratch.resize(2 * a.len().max(b.len()), 0);
            let common = overlap(a, b, STRONGEST, &mut scratch);
            let Ok(Ok(common)) = common else {
                continue;
            };
            let ranks = spearman(a, b, &mut scratch).ok();
            all.push(Agreement {
                methods: [i, j],
                spearman: ranks.and_then(|s| s.value()),
                overlap: common.iou,
            });
        }
    }
    all
}

/// What is wrong with a picture, without the path, which decides nothing.
fn unreadable(error: &PhotoError) -> String {
    match error {
        PhotoError::Read { source, .. } => format!("it cannot be read: {source}"),
        PhotoError::Decode { reason, .. } => format!("it is not a picture: {reason}"),
        PhotoError::Misfit { reason, .. } => format!("it does not fit the network: {reason}"),
    }
}

fn png(photo: &Photo) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let written = photo
        .display()
        .write_to(&mut bytes, image::ImageFormat::Png);
    // Writing RGB of a known size to memory does not fail; nothing is kept if it did.
    written.map(|()| bytes.into_inner()).unwrap_or_default()
}

/// Other pictures of the data set, chosen by number: to put behind what is kept.
pub fn others(
    data: &DataSet,
    id: usize,
    seed: u64,
    open: impl Fn(&Item) -> Option<Photo>,
) -> Vec<Photo> {
    let count = u32::try_from(data.items.len()).unwrap_or(u32::MAX);
    let key = [seed as u32, (seed >> 32) as u32];
    let mut chosen: Vec<usize> = Vec::new();
    let mut photos = Vec::new();
    for attempt in 0..4 * WANTED {
        let counter = [id as u32, attempt, 0, OTHERS];
        let [word, ..] = foveola_core::rng::philox4x32_10(counter, key);
        let other = foveola_core::rng::below(word, count) as usize;
        if other == id || chosen.contains(&other) {
            continue;
        }
        chosen.push(other);
        photos.extend(data.items.get(other).and_then(&open));
        if photos.len() as u32 == WANTED {
            break;
        }
    }
    photos
}

/// How many other pictures a metric gets.
const WANTED: u32 = 4;
/// Their purpose, the last word of the counter of random numbers; those of the
/// host begin above those of `core`.
const OTHERS: u32 = 1 << 31;
