//! A graph under construction: node after node reads what is there, and in the
//! end everything that nobody reads leads to the scores.

use std::collections::BTreeMap;

use foveola::graph::{Graph, InputType, Layout, Node, Quant, QuantisedWeights, Tensor};
use foveola_core::net::op::{Activation, Op};
use foveola_core::net::ops::{check, packing};
use foveola_core::{Shape, TensorId};

use super::attributes::{FAMILIES, MORE_INTEGERS, fused};
use super::integers::{Integers, plain_node};
use super::number::{Kind, Random};

/// Most elements of a tensor and of the weights of a node.
pub const MOST_ELEMENTS: usize = 320;
pub const MOST_WEIGHTS: usize = 900;

pub struct Draft {
    pub random: Random,
    /// `None` for networks in f32.
    pub integers: Option<Integers>,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Draft {
    pub fn new(input: Shape, random: Random, integers: Option<Integers>) -> Self {
        let mut draft = Self {
            random,
            integers,
            tensors: Vec::new(),
            nodes: Vec::new(),
        };
        draft.tensor("x".to_owned(), input, None);
        draft
    }

    fn tensor(&mut self, name: String, shape: Shape, constant: Option<Vec<f32>>) -> TensorId {
        let id = TensorId(self.tensors.len() as u16);
        self.tensors.push(Tensor {
            name,
            shape,
            constant,
            quant: None,
        });
        id
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn quant_of(&self, id: TensorId) -> Option<Quant> {
        self.tensors[usize::from(id.0)].quant
    }

    /// Stores a constant as int8; `false` if the tensor is none.
    pub fn set_constant_quant(&mut self, id: TensorId, quant: Quant) -> bool {
        let tensor = &mut self.tensors[usize::from(id.0)];
        let Some(values) = &mut tensor.constant else {
            return false;
        };
        let grid = quant.quantisation();
        for v in values {
            *v = grid.real(grid.stored(*v));
        }
        tensor.quant = Some(quant);
        true
    }

    /// Gives the last node its int8 weights.
    pub fn set_weights(&mut self, weights: Option<QuantisedWeights>) {
        self.nodes.last_mut().expect("a node").quantised = weights;
    }

    /// Adds a node without weights as it is.
    pub fn push(
        &mut self,
        op: Op,
        activation: Activation,
        inputs: Vec<TensorId>,
        output: Shape,
        quant: Option<Quant>,
    ) -> TensorId {
        let name = format!("node{}", self.nodes.len());
        let id = self.tensor(name.clone(), output, None);
        self.tensors[usize::from(id.0)].quant = quant;
        self.nodes
            .push(plain_node(name, op, activation, inputs, id));
        id
    }

    pub fn shape(&self, id: TensorId) -> Shape {
        self.tensors[usize::from(id.0)].shape
    }

    /// Everything that is computed, the input first.
    pub fn computed(&self) -> Vec<TensorId> {
        let ids = (0..self.tensors.len() as u16).map(TensorId);
        let is_constant = |id: &TensorId| self.tensors[usize::from(id.0)].constant.is_some();
        ids.filter(|id| !is_constant(id)).collect()
    }

    /// What is computed and read by no node.
    fn loose(&self) -> Vec<TensorId> {
        let read = |id: &TensorId| self.nodes.iter().any(|n| n.inputs.contains(id));
        let computed = self.computed().into_iter();
        computed.filter(|id| !read(id)).collect()
    }

    /// A tensor to go on from, mostly one that nobody reads.
    pub fn operand(&mut self) -> TensorId {
        let (loose, all) = (self.loose(), self.computed());
        let of = if self.random.chance(4) { &all } else { &loose };
        self.random.pick(of)
    }

    /// A new constant of usual numbers, or of any.
    pub fn constant(&mut self, shape: Shape, usual: bool) -> TensorId {
        let kind = if usual {
            Kind::Usual
        } else {
            self.random.kind()
        };
        let values = self.random.values(kind, shape.len(), 1.0);
        self.tensor(
            format!("constant{}", self.tensors.len()),
            shape,
            Some(values),
        )
    }

    /// Adds a node if it makes sense and is small.
    pub fn node(
        &mut self,
        op: Op,
        mut activation: Activation,
        mut inputs: Vec<TensorId>,
        output: Shape,
    ) -> Option<TensorId> {
        let pure = self.integers.is_some_and(|integers| !integers.mixed);
        if pure && op != Op::Activate && matches!(activation, Activation::LeakyRelu { .. }) {
            activation = Activation::None;
        }
        if self.wants_integers(op, activation)? {
            return self.integer_node(op, activation, &inputs, output);
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id)).collect();
        let sound = output.len() <= MOST_ELEMENTS && check(op, activation, &shapes, output);
        if !sound || packing::packed_len(op, shapes[0], output) > MOST_WEIGHTS {
            return None;
        }
        for id in &mut inputs {
            *id = self.real(*id);
        }
        let count = packing::plain_len(op, shapes[0], output);
        let channels = packing::bias_len(op, output);
        let terms = if op == Op::Affine {
            1
        } else {
            count / channels.max(1)
        };
        let scale = 1.0 / (terms.max(1) as f32).sqrt();
        let kind = self.random.kind();
        let weights = self.random.values(kind, count, scale);
        let with_bias = op == Op::Affine || !self.random.chance(4);
        let bias = self.random.kind();
        let channels = if with_bias { channels } else { 0 };
        let bias = self.random.values(bias, channels, 0.5);
        let output = self.push(op, activation, inputs, output, None);
        let node = self.nodes.last_mut().expect("a node");
        (node.weights, node.bias) = (weights, bias);
        Some(output)
    }

    fn grow(&mut self) {
        let family = match self.integers {
            Some(_) if self.random.chance(3) => self.random.pick(&MORE_INTEGERS),
            _ => self.random.pick(&FAMILIES),
        };
        let proposal = (0..200).find_map(|_| {
            let (op, activation, inputs, output) = family(self)?;
            self.node(op, activation, inputs, output)
        });
        // A family may have nothing to say to this picture, e.g. one of one pixel.
        let _ = proposal;
    }

    /// Makes a vector of a tensor.
    fn flatten(&mut self, id: TensorId) -> TensorId {
        let shape = self.shape(id);
        let activation = fused(&mut self.random);
        let vector = Shape::new(1, 1, shape.c);
        let axes = [true, true, false];
        let made = match self.random.below(4) {
            _ if shape.area() == 1 => return id,
            0 => self.node(Op::GlobalMaxPool, activation, vec![id], vector),
            1 => self.node(Op::Dense, activation, vec![id], Shape::new(1, 1, 3)),
            _ => None,
        };
        let mean = |draft: &mut Self| draft.node(Op::Mean { axes }, activation, vec![id], vector);
        made.or_else(|| mean(self)).expect("a mean fits")
    }

    /// One vector of everything that is loose.
    fn join(&mut self) -> TensorId {
        let parts = self.loose().into_iter();
        let parts: Vec<TensorId> = parts.map(|id| self.flatten(id)).collect();
        let [one] = parts[..] else {
            let channels = parts.iter().map(|&id| self.shape(id).c).sum();
            let (op, shape) = (Op::Concat { axis: 2 }, Shape::new(1, 1, channels));
            let joined = self.node(op, Activation::None, parts, shape);
            return joined.expect("a concat of vectors fits");
        };
        one
    }

    /// A softmax in int8, as models have it that answer with integers.
    fn model_probabilities(&mut self, scores: TensorId) -> Option<TensorId> {
        self.quant_of(scores)?;
        if !self.random.chance(3) {
            return None;
        }
        let shape = self.shape(scores);
        let stored = self.integer_node(Op::Softmax, Activation::None, &[scores], shape)?;
        Some(self.real(stored))
    }

    pub fn finish(mut self) -> Graph {
        let (low, high) = self.integers.map_or((2, 10), |_| (3, 14));
        for _ in 0..self.random.within(low, high) {
            self.grow();
        }
        let vector = self.join();
        let classes = if self.random.chance(12) {
            1
        } else {
            self.random.within(2, 6)
        };
        let classes = Shape::new(1, 1, classes);
        let made = !self.nodes.is_empty() && self.random.chance(4);
        let output = if made {
            vector
        } else {
            let head = self.node(Op::Dense, Activation::None, vec![vector], classes);
            head.unwrap_or(vector)
        };
        let logits = self.real(output);
        let output = self.model_probabilities(output).unwrap_or(logits);
        let input_type = match self.integers {
            Some(integers) if integers.integer_input && integers.unsigned => InputType::U8,
            Some(integers) if integers.integer_input => InputType::I8,
            _ => InputType::F32,
        };
        Graph {
            tensors: self.tensors,
            nodes: self.nodes,
            input: TensorId(0),
            layout: Layout::Nhwc,
            input_type,
            input_name: "x".to_owned(),
            output,
            output_name: "scores".to_owned(),
            logits,
            names: BTreeMap::new(),
            labels: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }
}
