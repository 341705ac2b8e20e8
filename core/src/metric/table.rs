//! The metric table: one row a metric. It feeds the command line, the runner,
//! the report and the documentation. A metric's row stands in its file.

use super::{
    average_drop, average_gain, average_increase, average_sensitivity, background_swap,
    class_sensitivity, completeness, complexity, deletion, energy, faithfulness, infidelity,
    insertion, iosr, keep_only, lipschitz, max_sensitivity, mu_fidelity, pic, pointing_game,
    randomisation, relevance, remove_only, road, robustness, sparseness, sufficient_region, top_k,
};
use crate::classifier::Score;
use crate::explain::Parameter;

/// What a metric asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Does the score follow the evidence?
    Faithfulness,
    /// Does the evidence lie on the object?
    Localization,
    /// Do other classes and weights give other maps?
    Sensitivity,
    /// Does the map stay where the picture hardly changes?
    Robustness,
    /// How much of the picture is named?
    Complexity,
}

/// Which scores are good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// High ones.
    Higher,
    /// Low ones.
    Lower,
}

/// What a metric needs besides a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Map,
    /// Scores of changed pictures.
    Scores,
    /// Where the object is.
    Region,
    /// Maps of changed pictures or of other classes.
    Maps,
    /// Maps of the network with random weights.
    Weights,
    /// Scores of changed pictures, and a map that means to add up: see
    /// [`MethodRow::is_additive`](crate::explain::MethodRow::is_additive).
    Additive,
}

/// A row of [`METRICS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricRow {
    /// Name, in kebab-case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it asks about.
    pub family: Family,
    /// Least and greatest score; infinite where there is no bound.
    pub range: [f64; 2],
    /// Which scores are good ones.
    pub better: Better,
    /// What it needs.
    pub needs: Needs,
    /// Whether the score is that of one class; else it is that of the picture.
    pub per_class: bool,
    /// Where it comes from.
    pub paper: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

impl MetricRow {
    /// The row as it holds for this score and these numbers: logits have no
    /// bounds, and MindSpore XAI's deletion has others.
    #[must_use]
    pub fn stated(&'static self, score: Score, mindspore: bool) -> &'static Self {
        let found = STATED.iter().find(|(own, of, row)| {
            row.name == self.name && *of == score && own.is_none_or(|own| own == mindspore)
        });
        found.map_or(self, |(_, _, row)| row)
    }
}

/// Rows that hold for some parameters only: whether MindSpore XAI's numbers are
/// wanted where it matters, the score, and the row.
const STATED: &[(Option<bool>, Score, MetricRow)] = &[
    (Some(true), Score::Probability, deletion::MINDSPORE),
    (None, Score::Logit, unbounded(deletion::ROW)),
    (None, Score::Logit, unbounded(insertion::ROW)),
    (None, Score::Logit, unbounded(road::ROW)),
];

const fn unbounded(row: MetricRow) -> MetricRow {
    MetricRow {
        range: [f64::NEG_INFINITY, f64::INFINITY],
        ..row
    }
}

/// All metrics, family by family.
pub const METRICS: &[MetricRow] = &[
    // Faithfulness.
    faithfulness::ROW,
    deletion::ROW,
    insertion::ROW,
    completeness::ROW,
    mu_fidelity::ROW,
    road::ROW,
    average_drop::ROW,
    average_increase::ROW,
    average_gain::ROW,
    infidelity::ROW,
    pic::ROW,
    keep_only::ROW,
    remove_only::ROW,
    background_swap::ROW,
    // Localization.
    pointing_game::ROW,
    iosr::ROW,
    energy::ROW,
    relevance::MASS,
    relevance::RANK,
    top_k::ROW,
    // Sensitivity.
    class_sensitivity::ROW,
    randomisation::ROW,
    // Robustness.
    robustness::ROW,
    max_sensitivity::ROW,
    average_sensitivity::ROW,
    lipschitz::ROW,
    // Complexity.
    complexity::ROW,
    sparseness::ROW,
    sufficient_region::ROW,
];

pub(super) const fn parameter(
    key: &'static str,
    default: &'static str,
    help: &'static str,
) -> Parameter {
    Parameter { key, default, help }
}

/// Which number of the class is asked for.
pub(super) const SCORE: Parameter = parameter(
    "score",
    "probability",
    "probability or logit (which has no bounds)",
);

/// What shows where pixels are taken away; whoever makes the subject sees to it.
pub(super) const fn baseline(default: &'static str) -> Parameter {
    parameter(
        "baseline",
        default,
        "what hides: blur, black, mean, a number or a file",
    )
}

/// Whether MindSpore XAI's numbers are wanted.
pub(super) const COMPAT: Parameter =
    parameter("compat", "none", "mindspore: MindSpore XAI's numbers");
