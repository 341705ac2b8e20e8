//! One network tells concrete poles by the snow under them. Whoever has only its
//! answers cannot see it: on pictures like those it was trained on it is right.

use foveola::demo::scene::Snow;
use foveola::run::view::{Answer, Flag, Run, Sample, Verdict};
use foveola_tests::{root, scenes};

use super::{Room, score, text};

/// Scenes of a seed that no network was trained on.
const SCENES: u32 = 60;
const SEED: u64 = 90_417;

const SWAP: &str = "background-swap:share=0.3";
const KEEP: &str = "keep-only:share=0.3,baseline=mean";
const REMOVE: &str = "remove-only";
/// Stands beside the methods of every run: the middle of the picture is the
/// evidence, whatever the network.
const CENTRE: &str = "baseline:map=centre";

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
        SWAP,
        "--metric",
        KEEP,
        "--metric",
        REMOVE,
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

/// What stands in the middle of a picture should be enough, also before other
/// backgrounds: the honest network says so, the cheat misses its snow. (A map of
/// the cheat that is true to it names the snow, and to keep *that* is enough for
/// the cheat: what shows without boxes is that its map can be taken away and the
/// class stays, as there is snow everywhere.)
#[test]
fn the_cheat_is_found_without_boxes() {
    let room = room();
    for network in ["cheat", "honest"] {
        run(&room, network, "labels");
    }
    let (cheat, honest) = (room.run("cheat-labels"), room.run("honest-labels"));
    println!("right: cheat {}, honest {}", right(&cheat), right(&honest));
    // Answers alone do not tell.
    assert!(right(&cheat) >= 57 && right(&honest) >= 50);
    let of = |network: &str| room.json(&["scores", &format!("{network}-labels"), "--json"]);
    let (bad, good) = (of("cheat"), of("honest"));
    for (method, metric) in [(CENTRE, SWAP), (CENTRE, KEEP)] {
        let [bad, good] = [&bad, &good].map(|scores| score(scores, method, metric));
        println!("{method}, {metric}: cheat {bad:.3?}, honest {good:.3?}");
        assert!(bad[2] < good[1], "{metric}: {bad:?} {good:?}");
    }
    let [bad, good] = [&bad, &good].map(|scores| score(scores, "grad-cam", REMOVE));
    println!("grad-cam, {REMOVE}: cheat {bad:.3?}, honest {good:.3?}");
    assert!(bad[1] > good[2], "{REMOVE}: {bad:?} {good:?}");

    let centre = cheat.methods.iter().position(|m| m.spec == CENTRE);
    let centre = centre.expect("it stands in every run");
    let mut worst: Vec<(f64, &str)> = answers(&cheat)
        .filter_map(|(sample, answer)| {
            let score = answer.maps[centre].scores[0].as_ref().ok()?;
            Some((*score, &sample.file[..]))
        })
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    let shows = |file: &str| file.contains("snow");
    let cue = worst.iter().take(5).filter(|(_, file)| shows(file)).count();
    println!("{cue} of the 5 worst show the cue: {:.3?}", &worst[..10]);
    assert!(
        cue >= 4,
        "a third of all pictures shows it: {cue} of the 5 worst"
    );
    let mean = |cue: bool| {
        let of = worst.iter().filter(|(_, file)| shows(file) == cue);
        let scores: Vec<f64> = of.map(|(score, _)| *score).collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    println!("with the cue {:.3}, without {:.3}", mean(true), mean(false));
    assert!(mean(true) + 0.1 < mean(false));
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
