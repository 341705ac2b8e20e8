//! Which operator is lowered by what.

use std::collections::BTreeMap;

use super::array::{Array, Data};
use super::builder::Builder;
use super::call::{Call, Value};
use super::error::{Stop, unsupported_because};
use super::{elementwise, evaluate, linear, parts, quantised, reduce, rename, tail};

/// Most elements of a constant that is made of fewer.
const MOST_EXPANDED: usize = 1 << 24;

/// What is not supported about an operator, if it is not in the table.
pub(super) fn missing(op: &str, domain: &str) -> Option<&'static str> {
    if tail::is_tail(op, domain) {
        return None;
    }
    if let Some(reason) = quantised::refusal(op) {
        return Some(reason);
    }
    let steps = matches!(op, "QuantizeLinear" | "DequantizeLinear");
    if domain == "com.microsoft" && (steps || quantised::operators::is_known(op)) {
        return None;
    }
    if !matches!(domain, "" | "ai.onnx") {
        return Some("operators of this domain are not supported");
    }
    let known = evaluate::is_known(op) || lowering(op).is_some();
    (!known).then_some("this operator is not supported")
}

type Lowering = fn(&mut Builder, &Call) -> Result<Vec<Value>, Stop>;

fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "Conv" => linear::conv,
        "Gemm" => linear::gemm,
        "MatMul" => linear::matmul,
        "Relu" | "LeakyRelu" | "HardSigmoid" | "HardSwish" | "Sigmoid" | "Swish" | "Tanh" => {
            elementwise::function
        }
        "Clip" => elementwise::clip,
        "Min" | "Max" => elementwise::extremum,
        "PRelu" => elementwise::prelu,
        "Add" | "Sub" | "Mul" | "Div" | "Sum" => elementwise::arithmetic,
        "Concat" => parts::concat,
        "Split" => parts::split,
        "Slice" => parts::slice,
        "Gather" => parts::gather,
        "Pad" => parts::pad,
        "MaxPool" | "AveragePool" => reduce::pool,
        "GlobalAveragePool" | "GlobalMaxPool" => reduce::global_pool,
        "ReduceMean" | "ReduceMax" => reduce::reduce,
        "Softmax" => reduce::softmax,
        "LRN" => reduce::lrn,
        "BatchNormalization" => reduce::batch_normalization,
        "ImageScaler" => reduce::image_scaler,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => rename::reshape,
        "Transpose" => rename::transpose,
        "Dropout" => rename::dropout,
        "Identity" => |_, call| rename::identity(call),
        "Cast" => |_, call| rename::cast(call),
        "Expand" => |_, call| rename::expand(call),
        "QuantizeLinear" => quantised::steps::quantise_linear,
        "DequantizeLinear" => quantised::steps::dequantise_linear,
        _ if quantised::operators::is_known(op) => quantised::operators::lower,
        _ => return None,
    })
}

/// Lowers one node whose inputs are all known.
pub(super) fn lower(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    if tail::applies(call) {
        return tail::cut(b, call);
    }
    if evaluate::is_known(call.op()) && evaluate::all_constant(call) {
        // These make much of little: not more than a file may reasonably mean.
        let most = match call.op() {
            "ConstantOfShape" | "Expand" => MOST_EXPANDED.min(b.elements_left()),
            _ => b.elements_left(),
        };
        let array = evaluate::evaluate(call, most)?;
        return Ok(vec![Value::Constant(b.charge(array)?)]);
    }
    if let ("Shape" | "Size", Some(Some(Value::Activation(view)))) =
        (call.op(), call.inputs.first())
    {
        let sizes = view.sizes();
        let array = if call.op() == "Shape" {
            Array::vector(rename::shape_of(call, &sizes)?)
        } else {
            Array::scalar(Data::Int(vec![sizes.iter().product::<usize>() as i64]))
        };
        return Ok(vec![Value::Constant(b.charge(array)?)]);
    }
    match lowering(call.op()) {
        Some(lower) => lower(b, call),
        None => unsupported_because("it is supported on constants only"),
    }
}

/// How often each operator occurs.
pub(super) fn census<'a>(ops: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for op in ops {
        *counts.entry(op.to_owned()).or_insert(0) += 1;
    }
    counts
}
