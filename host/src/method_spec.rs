//! Methods as people write them: `NAME[:key=value,...]`, lists with `/`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use foveola_core::explain::{METHODS, MethodRow, Needs};
use foveola_core::mask::MAX_CELLS;
use serde_json::{Value, json};

use crate::suggest::hint;

/// Why a method cannot be understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No method has this name.
    #[error("there is no method `{name}`: {hint}")]
    Method {
        /// What was asked for.
        name: String,
        /// The nearest names.
        hint: String,
    },
    /// The method has no parameter of this name.
    #[error("`{method}` has no parameter `{key}`: {hint}")]
    Parameter {
        /// The method.
        method: &'static str,
        /// What was given.
        key: String,
        /// The nearest names.
        hint: String,
    },
    /// A value that the parameter does not take.
    #[error("`{method}:{key}={value}`: {reason}")]
    Value {
        /// The method.
        method: &'static str,
        /// The parameter.
        key: String,
        /// What was given.
        value: String,
        /// What it takes.
        reason: String,
    },
}

/// What hides a part of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// The picture, blurred.
    Blur,
    /// Pixel 0 for photos, 0 for tensors.
    Black,
    /// The picture's mean colour.
    Mean,
    /// This number for all channels: in pixel units for photos, in model units for tensors.
    Number(f32),
}

/// A method with its parameters; `None` leaves the choice to the method.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// Gradient, deconvolution, guided backpropagation: none.
    Plain,
    /// Grad-CAM.
    GradCam {
        /// ONNX node or tensor.
        layer: Option<String>,
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// Occlusion.
    Occlusion {
        /// Channels (0: all), rows, columns.
        window: Option<[usize; 3]>,
        /// Along the same axes.
        stride: Option<[usize; 3]>,
        /// What hides.
        baseline: Baseline,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// RISE.
    Rise {
        /// Number of masks.
        masks: Option<u32>,
        /// Cells along each side.
        grid: Option<u16>,
        /// Share of kept cells.
        keep: f32,
        /// What hides.
        baseline: Baseline,
        /// Stored masks.
        file: Option<PathBuf>,
        /// Whether each pixel is divided by its own coverage.
        by_coverage: bool,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// HOC.
    Hoc {
        /// Whether boxes cover instead of reveal.
        cover: bool,
        /// Score that decides.
        threshold: f32,
        /// Side of the boxes of each layer; empty for automatic ones.
        windows: Vec<usize>,
        /// Distance of the boxes of each layer; empty for automatic ones.
        strides: Vec<usize>,
        /// What hides.
        baseline: Baseline,
    },
}

/// One method as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodSpec {
    /// Its row in the method table.
    pub row: &'static MethodRow,
    /// Its parameters.
    pub parameters: Parameters,
}

impl MethodSpec {
    /// A method's name as headings write it.
    pub fn title(&self) -> &'static str {
        title(self.row.name)
    }

    /// Whether it needs a white box.
    pub fn needs_gradients(&self) -> bool {
        self.row.needs == Needs::Gradients
    }

    /// The layer that it names.
    pub fn layer(&self) -> Option<&str> {
        match &self.parameters {
            Parameters::GradCam { layer, .. } => layer.as_deref(),
            _ => None,
        }
    }

    /// Names the layer, if the method has one and none is named yet.
    #[must_use]
    pub fn with_layer(mut self, name: &str) -> Self {
        if let Parameters::GradCam { layer, .. } = &mut self.parameters {
            layer.get_or_insert_with(|| name.to_string());
        }
        self
    }

    /// The parameters for the report; what is left to the method is absent.
    pub fn to_json(&self) -> BTreeMap<&'static str, Value> {
        let mut out = BTreeMap::new();
        match &self.parameters {
            Parameters::Plain => {}
            Parameters::GradCam { layer, relu } => {
                out.insert("relu", json!(relu));
                insert(&mut out, "layer", layer);
            }
            Parameters::Occlusion {
                window,
                stride,
                baseline,
                mindspore,
            } => {
                insert(&mut out, "window", &window.map(sides));
                insert(&mut out, "stride", &stride.map(sides));
                out.insert("baseline", baseline.to_json());
                insert(&mut out, "compat", &mindspore.then_some("mindspore"));
            }
            Parameters::Rise {
                masks,
                grid,
                keep,
                baseline,
                file,
                by_coverage,
                mindspore,
            } => {
                insert(&mut out, "masks", masks);
                insert(&mut out, "grid", grid);
                out.insert("keep", json!(keep));
                out.insert("baseline", baseline.to_json());
                insert(&mut out, "file", file);
                let divisor = if *by_coverage { "coverage" } else { "keep" };
                out.insert("divisor", json!(divisor));
                insert(&mut out, "compat", &mindspore.then_some("mindspore"));
            }
            Parameters::Hoc {
                cover,
                threshold,
                windows,
                strides,
                baseline,
            } => {
                out.insert("mode", json!(if *cover { "cover" } else { "reveal" }));
                out.insert("threshold", json!(threshold));
                insert(
                    &mut out,
                    "windows",
                    &(!windows.is_empty()).then_some(windows),
                );
                insert(
                    &mut out,
                    "strides",
                    &(!strides.is_empty()).then_some(strides),
                );
                out.insert("baseline", baseline.to_json());
            }
        }
        out
    }
}

fn insert<T: serde::Serialize>(
    out: &mut BTreeMap<&'static str, Value>,
    key: &'static str,
    value: &Option<T>,
) {
    if let Some(value) = value {
        out.insert(key, json!(value));
    }
}

/// A window without its channels, where those are all.
pub(crate) fn sides([c, h, w]: [usize; 3]) -> Vec<usize> {
    match c {
        0 => vec![h, w],
        _ => vec![c, h, w],
    }
}

/// A method's name as headings write it.
pub fn title(name: &str) -> &'static str {
    match name {
        "gradient" => "Gradient",
        "deconvolution" => "Deconvolution",
        "guided-backprop" => "Guided backprop",
        "grad-cam" => "Grad-CAM",
        "occlusion" => "Occlusion",
        "rise" => "RISE",
        "hoc" => "HOC",
        _ => "Method",
    }
}

impl Baseline {
    fn to_json(self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            named => json!(named.to_string()),
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blur => f.write_str("blur"),
            Self::Black => f.write_str("black"),
            Self::Mean => f.write_str("mean"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for MethodSpec {
    /// As a person writes it; what is left to the method is absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)?;
        for (i, (key, value)) in self.to_json().iter().enumerate() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Array(list) => {
                    let items: Vec<String> = list.iter().map(Value::to_string).collect();
                    items.join("/")
                }
                other => other.to_string(),
            };
            write!(f, "{}{key}={text}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

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
        let given = Given::split(row, rest)?;
        let parameters = match name {
            "grad-cam" => given.grad_cam()?,
            "occlusion" => given.occlusion()?,
            "rise" => given.rise()?,
            "hoc" => given.hoc()?,
            _ => Parameters::Plain,
        };
        Ok(Self { row, parameters })
    }
}

/// The keys and values of one method.
struct Given<'a> {
    method: &'static str,
    values: BTreeMap<&'a str, String>,
}

impl<'a> Given<'a> {
    /// Splits at commas. A part without `=` belongs to the value before it, so
    /// names of layers and files may contain commas.
    fn split(row: &'static MethodRow, text: &'a str) -> Result<Self, SpecError> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut last = None;
        for part in text.split(',').filter(|p| !p.is_empty()) {
            match (part.split_once('='), last) {
                (Some((key, value)), _) => {
                    known(row, key)?;
                    values.insert(key, value.to_string());
                    last = Some(key);
                }
                (None, Some(key)) => {
                    let value = values.entry(key).or_default();
                    value.push(',');
                    value.push_str(part);
                }
                (None, None) => {
                    known(row, part)?;
                    return Err(SpecError::Value {
                        method: row.name,
                        key: part.to_string(),
                        value: String::new(),
                        reason: String::from("it has no value"),
                    });
                }
            }
        }
        Ok(Self {
            method: row.name,
            values,
        })
    }

    fn wrong(&self, key: &str, reason: impl Into<String>) -> SpecError {
        SpecError::Value {
            method: self.method,
            key: key.to_string(),
            value: self.values.get(key).cloned().unwrap_or_default(),
            reason: reason.into(),
        }
    }

    fn number<T: FromStr>(&self, key: &str, takes: &str) -> Result<Option<T>, SpecError> {
        let Some(text) = self.values.get(key) else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| self.wrong(key, format!("it takes {takes}")))
    }

    /// A number that is not NaN and lies in a range.
    fn share(&self, key: &str, usual: f32, above_zero: bool) -> Result<f32, SpecError> {
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
    fn count<T: FromStr + PartialOrd + From<u8>>(
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
    fn lengths(&self, key: &str, takes: &str) -> Result<Vec<usize>, SpecError> {
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

    fn baseline(&self, usual: Baseline) -> Result<Baseline, SpecError> {
        const TAKES: &str = "it takes blur, black, mean or a number";
        let number = |text: &str| text.parse().ok().filter(|n: &f32| n.is_finite());
        match self.values.get("baseline").map(String::as_str) {
            None => Ok(usual),
            Some("blur") => Ok(Baseline::Blur),
            Some("black") => Ok(Baseline::Black),
            Some("mean") => Ok(Baseline::Mean),
            Some(text) => number(text)
                .map(Baseline::Number)
                .ok_or_else(|| self.wrong("baseline", TAKES)),
        }
    }

    /// One of a few words; the first is the default.
    fn choice(&self, key: &str, words: &[&str]) -> Result<usize, SpecError> {
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
            relu: self.choice("relu", &["true", "false"])? == 0,
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
        Ok(Parameters::Rise {
            masks: self.count("masks", "a whole number from 1")?,
            grid: self.grid()?,
            keep: self.share("keep", 0.5, true)?,
            baseline: self.baseline(Baseline::Black)?,
            file: self.values.get("file").map(PathBuf::from),
            by_coverage: self.choice("divisor", &["keep", "coverage"])? == 1,
            mindspore: self.choice("compat", &["none", "mindspore"])? == 1,
        })
    }

    fn hoc(&self) -> Result<Parameters, SpecError> {
        Ok(Parameters::Hoc {
            cover: self.choice("mode", &["reveal", "cover"])? == 1,
            threshold: self.share("threshold", 0.5, false)?,
            windows: self.lengths("windows", "sides with /, descending")?,
            strides: self.lengths("strides", "distances with /")?,
            baseline: self.baseline(Baseline::Blur)?,
        })
    }
}

fn known(row: &'static MethodRow, key: &str) -> Result<(), SpecError> {
    let keys = row.parameters.iter().map(|p| p.key);
    match keys.clone().any(|k| k == key) {
        true => Ok(()),
        false => Err(SpecError::Parameter {
            method: row.name,
            key: key.to_string(),
            hint: match row.parameters {
                [] => String::from("it has none"),
                _ => hint(key, keys),
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MethodSpec {
        text.parse().unwrap()
    }

    fn fails(text: &str) -> String {
        text.parse::<MethodSpec>().unwrap_err().to_string()
    }

    #[test]
    fn every_method_of_the_table_has_a_title_and_parses() {
        for row in METHODS {
            assert_ne!(title(row.name), "Method", "{}", row.name);
            assert_eq!(parse(row.name).row, row);
        }
    }

    #[test]
    fn windows_are_one_two_or_three_numbers() {
        for (text, window) in [("8", [0, 8, 8]), ("8/4", [0, 8, 4]), ("1/8/4", [1, 8, 4])] {
            match parse(&format!("occlusion:window={text},stride=2")).parameters {
                Parameters::Occlusion {
                    window: Some(found),
                    stride: Some([0, 2, 2]),
                    ..
                } => assert_eq!(found, window),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn lists_baselines_and_modes() {
        let spec = parse("hoc:mode=cover,windows=60/30,strides=12/6,baseline=127.5");
        let Parameters::Hoc {
            cover,
            windows,
            strides,
            baseline,
            ..
        } = &spec.parameters
        else {
            panic!("{spec:?}")
        };
        assert!(*cover);
        assert_eq!(
            (windows.as_slice(), strides.as_slice()),
            (&[60, 30][..], &[12, 6][..])
        );
        assert_eq!(*baseline, Baseline::Number(127.5));
    }

    #[test]
    fn layer_names_may_hold_commas_colons_and_slashes() {
        let spec = parse("grad-cam:layer=/a:0/b,c,relu=false");
        assert_eq!(spec.layer(), Some("/a:0/b,c"));
        assert_eq!(spec.to_json()["relu"], json!(false));
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "gradient",
            "grad-cam:layer=/r3/act/Relu_output_0,relu=true",
            "occlusion:baseline=blur,stride=2/3,window=1/4/5",
            "rise:baseline=mean,compat=mindspore,keep=0.25,masks=100",
            "hoc:baseline=0,mode=cover,threshold=0.75,windows=9/4",
        ] {
            let spec = parse(text);
            assert_eq!(parse(&spec.to_string()), spec, "{spec}");
        }
    }

    #[test]
    fn mistakes_name_the_nearest() {
        let cases = [
            ("gradcam", "did you mean `grad-cam`?"),
            ("occlusion:windw=3", "did you mean `window`?"),
            ("gradient:layer=x", "it has none"),
            ("occlusion:window=0", "whole numbers from 1"),
            ("occlusion:window=-3", "whole numbers from 1"),
            ("occlusion:window", "has no value"),
            ("rise:masks=-5", "from 1"),
            ("rise:masks=0", "from 1"),
            ("rise:keep=0", "above 0"),
            ("rise:keep=nan", "above 0"),
            ("hoc:threshold=2", "from 0 to 1"),
            ("hoc:mode=hide", "reveal or cover"),
            ("occlusion:baseline=inf", "blur, black, mean or a number"),
            ("occlusion:window=1/2/3/4", "C/H/W"),
        ];
        for (text, part) in cases {
            let message = fails(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
