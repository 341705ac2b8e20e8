//! The `tract` backend: runs ONNX files as they are, scores only. It shares
//! no code with import and kernels of this project, so it is also their judge.

mod facts;
mod surgery;

use std::path::Path;
use std::sync::Arc;

use foveola_core::classifier::{Sink, Views};
use foveola_core::{Classifier, Error, Masked, Score, Shape};
use half::f16;
use rayon::prelude::*;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::prelude::*;

use crate::card::OutputActivation;
use crate::graph::{InputType, Layout};
use crate::import::Options;

pub use facts::OnnxFacts;

/// Why tract does not run a model.
#[derive(Debug, thiserror::Error)]
pub enum TractError {
    /// Not an ONNX file.
    #[error("not an ONNX file: {0}")]
    Parse(String),
    /// A model whose input or output is not that of an image classifier.
    #[error("not an image classifier: {0}")]
    NotAClassifier(String),
    /// Values in another file, without leave to read it.
    #[error("the model keeps values in other files; `--allow-external` allows to read them")]
    External,
    /// An operator or a shape that tract does not take.
    #[error("tract does not run this model: {0}")]
    Unsupported(String),
}

type Plan = Arc<TypedRunnableModel>;

/// An ONNX model, ready to run.
#[derive(Clone, Debug)]
pub struct TractModel {
    plan: Plan,
    facts: OnnxFacts,
}

impl TractModel {
    /// Reads and prepares a model. `folder` is where it lies, for external data.
    ///
    /// # Errors
    /// Bytes that are not ONNX, no classifier, or an operator that tract lacks.
    pub fn open(
        bytes: &[u8],
        folder: Option<&Path>,
        options: &Options,
    ) -> Result<Self, TractError> {
        let tract = tract_onnx::onnx()
            .with_ignore_output_shapes(true)
            .with_ignore_output_types(true)
            .with_ignore_value_info(true);
        let mut proto = tract
            .proto_model_for_read(&mut &*bytes)
            .map_err(|e| TractError::Parse(e.root_cause().to_string()))?;
        let graph = proto
            .graph
            .as_ref()
            .ok_or_else(|| TractError::Parse(String::from("it holds no graph")))?;
        let external = Some(DataLocation::External as i32);
        if !options.allow_external
            && graph
                .initializer
                .iter()
                .any(|t| t.data_location == external)
        {
            return Err(TractError::External);
        }
        let mut facts = facts::read(&mut proto, options.input_size)?;
        let folder = folder.map(|f| f.to_string_lossy().into_owned());
        // tract panics on some malformed graphs; nothing of it outlives the attempt.
        let attempt = std::panic::AssertUnwindSafe(move || {
            let plan = prepare(&tract, &proto, folder.as_deref())
                .map_err(|e| TractError::Unsupported(format!("{e:#}")))?;
            facts.classes = count_classes(&plan)?;
            let model = Self { plan, facts };
            model.trial()?;
            Ok(model)
        });
        let gave_up = |_| TractError::Unsupported(String::from("it gave up on the graph"));
        std::panic::catch_unwind(attempt).map_err(gave_up)?
    }

    /// What the model says about itself.
    pub const fn facts(&self) -> &OnnxFacts {
        &self.facts
    }

    /// A run on zeros: a model that cannot run fails here, with tract's own words.
    fn trial(&self) -> Result<(), TractError> {
        let zeros = vec![0.0; self.facts.input.len()];
        self.run(&zeros)
            .map(|_| ())
            .map_err(|e| TractError::Unsupported(format!("{e:#}")))
    }

    /// Runs one picture, HWC in model space; answers what the plan puts out.
    fn run(&self, picture: &[f32]) -> TractResult<TVec<TValue>> {
        let facts = &self.facts;
        let Shape { h, w, c } = facts.input;
        let planes = |i: usize| {
            let (channel, pixel) = (i / (h * w), i % (h * w));
            picture[pixel * c + channel]
        };
        let (shape, values): (TVec<usize>, Vec<f32>) = match facts.layout {
            Layout::Nchw => (tvec![1, c, h, w], (0..picture.len()).map(planes).collect()),
            Layout::Nhwc => (tvec![1, h, w, c], picture.to_vec()),
            Layout::Flat => (tvec![1, facts.input.len()], picture.to_vec()),
        };
        let tensor = match facts.input_type {
            InputType::F32 => Tensor::from_shape(&shape, &values)?,
            InputType::F16 => cast(&shape, &values, f16::from_f32)?,
            InputType::U8 => cast(&shape, &values, |v| v.round() as u8)?,
            InputType::I8 => cast(&shape, &values, |v| v.round() as i8)?,
        };
        self.plan.run(tvec![tensor.into()])
    }
}

fn cast<T: Datum + Copy>(
    shape: &[usize],
    values: &[f32],
    to: impl Fn(f32) -> T,
) -> TractResult<Tensor> {
    let values: Vec<T> = values.iter().map(|v| to(*v)).collect();
    Tensor::from_shape(shape, &values)
}

fn prepare(
    tract: &tract_onnx::Onnx,
    proto: &tract_onnx::pb::ModelProto,
    folder: Option<&str>,
) -> TractResult<Plan> {
    tract
        .parse(proto, folder)?
        .model
        .into_optimized()?
        .into_runnable()
}

fn count_classes(plan: &Plan) -> Result<usize, TractError> {
    let fact = plan
        .model()
        .output_fact(0)
        .map_err(|e| TractError::Unsupported(e.to_string()))?;
    let sides = fact.shape.as_concrete().ok_or_else(|| {
        TractError::NotAClassifier(format!("the shape of its output is open: {:?}", fact.shape))
    })?;
    match sides.iter().product() {
        0 => Err(TractError::NotAClassifier(String::from(
            "its output is empty",
        ))),
        n => Ok(n),
    }
}

/// Scores of a model that tract runs.
#[derive(Debug)]
pub struct TractBackend {
    model: Arc<TractModel>,
    activation: OutputActivation,
    pool: rayon::ThreadPool,
}

impl TractBackend {
    /// `activation` turns the model's output into probabilities (nothing, for
    /// models that end in a softmax or sigmoid); `threads` pictures run at once.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(
        model: Arc<TractModel>,
        activation: OutputActivation,
        threads: usize,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build()?;
        Ok(Self {
            model,
            activation,
            pool,
        })
    }
}

/// Scores of one masked picture.
fn ask(
    model: &TractModel,
    activation: OutputActivation,
    x: &Masked<'_>,
    score: Score,
) -> Result<Vec<f32>, Error> {
    let shape = model.facts.input;
    x.check(shape)?;
    let mut picture = vec![0.0; shape.len()];
    for (y, row) in picture.chunks_exact_mut(shape.row().max(1)).enumerate() {
        x.row(y, row)?;
    }
    let outputs = model.run(&picture).map_err(|_| Error::Backend)?;
    let wanted = match (score, model.facts.normalised) {
        (Score::Logit, true) => outputs.get(1),
        _ => outputs.first(),
    };
    let tensor = wanted.ok_or(Error::Backend)?;
    let values = tensor.cast_to::<f32>().map_err(|_| Error::Backend)?;
    let view = values
        .to_plain_array_view::<f32>()
        .map_err(|_| Error::Backend)?;
    let mut scores: Vec<f32> = view.iter().copied().collect();
    if score == Score::Probability && !model.facts.normalised {
        activate(&mut scores, activation);
    }
    match scores.iter().position(|v| !v.is_finite()) {
        Some(class) => Err(Error::ScoreNotFinite { class }),
        None => Ok(scores),
    }
}

/// The card's activation, in f64.
fn activate(scores: &mut [f32], activation: OutputActivation) {
    match activation {
        OutputActivation::None => {}
        OutputActivation::Sigmoid => {
            for v in scores {
                *v = (1.0 / (1.0 + (-f64::from(*v)).exp())) as f32;
            }
        }
        OutputActivation::Softmax => {
            let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers = scores
                .iter()
                .map(|v| (f64::from(*v) - f64::from(top)).exp());
            let powers: Vec<f64> = powers.collect();
            let sum: f64 = powers.iter().sum();
            for (v, p) in scores.iter_mut().zip(powers) {
                *v = (p / sum) as f32;
            }
        }
    }
}

fn copy(from: &[f32], to: &mut [f32]) -> Result<(), Error> {
    let (need, have) = (from.len(), to.len());
    to.get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })?
        .copy_from_slice(from);
    Ok(())
}

impl Classifier for TractBackend {
    fn input(&self) -> Shape {
        self.model.facts.input
    }

    fn classes(&self) -> usize {
        self.model.facts.classes
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        copy(&ask(&self.model, self.activation, x, score)?, out)
    }

    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let at_once = 4 * self.pool.current_num_threads();
        let (model, activation) = (&self.model, self.activation);
        for begin in (0..count).step_by(at_once) {
            let block = begin..count.min(begin + at_once);
            let answers: Vec<Result<Vec<f32>, Error>> = self.pool.install(|| {
                let views = block.clone().into_par_iter();
                views
                    .map(|i| ask(model, activation, &view(i), score))
                    .collect()
            });
            for (i, answer) in block.zip(answers) {
                copy(&answer?, scores)?;
                sink(
                    i,
                    scores.get(..self.model.facts.classes).unwrap_or_default(),
                )?;
            }
        }
        Ok(())
    }
}
