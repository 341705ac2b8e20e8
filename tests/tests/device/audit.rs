//! What a board keeps: its log, which goes on from start to start, and the model
//! that runs; and what it judges by that model's policy.

use std::path::Path;

use ed25519_dalek::SigningKey;
use foveola::audit::LogFile;
use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::link::{Keeps, LinkError, Qemu, Remote, tcp};
use foveola::photo::Photo;
use foveola_core::audit::anchor::Link;
use foveola_core::audit::key::Key;
use foveola_core::audit::record::{Event, Record};
use foveola_core::explain::{Method, Occlusion, Outcome, Query, Silent};
use foveola_core::wire::message::{Baseline, Call, Keeping};
use foveola_core::{Classifier, Fill, Masked, Picture, Score, Shape};
use foveola_tests::root;
use foveola_tests::sealed::{self, Case, Rule};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::board::{Answer, available, run_in};

const DEVICE: &str = "pole camera 7";
const SECRET: [u8; 32] = [42; 32];
const PAGE: usize = 4096;
/// Where the models begin in `flash.bin`: a page of enrolment, 32 of log.
const MODELS: usize = 33 * PAGE;
/// The first slot is behind two pages of choice.
const SLOT: usize = MODELS + 2 * PAGE;

/// Switches a board on in a folder, and off again.
fn on<R>(folder: &Path, then: impl FnOnce(&mut Remote) -> R) -> R {
    let device = "qemu:mps2-an386".parse().expect("a board");
    let started = Qemu::start_in(&device, &root().join("firmware"), folder);
    let (_qemu, line) = started.expect("a board");
    let mut remote = Remote::open(tcp(line).expect("a cable")).expect("it answers");
    then(&mut remote)
}

fn model(name: &str) -> Vec<u8> {
    let folder = root().join("host/demo");
    let options = foveola::model::OpenOptions {
        card_file: Some(folder.join("poles.card.toml")),
        ..Default::default()
    };
    let path = folder.join(format!("{name}.onnx"));
    let model = foveola::model::OpenModel::open(&path, &options).expect("a model");
    foveola::crosscheck::model_bytes(&model, true).expect("it compiles")
}

fn active(remote: &mut Remote) -> Option<[u8; 32]> {
    let facts = remote.refresh().expect("facts");
    facts
        .slots
        .get(usize::from(facts.active))
        .map(|slot| slot.sha256)
}

fn anchor(keeps: &Keeps) -> Link {
    let (number, hash) = keeps.last;
    Link { number, hash }
}

/// The log as the host reads it, which finds nothing wrong with it.
fn log(remote: &mut Remote, folder: &Path) -> Vec<String> {
    let bytes = remote.log().expect("a log");
    let keeps = remote.storage().expect("storage");
    assert!(keeps.keeping == Keeping::Flash && keeps.sound, "{keeps:?}");
    let path = folder.join("log.bin");
    std::fs::write(&path, bytes).expect("a file");
    let file = LogFile::open(&path).expect("a log");
    let key = Key::enrolled(SECRET);
    let found = file.verify(DEVICE, Some(key), Some(anchor(&keeps)));
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    assert_eq!(found.summary.signed, found.summary.last);
    let told = file
        .records()
        .filter(|r| !matches!(r.entry.event, Event::Checkpoint { .. }));
    told.map(|record| foveola::audit::story(&record)).collect()
}

#[test]
fn log_and_model_outlast_the_board() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let honest = model("honest");
    let linked = on(at, |remote| {
        let keeps = remote.storage().expect("storage");
        assert_eq!(
            (keeps.keeping, keeps.device.as_str()),
            (Keeping::NotEnrolled, "")
        );
        remote
            .enrol(DEVICE, SECRET, [0; 32])
            .expect("it is enrolled");
        let again = remote
            .enrol(DEVICE, [1; 32], [0; 32])
            .expect_err("once only");
        assert!(
            again.to_string().contains("a name and a key already"),
            "{again}"
        );
        let linked = active(remote);
        remote
            .put_model(&honest, &mut |_, _| true)
            .expect("it arrives");
        assert_ne!(active(remote), linked);
        linked
    });
    // What was put runs after the start, without being sent; frames are told.
    let side = 64 * 64 * 3;
    std::fs::write(at.join("frame.0.bin"), vec![90; side]).expect("a frame");
    let story = on(at, |remote| {
        assert_ne!(active(remote), linked);
        remote.take_frame().expect("a frame");
        let scores = remote.scores(Score::Probability).expect("scores");
        let mut story = log(remote, at);
        let last = story.pop().expect("a record");
        let said = format!(
            "answered class {}, score {}",
            scores.target, scores.values[scores.target]
        );
        assert_eq!(last, said);
        story
    });
    let wanted = [
        "started",
        "model version 0 runs from slot 0",
        "started",
        "model version 0 is sound",
    ];
    assert_eq!(story, wanted);

    // One flipped bit in the model: it is refused, and nothing takes its place.
    let mut flash = std::fs::read(at.join("flash.bin")).expect("the flash");
    assert_eq!(flash[SLOT..SLOT + honest.len()], honest);
    flash[SLOT + honest.len() / 2] ^= 4;
    std::fs::write(at.join("flash.bin"), &flash).expect("a file");
    on(at, |remote| {
        assert_eq!(active(remote), None);
        let none = remote.scores(Score::Logit);
        assert!(matches!(none, Err(LinkError::Refused(_))), "{none:?}");
        let story = log(remote, at);
        assert_eq!(
            story.last().expect("a record"),
            "model version 0 was refused, error 101"
        );
        remote
            .put_model(&honest, &mut |_, _| true)
            .expect("it arrives");
        assert!(active(remote).is_some());
    });
}

/// The demo's scene, as the model takes it, and the same one mirrored.
fn frames() -> [Vec<u8>; 2] {
    let folder = root().join("host/demo");
    let options = foveola::model::OpenOptions {
        card_file: Some(folder.join("poles.card.toml")),
        ..Default::default()
    };
    let model = foveola::model::OpenModel::open(&folder.join("honest.onnx"), &options);
    let intake = model.expect("a model");
    let photo = Photo::open(&folder.join("scene.png"), &intake.intake()).expect("a photo");
    let Picture::Pixels { data, .. } = photo.picture() else {
        panic!("a photo has pixels");
    };
    let rows = data.chunks(SIDE * 3);
    let mirrored = rows.flat_map(|row| row.chunks(3).rev().flatten().copied());
    [data.to_vec(), mirrored.collect()]
}

const SIDE: usize = 64;

/// Probabilities and the occlusion map of the best class, by this machine.
fn on_host(file: &[u8], pixels: &[u8]) -> (Vec<f32>, Vec<f32>) {
    let model = ModelFile::new(file).expect("a model");
    let normalisation = model.model().normalisation();
    let picture = Picture::Pixels {
        shape: Shape::new(SIDE, SIDE, 3),
        data: pixels,
        normalisation: &normalisation,
    };
    let mut backend = CoreBackend::new(ModelFile::new(file).expect("a model").into(), 1);
    let backend = backend.as_mut().expect("a backend");
    let mut scores = vec![0.0; backend.classes()];
    let x = Masked::whole(picture);
    backend
        .classify(&x, Score::Probability, &mut scores)
        .expect("scores");
    let occlusion = Occlusion {
        window: Some([0, 16, 16]),
        stride: Some([0, 16, 16]),
        fill: Fill::Colour(picture.colour(0.0)),
        mindspore: false,
    };
    let cost = occlusion.cost(backend, 1).expect("a cost");
    let mut map = vec![0.0; occlusion.map_shape(backend).expect("a shape").len()];
    let (mut outcome, mut scratch) = ([Outcome::Flat], vec![0.0; cost.scratch]);
    let query = Query {
        picture,
        targets: &[best(&scores)],
        score: None,
        seed: 0,
    };
    occlusion
        .explain(
            backend,
            &query,
            &mut map,
            &mut outcome,
            &mut scratch,
            &mut Silent,
        )
        .expect("a map");
    assert_eq!(outcome, [Outcome::Ok]);
    (scores, map)
}

fn best(scores: &[f32]) -> usize {
    let order = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]);
    (0..scores.len()).max_by(order).expect("a class")
}

/// Share of the positive evidence in columns `from` to `to`.
fn share(map: &[f32], from: usize, to: usize) -> f64 {
    let inside = |at: usize| (from..to).contains(&(at % SIDE));
    let weigh = |kept: &dyn Fn(usize) -> bool| -> f64 {
        let kept = map.iter().enumerate().filter(|(at, _)| kept(*at));
        kept.map(|(_, value)| f64::from(value.max(0.0))).sum()
    };
    weigh(&inside) / weigh(&|_| true)
}

/// What the log of a job says, checkpoints left out; the log is sound.
fn told(folder: &Path) -> Vec<String> {
    let file = LogFile::open(&folder.join("log.bin")).expect("a log");
    let found = file.verify(DEVICE, Some(Key::enrolled(SECRET)), None);
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    assert_eq!(found.summary.signed, found.summary.last);
    let told = file
        .records()
        .filter(|r| !matches!(r.entry.event, Event::Checkpoint { .. }));
    let word = |record: Record<'_>| match record.entry.event {
        Event::Boot { lost } => format!("boot {lost}"),
        Event::Model { version, code } => format!("model {version} {code}"),
        Event::SelfTest { cases, failed } => format!("self-test {cases} {failed}"),
        Event::Answer { class, .. } => format!("answer {class}"),
        Event::Explanation { class, method } => {
            format!(
                "explanation {class} {}",
                method.split(' ').next().expect("a name")
            )
        }
        Event::Verdict { class, rule, .. } => format!("verdict {class} {rule}"),
        Event::Update { slot, version } => format!("update {slot} {version}"),
        other => format!("{other:?}"),
    };
    told.map(word).collect()
}

struct Scene {
    folder: TempDir,
    model: Vec<u8>,
    key: SigningKey,
    rule: Rule,
    case: Case,
    shares: [f64; 2],
    class: usize,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let model = model("honest");
        let [good, wrong] = frames();
        let (scores, map) = on_host(&model, &good);
        let class = best(&scores);
        let halves = [(0, SIDE / 2), (SIDE / 2, SIDE)];
        let more = |(from, to): &(usize, usize)| share(&map, *from, *to) > 0.5;
        let (from, to) = halves.into_iter().find(more).expect("a half");
        let shares = [&good, &wrong].map(|frame| share(&on_host(&model, frame).1, from, to));
        assert!(
            shares[0] > shares[1] + 0.1,
            "{shares:?}: the frames do not differ enough"
        );
        for (frame, number) in [&good, &wrong, &good].into_iter().zip(0..) {
            let name = format!("frame.{number}.bin");
            std::fs::write(folder.path().join(name), frame).expect("a frame");
        }
        let window = Some([0, 16, 16]);
        let rule = Rule {
            call: Call::Occlusion {
                window,
                stride: window,
                baseline: Baseline::Number(0.0),
                mindspore: false,
            },
            region: [from as f32, 0.0, (to - from) as f32, SIDE as f32],
            least: ((shares[0] + shares[1]) / 2.0) as f32,
        };
        let hash = map
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>();
        let case = Case {
            shape: [SIDE as u32, SIDE as u32, 3],
            picture: good,
            scores,
            map: (class as u16, Sha256::digest(hash).into()),
        };
        Self {
            folder,
            model,
            key: SigningKey::from_bytes(&[9; 32]),
            rule,
            case,
            shares,
            class,
        }
    }

    fn sealed(&self, release: u32) -> Vec<u8> {
        let policy = sealed::policy(&self.rule, &self.case, 0);
        sealed::seal(&self.model, &policy, release, &self.key)
    }

    fn run(&self, job: &str) -> Answer {
        run_in("mps2-an386", self.folder.path(), job).done("mps2-an386")
    }

    /// Offers a file as an update; what the board says of it.
    fn offer(&self, file: &[u8]) -> (String, Answer) {
        std::fs::write(self.folder.path().join("m.fov"), file).expect("a file");
        let answer = self.run("audit=1\nmodel=m.fov\n");
        (answer.get("update").to_owned(), answer)
    }
}

/// Signed model, policy, three frames of which one is wrong; then everything
/// that must not run.
#[test]
fn frames_are_judged_and_the_log_tells_the_story() {
    if !available() {
        return;
    }
    let mut scene = Scene::new();
    let at = scene.folder.path().to_path_buf();
    let public = scene.key.verifying_key().to_bytes();
    on(&at, |remote| remote.enrol(DEVICE, SECRET, public)).expect("it is enrolled");
    let sealed = scene.sealed(2);
    std::fs::write(at.join("m.fov"), &sealed).expect("a file");
    let answer = scene.run("audit=1\nscreen=1\nmodel=m.fov\n");
    let said = ["update", "verdict.0", "verdict.1", "verdict.2", "verdict.3"];
    let said = said.map(|key| answer.get(key));
    assert_eq!(
        said,
        ["kept", "pass", "fail 1 outside", "pass", ""],
        "{}",
        answer.log
    );
    for (number, share) in [(0, scene.shares[0]), (1, scene.shares[1])] {
        let found: f64 = answer
            .get(&format!("inside.{number}"))
            .parse()
            .expect("a number");
        assert!((found - 1000.0 * share).abs() < 1.0, "{found} and {share}");
    }
    let rate: f64 = answer.get("rate").parse().expect("a rate");
    println!("{} frames in 10^9 instructions", rate / 1000.0);
    assert_eq!(
        answer.file("verdict0.ppm").len(),
        "P6 96 100 255\n".len() + 96 * 100 * 3
    );
    let class = scene.class;
    let wrong_class = best(&on_host(&scene.model, &frames()[1]).0);
    let frame = |class: usize, rule: u16| {
        [
            format!("answer {class}"),
            format!("explanation {class} occlusion"),
            format!("verdict {class} {rule}"),
        ]
    };
    let code = 1 << 8 | 1; // outside, by the first rule
    let judged = [frame(class, 0), frame(wrong_class, code), frame(class, 0)].concat();
    let first = [
        "boot 0",
        "boot 0",
        "model 0 28",
        "update 0 2",
        "self-test 1 0",
    ];
    let mut wanted: Vec<String> = first.map(String::from).to_vec();
    wanted.extend(judged.clone());
    // At the enrolment the model in the program ran; with a signer it must not.
    assert_eq!(told(&at)[told(&at).len() - wanted.len()..], wanted);

    // Started again: the kept model judges the same frames, the log goes on.
    let before = told(&at).len();
    scene.run("audit=1\n");
    let again = ["boot 0", "model 2 0", "self-test 1 0"].map(String::from);
    assert_eq!(told(&at)[before..], [again.to_vec(), judged].concat());

    // What must not run does not, is written down, and the kept one goes on.
    let mut unsigned = scene.key.clone();
    std::mem::swap(&mut scene.key, &mut unsigned);
    scene.key = SigningKey::from_bytes(&[8; 32]);
    let other_key = scene.sealed(3);
    scene.key = unsigned;
    let mut flipped = sealed.clone();
    flipped[sealed.len() / 2] ^= 1;
    for (file, words, code) in [
        (
            scene.sealed(1),
            "release 1 is too old: 2 or later is taken",
            30,
        ),
        (other_key, "the model file is not signed by this key", 28),
        (flipped, "the model file's SHA-256 does not match", 7),
    ] {
        let (update, answer) = scene.offer(&file);
        assert_eq!((update.as_str(), answer.get("verdict.0")), (words, "pass"));
        let refused = format!("model 2 {code}");
        assert!(told(&at).contains(&refused), "{refused}: {:?}", told(&at));
    }

    // The self-test finds a score that is not the one expected.
    scene.case.scores[0] = f32::from_bits(scene.case.scores[0].to_bits() ^ 1);
    let (update, answer) = scene.offer(&scene.sealed(3));
    assert_eq!(
        (update.as_str(), answer.get("verdict.0")),
        ("kept", "fail 0 scores")
    );
    assert!(told(&at).contains(&String::from("self-test 1 1")));
}
