//! QLinear operators: each becomes the float operator between `Dequantise`
//! and `Quantise`.

use tract_onnx::pb::NodeProto;

use super::super::array::{Array, Data};
use super::super::builder::Builder;
use super::super::call::{Call, Value};
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::table;
use super::{constants, steps};

/// Whether [`lower`] knows an operator.
pub fn is_known(op: &str) -> bool {
    float_operator(op).is_some()
}

/// The operator on real numbers.
fn float_operator(op: &str) -> Option<&'static str> {
    Some(match op {
        "QLinearConv" => "Conv",
        "QLinearMatMul" => "MatMul",
        "QGemm" => "Gemm",
        "QLinearAdd" => "Add",
        "QLinearMul" => "Mul",
        "QLinearConcat" => "Concat",
        "QLinearAveragePool" => "AveragePool",
        "QLinearGlobalAveragePool" => "GlobalAveragePool",
        "QLinearReduceMean" => "ReduceMean",
        "QLinearSoftmax" => "Softmax",
        "QLinearSigmoid" => "Sigmoid",
        "QLinearLeakyRelu" => "LeakyRelu",
        _ => return None,
    })
}

/// A quantised operator.
pub fn lower(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    if call.flag("channels_last")? {
        return unsupported_because("it takes the channels last");
    }
    let (inputs, result) = match call.op() {
        "QLinearConv" => (conv_inputs(b, call)?, 6),
        "QLinearMatMul" => (matmul_inputs(b, call)?, 6),
        "QGemm" => (gemm_inputs(b, call)?, 7),
        "QLinearAdd" | "QLinearMul" => (vec![real(b, call, 0, 0)?, real(b, call, 3, 0)?], 6),
        "QLinearConcat" => (concat_inputs(b, call)?, 0),
        _ => (vec![real(b, call, 0, 0)?], 3),
    };
    let Some(op) = float_operator(call.op()) else {
        return unsupported_because("this operator is not supported");
    };
    let value = float(b, call, op, inputs)?;
    if call.op() == "QGemm" && !call.has_input(result) {
        return Ok(vec![value]);
    }
    let Value::Activation(view) = value else {
        return unsupported_because("its inputs are constants");
    };
    let quant = steps::quant(call, result, input_unsigned(b, call))?;
    Ok(vec![Value::Activation(steps::quantise(
        b, call, &view, quant,
    )?)])
}

/// Runs the float operator with the attributes of the quantised one.
fn float(b: &mut Builder, call: &Call, op: &str, inputs: Vec<Value>) -> Result<Value, Stop> {
    let mut attributes = call.node.attribute.clone();
    // QGemm's factor is in the scale of its matrix by now.
    attributes.retain(|a| a.name != "alpha" || op != "Gemm");
    let node = NodeProto {
        op_type: op.into(),
        name: call.name().into(),
        output: vec![format!("{}/real", call.output())],
        attribute: attributes,
        ..NodeProto::default()
    };
    let call = Call {
        node: &node,
        opset: call.int_attribute("opset")?.unwrap_or(call.opset),
        inputs: inputs.into_iter().map(Some).collect(),
    };
    let mut values = table::lower(b, &call)?.into_iter();
    match values.next() {
        Some(value) => Ok(value),
        None => malformed("it has no result"),
    }
}

/// Whether the first input that depends on the picture is uint8.
fn input_unsigned(b: &Builder, call: &Call) -> Option<bool> {
    call.inputs.iter().flatten().find_map(|v| match v {
        Value::Activation(view) => steps::stored_unsigned(b, view),
        _ => None,
    })
}

/// Input `i`, whose scale and zero point follow it, as real numbers. Scales of
/// a constant may run along `dim`.
fn real(b: &mut Builder, call: &Call, i: usize, dim: usize) -> Result<Value, Stop> {
    if let Some(Some(Value::Constant(array))) = call.inputs.get(i) {
        let array = constants::dequantised(array, call.floats(i + 1)?, zeros(call, i + 2)?, dim)?;
        return Ok(Value::Constant(b.charge(array)?));
    }
    let view = call.activation(i)?.clone();
    let quant = steps::quant(call, i + 1, steps::stored_unsigned(b, &view))?;
    Ok(Value::Activation(steps::dequantise(b, call, &view, quant)?))
}

fn zeros(call: &Call, i: usize) -> Result<Vec<i64>, Stop> {
    match call.has_input(i) {
        true => call.ints(i),
        false => Ok(vec![]),
    }
}

fn conv_inputs(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let mut inputs = vec![real(b, call, 0, 0)?, real(b, call, 3, 0)?];
    if call.has_input(8) {
        inputs.push(bias(b, call, (1, 4), 8)?);
    }
    Ok(inputs)
}

/// An int32 bias: its step is the product of the scales of input and weights.
fn bias(
    b: &mut Builder,
    call: &Call,
    (input, weights): (usize, usize),
    at: usize,
) -> Result<Value, Stop> {
    let Some(input) = call.optional_scalar(input)? else {
        return malformed("its scale is missing");
    };
    let scales = call.floats(weights)?.into_iter();
    let scales = scales.map(|s| input * s).collect();
    let array = call.constant(at)?;
    let last = array.dims.len().saturating_sub(1);
    let array = constants::dequantised(array, scales, vec![], last)?;
    Ok(Value::Constant(b.charge(array)?))
}

fn matmul_inputs(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let columns = call.constant(3)?.dims.len().saturating_sub(1);
    Ok(vec![real(b, call, 0, 0)?, real(b, call, 3, columns)?])
}

/// QGemm's factor alpha becomes part of the scale of its matrix.
fn gemm_inputs(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let alpha = call.float_attribute("alpha")?.unwrap_or(1.0);
    if !alpha.is_finite() || alpha <= 0.0 {
        return unsupported_because(format!("its factor alpha is {alpha}"));
    }
    let scales: Vec<f32> = call.floats(4)?.into_iter().map(|s| s * alpha).collect();
    let scaled = Call {
        node: call.node,
        opset: call.opset,
        inputs: {
            let mut inputs = call.inputs.clone();
            let array = Array::vector(Data::Float(scales));
            inputs[4] = Some(Value::Constant(b.charge(array)?));
            inputs
        },
    };
    let columns = usize::from(!call.flag("transB")?);
    let mut inputs = vec![real(b, &scaled, 0, 0)?, real(b, &scaled, 3, columns)?];
    if call.has_input(6) {
        inputs.push(bias(b, &scaled, (1, 4), 6)?);
    }
    Ok(inputs)
}

/// QLinearConcat: scale and zero point of the result, then three for each part.
fn concat_inputs(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let count = call.inputs.len();
    if count < 5 || !(count - 2).is_multiple_of(3) {
        return malformed(format!("{count} inputs"));
    }
    (2..count).step_by(3).map(|i| real(b, call, i, 0)).collect()
}
