//! A device as what runs an opened model: methods that need only scores run
//! here and ask it about every picture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foveola_core::{Classifier, Error, Masked, Score, Shape};

use super::{ModelError, OpenModel};
use crate::crosscheck::model_bytes;
use crate::link::{LinkError, Opened, Watch};

/// A device at the other end of a line, which one question at a time may use.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Opened>>);

impl Board {
    /// A device that was opened.
    pub fn new(opened: Opened) -> Self {
        Self(Arc::new(Mutex::new(opened)))
    }

    /// What fails under the lock leaves the line as it is: the next question
    /// begins anew.
    fn line(&self) -> MutexGuard<'_, Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the model there, as it is shipped; `watch` is told bytes.
    ///
    /// # Errors
    /// A model that boards do not run, a device without room, a line that fails.
    pub fn send(&self, model: &OpenModel, watch: &mut Watch<'_>) -> Result<(), ModelError> {
        let file = model_bytes(model, true)?;
        Ok(self.line().remote.put_model(&file, watch)?)
    }

    /// The network there, the model being brought where it is not.
    pub(super) fn start(&self, model: &OpenModel) -> Result<Box<dyn Classifier>, ModelError> {
        self.send(model, &mut |_, _| true)?;
        let (input, classes) = {
            let line = self.line();
            (line.remote.input(), line.remote.classes())
        };
        Ok(Box::new(There {
            board: self.clone(),
            input,
            classes,
        }))
    }

    /// Why the last question failed, after [`Error::Backend`].
    fn failure(&self) -> Option<LinkError> {
        self.line().remote.failure.take()
    }
}

/// The network of a device.
struct There {
    board: Board,
    input: Shape,
    classes: usize,
}

impl Classifier for There {
    fn input(&self) -> Shape {
        self.input
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.board.line().remote.classify(x, score, out)
    }
}

impl OpenModel {
    /// What went wrong with the device that runs the model, after a call that
    /// ended with [`Error::Backend`].
    pub fn line_failure(&self) -> Option<ModelError> {
        let failure = self.board.as_ref()?.failure()?;
        Some(ModelError::Link(Box::new(failure)))
    }

    /// The device that runs the model, in one line.
    pub fn board_line(&self) -> Option<String> {
        let line = self.board.as_ref()?.line();
        let facts = line.remote.facts();
        Some(format!(
            "the network ran on {}, firmware {}",
            facts.board, facts.firmware
        ))
    }
}

impl From<LinkError> for ModelError {
    fn from(error: LinkError) -> Self {
        Self::Link(Box::new(error))
    }
}
