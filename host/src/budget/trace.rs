//! Runs a network on this machine and counts what each node repeats, on the
//! values that it really has: some loops skip zeros.

mod back;

use std::ops::Range;

use foveola_core::net::model::{Model, NodeView, Pass, Plan};
use foveola_core::net::op::Op;
use foveola_core::net::ops::Node;
use foveola_core::net::session::Session;
use foveola_core::tensor::Values;
use foveola_core::{At, Error, Mask, Masked, Picture, Rule, Shape, TensorId};

use super::counts::Counts;
use super::nodes::integers::{self, Integral};
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

/// Rows of the picture that a pass loads; none where pixels become integers
/// by a look into tables.
pub fn rows(model: &Model<'_>, x: &Masked<'_>, back: Back) -> usize {
    let input = model.input();
    let Some(plan) = plan(model, back) else {
        return 0;
    };
    let views = (0..model.node_count()).filter_map(|i| model.node(i));
    let mut first = views.filter(|view| model.loads_rows(&plan, view));
    let Some(view) = first.next() else {
        return input.h;
    };
    if tables(model, &plan, &view, x).is_some() {
        return 0;
    }
    let end = model
        .row_window(&view)
        .map(|window| window.end(model.shape(view.output).h.saturating_sub(1)));
    end.map_or(input.h, |end| end.min(input.h))
}

/// How many tables there are for the pixels of a node that reads rows of the
/// picture, if it looks them up.
fn tables(
    model: &Model<'_>,
    plan: &Plan<'_>,
    view: &NodeView<'_>,
    x: &Masked<'_>,
) -> Option<usize> {
    let (Op::Quantise { .. }, Mask::Keep) = (view.op, x.mask) else {
        return None;
    };
    let Picture::Pixels {
        shape,
        normalisation,
        ..
    } = x.picture
    else {
        return None;
    };
    let of = |c: usize| (normalisation.mean[c], normalisation.scale[c]);
    let alike = (1..shape.c).all(|c| of(c) == of(0));
    let tables = if alike { 1 } else { shape.c };
    (tables <= plan.value(model.input_id()).length / 256).then_some(tables)
}

/// Whether the picture becomes integers at once.
pub fn quantises(model: &Model<'_>) -> bool {
    let first = model.node(0);
    first.is_some_and(|view| matches!(view.op, Op::Quantise { .. }))
}

/// Whether a node computes with integers, makes them or ends them.
fn is_int8(view: &NodeView<'_>) -> bool {
    view.integers.is_some() || matches!(view.op, Op::Quantise { .. } | Op::Dequantise)
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

/// A node on integers, or one that makes or ends them.
fn integral<'m>(
    model: &Model<'m>,
    plan: &Plan<'_>,
    view: &NodeView<'m>,
    (part, way): (usize, Way),
) -> Integral<'m> {
    let of = |id: TensorId| model.tensor(id).and_then(|tensor| tensor.quant);
    let input = view.input(part).unwrap_or(model.input_id());
    let numbers = view.integers;
    let is_concat = matches!(view.op, Op::Concat { .. });
    let output = plan.value(view.output).range();
    Integral {
        op: view.op,
        activation: view.activation,
        input: model.shape(input),
        output: model.shape(view.output),
        bytes: numbers.map_or(&[], |n| n.bytes),
        words: numbers.map_or(&[], |n| n.words),
        range: numbers.map_or([i8::MIN, i8::MAX], |n| n.range),
        weights_zero_point: numbers.map_or(0, |n| n.weights_zero_point),
        same: of(input) == of(view.output),
        ring: way.ring,
        over: !is_concat && view.inputs().any(|id| plan.value(id).range() == output),
        keeps: way.keeps,
    }
}

impl Trace {
    /// Values of a tensor.
    pub fn tensor(&self, id: TensorId) -> &[f32] {
        self.values
            .get(usize::from(id.0))
            .map_or(&[], Vec::as_slice)
    }

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
                *values = constant.iter().collect();
            }
        }
        values[usize::from(model.input_id().0)] = picture(x)?;
        let mut tap = |index: usize, from: usize, output: Values<'_>| {
            let view = model.node(index).ok_or(Error::Internal)?;
            let all = &mut values[usize::from(view.output.0)];
            all.truncate(from);
            all.extend(output.iter());
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
            trace.group(model, &plan, group, x, back.map(|(_, rule)| rule))?;
        }
        Ok(trace)
    }

    /// Counts the nodes of a group that runs row by row, or one by itself.
    fn group(
        &mut self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        group: Range<usize>,
        x: &Masked<'_>,
        rule: Option<Rule>,
    ) -> Result<(), Error> {
        let view = |index: usize| model.node(index).ok_or(Error::Internal);
        let (first, last) = (view(group.start)?, view(group.end - 1)?);
        let pour = model.pour(plan, last.output);
        let streamed = group.len() > 1 || model.loads_rows(plan, &first) || pour.is_some();
        for index in group.clone() {
            let view = view(index)?;
            let mut counts = Counts::default();
            let keeps = plan.keep(index).length > 0;
            let way = self.way(model, plan, &view, (keeps, streamed));
            let tables = match model.loads_rows(plan, &view) {
                true => tables(model, plan, &view, x),
                false => None,
            };
            match tables {
                Some(tables) => {
                    let node = integral(model, plan, &view, (0, way));
                    integers::look_up(&mut counts, &node, tables);
                    counts.add("node8.look", 1.0);
                }
                None => self.node(model, plan, &view, way, &mut counts),
            }
            if let Some(rule) = rule.filter(|_| keeps) {
                if is_int8(&view) {
                    let node = integral(model, plan, &view, (0, way));
                    integers::record(&mut counts, &node, streamed);
                } else {
                    nodes::record(&mut counts, &node(model, &view, 0), rule, streamed);
                }
            }
            self.nodes[index] = counts;
        }
        if let Some(pour) = pour {
            self.pour(model, plan, (pour.node, pour.part), group.end - 1)?;
        }
        if streamed {
            let word = match group
                .clone()
                .all(|i| model.node(i).is_some_and(|v| !is_int8(&v)))
            {
                true => "stream",
                false => "stream8",
            };
            let scans = scans(model, plan, group.clone()).ok_or(Error::Internal)?;
            for (index, (rows, looked)) in group.zip(scans) {
                let op = view(index)?.op;
                let counts = &mut self.nodes[index];
                counts.add(format!("{word}.row"), rows as f64);
                if word == "stream8" {
                    counts.add(format!("{word}.{}", row_word(&op)), rows as f64);
                }
                counts.add(format!("{word}.look"), looked as f64);
            }
        }
        Ok(())
    }

    /// Rows that go to their place in a `Concat`'s output as they are made: the
    /// work of their maker.
    fn pour(
        &mut self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        (to, part): (usize, usize),
        maker: usize,
    ) -> Result<(), Error> {
        let view = model.node(to).ok_or(Error::Internal)?;
        let one = |shape: Shape| Shape { h: 1, ..shape };
        let mut counts = Counts::default();
        let whole = node(model, &view, part);
        let row = Node {
            input: one(whole.input),
            output: one(whole.output),
            ..whole
        };
        let empty = Input {
            shape: row.input,
            values: &[],
        };
        if is_int8(&view) {
            let integral = Integral {
                input: row.input,
                output: row.output,
                ..integral(model, plan, &view, (part, Way::default()))
            };
            integers::forward(&mut counts, &integral, &[empty]);
        } else {
            nodes::forward(&mut counts, &row, &[empty], Way::default());
        }
        counts.add("pour", 1.0);
        self.nodes[maker].merge(&counts, whole.input.h as f64);
        Ok(())
    }

    fn inputs(&self, model: &Model<'_>, view: &NodeView<'_>) -> Vec<Input<'_>> {
        let input = |id: TensorId| Input {
            shape: model.shape(id),
            values: &self.values[usize::from(id.0)],
        };
        view.inputs().map(input).collect()
    }

    fn way(
        &self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        view: &NodeView<'_>,
        (keeps, streamed): (bool, bool),
    ) -> Way {
        let ring = view.input(0).map_or(0, |id| {
            let element = model.tensor(id).map_or(4, |tensor| tensor.element());
            plan.value(id).length / element.max(1) / model.shape(id).row().max(1)
        });
        Way {
            keeps,
            ring: streamed.then_some(ring),
        }
    }

    fn node(
        &self,
        model: &Model<'_>,
        plan: &Plan<'_>,
        view: &NodeView<'_>,
        way: Way,
        counts: &mut Counts,
    ) {
        let inputs = self.inputs(model, view);
        let parts = if let Op::Concat { .. } = view.op {
            inputs.len()
        } else {
            1
        };
        let is_int8 = is_int8(view);
        let mut own = Counts::default();
        for part in 0..parts {
            let id = view.input(part);
            if id.is_some_and(|id| model.is_poured(plan, view, id)) {
                continue;
            }
            if is_int8 {
                let node = integral(model, plan, view, (part, way));
                integers::forward(&mut own, &node, &inputs);
            } else {
                nodes::forward(&mut own, &node(model, view, part), &inputs, way);
            }
        }
        // A kernel that writes over its input is another one.
        let output = plan.value(view.output).range();
        let over = view.inputs().any(|id| plan.value(id).range() == output);
        match over && !is_int8 {
            true => counts.merge_as("over", &own),
            false => counts.merge(&own, 1.0),
        }
        let call = match is_int8 {
            true => format!("node8.{}", op_name(&view.op)),
            false => format!("node.{}", op_word(&view.op)),
        };
        counts.add(call, 1.0);
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

/// As [`op_word`], one for each operator.
fn op_name(op: &Op) -> String {
    let name = match op {
        Op::Conv { .. } => "conv",
        Op::Dense => "dense",
        Op::Depthwise { .. } => "depthwise",
        Op::Binary(arithmetic) => return format!("{arithmetic:?}").to_lowercase(),
        Op::Activate => "activate",
        Op::MaxPool(_) | Op::AveragePool { .. } => "pool",
        Op::Mean { .. } => "mean",
        Op::GlobalMaxPool => "global",
        Op::Concat { .. } => "concat",
        Op::Softmax => "softmax",
        Op::Quantise { .. } => "quantise",
        Op::Dequantise => "dequantise",
        Op::Pad { .. } => "pad",
        Op::Slice { .. } => "slice",
        Op::Shuffle { .. } => "shuffle",
        _ => "other",
    };
    String::from(name)
}

/// A word for how a row is made.
const fn row_word(op: &Op) -> &'static str {
    match op {
        Op::Conv { .. } | Op::Depthwise { .. } => "window",
        Op::MaxPool(_) | Op::AveragePool { .. } => "pool",
        Op::Quantise { .. } | Op::Dequantise => "convert",
        _ => "even",
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
