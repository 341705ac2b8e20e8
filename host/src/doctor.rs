//! Which preprocessing was a network trained with? Labelled pictures tell.
//!
//! Every usual way to prepare a photo (channel order, range, mean and scale,
//! layout, resize rule, signed against unsigned bytes) is tried on pictures
//! whose class is known. The right one answers best; how surely, a sign test
//! on the pictures says, so that ways which nearly tie are named as such.

mod candidates;
mod labelled;
mod ranking;

use std::path::Path;

use foveola_core::{Masked, Score};

pub use candidates::{Candidate, candidates};
pub use labelled::{Labelled, Sample};
pub use ranking::{Evidence, Ranked, rank};

use crate::card::Card;
use crate::model::{ModelError, OpenModel};
use crate::photo::variants::Preparation;
use crate::photo::{self, Intake, Photo, PhotoError};
use crate::quantise::Skipped;
use crate::run::data::DataError;

/// Pictures after which only the best candidates go on.
const FIRST: usize = 24;
/// How many those are.
const FINALISTS: usize = 12;

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model fails on a picture.
    #[error("the model fails: {0}")]
    Run(foveola_core::Error),
    /// The pictures.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network takes no photos.
    #[error("it takes {h}x{w}x{c} (height, width, channels), not a photo of one or three channels")]
    NoPhoto {
        /// Height.
        h: usize,
        /// Width.
        w: usize,
        /// Channels.
        c: usize,
    },
    /// Stopped before anything could be said.
    #[error("stopped before the first picture was done")]
    Stopped,
}

/// What the pictures tell.
#[derive(Debug)]
pub struct Diagnosis {
    /// Every candidate, the best one first; those that went on to all pictures
    /// stand before those that did not.
    pub ranked: Vec<Ranked>,
    /// Pictures that the first ones were tried on.
    pub pictures: usize,
    /// Pictures that cannot be read.
    pub skipped: Vec<Skipped>,
    /// Whether it was stopped before all pictures were done.
    pub stopped: bool,
}

/// Tries every candidate. `watch` learns how many pictures of how many are
/// done, and answers whether to go on.
///
/// # Errors
/// See [`DoctorError`]; a picture that cannot be read is skipped.
pub fn diagnose(
    model: &OpenModel,
    data: &Labelled,
    threads: usize,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Diagnosis, DoctorError> {
    let shape = model.facts.input;
    let own = candidates::base(&model.card).filter(|card| card.channels.count() == shape.c);
    let base = own.ok_or(DoctorError::NoPhoto {
        h: shape.h,
        w: shape.w,
        c: shape.c,
    })?;
    let intake = Intake {
        card: &base,
        ..model.intake()
    };
    let mut trial = Trial {
        clinic: Clinic::new(model, intake, threads)?,
        entrants: candidates(model, &base)
            .into_iter()
            .map(|candidate| (candidate, Vec::new()))
            .collect(),
        out: Vec::new(),
        skipped: Vec::new(),
    };
    let mut done = 0;
    for sample in &data.samples {
        if !watch(done, data.samples.len()) {
            break;
        }
        trial.ask(sample)?;
        done += 1;
        if trial.seen() == FIRST {
            trial.send_home();
        }
    }
    trial.end(done < data.samples.len(), data)
}

/// The candidates and what they answered so far.
struct Trial<'a> {
    clinic: Clinic<'a>,
    entrants: Vec<(Candidate, Vec<Evidence>)>,
    /// Those that were sent home.
    out: Vec<(Candidate, Vec<Evidence>)>,
    skipped: Vec<Skipped>,
}

impl Trial<'_> {
    fn seen(&self) -> usize {
        self.entrants.first().map_or(0, |(_, seen)| seen.len())
    }

    fn ask(&mut self, sample: &Sample) -> Result<(), DoctorError> {
        match self.clinic.answers(sample, &self.entrants)? {
            Ok(answers) => {
                for ((_, seen), answer) in self.entrants.iter_mut().zip(answers) {
                    seen.push(answer);
                }
            }
            Err(error) => self.skipped.push(Skipped::new(&sample.path, &error)),
        }
        Ok(())
    }

    /// Only the best go on.
    fn send_home(&mut self) {
        self.entrants.sort_by(|a, b| ranking::order(&a.1, &b.1));
        self.out = self.entrants.split_off(FINALISTS.min(self.entrants.len()));
    }

    fn end(mut self, stopped: bool, data: &Labelled) -> Result<Diagnosis, DoctorError> {
        let pictures = self.seen();
        match (pictures, self.skipped.first(), stopped) {
            (0, _, true) => return Err(DoctorError::Stopped),
            (0, first, _) => {
                let reason = first.map_or_else(String::new, |skipped| {
                    format!("no picture can be read; the first: {}", skipped.reason)
                });
                let path = data.path.clone();
                return Err(DataError::Whole { path, reason }.into());
            }
            _ => {}
        }
        self.entrants.sort_by(|a, b| ranking::order(&a.1, &b.1));
        let best = self
            .entrants
            .first()
            .map_or_else(Vec::new, |(_, seen)| seen.clone());
        let mut ranked = rank(self.entrants, &best);
        ranked.append(&mut rank(self.out, &best));
        Ok(Diagnosis {
            ranked,
            pictures,
            skipped: self.skipped,
            stopped,
        })
    }
}

/// The running network.
struct Clinic<'a> {
    intake: Intake<'a>,
    classifier: Box<dyn foveola_core::Classifier>,
}

impl<'a> Clinic<'a> {
    fn new(model: &OpenModel, intake: Intake<'a>, threads: usize) -> Result<Self, ModelError> {
        Ok(Self {
            intake,
            classifier: model.start(&[], threads)?.classifier,
        })
    }

    /// One answer a candidate, or why the picture cannot be read.
    fn answers(
        &mut self,
        sample: &Sample,
        entrants: &[(Candidate, Vec<Evidence>)],
    ) -> Result<Result<Vec<Evidence>, PhotoError>, DoctorError> {
        let image = match decoded(&sample.path) {
            Ok(image) => image,
            Err(error) => return Ok(Err(error)),
        };
        let Some(mut preparation) = Preparation::new(&image, self.intake) else {
            let reason = String::from("it has no pixels");
            let path = sample.path.clone();
            return Ok(Err(PhotoError::Misfit { path, reason }));
        };
        let photos: Vec<Photo> = entrants
            .iter()
            .map(|(candidate, _)| preparation.input(&candidate.variant))
            .map(|values| Photo::from_tensor(values, &self.intake))
            .collect();
        self.evidence(&photos, sample.class)
            .map(Ok)
            .map_err(DoctorError::Run)
    }

    fn evidence(
        &mut self,
        photos: &[Photo],
        class: usize,
    ) -> Result<Vec<Evidence>, foveola_core::Error> {
        let mut scores = vec![0.0; self.classifier.classes()];
        let mut found = Vec::with_capacity(photos.len());
        self.classifier.classify_batch(
            photos.len(),
            &|i| Masked::whole(photos[i].picture()),
            Score::Probability,
            &mut scores,
            &mut |_, scores| {
                found.push(Evidence::of(scores, class));
                Ok(())
            },
        )?;
        Ok(found)
    }
}

fn decoded(path: &Path) -> Result<image::RgbImage, PhotoError> {
    let decode = |reason| PhotoError::Decode {
        path: path.to_path_buf(),
        reason,
    };
    let image = photo::decode(&photo::read(path)?).map_err(decode)?;
    Ok(image.to_rgb8())
}

/// The card of the best candidate that a card can say.
pub fn prescription<'d>(diagnosis: &'d Diagnosis, model: &OpenModel) -> Option<(&'d Ranked, Card)> {
    let card = |ranked: &'d Ranked| Some((ranked, ranked.candidate.card(&model.card)?));
    diagnosis.ranked.iter().find_map(card)
}
