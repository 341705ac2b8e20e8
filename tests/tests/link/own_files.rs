//! Methods that run here and ask a board about every picture, with files of
//! one's own: the files that they write without a board.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use foveola_tests::{Golden, root};
use image::{Rgb, RgbImage};
use ndarray::{Array2, Axis, Slice};
use ndarray_npy::WriteNpyExt;
use serde_json::Value;

use super::reader::available;

const METHODS: [&str; 8] = [
    "lime:segments=labels.npy,samples=24,baseline=grey.png",
    "rise:file=masks.npy",
    "kernel-shap:segments=slic,count=6,samples=24",
    "feature-ablation:segments=quickshift",
    "anchors:segments=labels.npy,passes=30,batch=8",
    "hsic:count=4,design=coins.npy",
    "occlusion:window=16,stride=8,baseline=grey.png",
    "hoc:windows=16,strides=8,threshold=0.3",
];

/// Each network, the side of its picture, and how many of the methods it is asked.
const NETWORKS: [(&str, &str, u32, usize); 2] = [
    ("n1", "model.onnx", 28, METHODS.len()),
    ("n3", "model_int8.onnx", 32, 2),
];

/// A picture, and files that are held against it.
fn files(folder: &Path, net: &str, side: u32) {
    let own = Golden::open(net).picture(0);
    let (low, high) = own
        .iter()
        .fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let picture = RgbImage::from_fn(side, side, |x, y| {
        let value = |c: usize| own[[c % own.shape()[0], y as usize, x as usize]];
        Rgb([0, 1, 2].map(|c| (255.0 * (value(c) - low) / (high - low)) as u8))
    });
    picture.save(folder.join("p.png")).expect("a picture");
    let grey = RgbImage::from_pixel(9, 5, Rgb([77, 90, 70]));
    grey.save(folder.join("grey.png")).expect("a picture");
    let at = |name: &str| std::fs::File::create(folder.join(name)).expect("a file");
    let labels = Array2::from_shape_fn((side as usize, side as usize), |(y, x)| {
        (y / 11 * 3 + (x + y) / 22) as i32
    });
    labels.write_npy(at("labels.npy")).expect("an array");
    let coins = Array2::from_shape_fn((12, 4), |(row, s)| (row * 5 / (s + 1) % 2) as f32);
    coins.write_npy(at("coins.npy")).expect("an array");
    let mut masks = Golden::open(net).rise_masks();
    masks.slice_axis_inplace(Axis(0), Slice::from(..10));
    masks.write_npy(at("masks.npy")).expect("an array");
}

/// Exit code and words of `foveola explain`.
fn explain(folder: &Path, model: &str, args: &[&str]) -> (Option<i32>, String) {
    let model = root().join("tests/golden").join(model);
    let firmware = root().join("firmware");
    let firmware = ["--firmware".as_ref(), firmware.as_os_str()];
    let on_board = args.contains(&"--device");
    let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .arg("explain")
        .arg(model)
        .arg("p.png")
        .args(args)
        .args(firmware.iter().filter(|_| on_board))
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into())
}

/// The files of a folder by name.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().display().to_string();
        (name, std::fs::read(entry.path()).expect("a file"))
    };
    entries.map(|entry| file(entry.expect("a file"))).collect()
}

#[test]
fn maps_of_a_network_on_a_board() {
    if !available() {
        return;
    }
    let room = tempfile::tempdir().expect("a folder");
    let folder = room.path();
    let board = ["--device", "qemu:mps2-an386"];
    for (net, model, side, count) in NETWORKS {
        files(folder, net, side);
        let model = &format!("{net}/{model}");
        let methods = METHODS.iter().take(count).flat_map(|m| ["-m", m]);
        let methods: Vec<&str> = methods.collect();
        let [at_home, abroad] = ["here", "there"].map(|name| format!("{net}-{name}"));
        let here = [&methods[..], &["--out", &at_home]].concat();
        let (code, said) = explain(folder, model, &here);
        assert_eq!(code, Some(0), "{said}");
        let there = [&methods[..], &board, &["--out", &abroad]].concat();
        let (code, said) = explain(folder, model, &there);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("the network ran on mps2-an386"), "{said}");
        let [here, there] = [at_home, abroad].map(|name| content(&folder.join(name)));
        let arrays = |name: &&String| name.ends_with(".npy");
        assert!(here.keys().filter(arrays).count() >= count);
        assert!(here.keys().eq(there.keys()));
        for (name, bytes) in here.iter().filter(|(name, _)| *name != "explain.json") {
            assert!(there[name] == *bytes, "{model}: {name}");
        }
        let records = [&here, &there].map(|of| {
            let record = serde_json::from_slice(&of["explain.json"]);
            record.expect("JSON")
        });
        let [here, there]: [Value; 2] = records;
        let backends = (&here["backend"], &there["backend"]);
        assert_eq!(backends, (&"core".into(), &"device".into()));
        assert_eq!(here["probabilities"], there["probabilities"]);
        let mut flat = 0;
        for (a, b) in here["maps"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(there["maps"].as_array().into_iter().flatten())
        {
            assert_eq!(a["outcome"], b["outcome"]);
            flat += usize::from(a["outcome"] == "flat");
        }
        assert!(flat <= count / 4, "{model}: {flat} flat maps");
    }
    // Stopped after a few passes.
    let few = ["-m", "rise:masks=9000", "--max-passes", "5"];
    let (code, said) = explain(folder, "n1/model.onnx", &[&few[..], &board].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("partial: 5 of"), "{said}");
    // What only a white box answers is refused.
    let (code, said) = explain(
        folder,
        "n1/model.onnx",
        &[&["-m", "gradient"], &board[..]].concat(),
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("this backend gives only scores"), "{said}");
    let (code, said) = explain(folder, "n1/model.onnx", &["--device", "/dev/not-there"]);
    assert_eq!(code, Some(2), "{said}");
}
