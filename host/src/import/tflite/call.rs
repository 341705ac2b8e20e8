//! One TFLite operator with its inputs looked up.

use std::rc::Rc;

use tract_tflite::tflite::{ActivationFunctionType, BuiltinOperator, Operator};

use foveola_core::net::op::Activation;

use super::super::error::{Stop, malformed, unsupported_because};
use super::super::view::View;
use super::file::{Entry, File};

/// What a tensor of the file stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Values in the file.
    Constant,
    /// Real numbers that an operator makes of a constant, in the tensor's order.
    Real(Rc<Vec<f32>>),
    /// Depends on the picture.
    Activation(View),
    /// Made by an operator that is not supported.
    Unknown,
}

/// An operator and its inputs.
pub(super) struct Call<'f, 'a> {
    pub file: &'f File<'a>,
    pub index: usize,
    pub operator: Operator<'a>,
    pub code: BuiltinOperator,
    /// Name of the operator in the schema.
    pub op: String,
    /// Tensors that it reads; `None` where an optional input is left out.
    pub inputs: Vec<Option<usize>>,
    pub outputs: Vec<usize>,
    /// What the inputs stand for.
    pub values: Vec<Option<Value>>,
}

impl<'a> Call<'_, 'a> {
    /// Name of the node: the operator's index and kind.
    pub fn name(&self) -> String {
        format!("{}.{}", self.index, self.op)
    }

    /// Output `i` as the file describes it.
    pub fn output(&self, i: usize) -> Result<&Entry<'a>, Stop> {
        match self.outputs.get(i) {
            Some(&at) => Ok(&self.file.entries[at]),
            None => malformed(format!("output {i} is missing")),
        }
    }

    /// Input `i` as the file describes it, if it is there.
    pub fn optional(&self, i: usize) -> Option<&Entry<'a>> {
        let at = (*self.inputs.get(i)?)?;
        self.file.entries.get(at)
    }

    /// Input `i` as the file describes it.
    pub fn input(&self, i: usize) -> Result<&Entry<'a>, Stop> {
        match self.optional(i) {
            Some(entry) => Ok(entry),
            None => malformed(format!("input {i} is missing")),
        }
    }

    /// What input `i` stands for.
    pub fn value(&self, i: usize) -> Result<&Value, Stop> {
        match self.values.get(i) {
            Some(Some(value)) => Ok(value),
            _ => malformed(format!("input {i} is missing")),
        }
    }

    /// Input `i`, which depends on the picture.
    pub fn activation(&self, i: usize) -> Result<&View, Stop> {
        match self.value(i)? {
            Value::Activation(view) => Ok(view),
            _ => unsupported_because(format!("input {i} is a constant")),
        }
    }

    /// Whether input `i` depends on the picture.
    pub fn is_activation(&self, i: usize) -> bool {
        matches!(self.values.get(i), Some(Some(Value::Activation(_))))
    }

    /// Input `i`: constant integers, as stored.
    pub fn integers(&self, i: usize) -> Result<Vec<i64>, Stop> {
        let entry = self.input(i)?;
        match (self.value(i)?, entry.integers()) {
            (Value::Constant, Some(values)) => Ok(values),
            (Value::Constant, None) => malformed(format!(
                "input {i} is {} where integers belong",
                entry.kind_name()
            )),
            _ => unsupported_because(format!("input {i} is not a constant")),
        }
    }

    /// An index of a dimension that may count from the end.
    pub fn dimension(&self, axis: i64, rank: usize) -> Result<usize, Stop> {
        let from_end = if axis < 0 { rank as i64 } else { 0 };
        match axis.checked_add(from_end).map(usize::try_from) {
            Some(Ok(d)) if d < rank => Ok(d),
            _ => malformed(format!(
                "axis {axis} does not exist among {rank} dimensions"
            )),
        }
    }

    /// The operator's options, which must be there.
    pub fn options<T>(&self, options: Option<T>) -> Result<T, Stop> {
        match options {
            Some(options) => Ok(options),
            None => malformed("its options are missing or those of another operator"),
        }
    }
}

/// The function that an operator applies to its result.
pub(super) fn fused(function: ActivationFunctionType) -> Result<Activation, Stop> {
    match function {
        ActivationFunctionType::NONE => Ok(Activation::None),
        ActivationFunctionType::RELU => Ok(Activation::Relu),
        ActivationFunctionType::RELU6 => Ok(Activation::Clip { lo: 0.0, hi: 6.0 }),
        ActivationFunctionType::RELU_N1_TO_1 => Ok(Activation::Clip { lo: -1.0, hi: 1.0 }),
        other => match other.variant_name() {
            Some(name) => unsupported_because(format!("the fused activation {name}")),
            None => malformed(format!("fused activation {} does not exist", other.0)),
        },
    }
}
