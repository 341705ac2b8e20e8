//! Every operator between quantisers: what import makes of it, run by
//! definition, agrees with tract to one step, and is int8 where it should be.

use std::fs::File;

use Attribute::{Float, Int, Ints};
use foveola::graph::{Graph, Layout};
use foveola::import::{Imported, Options, from_bytes};
use foveola_core::net::op::Op;
use foveola_tests::compiled::scores;
use foveola_tests::interpreter::tensor;
use foveola_tests::onnx::{Attribute, Onnx, declared, floats, integers, numbers};
use foveola_tests::root;
use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

/// A model under construction, all of whose activations are stored as `kind`.
struct Quantised {
    model: Onnx,
    kind: DataType,
}

impl Quantised {
    /// `x` is a picture of 3 channels, 5 rows, 4 columns; `q` is `x` rounded.
    fn new(kind: DataType) -> Self {
        let mut new = Self {
            model: Onnx::new(13, &[1, 3, 5, 4]),
            kind,
        };
        new.between("x", "q", 0.008, 3);
        new
    }

    /// Rounds `from` to steps of `scale`; the zero point is that of int8.
    fn between(&mut self, from: &str, to: &str, scale: f32, zero: i32) -> &mut Self {
        let lower = i32::from(self.kind == DataType::Uint8) * 128;
        let (s, z) = (format!("{to}.scale"), format!("{to}.zero"));
        self.model
            .tensor(floats(&s, &[], &[scale]))
            .tensor(integers(&z, self.kind, &[], &[zero + lower]))
            .node(
                "QuantizeLinear",
                &format!("{from} {s} {z}"),
                &format!("{to}.stored"),
                &[],
            )
            .node("DequantizeLinear", &format!("{to}.stored {s} {z}"), to, &[]);
        self
    }

    /// A constant of made-up integers; one scale, or one an index of `axis`.
    fn constant(
        &mut self,
        name: &str,
        kind: DataType,
        dims: &[i64],
        scales: &[f32],
        axis: i64,
    ) -> &mut Self {
        let (least, most, zero) = match kind {
            DataType::Uint8 => (0, 255, 131),
            DataType::Int8 => (-127, 127, 0),
            _ => (-9000, 9000, 0),
        };
        let count = dims.iter().product::<i64>() as usize;
        let seed = name.bytes().map(u32::from).sum();
        let middle = f64::from(least + most) / 2.0;
        let value = |v: f32| (middle + f64::from(v) * f64::from(most - least) / 2.0) as i32;
        let values: Vec<i32> = numbers(count, seed).into_iter().map(value).collect();
        let along: &[i64] = if scales.len() == 1 {
            &[]
        } else {
            &[scales.len() as i64]
        };
        let part = |p: &str| format!("{name}.{p}");
        let zeros = vec![zero; scales.len()];
        self.model
            .tensor(integers(&part("stored"), kind, dims, &values))
            .tensor(floats(&part("scale"), along, scales))
            .tensor(integers(&part("zero"), kind, along, &zeros))
            .node(
                "DequantizeLinear",
                &format!("{0}.stored {0}.scale {0}.zero", name),
                name,
                &[("axis", Int(axis))],
            );
        self
    }

    /// Both sides' values of `y`, which is stored in steps of `scale`.
    fn agrees(&self, scale: f32) -> Imported {
        let input = numbers(self.model.dims.iter().product(), 7);
        let wanted = self
            .model
            .clone()
            .output("y")
            .tract(&input)
            .expect("tract runs it");
        let imported = imported(&self.model, wanted.len());
        let graph = &imported.graph;
        let found = tensor(graph, &hwc(graph, &self.model.dims, &input), graph.output);
        for (i, (a, &b)) in found.iter().zip(&wanted).enumerate() {
            let steps = (a - f64::from(b)).abs() / f64::from(scale);
            assert!(steps <= 1.01, "element {i} is {a}, not {b}");
        }
        let integers = scores(graph, &hwc(graph, &self.model.dims, &input)).expect("a picture");
        for (i, (a, b)) in integers.iter().zip(&wanted).enumerate() {
            let steps = (a - b).abs() / scale;
            assert!(steps <= 1.01, "core: element {i} is {a}, not {b}");
        }
        let spread = wanted
            .iter()
            .fold(0.0_f32, |m, v| m.max((v - wanted[0]).abs()));
        assert!(spread > 5.0 * scale, "the values differ from each other");
        imported
    }

    /// As [`Quantised::agrees`], with `count` int8 nodes and none in f32.
    fn fuses(&self, scale: f32, count: usize) -> Graph {
        let imported = self.agrees(scale);
        assert_eq!(census(&imported.graph), (count, 0), "int8 and f32 nodes");
        assert_eq!(imported.warnings, Vec::<String>::new());
        imported.graph
    }
}

/// The input in the order of our tensors.
fn hwc(graph: &Graph, dims: &[usize], input: &[f32]) -> Vec<f32> {
    match (graph.layout, dims) {
        (Layout::Nchw, &[_, c, h, w]) => (0..h * w * c)
            .map(|i| input[(i % c) * h * w + i / c])
            .collect(),
        _ => input.to_vec(),
    }
}

/// Imports the model with all elements of `y` as its scores, in ONNX order. The
/// two nodes for it are views.
fn imported(model: &Onnx, elements: usize) -> Imported {
    let mut model = model.clone();
    model.graph().output.clear();
    let n = elements as i64;
    let identity: Vec<f32> = (0..elements * elements)
        .map(|i| f32::from(u8::from(i % (elements + 1) == 0)))
        .collect();
    model
        .ints("judge.flat", &[1, -1])
        .tensor(floats("judge.identity", &[n, n], &identity))
        .node("Reshape", "y judge.flat", "judge.row", &[])
        .node("MatMul", "judge.row judge.identity", "scores", &[])
        .output("scores");
    from_bytes(&model.bytes(), None, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Int8 nodes, and f32 nodes besides the last, which orders the scores.
fn census(graph: &Graph) -> (usize, usize) {
    let stored = |id| graph.tensor(id).quant.is_some();
    let works = |op| !matches!(op, Op::Quantise { .. } | Op::Dequantise);
    let nodes = graph.nodes.iter().filter(|n| works(n.op));
    let int8 = nodes.clone().filter(|n| stored(n.output)).count();
    (int8, nodes.count() - int8 - 1)
}

const BOTH: [DataType; 2] = [DataType::Int8, DataType::Uint8];

#[test]
fn convolutions() {
    let three = [
        ("pads", Ints(vec![1, 1, 1, 1])),
        ("kernel_shape", Ints(vec![3, 3])),
    ];
    for kind in BOTH {
        let mut m = Quantised::new(kind);
        m.constant(
            "w",
            DataType::Int8,
            &[4, 3, 3, 3],
            &[0.004, 0.002, 0.003, 0.001],
            0,
        );
        let steps = [0.004, 0.002, 0.003, 0.001].map(|s| s * 0.008);
        m.constant("b", DataType::Int32, &[4], &steps, 0);
        m.model.node("Conv", "q w b", "c", &three);
        m.model.node("Relu", "c", "r", &[]);
        m.between("r", "y", 0.01, -128);
        let graph = m.fuses(0.01, 1);
        let weights = graph.nodes[1].quantised.as_ref().expect("weights");
        assert_eq!((weights.scales.len(), weights.bias.len()), (4, 4));
        // Weights with a zero point of their own, one scale, no bias.
        let mut m = Quantised::new(kind);
        m.constant("w", DataType::Uint8, &[4, 3, 2, 2], &[0.004], 0);
        m.model.node("Conv", "q w", "c", &[]);
        m.between("c", "y", 0.02, 5);
        let graph = m.fuses(0.02, 1);
        let weights = graph.nodes[1].quantised.as_ref().expect("weights");
        assert_eq!(weights.zero_point, 3, "131 less 128");
    }
}

#[test]
fn depthwise_convolutions() {
    for kind in BOTH {
        let mut m = Quantised::new(kind);
        m.constant(
            "w",
            DataType::Int8,
            &[3, 1, 3, 3],
            &[0.004, 0.002, 0.003],
            0,
        );
        let with = [("group", Int(3)), ("strides", Ints(vec![2, 1]))];
        m.model.node("Conv", "q w", "c", &with);
        m.model
            .tensor(floats("lo", &[], &[0.0]))
            .tensor(floats("hi", &[], &[0.5]))
            .node("Clip", "c lo hi", "r", &[]);
        m.between("r", "y", 0.004, -120);
        let graph = m.fuses(0.004, 1);
        assert!(matches!(graph.nodes[1].op, Op::Depthwise { .. }));
    }
}

#[test]
fn matrix_products() {
    for kind in BOTH {
        let mut m = Quantised::new(kind);
        m.model.node("Flatten", "q", "f", &[]);
        m.between("f", "g", 0.008, 3);
        m.constant("w", DataType::Int8, &[6, 60], &[0.01], 0);
        m.constant("b", DataType::Int32, &[6], &[0.00008], 0);
        m.model.node("Gemm", "g w b", "c", &[("transB", Int(1))]);
        m.between("c", "y", 0.05, 0);
        m.fuses(0.05, 1);
        // A matrix with a scale a column, and its bias as a sum.
        let mut m = Quantised::new(kind);
        m.model.node("Flatten", "q", "f", &[]);
        m.constant("w", DataType::Int8, &[60, 3], &[0.01, 0.02, 0.03], 1);
        m.constant("b", DataType::Int32, &[3], &[0.00008, 0.00016, 0.00024], 0);
        m.model.node("MatMul", "f w", "p", &[]);
        m.model.node("Add", "p b", "s", &[]);
        m.model.node("Relu", "s", "c", &[]);
        m.between("c", "y", 0.1, -128);
        let graph = m.fuses(0.1, 1);
        let weights = graph.nodes[1].quantised.as_ref().expect("weights");
        assert_eq!((weights.scales.len(), weights.bias.len()), (3, 3));
    }
}

#[test]
fn arithmetic() {
    for op in ["Add", "Sub", "Mul"] {
        for kind in BOTH {
            let mut m = Quantised::new(kind);
            m.model.node("Sigmoid", "q", "s", &[]);
            m.between("s", "p", 0.004, -128);
            m.model.node(op, "p q", "c", &[]);
            m.between("c", "y", 0.02, 10);
            m.fuses(0.02, 2);
            // A number of the file, and one channel by channel.
            let mut m = Quantised::new(kind);
            m.model.tensor(floats("n", &[], &[0.7]));
            m.constant("w", DataType::Int8, &[1, 3, 1, 1], &[0.01], 0);
            m.model.node(op, "q n", "c", &[]);
            m.between("c", "d", 0.013, 4);
            m.model.node(op, "d w", "e", &[]);
            m.between("e", "y", 0.02, 0);
            m.fuses(0.02, 2);
        }
    }
}

#[test]
fn joins_of_different_scales() {
    for kind in BOTH {
        let mut m = Quantised::new(kind);
        m.model.node("Sigmoid", "q", "s", &[]);
        m.between("s", "p", 0.004, -128);
        m.model.node("Concat", "p q", "c", &[("axis", Int(1))]);
        m.between("c", "y", 0.009, 0);
        m.fuses(0.009, 2);
    }
}

#[test]
fn pools() {
    let two = [
        ("kernel_shape", Ints(vec![2, 2])),
        ("strides", Ints(vec![2, 2])),
    ];
    let whole = [("kernel_shape", Ints(vec![5, 4]))];
    for kind in BOTH {
        // The same scale, another scale (two nodes), an average, a mean.
        for (op, with, scale, zero, count) in [
            ("MaxPool", &two[..], 0.008, 3, 1),
            ("MaxPool", &two[..], 0.011, -9, 2),
            ("AveragePool", &two[..], 0.008, 3, 1),
            ("AveragePool", &whole[..], 0.003, 0, 1),
            ("GlobalAveragePool", &[], 0.003, 20, 1),
        ] {
            let mut m = Quantised::new(kind);
            m.model.node(op, "q", "c", with);
            m.between("c", "y", scale, zero);
            m.fuses(scale, count);
        }
    }
}

#[test]
fn means_of_another_scale_stay_in_f32() {
    let mut m = Quantised::new(DataType::Int8);
    let two = [("kernel_shape", Ints(vec![2, 2]))];
    m.model.node("AveragePool", "q", "c", &two);
    m.between("c", "y", 0.004, 0);
    let imported = m.agrees(0.004);
    assert_eq!(census(&imported.graph), (0, 1));
    let text = imported.warnings.join("\n");
    assert!(
        text.contains("AveragePool of c") && text.contains("f32"),
        "{text}"
    );
}

#[test]
fn parts_and_borders() {
    for kind in BOTH {
        let mut m = Quantised::new(kind);
        m.model
            .ints("from", &[1])
            .ints("to", &[4])
            .ints("axis", &[2])
            .node("Slice", "q from to axis", "c", &[]);
        m.between("c", "d", 0.008, 3);
        m.model
            .ints("pads", &[0, 0, 1, 0, 0, 0, 0, 2])
            .tensor(floats("value", &[], &[0.4]))
            .node("Pad", "d pads value", "e", &[]);
        m.between("e", "f", 0.008, 3);
        m.model
            .node("Transpose", "f", "g", &[("perm", Ints(vec![0, 2, 3, 1]))]);
        m.between("g", "h", 0.008, 3);
        m.model
            .ints("row", &[1, -1])
            .node("Reshape", "h row", "i", &[]);
        m.between("i", "y", 0.008, 3);
        m.fuses(0.008, 2);
    }
}

#[test]
fn functions() {
    let slope = [("alpha", Float(0.2))];
    for (op, with, scale, zero) in [
        ("Sigmoid", &[][..], 1.0 / 256.0, -128),
        ("Tanh", &[], 1.0 / 128.0, 0),
        ("LeakyRelu", &slope, 0.006, -60),
        ("Relu", &[], 0.008, 3),
        ("HardSigmoid", &slope, 1.0 / 256.0, -128),
        ("Clip", &[], 0.01, 0),
    ] {
        for kind in BOTH {
            let mut m = Quantised::new(kind);
            m.model.node(op, "q", "c", with);
            m.between("c", "y", scale, zero);
            m.fuses(scale, 1);
        }
    }
}

#[test]
fn softmaxes() {
    // Its own scale, one that a table makes of it, one that is too fine.
    for (scale, int8, float) in [(1.0 / 256.0, 2, 0), (1.0 / 255.0, 3, 0), (0.001, 1, 1)] {
        let mut m = Quantised::new(DataType::Int8);
        m.model.node("Flatten", "q", "f", &[]);
        m.constant("w", DataType::Int8, &[60, 5], &[0.01], 1);
        m.model.node("MatMul", "f w", "p", &[]);
        m.between("p", "l", 0.05, 0);
        m.model.node("Softmax", "l", "s", &[("axis", Int(1))]);
        // tract 0.23.9 computes a softmax between two quantisers wrongly.
        let judged = m.model.clone();
        m.between("s", "y", scale, -128);
        let input = numbers(60, 7);
        let wanted = judged
            .clone()
            .output("s")
            .tract(&input)
            .expect("tract runs it");
        let imported = imported(&m.model, 5);
        assert_eq!(census(&imported.graph), (int8, float), "{scale}");
        let graph = &imported.graph;
        let found = tensor(graph, &hwc(graph, &m.model.dims, &input), graph.output);
        for (a, &b) in found.iter().zip(&wanted) {
            let b = f64::from(b).min(255.0 * f64::from(scale));
            assert!((a - b).abs() <= 1.01 * f64::from(scale).max(1.0 / 256.0));
        }
    }
}

#[test]
fn float_biases_are_rounded_with_a_warning() {
    let mut m = Quantised::new(DataType::Int8);
    m.constant("w", DataType::Int8, &[4, 3, 3, 3], &[0.004], 0);
    m.model.weights("b", &[4]);
    m.model.node("Conv", "q w b", "c", &[]);
    m.between("c", "y", 0.02, 5);
    let imported = m.agrees(0.02);
    assert_eq!(census(&imported.graph), (1, 0));
    assert!(
        imported.warnings[0].contains("biases of 1 int8 node"),
        "{:?}",
        imported.warnings
    );
}

#[test]
fn weights_go_through_transposes() {
    let mut m = Quantised::new(DataType::Int8);
    m.model.node("Flatten", "q", "f", &[]);
    m.constant("w", DataType::Int8, &[3, 60], &[0.01, 0.02, 0.03], 0);
    m.model.node("Transpose", "w", "t", &[]);
    m.model.node("MatMul", "f t", "c", &[]);
    m.between("c", "y", 0.1, 0);
    let graph = m.fuses(0.1, 1);
    let weights = graph.nodes[1].quantised.as_ref().expect("weights");
    assert_eq!(weights.scales, [0.01, 0.02, 0.03]);
}

#[test]
fn float_weights_that_the_file_rounds() {
    let mut m = Quantised::new(DataType::Int8);
    m.model.weights("v", &[4, 3, 2, 2]);
    m.between("v", "w", 0.008, 0);
    m.model.node("Conv", "q w", "c", &[]);
    m.between("c", "y", 0.02, 5);
    m.fuses(0.02, 1);
}

/// A network that takes the stored integers themselves.
#[test]
fn integer_inputs_are_model_space() {
    for (kind, lower) in [(DataType::Int8, 0), (DataType::Uint8, 128)] {
        let mut m = Quantised::new(kind);
        m.constant("w", DataType::Int8, &[4, 3, 2, 2], &[0.004], 0);
        m.model.node("Conv", "q w", "c", &[]);
        m.between("c", "y", 0.02, 5);
        let x = numbers(60, 7);
        let wanted = m
            .model
            .clone()
            .output("y")
            .tract(&x)
            .expect("tract runs it");
        let integer = |v: &f32| {
            let q = (f64::from(*v) / f64::from(0.008_f32)).round_ties_even() + 3.0;
            (q.clamp(-128.0, 127.0) + f64::from(lower)) as f32
        };
        let input: Vec<f32> = x.iter().map(integer).collect();
        let graph = m.model.graph();
        graph.input[0] = declared("x", kind, &[1, 3, 5, 4]);
        graph.node.remove(0);
        graph.node[0].input[0] = "x".into();
        let graph = imported(&m.model, wanted.len()).graph;
        let found = tensor(&graph, &hwc(&graph, &[1, 3, 5, 4], &input), graph.output);
        for (a, &b) in found.iter().zip(&wanted) {
            assert!((a - f64::from(b)).abs() <= 1.01 * 0.02, "{a}, not {b}");
        }
        assert_eq!(graph.names["x"], graph.input);
        assert_eq!(census(&graph), (1, 0));
    }
}

/// QLinear operators, judged by ONNX Runtime (`tests/golden/qlinear.py`), each
/// with the number of its int8 nodes.
#[test]
fn qlinear_operators() {
    let folder = root().join("tests/golden/qlinear");
    let file = File::open(folder.join("outputs.npz")).expect("the outputs are there");
    let mut npz = NpzReader::new(file).expect("it is an npz");
    let x: ArrayD<f32> = npz.by_name("x").expect("the input");
    for (name, scale, count) in [
        ("conv", 0.02, 1),
        ("matmul", 0.05, 1),
        ("gemm", 0.2, 1),
        ("add", 0.013, 2),
        ("mul", 0.013, 2),
        ("concat", 0.009, 2),
        ("average", 0.008, 1),
        ("mean", 0.003, 1),
        ("max", 0.008, 1),
        ("softmax", 1.0 / 256.0, 2),
    ] {
        for name in [name.to_owned(), format!("{name}_u8")] {
            let wanted: ArrayD<f32> = npz.by_name(&name).expect("the output");
            let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).expect("the model");
            let model = Onnx {
                proto: ModelProto::decode(&bytes[..]).expect("it is ONNX"),
                dims: x.shape().to_vec(),
            };
            let imported = imported(&model, wanted.len());
            let graph = &imported.graph;
            assert_eq!(census(graph), (count, 0), "{name}");
            assert_eq!(imported.warnings, Vec::<String>::new(), "{name}");
            let input: Vec<f32> = x.iter().copied().collect();
            let found = tensor(graph, &hwc(graph, x.shape(), &input), graph.output);
            for (i, (a, &b)) in found.iter().zip(&wanted).enumerate() {
                let steps = (a - f64::from(b)).abs() / scale;
                assert!(steps <= 1.01, "{name}: element {i} is {a}, not {b}");
            }
            let found = scores(graph, &hwc(graph, x.shape(), &input)).expect("a picture");
            for (i, (&a, &b)) in found.iter().zip(&wanted).enumerate() {
                let steps = f64::from(a - b).abs() / scale;
                assert!(steps <= 1.01, "core {name}: element {i} is {a}, not {b}");
            }
        }
    }
}

#[test]
fn names_lead_to_the_stored_tensors() {
    let mut m = Quantised::new(DataType::Int8);
    m.constant("w", DataType::Int8, &[4, 3, 3, 3], &[0.004], 0);
    m.model.node("Conv", "q w", "c", &[]);
    m.model.node("Relu", "c", "r", &[]);
    m.between("r", "y", 0.01, -128);
    let graph = m.fuses(0.01, 1);
    let stored = graph.names["y.stored"];
    assert_eq!(graph.nodes[1].output, stored);
    assert_eq!(graph.names["r"], stored, "rounded");
    assert!(!graph.names.contains_key("c"), "its value is nowhere");
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let refused = |model: &mut Onnx| {
        let model = model.output("y");
        let error = from_bytes(&model.bytes(), None, &Options::default());
        error.expect_err("refused").to_string()
    };
    // An activation whose channels have scales of their own.
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .tensor(floats("s", &[3], &[0.1, 0.2, 0.3]))
        .tensor(integers("z", DataType::Int8, &[3], &[0, 0, 0]))
        .node("QuantizeLinear", "x s z", "y", &[]);
    assert!(refused(&mut model).contains("channels"));
    // 16 bits.
    let mut model = Onnx::new(21, &[1, 3, 5, 4]);
    model
        .tensor(floats("s", &[], &[0.1]))
        .tensor(integers("z", DataType::Int16, &[], &[0]))
        .node("QuantizeLinear", "x s z", "y", &[]);
    assert!(refused(&mut model).contains("8 bits"));
    // Another scale than that which made the integers.
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .tensor(floats("s", &[], &[0.1]))
        .tensor(floats("t", &[], &[0.2]))
        .node("QuantizeLinear", "x s", "q", &[])
        .node("DequantizeLinear", "q t", "y", &[]);
    assert!(refused(&mut model).contains("not that which its input was quantised with"));
    // Arithmetic on integers.
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .tensor(floats("s", &[], &[0.1]))
        .node("QuantizeLinear", "x s", "q", &[])
        .node("Add", "q q", "y", &[]);
    assert!(refused(&mut model).contains("stored integers"));
}
