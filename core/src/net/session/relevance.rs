//! The relevance pass.

use super::forward::extent;
use super::stream_back::clear;
use super::{Place, Run, Session, carve, floats, floats_mut};
use crate::classifier::{At, Rule, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::int8::RealChannels;
use crate::net::model::{NodeView, Pass, Plan};
use crate::net::op::{Activation, Arithmetic, Op};
use crate::net::ops::Node;
use crate::net::relevance::{
    Flow, Layer, Norm, Pair, Range, Room, Setting, Weights, linear, maximum, moved, passed,
    product, sum,
};
use crate::relevance::{Balance, LayerRelevance, RelevanceRules, SumRule};
use crate::tensor::{Shape, TensorId, Values};

/// What the whole pass has in common.
struct Pace<'p, 'm> {
    plan: Plan<'m>,
    rules: &'p RelevanceRules,
    /// The last layer with weights.
    last: Option<usize>,
    range: Option<Range>,
}

/// One input of one node.
struct Step<'v, 'm> {
    index: usize,
    view: &'v NodeView<'m>,
    part: usize,
    /// Elements before it along the axis of a `Concat`.
    offset: usize,
}

impl<'m> Session<'m, '_> {
    /// Runs forward and keeps every value that relevance reads.
    pub(super) fn keep_for_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Relevance)?;
        self.run_forward(&plan, x, None, None)?;
        self.last = Some(Run {
            at: At::Input,
            rule: Rule::Gradient,
            relevance: true,
        });
        Ok(())
    }

    /// From the logits back to the input.
    pub(super) fn propagate(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        rules.check()?;
        if self.last.is_none_or(|run| !run.relevance) {
            return Err(Error::BadOrder);
        }
        let plan = self.plan(Pass::Relevance)?;
        let pace = Pace {
            plan,
            rules,
            last: self.model.last_weighted(&plan),
            range: self.model.pixel_range(),
        };
        self.seed_relevance(&plan, seed)?;
        for index in (0..self.model.node_count()).rev() {
            let view = self.model.node(index).ok_or(Error::Internal)?;
            if plan.gradient(view.output).length > 0 {
                let sums = self.node_relevance(&pace, index, &view)?;
                balance(&sums)?;
            }
        }
        self.values(&plan.gradient(self.model.input_id()))
    }

    /// The relevance of a class is its logit.
    fn seed_relevance(&mut self, plan: &Plan<'_>, seed: &[(usize, f32)]) -> Result<(), Error> {
        let classes = self.model.classes();
        let logits = self.model.score_id(Score::Logit);
        let ranges = [plan.value(logits).range(), plan.gradient(logits).range()];
        let [values, relevance] = carve(self.arena, ranges)?;
        let (values, relevance) = (floats(values)?, floats_mut(relevance)?);
        clear(relevance);
        for &(target, weight) in seed {
            let wrong = Error::TargetOutOfRange { target, classes };
            let logit = *values.get(target).ok_or(wrong)?;
            if !logit.is_finite() {
                return Err(Error::ScoreNotFinite { class: target });
            }
            *relevance.get_mut(target).ok_or(wrong)? += weight * logit;
        }
        Ok(())
    }

    fn node_relevance(
        &mut self,
        pace: &Pace<'_, 'm>,
        index: usize,
        view: &NodeView<'m>,
    ) -> Result<LayerRelevance, Error> {
        let plan = &pace.plan;
        let out = self.values(&plan.gradient(view.output))?;
        let mut sums = LayerRelevance {
            node: index,
            out: out.iter().map(|&r| f64::from(r)).sum(),
            ..LayerRelevance::default()
        };
        let nothing = out.iter().all(|&r| r == 0.0);
        let step = self.model.back_step(index);
        for id in view.inputs() {
            let relevance = plan.gradient(id);
            if relevance.length > 0 && usize::from(relevance.birth) == step {
                let [bytes] = carve(self.arena, [relevance.range()])?;
                clear(floats_mut(bytes)?);
            }
        }
        if nothing {
            return Ok(sums);
        }
        let parts = match view.op {
            Op::Binary(_) | Op::Concat { .. } => view.inputs().len(),
            _ => 1,
        };
        let mut offset = 0;
        for part in 0..parts {
            let step = Step {
                index,
                view,
                part,
                offset,
            };
            self.part_relevance(pace, &step, &mut sums)?;
            if let Op::Concat { axis } = view.op {
                offset += extent(self.part_shape(view, part)?, axis);
            }
        }
        if let Op::Pad { .. } | Op::Concat { .. } = view.op {
            // What lies on the padding, or on constants.
            sums.bias = sums.out - sums.into;
        }
        Ok(sums)
    }

    /// What one input of a node gets.
    fn part_relevance(
        &mut self,
        pace: &Pace<'_, 'm>,
        step: &Step<'_, 'm>,
        sums: &mut LayerRelevance,
    ) -> Result<(), Error> {
        let (plan, view, isa) = (&pace.plan, step.view, self.isa);
        let input = view.input(step.part).ok_or(Error::Internal)?;
        let into = plan.gradient(input);
        let layer = self.layer(pace, step)?;
        let node = self.bare_node(view, input);
        let shapes = [0, 1].map(|part| view.input(part).map(|id| self.model.shape(id)));
        let shapes = shapes.map(|shape| shape.unwrap_or(Shape::new(0, 0, 0)));
        let signal = self.model.signal(view, step.part).unwrap_or(1.0);
        let needs_values = plan.scratch(step.index).length > 0;
        let place = |part: usize| match view.input(part).filter(|_| needs_values) {
            Some(id) => Place::of(self.model, plan, id).map(Some),
            None => Ok(None),
        };
        let (a, b) = (place(0)?, place(1)?);
        let range = |p: &Option<Place<'_>>| p.as_ref().map_or(0..0, Place::range);
        let same = range(&a) == range(&b);
        let ranges = [
            plan.gradient(view.output).range(),
            into.range(),
            plan.scratch(step.index).range(),
            self.scratch_range(plan),
            range(&a),
            if same { 0..0 } else { range(&b) },
        ];
        let [out, bytes, room, scratch, a_bytes, b_bytes] = carve(self.arena, ranges)?;
        let b_bytes = if same { &*a_bytes } else { &*b_bytes };
        let (out, to) = (floats(out)?, floats_mut(bytes)?);
        let values = |p: &Option<Place<'m>>, bytes| match p {
            Some(place) => place.values(bytes),
            None => Ok(Values::Real(&[])),
        };
        let values = [values(&a, a_bytes)?, values(&b, b_bytes)?];
        let room = Room::of(view.op, shapes, node.output, floats_mut(room)?);
        let room = &mut room.ok_or(Error::Internal)?;
        if let Some((layer, setting)) = &layer {
            let places = (room, floats_mut(scratch)?);
            return linear((layer, &values[0], setting), out, to, places, sums);
        }
        let rules = pace.rules;
        match view.op {
            Op::MaxPool(_) | Op::GlobalMaxPool => {
                let epsilon = rules.stabilise_maximum.then_some(rules.epsilon);
                maximum((&node, &values[0], epsilon), out, to, (room, isa), sums)
            }
            Op::Binary(operator) => {
                let pair = Pair {
                    node: &node,
                    shapes,
                    values,
                    part: step.part,
                };
                let flow = Flow {
                    out,
                    into: (into.length > 0).then_some(to),
                    room,
                    isa,
                };
                let sums_up = matches!(operator, Arithmetic::Add | Arithmetic::Sub);
                match sums_up {
                    false => product(&pair, flow, signal, sums),
                    true if rules.sum == SumRule::Copy => copied(&pair, flow, sums),
                    true => sum(&pair, flow, rules.epsilon, sums),
                }
            }
            Op::Concat { .. } | Op::Slice { .. } | Op::Shuffle { .. } | Op::Pad { .. } => {
                match into.length {
                    0 => Ok(()),
                    _ => moved((&node, step.part, step.offset), out, to, isa, sums),
                }
            }
            _ => {
                passed(out, to, sums);
                Ok(())
            }
        }
    }

    /// The node without its activation, on one of its inputs.
    fn bare_node(&self, view: &NodeView<'m>, input: TensorId) -> Node<'m> {
        Node {
            op: view.op,
            activation: Activation::None,
            input: self.model.shape(input),
            output: self.model.shape(view.output),
            weights: view.weights,
            bias: view.bias,
        }
    }

    /// The layer and its rule, if the node is linear in one input.
    fn layer(
        &self,
        pace: &Pace<'_, 'm>,
        step: &Step<'_, 'm>,
    ) -> Result<Option<(Layer<'m>, Setting)>, Error> {
        let (view, rules) = (step.view, pace.rules);
        let is_linear = matches!(
            view.op,
            Op::Conv { .. }
                | Op::Depthwise { .. }
                | Op::Dense
                | Op::Affine
                | Op::AveragePool { .. }
                | Op::Mean { .. }
        );
        if !is_linear || self.model.is_folded(step.index, rules) {
            return Ok(None);
        }
        let input = view.input(0).ok_or(Error::Internal)?;
        let weights = match self.model.integer_node(view, 0) {
            Some(node) if matches!(view.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense) => {
                Weights::Stored(RealChannels::of(&node).ok_or(Error::Internal)?)
            }
            _ => Weights::Real(view.weights, view.bias),
        };
        let norm = self.model.norm_behind(view, rules);
        let layer = Layer {
            op: view.op,
            input: self.model.shape(input),
            output: self.model.shape(view.output),
            weights,
            norm: norm.map(|norm| Norm {
                scale: norm.weights,
                shift: norm.bias,
            }),
            isa: self.isa,
        };
        let (rule, epsilon) = self.model.layer_rule((step.index, view), pace.last, rules);
        let setting = Setting {
            rule,
            epsilon,
            bias: rules.bias,
            range: pace.range.filter(|_| layer.input.c == self.model.input().c),
        };
        Ok(Some((layer, setting)))
    }
}

/// All of it to every operand, as a gradient goes.
fn copied(pair: &Pair<'_>, flow: Flow<'_, '_>, sums: &mut LayerRelevance) -> Result<(), Error> {
    match flow.into {
        Some(into) => moved((pair.node, pair.part, 0), flow.out, into, flow.isa, sums),
        None => Ok(()),
    }
}
