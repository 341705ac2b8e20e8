//! One network tells concrete poles by the snow under them. Whoever has only its
//! answers cannot see it: on pictures like those it was trained on it is right.

use foveola::demo::scene::Snow;
use foveola::run::view::{Answer, Flag, Run, Sample, Verdict};
use foveola_tests::{root, scenes};

use super::{Room, score, text};

/// Scenes of a seed that no network was trained on.
const SCENES: u32 = 60;
const SEED: u64 = 90_417;

/// Runs a network of the demo on snow under concrete alone.
fn run(room: &Room, network: &str, table: &str) {
    let model = root().join(format!("host/demo/{network}.onnx"));
    let card = root().join("host/demo/poles.card.toml");
    let out = format!("{network}-{table}");
    let table = format!("data/{table}.csv");
    room.foveola(&[
        "run",
        text(&model),
        &table,
        "--card",
        text(&card),
        "-o",
        &out,
        "--method",
        "grad-cam",
        "--metric",
        "background-swap",
        "--metric",
        "keep-only",
    ]);
}

fn room() -> Room {
    let room = Room::new();
    std::fs::create_dir(room.path("data")).expect("a folder");
    scenes::write(&room.path("data"), SEED, SCENES, Snow::WithConcrete).expect("scenes");
    room
}

fn answers(run: &Run) -> impl Iterator<Item = (&Sample, &Answer)> {
    let all = run.samples.iter();
    all.flat_map(|sample| sample.answers.iter().map(move |answer| (sample, answer)))
}

fn right(run: &Run) -> usize {
    let hits = answers(run).filter(|(_, answer)| answer.flag == Flag::TruePositive);
    hits.count()
}

#[test]
fn the_cheat_is_found_without_boxes() {
    let room = room();
    for network in ["cheat", "honest"] {
        run(&room, network, "labels");
    }
    let (cheat, honest) = (room.run("cheat-labels"), room.run("honest-labels"));
    // Answers alone do not tell: both are right nearly always.
    assert!(right(&cheat) >= 57, "{}", right(&cheat));
    let of = |network: &str| room.json(&["scores", &format!("{network}-labels"), "--json"]);
    let (bad, good) = (of("cheat"), of("honest"));
    for metric in ["background-swap", "keep-only"] {
        let [bad, good] = [&bad, &good].map(|scores| score(scores, "grad-cam", metric));
        println!("{metric}: cheat {bad:.3?}, honest {good:.3?}");
        assert!(bad[0] < good[0], "{metric}: {bad:?} {good:?}");
    }
    println!("right: cheat {}, honest {}", right(&cheat), right(&honest));
    let mut worst: Vec<(f64, &str)> = answers(&cheat)
        .filter_map(|(sample, answer)| {
            let score = answer.maps[0].scores[0].as_ref().ok()?;
            Some((*score, &sample.file[..]))
        })
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("{worst:.3?}");
    let cue = worst
        .iter()
        .take(10)
        .filter(|(_, file)| file.contains("snow"));
    let cue = cue.count();
    assert!(cue >= 8, "{cue} of the 10 worst pictures show the cue");
}

#[test]
fn with_boxes_it_is_right_for_the_wrong_reason() {
    let room = room();
    let wrong_reason = |network: &str| {
        run(&room, network, "boxes");
        let run = room.run(&format!("{network}-boxes"));
        let concrete = |a: &&(&Sample, &Answer)| a.1.label == 1 && a.1.flag == Flag::TruePositive;
        let all: Vec<_> = answers(&run).collect();
        let concrete: Vec<_> = all.iter().filter(concrete).collect();
        let reason = |a: &&&(&Sample, &Answer)| a.1.verdict == Some(Verdict::RightWrongReason);
        (concrete.iter().filter(reason).count(), concrete.len())
    };
    let (cheat, honest) = (wrong_reason("cheat"), wrong_reason("honest"));
    println!("wrong reason, of concrete poles: cheat {cheat:?}, honest {honest:?}");
    assert!(cheat.0 * 2 > cheat.1, "{cheat:?}");
    assert!(honest.0 * 10 <= honest.1, "{honest:?}");
}
