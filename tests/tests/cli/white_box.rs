//! The methods that look inside, as a person asks for them.

use foveola_tests::{Golden, max_difference};
use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::Value;

use super::room::{Room, file};

fn array(room: &Room, name: &str) -> ArrayD<f32> {
    ArrayD::read_npy(room.bytes(name).as_slice()).expect("an array of f32")
}

/// A room with a golden network's first picture.
fn room() -> (Room, String) {
    let mut bytes = Vec::new();
    let picture = Golden::open("n3").picture(0);
    picture.write_npy(&mut bytes).expect("a picture");
    let room = Room::new();
    room.put("x.npy", &bytes);
    (room, file("tests/golden/n3/model.onnx"))
}

fn ask(room: &Room, net: &str, out: &str, extra: &[&str]) -> Value {
    let first = ["explain", net, "x.npy", "--raw", "--out", out];
    room.succeed(&[&first[..], extra].concat());
    let text = room.bytes(&format!("{out}/explain.json"));
    serde_json::from_slice(&text).expect("it is JSON")
}

/// Why class 2 rather than class 4: the difference of their gradients.
#[test]
fn against_another_class() {
    let (room, net) = room();
    let method = ["-m", "gradient", "-t", "2"];
    let json = ask(
        &room,
        &net,
        "d",
        &[&method[..], &["--against", "4"]].concat(),
    );
    assert_eq!(json["maps"][0]["against"], 4);
    let sentence = json["maps"][0]["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("rather than"), "{sentence}");
    ask(&room, &net, "s", &["-m", "gradient", "-t", "2", "-t", "4"]);
    let single = array(&room, "s/gradient.2.npy") - array(&room, "s/gradient.4.npy");
    let off = max_difference(&array(&room, "d/gradient.2.npy"), &single);
    assert!(off < 1e-5, "{off}");
    room.refuse(
        &["explain", &net, "x.npy", "-t", "2", "--against", "2"],
        "cannot be held against itself",
    );
}

/// The error of completeness is what the map's sum says it is, within the
/// tolerance, and the standard error is an array beside the map.
#[test]
fn errors_come_with_the_maps() {
    let (room, net) = room();
    let path = "integrated-gradients:quadrature=left,steps=4,baseline=0,tolerance=0.1";
    let methods = [
        "-m",
        path,
        "-m",
        "smooth-grad:samples=4",
        "-t",
        "2",
        "-t",
        "4",
    ];
    let json = ask(&room, &net, "o", &methods);
    let figures = &json["maps"][0]["figures"];
    let error = figures["completeness_error"].as_f64().expect("a number");
    let steps = figures["steps"].as_f64().expect("a number");
    assert!(error.abs() <= 0.1 || steps == 128.0, "{error} {steps}");
    let sum: f64 = array(&room, "o/integrated-gradients.2.npy")
        .iter()
        .map(|v| f64::from(*v))
        .sum();
    // The picture's score less that of 0, as the program itself classifies them.
    let black = ArrayD::<f32>::zeros(Golden::open("n3").picture(0).shape());
    let mut bytes = Vec::new();
    black.write_npy(&mut bytes).expect("a picture");
    room.put("black.npy", &bytes);
    room.succeed(&["explain", &net, "black.npy", "-m", "gradient", "--out", "b"]);
    let text = room.bytes("b/explain.json");
    let zero: Value = serde_json::from_slice(&text).expect("it is JSON");
    let score = |json: &Value| json["scores"][2].as_f64().expect("a score");
    let rise = score(&json) - score(&zero);
    assert!((sum - rise - error).abs() < 1e-4, "{sum} {rise} {error}");
    let errors = array(&room, "o/smooth-grad.2.standard_error.npy");
    assert_eq!(errors.shape(), [3, 32, 32]);
    assert!(errors.iter().all(|v| *v >= 0.0) && errors.iter().any(|v| *v > 0.0));
}

/// Every method of a layer, and FullGrad, runs by its name.
#[test]
fn methods_by_name() {
    let (room, net) = room();
    let names = [
        "input-x-gradient",
        "var-grad",
        "square-grad",
        "cam",
        "grad-cam-plus-plus",
        "hires-cam",
        "x-grad-cam",
        "layer-cam",
        "guided-grad-cam",
        "eigen-cam",
        "score-cam",
        "ablation-cam",
        "recipro-cam",
        "full-grad",
        "grad-cam:counterfactual=true",
    ];
    let methods: Vec<&str> = names.iter().flat_map(|name| ["-m", *name]).collect();
    let json = ask(&room, &net, "o", &[&methods[..], &["-t", "2"]].concat());
    let maps = json["maps"].as_array().expect("maps");
    assert_eq!(maps.len(), names.len());
    for map in maps {
        assert_eq!(map["outcome"], "ok", "{map}");
    }
    let full = &maps[13]["figures"]["completeness_error"];
    let score = json["scores"][2].as_f64().expect("a score");
    assert!(
        full.as_f64().expect("a number").abs() < 1e-4 * score.abs().max(1.0),
        "{full}"
    );
    // With a head of average pooling and one dense layer, on one scale.
    let [cam, one] = ["cam", "recipro-cam"].map(|m| array(&room, &format!("o/{m}.2.npy")));
    let level = |map: &ArrayD<f32>| map.sum() / map.len() as f32;
    let (cam, one) = ((&cam - level(&cam)) / 64.0, &one - level(&one));
    assert!(max_difference(&cam, &one) < 1e-4);
}
