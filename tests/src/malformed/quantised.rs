//! Quantised ONNX files with wrong scales, zero points, types and shapes.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::{Case, finish};
use crate::onnx::{Attribute, Onnx, floats};

/// Integers of a type.
fn stored(name: &str, kind: DataType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: kind as i32,
        dims: dims.to_vec(),
        int32_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// x to integers and back, a convolution with integer weights, to integers and back.
pub fn between(change: &dyn Fn(&mut Vec<TensorProto>)) -> Onnx {
    let mut tensors = vec![
        floats("s", &[], &[0.1]),
        stored("z", DataType::Int8, &[], &[3]),
        stored("w", DataType::Int8, &[3, 3, 1, 1], &[7; 9]),
        floats("ws", &[3], &[0.1, 0.2, 0.3]),
        stored("wz", DataType::Int8, &[3], &[0; 3]),
        stored("b", DataType::Int32, &[3], &[1, 2, 3]),
        floats("bs", &[3], &[0.01, 0.02, 0.03]),
        stored("bz", DataType::Int32, &[3], &[0; 3]),
    ];
    change(&mut tensors);
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    for tensor in tensors {
        model.tensor(tensor);
    }
    let axis = [("axis", Attribute::Int(0))];
    model
        .node("QuantizeLinear", "x s z", "xq", &[])
        .node("DequantizeLinear", "xq s z", "xr", &[])
        .node("DequantizeLinear", "w ws wz", "wr", &axis)
        .node("DequantizeLinear", "b bs bz", "br", &axis)
        .node("Conv", "xr wr br", "c", &[])
        .node("QuantizeLinear", "c s z", "cq", &[])
        .node("DequantizeLinear", "cq s z", "y", &[]);
    finish(&mut model);
    model
}

/// A QLinearConv.
pub fn linear(change: &dyn Fn(&mut Vec<TensorProto>)) -> Onnx {
    let mut tensors = vec![
        floats("s", &[], &[0.1]),
        stored("z", DataType::Uint8, &[], &[128]),
        stored("w", DataType::Int8, &[3, 3, 1, 1], &[7; 9]),
        floats("ws", &[3], &[0.1, 0.2, 0.3]),
        stored("wz", DataType::Int8, &[3], &[0; 3]),
        floats("t", &[], &[0.2]),
        stored("u", DataType::Uint8, &[], &[128]),
        stored("b", DataType::Int32, &[3], &[1, 2, 3]),
    ];
    change(&mut tensors);
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    for tensor in tensors {
        model.tensor(tensor);
    }
    model
        .node("QuantizeLinear", "x s z", "xq", &[])
        .node("QLinearConv", "xq s z w ws wz t u b", "q", &[])
        .node("DequantizeLinear", "q t u", "y", &[]);
    finish(&mut model);
    model
}

type Change = fn(&mut Vec<TensorProto>);

const BETWEEN: [(&str, Change, &str); 22] = [
    (
        "a scale of 0",
        |t| t[0].float_data = vec![0.0],
        "QuantizeLinear",
    ),
    (
        "a scale of NaN",
        |t| t[0].float_data = vec![f32::NAN],
        "QuantizeLinear",
    ),
    (
        "a scale of infinity",
        |t| t[0].float_data = vec![f32::INFINITY],
        "QuantizeLinear",
    ),
    (
        "a scale of -1",
        |t| t[0].float_data = vec![-1.0],
        "QuantizeLinear",
    ),
    (
        "two scales of a picture",
        |t| t[0] = floats("s", &[2], &[0.1, 0.2]),
        "QuantizeLinear",
    ),
    (
        "no scale",
        |t| t[0] = floats("s", &[0], &[]),
        "QuantizeLinear",
    ),
    (
        "a zero point of 300",
        |t| t[1].int32_data = vec![300],
        "QuantizeLinear",
    ),
    (
        "a zero point of -129",
        |t| t[1].int32_data = vec![-129],
        "QuantizeLinear",
    ),
    (
        "a zero point of 32 bits",
        |t| t[1] = stored("z", DataType::Int32, &[], &[3]),
        "QuantizeLinear",
    ),
    (
        "a zero point that is a float",
        |t| t[1] = floats("z", &[], &[3.0]),
        "QuantizeLinear",
    ),
    (
        "two zero points",
        |t| t[1] = stored("z", DataType::Int8, &[2], &[3, 3]),
        "QuantizeLinear",
    ),
    (
        "two scales of three filters",
        |t| t[3] = floats("ws", &[2], &[0.1, 0.2]),
        "DequantizeLinear",
    ),
    (
        "a filter's scale of NaN",
        |t| t[3].float_data[1] = f32::NAN,
        "DequantizeLinear",
    ),
    (
        "a filter's scale of -1",
        |t| t[3].float_data[1] = -1.0,
        "DequantizeLinear",
    ),
    (
        "a filter's scale of infinity",
        |t| t[3].float_data[1] = f32::INFINITY,
        "DequantizeLinear",
    ),
    (
        "two zero points of three filters",
        |t| t[4] = stored("wz", DataType::Int8, &[2], &[0; 2]),
        "DequantizeLinear",
    ),
    (
        "weights that are floats",
        |t| t[2] = floats("w", &[3, 3, 1, 1], &[0.5; 9]),
        "DequantizeLinear",
    ),
    (
        "weights of another shape",
        |t| t[2].dims = vec![9],
        "DequantizeLinear",
    ),
    (
        "weights for 9 channels",
        |t| t[2].dims = vec![1, 9, 1, 1],
        "DequantizeLinear",
    ),
    (
        "eight of nine weights",
        |t| t[2].int32_data.truncate(8),
        "\"w\"",
    ),
    (
        "a bias of two",
        |t| {
            (t[5], t[6], t[7]) = (
                stored("b", DataType::Int32, &[2], &[1, 2]),
                floats("bs", &[], &[0.1]),
                stored("bz", DataType::Int32, &[], &[0]),
            )
        },
        "Conv",
    ),
    (
        "a bias's scale of NaN",
        |t| t[6].float_data[2] = f32::NAN,
        "DequantizeLinear",
    ),
];

const LINEAR: [(&str, Change, &str); 12] = [
    (
        "a scale of 0",
        |t| t[5].float_data = vec![0.0],
        "QLinearConv",
    ),
    (
        "a scale of NaN",
        |t| t[5].float_data = vec![f32::NAN],
        "QLinearConv",
    ),
    (
        "two scales of the result",
        |t| t[5] = floats("t", &[2], &[0.1, 0.2]),
        "QLinearConv",
    ),
    (
        "a zero point of -1",
        |t| t[6].int32_data = vec![-1],
        "QLinearConv",
    ),
    (
        "a zero point of 256",
        |t| t[6].int32_data = vec![256],
        "QLinearConv",
    ),
    (
        "a zero point of 16 bits",
        |t| t[6] = stored("u", DataType::Int16, &[], &[0]),
        "QLinearConv",
    ),
    (
        "two scales of three filters",
        |t| t[3] = floats("ws", &[2], &[0.1, 0.2]),
        "QLinearConv",
    ),
    (
        "four scales of three filters",
        |t| t[3] = floats("ws", &[4], &[0.1; 4]),
        "QLinearConv",
    ),
    (
        "a filter's scale of infinity",
        |t| t[3].float_data[0] = f32::INFINITY,
        "QLinearConv",
    ),
    (
        "weights that are floats",
        |t| t[2] = floats("w", &[3, 3, 1, 1], &[0.5; 9]),
        "QLinearConv",
    ),
    (
        "weights for four channels",
        |t| t[2] = stored("w", DataType::Int8, &[3, 4, 1, 1], &[7; 12]),
        "QLinearConv",
    ),
    (
        "a bias of two",
        |t| t[7] = stored("b", DataType::Int32, &[2], &[1, 2]),
        "QLinearConv",
    ),
];

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = BETWEEN
        .iter()
        .map(|(what, change, op)| Case::onnx("quantised ONNX", *what, &between(change), &[op]))
        .collect();
    cases.extend(LINEAR.iter().map(|(what, change, op)| {
        let what = format!("QLinearConv: {what}");
        Case::onnx("quantised ONNX", what, &linear(change), &[op])
    }));
    cases
}
