//! Edits of a held base: what a box of the picture cannot reach is not
//! computed again.
//!
//! [`Session::hold`] runs the base once and keeps every activation. An edit
//! changes a rectangle of the picture; from node to node the rectangle that it
//! can reach grows by the windows and shrinks by the strides. Only that
//! rectangle of each output is computed, as an output of its own, by the usual
//! kernels on the usual order of summation; so the scores have the bits of a
//! run of the whole picture. Where the rectangle is most of an output all of it
//! is computed. Means over the picture are taken anew, never adjusted.
//!
//! **Memory.** This pass has no plan in the model file: a plan chooses what
//! shares memory, and here nothing of the base does. So every file can be
//! edited, those too that lie in a flash already, and none grows. What the
//! session needs of the arena is [`held_len`]: the activations once, what an
//! edit changes (which shares memory as soon as nobody reads on, laid out for
//! the worst edit), and the patch that one node reads. With less of an arena,
//! edits are evaluated in full.

mod area;
mod compute;
mod patch;
mod room;

pub use room::Slot;

use zerocopy::FromBytes;

use self::area::{Area, Run};
use self::room::Room;
use super::{Place, Session, Tap, copy_scores};
use crate::classifier::{Classifier, Edit, Edits, Score, Sink};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::model::Model;
use crate::tensor::{Shape, TensorId, Values};

/// Whether it is part of the program.
const AVAILABLE: bool = cfg!(foveola_edits);

/// What an edit takes of a run, in percent, where its box has the sides of the
/// picture, and in proportion to its sides where they are shorter. (VWW and
/// ResNet-8 in int8, two small networks in f32, on a Cortex-M4F: boxes of half
/// the picture's sides take 48 to 54 %, of three quarters 80 to 88 %, of seven
/// eighths 97 to 100 %.)
const WHOLE: u64 = 110;

/// Whether the edits of a base take less than runs of their pictures, although
/// holding the base costs a run of its own.
fn pays(input: Shape, count: usize, edit: &Edits<'_>) -> bool {
    let (h, w) = (input.h as u64, input.w as u64);
    let run = 100 * 2 * h * w;
    let saved = (0..count).map(|i| {
        let window = edit(i).window.cut(input);
        let sides = window.h as u64 * w + window.w as u64 * h;
        run.saturating_sub(WHOLE * sides)
    });
    saved.sum::<u64>() > run
}

/// Bytes of arena with which a session holds a base. `slots` are scratch, one
/// for each tensor of the model.
///
/// # Errors
/// [`Error::BufferTooSmall`] for too few slots, [`Error::Internal`] for more
/// than 4 GiB.
pub fn held_len(model: &Model<'_>, slots: &mut [Slot]) -> Result<usize, Error> {
    let (need, have) = (model.tensor_count(), slots.len());
    let slots = slots.get_mut(..need);
    let slots = slots.ok_or(Error::BufferTooSmall { need, have })?;
    Ok(room::lay_out(model, slots)?.end)
}

/// What is called behind every node; an error ends the run.
pub type Watched<'w> = dyn FnMut() -> Result<(), Error> + 'w;

/// What nodes look at: the base, or the picture that an edit made of it.
struct Sight<'x> {
    picture: Masked<'x>,
    edited: bool,
}

/// A base whose activations are kept, from [`Session::hold`].
#[derive(Debug)]
pub struct Held<'s, 'm, 'a, 'x> {
    session: &'s mut Session<'m, 'a>,
    base: Masked<'x>,
    room: Room,
    /// Whether something else has run in the arena.
    stale: bool,
}

impl<'m, 'a> Session<'m, 'a> {
    /// Whether [`Classifier::classify_edits`] computes only what an edit can
    /// reach, or every picture in full, as it does from the start. The scores
    /// are the same bits.
    pub const fn set_incremental(&mut self, incremental: bool) {
        self.incremental = incremental;
    }

    /// Runs `base` and keeps every activation.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a mask that cannot be edited,
    /// [`Error::ArenaTooSmall`] below [`held_len`], [`Error::NoPlan`] in
    /// programs for Armv6-M and Armv7-M, where the code for it is left out, and
    /// those of [`Session::forward`].
    pub fn hold<'s, 'x>(&'s mut self, base: &Masked<'x>) -> Result<Held<'s, 'm, 'a, 'x>, Error> {
        self.hold_watched(base, &mut || Ok(()))
    }

    fn hold_watched<'s, 'x>(
        &'s mut self,
        base: &Masked<'x>,
        watch: &mut Watched<'_>,
    ) -> Result<Held<'s, 'm, 'a, 'x>, Error> {
        if !AVAILABLE {
            return Err(Error::NoPlan);
        }
        base.editable()?;
        base.check(self.model.input())?;
        let mut held = Held {
            session: self,
            base: *base,
            room: Room::default(),
            stale: true,
        };
        held.run_base(watch)?;
        Ok(held)
    }

    /// Edits so far that computed only what they could reach.
    pub const fn edits(&self) -> u32 {
        self.edits
    }

    /// As [`Classifier::classify_edits`], incrementally, `watch` being called
    /// behind every node; whether it was done. Else nothing was: it is not
    /// switched on, too few edits or too large ones to pay, or a base that
    /// cannot be held.
    ///
    /// # Errors
    /// As [`Classifier::classify_edits`].
    pub fn classify_held(
        &mut self,
        base: &Masked<'_>,
        (count, edit): (usize, &Edits<'_>),
        score: Score,
        scores: &mut [f32],
        (sink, watch): (&mut Sink<'_>, &mut Watched<'_>),
    ) -> Result<bool, Error> {
        if !(AVAILABLE && self.incremental && pays(self.model.input(), count, edit)) {
            return Ok(false);
        }
        let (need, have) = (self.model.classes(), scores.len());
        let scores = scores.get_mut(..need);
        let scores = scores.ok_or(Error::BufferTooSmall { need, have })?;
        let Ok(mut held) = self.hold_watched(base, watch) else {
            return Ok(false);
        };
        for i in 0..count {
            held.classify_watched(&edit(i), score, scores, watch)?;
            sink(i, scores)?;
        }
        Ok(true)
    }
}

impl<'x> Held<'_, '_, '_, 'x> {
    /// Writes the scores of the edited base into `out`, one a class.
    ///
    /// # Errors
    /// Those of [`Classifier::classify`] for the edited picture.
    pub fn classify(&mut self, edit: &Edit, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.classify_watched(edit, score, out, &mut || Ok(()))
    }

    fn classify_watched(
        &mut self,
        edit: &Edit,
        score: Score,
        out: &mut [f32],
        watch: &mut Watched<'_>,
    ) -> Result<(), Error> {
        if self.stale {
            self.run_base(watch)?;
        }
        let edited = self.sight(edit);
        let id = self.session.model.score_id(score);
        let done = self.run_edit(&edited, edit, &mut |_, _| watch());
        let edits = self.session.edits.saturating_add(1);
        if let Ok(Values::Real(scores)) = done.and_then(|()| self.whole(id, &edited)) {
            copy_scores(scores, out)?;
            self.session.edits = edits;
            return Ok(());
        }
        // A run in full says what is wrong: which node sees NaN first depends
        // on the plan.
        self.stale = true;
        self.session.classify(&edited.picture, score, out)
    }

    /// Shows every layer of the edited base to `tap`, in run order, each whole:
    /// afterwards most of what the edit changed is gone, because its places are
    /// used again.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::PictureNotFinite`], and what `tap` reports.
    pub fn tap(&mut self, edit: &Edit, tap: &mut Tap<'_>) -> Result<(), Error> {
        if self.stale {
            self.run_base(&mut || Ok(()))?;
        }
        let edited = self.sight(edit);
        self.run_edit(&edited, edit, &mut |held, index| {
            let view = held.session.model.node(index).ok_or(Error::Internal)?;
            tap(index, 0, held.whole(view.output, &edited)?)
        })
    }

    /// Share of a node's output that the last edit computed again, 0 to 1.
    pub fn share(&self, node: usize) -> f32 {
        let model = self.session.model;
        let area = model.node(node).map(|view| {
            let changed = self
                .slot(view.output)
                .map_or(0, |slot| slot.area().pixels());
            changed as f32 / model.shape(view.output).area().max(1) as f32
        });
        area.unwrap_or(0.0)
    }

    fn run_base(&mut self, watch: &mut Watched<'_>) -> Result<(), Error> {
        self.session.last = None;
        let (model, have) = (self.session.model, self.session.arena.len());
        let small = |need| Error::ArenaTooSmall { need, have };
        let table = room::table_len(model);
        if have < table {
            return Err(small(table));
        }
        let room = room::lay_out(model, self.slots_mut()?)?;
        if have < room.end {
            return Err(small(room.end));
        }
        self.room = room;
        let base = Sight {
            picture: self.base,
            edited: false,
        };
        for node in 0..model.node_count() {
            self.compute(node, &base)?;
            watch()?;
        }
        self.stale = false;
        Ok(())
    }

    fn sight(&self, edit: &Edit) -> Sight<'x> {
        Sight {
            picture: self.base.edited(edit.window),
            edited: true,
        }
    }

    /// Computes what the edit reaches, node by node; `then` sees each.
    fn run_edit(
        &mut self,
        edited: &Sight<'_>,
        edit: &Edit,
        then: &mut dyn FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let model = self.session.model;
        let window = edit.window.cut(model.input());
        let run = |from: usize, length: usize| Run {
            from,
            to: from + length,
        };
        let area = match window.d {
            0 => Area::default(),
            _ => Area {
                y: run(window.y, window.h),
                x: run(window.x, window.w),
            },
        };
        self.slot_mut(model.input_id())?.set_area(area);
        for index in 0..model.node_count() {
            self.compute(index, edited)?;
            then(self, index)?;
        }
        Ok(())
    }

    /// A tensor that somebody reads yet, all of it.
    fn whole(&mut self, id: TensorId, sight: &Sight<'_>) -> Result<Values<'_>, Error> {
        let all = Area::whole(self.session.model.shape(id));
        let mut at = self.room.patches;
        match self.patch(id, all, sight, &mut at)? {
            Place::Constant(_, values) => Ok(values),
            Place::Arena(.., range) => self.session.typed(id, range),
        }
    }

    fn table(&self) -> core::ops::Range<usize> {
        0..self.session.model.tensor_count() * size_of::<Slot>()
    }

    fn slots_mut(&mut self) -> Result<&mut [Slot], Error> {
        let table = self.table();
        let bytes = self.session.arena.get_mut(table).ok_or(Error::Internal)?;
        <[Slot]>::mut_from_bytes(bytes).map_err(|_| Error::Internal)
    }

    fn slot(&self, id: TensorId) -> Result<Slot, Error> {
        let bytes = self.session.arena.get(self.table());
        let slots = <[Slot]>::ref_from_bytes(bytes.ok_or(Error::Internal)?);
        let slot = slots.ok().and_then(|slots| slots.get(usize::from(id.0)));
        slot.copied().ok_or(Error::Internal)
    }

    fn slot_mut(&mut self, id: TensorId) -> Result<&mut Slot, Error> {
        let slot = self.slots_mut()?.get_mut(usize::from(id.0));
        slot.ok_or(Error::Internal)
    }
}
