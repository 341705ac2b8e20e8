//! What a board keeps, over the line: its log, which goes on from start to
//! start, and the model that runs.

use std::path::Path;

use foveola::audit::LogFile;
use foveola::link::{Keeps, LinkError, Qemu, Remote, tcp};
use foveola_core::Score;
use foveola_core::audit::anchor::Link;
use foveola_core::audit::key::Key;
use foveola_core::audit::record::Event;
use foveola_core::wire::message::Keeping;
use foveola_tests::root;

use super::board::available;

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
