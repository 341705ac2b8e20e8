//! Files of one's own: baselines as pictures, and what LRP writes beside a map.

use foveola_tests::max_difference;
use image::{ImageFormat, RgbImage};
use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

use super::room::{Room, model, scene};

/// Every method that hides something, small.
const HIDING: [&str; 12] = [
    "occlusion:window=24,stride=12,baseline=",
    "rise:masks=30,baseline=",
    "hoc:windows=48/24,strides=24/12,baseline=",
    "feature-ablation:segments=grid,count=16,baseline=",
    "lime:segments=grid,count=16,samples=60,baseline=",
    "kernel-shap:segments=grid,count=16,samples=60,baseline=",
    "anchors:segments=grid,count=9,passes=300,baseline=",
    "sobol:count=9,designs=8,baseline=",
    "hsic:count=9,samples=40,baseline=",
    "meaningful-perturbation:grid=6,steps=5,baseline=",
    "score-cam:max-passes=9,baseline=",
    "integrated-gradients:steps=4,baseline=",
];

fn array(room: &Room, name: &str) -> ArrayD<f32> {
    ArrayD::read_npy(room.bytes(name).as_slice()).expect("an array of f32")
}

/// A black picture hides as black does, whatever its size.
#[test]
fn a_picture_as_baseline() {
    let room = Room::new();
    let mut png = std::io::Cursor::new(Vec::new());
    let black = RgbImage::new(40, 30);
    black
        .write_to(&mut png, ImageFormat::Png)
        .expect("a picture");
    std::fs::create_dir(room.path("a")).expect("a folder");
    room.put("a/own.png", png.get_ref());
    let (model, scene) = (model(), scene());
    for (out, baseline) in [("w", "black"), ("f", "a/own.png")] {
        let methods = HIDING.map(|method| format!("{method}{baseline}"));
        let named = methods.iter().flat_map(|method| ["-m", method]);
        let first = ["explain", &model, &scene, "--raw", "--out", out];
        room.succeed(&first.into_iter().chain(named).collect::<Vec<_>>());
    }
    let record = room.record("f");
    for (map, method) in record["maps"].as_array().expect("maps").iter().zip(HIDING) {
        let name = map["npy"].as_str().expect("a name");
        let (word, file) = (
            array(&room, &format!("w/{name}")),
            array(&room, &format!("f/{name}")),
        );
        let most = word.iter().map(|v| v.abs()).fold(0.0, f32::max);
        assert!(most > 0.0 || method.starts_with("anchors"), "{method}");
        assert!(
            max_difference(&word, &file) <= f64::from(1e-5 * most),
            "{method}"
        );
        assert_eq!(map["parameters"]["baseline"], "a/own.png", "{method}");
    }
}

/// What is no picture for this network is refused before anything runs.
#[test]
fn baselines_that_do_not_fit() {
    let room = Room::new();
    let mut bytes = Vec::new();
    let tensor = ArrayD::<f32>::zeros(vec![3, 96, 95]);
    tensor.write_npy(&mut bytes).expect("an array");
    room.put("narrow.npy", &bytes);
    room.put("text.png", b"no picture");
    for (name, part) in [
        ("narrow.npy", "does not fit the network"),
        ("text.png", "is not a picture"),
        ("nowhere.png", "cannot read"),
        ("notes.txt", "a picture: a file"),
    ] {
        for method in ["occlusion", "lime", "integrated-gradients", "score-cam"] {
            let method = format!("{method}:baseline={name}");
            room.refuse(&["explain", &model(), &scene(), "-m", &method], part);
        }
    }
}

/// The books of LRP: each layer hands on what it got, bar what it says, and the
/// sums are those beside the map.
#[test]
fn books_of_relevance() {
    let room = Room::new();
    let (model, scene) = (model(), scene());
    let methods = ["-m", "lrp", "-m", "gradient", "-t", "0", "-t", "1"];
    let first = ["explain", &model, &scene, "--out", "o"];
    room.succeed(&[&first[..], &methods[..]].concat());
    let record = room.record("o");
    let maps = record["maps"].as_array().expect("maps");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    for (class, map) in maps.iter().take(2).enumerate() {
        let layers = map["balance"].as_array().expect("layers");
        assert!(layers.len() > 3, "{layers:?}");
        let (mut bias, mut epsilon) = (0.0, 0.0);
        for layer in layers {
            let of = |name: &str| number(&layer[name]);
            bias += of("bias");
            epsilon += of("epsilon");
            let rest = of("out") - of("into") - of("bias") - of("epsilon");
            assert!(rest.abs() < 1e-3 * (1.0 + of("out").abs()), "{layer}");
            assert!(!layer["layer"].as_str().expect("a name").is_empty());
        }
        let figures = &map["figures"];
        assert!((bias - number(&figures["taken_by_bias"])).abs() < 1e-6);
        assert!((epsilon - number(&figures["taken_by_stabiliser"])).abs() < 1e-6);
        // The last layer's output is the logit of the class.
        let logit = number(&record["scores"][class]);
        assert!((number(&layers[0]["out"]) - logit).abs() < 1e-3 * (1.0 + logit.abs()));
    }
    assert!(
        maps[2].get("balance").is_none(),
        "a gradient keeps no books"
    );
}
