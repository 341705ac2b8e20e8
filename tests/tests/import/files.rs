//! Files that are odd but sound: old and new habits of exporters, tails,
//! half precision, values in other files.

use std::fs;
use std::path::Path;

use foveola::graph::{InputType, Layout};
use foveola::import::{Format, ImportError, Imported, Options, from_bytes, load};
use foveola_core::net::op::{Activation, Op};
use foveola_tests::interpreter::tensor;
use foveola_tests::onnx::{Attribute, Onnx, declared, ints, numbers};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{OperatorSetIdProto, StringStringEntryProto, TensorProto};

fn import(model: &Onnx) -> Imported {
    from_bytes(&model.bytes(), None, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(model: &Onnx) -> ImportError {
    from_bytes(&model.bytes(), None, &Options::default()).expect_err("it must not load")
}

/// A picture, a convolution, a mean: three scores.
fn classifier(opset: i64) -> Onnx {
    let mut model = Onnx::new(opset, &[1, 3, 5, 4]);
    model
        .weights("w", &[3, 3, 2, 2])
        .weights("b", &[3])
        .node("Conv", "x w b", "c", &[])
        .node("GlobalAveragePool", "c", "g", &[])
        .node("Flatten", "g", "logits", &[]);
    model
}

fn scores(imported: &Imported) -> Vec<f64> {
    let graph = &imported.graph;
    let input = numbers(graph.tensor(graph.input).shape.len(), 7);
    tensor(graph, &input, graph.output)
}

fn raw(tensor: &mut TensorProto, kind: DataType, bytes: impl Fn(f32) -> Vec<u8>) {
    tensor.data_type = kind as i32;
    tensor.raw_data = tensor.float_data.drain(..).flat_map(bytes).collect();
}

#[test]
fn number_types_and_places_give_the_same_weights() {
    let mut plain = classifier(13);
    let wanted = scores(&import(plain.output("logits")));
    let as_raw = |kind: DataType, bytes: fn(f32) -> Vec<u8>, tolerance: f64| {
        let mut model = plain.clone();
        for weights in &mut model.graph().initializer {
            raw(weights, kind, bytes);
        }
        for (a, b) in scores(&import(&model)).iter().zip(&wanted) {
            assert!((a - b).abs() <= tolerance, "{kind:?}: {a} {b}");
        }
    };
    as_raw(DataType::Float, |v| v.to_le_bytes().to_vec(), 0.0);
    as_raw(
        DataType::Double,
        |v| f64::from(v).to_le_bytes().to_vec(),
        0.0,
    );
    as_raw(
        DataType::Float16,
        |v| half::f16::from_f32(v).to_le_bytes().to_vec(),
        2e-3,
    );
    as_raw(
        DataType::Bfloat16,
        |v| half::bf16::from_f32(v).to_le_bytes().to_vec(),
        2e-2,
    );
    let mut halves = plain.clone();
    for weights in &mut halves.graph().initializer {
        let bits = |v: f32| i32::from(half::f16::from_f32(v).to_bits());
        weights.data_type = DataType::Float16 as i32;
        weights.int32_data = weights.float_data.drain(..).map(bits).collect();
    }
    halves.graph().input[0] = declared("x", DataType::Float16, &[1, 3, 5, 4]);
    let imported = import(&halves);
    assert_eq!(imported.graph.input_type, InputType::F16);
    assert!((scores(&imported)[0] - wanted[0]).abs() < 2e-3);
}

#[test]
fn initialisers_may_be_listed_as_inputs() {
    let mut model = classifier(7);
    let graph = model.output("logits").graph();
    graph
        .input
        .insert(0, declared("w", DataType::Float, &[3, 3, 2, 2]));
    graph.input.push(declared("b", DataType::Float, &[3]));
    model.proto.ir_version = 3;
    for domain in ["com.microsoft", "ai.onnx.ml"] {
        let domain = domain.to_owned();
        model.proto.opset_import.insert(
            0,
            OperatorSetIdProto {
                domain,
                version: 99,
            },
        );
    }
    let imported = import(&model);
    let wanted = Format::Onnx {
        opset: 7,
        ir_version: 3,
    };
    assert_eq!(imported.format, wanted);
    assert_eq!(imported.graph.input_name, "x");
    assert_eq!(imported.parameters, 39);
}

#[test]
fn open_dimensions_are_closed() {
    let mut model = classifier(13);
    model.output("logits").graph().input[0] = declared("x", DataType::Float, &[-1, 3, -1, -1]);
    assert!(matches!(refused(&model), ImportError::NeedsSize { .. }));
    let options = Options {
        input_size: Some([9, 8]),
        ..Options::default()
    };
    let imported = from_bytes(&model.bytes(), None, &options).expect("the size is given");
    assert_eq!(imported.input_dims, [1, 3, 9, 8]);
    let fixed = classifier(13).output("logits").bytes();
    let error = from_bytes(&fixed, None, &options).expect_err("the size is fixed");
    assert!(error.to_string().contains("fixed at 5"), "{error}");
}

#[test]
fn the_input_layout_follows_its_use() {
    let mut odd = Onnx::new(13, &[1, 9, 8, 7]);
    odd.weights("w", &[3, 7, 1, 1])
        .weights("k", &[7])
        .node("Sub", "x k", "s", &[])
        .node(
            "Transpose",
            "s",
            "t",
            &[("perm", Attribute::Ints(vec![0, 3, 1, 2]))],
        )
        .node("Conv", "t w", "c", &[])
        .node("GlobalAveragePool", "c", "g", &[])
        .output("g");
    assert_eq!(import(&odd).graph.layout, Layout::Nhwc);
    let mut usual = Onnx::new(13, &[1, 8, 9, 3]);
    usual
        .weights("w", &[3, 8, 1, 1])
        .node("Conv", "x w", "c", &[])
        .node("GlobalAveragePool", "c", "g", &[])
        .output("g");
    assert_eq!(import(&usual).graph.layout, Layout::Nchw);
}

#[test]
fn image_scaler_is_affine() {
    let mut model = Onnx::new(7, &[1, 2, 3, 2]);
    let with = [
        ("scale", Attribute::Float(2.0)),
        ("bias", Attribute::Floats(vec![0.5, -1.0])),
    ];
    model
        .node("ImageScaler", "x", "s", &with)
        .node("GlobalMaxPool", "s", "y", &[])
        .output("y");
    let imported = import(&model);
    let graph = &imported.graph;
    let input: Vec<f32> = (0..12_u8).map(f32::from).collect();
    // The largest of channel 0 is 10, of channel 1 is 11.
    assert_eq!(tensor(graph, &input, graph.output), [20.5, 21.0]);
}

#[test]
fn swish_is_silu() {
    let mut model = Onnx::new(24, &[1, 3]);
    let imported = import(model.node("Swish", "x", "y", &[]).output("y"));
    assert_eq!(imported.graph.nodes[0].activation, Activation::Silu);
    assert!(imported.warnings[0].contains("opset 24"));
}

#[test]
fn tails_are_cut_off() {
    let mut labels = classifier(13);
    let keys = [
        ("keys_int64s", Attribute::Ints(vec![2, 0, 1])),
        (
            "values_strings",
            Attribute::Texts(vec!["fox", "ant", "bee"]),
        ),
    ];
    labels
        .node("Softmax", "logits", "p", &[])
        .node("ArgMax", "p", "index", &[("axis", Attribute::Int(1))])
        .node("Cast", "index", "cast", &[("to", Attribute::Int(7))])
        .node("LabelEncoder", "cast", "label", &keys)
        .output("label");
    let last = labels.graph().node.len() - 1;
    labels.graph().node[last].domain = "ai.onnx.ml".into();
    let imported = import(&labels);
    assert_eq!(imported.graph.labels, ["ant", "bee", "fox"]);
    assert_eq!(imported.graph.output_name, "p");
    assert_eq!(imported.graph.logits, imported.graph.names["logits"]);
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);

    let mut logarithms = classifier(13);
    logarithms
        .node("LogSoftmax", "logits", "y", &[])
        .output("y");
    let imported = import(&logarithms);
    assert_eq!(imported.graph.output_name, "logits");
    assert_eq!(imported.graph.output, imported.graph.logits);
}

#[test]
fn labels_that_do_not_fit_are_left_out() {
    let mut model = classifier(13);
    let with = [("classlabels_int64s", Attribute::Ints(vec![3, 4]))];
    model.node("ZipMap", "logits", "map", &with).output("map");
    let last = model.graph().node.len() - 1;
    model.graph().node[last].domain = "ai.onnx.ml".into();
    let imported = import(&model);
    assert!(imported.graph.labels.is_empty());
    assert!(imported.warnings[0].contains("2 labels"));
}

#[test]
fn sigmoid_scores_have_logits() {
    let mut model = classifier(13);
    model
        .node("Sigmoid", "logits", "p", &[])
        .node("Identity", "p", "y", &[])
        .output("y");
    let graph = import(&model).graph;
    assert_eq!(graph.names["p"], graph.output);
    assert_eq!(graph.logits, graph.names["logits"]);
}

#[test]
fn the_first_vector_among_several_outputs_is_taken() {
    let mut model = classifier(13);
    model
        .output("c")
        .output("logits")
        .node("Relu", "logits", "more", &[])
        .output("more");
    let imported = import(&model);
    assert_eq!(imported.graph.output_name, "logits");
    assert!(imported.warnings[0].contains("\"logits\""));
    assert_eq!(imported.outputs, ["c", "logits", "more"]);
}

#[test]
fn nodes_that_no_output_needs_do_not_matter() {
    let mut model = classifier(13);
    model
        .node("Frobnicate", "c", "unused", &[])
        .output("logits");
    assert_eq!(import(&model).ops["Frobnicate"], 1);
}

#[test]
fn all_unsupported_nodes_are_named() {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .weights("w", &[3, 3, 2, 2])
        .ints("s", &[4])
        .node("Frobnicate", "x", "a", &[])
        .node("Conv", "a w", "b", &[])
        .node("DynamicQuantizeLinear", "b", "c", &[])
        .node("Gelu", "c", "d", &[])
        .node("Pad", "x", "e", &[])
        .node("Einsum", "d e", "y", &[])
        .output("y");
    model.graph().node.remove(4);
    model.graph().node[4].input[1] = "x".into();
    let ImportError::Unsupported { nodes } = refused(&model) else {
        panic!("unsupported nodes");
    };
    let ops: Vec<&str> = nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(
        ops,
        ["Frobnicate", "DynamicQuantizeLinear", "Gelu", "Einsum"]
    );
    assert!(nodes[1].reason.contains("dynamic quantisation"));
    assert_eq!(nodes[0].name, "Frobnicate of a");
    let text = refused(&model).to_string();
    assert!(text.contains("--backend tract") && text.contains("Gelu of d"));
}

#[test]
fn a_needed_second_result_is_unsupported() {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    let kernel = [("kernel_shape", Attribute::Ints(vec![5, 4]))];
    model
        .node("MaxPool", "x", "m where", &kernel)
        .output("m")
        .output("where");
    assert_eq!(import(&model).graph.output_name, "m");
    model.graph().output.remove(0);
    assert!(
        refused(&model)
            .to_string()
            .contains("\"where\" is not computed")
    );
}

/// Moves the weights `w` into a file.
fn external(model: &mut Onnx, entries: &[(&str, &str)]) -> Vec<u8> {
    let w = &mut model.graph().initializer[0];
    let bytes = w.float_data.drain(..).flat_map(f32::to_le_bytes).collect();
    w.data_location = Some(DataLocation::External as i32);
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).into(),
        value: (*value).into(),
    };
    w.external_data = entries.iter().map(entry).collect();
    bytes
}

fn load_external(folder: &Path, entries: &[(&str, &str)], allow: bool) -> Result<Imported, String> {
    let mut model = classifier(13);
    external(model.output("logits"), entries);
    let path = folder.join("model.onnx");
    fs::write(&path, model.bytes()).expect("the folder can be written");
    let options = Options {
        allow_external: allow,
        ..Options::default()
    };
    load(&path, &options).map_err(|e| e.to_string())
}

#[test]
fn external_data_stays_in_its_folder() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("model");
    fs::create_dir(&folder).expect("a folder");
    let values = external(&mut classifier(13), &[]);
    let padded = [&[0; 8][..], &values].concat();
    fs::write(folder.join("w.bin"), &padded).expect("written");
    fs::write(outer.path().join("w.bin"), &padded).expect("written");
    std::os::unix::fs::symlink(outer.path().join("w.bin"), folder.join("link")).expect("linked");
    let wanted = scores(&import(classifier(13).output("logits")));

    let good = [("location", "w.bin"), ("offset", "8"), ("length", "144")];
    let found = load_external(&folder, &good, true).expect("it may be read");
    assert_eq!(scores(&found), wanted);
    let error = load_external(&folder, &good, false).expect_err("not allowed");
    assert!(error.contains("--allow-external"), "{error}");

    let absolute = outer.path().join("w.bin").display().to_string();
    for (location, reason) in [
        ("../w.bin", "does not stay in"),
        (absolute.as_str(), "does not stay in"),
        ("", "does not stay in"),
        ("link", "leads out of"),
        (".", "is not a file"),
        ("missing.bin", "No such file"),
    ] {
        let error = load_external(&folder, &[("location", location), ("offset", "8")], true);
        let error = error.expect_err("it must not be read");
        assert!(error.contains(reason), "{location}: {error}");
    }
    for (key, value, reason) in [
        ("offset", "9", "outside its 152 bytes"),
        ("offset", "18446744073709551615", "outside its 152 bytes"),
        ("offset", "-1", "is no number"),
        ("length", "140", "its dimensions need 144"),
    ] {
        let error = load_external(&folder, &[("location", "w.bin"), (key, value)], true);
        let error = error.expect_err("it does not fit");
        assert!(error.contains(reason), "{key} {value}: {error}");
    }
}

#[test]
fn depthwise_with_a_multiplier_is_grouped() {
    let mut model = Onnx::new(13, &[1, 3, 5, 4]);
    model
        .weights("w", &[6, 1, 2, 2])
        .tensor(ints("shape", &[1, -1]))
        .node("Conv", "x w", "c", &[("group", Attribute::Int(3))])
        .node("GlobalAveragePool", "c", "g", &[])
        .node("Reshape", "g shape", "y", &[])
        .output("y");
    let graph = import(&model).graph;
    assert!(matches!(graph.nodes[0].op, Op::Conv { groups: 3, .. }));
}
