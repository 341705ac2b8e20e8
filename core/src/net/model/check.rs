//! Whether tensors, nodes, network and card make sense together.

use super::{Model, NodeView, Pass};
use crate::error::Error;
use crate::net::format::{
    MAX_ELEMENTS, MAX_NODES, MAX_TENSORS, TO_INPUT, TensorRecord, pass, section,
};
use crate::net::op::{Activation, Op};
use crate::net::{int8, ops};
use crate::tensor::{Shape, TensorId, Values};

/// Most inputs of one node.
const MAX_INPUTS: usize = 64;

impl Model<'_> {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.tensors.len() > MAX_TENSORS {
            return Err(Error::BadSection {
                kind: section::TENSORS,
            });
        }
        if self.nodes.len() > MAX_NODES {
            return Err(Error::BadSection {
                kind: section::NODES,
            });
        }
        for index in 0..self.tensors.len() {
            self.check_tensor(index)?;
        }
        for index in 0..self.nodes.len() {
            self.check_node(index)?;
        }
        self.check_network()?;
        self.check_plans()
    }

    fn check_tensor(&self, index: usize) -> Result<(), Error> {
        let wrong = Error::BadTensor { index };
        let record = self.tensors.get(index).ok_or(wrong)?;
        let [h, w, c] = record.shape.map(|n| n.get() as usize);
        let elements = h.checked_mul(w).and_then(|n| n.checked_mul(c));
        let sound = matches!(elements, Some(1..=MAX_ELEMENTS))
            && record.kind <= 1
            && self.has_quantisation(record)
            && self.has_name(record.name.get(), record.name_length.get());
        if !sound {
            return Err(wrong);
        }
        let id = TensorId(u16::try_from(index).map_err(|_| wrong)?);
        let tensor = self.tensor(id).ok_or(wrong)?;
        match tensor.constant {
            Some(Values::Real(values)) if !all_finite(values) => Err(Error::BadWeight { index }),
            None if record.kind == 1 => Err(wrong),
            _ => Ok(()),
        }
    }

    /// Whether a tensor is f32, or int8 with a scale and zero point that make sense.
    fn has_quantisation(&self, record: &TensorRecord) -> bool {
        let index = record.quant.get();
        match record.data_type {
            0 => index == u16::MAX,
            1 | 2 => self
                .quantisation(index)
                .is_some_and(|q| q.scale.is_finite() && q.scale > 0.0),
            _ => false,
        }
    }

    fn has_name(&self, start: u32, length: u16) -> bool {
        let start = start as usize;
        self.names
            .get(start..start.saturating_add(usize::from(length)))
            .is_some()
    }

    fn check_node(&self, index: usize) -> Result<(), Error> {
        let wrong = Error::BadNode { index };
        let record = self.nodes.get(index).ok_or(wrong)?;
        let node = self.node(index).ok_or(wrong)?;
        let named = self.has_name(record.name.get(), record.name_length.get());
        if !named || !(0.0..1.0).contains(&record.dropped.get()) {
            return Err(wrong);
        }
        if !self.is_fresh(index, &node) || !node.inputs().all(|id| self.is_ready(id, index)) {
            return Err(wrong);
        }
        let mut shapes = [Shape::new(0, 0, 0); MAX_INPUTS];
        let shapes = shapes.get_mut(..node.inputs().len()).ok_or(wrong)?;
        for (shape, id) in shapes.iter_mut().zip(node.inputs()) {
            *shape = self.shape(id);
        }
        let output = self.shape(node.output);
        let first = *shapes.first().ok_or(wrong)?;
        if !ops::check(node.op, node.activation, shapes, output) || !self.types_fit(&node) {
            return Err(wrong);
        }
        if node.integers.is_some() {
            return self.check_integers(index, &node);
        }
        let sound = node.weights.len() == ops::packing::packed_len(node.op, first, output)
            && (node.bias.is_empty() || (!node.weights.is_empty() && node.bias.len() == output.c));
        if !sound {
            return Err(wrong);
        }
        if !all_finite(node.weights) || !all_finite(node.bias) {
            return Err(Error::BadWeight { index });
        }
        Ok(())
    }

    /// Whether the node reads and makes tensors of the right types, and does
    /// not rescale where it only moves elements.
    fn types_fit(&self, node: &NodeView<'_>) -> bool {
        let is_int8 = |id| self.tensor(id).is_some_and(|t| t.quant.is_some());
        let inputs = match node.op {
            Op::Quantise { .. } => false,
            Op::Dequantise => true,
            _ => node.integers.is_some(),
        };
        let output = node.integers.is_some() || matches!(node.op, Op::Quantise { .. });
        let plain = node.activation == Activation::None
            || !matches!(node.op, Op::Quantise { .. } | Op::Dequantise);
        plain && is_int8(node.output) == output && node.inputs().all(|id| is_int8(id) == inputs)
    }

    fn check_integers(&self, index: usize, node: &NodeView<'_>) -> Result<(), Error> {
        let wrong = Error::BadNode { index };
        let node8 = self.integer_node(node, 0).ok_or(wrong)?;
        let mut inputs = [(node8.input, node8.input_quant); MAX_INPUTS];
        let inputs = inputs.get_mut(..node.inputs().len()).ok_or(wrong)?;
        for (input, id) in inputs.iter_mut().zip(node.inputs()) {
            let tensor = self.tensor(id).ok_or(wrong)?;
            *input = (tensor.shape, tensor.quant.ok_or(wrong)?);
        }
        if int8::check(&node8, inputs) {
            Ok(())
        } else {
            Err(wrong)
        }
    }

    /// Whether the node is the only one to make its output, which is neither
    /// the input nor a constant.
    fn is_fresh(&self, index: usize, node: &NodeView<'_>) -> bool {
        let is_value = self
            .tensor(node.output)
            .is_some_and(|t| t.constant.is_none());
        is_value
            && node.output != self.input_id()
            && self
                .nodes
                .iter()
                .take(index)
                .all(|n| n.output.get() != node.output.0)
    }

    /// Whether a tensor holds something before node `index` runs.
    fn is_ready(&self, id: TensorId, index: usize) -> bool {
        id == self.input_id()
            || self.tensor(id).is_some_and(|t| t.constant.is_some())
            || self
                .nodes
                .iter()
                .take(index)
                .any(|n| n.output.get() == id.0)
    }

    fn check_network(&self) -> Result<(), Error> {
        let n = self.network;
        let wrong = Error::BadSection {
            kind: section::NETWORK,
        };
        let input = self.tensor(self.input_id()).ok_or(wrong)?;
        if input.constant.is_some() || input.quant.is_some() || self.classes() == 0 {
            return Err(wrong);
        }
        for id in [n.output, n.logits, n.probabilities].map(|id| TensorId(id.get())) {
            let made = self.nodes.iter().any(|node| node.output.get() == id.0);
            let real = self.tensor(id).is_some_and(|t| t.quant.is_none());
            if !made || !real || self.shape(id) != Shape::new(1, 1, self.classes()) {
                return Err(wrong);
            }
        }
        if n.output != n.logits && n.output != n.probabilities {
            return Err(wrong);
        }
        self.check_card(input.shape)
    }

    fn check_card(&self, input: Shape) -> Result<(), Error> {
        let n = self.network;
        let channels = [1, 3, 3, 4, 4].get(usize::from(n.channels)).copied();
        let fits = channels == Some(input.c) || n.channels == 5;
        let finite = n.mean.iter().chain(&n.scale).all(|v| v.get().is_finite());
        if !fits || !finite || n.resize > 2 || n.layout > 2 || n.input_type > 3 {
            return Err(Error::BadCard);
        }
        let labelled =
            self.labels.is_empty() || (0..self.classes()).all(|c| self.label(c).is_some());
        if labelled {
            Ok(())
        } else {
            Err(Error::BadCard)
        }
    }

    fn check_plans(&self) -> Result<(), Error> {
        for (index, record) in self.plans.iter().enumerate() {
            let wrong = Error::BadPlan {
                plan: index,
                buffer: 0,
            };
            let (code, to) = (record.pass.get(), record.to.get());
            let known = match code {
                pass::FORWARD | pass::RELEVANCE => to == TO_INPUT,
                pass::BACKWARD => to == TO_INPUT || self.nodes.iter().any(|n| n.output.get() == to),
                _ => false,
            };
            let first = self
                .plans
                .iter()
                .take(index)
                .all(|p| (p.pass.get(), p.to.get()) != (code, to));
            if !known || !first {
                return Err(wrong);
            }
            let plan = self.plan_of(record).ok_or(wrong)?;
            if code == pass::RELEVANCE {
                self.check_relevance(index, &plan)?;
                continue;
            }
            let to = (code == pass::BACKWARD).then_some(if to == TO_INPUT {
                self.input_id()
            } else {
                TensorId(to)
            });
            self.check_plan(index, &plan, to)?;
        }
        if self.plan(Pass::Forward).is_none() {
            return Err(Error::NoPlan);
        }
        Ok(())
    }
}

fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|v| v.is_finite())
}
