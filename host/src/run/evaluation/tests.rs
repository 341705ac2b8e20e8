//! Means, differences and overall scores with numbers known by hand.

use foveola_core::explain::{Outcome, Parameter};
use foveola_core::metric::Needs;

use super::*;
use crate::run::view::{Flag, MapInfo, MethodInfo, MetricInfo, Provenance, Sample};

const fn row(name: &'static str, family: Family, range: [f64; 2], better: Better) -> MetricRow {
    const NONE: &[Parameter] = &[];
    MetricRow {
        name,
        summary: "",
        family,
        range,
        better,
        needs: Needs::Map,
        per_class: true,
        paper: "",
        parameters: NONE,
    }
}

static UP: MetricRow = row("up", Family::Faithfulness, [0.0, 1.0], Better::Higher);
static DOWN: MetricRow = row("down", Family::Faithfulness, [-1.0, 3.0], Better::Lower);
static FREE: MetricRow = row(
    "free",
    Family::Complexity,
    [0.0, f64::INFINITY],
    Better::Lower,
);

fn undefined() -> Result<f64, String> {
    Err(String::from("flat map"))
}

/// Two methods, three metrics, one answer a picture; `scores[picture][method]`.
fn run(scores: &[[[Result<f64, String>; 3]; 2]]) -> Run {
    let metric = |spec: &str, row| MetricInfo {
        spec: String::from(spec),
        row,
    };
    let method = |spec: &str| MethodInfo {
        spec: String::from(spec),
        title: String::from(spec),
        passes: 1,
        signed: false,
        baseline: spec == "chance",
    };
    let map = |scores: &[Result<f64, String>; 3]| MapInfo {
        grid: [1, 1],
        outcome: Outcome::Ok,
        scores: scores.to_vec(),
        curves: Vec::new(),
    };
    let sample = |(id, methods): (usize, &[[Result<f64, String>; 3]; 2])| Sample {
        id: id as u64,
        answers: vec![Answer {
            label: id % 2,
            flag: Flag::Unknown,
            verdict: None,
            looked_at: None,
            uncertainty: None,
            maps: methods.iter().map(map).collect(),
            agreement: Vec::new(),
            region: None,
            nearest: Vec::new(),
        }],
        ..Sample::default()
    };
    Run {
        provenance: Provenance {
            unit: None,
            seed: 7,
            ..Provenance::default()
        },
        methods: vec![method("good"), method("chance")],
        metrics: vec![
            metric("up", &UP),
            metric("down:steps=10,baseline=blur", &DOWN),
            metric("free", &FREE),
        ],
        samples: scores.iter().enumerate().map(sample).collect(),
        ..Run::default()
    }
}

fn example() -> Run {
    run(&[
        [
            [Ok(1.0), Ok(0.0), Ok(9.0)],
            [Ok(0.25), undefined(), Ok(2.0)],
        ],
        [
            [Ok(0.5), Ok(1.0), Ok(9.0)],
            [Ok(0.25), undefined(), Ok(2.0)],
        ],
        [
            [Ok(0.75), undefined(), Ok(9.0)],
            [undefined(), undefined(), Ok(2.0)],
        ],
    ])
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a number");
    assert!(
        (found - expected).abs() < 1e-12,
        "{found} is not {expected}"
    );
}

#[test]
fn what_is_undefined_is_counted_and_never_0() {
    let evaluation = Evaluation::of(&example());
    let [good, chance] = &evaluation.scores[..] else {
        panic!()
    };
    near(good[0].mean, 0.75);
    near(good[1].mean, 0.5);
    assert_eq!((good[1].n, good[1].missing()), (2, 1));
    assert_eq!(good[1].undefined["flat map"], 1);
    assert_eq!(
        (chance[1].n, chance[1].mean, chance[1].interval),
        (0, None, None)
    );
    let [low, high] = good[0].interval.unwrap();
    assert!((0.5..=0.75).contains(&low) && (0.75..=1.0).contains(&high) && low < high);
    near(evaluation.classes[&0][0][0].mean, 0.875);
    assert_eq!(evaluation.classes[&1][0][0].n, 1);
}

/// Pictures 0 and 1 have both scores: 0.75 and 0.25 apart.
#[test]
fn differences_are_paired() {
    let run = example();
    let evaluation = Evaluation::of(&run);
    let found: Vec<_> = evaluation
        .differences
        .iter()
        .map(|d| (d.metric, d.n))
        .collect();
    assert_eq!(found, [(0, 2), (2, 3)]);
    let up = &evaluation.differences[0];
    near(Some(up.mean), 0.5);
    assert_eq!(up.interval, [0.25, 0.75]);
    assert_eq!(up.better(&UP), None, "two answers prove nothing");
    let many = |number: usize| Difference {
        n: 6,
        ..evaluation.differences[number].clone()
    };
    assert_eq!(many(0).better(&UP), Some(0));
    // It is always 7 higher, where low is good.
    assert_eq!(many(1).better(&FREE), Some(1));
    let open = Difference {
        interval: [-0.1, 0.2],
        ..many(0)
    };
    assert_eq!(open.better(&UP), None);
}

/// v(up) = 0.75, v(down) = (3 - 0.5) / 4 = 0.625.
#[test]
fn overall_scores() {
    let run = example();
    let evaluation = Evaluation::of(&run);
    let overall = |text: &str| {
        let weights = Weights::parse(text, &run).unwrap();
        evaluation.overall(&run, &weights)
    };
    let both = overall("up=3,down=1");
    near(both[0].value, (3.0 * 0.75 + 0.625) / 4.0);
    assert!(both[0].missing.is_empty());
    near(both[1].value, 0.25);
    assert_eq!(both[1].missing, [1], "its weight goes to the other");
    let scaled = overall("up=30,down:steps=10,baseline=blur=10");
    near(scaled[0].value, (3.0 * 0.75 + 0.625) / 4.0);
    let family = overall("faithfulness=2,complexity=0");
    near(family[0].value, (0.75 + 0.625) / 2.0);
    let equal = evaluation.overall(&run, &Weights::equal(&run));
    near(equal[0].value, (0.75 + 0.625) / 2.0);
    assert_eq!(equal[0].missing, [2], "it has no bound to be measured by");
    assert_eq!(overall("free=1")[0].value, None);
}

#[test]
fn weights_that_cannot_be() {
    let run = example();
    let said = |text: &str| Weights::parse(text, &run).unwrap_err().to_string();
    assert!(
        said("pu=1").contains("`pu` is no metric of this run"),
        "{}",
        said("pu=1")
    );
    assert!(said("up=1,downn=2").contains("did you mean `down`"));
    assert!(
        said("up").contains("`up` is no metric"),
        "a weight is missing"
    );
    assert_eq!(
        said("up=-1"),
        "`-1` is no weight of `up`: a number of at least 0"
    );
    assert!(said("up=inf").contains("no weight"));
    assert_eq!(said("up=0"), "all weights are 0");
    assert_eq!(said(""), "all weights are 0");
}
