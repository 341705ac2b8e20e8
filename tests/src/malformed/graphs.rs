//! Graphs that are none: arity, order, names, versions, inputs, outputs.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{OperatorSetIdProto, TypeProto, type_proto};

use super::{Case, classifier, finish};
use crate::onnx::{Onnx, declared};

pub fn cases() -> Vec<Case> {
    let mut cases = too_many();
    cases.extend(too_few());
    cases.extend(order());
    cases.extend(names());
    cases.extend(versions());
    cases.extend(inputs());
    cases.extend(outputs());
    cases
}

/// Operators and the most inputs that their schemas allow.
const MOST: [(&str, usize); 46] = [
    ("Conv", 3),
    ("Gemm", 3),
    ("MatMul", 2),
    ("Relu", 1),
    ("LeakyRelu", 1),
    ("HardSigmoid", 1),
    ("HardSwish", 1),
    ("Sigmoid", 1),
    ("Tanh", 1),
    ("Clip", 3),
    ("PRelu", 2),
    ("Add", 2),
    ("Sub", 2),
    ("Mul", 2),
    ("Div", 2),
    ("Split", 2),
    ("Slice", 5),
    ("Gather", 2),
    ("Pad", 4),
    ("MaxPool", 1),
    ("AveragePool", 1),
    ("GlobalAveragePool", 1),
    ("GlobalMaxPool", 1),
    ("ReduceMean", 2),
    ("ReduceMax", 2),
    ("Softmax", 1),
    ("LRN", 1),
    ("BatchNormalization", 5),
    ("Reshape", 2),
    ("Flatten", 1),
    ("Squeeze", 2),
    ("Unsqueeze", 2),
    ("Transpose", 1),
    ("Dropout", 3),
    ("Identity", 1),
    ("Cast", 1),
    ("Expand", 2),
    ("ArgMax", 1),
    ("LogSoftmax", 1),
    ("Shape", 1),
    ("Size", 1),
    ("QuantizeLinear", 3),
    ("DequantizeLinear", 3),
    ("QLinearConv", 9),
    ("QLinearMatMul", 8),
    ("ConstantOfShape", 1),
];

fn too_many() -> Vec<Case> {
    let case = |(op, most): (&'static str, usize)| {
        let mut model = Onnx::new(13, &[1, 3, 5, 4]);
        let inputs = format!("x{}", " v".repeat(most));
        model.weights("v", &[3]).node(op, &inputs, "y", &[]);
        finish(&mut model);
        let what = format!("{op} with {} inputs", most + 1);
        Case::onnx("wrong arity", what, &model, &[op, "inputs and takes"])
    };
    MOST.map(case).to_vec()
}

/// Operators that need more inputs than the picture.
fn too_few() -> Vec<Case> {
    let ops = [
        ("Conv", 13),
        ("Gemm", 13),
        ("MatMul", 13),
        ("PRelu", 13),
        ("Add", 13),
        ("Sub", 13),
        ("Mul", 13),
        ("Div", 13),
        ("Slice", 13),
        ("Gather", 13),
        ("Pad", 13),
        ("Reshape", 13),
        ("Unsqueeze", 13),
        ("Expand", 13),
        ("BatchNormalization", 13),
        ("QuantizeLinear", 13),
        ("DequantizeLinear", 13),
        ("QLinearConv", 13),
        ("QLinearMatMul", 13),
    ];
    let case = |(op, opset): (&'static str, i64)| {
        let mut model = Onnx::new(opset, &[1, 3, 5, 4]);
        model.node(op, "x", "y", &[]);
        finish(&mut model);
        Case::onnx("wrong arity", format!("{op} with one input"), &model, &[op])
    };
    ops.map(case).to_vec()
}

fn order() -> Vec<Case> {
    let case = |what, nodes: &[(&str, &str, &str)], says| {
        let mut model = Onnx::new(13, &[1, 3, 5, 4]);
        model.weights("v", &[1, 3, 1, 1]);
        for (op, inputs, output) in nodes {
            model.node(op, inputs, output, &[]);
        }
        finish(&mut model);
        Case::onnx("cycles and missing inputs", what, &model, says)
    };
    vec![
        case(
            "a node that reads itself",
            &[("Add", "x y", "y")],
            &["\"y\"", "circle"],
        ),
        case(
            "two nodes in a circle",
            &[("Add", "x b", "a"), ("Relu", "a", "b"), ("Relu", "b", "y")],
            &["\"b\"", "circle"],
        ),
        case(
            "three nodes in a circle",
            &[
                ("Add", "x c", "a"),
                ("Relu", "a", "b"),
                ("Tanh", "b", "c"),
                ("Relu", "c", "y"),
            ],
            &["\"c\"", "circle"],
        ),
        case(
            "a circle beside the input",
            &[("Relu", "b", "a"), ("Relu", "a", "b"), ("Add", "x a", "y")],
            &["circle"],
        ),
        case(
            "nodes in the wrong order",
            &[("Relu", "a", "y"), ("Relu", "x", "a")],
            &["\"a\"", "later node"],
        ),
        case(
            "an input that nothing makes",
            &[("Add", "x nowhere", "y")],
            &["\"nowhere\"", "nothing makes"],
        ),
        case(
            "a first input that nothing makes",
            &[("Add", "nowhere x", "y")],
            &["\"nowhere\""],
        ),
        case(
            "weights that are not there",
            &[("Conv", "x kernel", "y")],
            &["\"kernel\"", "nothing makes"],
        ),
        case(
            "no way from the input",
            &[("Relu", "v", "y")],
            &["no output depends on an input"],
        ),
        case(
            "an input that is left out",
            &[("Add", "x _", "y")],
            &["Add", "missing"],
        ),
        case(
            "all inputs left out",
            &[("Add", "_ _", "y")],
            &["no output depends on an input"],
        ),
    ]
}

fn names() -> Vec<Case> {
    let case = |what, change: &dyn Fn(&mut Onnx)| {
        let mut model = classifier();
        change(&mut model);
        Case::onnx("duplicate names", what, &model, &["made twice"])
    };
    vec![
        case("two nodes make one tensor", &|m| {
            m.node("Relu", "x", "c", &[]);
        }),
        case("a node makes an initialiser", &|m| {
            m.node("Relu", "x", "w", &[]);
        }),
        case("two initialisers", &|m| {
            m.weights("w", &[3, 3, 2, 2]);
        }),
        case("one node makes a tensor twice", &|m| {
            m.node("Split", "x", "twice twice", &[]);
        }),
        case("the scores made twice", &|m| {
            m.node("Relu", "c", "scores", &[]);
        }),
    ]
}

fn versions() -> Vec<Case> {
    let case = |what: String, version: i64, says| {
        let mut model = classifier();
        model.proto.opset_import[0].version = version;
        Case::onnx("unknown opset", what, &model, says)
    };
    let old = [i64::MIN, -1, 0, 1, 3, 6];
    let mut cases: Vec<Case> = old
        .map(|v| case(format!("opset {v}"), v, &["opset 7 to 21"]))
        .to_vec();
    let mut none = classifier();
    none.proto.opset_import.clear();
    cases.push(Case::onnx(
        "unknown opset",
        "no opset",
        &none,
        &["opset 7 to 21"],
    ));
    let mut foreign = classifier();
    foreign.proto.opset_import = vec![OperatorSetIdProto {
        domain: "com.example".into(),
        version: 13,
    }];
    cases.push(Case::onnx(
        "unknown opset",
        "another domain's opset",
        &foreign,
        &["opset 7 to 21"],
    ));
    for domain in ["com.example", "org.example"] {
        let mut model = classifier();
        model.graph().node[0].domain = domain.into();
        model.graph().node[0].op_type = "Fancy".into();
        let what = format!("an operator of {domain}");
        cases.push(Case::onnx("unknown opset", what, &model, &["domain"]));
    }
    let mut odd = classifier();
    odd.graph().node[0].op_type = "Convolve".into();
    cases.push(Case::onnx(
        "unknown opset",
        "an operator that does not exist",
        &odd,
        &["Convolve"],
    ));
    let mut empty = classifier();
    empty.graph().node[0].op_type.clear();
    cases.push(Case::onnx(
        "unknown opset",
        "an operator without a name",
        &empty,
        &["not supported"],
    ));
    cases
}

fn inputs() -> Vec<Case> {
    let case = |what: &str, kind: DataType, dims: &[i64], says: &[&'static str]| {
        let mut model = classifier();
        model.graph().input[0] = declared("x", kind, dims);
        Case::onnx("input", what, &model, says)
    };
    let float = DataType::Float;
    let mut cases = vec![
        case(
            "a batch of 8",
            float,
            &[8, 3, 5, 4],
            &["\"x\"", "batches of 8"],
        ),
        case("a negative side", float, &[1, 3, -7, 4], &["\"x\"", "-7"]),
        case("a side of 0", float, &[1, 3, 0, 4], &["\"x\""]),
        case(
            "a side of 2^62",
            float,
            &[1, 3, 1 << 62, 4],
            &["\"x\"", "1 to 65535"],
        ),
        case("channels of 2^62", float, &[1, 1 << 62, 5, 4], &["\"x\""]),
        case(
            "sides whose product is 2^64",
            float,
            &[1, 1 << 16, 1 << 24, 1 << 24],
            &["\"x\""],
        ),
        case("65535 x 65535 pixels", float, &[1, 3, 65535, 65535], &[]),
        case("open channels", float, &[1, -1, 5, 4], &["\"x\"", "open"]),
        case("open sides", float, &[1, 3, -1, -1], &["--input-size"]),
        case(
            "five dimensions",
            float,
            &[1, 3, 2, 5, 4],
            &["\"x\"", "5 dimensions"],
        ),
        case("no dimensions", float, &[], &["\"x\"", "0 dimensions"]),
        case(
            "a thousand dimensions",
            float,
            &[1; 1000],
            &["\"x\"", "1000 dimensions"],
        ),
        case(
            "text",
            DataType::String,
            &[1, 3, 5, 4],
            &["\"x\"", "STRING"],
        ),
        case(
            "complex numbers",
            DataType::Complex64,
            &[1, 3, 5, 4],
            &["\"x\"", "COMPLEX64"],
        ),
        case(
            "booleans",
            DataType::Bool,
            &[1, 3, 5, 4],
            &["\"x\"", "BOOL"],
        ),
        case("no type", DataType::Undefined, &[1, 3, 5, 4], &["\"x\""]),
    ];
    let with = |what, change: &dyn Fn(&mut Onnx), says| {
        let mut model = classifier();
        change(&mut model);
        Case::onnx("input", what, &model, says)
    };
    cases.push(with(
        "no input at all",
        &|m| m.graph().input.clear(),
        &["no output depends"],
    ));
    cases.push(with(
        "an input without a type",
        &|m| m.graph().input[0].r#type = None,
        &["not a tensor"],
    ));
    let nothing = |m: &mut Onnx| m.graph().input[0].r#type = Some(TypeProto::default());
    cases.push(with(
        "a type that says nothing",
        &nothing,
        &["not a tensor"],
    ));
    let unknown = |m: &mut Onnx| {
        let mut info = declared("x", DataType::Float, &[1, 3, 5, 4]);
        if let Some(type_proto::Value::TensorType(t)) =
            info.r#type.as_mut().and_then(|t| t.value.as_mut())
        {
            t.elem_type = 77;
        }
        m.graph().input[0] = info;
    };
    cases.push(with("numbers of type 77", &unknown, &["\"x\"", "77"]));
    let two = |m: &mut Onnx| {
        m.graph()
            .input
            .push(declared("z", DataType::Float, &[1, 3, 5, 4]));
        m.graph().node[0].input[0] = "sum".into();
        m.node("Add", "x z", "sum", &[]);
        m.graph().node.rotate_right(1);
    };
    cases.push(with("two pictures", &two, &["several inputs"]));
    cases
}

fn outputs() -> Vec<Case> {
    let case = |what, change: &dyn Fn(&mut Onnx), says| {
        let mut model = classifier();
        change(&mut model);
        Case::onnx("output", what, &model, says)
    };
    vec![
        case("no output", &|m| m.graph().output.clear(), &["no output"]),
        case(
            "an output that nothing makes",
            &|m| m.graph().output[0].name = "nowhere".into(),
            &["no output"],
        ),
        case(
            "a picture as output",
            &|m| m.graph().output[0].name = "c".into(),
            &["no output serves"],
        ),
        case(
            "weights as output",
            &|m| m.graph().output[0].name = "w".into(),
            &["no output"],
        ),
        case("no nodes", &|m| m.graph().node.clear(), &["no output"]),
    ]
}
