//! `foveola metrics`: the metric table.

use foveola_core::Shape;
use foveola_core::explain::Cost;
use foveola_core::metric::{Better, Family, METRICS, MetricRow, Needs};

use super::table::{lay_out, row};
use crate::metric_spec::MetricSpec;

/// The input for which passes are stated.
const INPUT: Shape = Shape::new(224, 224, 3);

/// Passes from which on a bound says nothing.
const MANY: u64 = 1 << 20;

/// Runs the command.
pub fn run() -> String {
    let mut text = String::from("Metrics, for --metric NAME[:key=value,...].\n\n");
    for metric in METRICS {
        text += &describe(metric);
        text.push('\n');
    }
    text
}

fn describe(metric: &MetricRow) -> String {
    let about = match metric.family {
        Family::Faithfulness => "faithfulness: does the score follow the evidence?",
        Family::Localization => "localization: does the evidence lie on the object?",
        Family::Sensitivity => "sensitivity: do other classes and weights give other maps?",
        Family::Robustness => "robustness: does the map stay where the picture hardly changes?",
        Family::Complexity => "complexity: how much of the picture is named?",
    };
    let needs = match metric.needs {
        Needs::Map => "a map",
        Needs::Scores => "a map, and scores of changed pictures",
        Needs::Region => "a map, and where the object is",
        Needs::Maps => "maps of changed pictures or of other classes",
        Needs::Weights => "maps of the network with random weights: the core backend",
        Needs::Additive => "a map that means to add up, and scores of changed pictures",
    };
    let mut rows = vec![
        row([&"  asks", &about]),
        row([&"  range", &range(metric)]),
        row([&"  needs", &needs]),
        row([&"  cost", &cost(metric)]),
        row([&"  paper", &metric.paper]),
    ];
    for p in metric.parameters {
        let value = format!("{} [default: {}]", p.help, p.default);
        rows.push(row([&format!("  {}=", p.key), &value]));
    }
    let (name, summary) = (metric.name, metric.summary);
    format!("{name}: {summary}\n{}", lay_out(&rows, &[]))
}

/// The least and the greatest score, and which one is good.
fn range(metric: &MetricRow) -> String {
    let end = |value: f64| match value.is_finite() {
        true => value.to_string(),
        false => String::from("no bound"),
    };
    let good = match metric.better {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    };
    format!(
        "{} to {}; {good}",
        end(metric.range[0]),
        end(metric.range[1])
    )
}

/// Passes for a common picture.
fn cost(metric: &MetricRow) -> String {
    let forward = |passes: u64| {
        let explanation = Cost {
            forward: passes,
            backward: 0,
            scratch: 0,
        };
        let spec = metric.name.parse::<MetricSpec>();
        spec.map_or(0, |spec| {
            spec.with_metric(|m| m.cost(INPUT, 1000, explanation).forward)
        })
    };
    let own = forward(0);
    let again = forward(1).saturating_sub(own);
    let side = INPUT.h;
    match (own, again) {
        (MANY.., _) => String::from("tens to thousands of forward passes, as the picture has it"),
        (0, 0) => String::from("no passes"),
        (own, 0) => format!("{own} forward passes at {side}x{side} pixels"),
        (0, again) => format!("{again} explanations"),
        (own, again) => {
            format!("{own} forward passes at {side}x{side} pixels, and {again} explanations")
        }
    }
}
