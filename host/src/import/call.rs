//! One ONNX node with its inputs looked up, and typed access to both.

use std::rc::Rc;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::array::Array;
use super::error::{Stop, malformed, unsupported_because};
use super::view::View;

/// What an ONNX tensor name stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known at import.
    Constant(Rc<Array>),
    /// Depends on the picture.
    Activation(View),
    /// Made by a node that is not supported.
    Unknown,
    /// Made from the scores by a tail that is cut off (labels, their order,
    /// logarithms); holds the name of the scores.
    Tail(Rc<str>),
}

/// A node and its inputs.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    pub opset: i64,
    pub inputs: Vec<Option<Value>>,
}

/// The node's name, or its first output's.
pub(super) fn node_name(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// The operator, with a domain that is not the standard one.
pub(super) fn operator(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

impl<'a> Call<'a> {
    pub fn op(&self) -> &'a str {
        &self.node.op_type
    }

    pub fn name(&self) -> &'a str {
        node_name(self.node)
    }

    /// Name of the first output.
    pub fn output(&self) -> &'a str {
        self.node.output.first().map_or("", String::as_str)
    }

    pub fn has_input(&self, i: usize) -> bool {
        matches!(self.inputs.get(i), Some(Some(_)))
    }

    fn input(&self, i: usize) -> Result<&Value, Stop> {
        match self.inputs.get(i) {
            Some(Some(value)) => Ok(value),
            _ => malformed(format!("input {i} is missing")),
        }
    }

    /// Input `i`, which depends on the picture.
    pub fn activation(&self, i: usize) -> Result<&View, Stop> {
        match self.input(i)? {
            Value::Activation(view) => Ok(view),
            _ => unsupported_because(format!("input {i} is a constant")),
        }
    }

    /// Input `i`, which is known at import.
    pub fn constant(&self, i: usize) -> Result<&Array, Stop> {
        match self.input(i)? {
            Value::Constant(array) => Ok(array),
            _ => unsupported_because(format!("input {i} is not a constant")),
        }
    }

    pub fn optional_constant(&self, i: usize) -> Result<Option<&Array>, Stop> {
        self.has_input(i).then(|| self.constant(i)).transpose()
    }

    /// Input `i`: constant floats.
    pub fn floats(&self, i: usize) -> Result<Vec<f32>, Stop> {
        match self.constant(i)?.floats() {
            Some(v) => Ok(v),
            None => malformed(format!("input {i} holds text where numbers belong")),
        }
    }

    /// Input `i`: constant integers.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>, Stop> {
        match self.constant(i)?.ints() {
            Some(v) => Ok(v.to_vec()),
            None => malformed(format!("input {i} does not hold integers")),
        }
    }

    /// A single float, if input `i` is there.
    pub fn optional_scalar(&self, i: usize) -> Result<Option<f32>, Stop> {
        if !self.has_input(i) {
            return Ok(None);
        }
        match self.floats(i)?[..] {
            [v] => Ok(Some(v)),
            _ => malformed(format!("input {i} is not a single number")),
        }
    }

    fn attribute(
        &self,
        key: &str,
        kind: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, Stop> {
        let Some(found) = self.node.attribute.iter().find(|a| a.name == key) else {
            return Ok(None);
        };
        // Files of the first ONNX versions leave the type out.
        if found.r#type != kind as i32 && found.r#type != AttributeType::Undefined as i32 {
            return malformed(format!(
                "attribute {key} is not of type {}",
                kind.as_str_name()
            ));
        }
        Ok(Some(found))
    }

    pub fn has_attribute(&self, key: &str) -> bool {
        self.node.attribute.iter().any(|a| a.name == key)
    }

    pub fn int_attribute(&self, key: &str) -> Result<Option<i64>, Stop> {
        Ok(self.attribute(key, AttributeType::Int)?.map(|a| a.i))
    }

    /// A switch that is off unless given.
    pub fn flag(&self, key: &str) -> Result<bool, Stop> {
        Ok(self.int_attribute(key)?.unwrap_or(0) != 0)
    }

    pub fn float_attribute(&self, key: &str) -> Result<Option<f32>, Stop> {
        Ok(self.attribute(key, AttributeType::Float)?.map(|a| a.f))
    }

    pub fn ints_attribute(&self, key: &str) -> Result<Option<&'a [i64]>, Stop> {
        Ok(self
            .attribute(key, AttributeType::Ints)?
            .map(|a| &a.ints[..]))
    }

    pub fn floats_attribute(&self, key: &str) -> Result<Option<&'a [f32]>, Stop> {
        Ok(self
            .attribute(key, AttributeType::Floats)?
            .map(|a| &a.floats[..]))
    }

    pub fn text_attribute(&self, key: &str) -> Result<Option<String>, Stop> {
        Ok(self
            .attribute(key, AttributeType::String)?
            .map(|a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    pub fn texts_attribute(&self, key: &str) -> Result<Option<Vec<String>>, Stop> {
        Ok(self.attribute(key, AttributeType::Strings)?.map(|a| {
            let text = |s: &Vec<u8>| String::from_utf8_lossy(s).into_owned();
            a.strings.iter().map(text).collect()
        }))
    }

    pub fn tensor_attribute(&self, key: &str) -> Result<Option<&'a TensorProto>, Stop> {
        Ok(self
            .attribute(key, AttributeType::Tensor)?
            .and_then(|a| a.t.as_ref()))
    }

    /// Integers that older opsets give as an attribute and newer ones as input `i`.
    pub fn ints_either(&self, key: &str, i: usize) -> Result<Option<Vec<i64>>, Stop> {
        if let Some(v) = self.ints_attribute(key)? {
            return Ok(Some(v.to_vec()));
        }
        self.has_input(i).then(|| self.ints(i)).transpose()
    }

    /// A dimension index that may count from the end.
    pub fn dimension(&self, axis: i64, rank: usize) -> Result<usize, Stop> {
        let from_end = if axis < 0 { rank as i64 } else { 0 };
        match axis.checked_add(from_end).map(usize::try_from) {
            Some(Ok(d)) if d < rank => Ok(d),
            _ => malformed(format!(
                "axis {axis} does not exist among {rank} dimensions"
            )),
        }
    }

    /// Several dimension indices.
    pub fn dimensions(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Stop> {
        let dims: Vec<usize> = axes
            .iter()
            .map(|&a| self.dimension(a, rank))
            .collect::<Result<_, _>>()?;
        let twice = dims.iter().enumerate().any(|(i, d)| dims[..i].contains(d));
        if twice {
            return malformed(format!("axes {axes:?} name one dimension twice"));
        }
        Ok(dims)
    }
}
