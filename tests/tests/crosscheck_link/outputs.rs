//! What is written, what passes, and what is not asked twice.

use std::process::Command;

use foveola::model::sha256;
use serde_json::Value;

use super::device::{Device, Lie, SPENT, Truth};
use super::network::{Bench, Network, compiled, digest, picture};

fn honest() -> Device {
    Device::new(Truth::default())
}

fn wrong_maps() -> Device {
    let lie = Lie::Map;
    Device::new(Truth {
        lie,
        ..Truth::default()
    })
}

#[test]
fn json() {
    let (bench, device) = (Bench::new(), honest());
    let args = ["--device", &device.name, "-m", "rise:masks=4,grid=3"];
    let (code, said, json) = bench.crosscheck("pictures", &args);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        (&json["passes"], &json["verdicts"]["BIT-EXACT"]),
        (&true.into(), &2.into())
    );
    for k in 0..2 {
        let entry = &json["comparisons"][k];
        assert_eq!(entry["board"], device.name.as_str());
        // A picture of the network's size goes there as it is.
        let pixels = sha256(picture(k as u32).as_raw());
        assert_eq!(entry["device"]["input"], pixels.as_str());
        assert_eq!(entry["pixels"], pixels.as_str());
        assert_eq!(entry["device"]["board"], "bench");
        assert_eq!(entry["device"]["firmware"], "9.8.7");
        assert_eq!(entry["device"]["firmware_sha256"], "ab".repeat(32));
        let hash: String = digest(&compiled(Network::Same))
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(entry["device"]["model"], hash.as_str());
        let map = &entry["tensors"][2];
        assert_eq!(
            (&map["kind"], &map["verdict"]),
            (&"map".into(), &"BIT-EXACT".into())
        );
        assert_eq!(
            (&map["instructions"], &map["stack"]),
            (&SPENT.0.into(), &SPENT.1.into())
        );
        assert!(map["arena"].as_u64().expect("bytes") > 0);
    }
}

/// Python's reader takes the XML; cases, failures and names are there.
#[test]
fn junit() {
    let (bench, good, wrong) = (Bench::new(), honest(), wrong_maps());
    let nobody = honest().name.clone();
    let xml = bench.text("out.xml");
    let devices = [
        "--device",
        &good.name,
        "--device",
        &wrong.name,
        "--device",
        &nobody,
    ];
    let args = [
        "--junit",
        &xml,
        "-m",
        "gradient",
        "-m",
        "rise:masks=4,grid=3",
    ];
    let (code, said, _) = bench.crosscheck("pictures", &[devices, args].concat());
    assert_eq!(code, 1, "{said}");
    let script = "
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == 'testsuites', root.tag
print(json.dumps([[suite.attrib, [[case.attrib, [[part.tag, part.attrib, part.text] for part in case]]
    for case in suite.findall('testcase')]] for suite in root]))";
    let output = Command::new("python3").args(["-c", script, &xml]).output();
    let output = output.expect("python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let suites: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let counts = |i: usize| {
        let of = &suites[i][0];
        ["tests", "failures", "errors"].map(|name| of[name].as_str().expect("a count").to_owned())
    };
    assert_eq!(counts(0), ["4", "0", "0"]);
    assert_eq!(counts(1), ["4", "4", "0"]);
    assert_eq!(counts(2), ["4", "0", "4"]);
    let case = &suites[1][1][0];
    assert_eq!(case[0]["classname"], wrong.name.as_str());
    let name = case[0]["name"].as_str().expect("a name");
    assert!(name.ends_with("pictures/0<&>.png: gradient"), "{name}");
    assert_eq!(case[1][0][0], "failure");
    assert_eq!(case[1][0][1]["message"], "LABEL-SAME-EVIDENCE-DIFFERS");
    assert!(
        case[1][0][2]
            .as_str()
            .expect("a text")
            .contains("1 of 192 values differ")
    );
    assert_eq!(suites[2][1][0][1][0][0], "error");
}

#[test]
fn gates() {
    let (bench, device) = (Bench::new(), wrong_maps());
    let args = [
        "--device",
        &device.name,
        "-m",
        "occlusion:window=3,stride=2",
    ];
    let with = |drift: &str| {
        let all = [&args[..], &["--max-drift", drift]].concat();
        bench.crosscheck("pictures", &all)
    };
    let (code, said, json) = with("1.0");
    assert_eq!(code, 0, "{said}");
    assert_eq!(json["verdicts"]["LABEL-SAME-EVIDENCE-DIFFERS"], 2);
    let most = json["device_drift"]["most"].as_f64().expect("a drift");
    assert!(most > 0.0 && most < 1.0, "{most}");
    let (code, said, json) = with(&(most / 2.0).to_string());
    assert_eq!(code, 1, "{said}");
    assert_eq!(json["passes"], false);
    // A network that decides otherwise does not pass, however near its maps are.
    let other = Device::new(Truth {
        linked: Some(compiled(Network::OtherClasses)),
        claimed: Some(digest(&compiled(Network::Same))),
        lie: Lie::Never,
    });
    let flags = [
        "--keep-model",
        "--max-drift",
        "2",
        "-m",
        "gradient",
        "--device",
        &other.name,
    ];
    assert_eq!(bench.crosscheck("pictures", &flags).0, 1);
}

/// Two numbers: what changed before the device, and what changed on it.
#[test]
fn drift_before_the_device_and_on_it() {
    let (bench, good, wrong) = (Bench::new(), honest(), wrong_maps());
    let ask = |device: &Device, float: &str, more: &[&str]| {
        let float = bench.text(float);
        let args = [
            "--device",
            &device.name,
            "-m",
            "gradient",
            "--float",
            &float,
        ];
        let (code, said, json) = bench.crosscheck("pictures", &[&args[..], more].concat());
        let most = |name: &str| json[name]["most"].as_f64().expect("a drift");
        assert!(said.contains("quantisation, float on the host"), "{said}");
        (code, most("quantisation_drift"), most("device_drift"))
    };
    let (code, quantisation, device) = ask(&good, "other.onnx", &[]);
    assert_eq!((code, device), (0, 0.0));
    assert!(quantisation > 1e-6 && quantisation < 0.5, "{quantisation}");
    let (code, quantisation, device) = ask(&wrong, "n.onnx", &[]);
    assert_eq!((code, quantisation), (1, 0.0));
    assert!(device > 1e-6, "{device}");
    // The gate holds for quantisation as well.
    assert_eq!(ask(&good, "other.onnx", &["--max-drift", "0.5"]).0, 0);
    assert_eq!(ask(&good, "other.onnx", &["--max-drift", "0"]).0, 1);
}

/// Every picture on every device, and what is in the record only once.
#[test]
fn a_box_of_devices() {
    let (bench, first, second) = (Bench::new(), honest(), honest());
    let record = bench.text("record.jsonl");
    let names = [first.name.clone(), second.name.clone()];
    let ask = || {
        let args = [
            "--device", &names[0], "--device", &names[1], "--device", &names[0],
        ];
        let more = ["-m", "gradient", "--record", &record];
        bench.crosscheck("pictures", &[&args[..], &more[..]].concat())
    };
    let (code, said, json) = ask();
    assert_eq!(code, 0, "{said}");
    assert_eq!(json["comparisons"].as_array().expect("a list").len(), 4);
    drop(second);
    let (code, said, _) = ask();
    assert_eq!(code, 0, "nobody is asked again: {said}");
    let text = std::fs::read_to_string(&record).expect("the record");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    // The second device's answer about the second picture gets lost.
    let kept = lines.iter().filter(|line| {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let picture = entry["picture"]
            .as_str()
            .expect("a path")
            .contains("1<&>.png");
        !(picture && entry["board"] == names[1].as_str())
    });
    let kept: Vec<&str> = kept.copied().collect();
    std::fs::write(&record, kept.join("\n")).expect("a file");
    let (code, said, json) = ask();
    assert_eq!(code, 1, "{said}");
    assert_eq!(json["verdicts"]["DEVICE-ERROR"], 1);
    assert_eq!(json["verdicts"]["BIT-EXACT"], 3);
}

/// Flags and names that fit nothing.
#[test]
fn mistakes() {
    let bench = Bench::new();
    let said = |args: &[&str]| {
        let (code, said, _) = bench.crosscheck("pictures", args);
        assert_eq!(code, 2, "{said}");
        said
    };
    assert!(said(&["--device", "bench"]).contains("qemu:BOARD, a serial port"));
    assert!(said(&["--device", "qemu:mps2-an368"]).contains("did you mean qemu:mps2-an386?"));
    let kept = ["--device", "qemu:mps2-an386", "--keep-model"];
    assert!(said(&kept).contains("has no model of its own"));
    assert!(said(&["--device", "tcp:x:1", "--tolerance=-1"]).contains("not negative"));
}
