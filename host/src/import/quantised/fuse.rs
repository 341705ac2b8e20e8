//! From `Dequantise`, float operator, `Quantise` to one int8 node.

use std::collections::{HashMap, HashSet};

use foveola_core::TensorId;
use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::super::builder::Builder;
use super::super::error::ImportError;
use super::kernels::{Case, Plan, plan};
use super::weights::{Bias, quantised};
use crate::graph::{Node, Quant, dropped_by};

/// Where values are after fusion.
pub(in super::super) struct Fused {
    /// Tensors that some node makes, and the input.
    live: HashSet<TensorId>,
    /// The tensor that holds another one's value as int8.
    held: HashMap<TensorId, TensorId>,
    /// The scores before the final softmax or sigmoid.
    pub logits: TensorId,
}

impl Fused {
    /// The tensor that holds the value of `id` now.
    pub fn holder(&self, mut id: TensorId) -> Option<TensorId> {
        while !self.live.contains(&id) {
            id = *self.held.get(&id)?;
        }
        Some(id)
    }
}

/// Fuses what can be and drops what nothing reads.
pub(in super::super) fn fuse(b: &mut Builder, output: TensorId) -> Result<Fused, ImportError> {
    let quantised = b.tensors.iter().any(|t| t.quant.is_some());
    let nodes = std::mem::take(&mut b.nodes);
    let mut work = Work {
        makers: nodes
            .iter()
            .enumerate()
            .map(|(i, n)| (n.output, i))
            .collect(),
        readers: readers(&nodes),
        nodes,
        output,
        held: HashMap::new(),
        done: vec![],
        rounded: 0,
        b,
    };
    work.run()?;
    let Work {
        done,
        held,
        rounded,
        ..
    } = work;
    b.nodes = done;
    let logits = super::super::ports::logits(b, output)?;
    if quantised {
        let dropouts = dropouts(&b.nodes);
        remove_dead(&mut b.nodes, [output, logits]);
        restore(&mut b.nodes, &dropouts);
        report(b, output, rounded);
    }
    let made = b.nodes.iter().map(|n| n.output);
    Ok(Fused {
        live: made.chain([TensorId(0)]).collect(),
        held,
        logits,
    })
}

fn readers(nodes: &[Node]) -> HashMap<TensorId, usize> {
    let mut readers = HashMap::new();
    for &input in nodes.iter().flat_map(|n| &n.inputs) {
        *readers.entry(input).or_insert(0) += 1;
    }
    readers
}

fn remove_dead(nodes: &mut Vec<Node>, wanted: [TensorId; 2]) {
    let mut needed = HashSet::from(wanted);
    let mut live = vec![false; nodes.len()];
    for (node, live) in nodes.iter().zip(&mut live).rev() {
        if needed.contains(&node.output) {
            *live = true;
            needed.extend(&node.inputs);
        }
    }
    let mut live = live.into_iter();
    nodes.retain(|_| live.next().unwrap_or(false));
}

/// What `Dequantise` nodes drop: their outputs, the stored tensors before them, the shares.
fn dropouts(nodes: &[Node]) -> Vec<(TensorId, TensorId, f32)> {
    let steps = nodes.iter().filter(|node| node.op == Op::Dequantise);
    steps
        .filter_map(|node| Some((node.output, node.inputs[0], node.dropout?)))
        .collect()
}

/// Where such a node is gone, what makes the stored tensor drops.
fn restore(nodes: &mut [Node], dropouts: &[(TensorId, TensorId, f32)]) {
    for &(output, stored, share) in dropouts {
        let gone = nodes.iter().all(|node| node.output != output);
        if let Some(maker) = nodes.iter_mut().find(|node| gone && node.output == stored) {
            maker.dropout = dropped_by(maker.dropout, Some(share));
        }
    }
}

/// Says what was rounded and what runs in f32 although the network is quantised.
fn report(b: &mut Builder, output: TensorId, rounded: usize) {
    if rounded > 0 {
        b.warnings.push(format!(
            "the biases of {rounded} int8 nodes are not in steps of input scale * weight scale; they are rounded to them"
        ));
    }
    let float = |n: &&Node| {
        let step = matches!(n.op, Op::Quantise { .. } | Op::Dequantise);
        b.quant(n.output).is_none() && !step && n.output != output
    };
    let names: Vec<&str> = b.nodes.iter().filter(float).map(|n| &n.name[..]).collect();
    if !names.is_empty() {
        let first: Vec<String> = names.iter().take(4).map(|n| format!("\"{n}\"")).collect();
        let more = if names.len() > 4 { ", .." } else { "" };
        let text = format!(
            "{} of {} nodes run in f32, as the file does not quantise them or no int8 kernel fits: {}{more}",
            names.len(),
            b.nodes.len(),
            first.join(", ")
        );
        b.warnings.push(text);
    }
}

struct Work<'b> {
    b: &'b mut Builder,
    /// As lowered.
    nodes: Vec<Node>,
    makers: HashMap<TensorId, usize>,
    readers: HashMap<TensorId, usize>,
    output: TensorId,
    held: HashMap<TensorId, TensorId>,
    done: Vec<Node>,
    /// Nodes whose biases were rounded.
    rounded: usize,
}

/// A float operator with what is fused into it.
struct Group {
    main: Node,
    /// A constant that is added to it.
    bias: Option<TensorId>,
    range: Activation,
    /// What is dropped behind it.
    dropout: Option<f32>,
}

impl Work<'_> {
    fn run(&mut self) -> Result<(), ImportError> {
        for i in 0..self.nodes.len() {
            let mut node = self.nodes[i].clone();
            for input in &mut node.inputs {
                *input = self.stored_in(*input);
            }
            let fused = match node.op {
                Op::Quantise { .. } => self.fuse_into(&self.nodes[i].clone())?,
                _ => false,
            };
            if node.op == Op::Dequantise {
                self.held.insert(node.output, node.inputs[0]);
            }
            if !fused {
                self.done.push(node);
            }
        }
        Ok(())
    }

    /// The stored tensor that took the place of another stored tensor.
    fn stored_in(&self, id: TensorId) -> TensorId {
        match self.held.get(&id) {
            Some(&held) if self.b.quant(id).is_some() => held,
            _ => id,
        }
    }

    fn quant(&self, id: TensorId) -> Option<Quant> {
        self.b.quant(id)
    }

    /// Replaces a `Quantise` and what leads to it; whether it could.
    fn fuse_into(&mut self, quantise: &Node) -> Result<bool, ImportError> {
        let (float, out) = (quantise.inputs[0], quantise.output);
        let Some(quant) = self.quant(out) else {
            return Ok(false);
        };
        if let Some(stored) = self.dequantised(float) {
            if self.quant(stored) == Some(quant) {
                self.held.insert(out, stored);
            } else {
                let none = Activation::None;
                self.push(&quantise.name, Op::Activate, none, vec![stored], out);
            }
            return Ok(true);
        }
        let Some(group) = self.group(float) else {
            return Ok(false);
        };
        let fused = self.lower(&group, out, quant)?;
        if fused {
            if let Some(node) = self.done.last_mut() {
                node.dropout = group.dropout;
            }
            self.held.insert(float, out);
        }
        Ok(fused)
    }

    /// The stored tensor that a float tensor was dequantised from.
    fn dequantised(&self, id: TensorId) -> Option<TensorId> {
        let node = &self.nodes[*self.makers.get(&id)?];
        (node.op == Op::Dequantise).then(|| self.stored_in(node.inputs[0]))
    }

    /// The maker of a float tensor that nothing else reads.
    fn only(&self, id: TensorId) -> Option<&Node> {
        let alone = self.readers.get(&id) == Some(&1) && id != self.output;
        let node = &self.nodes[*self.makers.get(&id)?];
        (alone && self.quant(id).is_none()).then_some(node)
    }

    fn group(&self, float: TensorId) -> Option<Group> {
        let mut main = self.only(float)?;
        let mut range = Activation::None;
        let mut dropout = main.dropout;
        if main.op == Op::Activate
            && matches!(main.activation, Activation::Relu | Activation::Clip { .. })
            && let Some(before) = self.only(main.inputs[0])
            && !matches!(before.op, Op::Activate | Op::Dequantise)
        {
            (range, main) = (main.activation, before);
            dropout = dropped_by(before.dropout, dropout);
        }
        let mut bias = None;
        if main.op == Op::Binary(Arithmetic::Add)
            && let Some((linear, added)) = self.biased(main)
        {
            (main, bias) = (linear, Some(added));
        }
        Some(Group {
            main: main.clone(),
            bias,
            range,
            dropout,
        })
    }

    /// A linear node without bias, and the constant that a sum adds to it.
    fn biased(&self, sum: &Node) -> Option<(&Node, TensorId)> {
        let &[a, b] = &sum.inputs[..] else {
            return None;
        };
        let constant = |id: TensorId| self.b.tensors[usize::from(id.0)].constant.is_some();
        let (linear, added) = if constant(b) { (a, b) } else { (b, a) };
        let node = self.only(linear)?;
        let weighted = matches!(node.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
        let shape = |id: TensorId| self.b.tensors[usize::from(id.0)].shape;
        let fits = shape(added).area() == 1
            && shape(added).c == shape(linear).c
            && shape(sum.output) == shape(linear);
        (weighted && constant(added) && node.bias.is_empty() && fits).then_some((node, added))
    }

    fn lower(&mut self, group: &Group, out: TensorId, quant: Quant) -> Result<bool, ImportError> {
        let main = &group.main;
        let Some(inputs) = self.stored_inputs(main)? else {
            return Ok(false);
        };
        let shape = |id: TensorId| self.b.tensors[usize::from(id.0)].shape;
        let Some(&first) = inputs.first() else {
            return Ok(false);
        };
        let Some(input) = self.quant(first) else {
            return Ok(false);
        };
        let range = stored_range(main.op, group.range, quant);
        let case = Case {
            op: main.op,
            range,
            shapes: [shape(first), shape(main.output)],
            input,
            output: quant,
        };
        match plan(case) {
            Some(Plan::Direct(op)) if op == Op::Activate => {
                self.push(&main.name, op, main.activation, inputs, out);
            }
            Some(Plan::Direct(op)) if main.weights.is_empty() => {
                self.push(&main.name, op, range, inputs, out);
            }
            Some(Plan::Direct(_)) => return Ok(self.linear((group, range), input, inputs, out)),
            Some(Plan::Then(op, between)) => {
                let name = format!("{}/stored", main.name);
                let tensor = self.b.add_tensor(&name, case.shapes[1], None)?;
                self.b.tensors[usize::from(tensor.0)].quant = Some(between);
                self.push(&main.name, op, Activation::None, inputs, tensor);
                self.push(&main.name, Op::Activate, range, vec![tensor], out);
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A convolution or matrix product.
    fn linear(
        &mut self,
        (group, range): (&Group, Activation),
        input: Quant,
        inputs: Vec<TensorId>,
        out: TensorId,
    ) -> bool {
        let main = &group.main;
        let origins = self.b.origins.get(&main.output);
        let Some(weights) = origins.and_then(|o| o.weights.as_deref()) else {
            return false;
        };
        let added = group.bias.map(|id| {
            let origin = self.b.origins.get(&id).and_then(|o| o.weights.as_deref());
            let real = self.b.tensors[usize::from(id.0)].constant.as_deref();
            (origin, real.unwrap_or_default())
        });
        let own = origins.and_then(|o| o.bias.as_deref());
        let bias = match added.unwrap_or((own, &main.bias)) {
            (Some(origin), _) => Bias::Stored(origin),
            (None, []) => Bias::None,
            (None, real) => Bias::Real(real),
        };
        let outputs = self.b.tensors[usize::from(out.0)].shape.c;
        let Some(found) = quantised(main.op, outputs, weights, &bias, input.scale) else {
            return false;
        };
        self.rounded += usize::from(found.rounded);
        self.push(&main.name, main.op, range, inputs, out);
        if let Some(node) = self.done.last_mut() {
            node.quantised = Some(found.weights);
        }
        true
    }

    fn push(
        &mut self,
        name: &str,
        op: Op,
        activation: Activation,
        inputs: Vec<TensorId>,
        output: TensorId,
    ) {
        self.done.push(Node {
            name: name.to_owned(),
            op,
            activation,
            inputs,
            output,
            weights: vec![],
            bias: vec![],
            quantised: None,
            dropout: None,
        });
    }

    /// The stored tensors behind the inputs of a node, if each has one.
    fn stored_inputs(&mut self, node: &Node) -> Result<Option<Vec<TensorId>>, ImportError> {
        let mut inputs = vec![];
        for &id in &node.inputs {
            let stored = match self.dequantised(id) {
                Some(stored) => Some(stored),
                None => self.stored_constant(id)?,
            };
            match stored {
                Some(stored) => inputs.push(stored),
                None => return Ok(None),
            }
        }
        Ok(Some(inputs))
    }

    /// An int8 constant with the numbers of a float one, if 8 bits hold them.
    fn stored_constant(&mut self, id: TensorId) -> Result<Option<TensorId>, ImportError> {
        let tensor = &self.b.tensors[usize::from(id.0)];
        let Some(values) = tensor.constant.clone() else {
            return Ok(None);
        };
        let (name, shape) = (tensor.name.clone(), tensor.shape);
        let origin = self.b.origins.get(&id).and_then(|o| o.weights.clone());
        let found = match &origin {
            Some(origin) => super::weights::constant(origin),
            None => single(&values),
        };
        let Some(quant) = found else {
            return Ok(None);
        };
        let stored = self.b.add_tensor(&name, shape, Some(values))?;
        self.b.tensors[usize::from(stored.0)].quant = Some(quant);
        Ok(Some(stored))
    }
}

/// The range behind an operator. Quantisers drop a ReLU where the stored numbers
/// begin at 0 anyway; the bytes stay the same with it, but guided
/// backpropagation and deconvolution have to know it.
fn stored_range(op: Op, range: Activation, output: Quant) -> Activation {
    let goes_below_zero = matches!(
        op,
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense | Op::Binary(_)
    );
    if range == Activation::None && goes_below_zero && output.zero_point == i8::MIN {
        Activation::Relu
    } else {
        range
    }
}

/// One number, repeated, is stored as 1 or -1 of its own size.
fn single(values: &[f32]) -> Option<Quant> {
    let first = *values.first()?;
    let same = values.iter().all(|&v| v == first);
    (same && first.is_finite()).then_some(Quant {
        scale: if first == 0.0 { 1.0 } else { first.abs() },
        zero_point: 0,
        unsigned: false,
    })
}
