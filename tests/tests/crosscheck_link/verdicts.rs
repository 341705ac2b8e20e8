//! Each verdict, and the half that a fault is in.

use serde_json::Value;

use super::device::{Device, Lie, Truth};
use super::network::{Bench, Network, compiled, digest};

/// Asks a device about one picture: exit code, what was said, and the comparison.
fn ask(truth: Truth, args: &[&str]) -> (i32, String, Value) {
    let (bench, device) = (Bench::new(), Device::new(truth));
    let methods = ["-m", "occlusion:window=3,stride=2", "-m", "gradient"];
    let asked = [&["--device", &device.name], &methods[..], args].concat();
    let (code, said, json) = bench.crosscheck("pictures/0<&>.png", &asked);
    (code, said, json["comparisons"][0].clone())
}

/// A device that runs another network than it says.
fn liar(kind: Network, lie: Lie) -> Truth {
    Truth {
        linked: Some(compiled(kind)),
        claimed: Some(digest(&compiled(Network::Same))),
        lie,
    }
}

fn halves(entry: &Value) -> [&str; 2] {
    [0, 1].map(|i| entry["halves"][i]["half"].as_str().expect("a half"))
}

#[test]
fn the_same_bits() {
    let (code, said, entry) = ask(Truth::default(), &["--halves", "always"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\nBIT-EXACT\n"), "{said}");
    assert_eq!(halves(&entry), ["none", "none"]);
    let occlusion = &entry["halves"][0];
    assert_eq!(occlusion["device_network"], "same");
    assert_eq!(occlusion["device_method"], "same");
    let gradient = &entry["halves"][1];
    assert!(gradient["device_method"]["not-asked"].is_string());
    assert_eq!(entry["suspect"], Value::Null);
    assert_eq!(entry["tensors"].as_array().expect("tensors").len(), 4);
    assert_eq!(entry["tensors"][2]["spearman"], 1.0);
    assert_eq!(entry["tensors"][2]["top_tenth"], 1.0);
}

#[test]
fn another_picture() {
    let lie = Lie::Picture;
    let (code, said, entry) = ask(
        Truth {
            lie,
            ..Truth::default()
        },
        &[],
    );
    assert_eq!(
        (code, &entry["verdict"]),
        (1, &Value::from("INPUT-DIFFERS")),
        "{said}"
    );
    assert!(said.contains("suspect: the line"), "{said}");
    assert_ne!(entry["device"]["input"], entry["pixels"]);
}

#[test]
fn another_model() {
    let linked = Some(compiled(Network::OneWeight));
    let truth = || Truth {
        linked: linked.clone(),
        ..Truth::default()
    };
    let (code, said, entry) = ask(truth(), &["--keep-model"]);
    assert_eq!(
        (code, &entry["verdict"]),
        (1, &Value::from("MODEL-DIFFERS")),
        "{said}"
    );
    assert_ne!(entry["device"]["model"], entry["model"]);
    assert!(said.contains("suspect: the model"), "{said}");
    // Without the flag the right one is sent.
    let (code, said, entry) = ask(truth(), &[]);
    assert_eq!(
        (code, &entry["verdict"]),
        (0, &Value::from("BIT-EXACT")),
        "{said}"
    );
    assert_eq!(entry["device"]["model"], entry["model"]);
}

#[test]
fn rounding() {
    let lie = Lie::Rounding;
    let truth = || Truth {
        lie,
        ..Truth::default()
    };
    let (code, said, entry) = ask(truth(), &[]);
    assert_eq!(
        (code, &entry["verdict"]),
        (0, &Value::from("WITHIN-TOLERANCE")),
        "{said}"
    );
    assert_eq!(entry["tensors"][0]["different"], 1);
    let (code, said, entry) = ask(truth(), &["--tolerance", "0"]);
    let verdict = Value::from("LABEL-SAME-EVIDENCE-DIFFERS");
    assert_eq!((code, &entry["verdict"]), (1, &verdict), "{said}");
}

/// Weights that differ under the right digest: the network, from its second
/// convolution on.
#[test]
fn the_network() {
    let (code, said, entry) = ask(liar(Network::OneWeight, Lie::Never), &["--keep-model"]);
    let verdict = Value::from("LABEL-SAME-EVIDENCE-DIFFERS");
    assert_eq!((code, &entry["verdict"]), (1, &verdict), "{said}");
    assert_eq!(halves(&entry), ["network", "network"], "{entry:#}");
    assert_eq!(entry["halves"][0]["device_method"], "same");
    assert!(
        said.contains("suspect: the network; the first layer that differs is"),
        "{said}"
    );
    let layer = &entry["first_layer"];
    assert_eq!(
        (&layer["op"], &layer["name"]),
        (&"Conv".into(), &"layer 1 Conv of c".into())
    );
    // The channel of the changed weight only: one of six.
    let different = layer["different"].as_u64().expect("a count");
    assert!((1..=64).contains(&different), "{different}");
    assert_eq!(layer["values"], 64 * 6);
}

#[test]
fn another_class() {
    let (code, said, entry) = ask(liar(Network::OtherClasses, Lie::Never), &["--keep-model"]);
    assert_eq!(
        (code, &entry["verdict"]),
        (1, &Value::from("LABEL-DIFFERS")),
        "{said}"
    );
    assert_ne!(entry["device"]["best"], entry["best"]);
    assert_eq!(entry["first_layer"]["op"], "Dense");
}

#[test]
fn the_code_of_methods() {
    let lie = Lie::Map;
    let (code, said, entry) = ask(
        Truth {
            lie,
            ..Truth::default()
        },
        &[],
    );
    let verdict = Value::from("LABEL-SAME-EVIDENCE-DIFFERS");
    assert_eq!((code, &entry["verdict"]), (1, &verdict), "{said}");
    assert_eq!(halves(&entry), ["method", "backward"], "{entry:#}");
    assert_eq!(entry["halves"][0]["device_network"], "same");
    assert_eq!(
        entry["halves"][0]["device_method"]["differs"]["different"],
        1
    );
    assert!(said.contains("suspect: the method's code;"), "{said}");
}

#[test]
fn both_halves() {
    let (code, said, entry) = ask(liar(Network::OneWeight, Lie::Map), &["--keep-model"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(halves(&entry), ["both", "network"], "{entry:#}");
    assert!(
        said.contains("suspect: both the network and the method's code"),
        "{said}"
    );
}

#[test]
fn only_both_together() {
    let lie = Lie::MapAlone;
    let (code, said, entry) = ask(
        Truth {
            lie,
            ..Truth::default()
        },
        &[],
    );
    assert_eq!(code, 1, "{said}");
    assert_eq!(halves(&entry)[0], "together", "{entry:#}");
}

#[test]
fn no_answer() {
    for (lie, suspect) in [(Lie::Refusal, "the device"), (Lie::Silence, "the line")] {
        let (code, said, entry) = ask(
            Truth {
                lie,
                ..Truth::default()
            },
            &[],
        );
        assert_eq!(
            (code, &entry["verdict"]),
            (1, &Value::from("DEVICE-ERROR")),
            "{said}"
        );
        assert_eq!(entry["suspect"], suspect);
        assert!(
            said.ends_with("\nDEVICE-ERROR\n") || said.contains("\nDEVICE-ERROR\n"),
            "{said}"
        );
    }
    let nobody = Device::new(Truth::default()).name.clone();
    let (code, said, json) =
        Bench::new().crosscheck("pictures", &["--device", &nobody, "-m", "gradient"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(json["verdicts"]["DEVICE-ERROR"], 2);
}

/// Never asked, never named.
#[test]
fn halves_that_nobody_wants() {
    let lie = Lie::Map;
    let (code, said, entry) = ask(
        Truth {
            lie,
            ..Truth::default()
        },
        &["--halves", "never"],
    );
    assert_eq!(code, 1, "{said}");
    assert_eq!(entry["halves"], Value::Array(Vec::new()));
    assert!(
        said.contains("suspect: halves that were not asked apart"),
        "{said}"
    );
}
