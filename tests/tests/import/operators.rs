//! Every operator with awkward attributes: what import makes of it, run by
//! definition, agrees with tract, which shares nothing with it.

use Attribute::{Float, Floats, Int, Ints, Tensor, Text};
use foveola::compile::fold;
use foveola::graph::{Graph, Layout};
use foveola::import::{Options, from_bytes};
use foveola_core::net::op::{Activation, Op};
use foveola_tests::compiled::scores;
use foveola_tests::interpreter::tensor;
use foveola_tests::onnx::{Attribute, Onnx, floats, ints, numbers};

/// Attributes of a case.
type With = Vec<(&'static str, Attribute)>;

/// The input in the order of our tensors.
fn hwc(graph: &Graph, dims: &[usize], input: &[f32]) -> Vec<f32> {
    match (graph.layout, dims) {
        (Layout::Nchw, &[_, c, h, w]) => (0..h * w * c)
            .map(|i| input[(i % c) * h * w + i / c])
            .collect(),
        _ => input.to_vec(),
    }
}

/// Imports the model with all elements of `y` as its scores, in ONNX order.
fn imported(model: &Onnx, elements: usize) -> Graph {
    let mut model = model.clone();
    let identity: Vec<f32> = (0..elements * elements)
        .map(|i| f32::from(u8::from(i % (elements + 1) == 0)))
        .collect();
    let n = elements as i64;
    model
        .ints("judge.flat", &[1, -1])
        .tensor(floats("judge.identity", &[n, n], &identity))
        .node("Reshape", "y judge.flat", "judge.row", &[])
        .node("MatMul", "judge.row judge.identity", "scores", &[])
        .output("scores");
    from_bytes(&model.bytes(), None, &Options::default())
        .unwrap_or_else(|e| panic!("{e}"))
        .graph
}

/// Holds a model whose result is `y` against what it should be, before and
/// after simplification.
fn hold(model: &Onnx, wanted: &[f32], input: &[f32]) -> Graph {
    let graph = imported(model, wanted.len());
    let mut simple = graph.clone();
    fold::optimise(&mut simple, &[], true);
    for (graph, how) in [(&graph, "imported"), (&simple, "simplified")] {
        let found = tensor(graph, &hwc(graph, &model.dims, input), graph.output);
        for (i, (a, &b)) in found.iter().zip(wanted).enumerate() {
            let b = f64::from(b);
            let close = (a - b).abs() <= 2e-5 * b.abs().max(1.0);
            assert!(close, "{how}: element {i} is {a}, not {b}");
        }
    }
    if let Some(found) = scores(&graph, &hwc(&graph, &model.dims, input)) {
        for (i, (&a, &b)) in found.iter().zip(wanted).enumerate() {
            let close = (a - b).abs() <= 1e-4 * b.abs().max(1.0);
            assert!(close, "compiled: element {i} is {a}, not {b}");
        }
    }
    graph
}

/// The same with tract as the judge.
fn agrees(model: &Onnx) -> Graph {
    let input = numbers(model.dims.iter().product(), 99);
    let mut judged = model.clone();
    let wanted = judged.output("y").tract(&input).expect("tract runs it");
    assert!(
        wanted.iter().all(|v| v.is_finite()),
        "tract's values are finite"
    );
    hold(model, &wanted, &input)
}

fn ints_of(values: &[i64]) -> Attribute {
    Ints(values.to_vec())
}

#[test]
fn convolutions() {
    let cases: Vec<(&[usize], With)> = vec![
        (&[5, 4, 3, 3], vec![]),
        (&[5, 4, 1, 1], vec![("strides", ints_of(&[2, 3]))]),
        (
            &[6, 2, 3, 2],
            vec![("group", Int(2)), ("pads", ints_of(&[1, 0, 2, 1]))],
        ),
        (
            &[4, 1, 3, 3],
            vec![("group", Int(4)), ("pads", ints_of(&[1, 1, 1, 1]))],
        ),
        (
            &[8, 1, 2, 3],
            vec![("group", Int(4)), ("strides", ints_of(&[1, 2]))],
        ),
        (
            &[3, 4, 3, 2],
            vec![
                ("dilations", ints_of(&[2, 3])),
                ("pads", ints_of(&[2, 1, 0, 3])),
            ],
        ),
        (
            &[3, 4, 4, 3],
            vec![
                ("auto_pad", Text("SAME_UPPER")),
                ("strides", ints_of(&[2, 2])),
            ],
        ),
        (
            &[3, 4, 4, 2],
            vec![
                ("auto_pad", Text("SAME_LOWER")),
                ("strides", ints_of(&[3, 1])),
            ],
        ),
        (
            &[3, 4, 3, 3],
            vec![
                ("auto_pad", Text("VALID")),
                ("kernel_shape", ints_of(&[3, 3])),
            ],
        ),
        (
            &[3, 4, 5, 5],
            vec![
                ("pads", ints_of(&[4, 4, 4, 4])),
                ("strides", ints_of(&[2, 2])),
            ],
        ),
    ];
    for (shape, attributes) in cases {
        for with_bias in [false, true] {
            let mut model = Onnx::new(11, &[1, 4, 7, 6]);
            model.weights("w", shape).weights("b", &[shape[0]]);
            let inputs = if with_bias { "x w b" } else { "x w" };
            model.node("Conv", inputs, "y", &attributes);
            agrees(&model);
        }
    }
}

#[test]
fn one_filter_a_channel_is_depthwise() {
    let mut model = Onnx::new(7, &[1, 4, 7, 6]);
    model
        .weights("w", &[4, 1, 3, 3])
        .node("Conv", "x w", "y", &[("group", Int(4))]);
    let graph = agrees(&model);
    assert!(matches!(graph.nodes[0].op, Op::Depthwise { .. }));
}

#[test]
fn matrix_products() {
    let mut plain = Onnx::new(7, &[1, 3, 4, 2]);
    plain
        .weights("w", &[5, 24])
        .weights("c", &[5])
        .node("Flatten", "x", "f", &[])
        .node(
            "Gemm",
            "f w c",
            "y",
            &[
                ("transB", Int(1)),
                ("alpha", Float(0.5)),
                ("beta", Float(3.0)),
            ],
        );
    agrees(&plain);
    let mut turned = Onnx::new(9, &[1, 6]);
    turned
        .weights("w", &[6, 3])
        .weights("c", &[1, 3])
        .node("Transpose", "x", "t", &[])
        .node("Gemm", "t w c", "y", &[("transA", Int(1))]);
    agrees(&turned);
    let mut scalar = Onnx::new(13, &[1, 6]);
    scalar
        .weights("w", &[6, 3])
        .weights("c", &[1])
        .node("Gemm", "x w c", "g", &[])
        .node("Gemm", "g v", "y", &[])
        .weights("v", &[3, 4]);
    agrees(&scalar);
    let mut biased = Onnx::new(13, &[1, 3, 4, 2]);
    biased
        .weights("w", &[24, 5])
        .weights("c", &[5])
        .node("Flatten", "x", "f", &[])
        .node("MatMul", "f w", "m", &[])
        .node("Add", "c m", "y", &[]);
    agrees(&biased);
}

#[test]
fn matrix_products_of_pixels() {
    let mut model = Onnx::new(13, &[1, 3, 4, 2]);
    model
        .weights("w", &[3, 5])
        .weights("v", &[5, 2])
        .ints("rows", &[1, 8, 5])
        .node("Transpose", "x", "t", &[("perm", ints_of(&[0, 2, 3, 1]))])
        .node("MatMul", "t w", "m", &[])
        .node("Reshape", "m rows", "r", &[])
        .node("MatMul", "r v", "y", &[]);
    agrees(&model);
}

#[test]
fn dense_layers_after_pictures_in_either_order() {
    let mut nhwc = Onnx::new(13, &[1, 5, 6, 3]);
    nhwc.weights("w", &[4, 3, 2, 2])
        .weights("d", &[80, 7])
        .ints("flat", &[0, -1])
        .node("Transpose", "x", "t", &[("perm", ints_of(&[0, 3, 1, 2]))])
        .node("Conv", "t w", "c", &[])
        .node("Transpose", "c", "b", &[("perm", ints_of(&[0, 2, 3, 1]))])
        .node("Reshape", "b flat", "f", &[])
        .node("MatMul", "f d", "y", &[]);
    let graph = agrees(&nhwc);
    assert_eq!(graph.layout, Layout::Nhwc);
    let mut flat = Onnx::new(13, &[1, 30]);
    flat.ints("picture", &[-1, 1, 5, 6])
        .weights("w", &[2, 1, 2, 2])
        .node("Reshape", "x picture", "p", &[])
        .node("Conv", "p w", "y", &[]);
    let graph = agrees(&flat);
    assert_eq!(graph.layout, Layout::Flat);
    assert_eq!(graph.tensor(graph.input).shape.h, 5);
}

#[test]
fn functions_of_one_element() {
    let cases: [(&str, i64, With); 10] = [
        ("Relu", 7, vec![]),
        ("LeakyRelu", 7, vec![]),
        ("LeakyRelu", 7, vec![("alpha", Float(0.3))]),
        ("HardSigmoid", 7, vec![]),
        (
            "HardSigmoid",
            7,
            vec![("alpha", Float(0.7)), ("beta", Float(0.1))],
        ),
        ("HardSwish", 14, vec![]),
        ("Sigmoid", 13, vec![]),
        ("Tanh", 13, vec![]),
        ("Clip", 10, vec![("min", Float(-0.25)), ("max", Float(0.5))]),
        ("Clip", 7, vec![("max", Float(0.5))]),
    ];
    for (op, opset, attributes) in cases {
        let mut model = Onnx::new(opset, &[1, 3, 4, 2]);
        agrees(model.node(op, "x", "y", &attributes));
    }
}

#[test]
fn bounds_as_inputs() {
    for (inputs, relu) in [
        ("x lo hi", false),
        ("x lo", false),
        ("x _ hi", false),
        ("x zero", true),
    ] {
        let mut model = Onnx::new(11, &[1, 3, 4, 2]);
        model
            .tensor(floats("lo", &[], &[-0.5]))
            .tensor(floats("hi", &[], &[0.25]))
            .tensor(floats("zero", &[], &[0.0]));
        let graph = agrees(model.node("Clip", inputs, "y", &[]));
        assert_eq!(graph.nodes[0].activation == Activation::Relu, relu);
    }
    for (op, inputs) in [
        ("Min", "x lo"),
        ("Max", "lo x"),
        ("Max", "x zero"),
        ("Min", "hi x lo"),
    ] {
        let mut model = Onnx::new(13, &[1, 3, 4, 2]);
        model
            .tensor(floats("lo", &[1], &[-0.5]))
            .tensor(floats("hi", &[], &[0.25]))
            .tensor(floats("zero", &[], &[0.0]));
        agrees(model.node(op, inputs, "y", &[]));
    }
}

#[test]
fn sigmoid_weighted() {
    let mut model = Onnx::new(13, &[1, 3, 4, 2]);
    model
        .node("Sigmoid", "x", "s", &[])
        .node("Mul", "x s", "y", &[]);
    agrees(&model);
}

#[test]
fn prelu_slopes() {
    for shape in [&[3, 1, 1][..], &[1], &[1, 3, 4, 2], &[4, 1]] {
        let mut model = Onnx::new(9, &[1, 3, 4, 2]);
        model
            .weights("slope", shape)
            .node("PRelu", "x slope", "y", &[]);
        agrees(&model);
    }
}

#[test]
fn arithmetic_with_constants() {
    for op in ["Add", "Sub", "Mul", "Div"] {
        for shape in [
            &[][..],
            &[1],
            &[3, 1, 1],
            &[1, 3, 1, 1],
            &[1, 3, 4, 2],
            &[4, 1],
            &[2],
        ] {
            for inputs in ["x c", "c x"] {
                if op == "Div" && inputs == "c x" {
                    continue;
                }
                let mut model = Onnx::new(7, &[1, 3, 4, 2]);
                agrees(model.weights("c", shape).node(op, inputs, "y", &[]));
            }
        }
    }
    let mut widened = Onnx::new(7, &[1, 1, 4, 2]);
    agrees(
        widened
            .weights("c", &[5, 1, 1])
            .node("Mul", "x c", "y", &[]),
    );
    let mut deeper = Onnx::new(7, &[1, 6]);
    agrees(deeper.weights("c", &[1, 1, 6]).node("Add", "x c", "y", &[]));
    let mut flattened = Onnx::new(7, &[1, 3, 4, 2]);
    flattened
        .weights("c", &[24])
        .node("Flatten", "x", "f", &[])
        .node("Mul", "f c", "y", &[]);
    agrees(&flattened);
}

#[test]
fn arithmetic_of_two_values() {
    for op in ["Add", "Sub", "Mul", "Div"] {
        let mut model = Onnx::new(13, &[1, 3, 4, 2]);
        model
            .tensor(floats("three", &[], &[3.0]))
            .node("GlobalAveragePool", "x", "g", &[])
            .node("Add", "g three", "h", &[])
            .node(op, "x h", "y", &[]);
        agrees(&model);
    }
    let mut sum = Onnx::new(8, &[1, 3, 4, 2]);
    sum.weights("c", &[3, 1, 1])
        .node("Relu", "x", "r", &[])
        .node("Sum", "x r c", "y", &[]);
    agrees(&sum);
    let mut excitation = Onnx::new(13, &[1, 4, 5, 3]);
    excitation
        .weights("w", &[4, 2])
        .weights("v", &[2, 4])
        .ints("hw", &[2, 3])
        .node(
            "ReduceMean",
            "x",
            "m",
            &[("axes", ints_of(&[2, 3])), ("keepdims", Int(0))],
        )
        .node("MatMul", "m w", "a", &[])
        .node("Relu", "a", "r", &[])
        .node("MatMul", "r v", "b", &[])
        .node("HardSigmoid", "b", "s", &[])
        .node("Unsqueeze", "s hw", "u", &[])
        .node("Mul", "u x", "y", &[]);
    agrees(&excitation);
}

#[test]
fn joins_and_parts() {
    for axis in [1, 2, 3, -1, -3] {
        let mut model = Onnx::new(11, &[1, 3, 4, 2]);
        model
            .node("Relu", "x", "r", &[])
            .node("Concat", "x r x", "y", &[("axis", Int(axis))]);
        agrees(&model);
    }
    let mut constant = Onnx::new(11, &[1, 1, 4, 2]);
    constant
        .weights("c", &[1, 2, 4, 2])
        .node("Concat", "x c x", "y", &[("axis", Int(1))]);
    agrees(&constant);
    let mut attribute = Onnx::new(11, &[1, 6, 4, 2]);
    attribute
        .node(
            "Split",
            "x",
            "a b c",
            &[("axis", Int(1)), ("split", ints_of(&[1, 3, 2]))],
        )
        .node("Concat", "c b a", "y", &[("axis", Int(1))]);
    agrees(&attribute);
    let mut even = Onnx::new(11, &[1, 6, 4, 2]);
    even.node("Split", "x", "a b", &[("axis", Int(2))])
        .node("Sub", "a b", "y", &[]);
    agrees(&even);
    let mut input = Onnx::new(13, &[1, 6, 4, 2]);
    input
        .ints("sizes", &[2, 4])
        .node("Split", "x sizes", "a b", &[("axis", Int(-3))])
        .node("Concat", "b a", "y", &[("axis", Int(1))]);
    agrees(&input);
    let mut uneven = Onnx::new(18, &[1, 7, 4, 2]);
    uneven
        .node(
            "Split",
            "x",
            "a b c",
            &[("axis", Int(1)), ("num_outputs", Int(3))],
        )
        .node("Concat", "c a b", "y", &[("axis", Int(1))]);
    agrees(&uneven);
}

#[test]
fn channel_shuffles() {
    let mut nchw = Onnx::new(9, &[1, 6, 4, 2]);
    nchw.ints("split", &[0, 2, 3, 4, 2])
        .ints("back", &[1, -1, 4, 2])
        .weights("w", &[3, 6, 1, 1])
        .node("Reshape", "x split", "a", &[])
        .node(
            "Transpose",
            "a",
            "b",
            &[("perm", ints_of(&[0, 2, 1, 3, 4]))],
        )
        .node("Reshape", "b back", "c", &[])
        .node("Conv", "c w", "y", &[]);
    let graph = agrees(&nchw);
    assert!(
        graph
            .nodes
            .iter()
            .any(|n| n.op == Op::Shuffle { groups: 2 })
    );
    assert!(!graph.names.contains_key("b") && graph.names.contains_key("c"));
}

#[test]
fn pools() {
    let kernel = ("kernel_shape", ints_of(&[3, 2]));
    let cases: Vec<(i64, With)> = vec![
        (8, vec![]),
        (
            8,
            vec![
                ("strides", ints_of(&[2, 3])),
                ("pads", ints_of(&[1, 0, 2, 1])),
            ],
        ),
        (
            8,
            vec![
                ("auto_pad", Text("SAME_UPPER")),
                ("strides", ints_of(&[2, 2])),
            ],
        ),
        (
            8,
            vec![
                ("auto_pad", Text("SAME_LOWER")),
                ("strides", ints_of(&[2, 2])),
            ],
        ),
        (
            10,
            vec![("ceil_mode", Int(1)), ("strides", ints_of(&[2, 2]))],
        ),
        (
            10,
            vec![
                ("ceil_mode", Int(1)),
                ("strides", ints_of(&[3, 3])),
                ("pads", ints_of(&[1, 1, 1, 1])),
            ],
        ),
    ];
    for (opset, mut attributes) in cases {
        attributes.push(kernel.clone());
        for op in ["MaxPool", "AveragePool"] {
            let mut model = Onnx::new(opset, &[1, 3, 8, 7]);
            agrees(model.node(op, "x", "y", &attributes));
        }
        attributes.push(("count_include_pad", Int(1)));
        let mut model = Onnx::new(opset, &[1, 3, 8, 7]);
        agrees(model.node("AveragePool", "x", "y", &attributes));
    }
    let mut dilated = Onnx::new(10, &[1, 3, 8, 7]);
    dilated.node(
        "MaxPool",
        "x",
        "y",
        &[kernel, ("dilations", ints_of(&[2, 3]))],
    );
    agrees(&dilated);
}

#[test]
fn means_and_maxima() {
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        agrees(Onnx::new(7, &[1, 3, 4, 2]).node(op, "x", "y", &[]));
    }
    for (axes, keep) in [
        (&[2, 3][..], 1),
        (&[-1, -2], 0),
        (&[1], 1),
        (&[3], 0),
        (&[1, 2, 3], 1),
    ] {
        let mut attribute = Onnx::new(11, &[1, 3, 4, 2]);
        let with = [("axes", ints_of(axes)), ("keepdims", Int(keep))];
        agrees(attribute.node("ReduceMean", "x", "y", &with));
        let mut input = Onnx::new(18, &[1, 3, 4, 2]);
        agrees(input.ints("axes", axes).node(
            "ReduceMean",
            "x axes",
            "y",
            &[("keepdims", Int(keep))],
        ));
    }
    let mut largest = Onnx::new(11, &[1, 3, 4, 2]);
    agrees(largest.node("ReduceMax", "x", "y", &[("axes", ints_of(&[2, 3]))]));
    let mut pixels = Onnx::new(11, &[1, 3, 4, 2]);
    pixels
        .ints("rows", &[1, 3, 8])
        .node("Reshape", "x rows", "r", &[])
        .node(
            "ReduceMean",
            "r",
            "y",
            &[("axes", ints_of(&[2])), ("keepdims", Int(0))],
        );
    agrees(&pixels);
}

#[test]
fn padding() {
    let around = [0, 1, 2, 1, 0, 2, 1, 0];
    for mode in ["constant", "edge", "reflect"] {
        let mut attribute = Onnx::new(7, &[1, 3, 4, 3]);
        let with = [
            ("pads", ints_of(&around)),
            ("mode", Text(mode)),
            ("value", Float(0.5)),
        ];
        agrees(attribute.node("Pad", "x", "y", &with));
        let mut input = Onnx::new(13, &[1, 3, 4, 3]);
        input
            .ints("pads", &around)
            .tensor(floats("value", &[], &[-2.0]))
            .node(
                "Pad",
                if mode == "constant" {
                    "x pads value"
                } else {
                    "x pads"
                },
                "y",
                &[("mode", Text(mode))],
            );
        agrees(&input);
    }
    let mut axes = Onnx::new(18, &[1, 3, 4, 3]);
    axes.ints("pads", &[1, 2, 0, 1])
        .ints("axes", &[-1, 1])
        .node("Pad", "x pads _ axes", "y", &[]);
    agrees(&axes);
}

#[test]
fn slices() {
    let mut attribute = Onnx::new(9, &[1, 6, 5, 4]);
    let with = [
        ("starts", ints_of(&[1, -3])),
        ("ends", ints_of(&[9, 2000])),
        ("axes", ints_of(&[1, 2])),
    ];
    agrees(attribute.node("Slice", "x", "y", &with));
    let mut input = Onnx::new(11, &[1, 6, 5, 4]);
    input
        .ints("s", &[0, 1, 0])
        .ints("e", &[i64::MAX, -1, i64::from(i32::MAX)])
        .ints("a", &[3, 2, -3])
        .ints("t", &[3, 1, 2])
        .node("Slice", "x s e a t", "y", &[]);
    agrees(&input);
}

#[test]
fn picked_indices() {
    for (indices, axis) in [
        (&[2, 1, 0][..], 1),
        (&[1, 2], 1),
        (&[-1], 2),
        (&[0, 1, 3, 0], 2),
    ] {
        let mut model = Onnx::new(11, &[1, 3, 5, 4]);
        model
            .ints("i", indices)
            .node("Gather", "x i", "y", &[("axis", Int(axis))]);
        agrees(&model);
    }
    // What torchvision's Inception does to its input.
    let mut planes = Onnx::new(11, &[1, 3, 5, 4]);
    let mut one = ints("one", &[1]);
    one.dims.clear();
    planes
        .tensor(one)
        .node("Gather", "x one", "plane", &[("axis", Int(1))])
        .node("Unsqueeze", "plane", "back", &[("axes", ints_of(&[1]))])
        .node("Concat", "back x", "y", &[("axis", Int(1))]);
    agrees(&planes);
}

#[test]
fn normalisations() {
    let mut lrn = Onnx::new(7, &[1, 7, 3, 2]);
    let with = [
        ("size", Int(4)),
        ("alpha", Float(0.5)),
        ("beta", Float(0.6)),
        ("bias", Float(1.5)),
    ];
    agrees(lrn.node("LRN", "x", "y", &with));
    let mut defaults = Onnx::new(13, &[1, 7, 3, 2]);
    agrees(defaults.node("LRN", "x", "y", &[("size", Int(5))]));
    let mut pixel = Onnx::new(13, &[1, 7, 3, 2]);
    agrees(pixel.node("Softmax", "x", "y", &[("axis", Int(1))]));
    let mut vector = Onnx::new(13, &[1, 7]);
    agrees(vector.node("Softmax", "x", "y", &[]));
    let mut old = Onnx::new(11, &[1, 7, 3, 2]);
    old.node("GlobalAveragePool", "x", "g", &[])
        .node("Softmax", "g", "y", &[]);
    agrees(&old);
}

#[test]
fn batch_normalisations() {
    for (dims, flat) in [
        (&[1, 3, 4, 2][..], false),
        (&[1, 5], false),
        (&[1, 3, 4, 2], true),
    ] {
        let channels = if flat { 24 } else { dims[1] };
        let mut model = Onnx::new(9, dims);
        let variance: Vec<f32> = numbers(channels, 5).iter().map(|v| v.abs() + 0.1).collect();
        model
            .weights("scale", &[channels])
            .weights("shift", &[channels])
            .weights("mean", &[channels])
            .tensor(floats("var", &[channels as i64], &variance));
        let input = if flat {
            model.node("Flatten", "x", "f", &[]);
            "f scale shift mean var"
        } else {
            "x scale shift mean var"
        };
        agrees(model.node(
            "BatchNormalization",
            input,
            "y",
            &[("epsilon", Float(0.01))],
        ));
    }
}

#[test]
fn renames() {
    let mut model = Onnx::new(13, &[1, 3, 4, 2]);
    model
        .ints("front", &[0])
        .ints("split", &[3, 2, 2, 2])
        .ints("both", &[0, 2])
        .ints("whole", &[1, 3, 4, 2])
        .node("Identity", "x", "a", &[])
        .node("Cast", "a", "b", &[("to", Int(1))])
        .node("Squeeze", "b front", "c", &[])
        .node("Transpose", "c", "d", &[("perm", ints_of(&[1, 0, 2]))])
        .node("Transpose", "d", "e", &[("perm", ints_of(&[1, 0, 2]))])
        .node("Reshape", "e split", "f", &[])
        .node("Reshape", "f whole", "g", &[])
        .node("Dropout", "g", "h", &[])
        .node("Relu", "h", "i", &[])
        .node("Dropout", "i", "j", &[])
        .node("Flatten", "j", "y", &[("axis", Int(-1))]);
    let graph = agrees(&model);
    assert!(
        graph.nodes[0].dropout == Some(0.5),
        "the Relu before the Dropout is marked"
    );
    assert_eq!(graph.names["g"], graph.input);
    assert_eq!(graph.names["Relu of i"], graph.names["j"]);
}

#[test]
fn constants_are_evaluated() {
    let mut model = Onnx::new(13, &[1, 3, 4, 2]);
    model
        .ints("first", &[0])
        .ints("last", &[-1])
        .tensor(ints("one", &[1]))
        .node("Shape", "x", "shape", &[])
        .node("Gather", "shape first", "batch", &[])
        .node("Slice", "shape one four", "rest", &[])
        .ints("four", &[i64::MAX])
        .node("Gather", "rest last", "width", &[("axis", Int(0))])
        .node("Mul", "width two", "double", &[])
        .node("Constant", "", "two", &[("value_ints", ints_of(&[2]))])
        .node("Div", "double two", "same", &[])
        .node("Concat", "batch minus same", "dims", &[("axis", Int(0))])
        .ints("minus", &[-1])
        .node("Cast", "dims", "cast", &[("to", Int(7))])
        .node("Reshape", "x cast", "y", &[]);
    // Constants may be made after nodes that do not need them, but before those that do.
    model.graph().node.sort_by_key(|n| n.op_type != "Constant");
    agrees(&model);
}

#[test]
fn prepared_weights() {
    let mut model = Onnx::new(13, &[1, 3, 4, 2]);
    model
        .weights("w", &[2, 2, 3, 4])
        .ints("dims", &[4])
        .ints("axes", &[1, 2])
        .node(
            "Transpose",
            "w",
            "turned",
            &[("perm", ints_of(&[3, 2, 0, 1]))],
        )
        .node("Constant", "", "half", &[("value_float", Float(0.5))])
        .node("Mul", "turned half", "scaled", &[])
        .node(
            "ConstantOfShape",
            "dims",
            "bias",
            &[("value", Tensor(Box::new(floats("", &[1], &[0.25]))))],
        )
        .node("Conv", "x scaled bias", "c", &[])
        .node(
            "Constant",
            "",
            "list",
            &[("value_floats", Floats(vec![1.0, -2.0, 3.0, 0.5]))],
        )
        .node("Unsqueeze", "list axes", "column", &[])
        .node("Identity", "column", "same", &[])
        .node("Mul", "c same", "y", &[]);
    agrees(&model);
}
