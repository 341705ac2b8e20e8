//! The TOML of a policy.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolicyText {
    #[serde(default)]
    pub on_failure: OnFailure,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub rule: Vec<RuleText>,
    #[serde(default)]
    pub self_test: Vec<CaseText>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    #[default]
    Report,
    Withhold,
    Halt,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub instructions: Option<u64>,
    pub milliseconds: Option<u32>,
    pub ram: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Pixels,
    #[default]
    Fractions,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    #[default]
    Spearman,
    TopTenth,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreText {
    Logit,
    Probability,
}

/// A class, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TargetText {
    Number(u16),
    Name(String),
    Several(Vec<TargetText>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleText {
    pub method: String,
    pub target: Option<TargetText>,
    pub score: Option<ScoreText>,
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub unit: Unit,
    #[serde(default)]
    pub inside: Vec<[f32; 4]>,
    #[serde(default)]
    pub least_inside: f32,
    #[serde(default)]
    pub border: f32,
    #[serde(default = "whole")]
    pub most_border: f32,
    #[serde(default)]
    pub like: Vec<PathBuf>,
    #[serde(default = "grid")]
    pub grid: [u8; 2],
    #[serde(default)]
    pub measure: Measure,
    #[serde(default)]
    pub least_agreement: f32,
}

const fn whole() -> f32 {
    1.0
}

const fn grid() -> [u8; 2] {
    [8, 8]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseText {
    pub picture: PathBuf,
    pub rule: Option<u16>,
    pub target: Option<TargetText>,
    pub score: Option<ScoreText>,
}
