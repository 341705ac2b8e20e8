//! `foveola crosscheck` as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

use foveola_tests::onnx::Onnx;
use foveola_tests::root;
use image::RgbImage;
use serde_json::Value;

use super::board::available;

fn path(name: &str) -> String {
    root().join(name).to_str().expect("a path").to_owned()
}

fn crosscheck(args: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .arg("crosscheck")
        .args(args)
        .env_remove("RUSTFLAGS")
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = run.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

/// 64 KB of RAM hold no model beside this picture, so it lies in flash; what
/// does not fit even so is named or refused.
#[test]
fn demo_network_on_the_64_kilobyte_board() {
    if !available() {
        return;
    }
    let [model, card, scene, firmware] = [
        "host/demo/honest.onnx",
        "host/demo/poles.card.toml",
        "host/demo/scene.png",
        "firmware",
    ]
    .map(path);
    let ask = |methods: &[&str]| {
        let args = [
            &model,
            "--card",
            &card,
            &scene,
            "--device",
            "qemu:lm3s6965evb",
            "--firmware",
            &firmware,
        ];
        crosscheck(&[&args[..], methods].concat())
    };
    let (code, out, err) = ask(&["-m", "grad-cam"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("12 of 12 layers have the same bits") && out.ends_with("\nBIT-EXACT\n"),
        "{out}"
    );
    // Its program has the first seven methods.
    let (code, out, err) = ask(&["-m", "x-grad-cam"]);
    assert!(
        code != 0 && out.contains("this board's program has no room for method 0"),
        "{code} {out}{err}"
    );
    let (code, out, err) = ask(&["-m", "gradient"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    let numbers = "gradient takes 127408 bytes of RAM on lm3s6965evb, which has 55296 for it";
    assert!(err.contains(numbers), "{err}");
}

/// The demo's network on the board of CI, through files, then over its line
/// with method and network on different sides.
#[test]
fn halves_of_the_demo_network() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("out.json");
    let [model, card, scene, firmware] = [
        "host/demo/honest.onnx",
        "host/demo/poles.card.toml",
        "host/demo/scene.png",
        "firmware",
    ]
    .map(path);
    let all = [
        &model,
        "--card",
        &card,
        &scene,
        "--firmware",
        &firmware,
        "--device",
        "qemu:mps2-an386",
        "--halves",
        "always",
        "-m",
        "rise:masks=2",
        "-m",
        "grad-cam",
        "--json",
        json.to_str().expect("a path"),
    ];
    let (code, out, err) = crosscheck(&all);
    assert_eq!(code, 0, "{out}{err}");
    let text = std::fs::read_to_string(&json).expect("the JSON");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let entry = &document["comparisons"][0];
    assert_eq!(entry["verdict"], "BIT-EXACT");
    assert_eq!(entry["device"]["board"], "mps2-an386");
    assert_eq!(entry["device"]["input"], entry["pixels"]);
    assert_eq!(entry["device"]["model"], entry["model"]);
    let program = entry["device"]["firmware_sha256"].as_str().expect("a hash");
    assert_eq!(program.len(), 64);
    let rise = &entry["halves"][0];
    assert_eq!(rise["device_network"], "same", "{rise}");
    assert_eq!(rise["device_method"], "same", "{rise}");
    assert!(entry["halves"][1]["device_method"]["not-asked"].is_string());
}

/// A unit of the demo's network instead of a class, through files, on the board
/// of CI and on the one of 64 KB.
#[test]
fn a_unit_of_the_demo_network() {
    if !available() {
        return;
    }
    let [model, card, scene, firmware] = [
        "host/demo/honest.onnx",
        "host/demo/poles.card.toml",
        "host/demo/scene.png",
        "firmware",
    ]
    .map(path);
    let ask = |unit: &[&str]| {
        let first = [&*model, "--card", &card, &scene, "--firmware", &firmware];
        let boards = [
            "--device",
            "qemu:mps2-an386",
            "--device",
            "qemu:lm3s6965evb",
        ];
        let methods = ["-m", "grad-cam", "-m", "occlusion:window=16,stride=16"];
        crosscheck(&[&first[..], &boards, &methods, unit].concat())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("out.json");
    let json = json.to_str().expect("a path");
    let (code, out, err) = ask(&["--unit", "narrow.relu:3", "--json", json]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("\n2 of 2 BIT-EXACT\n"), "{out}");
    let text = std::fs::read_to_string(json).expect("the JSON");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    for entry in document["comparisons"].as_array().expect("two boards") {
        assert_eq!(entry["target"], 3, "{entry}");
        let tensors = entry["tensors"].as_array().expect("what was compared");
        let logits = tensors.iter().find(|t| t["name"] == "logits");
        assert_eq!(logits.expect("logits")["values"], 14, "{entry}");
    }
    let (code, out, err) = ask(&["--unit", "narrow.relu:14"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("the tensor has 14 channels, 0 to 13"), "{err}");
}

fn pictures(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    for k in 0..2u32 {
        let picture = RgbImage::from_fn(6, 7, |x, y| {
            image::Rgb([x * 40, y * 30, k * 99].map(|v| v as u8))
        });
        picture
            .save(folder.join(format!("{k}.png")))
            .expect("a picture");
    }
    std::fs::write(folder.join("notes.txt"), "no picture").expect("a file");
}

/// Two pictures on two boards; what is in the record is not run again.
#[test]
fn many_pictures_and_boards() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    pictures(&folder.path().join("pictures"));
    let (model, firmware, pictures) = (
        path("core/fixtures/small.fov"),
        path("firmware"),
        at("pictures"),
    );
    let record = at("record.jsonl");
    let ask = |firmware: &str, record: &str| {
        crosscheck(&[
            &model,
            &pictures,
            "--firmware",
            firmware,
            "--record",
            record,
            "-m",
            "gradient",
            "-m",
            "rise:masks=8",
            "--device",
            "qemu:mps2-an386",
            "--device",
            "qemu:riscv32-virt",
            "--device",
            "qemu:mps2-an386",
        ])
    };
    let (code, out, err) = ask(&firmware, &record);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("\n4 of 4 BIT-EXACT\n"), "{out}");
    let text = std::fs::read_to_string(&record).expect("the record");
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .all(|l| l["verdict"] == "BIT-EXACT" && l["tensors"][0]["name"] == "logits")
    );
    // Half a line, as a power cut leaves it, then no firmware: only what is missing is asked.
    let cut = text.len() - 40;
    std::fs::write(&record, &text[..cut]).expect("a file");
    let (code, out, err) = ask(&at("nowhere"), &record);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("DEVICE-ERROR") && out.ends_with("\n3 of 4 BIT-EXACT\n"),
        "{out}"
    );
    let (code, out, err) = ask(&firmware, &record);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = ask(&at("nowhere"), &record);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("\n4 of 4 BIT-EXACT\n"), "{out}");
}

/// A board whose map has one bit changed on its way is found out.
#[test]
fn one_bit() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    pictures(&folder.path().join("pictures"));
    let script = format!(
        "set -e\nsh {} \"$@\"\nprintf '\\100' | dd of=\"$2/map0.bin\" bs=1 seek=7 conv=notrunc status=none\n",
        path("firmware/run.sh")
    );
    std::fs::write(at("run.sh"), script).expect("a script");
    let (model, first) = (path("core/fixtures/small.fov"), at("pictures/0.png"));
    let args = [
        &model,
        &first,
        "--firmware",
        &at(""),
        "--device",
        "qemu:mps2-an386",
        "-m",
        "gradient",
    ];
    let (code, out, err) = crosscheck(&args);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.ends_with("\nLABEL-SAME-EVIDENCE-DIFFERS\n"), "{out}");
    let row = out.lines().find(|line| line.starts_with("gradient "));
    let cells: Vec<&str> = row.expect("a row").split_whitespace().collect();
    assert_eq!(cells[..3], ["gradient", "126", "1"], "{out}");
}

/// 400 KB of weights, little RAM.
fn large() -> Vec<u8> {
    let mut onnx = Onnx::new(13, &[1, 3, 16, 16]);
    onnx.weights("w", &[768, 128]);
    onnx.node("Flatten", "x", "f", &[]);
    onnx.node("MatMul", "f w", "scores", &[]).output("scores");
    onnx.bytes()
}

/// A model that is too large for a flash, with numbers and what holds it.
#[test]
fn flash_that_is_too_small() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    std::fs::write(at("large.onnx"), large()).expect("a model");
    let picture = RgbImage::new(16, 16);
    picture.save(at("p.png")).expect("a picture");
    let (model, firmware, picture) = (at("large.onnx"), path("firmware"), at("p.png"));
    let ask = |device: &str| {
        crosscheck(&[
            &model,
            &picture,
            "--firmware",
            &firmware,
            "--device",
            device,
            "-m",
            "rise:masks=2",
        ])
    };
    let (code, out, err) = ask("qemu:lm3s6965evb");
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    let found = err.contains("beside the program, the 262144 bytes of flash of lm3s6965evb hold ");
    assert!(
        found && err.contains("mps2-an386") && err.contains("netduinoplus2"),
        "{err}"
    );
    let (code, out, err) = ask("qemu:netduinoplus2");
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("\nBIT-EXACT\n"), "{out}");
}
