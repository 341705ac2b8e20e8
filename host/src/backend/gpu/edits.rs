//! Edits of a held base: the activations of one picture stay on the adapter, and
//! of a batch of edited pictures every layer computes only the part that an edit
//! can reach, all parts of a layer of one size, each at its own place. What a
//! part reads is put together from the part before it and the held base, so that
//! the usual kernels run on it, in their usual order of summation. Where the part
//! is most of a layer, the layers behind it are computed as wholes.
//!
//! Networks with int8 nodes, and networks whose first layers mix all pixels, are
//! evaluated in full.

mod area;
mod plan;

use foveola_core::classifier::Edits;
use foveola_core::{Error, Masked, Score, TensorId};

use super::device::GpuError;
use super::memory::{bytes_of, storage_buffer};
use super::program::{Program, Room};
use super::question::Questions;
use super::rounds::{Coming, Readback};
use super::steps::Operand;
use super::{GpuBackend, integers};
use crate::backend::core::Editing;
use plan::{Plan, Steps};

/// Fewest edits for which holding the base pays: it is a run of its own.
const FEWEST: usize = 3;

/// What computes the edits of a plan.
#[derive(Debug)]
pub(super) struct Edited {
    plan: Plan,
    steps: Steps,
    pub room: Room,
    program: Program,
    places: wgpu::Buffer,
    readback: Readback,
}

impl GpuBackend {
    /// Holds the base and makes what computes the edits; false where they are
    /// to be evaluated in full.
    ///
    /// # Errors
    /// A device that fails.
    pub(super) fn hold(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
    ) -> Result<bool, GpuError> {
        let file = std::sync::Arc::clone(&self.file);
        let model = file.model();
        if self.editing == Editing::Full || count < FEWEST || integers::any(model) {
            return Ok(false);
        }
        let windows = (0..count).map(|i| edit(i).window.cut(model.input()));
        let Some(plan) = Plan::of(model, windows) else {
            return Ok(false);
        };
        // A base that cannot be asked, as one with NaN that every edit covers.
        let mut question = Questions::of(model.input());
        if question.add(base).is_err() {
            return Ok(false);
        }
        self.run_white(&mut question)?;
        let fits = |edited: &Edited| edited.plan == plan;
        if !self.edited.as_ref().is_some_and(fits) {
            self.edited = None;
            self.edited = match self.prepare_edits(plan) {
                // Pictures in full may take less.
                Err(GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. }) => None,
                made => Some(made?),
            };
        }
        Ok(self.edited.is_some())
    }

    fn prepare_edits(&mut self, plan: Plan) -> Result<Edited, GpuError> {
        let (gpu, model, storage) = (&*self.gpu, self.file.model(), self.storage);
        let layout = plan.sharing(model);
        let steps = plan.steps(model, storage, &layout)?;
        let mut room = Room::new(gpu, layout.sharing, storage, None)?;
        for id in (0..model.tensor_count()).map(|i| TensorId(i as u16)) {
            let held = self.white.as_ref().and_then(|white| white.room.value(id));
            if let Some(held) = held {
                room.lend(Operand::Held(id), held.clone());
            }
        }
        let bytes = room.batch * steps.lists() * 8;
        let places = storage_buffer(gpu, "places", bytes as u64);
        room.lend(Operand::Places, places.clone());
        let program = Program::new(gpu, model, &steps.steps, &mut room, &mut self.uploads)?;
        let readback = Readback::new(gpu, room.batch * model.classes(), storage);
        Ok(Edited {
            plan,
            steps,
            room,
            program,
            places,
            readback,
        })
    }

    /// Starts a round of edits, the first of them number `start`.
    pub(super) fn submit_edits(
        &mut self,
        round: &mut Questions,
        start: usize,
        edit: &Edits<'_>,
        score: Score,
    ) -> Result<Coming, GpuError> {
        let (gpu, model, count) = (&self.gpu, self.file.model(), round.len());
        let edited = self.edited.as_mut().ok_or(GpuError::NoAdapter)?;
        let mut places = Vec::new();
        for i in start..start + count {
            let window = edit(i).window.cut(model.input());
            let own = edited.steps.places(&edited.plan, model, &window);
            places.extend(own.into_iter().map(|n| n as u32));
        }
        gpu.queue
            .write_buffer(&edited.places, 0, &bytes_of(&places));
        let Edited {
            room,
            program,
            readback,
            ..
        } = edited;
        program.send(gpu, round, room, &self.uploads)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        program.encode(&mut encoder, count);
        let from = room.value(model.score_id(score)).cloned();
        let from = from.ok_or_else(|| GpuError::Unsupported {
            node: String::from("the network itself"),
            reason: "its scores are constants",
        })?;
        let what = (count * model.classes(), self.storage);
        Ok(Coming::submit(gpu, readback, encoder, &from, what, start))
    }

    /// Share of the elements of all layers that the last batch of edits computed
    /// for each picture; `None` if it was evaluated in full.
    pub fn computed_share(&self) -> Option<f64> {
        let edited = self.edited.as_ref()?;
        Some(edited.plan.share(self.file.model()))
    }

    /// Whether edits are evaluated incrementally (they are from the start).
    #[must_use]
    pub const fn editing(mut self, editing: Editing) -> Self {
        self.editing = editing;
        self
    }
}

/// All edits of a base, results in order.
pub(super) fn classify(
    backend: &mut GpuBackend,
    base: &Masked<'_>,
    (count, edit): (usize, &Edits<'_>),
    score: Score,
    sink: &mut foveola_core::classifier::Sink<'_>,
) -> Result<(), Error> {
    base.editable()?;
    let held = backend.hold(base, count, edit);
    let held = held.map_err(|error| backend.failed(error))?;
    if !held {
        backend.edited = None;
    }
    let view = |i: usize| base.edited(edit(i).window);
    backend.rounds(count, &view, score, held.then_some(edit), sink)
}
