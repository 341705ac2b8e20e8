use foveola_core::Shape;
use foveola_core::explain::Cost;
use serde_json::json;

use super::*;

fn parse(text: &str) -> MetricSpec {
    text.parse().unwrap()
}

fn fails(text: &str) -> String {
    text.parse::<MetricSpec>().unwrap_err().to_string()
}

#[test]
fn every_metric_of_the_table_is_made() {
    for row in METRICS {
        assert_eq!(parse(row.name).row, row);
    }
    assert_eq!(MAKERS.len(), METRICS.len());
}

/// The help states the defaults: written out, they change nothing that costs.
#[test]
fn stated_defaults_are_the_defaults() {
    let none = Cost {
        forward: 0,
        backward: 0,
        scratch: 0,
    };
    let cost = |spec: &MetricSpec| spec.with_metric(|m| m.cost(Shape::new(32, 32, 3), 10, none));
    for row in METRICS {
        let usual = parse(row.name);
        for p in row.parameters {
            let Ok(stated) = format!("{}:{}={}", row.name, p.key, p.default).parse::<MetricSpec>()
            else {
                // A default in words, which depends on the picture.
                assert!(p.default.contains(' ') || p.default == "none", "{p:?}");
                continue;
            };
            assert_eq!(stated.baseline, usual.baseline, "{stated}");
            assert_eq!(cost(&stated), cost(&usual), "{stated}");
        }
    }
}

/// MindSpore XAI's deletion lies around 1 (1 + (1 + area) / 2, areas from -1 to
/// 1), its insertion from 0 to 1; logits have no bounds.
#[test]
fn rows_state_the_range_that_holds() {
    let range = |text: &str| parse(text).row.range;
    let none = [f64::NEG_INFINITY, f64::INFINITY];
    assert_eq!(range("deletion"), [0.0, 1.0]);
    assert_eq!(range("deletion:compat=mindspore"), [0.5, 1.5]);
    assert_eq!(range("insertion:compat=mindspore"), [0.0, 1.0]);
    for text in ["deletion", "insertion", "road"] {
        assert_eq!(range(&format!("{text}:score=logit")), none);
    }
    assert_eq!(range("deletion:score=logit,compat=mindspore"), none);
    // Correlations keep theirs.
    assert_eq!(range("mu-fidelity:score=logit"), [-1.0, 1.0]);
    let own = MetricRow {
        range: [0.0, 1.0],
        ..*parse("deletion:compat=mindspore").row
    };
    assert_eq!(own, *parse("deletion").row);
}

#[test]
fn completeness_is_for_what_adds_up() {
    use foveola_core::explain::METHODS;
    let asked = parse("completeness");
    let gradient = METHODS.iter().find(|row| row.name == "gradient").unwrap();
    let additive = MethodRow {
        name: "integrated-gradients",
        ..*gradient
    };
    assert_eq!(asked.suits(Some(&additive)), Ok(()));
    for other in [Some(gradient), None] {
        assert!(asked.suits(other).unwrap_err().contains("add up"));
        assert_eq!(parse("deletion").suits(other), Ok(()));
    }
}

#[test]
fn it_reads_back_what_it_writes() {
    let spec = parse("deletion:baseline=12.5,steps=8");
    assert_eq!(spec.to_string(), "deletion:steps=8,baseline=12.5");
    assert_eq!(parse(&spec.to_string()), spec);
    assert_eq!(spec.baseline, Some(Baseline::Number(12.5)));
    assert_eq!(json!(spec.to_json()), json!({"steps": 8, "baseline": 12.5}));
    assert_eq!(parse("insertion").to_string(), "insertion");
    assert_eq!(parse("insertion").baseline, Some(Baseline::Blur));
    assert_ne!(parse("insertion:steps=9"), parse("insertion"));
}

#[test]
fn slips_are_pointed_out() {
    assert_eq!(
        fails("insertions"),
        "there is no metric `insertions`: did you mean `insertion`?"
    );
    assert_eq!(
        fails("deletion:step=3"),
        "`deletion` has no parameter `step`: did you mean `steps`?"
    );
    assert_eq!(
        fails("deletion:steps=0"),
        "`deletion:steps=0`: it takes a whole number from 1"
    );
    assert_eq!(
        fails("deletion:score=odds"),
        "`deletion:score=odds`: it takes probability or logit"
    );
    assert_eq!(
        fails("deletion:baseline=pink"),
        "`deletion:baseline=pink`: it takes blur, black, mean or a number, or a picture: a file .npy, .png, .jpg or .bmp"
    );
}
