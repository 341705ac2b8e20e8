//! The int8 network.

use std::collections::HashMap;

use foveola_core::TensorId;
use foveola_core::net::op::Op;

use super::QuantiseError;
use super::prepare::{add_tensor, is_linear, plain};
use super::scales::Scales;
use super::weights::quantised;
use crate::graph::{Graph, Node, Quant};

/// A lowered network.
pub struct Lowered {
    pub graph: Graph,
    pub integer_nodes: usize,
    pub float_nodes: Vec<String>,
}

/// Makes an int8 network of a prepared one. Between integers and f32 stand
/// `Quantise` and `Dequantise`; the input, the logits and the scores are f32.
pub fn lower(float: &Graph, scales: &Scales<'_>) -> Result<Lowered, QuantiseError> {
    let mut work = Lowering {
        graph: float.clone(),
        stored: HashMap::new(),
        real: HashMap::from([(float.input, float.input)]),
    };
    work.graph.nodes.clear();
    let (mut integer_nodes, mut float_nodes) = (0, Vec::new());
    for node in &float.nodes {
        if scales.is_integer(node) {
            integer_nodes += 1;
            work.integer(node, scales)?;
            continue;
        }
        if !scales.is_last(node) {
            float_nodes.push(node.name.clone());
        }
        let inputs = node.inputs.iter().map(|&id| work.real(id));
        let inputs = inputs.collect::<Result<_, _>>()?;
        work.real.insert(node.output, node.output);
        work.graph.nodes.push(Node {
            inputs,
            ..node.clone()
        });
    }
    let (logits, output) = (float.logits, float.output);
    work.graph.logits = work.real(logits)?;
    work.graph.output = work.real(output)?;
    Ok(Lowered {
        graph: work.graph,
        integer_nodes,
        float_nodes,
    })
}

struct Lowering {
    graph: Graph,
    /// The int8 tensor with the value of a float one.
    stored: HashMap<TensorId, TensorId>,
    /// The f32 tensor with the value of a float one.
    real: HashMap<TensorId, TensorId>,
}

impl Lowering {
    fn integer(&mut self, node: &Node, scales: &Scales<'_>) -> Result<(), QuantiseError> {
        let inputs = node.inputs.iter();
        let inputs = inputs.map(|&id| self.stored(id, scales.of(id)));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let output = &mut self.graph.tensors[usize::from(node.output.0)];
        output.quant = Some(scales.of(node.output));
        let channels = output.shape.c;
        self.stored.insert(node.output, node.output);
        let weights =
            is_linear(node.op).then(|| quantised(node, channels, scales.of(node.inputs[0])));
        self.graph.nodes.push(Node {
            op: without_padding(node.op),
            inputs,
            weights: Vec::new(),
            bias: Vec::new(),
            quantised: weights,
            ..node.clone()
        });
        Ok(())
    }

    fn stored(&mut self, id: TensorId, quant: Quant) -> Result<TensorId, QuantiseError> {
        if let Some(&stored) = self.stored.get(&id) {
            return Ok(stored);
        }
        let tensor = self.graph.tensor(id);
        let name = format!("{}/stored", tensor.name);
        let by = quant.quantisation();
        let constant = tensor.constant.as_ref();
        let constant: Option<Vec<f32>> =
            constant.map(|values| values.iter().map(|&v| by.real(by.stored(v))).collect());
        let stored = add_tensor(&mut self.graph, name.clone(), id)?;
        let tensor = &mut self.graph.tensors[usize::from(stored.0)];
        tensor.quant = Some(quant);
        match constant {
            Some(values) => tensor.constant = Some(values),
            None => {
                let real = self.real(id)?;
                let op = Op::Quantise {
                    scale: quant.scale,
                    zero_point: quant.zero_point,
                };
                self.graph.nodes.push(plain(&name, op, real, stored));
            }
        }
        self.stored.insert(id, stored);
        Ok(stored)
    }

    fn real(&mut self, id: TensorId) -> Result<TensorId, QuantiseError> {
        if let Some(&real) = self.real.get(&id) {
            return Ok(real);
        }
        let real = match self.stored.get(&id).copied() {
            Some(stored) if self.graph.tensor(id).constant.is_none() => {
                let name = format!("{}/real", self.graph.tensor(id).name);
                let real = add_tensor(&mut self.graph, name.clone(), id)?;
                self.graph
                    .nodes
                    .push(plain(&name, Op::Dequantise, stored, real));
                real
            }
            _ => id,
        };
        self.real.insert(id, real);
        Ok(real)
    }
}

/// A pool without padding may as well not count it.
fn without_padding(op: Op) -> Op {
    match op {
        Op::AveragePool {
            geometry, pad_end, ..
        } => Op::AveragePool {
            geometry,
            count_padding: false,
            pad_end,
        },
        op => op,
    }
}
