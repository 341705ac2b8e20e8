//! The white box: activations and gradients of one picture.

use std::sync::atomic::Ordering;

use foveola_core::classifier::{
    Activations, BiasPieces, Derivatives, Gradients, Pieces, Sink, Step, Views,
};
use foveola_core::net::model::Model;
use foveola_core::relevance::{Balance, RelevanceRules};
use foveola_core::{At, Error, Layers, Masked, Rule, Score, Shape, TensorId, Values};

use super::device::{Gpu, GpuError};
use super::kernels::Storage;
use super::memory::{Sharing, Uploads, elements, encode};
use super::program::{Program, Room};
use super::question::Questions;
use super::rounds::{Coming, Readback};
use super::{GpuBackend, integers, steps};

/// What a run left on the adapter, and what came back.
#[derive(Debug)]
pub(super) struct White {
    pub room: Room,
    pub forward: Program,
    back: Option<Back>,
    readback: Readback,
    run: Option<(At, Rule)>,
    values: Vec<f32>,
}

/// A backward pass that was made.
#[derive(Debug)]
struct Back {
    of: (At, Rule, Score),
    program: Program,
    /// Whether the scores depend on the tensor at all.
    reaches: bool,
}

/// What a white box is made from.
pub(super) struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub model: &'a Model<'a>,
    pub storage: Storage,
    pub uploads: &'a mut Uploads,
}

/// The tensor that is meant.
fn id(model: &Model<'_>, at: At) -> TensorId {
    match at {
        At::Input => model.input_id(),
        At::Tensor(id) => id,
    }
}

impl White {
    /// Room for every activation of at most `most` pictures.
    ///
    /// # Errors
    /// A node that does not run here, too little memory.
    pub fn new(parts: Parts<'_>, most: usize) -> Result<Self, GpuError> {
        let Parts {
            gpu,
            model,
            storage,
            uploads,
        } = parts;
        let sharing = Sharing::forward(model, true);
        let largest = sharing.sizes.iter().copied().max().unwrap_or(1);
        let mut room = Room::new(gpu, sharing, storage, Some(most))?;
        let steps = steps::forward(model, storage, true)?;
        let forward = Program::new(gpu, model, &steps, &mut room, uploads)?;
        Ok(Self {
            room,
            forward,
            back: None,
            readback: Readback::new(gpu, largest, storage),
            run: None,
            values: Vec::new(),
        })
    }

    /// Makes the backward pass of a run, if the last one was another.
    ///
    /// # Errors
    /// As [`White::new`].
    pub fn prepare(&mut self, parts: Parts<'_>, of: (At, Rule, Score)) -> Result<(), GpuError> {
        if self.back.as_ref().is_some_and(|back| back.of == of) {
            return Ok(());
        }
        let Parts {
            gpu,
            model,
            storage,
            uploads,
        } = parts;
        let (at, rule, score) = of;
        let to = id(model, at);
        self.back = None;
        let (steps, on) = steps::backward(model, storage, to, score, rule)?;
        self.room.with_gradients(gpu, Sharing::alone(model, &on))?;
        let program = Program::new(gpu, model, &steps, &mut self.room, uploads)?;
        self.back = Some(Back {
            of,
            program,
            reaches: on[usize::from(to.0)],
        });
        Ok(())
    }

    /// The backward pass that was made, where the gradient of `to` and that of
    /// the scores lie; `None` where the scores do not depend on `to`.
    pub fn backward(
        &self,
        to: TensorId,
        scores: TensorId,
    ) -> Option<(&Program, &wgpu::Buffer, &wgpu::Buffer)> {
        let back = self.back.as_ref().filter(|back| back.reaches)?;
        let (from, seed) = self.room.gradient(to).zip(self.room.gradient(scores))?;
        Some((&back.program, from, seed))
    }
}

impl GpuBackend {
    fn id(&self, at: At) -> TensorId {
        id(self.model(), at)
    }

    /// Makes what keeps every activation of one picture, once.
    fn white(&mut self) -> Result<&mut White, GpuError> {
        if self.white.is_none() {
            let parts = Parts {
                gpu: &self.gpu,
                model: self.file.model(),
                storage: self.storage,
                uploads: &mut self.uploads,
            };
            self.white = Some(White::new(parts, 1)?);
        }
        self.white.as_mut().ok_or(GpuError::NoAdapter)
    }

    /// An int8 tensor of a masked picture as the adapter made it, HWC.
    ///
    /// # Errors
    /// A picture that does not fit, [`Error::NoPlan`] for a tensor that is not
    /// int8 or a constant, a device that fails.
    pub fn stored(&mut self, x: &Masked<'_>, id: TensorId) -> Result<Vec<i8>, Error> {
        let tensor = self.model().tensor(id);
        let made = tensor.filter(|t| t.quant.is_some() && t.constant.is_none());
        let shape = made.ok_or(Error::NoPlan)?.shape;
        let mut question = Questions::of(self.model().input());
        question.add(x)?;
        let done = self.run_white(&mut question).and_then(|()| self.read(id));
        done.map_err(|e| self.failed(e))?;
        let words: Vec<u32> = self.came_back().iter().map(|v| v.to_bits()).collect();
        Ok(integers::unpacked(shape, &words))
    }

    /// Runs one picture and keeps every activation; no run of layers any more.
    pub(super) fn run_white(&mut self, round: &mut Questions) -> Result<(), GpuError> {
        self.white()?;
        let (Some(white), gpu) = (self.white.as_mut(), &self.gpu) else {
            return Ok(());
        };
        white.run = None;
        let White { room, forward, .. } = white;
        forward.send(gpu, round, room, &self.uploads)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        forward.encode(&mut encoder, 1);
        gpu.queue.submit([encoder.finish()]);
        gpu.check()
    }

    /// Reads a tensor of the last run back.
    fn read(&mut self, id: TensorId) -> Result<(), GpuError> {
        let len = elements(self.model(), id);
        let (gpu, storage) = (std::sync::Arc::clone(&self.gpu), self.storage);
        let white = self.white()?;
        let encoder = gpu.device.create_command_encoder(&Default::default());
        let Some(from) = white.room.value(id) else {
            white.values.clear();
            return Ok(());
        };
        let what = (len, storage);
        let coming = Coming::submit(&gpu, &mut white.readback, encoder, from, what, 0);
        white.values = coming.wait(&gpu)?;
        Ok(())
    }

    /// The gradient at the last run's `at`, from seeds of one a class.
    fn run_back(&mut self, of: (At, Rule, Score), seeds: &[f32]) -> Result<(), GpuError> {
        let (to, seeded) = (self.id(of.0), self.model().score_id(of.2));
        let len = self.model().shape(to).len();
        self.white()?;
        let Some(white) = self.white.as_mut() else {
            return Ok(());
        };
        let (gpu, storage) = (&self.gpu, self.storage);
        let parts = Parts {
            gpu,
            model: self.file.model(),
            storage,
            uploads: &mut self.uploads,
        };
        white.prepare(parts, of)?;
        let Some((program, from, seed)) = white.backward(to, seeded) else {
            white.values = vec![0.0; len];
            return Ok(());
        };
        gpu.queue.write_buffer(seed, 0, &encode(seeds, storage));
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        program.encode(&mut encoder, 1);
        let (what, from) = ((len, storage), from.clone());
        let coming = Coming::submit(gpu, &mut white.readback, encoder, &from, what, 0);
        white.values = coming.wait(gpu)?;
        Ok(())
    }

    fn last_run(&self) -> Result<(At, Rule), Error> {
        let run = self.white.as_ref().and_then(|white| white.run);
        run.ok_or(Error::BadOrder)
    }

    fn came_back(&self) -> &[f32] {
        self.white.as_ref().map_or(&[], |white| &white.values)
    }
}

impl Layers for GpuBackend {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        let tensor = self.model().tensor(self.id(at));
        tensor.map(|t| t.shape).ok_or(Error::NoPlan)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        if let Some(white) = &mut self.white {
            white.run = None;
        }
        let biases = self.biases.swap(false, Ordering::Relaxed);
        self.by_core = biases && at == At::Input;
        if self.by_core {
            self.processor()?.run(x, at, rule)?;
        }
        self.shape(at)?;
        let mut round = Questions::of(self.model().input());
        round.add(x)?;
        self.run_white(&mut round).map_err(|e| self.failed(e))?;
        if let Some(white) = &mut self.white {
            white.run = Some((at, rule));
        }
        Ok(())
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        if self.by_core {
            return Layers::scores(self.processor()?, score);
        }
        self.last_run()?;
        let id = self.model().score_id(score);
        self.read(id).map_err(|e| self.failed(e))?;
        Ok(self.came_back())
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        let (at, _) = self.last_run()?;
        let At::Tensor(id) = at else {
            return Err(Error::BadOrder);
        };
        self.read(id).map_err(|e| self.failed(e))?;
        Ok(Values::Real(self.came_back()))
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        let (at, rule) = self.last_run()?;
        let classes = self.file.model().classes();
        let mut seeds = vec![0.0; classes];
        for &(target, weight) in seed {
            *seeds
                .get_mut(target)
                .ok_or(Error::TargetOutOfRange { target, classes })? += weight;
        }
        let done = self.run_back((at, rule, score), &seeds);
        done.map_err(|e| self.failed(e))?;
        Ok(self.came_back())
    }

    fn gradient_batch(&self) -> usize {
        self.gradients_at_once()
    }

    fn gradients(
        &mut self,
        count: usize,
        view: &Views<'_>,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        self.gradient_rounds((count, view), what, sink, after)
    }

    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        self.biases.store(true, Ordering::Relaxed);
        let model = self.model();
        let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
        let mut biased = nodes.filter(|view| !view.bias.is_empty());
        Ok(biased.nth(node).map(|view| model.shape(view.output)))
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        if !self.by_core {
            return Err(Error::BadOrder);
        }
        self.processor()?.backward_biases(seed, score, sink, biases)
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let core = self.processor()?;
        core.forward_from(x, at, activation, score, out)
    }

    fn forward_from_batch(
        &mut self,
        x: &Masked<'_>,
        at: At,
        questions: (usize, &Activations<'_>),
        score: Score,
        scratch: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let core = self.processor()?;
        core.forward_from_batch(x, at, questions, score, scratch, sink)
    }

    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        if let Some(white) = &mut self.white {
            white.run = None;
        }
        self.by_core = true;
        self.processor()?.run_relevance(x)
    }

    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        self.processor()?.relevance(seed, rules, balance)
    }
}
