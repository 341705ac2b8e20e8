//! The backend `gpu`: any adapter that wgpu reaches, many pictures at once.
//!
//! Its f32 products are contracted as the adapter likes, so scores agree with
//! `core` within rounding, not bit for bit; what comes back says so. int8 nodes
//! are exact: their tensors are `core`'s bytes.
//!
//! `core` answers on the processor what the adapter does not: layers and
//! gradients of a network with int8 nodes, dropout, layers that are replaced,
//! relevance, gradients at biases. Its answers are its own bits.

mod cache;
pub mod device;
mod edits;
mod first;
mod gradients;
mod integers;
pub mod kernels;
mod layers;
mod matrices;
mod memory;
mod program;
mod question;
mod residual;
mod rounds;
mod steps;
mod sums;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use foveola_core::classifier::{Dropout, DroppedSink, Edits, Sink, Step, Views};
use foveola_core::mask::MaskSums;
use foveola_core::net::model::Model;
use foveola_core::{Classifier, Error, Layers, Masked, Score, Shape};

use super::core::{CoreBackend, Editing, ModelFile};
pub use device::{AdapterFacts, Gpu, GpuError, Preparation, list};
pub use kernels::{ShaderKind, Storage};
pub use matrices::Matrices;
use memory::{Sharing, Uploads};
use program::{Program, Room};
use question::Questions;
use rounds::Readback;

/// Runs a model file on an adapter.
#[derive(Debug)]
pub struct GpuBackend {
    gpu: Arc<Gpu>,
    file: Arc<ModelFile>,
    storage: Storage,
    uploads: Uploads,
    room: Room,
    program: Program,
    readback: Readback,
    white: Option<layers::White>,
    many: Option<gradients::Many>,
    edited: Option<edits::Edited>,
    editing: Editing,
    /// What answers where the adapter does not.
    processor: Option<CoreBackend>,
    /// Whether it has the last run.
    by_core: bool,
    /// Whether someone has asked for biases, so that it must have the next run.
    biases: AtomicBool,
}

impl GpuBackend {
    /// Uploads the weights of a model and makes what runs it.
    ///
    /// # Errors
    /// A node that does not run here, too little memory, a device that fails.
    pub fn new(gpu: Arc<Gpu>, file: Arc<ModelFile>, storage: Storage) -> Result<Self, GpuError> {
        let model = file.model();
        // Words of int8 take 4 bytes.
        let storage = match integers::any(model) {
            true => Storage::Full,
            false => storage,
        };
        if storage == Storage::Half && !gpu.facts().f16 {
            return Err(GpuError::Start {
                adapter: gpu.facts().name.clone(),
                reason: String::from("it has no f16, which half precision is stored in"),
            });
        }
        let sharing = Sharing::forward(model, false);
        let mut uploads = Uploads::new(storage);
        let mut room = Room::new(&gpu, sharing, storage, None)?;
        let steps = steps::forward(model, storage, false)?;
        let program = Program::new(&gpu, model, &steps, &mut room, &mut uploads)?;
        let readback = Readback::new(&gpu, room.batch * model.classes(), storage);
        gpu.check()?;
        gpu.keep_pipelines();
        Ok(Self {
            gpu,
            storage,
            uploads,
            room,
            program,
            readback,
            white: None,
            many: None,
            edited: None,
            editing: Editing::default(),
            processor: None,
            by_core: false,
            biases: AtomicBool::new(false),
            file,
        })
    }

    /// The device.
    pub const fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The shaders of a forward pass, in the order in which they run.
    pub fn shaders(&self) -> impl Iterator<Item = ShaderKind> + '_ {
        self.program.shaders()
    }

    /// Bytes that the tensors of one picture take.
    pub fn bytes_of_tensors(&self) -> u64 {
        self.room.bytes_of_picture()
    }

    /// Pictures that are computed at once.
    pub const fn batch(&self) -> usize {
        self.room.batch
    }

    fn model(&self) -> &Model<'_> {
        self.file.model()
    }

    /// What answers where the adapter does not, on all processors.
    fn processor(&mut self) -> Result<&mut CoreBackend, Error> {
        if self.processor.is_none() {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
            self.processor = CoreBackend::new(Arc::clone(&self.file), threads).ok();
        }
        self.processor.as_mut().ok_or(Error::Backend)
    }

    /// Keeps the reason for [`Gpu::failure`].
    fn failed(&self, error: GpuError) -> Error {
        self.gpu.failed(error);
        Error::Backend
    }
}

impl Classifier for GpuBackend {
    fn input(&self) -> Shape {
        self.model().input()
    }

    fn classes(&self) -> usize {
        self.model().classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let (need, have) = (self.classes(), out.len());
        let out = out
            .get_mut(..need)
            .ok_or(Error::BufferTooSmall { need, have })?;
        let mut round = Questions::of(self.input());
        round.add(x)?;
        let round = self.submit(&mut round, 0, score);
        out.copy_from_slice(&self.wait(round)?);
        match out.iter().position(|s| !s.is_finite()) {
            Some(class) => Err(Error::ScoreNotFinite { class }),
            None => Ok(()),
        }
    }

    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        _scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.rounds(count, view, score, None, sink)
    }

    fn classify_edits(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        _scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        edits::classify(self, base, (count, edit), score, sink)
    }

    fn weigh_masks(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        _scores: &mut [f32],
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        self.weigh((count, view, score), sums, after)
    }

    fn classify_dropped(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        passes: usize,
        score: Score,
        scores: &mut [f32],
        sink: &mut DroppedSink<'_>,
    ) -> Result<(), Error> {
        let core = self.processor()?;
        core.classify_dropped(x, dropout, passes, score, scores, sink)
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        if !integers::any(self.file.model()) {
            return Some(self);
        }
        self.processor().ok()?.layers()
    }
}
