//! Boards in QEMU at the other end: the same bits as on this machine, and
//! models that come over the line.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::compile::compile;
use foveola::crosscheck::{model_bytes, model_bytes_for};
use foveola::explainer::{DEFAULT_SEED, Explainer, Question};
use foveola::link::{DeviceName, Finding, LinkError, Qemu, Remote, call, open, tcp};
use foveola::method_spec::MethodSpec;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::explain::{METHODS, Method, Outcome, Query, Rise, Silent};
use foveola_core::uncertainty::{Setting, measure};
use foveola_core::wire::message::{Baseline, Call, Explain};
use foveola_core::{Classifier, Dropout, Masked, Picture, Score};
use foveola_tests::random::{Drawn, Numbers};
use foveola_tests::{root, zoo};

use super::reader::available;

fn remote(board: &str) -> foveola::link::Opened {
    let name: DeviceName = format!("qemu:{board}").parse().expect("a board");
    open(&name, 115_200, &root().join("firmware")).expect("the board answers")
}

fn model(path: &Path, card: Option<&Path>) -> OpenModel {
    let options = OpenOptions {
        card_file: card.map(Path::to_path_buf),
        ..OpenOptions::default()
    };
    OpenModel::open(path, &options).expect("a model")
}

fn demo(name: &str) -> OpenModel {
    let folder = root().join("host/demo");
    let path = folder.join(format!("{name}.onnx"));
    model(&path, Some(&folder.join("poles.card.toml")))
}

fn go_on(_: u64, _: u64) -> bool {
    true
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn ask(remote: &mut Remote, text: &str, target: u32) -> Finding {
    let explain = Explain {
        method: call(&text.parse().expect("a method"), &|_| None).expect("it travels"),
        target: Some(target),
        score: None,
        seed: DEFAULT_SEED,
    };
    remote.explain(&explain, &mut go_on).expect("a map")
}

/// The scores and maps of a board are the host's, bit for bit.
fn same_bits(remote: &mut Remote, file: &[u8], photo: &Photo, methods: &[&str]) {
    let put = remote.put_model(file, &mut go_on);
    put.expect("the model arrives");
    remote
        .put_picture(&photo.picture())
        .expect("the picture arrives");
    let model = OpenModel::from_bytes(file, Path::new("m.fov"), &OpenOptions::default());
    let mut explainer = Explainer::new(model.expect("a model"), 2);
    let question = Question::of(methods.iter().copied()).expect("methods");
    let host = explainer
        .explain(photo, &question)
        .expect("the host's answer");
    let scores = remote.scores(Score::Probability).expect("scores");
    assert_eq!(bits(&scores.values), bits(&host.probabilities));
    assert_eq!(scores.target, host.targets[0]);
    assert!(scores.instructions > 10_000 && scores.stack > 200 && scores.arena > 100);
    for (text, map) in methods.iter().zip(&host.maps) {
        let found = ask(remote, text, host.targets[0] as u32);
        // The host repeats a map of one channel for all that share it.
        let share = map.values.len() / found.values.len();
        let alone: Vec<f32> = map.values.iter().copied().step_by(share).collect();
        assert_eq!(bits(&found.values), bits(&alone), "{text}");
        let outcome = match map.outcome {
            Outcome::Undefined(why) => format!("undefined {why}"),
            Outcome::Flat => String::from("flat"),
            Outcome::Partial { done, total } => format!("partial {done} {total}"),
            Outcome::Ok => String::from("ok"),
        };
        assert_eq!(found.outcome, outcome, "{text}");
        println!(
            "{text}: {} instructions, {} B of stack",
            found.instructions, found.stack
        );
    }
    remote.self_test().expect("the self-test");
}

/// The demo's network over the line, all seven methods.
#[test]
fn the_demo_network() {
    if !available() {
        return;
    }
    let mut opened = remote("mps2-an386");
    let model = demo("honest");
    let photo = Photo::open(&root().join("host/demo/scene.png"), &model.intake()).expect("a photo");
    let methods = [
        "gradient",
        "deconvolution",
        "guided-backprop",
        "grad-cam",
        "occlusion:baseline=40",
        "rise:masks=32,baseline=blur",
        "hoc:windows=16/8,strides=4/2",
    ];
    let file = model_bytes(&model, true).expect("it compiles");
    println!("{} bytes", file.len());
    same_bits(&mut opened.remote, &file, &photo, &methods);
    interrupted(&mut opened.remote, &file);
    as_a_classifier(&mut opened.remote, &file, &photo);
}

/// With edits a board's maps keep their bits, in more arena; what asks about no
/// boxes is done as ever. Small boxes take fewer instructions, large ones as many:
/// then every picture is computed in full. Works of more instructions than a
/// counter of 32 bits holds are counted whole.
#[test]
fn edits_on_a_board() {
    if !available() {
        return;
    }
    let mut opened = remote("mps2-an386");
    let remote = &mut opened.remote;
    let scene = root().join("host/demo/scene.png");
    let methods = [
        "occlusion:window=8,stride=4",
        "occlusion:window=60,stride=4",
    ];
    let mut cases = vec![(demo("honest"), scene, methods)];
    if let Some(zoo) = zoo() {
        let photo = zoo.join("images/coco/train2017_000000000030.jpg");
        let vww = model(&zoo.join("models/tinyml/vww96_int8.tflite"), None);
        let methods = [
            "occlusion:window=16,stride=8",
            "occlusion:window=88,stride=2",
        ];
        cases.push((vww, photo, methods));
    }
    for (model, photo, [small, large]) in cases {
        let photo = Photo::open(&photo, &model.intake()).expect("a photo");
        let file = model_bytes(&model, true).expect("it compiles");
        remote.put_model(&file, &mut go_on).expect("it arrives");
        remote.put_picture(&photo.picture()).expect("it arrives");
        let pass = remote.scores(Score::Probability).expect("scores");
        let pass = pass.instructions;
        for (text, by_boxes) in [(small, true), (large, false), ("gradient", false)] {
            let explain = Explain {
                method: call(&text.parse().expect("a method"), &|_| None).expect("it travels"),
                target: Some(0),
                score: None,
                seed: DEFAULT_SEED,
            };
            let full = remote.explain(&explain, &mut go_on).expect("a map");
            let edited = remote.explain_edits(&explain, &mut go_on).expect("a map");
            println!(
                "{text}: {} instructions in {} B, with edits {} in {} B ({:?})",
                full.instructions, full.arena, edited.instructions, edited.arena, edited.edits
            );
            assert_eq!(bits(&edited.values), bits(&full.values), "{text}");
            assert_eq!(full.edits, None);
            // All but the picture itself.
            let count = if by_boxes {
                edited.passes as u32 - 1
            } else {
                0
            };
            assert_eq!(edited.edits, Some(count), "{text}");
            assert_eq!(edited.arena > full.arena, text != "gradient");
            if by_boxes {
                assert!(edited.instructions * 2 < full.instructions, "{text}");
                assert!(full.instructions * 10 > pass * full.passes * 9, "{text}");
            } else {
                let more = edited.instructions * 100 / full.instructions;
                assert!(more <= 102, "{text}: {more} %");
            }
        }
    }
}

/// Every method of the table that devices run, with few passes.
fn every_method() -> Vec<String> {
    let small = |name: &str| {
        match name {
            "occlusion" => "occlusion:window=32",
            "rise" => "rise:masks=8,estimator=centred,tolerance=0.5",
            "hoc" => "hoc:windows=32,strides=32,threshold=0.3",
            "grad-cam" => "grad-cam:counterfactual=true",
            "smooth-grad" => "smooth-grad:samples=2",
            "var-grad" => "var-grad:samples=3",
            "square-grad" => "square-grad:samples=2,noise=0.1",
            "integrated-gradients" => {
                "integrated-gradients:steps=2,quadrature=gauss-legendre,baseline=blur"
            }
            "feature-ablation" => "feature-ablation:segments=grid,count=6,baseline=segment",
            "lime" => "lime:segments=grid,count=6,samples=9,kernel=0.5",
            "kernel-shap" => "kernel-shap:segments=grid,count=3",
            "anchors" => "anchors:segments=grid,count=4,passes=40,batch=8,threshold=0.7",
            "sobol" => "sobol:count=3,designs=2,baseline=blur",
            "hsic" => "hsic:count=4,samples=8",
            "meaningful-perturbation" => "meaningful-perturbation:steps=2,grid=5",
            "eigen-cam" => "eigen-cam:centred=true,sign=weights",
            "guided-grad-cam" => "guided-grad-cam:upsample=nearest",
            "grad-cam-plus-plus" => "grad-cam-plus-plus:epsilon=0.001",
            "lrp" => "lrp:epsilon=0.01,gamma=0.5",
            "aise" => "aise:widths=0.2/0.1,samples=25,epsilon=0.3,baseline=blur",
            "activation-maximisation" => {
                "activation-maximisation:steps=3,rate=0.5,decay=0.1,jitter=2,blur=0.7,every=2,start=picture"
            }
            other => other,
        }
        .to_owned()
    };
    let mut all = Vec::new();
    for row in METHODS {
        let text = small(row.name);
        let travels = call(&text.parse().expect("a method"), &|_| None);
        assert!(travels.is_ok(), "{text}: {travels:?}");
        all.push(text);
    }
    let others = [
        "rise:masks=8,sequence=sobol,divisor=coverage,grid=5,keep=0.4,baseline=blur",
        "rise:masks=8,sequence=sobol,estimator=centred,tolerance=0.5",
        "hoc:windows=32/16,strides=16/8,threshold=0.6,beam=2",
        "activation-maximisation:steps=2",
    ];
    all.extend(others.map(String::from));
    all
}

/// Every method on a model, over one line.
fn all_methods(remote: &mut Remote, model: &OpenModel, photo: &Photo, methods: &[String]) {
    let specs = methods.iter().map(|text| text.parse().expect("a method"));
    let specs: Vec<MethodSpec> = specs.collect();
    let file = model_bytes_for(model, true, &specs).expect("it compiles");
    let texts: Vec<&str> = methods.iter().map(String::as_str).collect();
    same_bits(remote, &file, photo, &texts);
}

/// All methods of the table, in f32 and int8, have the host's bits; what a
/// model cannot be asked is refused in words.
#[test]
fn every_method_of_the_table() {
    if !available() {
        return;
    }
    let mut opened = remote("mps2-an386");
    let (remote, mut methods) = (&mut opened.remote, every_method());
    let model = demo("honest");
    let photo = Photo::open(&root().join("host/demo/scene.png"), &model.intake()).expect("a photo");
    all_methods(remote, &model, &photo, &methods);
    // A search that leaves boxes which are not needed.
    let minimal = "hoc:windows=16/8,strides=8/4,threshold=0.75,minimal=true";
    all_methods(remote, &demo("control"), &photo, &[minimal.to_owned()]);
    // A file without the plan for relevance.
    let plain = model_bytes(&model, true).expect("it compiles");
    remote.put_model(&plain, &mut go_on).expect("it arrives");
    remote.put_picture(&photo.picture()).expect("it arrives");
    let refused = refusal(remote, "lrp");
    assert!(
        refused.contains("no memory plan for this pass"),
        "{refused}"
    );
    let Some(zoo) = zoo() else {
        println!("skipped: the zoo is not there");
        return;
    };
    let vww = self::model(&zoo.join("models/tinyml/vww96_int8.tflite"), None);
    let photo = zoo.join("images/coco/train2017_000000000030.jpg");
    let photo = Photo::open(&photo, &vww.intake()).expect("a photo");
    methods.retain(|text| text != "full-grad");
    all_methods(remote, &vww, &photo, &methods);
    let refused = refusal(remote, "full-grad");
    assert!(refused.contains("no gradients"), "{refused}");
}

/// Why a device does not run a method.
fn refusal(remote: &mut Remote, text: &str) -> String {
    let explain = Explain {
        method: call(&text.parse().expect("a method"), &|_| None).expect("it travels"),
        target: None,
        score: None,
        seed: 1,
    };
    let refused = remote.explain(&explain, &mut go_on);
    refused.expect_err("it cannot").to_string()
}

/// A method that is cancelled keeps what it has; a model whose coming was
/// stopped goes on where it was, and the old one answers meanwhile.
fn interrupted(remote: &mut Remote, file: &[u8]) {
    let explain = Explain {
        method: call(&"rise:masks=100000".parse().expect("a method"), &|_| None).expect("a call"),
        target: None,
        score: None,
        seed: 1,
    };
    let mut polls = 0;
    let cancelled = remote.explain(&explain, &mut |_, total| {
        polls += 1;
        assert!(total == 0 || total == 100_000);
        polls < 9
    });
    let cancelled = cancelled.expect("a partial map");
    let words: Vec<&str> = cancelled.outcome.split(' ').collect();
    assert_eq!((words[0], words[2]), ("partial", "100000"));
    assert!(cancelled.values.iter().any(|v| *v != 0.0));

    let other = model_bytes(&demo("control"), true).expect("it compiles");
    let before = remote.facts().active;
    let stopped = remote.put_model(&other, &mut |done, _| done < 9000);
    assert!(matches!(stopped, Err(LinkError::Stopped)), "{stopped:?}");
    let facts = remote.refresh().expect("facts");
    assert_eq!(facts.active, before, "the old one stays");
    assert!(
        facts
            .slots
            .iter()
            .any(|slot| slot.have >= 9000 && slot.have < slot.length)
    );
    let mut first = None;
    remote
        .put_model(&other, &mut |done, _| {
            first.get_or_insert(done);
            true
        })
        .expect("the rest arrives");
    assert!(
        first.expect("a first chunk") >= 9000,
        "it went on where it was"
    );
    assert_ne!(remote.facts().active, before);
    // The other is still there, and is made active without being sent.
    remote
        .put_model(file, &mut |_, _| false)
        .expect("it is there");
    assert_eq!(remote.facts().active, before);
}

/// A method that runs here asks the board for every score.
fn as_a_classifier(remote: &mut Remote, file: &[u8], photo: &Photo) {
    let model = ModelFile::new(file).expect("a model");
    let rise = Rise {
        masks: 6,
        ..Rise::default()
    };
    let query = Query {
        picture: photo.picture(),
        targets: &[0],
        score: None,
        seed: 5,
    };
    let mut here = foveola::backend::core::CoreBackend::new(model.into(), 1).expect("a backend");
    let mut maps = [Vec::new(), Vec::new()];
    let both: [&mut dyn Classifier; 2] = [remote, &mut here];
    for (map, classifier) in maps.iter_mut().zip(both) {
        let cost = rise.cost(classifier, 1).expect("a cost");
        *map = vec![0.0; rise.map_shape(classifier).expect("a shape").len()];
        let (mut outcome, mut scratch) = ([Outcome::Flat], vec![0.0; cost.scratch]);
        rise.explain(
            classifier,
            &query,
            map,
            &mut outcome,
            &mut scratch,
            &mut Silent,
        )
        .expect("a map");
    }
    assert_eq!(bits(&maps[0]), bits(&maps[1]));
    let mut out = vec![0.0; remote.classes() - 1];
    let short = remote.classify(&Masked::whole(photo.picture()), Score::Logit, &mut out);
    assert!(short.is_err());
}

/// A real int8 network over the line.
#[test]
fn a_real_network() {
    let Some(zoo) = zoo().filter(|_| available()) else {
        return;
    };
    let model = model(&zoo.join("models/tinyml/vww96_int8.tflite"), None);
    let file = model_bytes(&model, true).expect("it compiles");
    println!("{} bytes", file.len());
    let picture = std::fs::read_dir(zoo.join("images/coco"))
        .expect("pictures")
        .next();
    let photo = Photo::open(&picture.expect("one").expect("one").path(), &model.intake());
    let mut opened = remote("mps2-an386");
    let methods = ["gradient", "occlusion:window=24,stride=24", "rise:masks=8"];
    same_bits(
        &mut opened.remote,
        &file,
        &photo.expect("a photo"),
        &methods,
    );
    // One that has no room is refused before it is sent.
    let large = vec![0; 4 << 20];
    let error = opened
        .remote
        .put_model(&large, &mut |_, _| panic!("it is sent"));
    assert!(error.is_err());
}

/// What is wrong is said, with numbers; the board goes on.
#[test]
fn mistakes_and_camera() {
    if !available() {
        return;
    }
    let device = "qemu:mps2-an386".parse().expect("a board");
    let (qemu, line) = Qemu::start(&device, &root().join("firmware")).expect("a board");
    let mut remote = Remote::open(tcp(line).expect("a cable")).expect("it answers");
    let said = |result: Result<Finding, LinkError>| result.expect_err("a mistake").to_string();
    let none = said(remote.scores(Score::Logit));
    assert_eq!(none, "the device says: only 0 bytes of it have arrived");
    assert!(remote.take_frame().is_err(), "no camera");
    let pixels: Vec<u8> = (0..126).collect();
    std::fs::write(qemu.folder().join("frame.bin"), &pixels).expect("a frame");
    assert_eq!(remote.take_frame().expect("a frame"), pixels);
    assert_eq!(remote.scores(Score::Logit).expect("scores").values.len(), 3);
    let node = said(remote.tensor(99));
    assert_eq!(
        node,
        "the device says: node 99 of the model file is malformed"
    );
    let mut explain = Explain {
        method: Call::Gradient,
        target: Some(3),
        score: None,
        seed: 1,
    };
    let target = "the device says: target 3 is out of range: the network has 3 classes";
    assert_eq!(said(remote.explain(&explain, &mut go_on)), target);
    explain.method = Call::Rise {
        masks: Some(0),
        grid: None,
        keep: 0.5,
        baseline: Baseline::Number(0.0),
        by_coverage: false,
        mindspore: false,
    };
    let masks = "the device says: parameter out of range: number of masks";
    assert_eq!(said(remote.explain(&explain, &mut go_on)), masks);
    assert_eq!(remote.time(None).expect("a clock"), None);
    let set = remote.time(Some(1_800_000_000)).expect("a clock");
    assert!((1_800_000_000..1_800_000_005).contains(&set.expect("it is set")));
    let facts = remote.refresh().expect("facts");
    assert_eq!(facts.line[1..], [0, 0], "nothing was damaged or lost");
    drop(qemu);
    let gone = remote.refresh().expect_err("the board is gone").to_string();
    assert!(gone.starts_with("the line to the device failed"), "{gone}");
}

/// Every board but the smallest answers on its own UART.
#[test]
fn every_board() {
    if !available() {
        return;
    }
    let boards = [
        "mps2-an500",
        "mps2-an505",
        "mps3-an547",
        "netduinoplus2",
        "riscv32-virt",
    ];
    let file = std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture");
    let other = OpenModel::from_bytes(&file, Path::new("m.fov"), &OpenOptions::default());
    let other = other.expect("a model");
    let pixels: Vec<f32> = (0..126).map(|i| (i % 50) as f32 / 25.0 - 1.0).collect();
    let photo = Photo::from_tensor(pixels, &other.intake());
    for board in boards {
        let mut opened = remote(board);
        assert_eq!(opened.remote.facts().board, board);
        let methods = [
            "gradient",
            "occlusion:window=2,stride=2",
            "rise:masks=9,grid=3",
        ];
        same_bits(&mut opened.remote, &file, &photo, &methods);
        let facts = opened.remote.refresh().expect("facts");
        println!("{board}: {} B, {} B a slot", facts.ram, facts.slots[0].room);
        assert_eq!(facts.line[1..], [0, 0], "{board}");
    }
    let none = open(
        &"qemu:lm3s6965evb".parse().expect("a board"),
        115_200,
        &root().join("firmware"),
    );
    let said = none.expect_err("it has no link").to_string();
    assert!(said.contains("no room for the link"), "{said}");
}

/// The program: info, an explanation with its files, a device that is not there.
#[test]
fn the_command() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = |device: &str, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
            .args(["device", device])
            .args(args)
            .current_dir(root())
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let out = folder.path().display().to_string();
    let (code, said) = run(
        "qemu:mps2-an386",
        &[
            "explain",
            "host/demo/control.onnx",
            "--card",
            "host/demo/poles.card.toml",
            "host/demo/scene.png",
            "-m",
            "grad-cam",
            "--out",
            &out,
        ],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("instructions, ") && said.contains("Grad-CAM"),
        "{said}"
    );
    let made = std::fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(made.count(), 2, "an overlay and an array");
    let (code, said) = run("qemu:mps2-an386", &["info"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("active: 7x6x3, 3 classes"), "{said}");
    let (code, said) = run("mps2-an386", &["info"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("qemu:BOARD"), "{said}");
    let (code, said) = run("/dev/not-there", &["info"]);
    assert_eq!(code, Some(2), "{said}");
}

/// How sure a network is: the board's means, variances and saturated elements
/// are the host's, in f32 and int8, with dropouts of its own and without.
#[test]
fn uncertainty_on_a_board() {
    if !available() {
        return;
    }
    let mut opened = remote("mps2-an386");
    let remote = &mut opened.remote;
    let (mut compared, mut saturated) = (0, 0);
    for seed in 0..24 {
        for mut drawn in [Drawn::real(seed, 0), Drawn::int8(seed, 0)] {
            for node in drawn.graph.nodes.iter_mut().step_by(2) {
                node.dropout = (seed % 2 == 1).then_some(0.25);
            }
            let compiled = compile(drawn.graph.clone(), &drawn.card, &drawn.options);
            let Ok(compiled) = compiled else { continue };
            compared += usize::from(measured_alike(
                remote,
                &compiled.bytes,
                &drawn,
                &mut saturated,
            ));
        }
    }
    assert!(compared >= 20 && saturated > 0, "{compared} {saturated}");
}

/// Whether the network runs here; if so, as on the board.
fn measured_alike(remote: &mut Remote, file: &[u8], drawn: &Drawn, saturated: &mut u64) -> bool {
    let put = remote.put_model(file, &mut go_on);
    put.expect("the model arrives");
    let model = Arc::new(ModelFile::new(file).expect("a model"));
    let normalisation = model.model().normalisation();
    let shape = model.model().input();
    let picture = match &drawn.picture {
        Numbers::Pixels(data) => Picture::Pixels {
            shape,
            data,
            normalisation: &normalisation,
        },
        Numbers::Tensor(data) => Picture::Tensor { shape, data },
    };
    remote.put_picture(&picture).expect("the picture arrives");
    let mut here = CoreBackend::new(Arc::clone(&model), 2).expect("a backend");
    let classes = here.classes();
    let (mut mean, mut variance) = (vec![0.0; classes], vec![0.0; classes]);
    let setting = Setting {
        passes: 7,
        dropout: Dropout {
            seed: 99,
            keep: 0.5,
        },
    };
    let mut scores = vec![0.0; classes];
    let x = Masked::whole(picture);
    let wanted = measure(
        &mut here,
        &x,
        &setting,
        &mut mean,
        &mut variance,
        &mut scores,
    );
    match (wanted, remote.uncertainty((7, 99), &mut go_on)) {
        (Ok(seen), Ok(found)) => {
            let both: Vec<f32> = mean.iter().chain(&variance).map(|&v| v as f32).collect();
            assert_eq!(bits(&found.values), bits(&both));
            assert_eq!(
                (found.saturation, found.outcome.as_str()),
                (seen, "measured")
            );
            assert_eq!(found.passes, 7);
            *saturated += seen.saturated;
            true
        }
        (Err(here), Err(LinkError::Core(there))) => {
            assert_eq!(here, there);
            false
        }
        (here, there) => panic!("{here:?} here, {there:?} there"),
    }
}
