//! Runs a network on this machine and counts what each node repeats, on the
//! values that it really has: some loops skip zeros.

use std::ops::Range;

use foveola_core::net::model::{Model, NodeView, Pass, Plan};
use foveola_core::net::op::{Activation, Op};
use foveola_core::net::ops::Node;
use foveola_core::net::session::Session;
use foveola_core::tensor::Values;
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
    let input = model.input();
    let Some(plan) = plan(model, back) else {
        return 0;
    };
    let views = (0..model.node_count()).filter_map(|i| model.node(i));
    let mut first = views.filter(|view| model.loads_rows(&plan, view));
    let window = first.next().and_then(|view| {
        let window = model.row_window(&view)?;
        Some(window.end(model.shape(view.output).h.saturating_sub(1)))
    });
    window.map_or(input.h, |end| end.min(input.h))
}

/// Whether all nodes compute with real numbers; prices know no others.
pub fn is_real(model: &Model<'_>) -> bool {
    let mut views = (0..model.node_count()).filter_map(|i| model.node(i));
    views.all(|view| {
        view.integers.is_none() && !matches!(view.op, Op::Quantise { .. } | Op::Dequantise)
    })
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
                *values = real(constant)?.to_vec();
            }
        }
        values[usize::from(model.input_id().0)] = picture(x)?;
        let mut tap = |index: usize, from: usize, output: Values<'_>| {
            let (view, output) = (model.node(index).ok_or(Error::Internal)?, real(output)?);
            let all = &mut values[usize::from(view.output.0)];
            all.truncate(from);
            all.extend_from_slice(output);
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
        trace.nodes = vec![Counts::default(); model.node_count()];
        let mut next = 0;
        while next < model.node_count() {
            let group = model.together(&plan, next);
            next = group.end;
            trace.group(model, &plan, group, back.map(|(_, rule)| rule))?;
        }
        Ok(trace)
    }

    /// Counts the nodes of a group that runs row by row, or one by itself.
    fn group(
        &mut self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        group: Range<usize>,
        rule: Option<Rule>,
    ) -> Result<(), Error> {
        let first = model.node(group.start).ok_or(Error::Internal)?;
        let streamed = group.len() > 1 || model.loads_rows(plan, &first);
        for index in group.clone() {
            let view = model.node(index).ok_or(Error::Internal)?;
            let mut counts = Counts::default();
            let keeps = plan.keep(index).length > 0;
            self.node(model, plan, &view, (keeps, streamed), &mut counts);
            if let Some(rule) = rule.filter(|_| keeps) {
                nodes::record(&mut counts, &node(model, &view, 0), rule, streamed);
            }
            self.nodes[index] = counts;
        }
        if streamed {
            let scans = scans(model, plan, group.clone()).ok_or(Error::Internal)?;
            for (index, (rows, looked)) in group.zip(scans) {
                let counts = &mut self.nodes[index];
                counts.add("stream.row", rows as f64);
                counts.add("stream.look", looked as f64);
            }
        }
        Ok(())
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
        (keeps, streamed): (bool, bool),
        counts: &mut Counts,
    ) {
        let ring = view.input(0).map_or(0, |id| {
            plan.value(id).length / 4 / model.shape(id).row().max(1)
        });
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
        let mut own = Counts::default();
        for part in 0..parts {
            nodes::forward(&mut own, &node(model, view, part), &inputs, way);
        }
        // A kernel that writes over its input is another one.
        let output = plan.value(view.output).range();
        match view.inputs().any(|id| plan.value(id).range() == output) {
            true => counts.merge_as("over", &own),
            false => counts.merge(&own, 1.0),
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
        let mut tap = |index: usize, _: usize, gradient: Values<'_>| {
            let (view, gradient) = (model.node(index).ok_or(Error::Internal)?, real(gradient)?);
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

/// Values of a network without integers.
fn real(values: Values<'_>) -> Result<&[f32], Error> {
    match values {
        Values::Real(values) => Ok(values),
        Values::Stored { .. } => Err(Error::Internal),
    }
}

/// Of each node of a group that runs row by row: its rows, and how many nodes
/// were looked at before each of them was made. The picture's rows are the
/// first node's.
fn scans(model: &Model<'_>, plan: &Plan<'_>, group: Range<usize>) -> Option<Vec<(usize, usize)>> {
    let views = group.clone().map(|i| model.node(i));
    let views: Vec<NodeView<'_>> = views.collect::<Option<_>>()?;
    let heights = |view: &NodeView<'_>| Some(model.shape(view.input(0)?).h);
    let mut done = vec![0; views.len() + 1];
    if !model.loads_rows(plan, views.first()?) {
        done[0] = usize::MAX / 2;
    }
    let mut all = vec![(0, 0); views.len()];
    while *done.last()? < model.shape(views.last()?.output).h {
        let mut stage = views.len();
        let mut looked = 0;
        while stage > 0 {
            looked += 1;
            let view = &views[stage - 1];
            let end = model.row_window(view)?.end(done[stage]);
            if done[stage - 1] >= end.min(heights(view)?) {
                break;
            }
            stage -= 1;
        }
        done[stage] += 1;
        let counted = &mut all[stage.saturating_sub(1)];
        counted.0 += usize::from(stage > 0);
        counted.1 += looked;
    }
    Some(all)
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
