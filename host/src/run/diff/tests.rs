//! Two small runs whose differences are known.

use foveola_core::explain::Outcome;
use foveola_core::metric::METRICS;

use super::*;
use crate::run::view::{Flag, MapInfo, MethodInfo, MetricInfo};

/// A run of pictures with one answer each: name, probabilities, the class that
/// was explained, the map of each method, its one score.
type Given = (&'static str, [f32; 2], usize, Vec<[f32; 4]>, f64);

struct Maps(Vec<Vec<[f32; 4]>>);

impl Pictures for Maps {
    fn map(&self, sample: usize, _: usize, method: usize) -> Result<MapValues, FetchError> {
        let values = self.0[sample][method];
        let values = if values[0].is_nan() {
            Vec::new()
        } else {
            values.to_vec()
        };
        let grid = [2, 2];
        Ok(MapValues { grid, values })
    }

    fn picture(&self, _: usize) -> Result<image::RgbImage, FetchError> {
        Ok(image::RgbImage::new(1, 1))
    }

    fn training(&self, name: &str) -> Result<image::RgbImage, FetchError> {
        Err(FetchError {
            what: String::from(name),
            reason: String::from("these runs have none"),
        })
    }
}

fn side(labels: [&str; 2], methods: &[&str], given: &[Given]) -> (Run, Maps) {
    let info = |spec: &&str| MethodInfo {
        spec: String::from(*spec),
        title: String::new(),
        passes: 1,
        signed: false,
        baseline: spec.starts_with("random"),
    };
    let sample = |(name, probabilities, label, maps, score): &Given| Sample {
        file: String::from(*name),
        probabilities: probabilities.to_vec(),
        answers: vec![Answer {
            label: *label,
            flag: Flag::Unknown,
            verdict: None,
            looked_at: None,
            uncertainty: None,
            maps: maps
                .iter()
                .map(|_| MapInfo {
                    grid: [2, 2],
                    outcome: Outcome::Ok,
                    scores: vec![Ok(*score)],
                    curves: Vec::new(),
                })
                .collect(),
            agreement: Vec::new(),
            region: None,
            nearest: Vec::new(),
        }],
        ..Sample::default()
    };
    let run = Run {
        labels: labels.map(String::from).to_vec(),
        methods: methods.iter().map(info).collect(),
        metrics: vec![MetricInfo {
            spec: String::from("m"),
            row: &METRICS[0],
        }],
        samples: given.iter().map(sample).collect(),
        ..Run::default()
    };
    (run, Maps(given.iter().map(|g| g.3.clone()).collect()))
}

const UP: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
const DOWN: [f32; 4] = [4.0, 3.0, 2.0, 1.0];
const NONE: [f32; 4] = [f32::NAN; 4];
const FLAT: [f32; 4] = [-1.0; 4];

/// The second run has its classes the other way about.
#[test]
fn labels_and_evidence_are_told_apart() {
    let first = side(
        ["cat", "dog"],
        &["grad-cam:layer=a", "random", "hoc"],
        &[
            ("same", [0.9, 0.1], 0, vec![UP, NONE, UP], 1.0),
            ("turned", [0.8, 0.2], 0, vec![UP, NONE, UP], 1.0),
            ("label", [0.7, 0.3], 0, vec![UP, NONE, UP], 1.0),
            ("flat", [0.7, 0.3], 0, vec![UP, NONE, UP], 1.0),
            ("gone", [0.7, 0.3], 0, vec![UP, NONE, UP], 1.0),
        ],
    );
    let second = side(
        ["Dog", "Cat"],
        &["hoc", "grad-cam:layer=b", "random"],
        &[
            ("label", [0.6, 0.4], 1, vec![UP, UP, NONE], 3.0),
            ("turned", [0.2, 0.8], 1, vec![UP, DOWN, NONE], 2.0),
            ("flat", [0.2, 0.8], 1, vec![FLAT, UP, NONE], 2.0),
            ("same", [0.1, 0.9], 1, vec![UP, UP, NONE], 2.0),
            ("new", [0.1, 0.9], 1, vec![UP, UP, NONE], 2.0),
        ],
    );
    let of = |(run, maps): &(Run, Maps)| {
        compare(
            Side { run, maps },
            Side {
                run: &second.0,
                maps: &second.1,
            },
            &mut |_, _| {},
        )
        .expect("maps")
    };
    let found = of(&first);
    assert_eq!(
        (found.pictures, found.only_first, found.only_second),
        (4, 1, 1)
    );
    assert_eq!(found.label_changes, 1);
    let names = ["grad-cam:layer=a", "grad-cam:layer=b", "hoc", "hoc"].map(String::from);
    assert_eq!(found.methods.as_flattened(), names);

    let other = found.same_label_other_evidence(0.5);
    let files: Vec<_> = other.iter().map(|p| (&p.file[..], p.drift)).collect();
    let [("turned", Some(turned)), ("flat", Some(flat))] = files[..] else {
        panic!("{files:?}")
    };
    assert!((turned - 2.0).abs() < 1e-9 && flat == 1.0, "{files:?}");
    let changed = found.other_label();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].best, ["cat", "Dog"].map(String::from));
    assert_eq!(changed[0].probability, [0.7, 0.4]);
    assert_eq!(changed[0].drift, Some(0.0));

    let cam = &found.kept[0];
    assert_eq!((cam.n, cam.without), (3, 0));
    let near = |found: Option<f64>, expected: f64| {
        assert!(
            found.is_some_and(|v| (v - expected).abs() < 1e-9),
            "{found:?}"
        );
    };
    near(cam.spearman, 1.0 / 3.0);
    // Of one element each, twice the same.
    near(cam.overlap, 2.0 / 3.0);
    assert_eq!((found.kept[1].n, found.kept[1].without), (3, 1));
    assert_eq!(found.changed[0].n, 1);
    let score = &found.scores[0];
    assert_eq!((score.n, score.means), (4, [1.0, 2.25]));
    let interval = score.interval.expect("four scores");
    assert!(interval[0] >= 1.0 && interval[1] <= 2.0 && interval[0] < interval[1]);
}

#[test]
fn sizes_meet_at_the_larger_one() {
    let map = |grid: [usize; 2], values: &[f32]| MapValues {
        grid,
        values: values.to_vec(),
    };
    let ramp: Vec<f32> = (0..16).map(|i| (i % 4) as f32).collect();
    let maps = [map([1, 2], &[1.0, 2.0]), map([4, 4], &ramp)];
    let found = compare_maps(0, &maps, Evidence::Positive);
    // 1, 1.25, 1.75, 2 along each row rank as 0, 1, 2, 3 do.
    assert_eq!(found.drift(), 0.0);
}
