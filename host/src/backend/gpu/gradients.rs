//! Gradients of many pictures: a batch goes forward once, and back once a
//! target, while the batch before is handed on.

use std::collections::VecDeque;

use foveola_core::classifier::{Derivatives, Gradients, Step, Views};
use foveola_core::{At, Classifier, Error, Layers};

use super::GpuBackend;
use super::device::GpuError;
use super::layers::{Parts, White};
use super::memory::{Sharing, encode};
use super::question::Questions;
use super::rounds::{Coming, Readback, UNDER_WAY};
use crate::backend::core::hand_out;

/// Most elements of gradients that come back from one batch.
const MOST_ELEMENTS: usize = 16 << 20;

/// Most pictures of a batch.
const MOST_PICTURES: usize = 64;

/// A white box of many pictures.
#[derive(Debug)]
pub(super) struct Many {
    white: White,
    scores: Readback,
    gradients: Vec<Readback>,
}

/// A batch that is under way.
struct Round {
    start: usize,
    scores: Coming,
    /// A gradient of every picture for each target; `None` where the scores do
    /// not depend on the input.
    gradients: Vec<Option<Coming>>,
}

/// All questions: how many, and which.
type Asked<'a, 'v> = (usize, &'a Views<'v>);

/// The gradients of a batch for one target; `None` where nothing reaches the input.
type OfTarget = Option<Vec<f32>>;

impl GpuBackend {
    /// Pictures whose activations and gradients fit.
    pub(super) fn gradients_at_once(&self) -> usize {
        let model = self.model();
        let fit = Sharing::forward(model, true).batch(&self.gpu, self.storage);
        // Activations and gradients lie side by side.
        let fit = fit.unwrap_or(1) / 2;
        let back = MOST_ELEMENTS / model.input().len().max(1);
        fit.min(back).clamp(1, MOST_PICTURES)
    }

    pub(super) fn gradient_rounds(
        &mut self,
        (count, view): Asked<'_, '_>,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let classes = self.classes();
        let asked = what.targets.iter().copied().chain(what.against);
        if let Some(target) = asked.into_iter().find(|target| *target >= classes) {
            return Err(Error::TargetOutOfRange { target, classes });
        }
        let targets = what.targets.len().max(1);
        let mut batch = (self.gradients_at_once() / targets).clamp(1, count.max(1));
        let ready = loop {
            match self.make_many(batch, what) {
                Err(GpuError::OutOfMemory { .. }) if batch > 1 => {
                    self.many = None;
                    batch /= 2;
                }
                ready => break ready,
            }
        };
        ready.map_err(|error| self.failed(error))?;
        let mut under_way = VecDeque::new();
        let done = self.gradients_under_way((count, view), what, (sink, after), &mut under_way);
        while let Some(round) = under_way.pop_front() {
            let _ = self.came(round);
        }
        done
    }

    /// Room for a batch, and its backward pass.
    fn make_many(&mut self, batch: usize, what: &Derivatives<'_>) -> Result<(), GpuError> {
        let (gpu, model, storage) = (&*self.gpu, self.file.model(), self.storage);
        let fits = |many: &Many| many.white.room.batch >= batch;
        if !self.many.as_ref().is_some_and(fits) {
            self.many = None;
            let parts = Parts {
                gpu,
                model,
                storage,
                uploads: &mut self.uploads,
            };
            let white = White::new(parts, batch)?;
            let scores = white.room.batch * model.classes();
            self.many = Some(Many {
                white,
                scores: Readback::new(gpu, scores, storage),
                gradients: Vec::new(),
            });
        }
        let Some(many) = self.many.as_mut() else {
            return Ok(());
        };
        let elements = many.white.room.batch * model.input().len();
        let readback = || Readback::new(gpu, elements, storage);
        let targets = what.targets.len().max(many.gradients.len());
        many.gradients.resize_with(targets, readback);
        let of = (At::Input, what.rule, what.score);
        let parts = Parts {
            gpu,
            model,
            storage,
            uploads: &mut self.uploads,
        };
        many.white.prepare(parts, of)
    }

    fn gradients_under_way(
        &mut self,
        (count, view): Asked<'_, '_>,
        what: &Derivatives<'_>,
        (sink, after): (&mut Gradients<'_>, &mut Step<'_>),
        under_way: &mut VecDeque<Round>,
    ) -> Result<(), Error> {
        let batch = self.many.as_ref().map_or(1, |many| many.white.room.batch);
        let mut round = Questions::of(self.model().input());
        let (mut next, mut wrong) = (0, Ok(()));
        while (next < count && wrong.is_ok()) || !under_way.is_empty() {
            round.clear();
            let start = next;
            while next < count.min(start + batch) && wrong.is_ok() {
                wrong = round.add(&view(next));
                next += usize::from(wrong.is_ok());
            }
            if next > start {
                let sent = self.send_gradients(&mut round, start, what);
                under_way.push_back(sent.map_err(|error| self.failed(error))?);
            }
            let last = next == count || wrong.is_err();
            if (under_way.len() == UNDER_WAY || last)
                && let Some(oldest) = under_way.pop_front()
            {
                self.hand_gradients(oldest, what, sink, after)?;
            }
        }
        wrong
    }

    /// Starts a batch.
    fn send_gradients(
        &mut self,
        round: &mut Questions,
        start: usize,
        what: &Derivatives<'_>,
    ) -> Result<Round, GpuError> {
        let (gpu, storage, model) = (&self.gpu, self.storage, self.file.model());
        let (count, classes) = (round.len(), model.classes());
        let id = model.score_id(what.score);
        let many = self.many.as_mut().ok_or(GpuError::NoAdapter)?;
        let White { room, forward, .. } = &mut many.white;
        forward.send(gpu, round, room, &self.uploads)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        forward.encode(&mut encoder, count);
        let from = room.value(id).cloned();
        let from = from.ok_or_else(|| GpuError::Unsupported {
            node: String::from("the network itself"),
            reason: "its scores are constants",
        })?;
        let size = (count * classes, storage);
        let scores = Coming::submit(gpu, &mut many.scores, encoder, &from, size, start);
        let back = many.white.backward(model.input_id(), id);
        let mut gradients = Vec::new();
        for (&target, readback) in what.targets.iter().zip(&mut many.gradients) {
            gradients.push(back.map(|(program, from, seed)| {
                let seeds = seeds(what, target, classes).repeat(count);
                gpu.queue.write_buffer(seed, 0, &encode(&seeds, storage));
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                program.encode(&mut encoder, count);
                let size = (count * model.input().len(), storage);
                Coming::submit(gpu, readback, encoder, from, size, start)
            }));
        }
        Ok(Round {
            start,
            scores,
            gradients,
        })
    }

    /// Waits for all of a batch: scores, and gradients by target.
    fn came(&self, round: Round) -> Result<(Vec<f32>, Vec<OfTarget>), Error> {
        let scores = self.wait(Ok(round.scores));
        // Every buffer must come back, whatever happened to those before.
        let gradients: Vec<_> = round
            .gradients
            .into_iter()
            .map(|coming| coming.map(|coming| self.wait(Ok(coming))).transpose())
            .collect();
        Ok((scores?, gradients.into_iter().collect::<Result<_, _>>()?))
    }

    /// Hands a batch on, picture by picture.
    fn hand_gradients(
        &self,
        round: Round,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let start = round.start;
        let (scores, gradients) = self.came(round)?;
        let length = Layers::shape(self, At::Input)?.len();
        let mut all = vec![0.0; gradients.len() * length];
        for (i, scores) in scores.chunks_exact(self.classes().max(1)).enumerate() {
            for target in what.targets {
                what.check(scores, *target)?;
            }
            for (place, gradient) in all.chunks_exact_mut(length.max(1)).zip(&gradients) {
                if let Some(gradient) = gradient {
                    place.copy_from_slice(&gradient[i * length..(i + 1) * length]);
                }
            }
            hand_out(start + i, &all, length, sink)?;
            after()?;
        }
        Ok(())
    }
}

/// The gradient of the scores of one picture.
fn seeds(what: &Derivatives<'_>, target: usize, classes: usize) -> Vec<f32> {
    let mut seeds = vec![0.0; classes];
    let (pairs, used) = what.seed(target);
    for (class, weight) in &pairs[..used] {
        seeds[*class] += weight;
    }
    seeds
}
