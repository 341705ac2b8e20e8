//! The way back: what each node repeats on the gradients that it really has.

use std::ops::Range;

use foveola_core::net::model::{Buffer, Model, NodeView, Pass, Plan};
use foveola_core::net::op::Activation;
use foveola_core::net::session::{Session, gap_part};
use foveola_core::tensor::Values;
use foveola_core::{At, Error, Rule, Score, TensorId};

use super::super::counts::{Counts, Kernel};
use super::super::nodes::{self, Way, integers};
use super::{Trace, integral, is_int8, node, op_name, op_word};

/// What the way back repeats.
pub struct Return {
    /// Up to where the gradient of each node's output was there; empty where
    /// nodes run together, row by row, and nobody can tell.
    pub nodes: Vec<Counts>,
    /// All of it.
    pub counts: Counts,
}

/// A way back that is walked.
struct Walk<'w> {
    trace: &'w Trace,
    model: &'w Model<'w>,
    plan: Plan<'w>,
    rule: Rule,
    /// Gradients of the nodes' outputs.
    gradients: Vec<Vec<f32>>,
    nodes: Vec<Counts>,
    /// What came after the last gradient that was there.
    pending: Counts,
    by_rows: bool,
}

impl Trace {
    /// Runs back from the score of a class.
    pub fn backward(
        &self,
        model: &Model<'_>,
        session: &mut Session<'_, '_>,
        (at, rule): (At, Rule),
        (target, score): (usize, Score),
    ) -> Result<Return, Error> {
        let mut gradients = vec![Vec::new(); model.node_count()];
        let mut tap = |index: usize, first: usize, gradient: Values<'_>| {
            let all: &mut Vec<f32> = &mut gradients[index];
            all.truncate(first);
            all.extend(gradient.iter());
            Ok(())
        };
        session.backward_tapped(&[(target, 1.0)], score, &mut tap)?;
        let mut walk = Walk {
            trace: self,
            model,
            plan: model.plan(Pass::Backward(at)).ok_or(Error::NoPlan)?,
            rule,
            gradients,
            nodes: vec![Counts::default(); model.node_count()],
            pending: Counts::default(),
            by_rows: false,
        };
        walk.run(score).ok_or(Error::Internal)?;
        let mut counts = walk.pending;
        walk.nodes.iter().for_each(|node| counts.merge(node, 1.0));
        let nodes = if walk.by_rows { Vec::new() } else { walk.nodes };
        Ok(Return { nodes, counts })
    }
}

impl Walk<'_> {
    fn run(&mut self, score: Score) -> Option<()> {
        let (model, seeded) = (self.model, self.model.score_id(score));
        let mut reached = false;
        let mut end = model.node_count();
        while let Some(last) = end.checked_sub(1) {
            let group = model.together_back(&self.plan, last);
            end = group.start;
            let view = model.node(last)?;
            reached |= view.output == seeded;
            let mut inputs = view.inputs();
            if !inputs.any(|id| self.plan.gradient(id).length > 0) {
                continue;
            }
            self.clear(&group)?;
            if !reached {
                continue;
            }
            if model.streams_back(&self.plan, &group) {
                self.by_rows = true;
                self.rows(&group)?;
            } else {
                self.gate(last, false)?;
                self.node(last, (&group, false))?;
                self.show(last);
            }
        }
        Some(())
    }

    /// The gradient of a node's output is there.
    fn show(&mut self, index: usize) {
        let pending = std::mem::take(&mut self.pending);
        self.nodes[index].merge(&pending, 1.0);
    }

    /// Gradients that the way back through a group adds to first.
    fn clear(&mut self, group: &Range<usize>) -> Option<()> {
        let (step, _) = steps(self.model, group);
        let scores = [Score::Logit, Score::Probability].map(|s| self.model.score_id(s));
        let mut seen: Vec<TensorId> = Vec::new();
        for index in group.clone() {
            for id in self.model.node(index)?.inputs() {
                let gradient = self.plan.gradient(id);
                let born = gradient.length > 0 && usize::from(gradient.birth) == step;
                if born && !scores.contains(&id) && !seen.contains(&id) {
                    seen.push(id);
                    let mut k = Kernel::new(&mut self.pending, "clear");
                    k.each("words", 1, gradient.length / 4);
                }
            }
        }
        Some(())
    }

    /// A group whose nodes run together.
    fn rows(&mut self, group: &Range<usize>) -> Option<()> {
        let last = group.end - 1;
        self.gate(last, false)?;
        self.show(last);
        self.seek();
        for index in group.clone().rev() {
            self.node(index, (group, true))?;
            let view = self.model.node(index)?;
            for id in view.inputs() {
                if !self.model.is_short_gradient(&self.plan, id) {
                    continue;
                }
                let shape = self.model.shape(id);
                let mut k = Kernel::new(&mut self.pending, "clear");
                k.each("words", shape.h, shape.row());
                k.n("row", shape.h);
                if id == self.model.input_id() {
                    k.each("handed", shape.h, shape.row());
                } else {
                    self.gate(index.checked_sub(1)?, true)?;
                }
            }
        }
        self.show(group.start);
        Some(())
    }

    fn gate(&mut self, index: usize, by_rows: bool) -> Option<()> {
        let view = self.model.node(index)?;
        let gated = matches!(
            view.activation,
            Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
        );
        let counts = &mut self.pending;
        if view.integers.is_some() {
            let node = integral(self.model, &self.plan, &view, (0, Way::default()));
            integers::gate(counts, &node, self.rule, by_rows);
        } else if gated {
            let node = node(self.model, &view, 0);
            nodes::gate(counts, &node, self.rule, by_rows);
        }
        Some(())
    }

    /// Looks for free memory.
    fn seek(&mut self) {
        let arena = self.plan.arena_len();
        let mut k = Kernel::new(&mut self.pending, "seek");
        k.n("call", 1);
        k.n(
            "buffer",
            2 * self.model.tensor_count() + self.model.node_count(),
        );
        k.n("part", arena / gap_part(arena).max(1));
    }

    /// A node's inputs' gradients, from that of its output.
    fn node(&mut self, index: usize, (group, by_rows): (&Range<usize>, bool)) -> Option<()> {
        let view: NodeView<'_> = self.model.node(index)?;
        let free = free(self.model, &self.plan, group);
        let trace = self.trace;
        let inputs = trace.inputs(self.model, &view);
        for (part, id) in view.inputs().enumerate() {
            if self.plan.gradient(id).length == 0 {
                continue;
            }
            if is_int8(&view) && !by_rows {
                self.seek();
            }
            let gradient = (&*self.gradients[index], self.rule);
            let word = if is_int8(&view) {
                let node = integral(self.model, &self.plan, &view, (part, Way::default()));
                let how = (part, by_rows, free);
                integers::backward(&mut self.pending, &node, how, &inputs, gradient);
                format!("back8.{}", op_name(&view.op))
            } else {
                let node = node(self.model, &view, part);
                let how = (part, by_rows);
                nodes::backward(&mut self.pending, &node, how, &inputs, gradient);
                format!("back.{}", op_word(&view.op))
            };
            match by_rows {
                true => {
                    let rows = self.model.shape(id).h;
                    self.pending.add(format!("{word}.row"), rows as f64);
                    self.pending.add("stream_back", (rows * group.len()) as f64);
                }
                false => self.pending.add(word, 1.0),
            }
        }
        Some(())
    }
}

/// First and last step at which a group runs backward.
fn steps(model: &Model<'_>, group: &Range<usize>) -> (usize, usize) {
    let all = 2 * model.node_count();
    (all - group.end, all - (group.start + 1))
}

/// Bytes of the longest free part of the arena while a group runs backward:
/// a board's arena ends with the plan.
fn free(model: &Model<'_>, plan: &Plan<'_>, group: &Range<usize>) -> usize {
    let (from, to) = steps(model, group);
    let tensors = (0..model.tensor_count()).filter_map(|i| u16::try_from(i).ok().map(TensorId));
    let buffers = tensors.flat_map(|id| [plan.value(id), plan.gradient(id)]);
    let buffers = buffers.chain((0..model.node_count()).map(|i| plan.keep(i)));
    let live =
        |b: &Buffer| b.length > 0 && usize::from(b.birth) <= to && from <= usize::from(b.death);
    let part = gap_part(plan.arena_len()).max(1);
    let mut taken = vec![false; plan.arena_len() / part];
    for buffer in buffers.filter(live) {
        let parts = buffer.offset / part..(buffer.offset + buffer.length).div_ceil(part);
        let count = parts.len();
        taken
            .iter_mut()
            .skip(parts.start)
            .take(count)
            .for_each(|taken| *taken = true);
    }
    let runs = taken.split(|taken| *taken).map(<[bool]>::len);
    runs.max().unwrap_or(0) * part
}
