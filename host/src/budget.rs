//! What a model and its explanations take on a board, known before it runs:
//! flash, RAM byte by byte and where it lies, passes, instructions.
//!
//! Arena, scratch and map are what the firmware will state. The stack is a
//! bound: the deepest that was seen on networks that use every operator.
//! Instructions are [`Counts`] of what the program repeats, at prices that
//! were measured on each board in QEMU; where zeros are skipped, the network
//! runs here first, so they belong to the picture.
//!
//! A board runs the firmware of this project: the model in flash, the picture
//! as it came (u8 pixels, or f32 in model space), one class explained.

mod advice;
mod board;
mod counts;
mod inside;
pub(crate) mod lent;
mod load;
mod memory;
mod nodes;
mod own;
mod relevance;
mod trace;
mod watch;
mod work;

use std::sync::Arc;

use foveola_core::explain::Cost;
use foveola_core::net::model::{Model, Pass};
use foveola_core::{At, Picture};
use image::{DynamicImage, Rgb, RgbImage};

pub use advice::advice;
pub use board::{
    Accuracy, Board, Errors, Measured, Measurements, Region, board, boards, measurements,
};
pub use counts::Counts;
pub use lent::Lent;
pub use memory::{Memory, Placed};
pub use nodes::integers::WAYS;
pub use work::Work;

use work::{Question, top_class};

use crate::backend::core::ModelFile;
use crate::compile::{CompileOptions, Goal};
use crate::explainer::setting::Setting;
use crate::explainer::{ExplainError, wanted};
use crate::link::call;
use crate::method_spec::{MethodSpec, Parameters};
use crate::model::{Engine, ModelError, OpenModel, Running};
use crate::photo::Photo;

/// Gradients at the input.
const TO_INPUT: Pass = Pass::Backward(At::Input);

/// What a model takes with each of some methods.
#[derive(Debug)]
pub struct Budget {
    /// The model file that boards hold.
    pub file: Arc<ModelFile>,
    /// A plain classification: its buffers.
    pub classify: Memory,
    /// A plain classification: its work.
    pub work: Work,
    /// Bytes of the smallest forward arena, where the model can be compiled for it.
    pub smallest: Option<usize>,
    /// One a method, or why it cannot run on any picture of this model.
    pub methods: Vec<Result<MethodBudget, String>>,
}

/// What predicted instructions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What it takes, within the errors that are stated.
    Exact,
    /// The network's passes alone: what the method does itself has no price.
    Least,
    /// What it takes with the most passes; how many there are depends on the scores.
    Most,
}

/// What one method takes.
#[derive(Clone, Debug)]
pub struct MethodBudget {
    /// The method, its layer named.
    pub spec: MethodSpec,
    /// Its buffers.
    pub memory: Memory,
    /// Its passes (HOC's at most).
    pub cost: Cost,
    /// What it repeats on this picture.
    pub work: Work,
}

impl Budget {
    /// Counts what the methods take on pictures like this one, constant
    /// channels removed if `prune`.
    ///
    /// # Errors
    /// A model that `core` does not run, a layer that it does not have.
    pub fn of(
        model: &OpenModel,
        specs: &[MethodSpec],
        photo: &Photo,
        prune: bool,
    ) -> Result<Self, ExplainError> {
        let (file, mut running) = model.start_shipped(&wanted(specs), prune)?;
        let picture = photo.picture();
        let question = Question {
            model: file.model(),
            picture,
            target: top_class(file.model(), picture).map_err(ExplainError::Classifier)?,
        };
        let work = work::classify(&question).map_err(ExplainError::Classifier)?;
        let methods = specs.iter().map(|spec| {
            let budget = method(&question, &mut running, spec, photo);
            budget.map_err(|error| error.to_string())
        });
        let methods = methods.collect();
        let classify = Memory {
            arena: arena(file.model(), Pass::Forward),
            map: 4 * file.model().classes(),
            picture: picture_bytes(&picture),
            ..Memory::default()
        };
        Ok(Self {
            file,
            classify,
            work,
            smallest: smallest(model, prune)?,
            methods,
        })
    }

    /// Whether some nodes compute with integers.
    pub fn has_integers(&self) -> bool {
        let model = self.file.model();
        let mut nodes = (0..model.node_count()).filter_map(|i| model.node(i));
        nodes.any(|node| node.integers.is_some())
    }

    /// Bytes of flash of the model file.
    pub fn model_bytes(&self) -> usize {
        self.file.model().bytes().len()
    }

    /// Whether program and model fit the board's flash.
    pub fn fits_flash(&self, board: &Board) -> bool {
        board.measured().program + self.model_bytes() <= board.flash
    }
}

/// A picture for whoever has none: waves of colour and some noise, so that no
/// part of a network is idle.
pub fn stand_in(model: &OpenModel) -> Photo {
    let intake = model.intake();
    let wave = |i: u32, step: f32| 127.5 + 90.0 * (i as f32 * step).sin();
    let (h, w) = (intake.shape.h as u32, intake.shape.w as u32);
    let image = RgbImage::from_fn(w, h, |x, y| {
        let noise = (x * 7919 + y * 104_729 + x * y * 31) % 61;
        Rgb([wave(x, 0.31), wave(y, 0.23), wave(x + y, 0.11)]
            .map(|v| (v + noise as f32 - 30.0) as u8))
    });
    let photo = Photo::from_image(&DynamicImage::ImageRgb8(image), &intake);
    photo.unwrap_or_else(|_| {
        let values = (0..intake.shape.len()).map(|i| (i as f32 * 0.7).sin());
        Photo::from_tensor(values.collect(), &intake)
    })
}

/// Bytes of the arena of the smallest forward plan; a `.fov` file has its plan.
fn smallest(model: &OpenModel, prune: bool) -> Result<Option<usize>, ModelError> {
    if !matches!(model.engine, Engine::Graph(_)) {
        return Ok(None);
    }
    let options = CompileOptions::shipped(&[], prune).planned(Goal::Small);
    let compiled = model.compile(&options)?;
    let file = ModelFile::new(&compiled.bytes).map_err(|source| ModelError::File {
        path: model.path.clone(),
        source,
    })?;
    Ok(Some(arena(file.model(), Pass::Forward)))
}

fn arena(model: &Model<'_>, pass: Pass) -> usize {
    model.plan(pass).map_or(0, |plan| plan.arena_len())
}

fn picture_bytes(picture: &Picture<'_>) -> usize {
    match picture {
        Picture::Pixels { shape, .. } => shape.len(),
        Picture::Tensor { shape, .. } => 4 * shape.len(),
    }
}

fn method(
    question: &Question<'_>,
    running: &mut Running,
    spec: &MethodSpec,
    photo: &Photo,
) -> Result<MethodBudget, ExplainError> {
    if let Err(error) = call(spec, &|_| Some(0)) {
        return Err(ExplainError::Method {
            method: spec.to_string(),
            reason: error.to_string(),
        });
    }
    let setting = Setting::new(spec, photo, running)?;
    let classifier = &mut *running.classifier;
    let cost = setting.check(classifier, 1)?;
    let shape = setting
        .with_method(|method| method.map_shape(classifier))
        .map_err(ExplainError::Classifier)?;
    let passes = lent::passes(spec, setting.depth());
    if passes
        .iter()
        .any(|pass| question.model.plan(*pass).is_none())
    {
        return Err(ExplainError::Classifier(foveola_core::Error::NoPlan));
    }
    let arena = lent::arena(question.model, &passes);
    let picture = photo.picture();
    let is_hoc = matches!(spec.parameters, Parameters::Hoc { .. });
    let work = work::method(question, &setting, shape, cost);
    let work = work.map_err(ExplainError::Classifier)?;
    Ok(MethodBudget {
        spec: setting.spec().clone(),
        memory: Memory {
            arena,
            scratch: 4 * cost.scratch,
            map: 4 * shape.len(),
            picture: picture_bytes(&picture),
            tree: if is_hoc { memory::tree_bytes() } else { 0 },
            lent: Lent::of(spec, &picture),
        },
        cost,
        work,
    })
}

impl MethodBudget {
    /// Bytes of stack that the method does not exceed on a board.
    pub fn stack(&self, board: &Board) -> usize {
        stack(board, self.spec.row.name)
    }

    /// Whether the board's program has it: flashes of 256 KB have room for seven.
    pub fn is_in_program(&self, board: &Board) -> bool {
        self.spec.runs_on_every_board() || board.has_all_methods()
    }

    /// Where its buffers lie on a board; `None` if it does not fit.
    pub fn place(&self, board: &Board) -> Option<Vec<Placed>> {
        if !self.is_in_program(board) {
            return None;
        }
        let statics = board.measured().statics;
        self.memory.place(board, self.stack(board), statics)
    }

    /// All RAM that it takes on a board.
    pub fn ram(&self, board: &Board) -> usize {
        self.memory
            .total(self.stack(board), board.measured().statics)
    }

    /// Instructions that it takes on a board.
    pub fn instructions(&self, board: &Board) -> f64 {
        self.work.counts.at(&board.measured().instructions)
    }

    /// What stands behind [`MethodBudget::instructions`] on a board.
    pub fn bound(&self, board: &Board) -> Bound {
        match &self.work.own {
            Some(name) if !board.measured().methods.contains_key(name) => Bound::Least,
            _ if self.work.most => Bound::Most,
            _ => Bound::Exact,
        }
    }

    /// How far the instructions of a method beyond the first seven are from what a
    /// board executes, as it was measured; `None` for the first seven, and where
    /// nothing was.
    pub fn errors(&self, board: &Board) -> Option<Errors> {
        let name = self.work.own.as_ref()?;
        board.measured().methods.get(name).copied()
    }

    /// Whether it keeps what gradients down to the input need.
    pub fn reaches_input(&self) -> bool {
        let down = lent::passes(&self.spec, None);
        self.spec.needs_gradients() && !self.spec.takes_layer() && down == [TO_INPUT]
    }
}

/// What methods beyond the first seven take of the stack at most, more than the
/// deepest of these: on VWW in int8 and a network in f32 it was 264 bytes.
const DEEPER: usize = 1024;

/// Bytes of stack that a method (or `classify`) does not exceed on a board.
pub fn stack(board: &Board, method: &str) -> usize {
    let known = &board.measured().stack;
    let deepest = || known.values().max().map_or(0, |deepest| deepest + DEEPER);
    known.get(method).copied().unwrap_or_else(deepest)
}
