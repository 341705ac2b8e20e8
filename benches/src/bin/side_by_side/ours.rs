//! One network on `core`, one thread.

use std::path::Path;
use std::time::Instant;

use foveola::backend::core::{Arithmetic, Editing};
use foveola::explainer::{Explainer, Question};
use foveola::model::{OpenModel, OpenOptions, Running};
use foveola::photo::Photo;
use foveola_benches::Result;
use foveola_core::{Masked, Score};

/// A network ready to be asked.
pub struct Ours {
    explainer: Explainer,
    photo: Photo,
    forward: Running,
}

impl Ours {
    /// Opens it; edits are evaluated as `editing` says.
    pub fn open(path: &Path, arithmetic: Arithmetic, editing: Editing) -> Result<Self> {
        let open = || -> Result<OpenModel> {
            let mut model = OpenModel::open(path, &OpenOptions::default())?;
            (model.arithmetic, model.editing) = (arithmetic, editing);
            Ok(model)
        };
        let model = open()?;
        let intake = model.intake();
        let values = (0..intake.shape.len()).map(|i| (i % 251) as f32 / 125.0 - 1.0);
        let photo = Photo::from_tensor(values.collect(), &intake);
        Ok(Self {
            forward: open()?.start(&[], 1)?,
            photo,
            explainer: Explainer::new(model, 1),
        })
    }

    /// Milliseconds of a method, and the passes that it made.
    pub fn ask(&mut self, method: &str) -> Result<(f64, u64)> {
        let answer = self
            .explainer
            .explain(&self.photo, &Question::of([method])?)?;
        let map = answer.maps.first().ok_or("no map")?;
        Ok((1e3 * map.seconds, map.passes.total()))
    }

    /// Milliseconds of a forward pass.
    pub fn forward(&mut self) -> Result<f64> {
        let classifier = &mut *self.forward.classifier;
        let mut scores = vec![0.0; classifier.classes()];
        let x = Masked::whole(self.photo.picture());
        let begin = Instant::now();
        classifier.classify(&x, Score::Logit, &mut scores)?;
        Ok(1e3 * begin.elapsed().as_secs_f64())
    }
}
