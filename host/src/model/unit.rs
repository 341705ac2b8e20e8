//! A unit of the network in the place of a class: its value is the score that
//! methods explain, whatever they ask, on any backend that runs the network.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};

use super::running::unknown;
use super::{Engine, ModelError, OpenModel, graph_facts};
use crate::card::OutputActivation;
use crate::graph::{Graph, Node, Tensor};

/// A channel of a tensor: the mean of its values over rows and columns, or its
/// value in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// ONNX tensor or node.
    pub tensor: String,
    /// Its channel.
    pub channel: usize,
    /// Row and column; `None` for the mean.
    pub place: Option<[usize; 2]>,
}

impl FromStr for Unit {
    type Err = String;

    /// `TENSOR:CHANNEL` or `TENSOR:CHANNEL,ROW,COLUMN`.
    fn from_str(text: &str) -> Result<Self, String> {
        let takes = || String::from("it takes TENSOR:CHANNEL or TENSOR:CHANNEL,ROW,COLUMN");
        let (tensor, numbers) = text.rsplit_once(':').ok_or_else(takes)?;
        let numbers: Result<Vec<usize>, _> = numbers.split(',').map(str::parse).collect();
        let (channel, place) = match numbers.map_err(|_| takes())?.as_slice() {
            [channel] => (*channel, None),
            [channel, y, x] => (*channel, Some([*y, *x])),
            _ => return Err(takes()),
        };
        let tensor = tensor.to_string();
        Ok(Self {
            tensor,
            channel,
            place,
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tensor, self.channel)?;
        match self.place {
            Some([y, x]) => write!(f, ",{y},{x}"),
            None => Ok(()),
        }
    }
}

impl OpenModel {
    /// The network up to a unit's tensor: the classes are its channels, and
    /// their scores, of either kind, their means or their values in one place.
    ///
    /// # Errors
    /// No such tensor, channel or place; a model that is not an imported ONNX
    /// or TFLite file: the scores of others are fixed.
    pub fn of_unit(mut self, unit: &Unit) -> Result<Self, ModelError> {
        let Engine::Graph(imported) = &mut self.engine else {
            let reason =
                "units are for networks that are read from ONNX or TFLite and run by core or a GPU";
            return Err(wrong(unit, reason));
        };
        cut(&mut imported.graph, unit)?;
        self.facts = graph_facts(&imported.graph);
        let place = match unit.place {
            Some([y, x]) => format!(" at row {y}, column {x}"),
            None => String::new(),
        };
        let name = |channel| format!("{} channel {channel}{place}", unit.tensor);
        self.card.labels = (0..self.facts.classes).map(name).collect();
        self.card.activation = OutputActivation::None;
        Ok(self)
    }
}

fn wrong(unit: &Unit, reason: impl Into<String>) -> ModelError {
    ModelError::Unit {
        unit: unit.to_string(),
        reason: reason.into(),
    }
}

/// Makes a vector of a unit's channels the output.
fn cut(graph: &mut Graph, unit: &Unit) -> Result<(), ModelError> {
    let id = graph.names.get(&unit.tensor).copied();
    let id = id.ok_or_else(|| unknown(&unit.tensor, graph.names.keys()))?;
    let tensor = graph.tensor(id).clone();
    let shape = tensor.shape;
    if tensor.constant.is_some() {
        return Err(wrong(unit, "the tensor is a constant"));
    }
    if unit.channel >= shape.c {
        let reason = format!("the tensor has {} channels, 0 to {}", shape.c, shape.c - 1);
        return Err(wrong(unit, reason));
    }
    if unit
        .place
        .is_some_and(|[y, x]| y >= shape.h || x >= shape.w)
    {
        let reason = format!("the tensor has {} rows and {} columns", shape.h, shape.w);
        return Err(wrong(unit, reason));
    }
    let mut last = id;
    if tensor.quant.is_some() {
        last = append(graph, Op::Dequantise, last, shape)?;
    }
    let vector = Shape::new(1, 1, shape.c);
    if shape.area() > 1 {
        let op = match unit.place {
            None => Op::Mean {
                axes: [true, true, false],
            },
            Some([y, x]) => Op::Slice {
                // The importer bounds every side by what fits.
                start: [y as u16, x as u16, 0],
                step: [1; 3],
            },
        };
        last = append(graph, op, last, vector)?;
    }
    (graph.output, graph.logits) = (last, last);
    graph.output_name.clone_from(&unit.tensor);
    graph.labels = Vec::new();
    leave_out(graph);
    Ok(())
}

fn append(
    graph: &mut Graph,
    op: Op,
    input: TensorId,
    shape: Shape,
) -> Result<TensorId, ModelError> {
    let id = u16::try_from(graph.tensors.len());
    let id = id.map_err(|_| ModelError::Unit {
        unit: graph.tensor(input).name.clone(),
        reason: String::from("the network has as many tensors as there may be"),
    })?;
    let name = format!("unit of {}", graph.tensor(input).name);
    graph.tensors.push(Tensor {
        name: name.clone(),
        shape,
        constant: None,
        quant: None,
    });
    graph.nodes.push(Node {
        name,
        op,
        activation: Activation::None,
        inputs: vec![input],
        output: TensorId(id),
        weights: Vec::new(),
        bias: Vec::new(),
        quantised: None,
        dropout: None,
    });
    Ok(TensorId(id))
}

/// Leaves out what the output does not depend on.
fn leave_out(graph: &mut Graph) {
    let mut needed = BTreeSet::from([graph.output, graph.input]);
    for node in graph.nodes.iter().rev() {
        if needed.contains(&node.output) {
            needed.extend(node.inputs.iter().copied());
        }
    }
    graph.nodes.retain(|node| needed.contains(&node.output));
    graph.names.retain(|_, id| needed.contains(id));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        for text in ["conv:3", "a:0:12,3,4", "/b/Relu_output_0:0"] {
            assert_eq!(text.parse::<Unit>().unwrap().to_string(), text);
        }
        assert_eq!("a:0:12".parse::<Unit>().unwrap().tensor, "a:0");
        for text in ["conv", "conv:", "conv:1,2", "conv:-1", "conv:1,2,3,4"] {
            assert!(text.parse::<Unit>().is_err(), "{text}");
        }
    }
}
