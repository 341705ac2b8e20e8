//! Quantising after training: against TFLite's float tensors operator by
//! operator, against TFLite's own quantised file on real pictures, and the
//! program as a person runs it.

#[path = "cli/room.rs"]
#[allow(dead_code, reason = "shared with the other tests of the program")]
mod room;

use std::path::{Path, PathBuf};

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, NetworkFacts, OutputActivation, Resize};
use foveola::compile::Compiled;
use foveola::explainer::Explainer;
use foveola::graph::InputType;
use foveola::import::{Options, load};
use foveola::model::{Engine, OpenModel, OpenOptions};
use foveola::quantise::pictures::Album;
use foveola::quantise::{Calibration, FloatNetwork, QuantiseError, RangeRule};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::session::Session;
use foveola_core::{Masked, Picture, TensorId};
use foveola_tests::tflite::{Reference, folder, names};
use foveola_tests::zoo;
use ndarray::ArrayD;
use ndarray_npy::WriteNpyExt;
use room::{Room, file, model, scene};
use serde_json::Value;

/// A network whose card changes no number.
fn open(path: &Path) -> OpenModel {
    let imported = load(path, &Options::default());
    let imported = imported.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let graph = &imported.graph;
    let shape = graph.tensor(graph.input).shape;
    OpenModel {
        path: path.to_path_buf(),
        sha256: String::new(),
        bytes: 0,
        facts: NetworkFacts {
            input: shape,
            layout: graph.layout,
            classes: graph.tensor(graph.output).shape.len(),
            normalised: graph.output != graph.logits,
            labels: vec![],
            metadata: Default::default(),
        },
        input_type: InputType::F32,
        card: Card {
            size: [shape.h, shape.w],
            resize: Resize::Squash,
            channels: Channels::usual(shape.c).unwrap_or(Channels::Rgb),
            // Pixels 0 to 255 lie within whatever was seen.
            mean: vec![0.0; shape.c],
            scale: vec![0.0; shape.c],
            activation: OutputActivation::None,
            labels: vec![],
        },
        card_source: String::new(),
        assumed: vec![],
        notes: vec![],
        goal: foveola::compile::Goal::default(),
        gpu: None,
        board: None,
        precision: Default::default(),
        editing: Default::default(),
        engine: Engine::Graph(Box::new(imported)),
        arithmetic: Default::default(),
    }
}

fn quantised(model: &OpenModel, album: &Album, rule: RangeRule, threads: usize) -> Compiled {
    let network = FloatNetwork::of(model, &[]).expect("a float network");
    let seen = calibrated(&network, model, album, threads);
    let quantised = network.quantise(&seen, rule, model, &[], false);
    quantised.expect("it quantises").compiled
}

fn calibrated(
    network: &FloatNetwork,
    model: &OpenModel,
    album: &Album,
    threads: usize,
) -> Calibration {
    let seen = network.calibrate(model, album, threads, &|_| true);
    seen.expect("it runs")
}

/// The real numbers of every tensor, by id.
fn tensors(file: &ModelFile, input: &[f32]) -> Vec<Vec<f32>> {
    let model = file.model();
    let plan = model.plan(Pass::Forward).expect("a forward plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, Isa::portable()).expect("a session");
    let picture = Picture::Tensor {
        shape: model.input(),
        data: input,
    };
    let mut tensors = vec![Vec::new(); model.tensor_count()];
    session
        .forward_tapped(&Masked::whole(picture), &mut |node, _, values| {
            let output = model.node(node).expect("a node").output;
            tensors[usize::from(output.0)].extend(values.iter());
            Ok(())
        })
        .expect("it runs");
    tensors
}

/// Whether a tensor's elements lie in the order of the file's.
fn lies_alike(file: &ModelFile, id: TensorId, wanted: &ArrayD<f32>) -> bool {
    let shape = file.model().shape(id);
    let wide = |sizes: &[usize]| sizes.iter().copied().filter(|&n| n > 1).collect::<Vec<_>>();
    let flat = wide(wanted.shape()).len() < 2;
    flat || wide(&[shape.h, shape.w, shape.c]) == wide(wanted.shape())
}

/// Largest difference from TFLite's float numbers, in shares of their range.
fn apart(found: &[f32], wanted: &ArrayD<f32>) -> f32 {
    assert_eq!(found.len(), wanted.len(), "number of elements");
    let ends = wanted
        .iter()
        .fold([0.0_f32; 2], |[low, high], &v| [low.min(v), high.max(v)]);
    let range = (ends[1] - ends[0]).max(f32::MIN_POSITIVE);
    let pairs = found.iter().zip(wanted);
    pairs
        .map(|(a, b)| (a - b).abs() / range)
        .fold(0.0, f32::max)
}

/// Ranges come from the very input that is asked about, so what is left is
/// rounding: a few of 255 steps in each tensor after up to five operators.
#[test]
fn every_operator_stays_near_the_float_tensors_of_tflite() {
    let mut reference = Reference::small();
    let (mut count, mut wrong) = (0, vec![]);
    for name in names("float") {
        let model = open(&folder().join(format!("{name}.tflite")));
        let room = tempfile::tempdir().expect("a folder");
        let input: ArrayD<f32> = reference.get(&format!("{name}.input"));
        let out = std::fs::File::create(room.path().join("input.npy")).expect("a file");
        input.write_npy(out).expect("an array");
        let album = Album::open(room.path(), 1).expect("a picture");
        let network = match FloatNetwork::of(&model, &[]) {
            Err(QuantiseError::NothingToQuantise) => continue,
            network => network.expect("a float network"),
        };
        let seen = calibrated(&network, &model, &album, 1);
        let made = network.quantise(&seen, RangeRule::Minmax, &model, &[], false);
        let compiled = made.unwrap_or_else(|e| panic!("{name}: {e}")).compiled;
        let file = ModelFile::new(&compiled.bytes).expect("the file is sound");
        let input: Vec<f32> = input.iter().copied().collect();
        let found = tensors(&file, &input);
        for index in reference.keys(&format!("{name}.")) {
            let Some(&id) = compiled.names.get(&format!("#{index}")) else {
                continue;
            };
            let wanted: ArrayD<f32> = reference.get(&format!("{name}.{index}"));
            if id == file.model().input_id() || !lies_alike(&file, id, &wanted) {
                continue;
            }
            let apart = apart(&found[usize::from(id.0)], &wanted);
            count += 1;
            if apart > 0.025 {
                wrong.push(format!("{name} {index}: {apart}"));
            }
        }
    }
    assert!(wrong.is_empty(), "of {count}:\n{}", wrong.join("\n"));
    assert!(count > 60, "only {count} tensors were compared");
}

/// Pictures `number % 5 == 0` calibrate, the others judge. TFLite's own int8
/// file of this network is the measure.
#[test]
fn resnet8_agrees_with_its_float_twin_as_the_file_of_tflite_does() {
    let Some(zoo) = zoo() else { return };
    let pictures = Album::open(&zoo.join("images/cifar10_jpeg"), 200).expect("pictures");
    let (some, others): (Vec<PathBuf>, Vec<PathBuf>) =
        pictures.pictures.iter().cloned().partition(|p| {
            let stem = p.file_stem().and_then(|s| s.to_str()).unwrap_or("");
            stem.ends_with('0') || stem.ends_with('5')
        });
    assert_eq!((some.len(), others.len()), (40, 160));
    let album = Album {
        pictures: some,
        ..pictures
    };
    let path = |name: &str| zoo.join(format!("models/tinyml/resnet8_cifar10_{name}"));
    let float = OpenModel::open(&path("float.onnx"), &OpenOptions::default()).expect("opens");
    let labels = float.card.labels.clone();
    let compiled = quantised(&float, &album, RangeRule::default(), 1);
    assert_eq!(
        compiled.bytes,
        quantised(&float, &album, RangeRule::default(), 3).bytes,
        "threads make no difference"
    );
    let room = tempfile::tempdir().expect("a folder");
    let ours = room.path().join("ours.fov");
    std::fs::write(&ours, &compiled.bytes).expect("a file");
    let answers = |mut explainer: Explainer| -> Vec<usize> {
        let answer = |path: &PathBuf| {
            let photo = explainer.photo(path).expect("a picture");
            let p = explainer.classify(&photo).expect("it runs").1;
            (0..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best })
        };
        others.iter().map(answer).collect()
    };
    let ours = answers(Explainer::open(&ours).expect("opens"));
    let theirs = answers(Explainer::open(path("int8.tflite")).expect("opens"));
    let float = answers(Explainer::new(float, 1));
    let alike = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    let right = |answers: &[usize]| {
        let pairs = others.iter().zip(answers);
        let named = |p: &PathBuf, label: &str| {
            let name = p.file_name().and_then(|n| n.to_str()).unwrap_or("");
            name.starts_with(label)
        };
        pairs.filter(|(p, a)| named(p, &labels[**a])).count()
    };
    let (we, they) = (alike(&ours, &float), alike(&theirs, &float));
    println!("agreement of 160: {we}, TFLite's file {they}");
    println!(
        "right of 160: {}, {}, float {}",
        right(&ours),
        right(&theirs),
        right(&float)
    );
    assert!(we + 3 >= they, "{we} of 160, TFLite's file {they}");
    assert!(right(&ours) + 3 >= right(&theirs));
}

/// The demo's scene, brighter and mirrored, in a folder.
fn scenes(room: &Room) -> String {
    let folder = room.path("photos");
    std::fs::create_dir(&folder).expect("a folder");
    let scene = image::open(scene()).expect("the demo's scene");
    for i in 0..6_i32 {
        let picture = scene.brighten(i * 12 - 30);
        let picture = if i % 2 == 0 { picture } else { picture.fliph() };
        let path = folder.join(format!("{i}.png"));
        picture.save(path).expect("a picture");
    }
    String::from("photos")
}

#[test]
fn the_demos_network_keeps_answers_and_evidence() {
    let room = Room::new();
    let photos = scenes(&room);
    let net = model();
    room.put("photos/broken.png", b"no picture");
    let args = [
        "compile",
        &net,
        "--int8",
        "--calibrate",
        &photos,
        "-o",
        "net.fov",
    ];
    let said = room.run(&[&args[..], &["--json"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("broken.png"), "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    let answers = &report["answers"];
    assert_eq!(answers["pictures"], 6);
    assert_eq!(answers["agreeing"], 6);
    assert_eq!(report["skipped"].as_array().expect("a list").len(), 1);
    // Most of the scene is background, whose occlusion map is rounding noise
    // around 0: its ranks say nothing, the strongest pixels do.
    for (i, figure) in ["mean_rank_correlation", "mean_top_tenth_overlap"]
        .iter()
        .enumerate()
    {
        let method = &report["evidence"][i];
        let alike = method[figure].as_f64().expect("a number");
        assert!(alike > 0.9 && alike < 1.0, "{method}");
    }
    let size = |which: &str, what: &str| report[which][what].as_u64().expect("a number");
    assert!(size("int8", "arena") * 2 < size("float", "arena"));
    assert_eq!(size("int8", "file"), room.bytes("net.fov").len() as u64);
    for rule in ["minmax", "percentile"] {
        let text = room.succeed(&[&args[..], &["--calibration", rule, "--evidence", "2"]].concat());
        assert!(text.contains("Same answer on 6 of 6 pictures"), "{text}");
        assert!(text.contains("grad-cam"), "{text}");
    }
    room.succeed(&[
        "explain",
        "net.fov",
        &scene(),
        "--method",
        "guided-backprop",
    ]);
}

#[test]
fn folder_names_are_the_right_answers() {
    let room = Room::new();
    let photos = scenes(&room);
    let labelled = room.path("labelled/0");
    std::fs::create_dir_all(&labelled).expect("a folder");
    std::fs::copy(room.path("photos/0.png"), labelled.join("a.png")).expect("a copy");
    let net = model();
    let out = room.succeed(&[
        "compile",
        &net,
        "--int8",
        "--calibrate",
        &photos,
        "--validate",
        "labelled",
        "--json",
        "--evidence",
        "0",
        "-o",
        "net.fov",
    ]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["answers"]["labelled"], 1);
    assert_eq!(report["evidence"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_quantised_is_said() {
    let room = Room::new();
    let photos = scenes(&room);
    let net = model();
    std::fs::create_dir(room.path("empty")).expect("a folder");
    std::fs::create_dir(room.path("broken")).expect("a folder");
    room.put("broken/a.png", b"no picture");
    let refuse = |net: &str, photos: &str, part: &str| {
        let args = [
            "compile",
            net,
            "--int8",
            "--calibrate",
            photos,
            "-o",
            "x.fov",
        ];
        room.refuse(&args, part);
    };
    refuse(&net, "empty", "no picture");
    refuse(&net, "nowhere", "cannot read the folder");
    refuse(&net, "broken", "none of the 1 pictures");
    let golden = |name: &str| file(&format!("tests/golden/tflite/{name}.tflite"));
    refuse(&golden("conv_int8"), &photos, "quantised already");
    room.refuse(&["compile", &net, "--int8"], "--calibrate");
    room.refuse(&["compile", &net, "--calibrate", &photos], "--int8");
    room.succeed(&["compile", &net, "-o", "float.fov"]);
    refuse("float.fov", &photos, "is compiled");
}
