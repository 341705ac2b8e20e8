//! Input that is wrong: one screen of message, exit code 2, no files, no panic.

use foveola_tests::onnx::Onnx;
use ndarray::ArrayD;
use ndarray_npy::WriteNpyExt;

use super::room::{Room, file, model, scene};

fn explain_with(extra: &[&str], part: &str) {
    let (model, scene) = (model(), scene());
    let args = [&["explain", &model, &scene], extra].concat();
    Room::new().refuse(&args, part);
}

fn npy(shape: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let array = ArrayD::<f32>::zeros(shape);
    array.write_npy(&mut bytes).expect("an array");
    bytes
}

#[test]
fn models_that_are_none() {
    let whole = std::fs::read(model()).expect("the demo's model");
    let cases: [(&[u8], &str); 6] = [
        (&whole[..whole.len() / 2], "cut off"),
        (&whole[..whole.len() - 1], ""),
        (
            b"This is a text file, not a network.\n",
            "not an ONNX model",
        ),
        (b"", "empty"),
        (b"FVLA\x01\0\0\0", "not a valid model file"),
        (&[0xff; 300], "not an ONNX model"),
    ];
    for command in ["explain", "classify", "inspect", "compile", "budget"] {
        for (bytes, part) in cases {
            let room = Room::new();
            let model = room.put("net.onnx", bytes);
            let scene = scene();
            let mut args = vec![command, model.as_str()];
            if ["explain", "classify"].contains(&command) {
                args.push(&scene);
            }
            room.refuse(&args, part);
        }
    }
    Room::new().refuse(&["explain", "nowhere.onnx", &scene()], "nowhere.onnx");
}

#[test]
fn pictures_that_are_none() {
    let noise: Vec<u8> = (0..5000u32).map(|i| (i * i % 251) as u8).collect();
    let jpeg = [b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice(), &noise].concat();
    let whole = std::fs::read(scene()).expect("the demo's scene");
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty.png", b"", "empty"),
        ("noise.jpg", &noise, "neither PNG"),
        ("noise2.jpg", &jpeg, "not a picture"),
        ("half.png", &whole[..whole.len() / 2], "not a picture"),
        ("text.bmp", b"BM but not a bitmap at all", "not a picture"),
    ];
    for (name, bytes, part) in cases {
        let room = Room::new();
        room.put(name, bytes);
        room.refuse(&["explain", &model(), name], part);
        room.refuse(&["classify", &model(), name], part);
    }
    Room::new().refuse(&["explain", &model(), "nowhere.png"], "nowhere.png");
}

#[test]
fn tensors_of_another_shape() {
    for shape in [
        &[1, 96, 96][..],
        &[96, 96, 3],
        &[3, 96, 95],
        &[2, 3, 96, 96],
        &[],
    ] {
        let room = Room::new();
        room.put("x.npy", &npy(shape));
        room.refuse(&["explain", &model(), "x.npy"], "(3, 96, 96)");
    }
}

#[test]
fn networks_that_take_no_photos() {
    let mut onnx = Onnx::new(13, &[1, 5, 8, 8]);
    onnx.node("GlobalAveragePool", "x", "p", &[]);
    onnx.node("Flatten", "p", "scores", &[]).output("scores");
    let room = Room::new();
    room.put("five.onnx", &onnx.bytes());
    room.refuse(&["explain", "five.onnx", &scene()], "not a photo");
}

#[test]
fn names_that_do_not_exist_get_a_suggestion() {
    explain_with(&["--method", "gradcam"], "did you mean `grad-cam`");
    explain_with(&["--method", "occlusion:windw=8"], "did you mean `window`");
    explain_with(&["--target", "crss"], "did you mean `cross`");
    explain_with(
        &["--layer", "/head/act/Clip_output"],
        "/head/act/Clip_output_0",
    );
    explain_with(
        &["--method", "grad-cam:layer=/head/conv/Con"],
        "/head/conv/Conv",
    );
    explain_with(&["--backend", "tracts"], "tract");
    explain_with(&["--precision", "half"], "--precision is for --backend gpu");
    let on_core = ["--backend", "core", "--precision", "full"];
    explain_with(&on_core, "--precision is for --backend gpu");
    explain_with(&["--backend", "gpu", "--precision", "bf16"], "half");
    let compile = ["compile", &model(), "--layer", "/head/act/Clip_outpt_0"];
    Room::new().refuse(&compile, "/head/act/Clip_output_0");
}

#[test]
fn numbers_out_of_range() {
    explain_with(&["--target", "6"], "0 to 5");
    explain_with(&["--target", "-1"], "-1");
    explain_with(&["--target", "99999999999999999999999"], "no class");
    explain_with(&["--method", "occlusion:window=0"], "from 1");
    explain_with(&["--method", "occlusion:window=97"], "96x96");
    explain_with(&["--method", "occlusion:window=4/8/8"], "3 channels");
    explain_with(&["--method", "occlusion:window=8,stride=0"], "from 1");
    explain_with(&["--method", "occlusion:window=-8"], "from 1");
    explain_with(&["--method", "rise:masks=-1"], "from 1");
    explain_with(&["--method", "rise:masks=0"], "from 1");
    explain_with(&["--method", "rise:grid=65"], "64");
    explain_with(&["--method", "rise:keep=1.5"], "up to 1");
    explain_with(&["--method", "hoc:windows=96"], "96x96");
    explain_with(&["--method", "hoc:windows=20/30"], "96x96");
    explain_with(&["--method", "hoc:strides=5"], "without windows");
    explain_with(&["--threads", "-1"], "-1");
    explain_with(&["--threads", "0"], "0");
    explain_with(&["--seed", "-1"], "-1");
    explain_with(&["--threshold", "2"], "0 to 1");
    explain_with(&["--target", "predicted", "--threshold", "1"], "cross");
}

#[test]
fn masks_that_do_not_fit() {
    let (model, scene) = (model(), scene());
    let room = Room::new();
    room.put("masks.npy", &npy(&[4, 32, 32]));
    room.put("text.npy", b"no masks");
    let ask = |file: &str, part: &str| {
        let method = format!("rise:file={file}");
        room.refuse(&["explain", &model, &scene, "--method", &method], part);
    };
    ask("masks.npy", "32x32");
    ask("text.npy", "text.npy");
    ask("nowhere.npy", "nowhere.npy");
}

#[test]
fn cards_that_do_not_fit() {
    let (model, scene) = (model(), scene());
    let room = Room::new();
    let cards = [
        ("size = [32, 32]", "32x32"),
        ("channels = \"GRAY\"", "1 channels"),
        ("mean = [1.0, 2.0]", "2 numbers"),
        ("labels = \"nowhere.txt\"", "nowhere.txt"),
        ("labels = [\"a\"]", "1 labels"),
        ("colour = 3", "unknown field"),
        ("mean = ", "TOML"),
    ];
    for (text, part) in cards {
        room.put("x.card.toml", text.as_bytes());
        room.refuse(&["explain", &model, &scene, "--card", "x.card.toml"], part);
    }
    room.refuse(
        &["explain", &model, &scene, "--card", "nowhere.toml"],
        "nowhere.toml",
    );
    room.refuse(&["classify", &model, &scene, "--mean", "1,2"], "2 numbers");
}

#[test]
fn output_folders_that_cannot_be_written() {
    let (model, scene) = (model(), scene());
    let room = Room::new();
    room.put("file", b"in the way");
    for out in ["file", "file/sub", "/proc/nowhere", "/dev/null/x"] {
        room.refuse(&["explain", &model, &scene, "--out", out], "cannot write");
        room.refuse(&["demo", "--out", out], "cannot write");
    }
    room.refuse(&["compile", &model, "--out", "file/x.fov"], "cannot write");
}

#[test]
fn methods_that_the_backend_cannot_run() {
    let extra = ["--backend", "tract", "--method", "grad-cam"];
    explain_with(&extra, "occlusion, rise and hoc work");
    explain_with(
        &["--method", "rise", "--layer", "x"],
        "--layer is for grad-cam",
    );
}

#[test]
fn operators_that_core_lacks_are_named() {
    let mut onnx = Onnx::new(13, &[1, 3, 8, 8]);
    onnx.node("Cos", "x", "c", &[]);
    onnx.node("GlobalAveragePool", "c", "p", &[]);
    onnx.node("Flatten", "p", "scores", &[]).output("scores");
    let room = Room::new();
    room.put("cos.onnx", &onnx.bytes());
    let ask = |extra: &[&str]| {
        let scene = scene();
        room.run(&[&["explain", "cos.onnx", &scene], extra].concat())
    };
    // What core cannot run, tract does, and the message says so.
    let said = ask(&["--method", "occlusion"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("Cos") && said.err.contains("tract"),
        "{said:?}"
    );
    room.refuse(
        &["explain", "cos.onnx", &scene(), "--backend", "core"],
        "Cos",
    );
    let said = ask(&["--method", "gradient"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("Cos") && said.err.contains("looks inside the network"),
        "{said:?}"
    );
}

#[test]
fn tflite_files_run_on_core_alone() {
    let room = Room::new();
    let model = std::fs::read(file("tests/golden/tflite/conv_int8.tflite")).expect("a model");
    // Told by its first bytes, not by its name.
    room.put("net.bin", &model);
    let said = room.run(&["classify", "net.bin", &scene()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err
            .contains("pixels less 128, as the network takes int8"),
        "{said:?}"
    );
    let tract = ["classify", "net.bin", &scene(), "--backend", "tract"];
    room.refuse(&tract, "the tract backend runs ONNX files");
    room.put("short.tflite", &model[..model.len() / 2]);
    room.refuse(
        &["explain", "short.tflite", &scene()],
        "not a TFLite model, or it is cut off",
    );
}
