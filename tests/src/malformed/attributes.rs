//! Attributes that make no sense.

use super::{Case, finish};
use crate::onnx::Attribute::{Float, Int, Ints, Text};
use crate::onnx::{Attribute, Onnx};

fn case(op: &'static str, inputs: &str, with: &[(&str, Attribute)]) -> Case {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .weights("w", &[3, 3, 2, 2])
        .weights("v", &[3])
        .node(op, inputs, "y", with);
    finish(&mut model);
    let what: Vec<String> = with.iter().map(|(k, v)| format!("{k} = {v:?}")).collect();
    Case::onnx(
        "attributes",
        format!("{op}: {}", what.join(", ")),
        &model,
        &[op],
    )
}

pub fn cases() -> Vec<Case> {
    let list = |v: &[i64]| Ints(v.to_vec());
    let conv = |key: &'static str, value| case("Conv", "x w", &[(key, value)]);
    let pool = |op, key: &'static str, value| {
        case(op, "x", &[("kernel_shape", Ints(vec![2, 2])), (key, value)])
    };
    vec![
        conv("strides", list(&[0, 1])),
        conv("strides", list(&[-1, 1])),
        conv("strides", list(&[1])),
        conv("strides", list(&[1, 1, 1])),
        conv("strides", list(&[1 << 40, 1])),
        conv("strides", list(&[i64::MIN, 1])),
        conv("dilations", list(&[-1, 1])),
        conv("dilations", list(&[0, 1])),
        conv("dilations", list(&[9, 1])),
        conv("dilations", list(&[1 << 62, 1])),
        conv("pads", list(&[0, 0, -1, 0])),
        conv("pads", list(&[0, 0])),
        conv("pads", list(&[1 << 62, 0, 1 << 62, 0])),
        conv("pads", list(&[i64::MAX, 0, i64::MAX, 0])),
        conv("group", Int(0)),
        conv("group", Int(-3)),
        conv("group", Int(2)),
        conv("group", Int(i64::MIN)),
        conv("group", Float(1.0)),
        conv("kernel_shape", list(&[3, 3])),
        conv("kernel_shape", list(&[])),
        conv("auto_pad", Text("SAME")),
        conv("auto_pad", Int(3)),
        case("MaxPool", "x", &[]),
        case("MaxPool", "x", &[("kernel_shape", list(&[0, 2]))]),
        case("MaxPool", "x", &[("kernel_shape", list(&[9, 2]))]),
        case("MaxPool", "x", &[("kernel_shape", list(&[1 << 62, 2]))]),
        pool("MaxPool", "pads", list(&[2, 0, 0, 0])),
        pool("MaxPool", "strides", list(&[0, 0])),
        pool("AveragePool", "pads", list(&[0, 0, 0, 2])),
        pool("AveragePool", "pads", list(&[-1, 0, 0, 0])),
        case("Concat", "x x", &[("axis", Int(4))]),
        case("Concat", "x x", &[("axis", Int(i64::MIN))]),
        case("Transpose", "x", &[("perm", list(&[0, 1, 1, 2]))]),
        case("Transpose", "x", &[("perm", list(&[0, 1, 2, 9]))]),
        case("Transpose", "x", &[("perm", list(&[0, 1]))]),
        case("LRN", "x", &[("size", Int(0))]),
        case("LRN", "x", &[("size", Int(-5))]),
        case("LRN", "x", &[("size", Int(3)), ("beta", Float(f32::NAN))]),
        case("LeakyRelu", "x", &[("alpha", Float(f32::NAN))]),
        case("LeakyRelu", "x", &[("alpha", Float(f32::INFINITY))]),
        case("HardSigmoid", "x", &[("alpha", Float(f32::NAN))]),
        case("Softmax", "x", &[("axis", Int(17))]),
        case("Softmax", "x", &[("axis", Int(i64::MAX))]),
        case("ReduceMean", "x", &[("axes", list(&[9]))]),
        case("ReduceMean", "x", &[("axes", list(&[2, 2]))]),
        case(
            "BatchNormalization",
            "x v v v v",
            &[("epsilon", Float(f32::NAN))],
        ),
    ]
}
