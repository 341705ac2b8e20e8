//! Units of a network on a board: the maps of `foveola explain --unit`.

use std::path::Path;
use std::process::Command;

use foveola::activations::{Activations, LayerValues};
use foveola::crosscheck::model_bytes_for;
use foveola::explainer::{DEFAULT_SEED, Explainer, Question, Target};
use foveola::link::{DeviceName, Remote, call, open};
use foveola::method_spec::MethodSpec;
use foveola::model::{OpenModel, OpenOptions, Unit};
use foveola::photo::Photo;
use foveola_core::wire::message::Explain;
use foveola_tests::{root, zoo};
use ndarray::ArrayD;
use ndarray_npy::ReadNpyExt;

use super::reader::available;

/// Those whose maps are the same without constant channels.
const METHODS: [&str; 9] = [
    "gradient",
    "input-x-gradient",
    "guided-backprop",
    "grad-cam",
    "occlusion:window=32,stride=32",
    "rise:masks=8",
    "integrated-gradients:steps=2",
    "layer-cam",
    "activation-maximisation:steps=2",
];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The strongest channel of a layer in one place: its mean, and its value there.
fn units(model: &OpenModel, photo: &Photo) -> Vec<Unit> {
    let layers = Activations::of(model, photo, &[]).expect("layers").all();
    let wide: Vec<_> = layers.iter().filter(|l| l.shape.area() > 4).collect();
    let (first, last) = (wide[wide.len() / 3], wide[wide.len() - 1]);
    let unit = |layer: &LayerValues, has_place: bool| {
        let shape = layer.shape;
        let [y, x] = [shape.h / 2, shape.w / 3];
        let there = &layer.values[(y * shape.w + x) * shape.c..][..shape.c];
        let strongest = (0..shape.c).max_by(|&a, &b| there[a].total_cmp(&there[b]));
        Unit {
            tensor: layer.name.clone(),
            channel: strongest.expect("a channel"),
            place: has_place.then_some([y, x]),
        }
    };
    vec![unit(last, false), unit(first, true)]
}

/// The network as this machine explains it, not pruned, and as it is shipped.
fn same_bits(remote: &mut Remote, open: &dyn Fn() -> OpenModel, unit: &Unit, photo: &Photo) {
    let model = open().of_unit(unit).expect("a unit");
    let specs = METHODS.map(|text| text.parse::<MethodSpec>().expect("a method"));
    let file = model_bytes_for(&model, true, &specs).expect("it compiles");
    let mut question = Question::of(METHODS).expect("methods");
    question.targets = vec![Target::Named(unit.channel.to_string())];
    question.units = true;
    let host = Explainer::new(model, 2).explain(photo, &question);
    let host = host.expect("the host's answer");
    let put = remote.put_model(&file, &mut |_, _| true);
    put.expect("it arrives");
    remote.put_picture(&photo.picture()).expect("it arrives");
    let mut flat = 0;
    for (spec, map) in specs.iter().zip(&host.maps) {
        let explain = Explain {
            method: call(spec, &|_| None).expect("it travels"),
            target: Some(unit.channel as u32),
            score: None,
            seed: DEFAULT_SEED,
        };
        let found = remote.explain(&explain, &mut |_, _| true).expect("a map");
        let share = map.values.len() / found.values.len();
        let alone: Vec<f32> = map.values.iter().copied().step_by(share).collect();
        assert!(bits(&found.values) == bits(&alone), "{unit}: {spec}");
        flat += usize::from(alone.iter().all(|v| *v == 0.0));
    }
    println!("{unit}: {} bytes, {flat} flat maps", file.len());
    assert!(flat < METHODS.len() / 2, "{unit}");
}

/// Units of networks in f32 and int8.
#[test]
fn units_on_a_board() {
    if !available() {
        return;
    }
    let name: DeviceName = "qemu:mps2-an386".parse().expect("a board");
    let mut opened = open(&name, 115_200, &root().join("firmware")).expect("it answers");
    let demo = root().join("host/demo");
    let mut cases = vec![(
        demo.join("honest.onnx"),
        Some(demo.join("poles.card.toml")),
        demo.join("scene.png"),
    )];
    match zoo() {
        Some(zoo) => cases.push((
            zoo.join("models/tinyml/vww96_int8.tflite"),
            None,
            zoo.join("images/coco/train2017_000000000030.jpg"),
        )),
        None => println!("skipped: the zoo is not there"),
    }
    for (path, card, photo) in cases {
        let model = || {
            let options = OpenOptions {
                card_file: card.clone(),
                ..OpenOptions::default()
            };
            OpenModel::open(&path, &options).expect("a model")
        };
        let whole = model();
        let photo = Photo::open(&photo, &whole.intake()).expect("a photo");
        for unit in units(&whole, &photo) {
            same_bits(&mut opened.remote, &model, &unit, &photo);
        }
    }
}

fn array(path: &Path) -> Vec<f32> {
    let file = std::fs::File::open(path).expect("an array");
    let array = ArrayD::<f32>::read_npy(file).expect("an array of f32");
    array.into_iter().collect()
}

/// The commands: a unit has the same map here and there, and what is no unit is
/// refused in words.
#[test]
fn the_commands() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let run = |before: &[&str], after: &[&str]| {
        let model = [
            "host/demo/honest.onnx",
            "--card",
            "host/demo/poles.card.toml",
        ];
        let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
            .args([before, &model, after].concat())
            .current_dir(root())
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code(), said)
    };
    let unit = ["-m", "grad-cam", "--unit", "narrow.relu:3,2,5"];
    let (here, there) = (at("here"), at("there"));
    let board: &[&str] = &["device", "qemu:mps2-an386", "explain"];
    for (before, out) in [(&["explain", "--raw"][..], &here), (board, &there)] {
        let after = [&["host/demo/scene.png", "--out", out], &unit[..]].concat();
        let (code, said) = run(before, &after);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("narrow.relu channel 3 at row 2, column 5 (value"),
            "{said}"
        );
    }
    let maps = [&here, &there].map(|out| array(&Path::new(out).join("grad-cam.3.npy")));
    assert!(maps[0].iter().any(|v| *v != 0.0));
    assert!(bits(&maps[0]) == bits(&maps[1]));

    for (unit, part) in [
        ("nowhere:0", "no layer `nowhere`"),
        ("narrow.relu:14", "14 channels, 0 to 13"),
        ("narrow.relu:0,8,0", "8 rows and 8 columns"),
        ("narrow.relu", "it takes TENSOR:CHANNEL"),
    ] {
        let (code, said) = run(&["compile"], &["--unit", unit, "--out", &at("m.fov")]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part), "{said}");
    }
    let (code, said) = run(board, &["host/demo/scene.png", "--unit", "narrow.relu:14"]);
    assert!(
        code == Some(2) && said.contains("14 channels, 0 to 13"),
        "{said}"
    );
    let both = ["host/demo/scene.png", "--unit", "narrow.relu:1", "-t", "2"];
    let (code, said) = run(board, &both);
    assert!(
        code == Some(2) && said.contains("cannot be used with"),
        "{said}"
    );
}
