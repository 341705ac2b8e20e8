//! Metrics as people write them: `NAME[:key=value,...]`.

mod faithfulness;
mod localization;
mod sensitivity;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::RefUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;

use foveola_core::Score;
use foveola_core::explain::MethodRow;
use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::metric::{METRICS, Metric, MetricRow, Needs, SufficientRegion};
use serde_json::Value;

use crate::method_spec::{Baseline, Given, SpecError};
use crate::suggest::hint;

/// Boxes that the tree of a sufficient region may have.
const MOST_STEPS: usize = 1 << 12;

/// One metric as asked for.
#[derive(Clone)]
pub struct MetricSpec {
    /// Its row in the metric table, as it holds for these parameters.
    pub row: &'static MetricRow,
    /// What hides what the metric takes away: the subject's fill. `None` for
    /// metrics that hide nothing.
    pub baseline: Option<Baseline>,
    /// What was asked for, in the order of the row; what is left to the metric is absent.
    given: Vec<(&'static str, String)>,
    made: Made,
}

/// A metric, made.
#[derive(Clone)]
enum Made {
    /// With nothing but its numbers.
    Plain(Arc<dyn Metric + Send + Sync + RefUnwindSafe>),
    /// With memory for a tree of boxes, which it gets when it is asked.
    SufficientRegion {
        threshold: f32,
        windows: Vec<usize>,
        strides: Vec<usize>,
    },
}

/// Makes a metric of what was given, or says which value it does not take.
type Make = fn(&Given<'_>) -> Result<Made, SpecError>;

/// How each metric of the table is made.
const MAKERS: &[(&str, Make)] = &[
    ("faithfulness", faithfulness::naive),
    ("deletion", faithfulness::deletion),
    ("insertion", faithfulness::insertion),
    ("mu-fidelity", faithfulness::mu_fidelity),
    ("road", faithfulness::road),
    ("average-drop", faithfulness::average_drop),
    ("average-increase", faithfulness::average_increase),
    ("average-gain", faithfulness::average_gain),
    ("infidelity", faithfulness::infidelity),
    ("pic", faithfulness::pic),
    ("keep-only", faithfulness::keep_only),
    ("remove-only", faithfulness::remove_only),
    ("background-swap", faithfulness::background_swap),
    ("sufficient-region", faithfulness::sufficient_region),
    ("pointing-game", localization::pointing_game),
    ("iosr", localization::iosr),
    ("energy", localization::energy),
    ("relevance-mass", localization::relevance_mass),
    ("relevance-rank", localization::relevance_rank),
    ("top-k", localization::top_k),
    ("completeness", sensitivity::completeness),
    ("class-sensitivity", sensitivity::class_sensitivity),
    ("randomisation", sensitivity::randomisation),
    ("robustness", sensitivity::robustness),
    ("max-sensitivity", sensitivity::max_sensitivity),
    ("average-sensitivity", sensitivity::average_sensitivity),
    ("lipschitz", sensitivity::lipschitz),
    ("complexity", sensitivity::complexity),
    ("sparseness", sensitivity::sparseness),
];

impl MetricSpec {
    /// Hands the metric of `core` to `work`.
    pub fn with_metric<R>(&self, work: impl FnOnce(&dyn Metric) -> R) -> R {
        match &self.made {
            Made::Plain(metric) => work(&**metric),
            Made::SufficientRegion {
                threshold,
                windows,
                strides,
            } => {
                let mut steps = vec![Step::UNUSED; MOST_STEPS];
                let mut boxes = vec![UNUSED_WINDOW; MOST_STEPS];
                work(&SufficientRegion {
                    threshold: *threshold,
                    windows,
                    strides,
                    storage: RefCell::new(Storage {
                        steps: &mut steps,
                        boxes: &mut boxes,
                    }),
                })
            }
        }
    }

    /// Whether this says anything of the maps of a method.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn suits(&self, method: Option<&MethodRow>) -> Result<(), &'static str> {
        let additive = method.is_some_and(MethodRow::is_additive);
        match self.row.needs == Needs::Additive && !additive {
            true => Err("its maps do not mean to add up to the score"),
            false => Ok(()),
        }
    }

    /// The parameters for the report; what is left to the metric is absent.
    pub fn to_json(&self) -> BTreeMap<&'static str, Value> {
        let value = |text: &str| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                text.parse::<u64>().map_or(number.into(), Value::from)
            }
            _ => Value::from(text),
        };
        let given = self.given.iter();
        given.map(|(key, text)| (*key, value(text))).collect()
    }
}

impl FromStr for MetricSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let row = METRICS.iter().find(|row| row.name == name);
        let maker = MAKERS.iter().find(|(own, _)| *own == name);
        let (Some(row), Some((_, make))) = (row, maker) else {
            return Err(SpecError::Metric {
                name: name.to_string(),
                hint: hint(name, METRICS.iter().map(|row| row.name)),
            });
        };
        let given = Given::split(row.name, row.parameters, rest)?;
        let made = make(&given)?;
        let baseline = baseline(row, &given)?;
        let row = stated(row, &given)?;
        let all = row.parameters.iter();
        let found = all.filter_map(|p| Some((p.key, given.values.get(p.key)?.clone())));
        Ok(Self {
            row,
            baseline,
            given: found.collect(),
            made,
        })
    }
}

/// The row as it holds for what was given.
fn stated(row: &'static MetricRow, given: &Given<'_>) -> Result<&'static MetricRow, SpecError> {
    let has = |key| row.parameters.iter().any(|p| p.key == key);
    let logit = has("score") && score(given)? == Score::Logit;
    let asked = if logit {
        Score::Logit
    } else {
        Score::Probability
    };
    Ok(row.stated(asked, has("compat") && mindspore(given)?))
}

/// What hides, if the metric hides anything; the row states the default.
fn baseline(row: &MetricRow, given: &Given<'_>) -> Result<Option<Baseline>, SpecError> {
    let Some(parameter) = row.parameters.iter().find(|p| p.key == "baseline") else {
        return Ok(None);
    };
    let usual = match parameter.default {
        "blur" => Baseline::Blur,
        "mean" => Baseline::Mean,
        _ => Baseline::Black,
    };
    given.baseline(usual).map(Some)
}

impl Made {
    fn plain(metric: impl Metric + Send + Sync + RefUnwindSafe + 'static) -> Self {
        Self::Plain(Arc::new(metric))
    }
}

/// The score that a metric asks for.
fn score(given: &Given<'_>) -> Result<Score, SpecError> {
    Ok(match given.choice("score", &["probability", "logit"])? {
        0 => Score::Probability,
        _ => Score::Logit,
    })
}

/// Whether MindSpore's numbers are wanted.
fn mindspore(given: &Given<'_>) -> Result<bool, SpecError> {
    Ok(given.choice("compat", &["none", "mindspore"])? == 1)
}

/// A finite number above 0.
fn positive(given: &Given<'_>, key: &str, usual: f32) -> Result<f32, SpecError> {
    let takes = "a number above 0";
    match given.number::<f32>(key, takes)?.unwrap_or(usual) {
        number if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(given.wrong(key, format!("it takes {takes}"))),
    }
}

/// A count from 1.
fn count(given: &Given<'_>, key: &str, usual: usize) -> Result<usize, SpecError> {
    let takes = "a whole number from 1";
    let number: Option<u32> = given.count(key, takes)?;
    Ok(number.map_or(usual, |n| n as usize))
}

impl fmt::Display for MetricSpec {
    /// As a person writes it; what is left to the metric is absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)?;
        for (i, (key, value)) in self.given.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for MetricSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetricSpec({self})")
    }
}

impl PartialEq for MetricSpec {
    fn eq(&self, other: &Self) -> bool {
        self.row.name == other.row.name && self.given == other.given
    }
}

#[cfg(test)]
mod tests;
