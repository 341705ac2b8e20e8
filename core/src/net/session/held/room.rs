//! Where everything lies that a held base needs.
//!
//! ```text
//! slots       where each tensor lies, and which part of it the edit changed
//! base        every activation, one behind the other
//! changed     what an edit changed, packed; places are used again when nobody reads on
//! patches     what a node reads, cut out of both
//! row         one row of the picture
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::area::{Area, Run};
use crate::classifier::Score;
use crate::error::Error;
use crate::net::format::ALIGNMENT;
use crate::net::model::Model;
use crate::net::op::Op;
use crate::tensor::TensorId;

/// Where a tensor lies, and which part of it the edit changed.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Slot {
    /// First byte of the base's value.
    base: u32,
    /// First byte of what changed.
    changed: u32,
    /// Bytes of the whole; 0 for constants and for the input, which is
    /// written again from the picture wherever it is read.
    length: u32,
    /// The node that makes it, and the last that reads it.
    birth: u32,
    death: u32,
    /// Rows and columns that changed.
    rows: [u32; 2],
    cols: [u32; 2],
}

impl Slot {
    pub(super) const fn area(&self) -> Area {
        let [top, bottom] = self.rows;
        let [left, right] = self.cols;
        Area {
            y: Run {
                from: top as usize,
                to: bottom as usize,
            },
            x: Run {
                from: left as usize,
                to: right as usize,
            },
        }
    }

    pub(super) const fn set_area(&mut self, Area { y, x }: Area) {
        self.rows = [y.from as u32, y.to as u32];
        self.cols = [x.from as u32, x.to as u32];
    }

    /// First byte of the base's value and of what changed.
    pub(super) const fn places(&self) -> (usize, usize) {
        (self.base as usize, self.changed as usize)
    }

    const fn end(&self) -> u32 {
        self.changed.saturating_add(self.length)
    }
}

/// Where patches begin, the row of the picture, and the end of it all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    pub patches: usize,
    pub row: usize,
    pub end: usize,
}

/// Bytes of the slots.
pub(super) const fn table_len(model: &Model<'_>) -> usize {
    (model.tensor_count() * size_of::<Slot>()).next_multiple_of(ALIGNMENT)
}

/// Lays everything out; `slots` are as many as the model has tensors.
pub(super) fn lay_out(model: &Model<'_>, slots: &mut [Slot]) -> Result<Room, Error> {
    slots.fill(Slot::default());
    live(model, slots)?;
    let mut base = table_len(model);
    for i in 0..model.node_count() {
        let output = model.node(i).ok_or(Error::Internal)?.output;
        let length = model.tensor(output).ok_or(Error::Internal)?.size();
        let slot = slots
            .get_mut(usize::from(output.0))
            .ok_or(Error::Internal)?;
        slot.base = short(base)?;
        slot.length = short(padded(length)?)?;
        base = more(base, padded(length)?)?;
    }
    let patches = pack(model, slots, base)?;
    let row = more(patches, patch_bytes(model)?)?;
    let end = more(row, padded(model.input().row() * size_of::<f32>())?)?;
    Ok(Room { patches, row, end })
}

/// When each tensor is made and last read.
fn live(model: &Model<'_>, slots: &mut [Slot]) -> Result<(), Error> {
    let mut of = |id: TensorId, change: &mut dyn FnMut(&mut Slot)| {
        let slot = slots.get_mut(usize::from(id.0));
        slot.map(change).ok_or(Error::Internal)
    };
    for i in 0..model.node_count() {
        let view = model.node(i).ok_or(Error::Internal)?;
        let index = short(i)?;
        for id in view.inputs() {
            of(id, &mut |slot| slot.death = index)?;
        }
        of(view.output, &mut |slot| {
            (slot.birth, slot.death) = (index, index);
        })?;
    }
    for score in [Score::Logit, Score::Probability] {
        of(model.score_id(score), &mut |slot| slot.death = u32::MAX)?;
    }
    Ok(())
}

/// Gives what an edit changes its places from `start` on, each the lowest
/// that is free; returns where they end.
fn pack(model: &Model<'_>, slots: &mut [Slot], start: usize) -> Result<usize, Error> {
    let start = short(start)?;
    let mut end = start;
    for i in 0..model.node_count() {
        let output = model.node(i).ok_or(Error::Internal)?.output;
        let id = usize::from(output.0);
        let mut own = *slots.get(id).ok_or(Error::Internal)?;
        own.changed = start;
        let in_the_way = |own: &Slot| {
            let before = slots.iter().filter(|slot| {
                slot.length > 0 && slot.birth < own.birth && slot.death >= own.birth
            });
            let touching =
                before.filter(|slot| slot.changed < own.end() && own.changed < slot.end());
            touching.map(Slot::end).min()
        };
        while let Some(behind) = in_the_way(&own) {
            own.changed = behind;
        }
        own.changed.checked_add(own.length).ok_or(Error::Internal)?;
        end = end.max(own.end());
        *slots.get_mut(id).ok_or(Error::Internal)? = own;
    }
    Ok(end as usize)
}

/// Bytes of the patches that one node reads at once, at most.
fn patch_bytes(model: &Model<'_>) -> Result<usize, Error> {
    let bytes = |id| {
        let tensor = model.tensor(id).ok_or(Error::Internal)?;
        padded(tensor.size())
    };
    let mut most = 0;
    for score in [Score::Logit, Score::Probability] {
        most = most.max(bytes(model.score_id(score))?);
    }
    for i in 0..model.node_count() {
        let view = model.node(i).ok_or(Error::Internal)?;
        let mut all = 0;
        for id in view.inputs() {
            let one = bytes(id)?;
            all = match view.op {
                Op::Concat { .. } => one.max(all),
                _ => more(all, one)?,
            };
        }
        most = most.max(all);
    }
    Ok(most)
}

fn padded(bytes: usize) -> Result<usize, Error> {
    bytes
        .checked_next_multiple_of(ALIGNMENT)
        .ok_or(Error::Internal)
}

fn more(a: usize, b: usize) -> Result<usize, Error> {
    a.checked_add(b).ok_or(Error::Internal)
}

fn short(value: usize) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Internal)
}
