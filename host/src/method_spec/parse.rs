//! From text to a method.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use foveola_core::explain::{Aise, METHODS, Parameter};
use foveola_core::mask::MAX_CELLS;

use super::estimator::{Estimator, MOST_ADJUSTED_CELLS};
use super::{Baseline, FileName, Limits, MethodSpec, Parameters, SpecError};
use crate::suggest::hint;

/// Cells along a side for which there are coordinates enough.
const MOST_EVEN_CELLS: u16 = 15;

impl FromStr for MethodSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let row = METHODS
            .iter()
            .find(|row| row.name == name)
            .ok_or_else(|| SpecError::Method {
                name: name.to_string(),
                hint: hint(name, METHODS.iter().map(|row| row.name)),
            })?;
        let (limits, rest) = Limits::split(row.name, rest)?;
        let given = Given::split(row.name, row.parameters, &rest)?;
        let parameters = match name {
            "grad-cam" => given.grad_cam()?,
            "occlusion" => given.occlusion()?,
            "rise" => given.rise()?,
            "hoc" => given.hoc()?,
            "meaningful-perturbation" => given.meaningful_perturbation()?,
            "smooth-grad" | "var-grad" | "square-grad" => given.noise()?,
            "integrated-gradients" => given.path()?,
            "lrp" => given.relevance()?,
            "aise" => given.aise()?,
            "activation-maximisation" => given.ascent()?,
            _ if given.takes_layer(row.parameters) => given.on_layer(name)?,
            _ => given.segmented(name)?.unwrap_or(Parameters::Plain),
        };
        Ok(Self {
            row,
            parameters,
            limits,
        })
    }
}

/// The keys and values of one method or metric.
pub(crate) struct Given<'a> {
    method: &'static str,
    pub(crate) values: BTreeMap<&'a str, String>,
}

impl<'a> Given<'a> {
    /// Splits at commas. A part without `=` belongs to the value before it, so
    /// names of layers and files may contain commas.
    pub(crate) fn split(
        method: &'static str,
        parameters: &'static [Parameter],
        text: &'a str,
    ) -> Result<Self, SpecError> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut last = None;
        for part in text.split(',').filter(|p| !p.is_empty()) {
            match (part.split_once('='), last) {
                (Some((key, value)), _) => {
                    known(method, parameters, key)?;
                    values.insert(key, value.to_string());
                    last = Some(key);
                }
                (None, Some(key)) => {
                    let value = values.entry(key).or_default();
                    value.push(',');
                    value.push_str(part);
                }
                (None, None) => {
                    known(method, parameters, part)?;
                    return Err(SpecError::Value {
                        method,
                        key: part.to_string(),
                        value: String::new(),
                        reason: String::from("it has no value"),
                    });
                }
            }
        }
        Ok(Self { method, values })
    }

    pub(crate) fn wrong(&self, key: &str, reason: impl Into<String>) -> SpecError {
        SpecError::Value {
            method: self.method,
            key: key.to_string(),
            value: self.values.get(key).cloned().unwrap_or_default(),
            reason: reason.into(),
        }
    }

    pub(crate) fn number<T: FromStr>(
        &self,
        key: &str,
        takes: &str,
    ) -> Result<Option<T>, SpecError> {
        let Some(text) = self.values.get(key) else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| self.wrong(key, format!("it takes {takes}")))
    }

    /// A number that is not NaN and lies in a range.
    pub(crate) fn share(&self, key: &str, usual: f32, above_zero: bool) -> Result<f32, SpecError> {
        let takes = if above_zero {
            "a share above 0, up to 1"
        } else {
            "a share from 0 to 1"
        };
        let value = self.number::<f32>(key, takes)?.unwrap_or(usual);
        let fits = (0.0..=1.0).contains(&value) && (value > 0.0 || !above_zero);
        match fits {
            true => Ok(value),
            false => Err(self.wrong(key, format!("it takes {takes}"))),
        }
    }

    /// A count of at least 1.
    pub(crate) fn count<T: FromStr + PartialOrd + From<u8>>(
        &self,
        key: &str,
        takes: &str,
    ) -> Result<Option<T>, SpecError> {
        let value = self.number::<T>(key, takes)?;
        match value.as_ref().is_some_and(|v| *v < T::from(1)) {
            true => Err(self.wrong(key, format!("it takes {takes}"))),
            false => Ok(value),
        }
    }

    /// A list of lengths of at least 1.
    pub(crate) fn lengths(&self, key: &str, takes: &str) -> Result<Vec<usize>, SpecError> {
        let Some(text) = self.values.get(key) else {
            return Ok(Vec::new());
        };
        let list: Result<Vec<usize>, _> = text.split('/').map(str::parse).collect();
        match list {
            Ok(list) if list.iter().all(|&n| n > 0) => Ok(list),
            _ => Err(self.wrong(key, format!("it takes {takes}, whole numbers from 1"))),
        }
    }

    /// One side for both, H/W or C/H/W; all channels are 0.
    fn window(&self, key: &str) -> Result<Option<[usize; 3]>, SpecError> {
        match self.lengths(key, "SIDE, H/W or C/H/W")?.as_slice() {
            [] => Ok(None),
            &[side] => Ok(Some([0, side, side])),
            &[h, w] => Ok(Some([0, h, w])),
            &[c, h, w] => Ok(Some([c, h, w])),
            _ => Err(self.wrong(key, "it takes SIDE, H/W or C/H/W")),
        }
    }

    pub(crate) fn baseline(&self, usual: Baseline) -> Result<Baseline, SpecError> {
        match self.values.get("baseline") {
            None => Ok(usual),
            Some(text) => self.baseline_of(text),
        }
    }

    pub(super) fn baseline_of(&self, text: &str) -> Result<Baseline, SpecError> {
        const TAKES: &str = "it takes blur, black, mean or a number, \
                             or a picture: a file .npy, .png, .jpg or .bmp";
        let number = |text: &str| text.parse().ok().filter(|n: &f32| n.is_finite());
        match text {
            "blur" => Ok(Baseline::Blur),
            "black" => Ok(Baseline::Black),
            "mean" => Ok(Baseline::Mean),
            text => number(text)
                .map(Baseline::Number)
                .or_else(|| FileName::of_picture(text).map(Baseline::File))
                .ok_or_else(|| self.wrong("baseline", TAKES)),
        }
    }

    /// One of a few words; the first is the default.
    pub(crate) fn choice(&self, key: &str, words: &[&str]) -> Result<usize, SpecError> {
        let Some(text) = self.values.get(key) else {
            return Ok(0);
        };
        let found = words.iter().position(|w| w == text);
        found.ok_or_else(|| self.wrong(key, format!("it takes {}", words.join(" or "))))
    }

    fn grid(&self) -> Result<Option<u16>, SpecError> {
        let takes = format!("a whole number from 1 to {MAX_CELLS}");
        match self.count("grid", &takes)? {
            Some(cells) if cells > MAX_CELLS => {
                Err(self.wrong("grid", format!("it takes {takes}")))
            }
            cells => Ok(cells),
        }
    }

    fn grad_cam(&self) -> Result<Parameters, SpecError> {
        Ok(Parameters::GradCam {
            layer: self.values.get("layer").cloned(),
            relu: self.relu()?,
            counterfactual: self.choice("counterfactual", &["false", "true"])? == 1,
        })
    }

    fn occlusion(&self) -> Result<Parameters, SpecError> {
        Ok(Parameters::Occlusion {
            window: self.window("window")?,
            stride: self.window("stride")?,
            baseline: self.baseline(Baseline::Black)?,
            mindspore: self.choice("compat", &["none", "mindspore"])? == 1,
        })
    }

    fn rise(&self) -> Result<Parameters, SpecError> {
        let named = self.choice("estimator", &Estimator::NAMES)?;
        let estimator = Estimator::ALL.get(named).copied().unwrap_or_default();
        const TAKES: &str = "with estimator=centred or adjusted, a number above 0, below 1";
        let tolerance = self.number::<f32>("tolerance", TAKES)?;
        if tolerance.is_some_and(|t| estimator == Estimator::Raw || !(t > 0.0 && t < 1.0)) {
            return Err(self.wrong("tolerance", format!("it takes {TAKES}")));
        }
        let even = self.choice("sequence", &["random", "sobol"])? == 1;
        let grid = self.grid()?;
        if even && grid.is_some_and(|cells| cells > MOST_EVEN_CELLS) {
            let takes = format!("with sequence=sobol it takes at most {MOST_EVEN_CELLS}");
            return Err(self.wrong("grid", takes));
        }
        if estimator == Estimator::Adjusted {
            if grid.is_some_and(|cells| cells > MOST_ADJUSTED_CELLS) {
                let takes =
                    format!("with estimator=adjusted it takes at most {MOST_ADJUSTED_CELLS}");
                return Err(self.wrong("grid", takes));
            }
            if self.values.contains_key("file") {
                let takes = "with estimator=adjusted masks are random, not from a file";
                return Err(self.wrong("file", String::from(takes)));
            }
        }
        Ok(Parameters::Rise {
            even,
            estimator,
            tolerance,
            masks: self.count("masks", "a whole number from 1")?,
            grid,
            keep: self.share("keep", 0.5, true)?,
            baseline: self.baseline(Baseline::Black)?,
            file: self.values.get("file").map(PathBuf::from),
            by_coverage: self.choice("divisor", &["keep", "coverage"])? == 1,
            mindspore: self.choice("compat", &["none", "mindspore"])? == 1,
        })
    }

    fn meaningful_perturbation(&self) -> Result<Parameters, SpecError> {
        let weight = |key, usual| {
            let takes = "a number from 0";
            let value = self.number::<f32>(key, takes)?.unwrap_or(usual);
            match value.is_finite() && value >= 0.0 {
                true => Ok(value),
                false => Err(self.wrong(key, format!("it takes {takes}"))),
            }
        };
        Ok(Parameters::MeaningfulPerturbation {
            grid: self.grid()?,
            steps: self.count("steps", "a whole number from 1")?.unwrap_or(300),
            rate: weight("rate", 0.1)?,
            sparsity: weight("sparsity", 0.05)?,
            smoothness: weight("smoothness", 0.2)?,
            pairs: self.count("pairs", "a whole number from 1")?.unwrap_or(8),
            against: self.values.get("against").cloned(),
            baseline: self.baseline(Baseline::Blur)?,
        })
    }

    fn aise(&self) -> Result<Parameters, SpecError> {
        const TAKES: &str = "shares of the sides above 0, with /";
        let usual = Aise::default();
        let text = self.values.get("widths");
        let widths = text.map(|text| text.split('/').map(str::parse).collect());
        let widths: Result<Vec<f32>, _> = widths.unwrap_or_else(|| Ok(usual.widths.to_vec()));
        let fits = |width: &f32| *width > 0.0 && width.is_finite();
        let widths = match widths {
            Ok(widths) if widths.iter().all(fits) => widths,
            _ => return Err(self.wrong("widths", format!("it takes {TAKES}"))),
        };
        Ok(Parameters::Aise {
            widths,
            samples: self
                .count("samples", "a whole number from 1")?
                .unwrap_or(usual.samples),
            epsilon: self.amount("epsilon", usual.epsilon)?,
            baseline: self.baseline(Baseline::Black)?,
        })
    }

    fn hoc(&self) -> Result<Parameters, SpecError> {
        Ok(Parameters::Hoc {
            cover: self.choice("mode", &["reveal", "cover"])? == 1,
            threshold: self.share("threshold", 0.5, false)?,
            windows: self.lengths("windows", "sides with /, descending")?,
            strides: self.lengths("strides", "distances with /")?,
            beam: self.count("beam", "a whole number from 1")?.unwrap_or(1),
            minimal: self.choice("minimal", &["false", "true"])? == 1,
            baseline: self.baseline(Baseline::Blur)?,
        })
    }
}

fn known(
    method: &'static str,
    parameters: &'static [Parameter],
    key: &str,
) -> Result<(), SpecError> {
    let keys = parameters.iter().map(|p| p.key);
    match keys.clone().any(|k| k == key) {
        true => Ok(()),
        false => Err(SpecError::Parameter {
            method,
            key: key.to_string(),
            hint: match parameters {
                [] => String::from("it has none"),
                _ => hint(key, keys),
            },
        }),
    }
}
