//! Files of one's own: baselines as pictures, and what LRP writes beside a map.

use foveola_core::quasi::scrambled_sobol;
use foveola_core::rng::{Purpose, words};
use foveola_tests::max_difference;
use image::{ImageFormat, Rgb, RgbImage};
use ndarray::{Array2, ArrayD};
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

/// A grey picture hides as its grey does, whatever its size.
#[test]
fn a_picture_as_baseline() {
    let room = Room::new();
    let mut png = std::io::Cursor::new(Vec::new());
    let grey = RgbImage::from_pixel(40, 30, Rgb([77; 3]));
    grey.write_to(&mut png, ImageFormat::Png)
        .expect("a picture");
    std::fs::create_dir(room.path("a")).expect("a folder");
    room.put("a/own.png", png.get_ref());
    let (model, scene) = (model(), scene());
    for (out, baseline) in [("w", "77"), ("f", "a/own.png")] {
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

fn put(room: &Room, name: &str, array: &Array2<f32>) {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).expect("an array");
    room.put(name, &bytes);
}

/// Designs with what would have been drawn give the same maps, bit by bit, whatever
/// the seed; others do not, and those that do not fit are refused.
#[test]
fn designs_as_files() {
    let room = Room::new();
    let points = Array2::from_shape_fn((8, 18), |(row, d)| scrambled_sobol(7, row as u32, d));
    let coins = Array2::from_shape_fn((40, 9), |(row, s)| {
        let [word, ..] = words(7, row as u32, 0, 0, Purpose::SegmentCoins);
        (word >> s & 1) as f32
    });
    put(&room, "p.npy", &points);
    put(&room, "c.npy", &coins);
    put(&room, "q.npy", &points.mapv(|m| 1.0 - m));
    let (model, scene) = (model(), scene());
    let explain = |out: &str, seed: &str, methods: [&str; 2]| {
        let [a, b] = methods;
        let asked = ["-m", a, "-m", b, "--seed", seed, "--raw", "--out", out];
        room.succeed(&[&["explain", &model, &scene], &asked[..]].concat());
        ["sobol", "hsic"].map(|name| {
            let record = room.record(out);
            let maps = record["maps"].as_array().expect("maps").clone();
            let map = maps.into_iter().find(|m| m["method"] == name);
            let npy = map.expect("a map")["npy"]
                .as_str()
                .expect("a name")
                .to_string();
            array(&room, &format!("{out}/{npy}"))
        })
    };
    let usual = ["sobol:count=9,designs=8", "hsic:count=9,samples=40"];
    let drawn = explain("a", "7", usual);
    let given = ["sobol:count=9,design=p.npy", "hsic:count=9,design=c.npy"];
    assert_eq!(explain("b", "8", given), drawn);
    assert!(explain("c", "8", usual) != drawn);
    let [other, _] = explain("d", "7", ["sobol:count=9,design=q.npy", usual[1]]);
    assert_ne!(other, drawn[0]);
    put(&room, "one.npy", &Array2::zeros((1, 18)));
    put(&room, "three.npy", &Array2::ones((3, 9)));
    put(&room, "high.npy", &Array2::from_elem((4, 18), 1.25));
    for (method, part) in [
        (
            "sobol:count=9,design=c.npy",
            "9 columns, the picture 9 segments, two",
        ),
        (
            "hsic:count=9,design=p.npy",
            "18 columns, the picture 9 segments",
        ),
        (
            "hsic:count=4,design=c.npy",
            "9 columns, the picture 4 segments",
        ),
        ("sobol:count=9,design=one.npy", "1 rows, and it takes 2"),
        ("hsic:count=9,design=three.npy", "3 rows, and it takes 4"),
        ("sobol:count=9,design=high.npy", "not from 0 to 1"),
        ("sobol:count=9,design=none.npy", "cannot read"),
    ] {
        room.refuse(&["explain", &model, &scene, "-m", method], part);
    }
    put(&room, "half.npy", &Array2::from_elem((4, 9), 0.5));
    let method = "hsic:count=9,design=half.npy";
    room.refuse(
        &["explain", &model, &scene, "-m", method],
        "other than 0 and 1",
    );
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
