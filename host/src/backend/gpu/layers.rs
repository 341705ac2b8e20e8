//! The white box: activations and gradients of one picture.

use foveola_core::{At, Error, Layers, Masked, Rule, Score, Shape, TensorId, Values};

use super::device::GpuError;
use super::memory::{Sharing, elements, encode};
use super::program::{Program, Room};
use super::question::Questions;
use super::rounds::{Coming, Readback};
use super::{GpuBackend, integers, steps};

/// What a run left on the adapter, and what came back.
#[derive(Debug)]
pub(super) struct White {
    room: Room,
    forward: Program,
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

impl GpuBackend {
    fn id(&self, at: At) -> TensorId {
        match at {
            At::Input => self.model().input_id(),
            At::Tensor(id) => id,
        }
    }

    /// Makes what keeps every activation of one picture, once.
    fn white(&mut self) -> Result<&mut White, GpuError> {
        if self.white.is_none() {
            let model = self.file.model();
            let (gpu, storage) = (&self.gpu, self.storage);
            let sharing = Sharing::forward(model, true);
            let most = sharing.sizes.iter().copied().max().unwrap_or(1);
            let mut room = Room::new(gpu, sharing, storage, Some(1))?;
            let steps = steps::forward(model, storage, true)?;
            let forward = Program::new(gpu, model, &steps, &mut room, &mut self.uploads)?;
            self.white = Some(White {
                room,
                forward,
                back: None,
                readback: Readback::new(gpu, most, storage),
                run: None,
                values: Vec::new(),
            });
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

    fn run_white(&mut self, round: &mut Questions) -> Result<(), GpuError> {
        self.white()?;
        let (Some(white), gpu) = (self.white.as_mut(), &self.gpu) else {
            return Ok(());
        };
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

    /// Makes the backward pass of a run, if the last one was another.
    fn back(&mut self, of: (At, Rule, Score)) -> Result<(), GpuError> {
        let to = self.id(of.0);
        let (at, rule, score) = of;
        self.white()?;
        let model = self.file.model();
        let (Some(white), gpu) = (self.white.as_mut(), &self.gpu) else {
            return Ok(());
        };
        if white.back.as_ref().is_some_and(|back| back.of == of) {
            return Ok(());
        }
        white.back = None;
        let (steps, on) = steps::backward(model, self.storage, to, score, rule)?;
        white.room.with_gradients(gpu, Sharing::alone(model, &on))?;
        let program = Program::new(gpu, model, &steps, &mut white.room, &mut self.uploads)?;
        white.back = Some(Back {
            of: (at, rule, score),
            program,
            reaches: on[usize::from(to.0)],
        });
        Ok(())
    }

    /// The gradient at the last run's `at`, from seeds of one a class.
    fn run_back(&mut self, of: (At, Rule, Score), seeds: &[f32]) -> Result<(), GpuError> {
        self.back(of)?;
        let (to, seeded) = (self.id(of.0), self.model().score_id(of.2));
        let len = self.model().shape(to).len();
        let (gpu, storage) = (std::sync::Arc::clone(&self.gpu), self.storage);
        let white = self.white()?;
        let back = white.back.as_ref().filter(|back| back.reaches);
        let buffers = white.room.gradient(to).zip(white.room.gradient(seeded));
        let (Some(back), Some((from, seed))) = (back, buffers) else {
            white.values = vec![0.0; len];
            return Ok(());
        };
        gpu.queue.write_buffer(seed, 0, &encode(seeds, storage));
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        back.program.encode(&mut encoder, 1);
        let what = (len, storage);
        let coming = Coming::submit(&gpu, &mut white.readback, encoder, from, what, 0);
        white.values = coming.wait(&gpu)?;
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
}
