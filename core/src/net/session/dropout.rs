//! Passes with dropout.

use super::forward::Tap;
use super::pixels::Pixels;
use super::{Place, Session, carve, copy_scores, floats_mut, integers_mut};
use crate::classifier::{Dropout, Saturation, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::dropout::DropMask;
use crate::net::int8::{self, Node8};
use crate::net::model::{Model, NodeView, Pass, Plan};
use crate::net::op::{Activation, Op};

/// Whether it is part of the program.
const AVAILABLE: bool = cfg!(foveola_dropout);

/// The dropout of the pass that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropping {
    dropout: Dropout,
    pass: u32,
    /// The node behind which a network without dropouts of its own gets one.
    first: Option<usize>,
    seen: Saturation,
}

/// What is dropped behind one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    mask: DropMask,
    /// Whether the node's activation comes behind the dropout.
    inside: bool,
}

const fn has_weights(op: Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense)
}

impl Dropping {
    fn new(model: &Model<'_>, dropout: &Dropout, pass: usize) -> Result<Self, Error> {
        if !AVAILABLE {
            return Err(Error::NotWhiteBox);
        }
        if !(dropout.keep > 0.0 && dropout.keep <= 1.0) {
            return Err(Error::BadParameter("keep"));
        }
        let nodes = || (0..model.node_count()).filter_map(|i| model.node(i));
        let own = nodes().any(|view| view.dropout.is_some());
        let first = nodes().position(|view| has_weights(view.op));
        if !own && first.is_none() {
            return Err(Error::NotWhiteBox);
        }
        Ok(Self {
            dropout: *dropout,
            pass: u32::try_from(pass).map_err(|_| Error::BadParameter("passes"))?,
            first: first.filter(|_| !own),
            seen: Saturation::default(),
        })
    }
}

impl<'m> Session<'m, '_> {
    /// Runs dropout pass number `pass`; the tap sees what is left of each
    /// node's values.
    ///
    /// # Errors
    /// As [`Session::forward_tapped`], and those of
    /// [`Classifier::classify_dropped`](crate::Classifier::classify_dropped).
    pub fn forward_dropped(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        pass: usize,
        tap: Option<&mut Tap<'_>>,
    ) -> Result<Saturation, Error> {
        self.last = None;
        let plan = self.plan(Pass::Forward)?;
        self.dropping = Some(Dropping::new(self.model, dropout, pass)?);
        let done = self.run_forward(&plan, x, None, tap);
        let seen = self
            .dropping
            .take()
            .map_or_else(Saturation::default, |d| d.seen);
        self.bare = false;
        done.map(|()| seen)
    }

    /// Scores of dropout pass number `pass`, and what saturated.
    ///
    /// # Errors
    /// As [`Session::forward_dropped`]; a short buffer.
    pub fn classify_pass(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        pass: usize,
        score: Score,
        out: &mut [f32],
    ) -> Result<Saturation, Error> {
        let seen = self.forward_dropped(x, dropout, pass, None)?;
        let plan = self.plan(Pass::Forward)?;
        copy_scores(self.values(&plan.value(self.model.score_id(score)))?, out)?;
        Ok(seen)
    }

    /// What the pass that runs drops behind a node.
    pub(super) fn dropout(&self, index: usize) -> Option<Dropped> {
        let Dropping {
            dropout,
            pass,
            first,
            ..
        } = self.dropping.as_ref().filter(|_| AVAILABLE)?;
        let of = |i: usize| self.model.node(i).and_then(|view| view.dropout);
        let (keep, ordinal) = match first {
            Some(first) => (*first == index).then_some((dropout.keep, 0))?,
            None => {
                let dropped = of(index)?;
                (1.0 - dropped, (0..index).filter_map(of).count())
            }
        };
        Some(Dropped {
            mask: DropMask {
                seed: dropout.seed,
                pass: *pass,
                ordinal: ordinal as u32,
                keep,
            },
            inside: first.is_some(),
        })
    }

    /// Runs a node, all of it or one row, and drops.
    #[inline(never)]
    pub(super) fn dropped(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        what: &Dropped,
        row: Option<usize>,
        pixels: Option<Pixels<'_>>,
    ) -> Result<(), Error> {
        // Dropout and ReLU may change places, dropout and a limit may not.
        let inside = what.inside || !matches!(view.activation, Activation::Clip { .. });
        if has_weights(view.op)
            && inside
            && let Some(node) = self.model.integer_node(view, 0)
        {
            return self.drop_sums(plan, (index, view), &node, what, row);
        }
        self.bare = what.inside;
        let done = match row {
            None => self.step(plan, index, view),
            Some(y) => self.make_row(plan, (index, view), y, None, pixels),
        };
        self.bare = false;
        done?;
        self.drop_values(plan, (index, view), what, row)
    }

    /// An int8 node whose sums are divided by the share of kept elements
    /// before they are rounded and limited.
    fn drop_sums(
        &mut self,
        plan: &Plan<'_>,
        (_, view): (usize, &NodeView<'m>),
        node: &Node8<'_>,
        what: &Dropped,
        row: Option<usize>,
    ) -> Result<(), Error> {
        let from = Place::of(self.model, plan, view.input(0).ok_or(Error::Internal)?)?;
        let to = match row {
            None => plan.value(view.output).range(),
            Some(y) => self.row_range(plan, view.output, y)?,
        };
        let [to, bytes] = carve(self.arena, [to, from.range()])?;
        let data = from.operand8(bytes)?.data;
        let y = row.unwrap_or(0);
        let seen = int8::forward_dropped(node, data, y, what.mask, integers_mut(to)?);
        self.count(seen.ok_or(Error::Internal)?);
        Ok(())
    }

    /// Drops values that are there.
    fn drop_values(
        &mut self,
        plan: &Plan<'_>,
        (index, view): (usize, &NodeView<'m>),
        what: &Dropped,
        row: Option<usize>,
    ) -> Result<(), Error> {
        let range = match row {
            None => plan.value(view.output).range(),
            Some(y) => self.row_range(plan, view.output, y)?,
        };
        let tensor = self.model.tensor(view.output).ok_or(Error::Internal)?;
        let first = row.unwrap_or(0) * tensor.shape.row();
        let [bytes] = carve(self.arena, [range])?;
        match tensor.quant {
            Some(quant) => {
                let seen = int8::drop_stored(quant, what.mask, first, integers_mut(bytes)?);
                self.count(seen);
                Ok(())
            }
            None => {
                let then = match what.inside {
                    true => view.activation,
                    false => Activation::None,
                };
                match what.mask.apply(first, then, floats_mut(bytes)?) {
                    true => Err(Error::NotFinite { node: index }),
                    false => Ok(()),
                }
            }
        }
    }

    fn count(&mut self, seen: Saturation) {
        if let Some(dropping) = &mut self.dropping {
            dropping.seen = dropping.seen.with(seen);
        }
    }
}
