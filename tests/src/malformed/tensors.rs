//! Initialisers that contradict themselves: sizes, types, contents.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::{Case, classifier, finish};
use crate::onnx::{Onnx, floats, ints};

pub fn cases() -> Vec<Case> {
    let mut cases = raw();
    cases.extend(dims());
    cases.extend(types());
    cases.extend(not_finite());
    cases.extend(floods());
    cases
}

/// The classifier with other weights.
fn weights(change: impl Fn(&mut TensorProto)) -> Onnx {
    let mut model = classifier();
    change(&mut model.graph().initializer[0]);
    model
}

fn raw() -> Vec<Case> {
    let kinds = [
        (DataType::Float, 4),
        (DataType::Double, 8),
        (DataType::Float16, 2),
        (DataType::Bfloat16, 2),
        (DataType::Int8, 1),
        (DataType::Uint8, 1),
        (DataType::Int16, 2),
        (DataType::Int32, 4),
        (DataType::Int64, 8),
        (DataType::Uint64, 8),
    ];
    let mut cases = Vec::new();
    for (kind, width) in kinds {
        for (how, bytes) in [
            ("a byte short", 36 * width - 1),
            ("a byte long", 36 * width + 1),
            ("an element short", 35 * width),
            ("twice as long", 72 * width),
        ] {
            let model = weights(|t| {
                t.data_type = kind as i32;
                t.float_data.clear();
                t.raw_data = vec![0; bytes];
            });
            let what = format!("{} {how}", kind.as_str_name());
            cases.push(Case::onnx(
                "raw_data against shape",
                what,
                &model,
                &["\"w\""],
            ));
        }
    }
    let both = weights(|t| t.raw_data = vec![0; 7]);
    cases.push(Case::onnx(
        "raw_data against shape",
        "floats and 7 bytes",
        &both,
        &["\"w\""],
    ));
    let none = weights(|t| t.float_data.clear());
    cases.push(Case::onnx(
        "raw_data against shape",
        "no numbers",
        &none,
        &["\"w\"", "36"],
    ));
    let few = weights(|t| t.float_data.truncate(35));
    cases.push(Case::onnx(
        "raw_data against shape",
        "35 floats",
        &few,
        &["\"w\"", "35"],
    ));
    cases
}

fn dims() -> Vec<Case> {
    let lists: [(&str, Vec<i64>); 14] = [
        ("2^62", vec![1 << 62]),
        ("2^62 twice", vec![1 << 62, 1 << 62]),
        ("2^62 and 4: the product is 2^64", vec![1 << 62, 4]),
        ("2^32 twice: the product is 2^64", vec![1 << 32, 1 << 32]),
        ("2^63 - 1", vec![i64::MAX, 3, 2, 2]),
        ("-1", vec![-1, 3, 2, 2]),
        ("-3 twice", vec![-3, -3, 2, 2]),
        ("-2^63", vec![i64::MIN, 3, 2, 2]),
        ("0", vec![0, 3, 2, 2]),
        ("0 and 2^62", vec![0, 1 << 62, 1 << 62]),
        ("2^40", vec![1 << 40, 3, 2, 2]),
        ("a thousand dimensions", vec![1; 1000]),
        ("one more than there are numbers", vec![37]),
        ("no dimensions", vec![]),
    ];
    let case = |(what, dims): (&str, Vec<i64>)| {
        let model = weights(|t| t.dims.clone_from(&dims));
        Case::onnx("dimensions", format!("weights: {what}"), &model, &["\"w\""])
    };
    let mut cases: Vec<Case> = lists.into_iter().map(case).collect();
    let no_elements = weights(|t| {
        t.dims = vec![0, 3, 2, 2];
        t.float_data.clear();
    });
    cases.push(Case::onnx(
        "dimensions",
        "weights of no outputs",
        &no_elements,
        &["Conv"],
    ));
    for (what, values) in [
        ("2^62", vec![1 << 62, 1]),
        ("2^62 twice", vec![1 << 62, 1 << 62]),
        ("-7", vec![1, -7]),
        ("0 twice", vec![0, 0]),
        ("-1 twice", vec![-1, -1]),
        ("-2^63", vec![i64::MIN, -1]),
        ("61", vec![1, 61]),
        ("a thousand", vec![1; 1000]),
    ] {
        let mut model = Onnx::new(13, &[1, 3, 5, 4]);
        model
            .ints("s", &values)
            .node("Reshape", "x s", "y", &[])
            .output("y");
        let what = format!("Reshape to {what}");
        cases.push(Case::onnx("dimensions", what, &model, &["Reshape"]));
    }
    cases
}

fn types() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [-1, 0, 8, 9, 14, 15, 24, 77, i32::MAX, i32::MIN] {
        let model = weights(|t| t.data_type = kind);
        let what = format!("weights of type {kind}");
        cases.push(Case::onnx("unknown type", what, &model, &["\"w\""]));
    }
    for kind in [0, 7, 8, 77, -1] {
        let mut model = Onnx::new(13, &[1, 3, 5, 4]);
        let to = [("to", crate::onnx::Attribute::Int(kind))];
        model.node("Cast", "x", "y", &to);
        finish(&mut model);
        let what = format!("Cast to type {kind}");
        cases.push(Case::onnx("unknown type", what, &model, &["Cast"]));
    }
    cases
}

fn not_finite() -> Vec<Case> {
    let values = [
        ("NaN", f32::NAN),
        ("infinity", f32::INFINITY),
        ("-infinity", f32::NEG_INFINITY),
    ];
    let mut cases = Vec::new();
    for (name, value) in values {
        let mut push = |what: &str, model: &Onnx, op| {
            let what = format!("{name} in {what}");
            cases.push(Case::onnx("NaN and infinity", what, model, &[op]));
        };
        push("weights", &weights(|t| t.float_data[7] = value), "Conv");
        let mut bias = classifier();
        bias.graph().initializer[1].float_data[2] = value;
        push("a bias", &bias, "Conv");
        let halves = weights(|t| {
            t.data_type = DataType::Float16 as i32;
            let bits = |v: &f32| half::f16::from_f32(*v).to_le_bytes();
            t.float_data[3] = value;
            t.raw_data = t.float_data.iter().flat_map(bits).collect();
            t.float_data.clear();
        });
        push("weights of 16 bits", &halves, "Conv");
        for (op, inputs) in [
            ("Add", "x k"),
            ("Mul", "k x"),
            ("PRelu", "x k"),
            ("BatchNormalization", "x k v v v"),
            ("BatchNormalization", "x v v k v"),
            ("BatchNormalization", "x v v v k"),
        ] {
            // An infinite variance makes a scale of 0, which is a number.
            if inputs == "x v v v k" && value == f32::INFINITY {
                continue;
            }
            let mut model = Onnx::new(13, &[1, 3, 5, 4]);
            let dims: &[i64] = if op == "BatchNormalization" {
                &[3]
            } else {
                &[3, 1, 1]
            };
            model
                .tensor(floats("k", dims, &[1.0, value, 1.0]))
                .weights("v", &[3]);
            model.node(op, inputs, "y", &[]);
            finish(&mut model);
            push(&format!("{op} {inputs}"), &model, op);
        }
    }
    cases
}

/// A few bytes that would become many.
fn floods() -> Vec<Case> {
    let case = |what: &str, shape: &[i64], times: usize| {
        let mut model = Onnx::new(13, &[1, 3]);
        model.tensor(ints("s", shape));
        for i in 0..times {
            model.node("ConstantOfShape", "s", &format!("c{i}"), &[]);
        }
        let all: Vec<String> = (0..times).map(|i| format!("c{i}")).collect();
        model
            .node("Sum", &format!("x {}", all.join(" ")), "y", &[])
            .output("y");
        Case::onnx("floods", what, &model, &["too large"])
    };
    let mut chain = Onnx::new(13, &[1, 3, 5, 4]);
    for i in 0..70_000 {
        let from = if i == 0 { "x".into() } else { format!("t{i}") };
        chain.node("Tanh", &from, &format!("t{}", i + 1), &[]);
    }
    chain.node("Identity", "t70000", "y", &[]);
    finish(&mut chain);
    vec![
        case("ConstantOfShape of 2^62", &[1 << 62], 1),
        case("ConstantOfShape of 2^40", &[1 << 20, 1 << 20], 1),
        case("five constants of 256 MB", &[1 << 13, 1 << 13], 5),
        Case::onnx("floods", "70,000 nodes", &chain, &["too large"]),
    ]
}
