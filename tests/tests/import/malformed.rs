//! Broken and hostile files: a typed error that says where, never a panic,
//! never a flood of memory.

use foveola::import::{ImportError, Options, from_bytes};
use foveola_tests::Golden;
use foveola_tests::onnx::{Attribute, Onnx, declared, floats, ints};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

fn error(bytes: &[u8]) -> ImportError {
    from_bytes(bytes, None, &Options::default()).expect_err("it must not load")
}

/// The message must name what is wrong, and where.
fn says(model: &Onnx, words: &[&str]) {
    let text = error(&model.bytes()).to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(text.lines().count() < 20, "one screen");
}

fn one_node(op: &str, inputs: &str, with: &[(&str, Attribute)]) -> Onnx {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .weights("w", &[2, 3, 3, 3])
        .weights("v", &[3])
        .node(op, inputs, "y", with)
        .output("y");
    model
}

#[test]
fn what_is_no_model() {
    for bytes in [
        &b""[..],
        b"hello, this is a text file\n",
        &[0xff; 64],
        &[0; 64],
    ] {
        let text = error(bytes).to_string();
        assert!(text.contains("not an ONNX model"), "{text}");
    }
    assert!(matches!(
        error(&Onnx::new(6, &[1, 3]).output("x").bytes()),
        ImportError::Opset { found: 6 }
    ));
}

#[test]
fn every_truncation_is_an_error() {
    let path = Golden::open("n1").folder.join("model.onnx");
    let bytes = std::fs::read(path).expect("the model is there");
    let lengths = (0..400).chain((400..bytes.len()).step_by(97));
    for length in lengths {
        error(&bytes[..length]);
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let path = Golden::open("n1").folder.join("model.onnx");
    let bytes = std::fs::read(path).expect("the model is there");
    let mut errors = 0;
    // Structure lies at both ends; weights between them.
    let places = (0..700).chain(bytes.len() - 700..bytes.len());
    for place in places {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[place] ^= flip;
            errors += usize::from(from_bytes(&broken, None, &Options::default()).is_err());
        }
    }
    assert!(errors > 300, "flipped structure is noticed: {errors}");
}

#[test]
fn every_operator_survives_a_wrong_arity() {
    let ops = "Conv Gemm MatMul Relu LeakyRelu HardSigmoid HardSwish Sigmoid Tanh Clip Min Max PRelu \
        Add Sub Mul Div Sum Concat Split Slice Pad MaxPool AveragePool GlobalAveragePool GlobalMaxPool \
        ReduceMean ReduceMax Softmax LRN BatchNormalization ImageScaler Reshape Flatten Squeeze \
        Unsqueeze Transpose Dropout Identity Cast Expand ArgMax LogSoftmax Shape Size Gather \
        Constant ConstantOfShape Neg Sqrt Floor";
    let inputs = [
        "",
        "_",
        "x",
        "_ x",
        "v",
        "w w",
        "x x x x x",
        "v v v v v",
        "x v v v v",
        "x w w",
        "n x",
        "x n n n n",
        "n n n n n",
    ];
    for op in ops.split_whitespace() {
        for opset in [7, 13, 18] {
            for inputs in inputs {
                let mut model = Onnx::new(opset, &[1, 3, 5, 4]);
                model
                    .weights("w", &[2, 3, 3, 3])
                    .weights("v", &[3])
                    .ints("n", &[-3, 0, i64::MIN, i64::MAX])
                    .node(op, inputs, "y", &[])
                    .node("Add", "y x", "z", &[])
                    .output("z");
                // Some of these are sound; none may panic.
                let _ = from_bytes(&model.bytes(), None, &Options::default());
                model.graph().node[0].output.clear();
                let _ = from_bytes(&model.bytes(), None, &Options::default());
            }
        }
    }
    says(
        &one_node("Conv", "x", &[]),
        &["Conv of y", "input 1 is missing"],
    );
    says(
        &one_node("Gemm", "", &[]),
        &["no output depends on an input"],
    );
}

#[test]
fn graphs_out_of_order() {
    let mut missing = one_node("Add", "x nowhere", &[]);
    says(&missing, &["Add of y", "\"nowhere\"", "nothing makes"]);
    missing.node("Relu", "y", "nowhere", &[]);
    says(&missing, &["Add of y", "later node, or in a circle"]);
    says(
        &one_node("Add", "x y", &[]),
        &["Add of y", "\"y\"", "circle"],
    );
    let mut twice = one_node("Relu", "x", &[]);
    twice.node("Tanh", "x", "y", &[]);
    says(&twice, &["\"y\" is made twice"]);
    let mut initialiser = one_node("Relu", "x", &[]);
    initialiser.weights("y", &[3]);
    says(&initialiser, &["\"y\" is made twice"]);
    let mut no_output = one_node("Relu", "x", &[]);
    no_output.graph().output.clear();
    says(&no_output, &["no output depends on an input"]);
    says(
        &one_node("Relu", "x", &[]),
        &["no output serves", "\"y\" is [1, 3, 5, 4]"],
    );
}

#[test]
fn long_chains_need_no_stack() {
    let mut model = Onnx::new(13, &[1, 3]);
    for i in 0..100_000 {
        let from = if i == 0 { "x".into() } else { format!("t{i}") };
        model.node("Identity", &from, &format!("t{}", i + 1), &[]);
    }
    model.output("t100000");
    assert!(from_bytes(&model.bytes(), None, &Options::default()).is_ok());
    for node in &mut model.graph().node {
        node.op_type = "Tanh".into();
    }
    says(&model, &["too large", "65535 tensors"]);
}

fn with_weights(tensor: TensorProto) -> Onnx {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .tensor(tensor)
        .node("Conv", "x w", "y", &[])
        .output("y");
    model
}

#[test]
fn tensors_that_contradict_themselves() {
    let good = floats("w", &[1, 3, 1, 1], &[1.0, 2.0, 3.0]);
    let change = |change: &dyn Fn(&mut TensorProto)| {
        let mut tensor = good.clone();
        change(&mut tensor);
        with_weights(tensor)
    };
    says(&change(&|t| t.dims[1] = -3), &["\"w\"", "-3 is negative"]);
    says(&change(&|t| t.dims[1] = i64::MAX), &["\"w\"", "exceed"]);
    says(
        &change(&|t| t.dims = vec![1 << 33, 1 << 33]),
        &["\"w\"", "exceed"],
    );
    says(
        &change(&|t| t.dims[1] = 4),
        &["\"w\"", "need 4 elements, the file holds 3"],
    );
    says(
        &change(&|t| t.data_type = 77),
        &["\"w\"", "type 77 is unknown"],
    );
    says(
        &change(&|t| t.data_type = DataType::Complex64 as i32),
        &["\"w\"", "COMPLEX64"],
    );
    says(
        &change(&|t| t.raw_data = vec![0; 11]),
        &["\"w\"", "the file holds 11"],
    );
    says(
        &change(&|t| t.float_data[1] = f32::NAN),
        &["Conv of y", "element 1", "NaN"],
    );
    says(
        &change(&|t| t.float_data[2] = f32::INFINITY),
        &["Conv of y", "inf"],
    );
    says(&change(&|t| t.dims = vec![3]), &["Conv of y", "[3]"]);
    says(
        &change(&|t| t.dims = vec![3, 1, 1, 1]),
        &["Conv of y", "do not fit 3 channels"],
    );
    says(
        &change(&|t| t.dims = vec![0, 3, 1, 1]),
        &["need 0 elements"],
    );
    says(
        &change(&|t| (t.dims, t.float_data) = (vec![0, 3, 1, 1], vec![])),
        &["Conv of y", "do not fit"],
    );
}

#[test]
fn attributes_that_make_no_sense() {
    use Attribute::{Float, Int, Ints, Text};
    let list = |v: &[i64]| Ints(v.to_vec());
    let conv = |key: &'static str, value| one_node("Conv", "x w", &[(key, value)]);
    says(&conv("strides", list(&[0, 1])), &["Conv of y", "strides"]);
    says(
        &conv("strides", list(&[1])),
        &["Conv of y", "two directions"],
    );
    says(
        &conv("strides", list(&[1 << 40, 1])),
        &["Conv of y", "larger than 65535"],
    );
    says(
        &conv("dilations", list(&[-1, 1])),
        &["Conv of y", "dilations"],
    );
    says(
        &conv("dilations", list(&[9, 1])),
        &["Conv of y", "reaches over 19 elements"],
    );
    says(
        &conv("pads", list(&[0, 0, -1, 0])),
        &["Conv of y", "pad -1 is negative"],
    );
    says(&conv("group", Int(0)), &["Conv of y", "0 groups"]);
    says(&conv("group", Int(i64::MIN)), &["Conv of y", "groups"]);
    says(
        &conv("group", Float(1.0)),
        &["Conv of y", "group is not of type INT"],
    );
    says(
        &conv("kernel_shape", list(&[2, 2])),
        &["Conv of y", "contradicts"],
    );
    says(
        &conv("auto_pad", Text("SAME")),
        &["Conv of y", "auto_pad SAME"],
    );
    says(
        &one_node("Concat", "x x", &[("axis", Int(4))]),
        &["axis 4 does not exist"],
    );
    says(
        &one_node("Concat", "x x", &[("axis", Int(i64::MIN))]),
        &["does not exist"],
    );
    says(
        &one_node("Transpose", "x", &[("perm", list(&[0, 1, 1, 2]))]),
        &["twice"],
    );
    says(&one_node("MaxPool", "x", &[]), &["kernel_shape is missing"]);
    let pool = |pads: &[i64]| [("kernel_shape", list(&[2, 2])), ("pads", list(pads))];
    says(
        &one_node("MaxPool", "x", &pool(&[2, 0, 0, 0])),
        &["nothing but padding"],
    );
    says(
        &one_node("AveragePool", "x", &pool(&[0, 0, 0, 2])),
        &["nothing but padding"],
    );
    says(&one_node("LRN", "x", &[("size", Int(0))]), &["size is 0"]);
    says(
        &one_node("LeakyRelu", "x", &[("alpha", Float(f32::NAN))]),
        &["alpha is NaN"],
    );
    says(
        &one_node("Cast", "x", &[("to", Int(7))]),
        &["Cast of y", "no float"],
    );
}

#[test]
fn inputs_that_make_no_sense() {
    let with = |tensor: TensorProto, op: &str, inputs: &str| {
        let mut model = one_node(op, inputs, &[]);
        model.tensor(tensor);
        model
    };
    says(
        &with(ints("s", &[7, -1]), "Reshape", "x s"),
        &["Reshape of y", "cannot become"],
    );
    says(
        &with(ints("s", &[-1, -1]), "Reshape", "x s"),
        &["two dimensions are left open"],
    );
    says(
        &with(ints("s", &[i64::MAX, i64::MAX]), "Reshape", "x s"),
        &["too large"],
    );
    says(
        &with(ints("s", &[-2, 60]), "Reshape", "x s"),
        &["a dimension is -2"],
    );
    says(
        &with(floats("s", &[2], &[1.0, 60.0]), "Reshape", "x s"),
        &["does not hold integers"],
    );
    says(
        &with(ints("s", &[0, 0, 0, 0, 0, 1 << 40, 0, 0]), "Pad", "x s"),
        &["larger than 65535"],
    );
    says(
        &with(ints("s", &[0, 0, 0, 65535, 0, 0, 0, 65535]), "Pad", "x s"),
        &["too large"],
    );
    says(
        &with(ints("s", &[0, 0, 0]), "Pad", "x s"),
        &["3 pads for 4 dimensions"],
    );
    says(
        &with(floats("s", &[7], &[0.0; 7]), "Add", "x s"),
        &["Add of y", "does not fit"],
    );
    says(
        &with(floats("s", &[1], &[f32::NAN]), "Clip", "x s"),
        &["not a number"],
    );
    says(
        &with(floats("s", &[2], &[0.0; 2]), "Clip", "x s"),
        &["not a single number"],
    );
    let variance = floats("s", &[3], &[-1.0, 1.0, 1.0]);
    says(
        &with(variance, "BatchNormalization", "x v v v s"),
        &["BatchNormalization of y", "NaN"],
    );
    let zeros = |op: &str| {
        let mut model = one_node("Slice", "x zero one zero zero", &[]);
        model.ints("zero", &[0]).ints("one", &[1]);
        model.graph().node[0].op_type = op.into();
        model
    };
    says(&zeros("Slice"), &["Slice of y", "a step is 0"]);
}

#[test]
fn constants_cannot_flood_the_memory() {
    let mut huge = one_node("Reshape", "x y2", &[]);
    huge.ints("s", &[1 << 20, 1 << 20])
        .node("ConstantOfShape", "s", "y2", &[]);
    huge.graph().node.rotate_right(1);
    says(&huge, &["ConstantOfShape of y2", "too large"]);
    let mut many = Onnx::new(13, &[1, 3]);
    many.ints("s", &[1 << 13, 1 << 13]);
    for i in 0..5 {
        many.node("ConstantOfShape", "s", &format!("c{i}"), &[]);
    }
    many.node("Sum", "x c0 c1 c2 c3 c4", "y", &[]).output("y");
    says(&many, &["too large"]);
    let mut overflow = one_node("Reshape", "x y2", &[]);
    overflow
        .ints("s", &[i64::MAX, 2])
        .node("Add", "s s", "y2", &[]);
    overflow.graph().node.rotate_right(1);
    says(&overflow, &["Add of y2", "overflow"]);
    let mut outside = one_node("Reshape", "x y2", &[]);
    outside.ints("s", &[5]).node("Gather", "s s", "y2", &[]);
    outside.graph().node.rotate_right(1);
    says(&outside, &["Gather of y2", "index 5 lies outside 1"]);
}

#[test]
fn inputs_that_are_no_pictures() {
    let mut model = one_node("GlobalAveragePool", "x", &[]);
    for (kind, dims, words) in [
        (DataType::Float, &[8, 3, 5, 4][..], "batches of 8"),
        (DataType::Float, &[1, 3, -7, 4], "dimension 2 is -7"),
        (
            DataType::Float,
            &[1, -1, 5, 4],
            "channels or features is open",
        ),
        (DataType::Float, &[1, 3, 5, 1 << 40], "1 to 65535"),
        (DataType::Float, &[1, 3, 2, 5, 4], "5 dimensions"),
        (DataType::Float, &[], "0 dimensions"),
        (DataType::String, &[1, 3, 5, 4], "takes STRING"),
    ] {
        model.graph().input[0] = declared("x", kind, dims);
        says(&model, &["\"x\"", words]);
    }
    model.graph().input[0].r#type = None;
    says(&model, &["\"x\"", "not a tensor"]);
    let mut two = one_node("Add", "x z", &[]);
    two.graph()
        .input
        .push(declared("z", DataType::Float, &[1, 3, 5, 4]));
    says(&two, &["\"x\", \"z\"", "several inputs"]);
}
