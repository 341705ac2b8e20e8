//! What the program writes, held to the goldens and to the file formats.

use foveola::demo::{COSTLY_METHODS, QUICK_METHODS};
use foveola_tests::{Golden, max_difference};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::Value;

use super::room::{Room, file, model, scene};

fn array(room: &Room, name: &str) -> ArrayD<f32> {
    ArrayD::read_npy(room.bytes(name).as_slice()).expect("an array of f32")
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|m| m[key].as_str().expect("a text"))
        .collect()
}

/// The golden network's first picture as a tensor, and its stored masks.
fn golden_room(golden: &mut Golden) -> Room {
    let room = Room::new();
    let mut bytes = Vec::new();
    golden.picture(0).write_npy(&mut bytes).expect("a picture");
    room.put("x.npy", &bytes);
    let mut bytes = Vec::new();
    golden.rise_masks().write_npy(&mut bytes).expect("masks");
    room.put("masks.npy", &bytes);
    room
}

fn close(golden: &mut Golden, key: &str, found: &ArrayD<f32>) {
    let wanted = golden.reference(key);
    assert_eq!(found.shape(), wanted.shape(), "{key}");
    let atol = golden.manifest["entries"][key]["atol"]
        .as_f64()
        .expect("atol");
    let off = max_difference(found, &wanted);
    assert!(off <= atol, "{key}: {off} > {atol}");
}

/// Raw arrays hold the method's own shape and the reference's numbers.
#[test]
fn raw_arrays_are_the_reference_maps() {
    let mut golden = Golden::open("n3");
    let room = golden_room(&mut golden);
    let inner = format!("grad-cam:layer={},relu=false", golden.layer("inner"));
    let last = format!("grad-cam:layer={},relu=false", golden.layer("last"));
    let net = file("tests/golden/n3/model.onnx");
    let args = [
        "explain",
        &net,
        "x.npy",
        "--target",
        "2",
        "--raw",
        "--score",
        "logit",
        "--out",
        "o",
        "--method",
        "gradient",
        "--method",
        "deconvolution",
        "--method",
        "guided-backprop",
        "--method",
        &inner,
        "--method",
        &last,
        "--method",
        "occlusion:window=8,stride=4,baseline=0",
        "--method",
        "occlusion:window=1/6/6,stride=1/5/5,baseline=0",
    ];
    room.succeed(&args);
    for (name, key) in [
        ("gradient.2", "i0.t2.saliency"),
        ("deconvolution.2", "i0.t2.deconvolution"),
        ("guided-backprop.2", "i0.t2.guided_backprop"),
        ("grad-cam.2", "i0.t2.layer_gradcam_inner"),
        ("grad-cam.2.2", "i0.t2.layer_gradcam_last"),
        ("occlusion.2.2", "i0.t2.occlusion_b"),
    ] {
        let found = array(&room, &format!("o/{name}.npy"));
        close(&mut golden, key, &found);
    }
    // Equal in all channels; the reference stores one.
    let found = array(&room, "o/occlusion.2.npy");
    assert_eq!(found.shape(), [3, 32, 32]);
    for plane in found.outer_iter() {
        close(
            &mut golden,
            "i0.t2.occlusion_a",
            &plane.to_owned().into_dyn(),
        );
    }
}

/// Without `--raw` every array has the input's height and width.
#[test]
fn arrays_have_the_size_of_the_input() {
    let mut golden = Golden::open("n3");
    let room = golden_room(&mut golden);
    let last = format!("grad-cam:layer={},relu=false", golden.layer("last"));
    let net = file("tests/golden/n3/model.onnx");
    let args = [
        "explain",
        &net,
        "x.npy",
        "--target",
        "2",
        "--out",
        "o",
        "--method",
        &last,
        "--method",
        "rise:file=masks.npy,baseline=0",
        "--method",
        "gradient",
    ];
    room.succeed(&args);
    close(
        &mut golden,
        "i0.t2.layer_gradcam_last_up",
        &array(&room, "o/grad-cam.2.npy"),
    );
    close(&mut golden, "i0.t2.rise", &array(&room, "o/rise.2.npy"));
    // The signed value of largest magnitude over the channels.
    let reference = golden.reference("i0.t2.saliency");
    let strongest = ArrayD::from_shape_fn(IxDyn(&[32, 32]), |at| {
        let values = (0..3).map(|c| reference[[c, at[0], at[1]]]);
        values.fold(
            0.0f32,
            |best, v| if v.abs() > best.abs() { v } else { best },
        )
    });
    let off = max_difference(&array(&room, "o/gradient.2.npy"), &strongest);
    assert!(off <= 5e-6, "{off}");
}

#[test]
fn without_flags_two_methods_explain_the_best_class() {
    let room = Room::new();
    let out = room.succeed(&["explain", &model(), &scene()]);
    assert!(out.contains("Grad-CAM, cross (99.6 %): "), "{out}");
    assert!(
        out.contains("Occlusion, cross (99.6 %): ") && out.contains("on the border"),
        "{out}"
    );
    let files = [
        "foveola-out",
        "foveola-out/scene",
        "foveola-out/scene/explain.json",
        "foveola-out/scene/grad-cam.3.npy",
        "foveola-out/scene/grad-cam.3.png",
        "foveola-out/scene/occlusion.3.npy",
        "foveola-out/scene/occlusion.3.png",
    ];
    assert_eq!(room.names(), files);
}

#[test]
fn the_record_holds_what_is_needed_to_repeat_it() {
    let room = Room::new();
    let (model, scene) = (model(), scene());
    let args = [
        "explain",
        &model,
        &scene,
        "--out",
        "o",
        "--target",
        "cross",
        "--target",
        "0",
        "--method",
        "occlusion:window=32,stride=32",
        "--method",
        "hoc",
        "--method",
        "occlusion:window=48",
        "--method",
        "rise:masks=8",
        "--seed",
        "7",
    ];
    room.succeed(&args);
    let record = room.record("o");
    assert_eq!(record["scores"].as_array().expect("scores").len(), 6);
    assert_eq!(record["seed"], 7);
    assert_eq!(record["card"]["channels"], "RGB");
    for file in ["model", "picture"] {
        assert_eq!(record[file]["sha256"].as_str().expect("a hash").len(), 64);
    }
    let maps = &record["maps"];
    let stems = [
        "occlusion.3",
        "occlusion.0",
        "hoc.3",
        "hoc.0",
        "occlusion.3.2",
        "occlusion.0.2",
        "rise.3",
        "rise.0",
    ];
    assert_eq!(texts(maps, "npy"), stems.map(|s| format!("{s}.npy")));
    assert_eq!(texts(maps, "png"), stems.map(|s| format!("{s}.png")));
    for name in texts(maps, "npy").into_iter().chain(texts(maps, "png")) {
        assert!(room.path("o").join(name).is_file(), "{name}");
    }
    // Nine windows and the picture itself serve both classes.
    assert_eq!(maps[0]["passes"], 10);
    assert_eq!(maps[0]["parameters"]["window"], serde_json::json!([32, 32]));
    assert_eq!(maps[0]["shape"], serde_json::json!([96, 96]));
    assert_eq!(maps[6]["passes"], 8);
    // The scene is no circle, so there is no region that keeps one.
    assert_eq!(
        (maps[2]["outcome"].as_str(), maps[3]["outcome"].as_str()),
        (Some("ok"), Some("undefined"))
    );
    let hoc = record["hoc"].as_object().expect("hoc");
    assert_eq!(hoc.keys().collect::<Vec<_>>(), ["3"]);
    for layer in hoc["3"]["layers"].as_array().expect("layers") {
        assert!(layer["probability"].as_f64().expect("a number") >= 0.5);
        assert_eq!(layer["boxes"][0].as_array().expect("a box").len(), 4);
    }
    assert!(hoc["3"]["tree"][0]["children"].is_array());
    assert!(room.path("o/hoc.3.layer1.png").is_file());
}

#[test]
fn threads_do_not_change_a_byte() {
    let room = Room::new();
    let (model, scene) = (model(), scene());
    let run = |threads: &str| {
        let args = [
            "explain",
            &model,
            &scene,
            "--threads",
            threads,
            "--out",
            threads,
            "--method",
            "gradient",
            "--method",
            "grad-cam",
            "--method",
            "occlusion",
            "--method",
            "rise:masks=50",
            "--method",
            "hoc",
        ];
        room.succeed(&args);
        let names = ["gradient", "grad-cam", "occlusion", "rise", "hoc"];
        names.map(|n| room.bytes(&format!("{threads}/{n}.3.npy")))
    };
    let one = run("1");
    assert!(one == run("2") && one == run("16"));
}

/// The file that `compile` writes gives the same maps as the ONNX file.
#[test]
fn compiled_files_explain_alike() {
    let room = Room::new();
    let scene = scene();
    let layer = "/stem/act/Clip_output_0";
    room.succeed(&[
        "compile",
        &model(),
        "--out",
        "net.fov",
        "--layer",
        layer,
        "--no-fold",
    ]);
    let run = |net: &str, out: &str| {
        let args = [
            "explain", net, &scene, "--out", out, "--method", "grad-cam", "--method", "gradient",
            "--method", "grad-cam", "--layer", layer,
        ];
        room.succeed(&args);
        ["grad-cam.3", "gradient.3"].map(|n| room.bytes(&format!("{out}/{n}.npy")))
    };
    assert_eq!(run(&model(), "a"), run("net.fov", "b"));
    let said = room.run(&["classify", "net.fov", &scene]);
    assert!(
        said.out.contains("cross") && said.err.is_empty(),
        "{said:?}"
    );
    room.refuse(
        &[
            "explain",
            "net.fov",
            &scene,
            "--layer",
            "/head/conv/Conv_output_0",
        ],
        "compile it with",
    );
}

/// `compile` says what it removed, and removes nothing if told so.
#[test]
fn constant_channels_go_unless_told_otherwise() {
    let Some(zoo) = foveola_tests::zoo() else {
        return;
    };
    let room = Room::new();
    let model = zoo.join("models/tinyml/vww96_int8.tflite");
    let model = model.display().to_string();
    let said = room.run(&["compile", &model, "--out", "small.fov", "--verbose"]);
    let table = said.out.contains("7489664 -> 3") && said.out.contains("26.CONV_2D");
    assert!(table, "{said:?}");
    let said = room.run(&["compile", &model, "--out", "whole.fov", "--no-prune"]);
    assert!(!said.out.contains("constant channels"), "{said:?}");
    let photo = zoo.join("images/coco/train2017_000000000030.jpg");
    let photo = photo.display().to_string();
    let run = |net: &str| {
        let out = format!("out-{net}");
        room.succeed(&[
            "explain",
            net,
            &photo,
            "--out",
            &out,
            "-m",
            "guided-backprop",
        ]);
        let files = std::fs::read_dir(room.path(&out)).expect("a folder");
        let mut names: Vec<String> = files
            .filter_map(|f| f.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".npy"))
            .collect();
        names.sort();
        let maps = names
            .iter()
            .map(|name| room.bytes(&format!("{out}/{name}")));
        maps.collect::<Vec<_>>()
    };
    let maps = run("small.fov");
    assert!(!maps.is_empty() && maps == run("whole.fov"));
    let sizes = ["small.fov", "whole.fov"].map(|name| room.bytes(name).len());
    assert!(4 * sizes[0] < sizes[1], "{sizes:?}");
}

/// Both backends give the same scores and maps, within rounding.
#[test]
fn a_map_says_by_which_arithmetic_it_came() {
    let room = Room::new();
    let (model, scene) = (model(), scene());
    let ask = |out: &str, more: &[&str]| {
        let args = ["explain", &model, &scene, "-m", "gradient", "--out", out];
        room.succeed(&[&args[..], more].concat());
        let record = room.record(out);
        let arithmetic = record["arithmetic"].as_str().expect("a word").to_owned();
        (arithmetic, array(&room, &format!("{out}/gradient.3.npy")))
    };
    let (strict, map) = ask("s", &[]);
    let (fused, near) = ask("f", &["--arithmetic", "fused"]);
    assert_eq!(strict, "strict");
    // What this very processor can, by the standard library's detection.
    #[cfg(target_arch = "x86_64")]
    let can = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    let can = false;
    assert_eq!(fused, if can { "fused" } else { "strict" });
    assert_eq!(map != near, can);
    let largest = map
        .iter()
        .fold(0.0, |most, v| f64::max(most, v.abs().into()));
    let off = max_difference(&map, &near);
    assert!(off <= 1e-4 * largest, "{off} of {largest}");
    room.refuse(
        &[
            "explain",
            &model,
            &scene,
            "--backend",
            "tract",
            "--arithmetic",
            "fused",
        ],
        "tract has its own",
    );
}

#[test]
fn tract_gives_the_same_answers() {
    let room = Room::new();
    let scene = scene();
    let run = |backend: &str| {
        let args = [
            "explain",
            &model(),
            &scene,
            "--backend",
            backend,
            "--out",
            backend,
            "--method",
            "occlusion",
            "--method",
            "rise:masks=40",
        ];
        room.succeed(&args);
        ["occlusion.3", "rise.3"].map(|n| array(&room, &format!("{backend}/{n}.npy")))
    };
    for (core, tract) in run("core").iter().zip(&run("tract")) {
        let off = max_difference(core, tract);
        assert!(off <= 1e-5, "{off}");
    }
}

#[test]
fn classify_prints_the_whole_output() {
    let room = Room::new();
    let out = room.succeed(&["classify", &model(), &scene(), "--json"]);
    let record: Value = serde_json::from_str(&out).expect("JSON");
    let scores = record["scores"].as_array().expect("scores");
    // The network's own output, as the golden manifest's peer computed it.
    let wanted = Golden::open("n4").reference("logits");
    let found: Vec<f32> = scores
        .iter()
        .map(|v| v.as_f64().expect("a number") as f32)
        .collect();
    let off = max_difference(&found, wanted.row_of(2).iter());
    assert!(off <= 1.1e-4, "{off}");
}

/// The stored output of a uint8 network, from the ONNX file and from the
/// compiled one, against ONNX Runtime's.
#[test]
fn classify_prints_the_stored_integers() {
    let mut golden = Golden::open("n4");
    let room = golden_room(&mut golden);
    let onnx = file("tests/golden/n4/model_int8_u8.onnx");
    room.succeed(&["compile", &onnx, "--out", "net.fov"]);
    let wanted = golden.int8("int8_u8.logits_ort_noopt").row_of(0);
    for model in [&onnx[..], "net.fov"] {
        let args = ["classify", model, "x.npy", "--quantised", "--json"];
        let record: Value = serde_json::from_str(&room.succeed(&args)).expect("JSON");
        let integers = record["quantised"].as_array().expect("integers");
        assert_eq!(integers.len(), wanted.len());
        for (q, real) in integers.iter().zip(&wanted) {
            // Scale and zero point of the file's last quantiser.
            let nearest = (real / 0.092_834_09).round() as i64 + 123;
            let off = q.as_i64().expect("an integer") - nearest;
            assert!(off.abs() <= 1, "{model}: {q}, not {nearest}");
        }
        let table = room.succeed(&["classify", model, "x.npy", "--quantised"]);
        assert!(table.lines().next().is_some_and(|l| l.ends_with("integer")));
    }
    room.refuse(
        &["classify", &model(), &scene(), "--quantised"],
        "not quantised",
    );
}

/// A quantised network is explained by `core`, through its own integers; it
/// looks where its float twin looks.
#[test]
fn quantised_networks_are_explained() {
    let room = golden_room(&mut Golden::open("n4"));
    let run = |model: &str, out: &str| {
        let model = file(&format!("tests/golden/n4/{model}.onnx"));
        let args = [
            "explain", &model, "x.npy", "--out", out, "--target", "5", "--method", "grad-cam",
            "--method", "gradient",
        ];
        room.succeed(&args);
        ["grad-cam.5", "gradient.5"].map(|n| array(&room, &format!("{out}/{n}.npy")))
    };
    let [cam, gradient] = run("model_int8", "int8");
    let [float_cam, float_gradient] = run("model", "float");
    let alike = [
        correlation(&cam, &float_cam),
        correlation(&gradient, &float_gradient),
    ];
    println!("{alike:?}");
    assert!(alike[0] > 0.95 && alike[1] > 0.5, "{alike:?}");
    // The first stored tensor, and a float one by whose name the file knows a stored one.
    let model = file("tests/golden/n4/model_int8.onnx");
    for layer in ["input_QuantizeLinear_Output", "/ir3/add/Add_output_0"] {
        room.succeed(&[
            "explain", &model, "x.npy", "--out", "layer", "--method", "grad-cam", "--layer", layer,
        ]);
    }
}

/// Stored logits are read by a softmax and as real numbers; the gradient of
/// either score stays finite and is nowhere flat.
#[test]
fn gradients_of_stored_logits_are_maps() {
    let Some(zoo) = foveola_tests::zoo() else {
        return;
    };
    let path = |name: &str| zoo.join(name).to_str().expect("a path").to_owned();
    let model = path("models/imagenet/mobilenet_v2_100_224_uint8_qdq.onnx");
    let photo = path("images/misc/skimage_chelsea.png");
    let room = Room::new();
    for score in ["logit", "probability"] {
        let out = room.succeed(&[
            "explain", &model, &photo, "--out", score, "--score", score, "--method", "gradient",
            "--method", "grad-cam",
        ]);
        assert!(!out.contains("no map") && !out.contains("flat"), "{out}");
    }
}

/// Pearson's correlation.
fn correlation(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f64 {
    let centred = |a: &ArrayD<f32>| -> Vec<f64> {
        let mean = a.iter().map(|&v| f64::from(v)).sum::<f64>() / a.len() as f64;
        a.iter().map(|&v| f64::from(v) - mean).collect()
    };
    let (a, b) = (centred(a), centred(b));
    assert_eq!(a.len(), b.len(), "maps of one size");
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

trait RowOf {
    fn row_of(&self, row: usize) -> Vec<f32>;
}

impl RowOf for ArrayD<f32> {
    fn row_of(&self, row: usize) -> Vec<f32> {
        self.index_axis(ndarray::Axis(0), row)
            .iter()
            .copied()
            .collect()
    }
}

#[test]
fn the_demo_runs_all_methods_and_ends_as_promised() {
    let room = Room::new();
    let out = room.succeed(&[]);
    for name in QUICK_METHODS.into_iter().chain(COSTLY_METHODS) {
        let name = name.split(':').next().expect("a name");
        assert!(out.contains(name), "{out}");
        for network in ["honest", "control", "cheat"] {
            let file = format!("foveola-out/demo/{network}.{name}.png");
            assert!(room.path(&file).is_file(), "{file}");
        }
    }
    let verdict = |network: &str, word: &str| {
        let found = out
            .lines()
            .any(|l| l.starts_with(network) && l.ends_with(word));
        assert!(found, "{network} {word}: {out}");
    };
    verdict("honest", "PASS");
    verdict("control", "PASS");
    verdict("cheat", "FAIL");
    let sheet = image::open(room.path("foveola-out/demo/contact-sheet.png")).expect("a sheet");
    assert!(sheet.width() > 1000);
    let page = std::fs::read_to_string(room.path("foveola-out/demo/report.html")).expect("a page");
    assert!(page.contains("FAIL") && page.contains("data:image/png;base64,"));
    // A room has no firmware: the demo says how to get the board's part.
    assert!(out.contains("where firmware/ is"), "{out}");
}

#[test]
fn what_there_is_can_be_listed() {
    let room = Room::new();
    let methods = room.succeed(&["methods"]);
    let budget = room.succeed(&["budget", &model()]);
    for row in foveola_core::explain::METHODS {
        assert!(methods.contains(row.name) && budget.contains(row.name));
    }
    assert!(budget.contains("forward"), "{budget}");
    let boards = ["budget", &model(), "--board", "all", "-m", "gradient"];
    let boards = room.succeed(&boards);
    for board in foveola::budget::boards() {
        assert!(boards.contains(&board.name), "{boards}");
    }
    let alike = [
        "SRAM 128.0 KiB + CCM 64.0 KiB",
        "does not fit: gradient. What would:",
    ];
    assert!(alike.iter().all(|words| boards.contains(words)), "{boards}");
    let small = ["budget", &model(), "--board", "lm3s6965evb", "-m", "lrp"];
    let small = room.succeed(&small);
    let missing = "not in its program, for which 256.0 KiB of flash are too small: lrp.";
    assert!(small.contains(missing), "{small}");
    assert!(!small.contains("does not fit: lrp"), "{small}");
    let inspect = room.succeed(&["inspect", &model()]);
    assert!(
        inspect.contains("/head/act/Clip_output_0") && inspect.contains("96x96x3"),
        "{inspect}"
    );
    // Every subcommand that the help names is completed, and its options.
    let help = room.succeed(&["--help"]);
    let (_, listed) = help.split_once("Commands:").expect("a list");
    let (listed, _) = listed.split_once("\n\n").expect("its end");
    let named = |l: &&str| l.starts_with("  ") && !l.starts_with("   ");
    let named: Vec<&str> = (listed.lines().filter(named))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(named.len() > 20 && named.contains(&"report"), "{named:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = room.succeed(&["completions", shell]);
        for word in named.iter().chain(&["split", "shard", "weights"]) {
            assert!(script.contains(*word), "{shell}: {word}");
        }
    }
    for command in [
        "explain", "classify", "inspect", "compile", "budget", "demo",
    ] {
        assert!(room.succeed(&[command, "--help"]).contains("Usage"));
    }
}

#[test]
fn what_is_assumed_is_said() {
    let room = Room::new();
    room.put("net.onnx", &std::fs::read(model()).expect("the model"));
    let said = room.run(&["classify", "net.onnx", &scene()]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.err.contains("assumed") && said.err.contains("softmax"),
        "{said:?}"
    );
    assert!(said.out.contains("class 3"), "{said:?}");
}

/// Ctrl-C ends the method that runs; what is finished is written.
#[cfg(unix)]
#[test]
fn interrupted_runs_keep_what_is_finished() {
    let room = Room::new();
    let (model, scene) = (model(), scene());
    let args = [
        "explain",
        &model,
        &scene,
        "--out",
        "o",
        "--threads",
        "1",
        "--method",
        "gradient",
        "--method",
        "rise:masks=2000000",
        "--method",
        "hoc",
    ];
    let mut child = room.start(&args);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let record = room.record("o");
    assert_eq!(record["stopped"], true);
    assert_eq!(texts(&record["maps"], "outcome"), ["ok", "partial"]);
    assert_eq!(texts(&record["maps"], "method"), ["gradient", "rise"]);
    assert!(record["maps"][1]["passes"].as_u64().expect("a number") < 2_000_000);
    assert!(room.path("o/rise.3.png").is_file());
}

/// Scores stand beside the maps: curves that begin and end where the
/// probabilities are, their area, and a reason where there is no score.
#[test]
fn metrics_judge_the_maps() {
    let mut golden = Golden::open("n3");
    let room = golden_room(&mut golden);
    let net = file("tests/golden/n3/model.onnx");
    let args = [
        "explain",
        &net,
        "x.npy",
        "--target",
        "2",
        "--method",
        "gradient",
        "--method",
        "occlusion",
        "--metric",
        "deletion:steps=8",
        "--metric",
        "insertion:steps=8,baseline=black",
        "--metric",
        "background-swap",
        "--out",
        "o",
    ];
    let printed = room.succeed(&args);
    let record = room.record("o");
    let whole = record["probabilities"][2].as_f64().expect("a probability");
    for map in record["maps"].as_array().expect("maps") {
        let scores = map["metrics"].as_array().expect("scores");
        assert_eq!(
            texts(&map["metrics"], "metric"),
            ["deletion", "insertion", "background-swap"]
        );
        assert_eq!(scores[0]["parameters"]["steps"], 8);
        let curve = |i: usize| -> Vec<[f64; 2]> {
            let name = scores[i]["metric"].as_str().expect("a name");
            serde_json::from_value(scores[i]["curves"][name].clone()).expect("a curve")
        };
        let (deletion, insertion) = (curve(0), curve(1));
        assert_eq!((deletion.len(), insertion.len()), (9, 9));
        assert!((deletion[0][1] - whole).abs() < 1e-6 && (insertion[8][1] - whole).abs() < 1e-6);
        assert_eq!(deletion[8][1], insertion[0][1]);
        for (i, curve) in [deletion, insertion].into_iter().enumerate() {
            let area: f64 = curve.windows(2).map(|p| (p[0][1] + p[1][1]) / 16.0).sum();
            let value = scores[i]["value"].as_f64().expect("a score");
            assert!((area - value).abs() < 1e-9, "{area} {value}");
            assert!(printed.contains(&format!("{value:.4}")), "{printed}");
        }
        assert!(scores[2]["value"].is_null());
        assert_eq!(scores[2]["reason"], "there are no other backgrounds");
    }
    let reason = "there are no other backgrounds\n";
    assert!(printed.contains("no background-swap of gradient") && printed.ends_with(reason));
}

/// Ranks from 0 to 1, equal values sharing their mean rank, counted pair by pair.
fn ranks(weights: &[f32]) -> Vec<f64> {
    let rank = |w: &f32| {
        let below = weights.iter().filter(|other| *other < w).count();
        let equal = weights.iter().filter(|other| *other == w).count();
        (below as f64 + (equal as f64 - 1.0) / 2.0) / (weights.len() as f64 - 1.0)
    };
    weights.iter().map(rank).collect()
}

/// The consensus is the mean of the ranks of what each map counts as evidence,
/// the disagreement their deviation; maps without evidence do not count.
#[test]
fn consensus_is_the_mean_of_ranks() {
    let room = Room::new();
    let said = room.run(&[
        "explain",
        &model(),
        &scene(),
        "--consensus",
        "-m",
        "grad-cam",
        "-m",
        "guided-backprop",
        "-m",
        "occlusion:window=24,stride=24",
        "--out",
        "o",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let record: Value = serde_json::from_slice(&room.bytes("o/explain.json")).expect("JSON");
    let found = &record["consensus"][0];
    let target = found["target"].as_u64().expect("a class");
    assert_eq!(found["maps"].as_array().expect("names").len(), 3, "{found}");
    assert!(said.out.contains("Consensus of grad-cam"), "{}", said.out);
    let all = ["grad-cam", "guided-backprop", "occlusion"].map(|name| {
        let map = array(&room, &format!("o/{name}.{target}.npy"));
        let weight = |v: &f32| match name {
            "guided-backprop" => v.abs(),
            _ => v.max(0.0),
        };
        ranks(&map.iter().map(weight).collect::<Vec<_>>())
    });
    let [mean, deviation] =
        ["consensus", "disagreement"].map(|name| array(&room, &format!("o/{name}.{target}.npy")));
    for (i, (m, d)) in mean.iter().zip(&deviation).enumerate() {
        let here = [0, 1, 2].map(|k| all[k][i]);
        let middle = here.iter().sum::<f64>() / 3.0;
        let spread = (here.iter().map(|r| (r - middle).powi(2)).sum::<f64>() / 3.0).sqrt();
        assert!((f64::from(*m) - middle).abs() < 1e-5, "{i}: {m} {middle}");
        assert!((f64::from(*d) - spread).abs() < 1e-5, "{i}: {d} {spread}");
    }
    for name in ["consensus", "disagreement"] {
        let picture = image::load_from_memory(&room.bytes(&format!("o/{name}.{target}.png")));
        assert!(picture.expect("a picture").width() > 300);
    }
    let alone = room.run(&[
        "explain",
        &model(),
        &scene(),
        "--consensus",
        "-m",
        "grad-cam",
    ]);
    assert!(alone.err.contains("no consensus"), "{alone:?}");
}
