//! Runs a network on this machine and counts what each node repeats, on the
//! values that it really has: some loops skip zeros.

use foveola_core::net::model::{Model, NodeView, Pass, Plan};
use foveola_core::net::op::{Activation, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::session::Session;
use foveola_core::{At, Error, Masked, Rule, Score, TensorId};

use super::counts::{Counts, Kernel};
use super::nodes::{self, Input, Way};

/// What one forward pass left.
pub struct Trace {
    /// Values by tensor.
    values: Vec<Vec<f32>>,
    /// Counts of each node.
    pub nodes: Vec<Counts>,
}

/// How gradients go back, where a pass keeps what they need.
pub type Back = Option<(At, Rule)>;

/// Rows of the picture that a pass reads.
pub fn rows(model: &Model<'_>, back: Back) -> usize {
    let (input, Some(plan)) = (model.input(), plan(model, back)) else {
        return 0;
    };
    let first = (0..model.node_count()).filter_map(|i| model.node(i));
    let mut first = first.filter(|node| node.input(0) == Some(model.input_id()));
    let streamed = model.is_streamed(&plan);
    match first.next() {
        Some(node) if streamed => reach(&node.op, model.shape(node.output).h).min(input.h),
        _ => input.h,
    }
}

/// One past the last input row that a sliding window over `rows` rows reads.
fn reach(op: &Op, rows: usize) -> usize {
    let (Op::Conv { geometry, .. } | Op::Depthwise { geometry }) = op else {
        return usize::MAX;
    };
    let of = |pair: [u16; 2]| usize::from(pair[0]);
    let span = (of(geometry.kernel) - 1) * of(geometry.dilation) + 1;
    let last = rows.saturating_sub(1) * of(geometry.stride);
    (last + span).saturating_sub(of(geometry.pad))
}

fn plan<'m>(model: &Model<'m>, back: Back) -> Option<Plan<'m>> {
    model.plan(back.map_or(Pass::Forward, |(at, _)| Pass::Backward(at)))
}

fn node<'m>(model: &Model<'m>, view: &NodeView<'m>, part: usize) -> Node<'m> {
    Node {
        op: view.op,
        activation: view.activation,
        input: view.input(part).map_or(model.input(), |id| model.shape(id)),
        output: model.shape(view.output),
        weights: view.weights,
        bias: view.bias,
    }
}

impl Trace {
    /// Runs forward.
    pub fn forward(
        model: &Model<'_>,
        session: &mut Session<'_, '_>,
        x: &Masked<'_>,
        back: Back,
    ) -> Result<Self, Error> {
        let mut values = vec![Vec::new(); model.tensor_count()];
        for (i, values) in values.iter_mut().enumerate() {
            let tensor = u16::try_from(i)
                .ok()
                .and_then(|i| model.tensor(TensorId(i)));
            if let Some(constant) = tensor.and_then(|tensor| tensor.constant) {
                *values = constant.to_vec();
            }
        }
        values[usize::from(model.input_id().0)] = picture(x)?;
        let mut tap = |index: usize, output: &[f32]| {
            let view = model.node(index).ok_or(Error::Internal)?;
            values[usize::from(view.output.0)] = output.to_vec();
            Ok(())
        };
        match back {
            None => session.forward_tapped(x, &mut tap)?,
            Some((at, rule)) => session.run_tapped(x, at, rule, &mut tap)?,
        }
        let mut trace = Self {
            values,
            nodes: Vec::new(),
        };
        let plan = plan(model, back).ok_or(Error::NoPlan)?;
        let views = (0..model.node_count()).filter_map(|i| model.node(i));
        for (index, view) in views.enumerate() {
            let mut counts = Counts::default();
            trace.node(
                model,
                &plan,
                &view,
                plan.keep(index).length > 0,
                &mut counts,
            );
            if let Some((_, rule)) = back.filter(|_| plan.keep(index).length > 0) {
                nodes::record(&mut counts, &node(model, &view, 0), rule);
            }
            trace.nodes.push(counts);
        }
        Ok(trace)
    }

    fn inputs(&self, model: &Model<'_>, view: &NodeView<'_>) -> Vec<Input<'_>> {
        let input = |id: TensorId| Input {
            shape: model.shape(id),
            values: &self.values[usize::from(id.0)],
        };
        view.inputs().map(input).collect()
    }

    fn node(
        &self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        view: &NodeView<'_>,
        keeps: bool,
        counts: &mut Counts,
    ) {
        let input = model.input();
        let streamed = model.is_streamed(plan) && view.input(0) == Some(model.input_id());
        let ring = plan.value(model.input_id()).length / 4 / input.row().max(1);
        let way = Way {
            keeps,
            ring: streamed.then_some(ring),
        };
        let inputs = self.inputs(model, view);
        let parts = if let Op::Concat { .. } = view.op {
            inputs.len()
        } else {
            1
        };
        for part in 0..parts {
            nodes::forward(counts, &node(model, view, part), &inputs, way);
        }
        let call = format!("node.{}", op_word(&view.op));
        counts.add(call, 1.0);
    }

    /// Runs back from the score of a class; the counts of each node.
    pub fn backward(
        &self,
        model: &Model<'_>,
        session: &mut Session<'_, '_>,
        (at, rule): (At, Rule),
        (target, score): (usize, Score),
    ) -> Result<Vec<Counts>, Error> {
        let plan = model.plan(Pass::Backward(at)).ok_or(Error::NoPlan)?;
        let mut all = vec![Counts::default(); model.node_count()];
        let mut tap = |index: usize, gradient: &[f32]| {
            let view = model.node(index).ok_or(Error::Internal)?;
            self.node_back(
                model,
                (&plan, index),
                &view,
                rule,
                gradient,
                &mut all[index],
            );
            Ok(())
        };
        session.backward_tapped(&[(target, 1.0)], score, &mut tap)?;
        Ok(all)
    }

    fn node_back(
        &self,
        model: &Model<'_>,
        (plan, index): (&Plan<'_>, usize),
        view: &NodeView<'_>,
        rule: Rule,
        gradient: &[f32],
        counts: &mut Counts,
    ) {
        let gated = matches!(
            view.activation,
            Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
        );
        if gated {
            nodes::gate(counts, &node(model, view, 0), rule);
        }
        let step = 2 * model.node_count() - 1 - index;
        let inputs = self.inputs(model, view);
        for (part, id) in view.inputs().enumerate() {
            let to = plan.gradient(id);
            if to.length == 0 {
                continue;
            }
            let repeated = view.inputs().take(part).any(|earlier| earlier == id);
            if usize::from(to.birth) == step && !repeated {
                Kernel::new(counts, "clear").each("words", 1, to.length / 4);
            }
            nodes::backward(
                counts,
                &node(model, view, part),
                part,
                &inputs,
                (gradient, rule),
            );
            counts.add(format!("back.{}", op_word(&view.op)), 1.0);
        }
    }
}

/// A word for what an operator costs besides its loops.
const fn op_word(op: &Op) -> &'static str {
    match op {
        Op::Conv { .. } | Op::Dense => "conv",
        Op::Depthwise { .. } => "depthwise",
        Op::Binary(_) | Op::PRelu => "binary",
        _ => "other",
    }
}

/// The masked picture in model space.
fn picture(x: &Masked<'_>) -> Result<Vec<f32>, Error> {
    let shape = x.shape();
    let mut values = vec![0.0; shape.len()];
    for (y, row) in values.chunks_exact_mut(shape.row().max(1)).enumerate() {
        x.row(y, row)?;
    }
    Ok(values)
}
