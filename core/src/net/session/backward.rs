//! The backward pass.

use super::forward::{Tap, extent};
use super::{Place, Session, carve, floats, floats_mut};
use crate::classifier::{Rule, Score};
use crate::error::Error;
use crate::net::int8::{self, Saved8};
use crate::net::model::{NodeView, Plan};
use crate::net::op::{Activation, Op};
use crate::net::ops::{self, Operand, Saved};
use crate::net::quant;
use crate::tensor::{TensorId, Values};

impl<'m> Session<'m, '_> {
    /// As [`Layers::backward`](crate::Layers::backward); shows `tap` the gradient
    /// of each node's output (behind the node's own ReLU), last node first. Nodes
    /// that no gradient passes are left out.
    ///
    /// # Errors
    /// As [`Layers::backward`](crate::Layers::backward), and what `tap` reports.
    pub fn backward_tapped(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        tap: &mut Tap<'_>,
    ) -> Result<(), Error> {
        let (plan, run) = self.backward_plan()?;
        self.seed(&plan, seed, score)?;
        self.run_backward(&plan, score, run.rule, Some(tap))
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
        mut tap: Option<&mut Tap<'_>>,
    ) -> Result<(), Error> {
        let seeded = self.model.score_id(score);
        let count = self.model.node_count();
        let mut reached = false;
        for index in (0..count).rev() {
            let view = self.model.node(index).ok_or(Error::Internal)?;
            reached |= view.output == seeded;
            let active = view.inputs().any(|id| plan.gradient(id).length > 0);
            if !active {
                continue;
            }
            // Nodes behind the seed pass nothing on, but gradients that others
            // add to later are born there.
            self.clear_born(plan, index, &view)?;
            if reached {
                self.step_back(plan, index, &view, rule)?;
                if let Some(tap) = &mut tap {
                    let values = self.values(&plan.gradient(view.output))?;
                    tap(index, 0, Values::Real(values))?;
                }
            }
        }
        Ok(())
    }

    /// Clears the gradients that the way back through a node adds to first;
    /// those of scores were cleared before the seed.
    fn clear_born(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
    ) -> Result<(), Error> {
        let step = 2 * self.model.node_count() - 1 - index;
        let scores = [Score::Logit, Score::Probability].map(|s| self.model.score_id(s));
        for id in view.inputs().filter(|id| !scores.contains(id)) {
            let gradient = plan.gradient(id);
            if gradient.length > 0 && usize::from(gradient.birth) == step {
                let [bytes] = carve(self.arena, [gradient.range()])?;
                bytes.fill(0);
            }
        }
        Ok(())
    }

    fn step_back(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
        rule: Rule,
    ) -> Result<(), Error> {
        self.gate(plan, index, view, rule)?;
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

    /// Applies the rule of the node's own ReLU to the gradient of its output;
    /// int8 nodes also stop it where their output saturates.
    fn gate(
        &mut self,
        plan: &Plan<'_>,
        index: usize,
        view: &NodeView<'_>,
        rule: Rule,
    ) -> Result<(), Error> {
        let is_relu = matches!(
            view.activation,
            Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
        );
        if !is_relu && view.integers.is_none() {
            return Ok(());
        }
        let integer_node = self.model.integer_node(view, 0);
        let node = self.kernel_node(view, 0)?;
        let ranges = [plan.gradient(view.output).range(), plan.keep(index).range()];
        let [gradient, keep] = carve(self.arena, ranges)?;
        let gradient = floats_mut(gradient)?;
        match integer_node {
            Some(node) => int8::gate(&node, rule, keep, gradient),
            None => ops::gate(&node, rule, keep, gradient),
        }
    }

    /// The way back through `Quantise` and `Dequantise`.
    fn convert_back(&mut self, plan: &Plan<'_>, index: usize) -> Result<(), Error> {
        let view = self.model.node(index).ok_or(Error::Internal)?;
        let ranges = [
            plan.gradient(view.output).range(),
            plan.gradient(view.input(0).ok_or(Error::Internal)?).range(),
            plan.keep(index).range(),
        ];
        let output = self.model.tensor(view.output).ok_or(Error::Internal)?;
        let [grad_out, grad_in, keep] = carve(self.arena, ranges)?;
        let (grad_out, grad_in) = (floats(grad_out)?, floats_mut(grad_in)?);
        match (view.op, output.quant) {
            (Op::Quantise { scale, .. }, Some(quant)) => {
                quant::quantise_backward(grad_out, quant.scale / scale, keep, grad_in);
            }
            _ => {
                for (to, g) in grad_in.iter_mut().zip(grad_out) {
                    *to += g;
                }
            }
        }
        Ok(())
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
            return self.convert_back(plan, index);
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
        let ranges = [
            plan.gradient(view.output).range(),
            plan.gradient(view.input(part).ok_or(Error::Internal)?)
                .range(),
            plan.keep(index).range(),
            self.scratch_range(plan),
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
