//! Parameters of LRP, from text and as values.

use foveola_core::relevance::{LayerRule, NormRule, RelevanceRules, SumRule};

use super::parse::Given;
use super::values::{Values, decimal};
use super::{Parameters, SpecError};

/// Rules of a layer by name.
const RULES: [&str; 7] = [
    "epsilon",
    "gamma",
    "zplus",
    "alpha-beta",
    "w2",
    "flat",
    "zb",
];
/// Those, and the one that is made of several.
const ALL: [&str; 8] = [
    "composite",
    "epsilon",
    "gamma",
    "zplus",
    "alpha-beta",
    "w2",
    "flat",
    "zb",
];

const fn rule(index: usize, gamma: f32, alpha: f32) -> LayerRule {
    match index {
        0 => LayerRule::Epsilon,
        1 => LayerRule::Gamma(gamma),
        2 => LayerRule::ZPlus,
        3 => LayerRule::AlphaBeta(alpha),
        4 => LayerRule::WSquare,
        5 => LayerRule::Flat,
        _ => LayerRule::ZBox,
    }
}

const fn name(rule: LayerRule) -> &'static str {
    match rule {
        LayerRule::Epsilon => "epsilon",
        LayerRule::Gamma(_) => "gamma",
        LayerRule::ZPlus => "zplus",
        LayerRule::AlphaBeta(_) => "alpha-beta",
        LayerRule::WSquare => "w2",
        LayerRule::Flat => "flat",
        LayerRule::ZBox => "zb",
    }
}

impl Given<'_> {
    /// A number that is not below `least`.
    fn at_least(&self, key: &str, usual: f32, least: f32) -> Result<f32, SpecError> {
        let takes = format!("a number from {least}");
        let value = self.number::<f32>(key, &takes)?.unwrap_or(usual);
        match value.is_finite() && value >= least {
            true => Ok(value),
            false => Err(self.wrong(key, format!("it takes {takes}"))),
        }
    }

    pub(super) fn relevance(&self) -> Result<Parameters, SpecError> {
        let gamma = self.at_least("gamma", 0.25, 0.0)?;
        let alpha = self.at_least("alpha", 2.0, 1.0)?;
        let epsilon = self.at_least("epsilon", 1e-6, 0.0)?;
        let of = |key: &str, usual: LayerRule| match self.values.contains_key(key) {
            true => Ok(rule(self.choice(key, &RULES)?, gamma, alpha)),
            false => Ok::<_, SpecError>(usual),
        };
        let (convolution, first, exact) = match self.choice("rule", &ALL)? {
            0 => (LayerRule::Gamma(gamma), LayerRule::ZBox, true),
            index => {
                let one = rule(index - 1, gamma, alpha);
                (one, one, false)
            }
        };
        let last_exact = match self.values.contains_key("last") {
            true => self.choice("last", &["exact", "rule"])? == 0,
            false => exact,
        };
        let sum = match self.choice("add", &["share", "copy"])? {
            0 => SumRule::Share,
            _ => SumRule::Copy,
        };
        let norm = match self.choice("bn", &["fold", "own"])? {
            0 => NormRule::Fold,
            _ => NormRule::Own,
        };
        Ok(Parameters::Relevance(RelevanceRules {
            first: of("first", first)?,
            convolution,
            dense: of("dense", LayerRule::Epsilon)?,
            last_exact,
            epsilon,
            bias: self.choice("bias", &["none", "share"])? == 1,
            stabilise_maximum: self.choice("max", &["winner", "epsilon"])? == 1,
            sum,
            norm,
        }))
    }
}

/// The rules as values; composite is written as what it is made of.
pub(super) fn values(rules: &RelevanceRules, none: Values) -> Values {
    let each = [rules.first, rules.convolution, rules.dense];
    let gamma = each.iter().find_map(|rule| match rule {
        LayerRule::Gamma(gamma) => Some(decimal(*gamma)),
        _ => None,
    });
    let alpha = each.iter().find_map(|rule| match rule {
        LayerRule::AlphaBeta(alpha) => Some(decimal(*alpha)),
        _ => None,
    });
    let word = |yes: bool, this, that| if yes { this } else { that };
    none.put("rule", name(rules.convolution))
        .put("first", name(rules.first))
        .put("dense", name(rules.dense))
        .put("last", word(rules.last_exact, "exact", "rule"))
        .put("epsilon", decimal(rules.epsilon))
        .may("gamma", gamma)
        .may("alpha", alpha)
        .put("bn", word(rules.norm == NormRule::Fold, "fold", "own"))
        .put("bias", word(rules.bias, "share", "none"))
        .put("max", word(rules.stabilise_maximum, "epsilon", "winner"))
        .put("add", word(rules.sum == SumRule::Copy, "copy", "share"))
}
