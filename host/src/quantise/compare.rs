//! What quantising changed: answers and evidence.

use std::path::Path;
use std::sync::Arc;

use foveola_core::net::model::{Model, Pass};
use serde::Serialize;

use super::QuantiseError;
use super::calibrate::Progress;
use super::pictures::{Album, Skipped, spread};
use super::rank::{spearman, top_tenth_overlap};
use crate::backend::core::ModelFile;
use crate::explainer::{ExplainError, Explainer, Question, Target};
use crate::method_spec::MethodSpec;
use crate::model::{Engine, OpenModel, sha256};
use crate::photo::Photo;

/// The float network and what became of it.
#[derive(Debug)]
pub struct Pair {
    float: Explainer,
    int8: Explainer,
    labels: Vec<String>,
}

/// How both answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Answers {
    /// Pictures asked about.
    pub pictures: usize,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
    /// Pictures whose folder names their class.
    pub labelled: usize,
    /// Of these, right answers of the float network.
    pub float_right: usize,
    /// Of these, right answers of the int8 network.
    pub int8_right: usize,
    /// Pictures with the same best class.
    pub agreeing: usize,
    /// Mean |difference| of the probability of the float network's best class.
    pub probability_difference: f64,
    /// The largest such difference.
    pub largest_difference: f64,
}

/// How the maps of a method moved.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// The method.
    pub method: String,
    /// Pictures whose two maps were compared.
    pub pictures: usize,
    /// Pictures where a map is the same everywhere, so that there is nothing to compare.
    pub flat: usize,
    /// Mean of Spearman's rank correlation over all pixels.
    pub mean_rank_correlation: f64,
    /// The least of them.
    pub least_rank_correlation: f64,
    /// Mean share of the strongest tenth of pixels that is the same.
    pub mean_top_tenth_overlap: f64,
    /// The least of them.
    pub least_top_tenth_overlap: f64,
}

/// What a network takes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Size {
    /// Bytes of the model file.
    pub file: usize,
    /// Bytes of arena that a forward pass takes.
    pub arena: usize,
}

impl Size {
    /// The size of a model file.
    pub fn of(model: &Model<'_>) -> Self {
        Self {
            file: model.bytes().len(),
            arena: model.plan(Pass::Forward).map_or(0, |p| p.arena_len()),
        }
    }
}

impl Pair {
    /// Both networks as model files; `model` says how pictures are prepared.
    pub fn new(
        model: &OpenModel,
        float: Arc<ModelFile>,
        int8: Arc<ModelFile>,
        threads: usize,
    ) -> Self {
        Self {
            float: Explainer::new(with_file(model, float), threads),
            int8: Explainer::new(with_file(model, int8), threads),
            labels: model.card.labels.clone(),
        }
    }

    /// Asks both about every picture of an album.
    ///
    /// # Errors
    /// No picture that can be read, a network that fails, a stop.
    pub fn answers(
        &mut self,
        album: &Album,
        progress: &Progress<'_>,
    ) -> Result<Answers, QuantiseError> {
        let mut answers = Answers::default();
        for (i, path) in album.pictures.iter().enumerate() {
            match self.float.photo(path) {
                Ok(photo) => {
                    let answer = self.answer(&photo)?;
                    let truth = album.truth(path, &self.labels, answer.classes);
                    answers.add(&answer, truth);
                }
                Err(ExplainError::Photo(e)) => answers.skipped.push(Skipped::new(path, &e)),
                Err(other) => return Err(other.into()),
            }
            if !progress(i + 1) {
                return Err(QuantiseError::Stopped);
            }
        }
        album.check(answers.pictures, &answers.skipped)?;
        answers.probability_difference /= answers.pictures as f64;
        Ok(answers)
    }

    fn answer(&mut self, photo: &Photo) -> Result<Answer, QuantiseError> {
        let float = self.float.classify(photo)?.1;
        let int8 = self.int8.classify(photo)?.1;
        let best = [&float, &int8].map(|p| crate::explainer::best(p));
        let difference = f64::from(float[best[0]]) - f64::from(int8[best[0]]);
        Ok(Answer {
            classes: float.len(),
            best,
            difference: difference.abs(),
        })
    }

    /// Explains the float network's best class on at most `most` pictures of
    /// an album by both networks, and compares the maps.
    ///
    /// # Errors
    /// A method that cannot run, a network that fails, a stop.
    pub fn evidence(
        &mut self,
        album: &Album,
        most: usize,
        methods: &[MethodSpec],
        progress: &Progress<'_>,
    ) -> Result<Vec<Evidence>, QuantiseError> {
        let mut moved = vec![Moved::default(); methods.len()];
        for (i, path) in spread(&album.pictures, most).enumerate() {
            // Those that cannot be read were named before.
            let Ok(photo) = self.float.photo(path) else {
                continue;
            };
            let mut question = Question {
                methods: methods.to_vec(),
                targets: vec![Target::Top],
                threshold: 0.5,
                against: None,
                score: None,
                seed: crate::explainer::DEFAULT_SEED,
                units: false,
            };
            let float = self.float.explain(&photo, &question)?;
            let same = float.targets.iter().map(|t| Target::Named(t.to_string()));
            question.targets = same.collect();
            let int8 = self.int8.explain(&photo, &question)?;
            for ((a, b), moved) in float.maps.iter().zip(&int8.maps).zip(&mut moved) {
                moved.add(&a.pixels, &b.pixels);
            }
            if !progress(i + 1) {
                return Err(QuantiseError::Stopped);
            }
        }
        let named = methods.iter().zip(moved);
        Ok(named.map(|(m, moved)| moved.evidence(m)).collect())
    }
}

/// A compiled network under the card of the model that it was made of.
fn with_file(model: &OpenModel, file: Arc<ModelFile>) -> OpenModel {
    OpenModel {
        path: Path::new("model.fov").to_path_buf(),
        sha256: sha256(file.model().bytes()),
        bytes: file.model().bytes().len(),
        facts: model.facts.clone(),
        input_type: model.input_type,
        card: model.card.clone(),
        card_source: model.card_source.clone(),
        assumed: Vec::new(),
        notes: Vec::new(),
        engine: Engine::File(file),
        arithmetic: model.arithmetic,
        editing: model.editing,
        goal: model.goal,
        gpu: None,
        board: None,
        precision: model.precision,
    }
}

struct Answer {
    classes: usize,
    /// Of the float and the int8 network.
    best: [usize; 2],
    difference: f64,
}

impl Answers {
    fn add(&mut self, answer: &Answer, truth: Option<usize>) {
        let [float, int8] = answer.best;
        self.pictures += 1;
        self.agreeing += usize::from(float == int8);
        self.probability_difference += answer.difference;
        self.largest_difference = self.largest_difference.max(answer.difference);
        if let Some(truth) = truth {
            self.labelled += 1;
            self.float_right += usize::from(float == truth);
            self.int8_right += usize::from(int8 == truth);
        }
    }
}

/// Figures of one method, picture by picture.
#[derive(Clone, Debug, Default)]
struct Moved {
    correlations: Vec<f64>,
    overlaps: Vec<f64>,
    flat: usize,
}

impl Moved {
    fn add(&mut self, float: &[f32], int8: &[f32]) {
        match (spearman(float, int8), top_tenth_overlap(float, int8)) {
            (Some(correlation), Some(overlap)) => {
                self.correlations.push(correlation);
                self.overlaps.push(overlap);
            }
            _ => self.flat += 1,
        }
    }

    fn evidence(&self, method: &MethodSpec) -> Evidence {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let least = |values: &[f64]| values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        Evidence {
            method: method.to_string(),
            pictures: self.correlations.len(),
            flat: self.flat,
            mean_rank_correlation: mean(&self.correlations),
            least_rank_correlation: least(&self.correlations),
            mean_top_tenth_overlap: mean(&self.overlaps),
            least_top_tenth_overlap: least(&self.overlaps),
        }
    }
}
