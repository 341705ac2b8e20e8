//! What is written is what is read, and the same bytes each time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola_core::Score;
use foveola_core::explain::Outcome;
use foveola_core::metric::METRICS;

use super::manifest::{Config, DataRecord, MANIFEST, Manifest, MethodRecord, ModelRecord, Shards};
use super::read::RunFolder;
use super::record::{Names, Record};
use super::shard::{Claim, Seal, ShardWriter, copy, place};
use super::view::{
    Agreement, Answer, Curve, Flag, LabelledBox, MapInfo, MapValues, Pictures, Sample, Uncertainty,
    Verdict,
};
use super::{RunError, shard};
use crate::card::{Card, Channels, OutputActivation, Resize};
use crate::explainer::{Layer, Region, Step};
use crate::model::BackendKind;

fn metrics() -> Vec<String> {
    METRICS
        .iter()
        .take(2)
        .map(|row| row.name.to_string())
        .collect()
}

fn manifest(threshold: f32) -> Manifest {
    let card = Card {
        size: [2, 3],
        resize: Resize::Crop,
        channels: Channels::Rgb,
        mean: vec![0.5; 3],
        scale: vec![1.0 / 255.0; 3],
        activation: OutputActivation::Softmax,
        labels: ["a", "b", "</script>"].map(String::from).to_vec(),
    };
    let method = |spec: &str| MethodRecord {
        spec: spec.to_string(),
        title: String::from("Occlusion"),
        passes: 9,
        signed: true,
        baseline: spec.starts_with("baseline"),
    };
    let mut manifest = Manifest {
        format: super::manifest::FORMAT,
        tool: String::from("0.1.0"),
        config_hash: String::new(),
        model: ModelRecord {
            path: PathBuf::from("there/model.onnx"),
            sha256: String::from("00"),
            input: [2, 3, 3],
            classes: 3,
            card,
        },
        data: DataRecord {
            path: PathBuf::from("pictures"),
            pictures: 5,
            sha256: String::from("11"),
            ..DataRecord::default()
        },
        config: Config {
            backend: BackendKind::Core,
            arithmetic: String::from("strict"),
            allow_external: false,
            input_size: None,
            methods: vec![method("occlusion:window=1/1"), method("baseline:random")],
            metrics: metrics(),
            uncertainty: None,
            hoc: Some(String::from("hoc")),
            threshold,
            seed: 7,
            pictures: true,
            unit: None,
            train: None,
        },
        shards: Shards::of(5, 3),
        command: vec![String::from("run")],
    };
    manifest.config_hash = manifest.hash().unwrap();
    manifest
}

fn map(outcome: Outcome, id: u64) -> MapInfo {
    let scores = [Ok(id as f64 / 3.0), Err(String::from("nobody said where"))];
    MapInfo {
        grid: [2, 3],
        outcome,
        scores: scores.into_iter().take(metrics().len()).collect(),
        curves: vec![Curve {
            name: String::from("deletion"),
            points: vec![[0.0, 1.0], [1.0, 0.1 + id as f64]],
        }],
    }
}

fn region() -> Region {
    let step = |layer, children| Step {
        layer,
        area: [0, 0, 2, 1],
        probability: 0.3,
        change: -0.125,
        children,
    };
    let layer = |probability| Layer {
        probability,
        boxes: vec![[0, 0, 2, 1], [1, 1, 1, 1]],
    };
    Region {
        layers: vec![layer(0.3), layer(0.7)],
        tree: vec![step(0, vec![step(1, Vec::new())])],
        reveal: true,
        score: Score::Probability,
        picture: [2, 3],
    }
}

fn answer(id: u64, label: usize) -> Answer {
    let partial = Outcome::Partial { done: 3, total: 9 };
    let first = match (id, label) {
        (_, 0) => Outcome::Ok,
        (1, _) => Outcome::Undefined("the score is not finite"),
        _ => partial,
    };
    Answer {
        label,
        flag: if label == 0 {
            Flag::TruePositive
        } else {
            Flag::FalseNegative
        },
        verdict: (id > 0).then_some(Verdict::RightWrongReason),
        looked_at: (label == 2).then_some((1, 0.75)),
        uncertainty: (label == 0).then_some(Uncertainty {
            deviation: 0.1,
            low: 0.2,
            high: 0.9,
        }),
        maps: vec![map(first, id), map(Outcome::Flat, id)],
        agreement: vec![Agreement {
            methods: [0, 1],
            spearman: None,
            overlap: 0.5,
        }],
        region: match label {
            0 => Some(Ok(region())),
            _ => Some(Err(String::from("the class is below the threshold"))),
        },
        nearest: vec![(String::from("train/b.png"), 0.25)],
    }
}

fn record(id: u64) -> Record {
    if id == 2 {
        let failure = Some(String::from("it is not a picture"));
        let sample = Sample {
            id,
            file: String::from("bad.png"),
            failure,
            ..Sample::default()
        };
        return Record {
            sample,
            ..Record::default()
        };
    }
    let values = |k: u64| MapValues {
        grid: [2, 3],
        values: vec![k as f32 - 0.5; 6],
    };
    let none = MapValues {
        grid: [2, 3],
        values: Vec::new(),
    };
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(3, 2, image::Rgb([id as u8, 1, 2]));
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    Record {
        sample: Sample {
            id,
            file: format!("{id}.png"),
            size: [640, 480],
            failure: None,
            truth: vec![0, 2],
            boxes: vec![LabelledBox {
                label: 2,
                area: [0.1, 0.2, 0.3, 0.4],
            }],
            probabilities: vec![0.6, 0.1, 0.3],
            entropy: Some(0.9),
            margin: (id > 0).then_some(0.3),
            answers: vec![answer(id, 0), answer(id, 2)],
        },
        maps: vec![values(10 * id), none.clone(), values(10 * id + 1), none],
        picture: Some(png.into_inner()),
    }
}

fn write(run: &Path, manifest: &Manifest, shard: u64) -> Result<Seal, RunError> {
    let config = &manifest.config;
    let names = Names {
        labels: manifest.model.card.labels.clone(),
        methods: config.methods.iter().map(|m| m.spec.clone()).collect(),
        metrics: config.metrics.clone(),
    };
    std::fs::create_dir_all(run).unwrap();
    std::fs::write(run.join(MANIFEST), manifest.to_bytes().unwrap()).unwrap();
    let pictures = manifest.shards.pictures(shard, manifest.data.pictures);
    let claim = Claim::take(run, shard)?.expect("nobody else is here");
    let mut writer = ShardWriter::new(claim, Arc::new(names))?;
    pictures
        .clone()
        .try_for_each(|id| writer.add(&record(id)))?;
    writer.commit(&manifest.config_hash, pictures.start)
}

#[test]
fn what_is_written_is_read() {
    let room = tempfile::tempdir().unwrap();
    let manifest = manifest(0.5);
    for shard in 0..manifest.shards.count {
        write(room.path(), &manifest, shard).unwrap();
    }
    shard::tidy(room.path(), false);
    let folder = RunFolder::open(room.path()).unwrap();
    assert_eq!(folder.manifest(), &manifest);
    let run = folder.run().unwrap();
    let written: Vec<Sample> = (0..5).map(|id| record(id).sample).collect();
    assert_eq!(format!("{:?}", run.samples), format!("{written:?}"));
    assert_eq!(run.labels[2], "</script>");
    assert_eq!(run.provenance.model, "model.onnx");
    // In any order, across shards and a picture without answers.
    for (sample, answer) in [(4, 1), (0, 0), (3, 1), (1, 0), (4, 0)] {
        let kept = &record(sample as u64).maps[2 * answer];
        assert_eq!(&folder.map(sample, answer, 0).unwrap(), kept);
        assert!(folder.map(sample, answer, 1).is_err(), "a baseline");
        let picture = folder.picture(sample).unwrap();
        assert_eq!(picture.get_pixel(2, 1).0, [sample as u8, 1, 2]);
    }
    for (sample, answer, method) in [(2, 0, 0), (5, 0, 0), (4, 2, 0)] {
        assert!(
            folder.map(sample, answer, method).is_err(),
            "{sample} {answer}"
        );
    }
    assert!(folder.picture(2).is_err());
    assert!(!room.path().join(shard::UNFINISHED).exists());
}

#[test]
fn a_shard_written_twice_is_the_same_or_refused() {
    let room = tempfile::tempdir().unwrap();
    let manifest = manifest(0.5);
    let first = write(room.path(), &manifest, 0).unwrap();
    assert_eq!(write(room.path(), &manifest, 0).unwrap(), first);
    first.verify(&place(room.path(), 0)).unwrap();
    let other = tempfile::tempdir().unwrap();
    assert!(copy(room.path(), other.path(), 0).unwrap());
    assert!(!copy(room.path(), other.path(), 0).unwrap());
    // One byte of a table: refused as damaged. Another seal: refused as another.
    let maps = place(other.path(), 0).join("maps.parquet");
    let mut bytes = std::fs::read(&maps).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&maps, &bytes).unwrap();
    let message = copy(other.path(), room.path(), 0).unwrap_err().to_string();
    assert!(message.contains("maps.parquet"), "{message}");
    let seal = place(other.path(), 0).join(shard::SEAL);
    let text = std::fs::read_to_string(&seal).unwrap();
    let hash = &first.files[2].1;
    std::fs::write(&seal, text.replace(hash, &crate::model::sha256(&bytes))).unwrap();
    let message = copy(other.path(), room.path(), 0).unwrap_err().to_string();
    assert!(
        message.contains("shard 0") && message.contains("maps.parquet"),
        "{message}"
    );
}

#[test]
fn a_claimed_shard_is_left_alone() {
    let room = tempfile::tempdir().unwrap();
    let claim = Claim::take(room.path(), 0).unwrap().expect("free");
    assert!(Claim::take(room.path(), 0).unwrap().is_none());
    drop(claim);
    let claim = Claim::take(room.path(), 0).unwrap();
    assert!(claim.is_some());
}

#[test]
fn manifests_say_what_differs() {
    let (a, b) = (manifest(0.5), manifest(0.25));
    let said = a.difference(&b).unwrap();
    assert!(
        said.contains("config.threshold") && said.contains("0.25"),
        "{said}"
    );
    let mut moved = a.clone();
    moved.model.path = PathBuf::from("/elsewhere/model.onnx");
    moved.command.push(String::from("--more"));
    assert_eq!(moved.hash().unwrap(), a.config_hash);
    assert_eq!(a.difference(&moved), None);
}

#[test]
fn changed_manifests_are_refused() {
    let room = tempfile::tempdir().unwrap();
    assert!(matches!(
        RunFolder::open(room.path()),
        Err(RunError::NoRun(_))
    ));
    let text = String::from_utf8(manifest(0.5).to_bytes().unwrap()).unwrap();
    for (from, to) in [
        ("\"seed\": 7", "\"seed\": 8"),
        ("\"count\": 2", "\"count\": 9"),
        ("{", ""),
    ] {
        assert!(text.contains(from));
        std::fs::write(room.path().join(MANIFEST), text.replacen(from, to, 1)).unwrap();
        assert!(
            matches!(RunFolder::open(room.path()), Err(RunError::Damaged { .. })),
            "{to}"
        );
    }
}
