//! The backward pass.

use core::ops::Range;

use super::forward::{Tap, extent};
use super::stream_back::clear;
use super::{Place, Session, carve, floats, floats_mut};
use crate::classifier::{Pieces, Rule, Score};
use crate::error::Error;
use crate::net::int8::{self, Saved8};
use crate::net::model::{NodeView, Plan};
use crate::net::op::{Activation, Op};
use crate::net::ops::{self, Operand, Saved};
use crate::tensor::{TensorId, Values};

/// Who is shown what as it is made.
#[derive(Default)]
pub(super) struct Watch<'w, 't> {
    /// The gradient of each node's output.
    pub tap: Option<&'w mut Tap<'t>>,
    /// The gradient of the picture, where it exists by rows only.
    pub sink: Option<&'w mut Pieces<'t>>,
}

impl Watch<'_, '_> {
    /// Shows the gradient of a node's output from element `first` on.
    pub fn show<'v>(
        &mut self,
        node: usize,
        first: usize,
        values: impl FnOnce() -> Result<&'v [f32], Error>,
    ) -> Result<(), Error> {
        match &mut self.tap {
            Some(tap) => tap(node, first, Values::Real(values()?)),
            None => Ok(()),
        }
    }

    /// Hands the gradient of the picture on.
    pub fn hand(&mut self, first: usize, row: &[f32]) -> Result<(), Error> {
        match &mut self.sink {
            Some(sink) => sink(first, row),
            None => Ok(()),
        }
    }
}

impl<'m> Session<'m, '_> {
    /// As [`Layers::backward_pieces`](crate::Layers::backward_pieces) without the
    /// result; shows `tap` the gradient of each node's output (behind the node's
    /// own ReLU), last node first; whole, or row by row where nodes run together.
    /// Nodes that no gradient passes are left out.
    ///
    /// # Errors
    /// As [`Layers::backward_pieces`](crate::Layers::backward_pieces), and what
    /// `tap` reports.
    pub fn backward_tapped(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        tap: &mut Tap<'_>,
    ) -> Result<(), Error> {
        let (plan, run) = self.backward_plan()?;
        self.seed(&plan, seed, score)?;
        let mut watch = Watch {
            tap: Some(tap),
            sink: None,
        };
        self.run_backward(&plan, score, run.rule, &mut watch)
    }

    /// Clears the gradients of both kinds of scores and sets the seeds.
    pub(super) fn seed(
        &mut self,
        plan: &Plan<'_>,
        seed: &[(usize, f32)],
        score: Score,
    ) -> Result<(), Error> {
        let classes = self.model.classes();
        for score in [Score::Logit, Score::Probability] {
            let range = plan.gradient(self.model.score_id(score)).range();
            let [bytes] = carve(self.arena, [range])?;
            bytes.fill(0);
        }
        let range = plan.gradient(self.model.score_id(score)).range();
        let [bytes] = carve(self.arena, [range])?;
        let gradient = floats_mut(bytes)?;
        for &(target, weight) in seed {
            *gradient
                .get_mut(target)
                .ok_or(Error::TargetOutOfRange { target, classes })? += weight;
        }
        Ok(())
    }

    /// Runs the nodes between the scores and the plan's end, last one first.
    pub(super) fn run_backward(
        &mut self,
        plan: &Plan<'_>,
        score: Score,
        rule: Rule,
        watch: &mut Watch<'_, '_>,
    ) -> Result<(), Error> {
        let seeded = self.model.score_id(score);
        let mut reached = false;
        let mut end = self.model.node_count();
        while let Some(last) = end.checked_sub(1) {
            let group = self.model.together_back(plan, last);
            end = group.start;
            let view = self.view(last)?;
            reached |= view.output == seeded;
            let active = view.inputs().any(|id| plan.gradient(id).length > 0);
            if !active {
                continue;
            }
            // Nodes behind the seed pass nothing on, but gradients that others
            // add to later are born there.
            self.clear_born(plan, &group)?;
            if self.model.streams_back(plan, &group) {
                if reached {
                    self.stream_back(plan, group, rule, watch)?;
                } else {
                    self.hand_zeros(plan, &group, watch)?;
                }
            } else if reached {
                self.step_back(plan, last, &view, rule)?;
                watch.show(last, 0, || self.values(&plan.gradient(view.output)))?;
            }
        }
        Ok(())
    }

    /// Clears the gradients that the way back through a group adds to first;
    /// those of scores were cleared before the seed, rings are as they are made.
    fn clear_born(&mut self, plan: &Plan<'_>, group: &Range<usize>) -> Result<(), Error> {
        let (step, _) = self.model.back_steps(group);
        let scores = [Score::Logit, Score::Probability].map(|s| self.model.score_id(s));
        for index in group.clone() {
            let view = self.view(index)?;
            for id in view.inputs().filter(|id| !scores.contains(id)) {
                let gradient = plan.gradient(id);
                if gradient.length > 0 && usize::from(gradient.birth) == step {
                    let [bytes] = carve(self.arena, [gradient.range()])?;
                    clear(floats_mut(bytes)?);
                }
            }
        }
        Ok(())
    }

    /// The gradient of a picture on which the seed does not depend.
    fn hand_zeros(
        &mut self,
        plan: &Plan<'_>,
        group: &Range<usize>,
        watch: &mut Watch<'_, '_>,
    ) -> Result<(), Error> {
        if !self.model.hands_rows(plan, &self.view(group.start)?) {
            return Ok(());
        }
        let shape = self.model.input();
        let bytes = shape.row() * size_of::<f32>();
        let range = plan.gradient(self.model.input_id()).range();
        let [ring] = carve(self.arena, [range])?;
        let row = ring.get_mut(..bytes).ok_or(Error::Internal)?;
        row.fill(0);
        let row = floats(row)?;
        (0..shape.h).try_for_each(|y| watch.hand(y * shape.row(), row))
    }

    fn step_back(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
        rule: Rule,
    ) -> Result<(), Error> {
        let output = plan.gradient(view.output).range();
        self.gate(plan, index, output, 0, rule)?;
        let mut offset = 0;
        for (part, id) in view.inputs().enumerate() {
            if plan.gradient(id).length > 0 {
                self.add_gradient(plan, index, part, offset, rule)?;
            }
            if let Op::Concat { axis } = view.op {
                offset += extent(self.part_shape(view, part)?, axis);
            }
        }
        Ok(())
    }

    /// Applies the rule of the node's own ReLU to elements `first..` of the
    /// gradient of its output, which lie in `range`; int8 nodes also stop it
    /// where their output saturates.
    pub(super) fn gate(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        range: Range<usize>,
        first: usize,
        rule: Rule,
    ) -> Result<(), Error> {
        let view = self.model.node(index);
        let view = view.as_ref().ok_or(Error::Internal)?;
        let is_relu = matches!(
            view.activation,
            Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
        );
        if !is_relu && view.integers.is_none() {
            return Ok(());
        }
        let ranges = [range, plan.keep(index).range()];
        if let Some(node) = &self.model.integer_node(view, 0) {
            let [gradient, keep] = carve(self.arena, ranges)?;
            return int8::gate(node, rule, keep, first, floats_mut(gradient)?);
        }
        let node = self.kernel_node(view, 0)?;
        let [gradient, keep] = carve(self.arena, ranges)?;
        ops::gate(&node, rule, keep, first, floats_mut(gradient)?)
    }

    fn add_gradient(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        part: usize,
        offset: usize,
        rule: Rule,
    ) -> Result<(), Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        if matches!(view.op, Op::Quantise { .. } | Op::Dequantise) {
            let from = plan.gradient(view.output).range();
            let to = plan.gradient(view.input(0).ok_or(Error::Internal)?);
            return self.convert_back(plan, index, (from, to.range()), 0);
        }
        let node = self.kernel_node(&view, part)?;
        let integer_node = self.model.integer_node(&view, part);
        let first = self.model.shape(view.input(0).ok_or(Error::Internal)?);
        let keeps = self.model.keeps(&view, first);
        let place = |id: Option<TensorId>| match id {
            Some(id) if keeps.inputs => Place::of(self.model, plan, id).map(Some),
            _ => Ok(None),
        };
        let (a, b) = (place(view.input(0))?, place(view.input(1))?);
        let range = |p: &Option<Place<'_>>| p.as_ref().map_or(0..0, Place::range);
        let same = range(&a) == range(&b);
        let scratch = match integer_node {
            Some(_) => self.back_scratch(plan, &(index..index + 1)),
            None => self.scratch_range(plan),
        };
        let ranges = [
            plan.gradient(view.output).range(),
            plan.gradient(view.input(part).ok_or(Error::Internal)?)
                .range(),
            plan.keep(index).range(),
            scratch,
            range(&a),
            if same { 0..0 } else { range(&b) },
            if keeps.output {
                plan.value(view.output).range()
            } else {
                0..0
            },
        ];
        let [grad_out, grad_in, keep, scratch, a_bytes, b_bytes, output] =
            carve(self.arena, ranges)?;
        let b_bytes = if same { &*a_bytes } else { &*b_bytes };
        let (grad_out, grad_in) = (floats(grad_out)?, floats_mut(grad_in)?);
        if let Some(node) = integer_node {
            let operand =
                |p: &Option<Place<'m>>, bytes| p.as_ref().map(|p| p.operand8(bytes)).transpose();
            let saved = Saved8 {
                inputs: [operand(&a, a_bytes)?, operand(&b, b_bytes)?],
                keep,
            };
            return int8::backward(
                &node, part, offset, rule, grad_out, &saved, grad_in, scratch, self.isa,
            );
        }
        let scratch = floats_mut(scratch)?;
        let saved = Saved {
            inputs: [operand(a.as_ref(), a_bytes)?, operand(b.as_ref(), b_bytes)?],
            output: keeps.output.then(|| floats(output)).transpose()?,
            keep,
        };
        ops::backward(
            &node, part, offset, rule, grad_out, &saved, grad_in, scratch, self.isa,
        )
    }
}

fn operand<'b, 'm: 'b>(
    place: Option<&Place<'m>>,
    bytes: &'b [u8],
) -> Result<Option<Operand<'b>>, Error> {
    place.map(|p| p.operand(bytes)).transpose()
}
