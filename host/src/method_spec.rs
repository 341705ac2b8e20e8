//! Methods as people write them: `NAME[:key=value,...]`, lists with `/`.

mod estimator;
pub mod limits;
mod parse;
mod relevance;
mod segmented;
mod values;
mod white_box;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use foveola_core::explain::{ActivationMaximisation, MethodRow, Needs, Quadrature, Sign};
use foveola_core::relevance::RelevanceRules;
use serde_json::Value;

pub use estimator::Estimator;
pub use limits::Limits;
pub(crate) use parse::Given;
pub use segmented::{Asking, Cutting, Hiding, Segmented};

/// Methods without parameters that every board's program has.
const DEVICE_GRADIENTS: [&str; 3] = ["gradient", "deconvolution", "guided-backprop"];

/// Why a method or a metric cannot be understood.
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
    /// No metric has this name.
    #[error("there is no metric `{name}`: {hint}")]
    Metric {
        /// What was asked for.
        name: String,
        /// The nearest names.
        hint: String,
    },
    /// The method or metric has no parameter of this name.
    #[error("`{method}` has no parameter `{key}`: {hint}")]
    Parameter {
        /// The method or metric.
        method: &'static str,
        /// What was given.
        key: String,
        /// The nearest names.
        hint: String,
    },
    /// A value that the parameter does not take.
    #[error("`{method}:{key}={value}`: {reason}")]
    Value {
        /// The method or metric.
        method: &'static str,
        /// The parameter.
        key: String,
        /// What was given.
        value: String,
        /// What it takes.
        reason: String,
    },
}

/// The name of a picture's file, as small as a number: each is kept once, for as
/// long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName(&'static Path);

impl FileName {
    /// Names a picture by how its file ends; `None` for other names.
    pub fn of_picture(text: &str) -> Option<Self> {
        static KNOWN: Mutex<BTreeSet<&'static Path>> = Mutex::new(BTreeSet::new());
        let path = Path::new(text);
        let end = path.extension()?.to_str()?.to_lowercase();
        if !PICTURES.contains(&end.as_str()) {
            return None;
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(path) {
            return Some(Self(name));
        }
        let name: &'static Path = Box::leak(path.to_path_buf().into_boxed_path());
        known.insert(name);
        Some(Self(name))
    }

    /// Where it is.
    pub const fn path(self) -> &'static Path {
        self.0
    }
}

/// How names of pictures end.
const PICTURES: [&str; 5] = ["npy", "png", "jpg", "jpeg", "bmp"];

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
    /// A picture of your own.
    File(FileName),
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
        /// Whether it shows what speaks against the class.
        counterfactual: bool,
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
        /// What makes a map of masks and scores.
        estimator: Estimator,
        /// Disagreement, with a map of as many other masks, that ends the masks.
        tolerance: Option<f32>,
        /// Whether masks fill the cube of their cells evenly.
        even: bool,
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
        /// Sets of boxes that grow at once.
        beam: u32,
        /// Whether boxes that are not needed are dropped.
        minimal: bool,
        /// What hides.
        baseline: Baseline,
    },
    /// A method over segments.
    Segmented(Segmented),
    /// Meaningful perturbation.
    MeaningfulPerturbation {
        /// Cells along each side.
        grid: Option<u16>,
        /// Steps of the search.
        steps: u32,
        /// Adam's rate.
        rate: f32,
        /// Weight of what is taken away.
        sparsity: f32,
        /// Weight of the mask's slopes.
        smoothness: f32,
        /// Pairs of masks a step, without gradients.
        pairs: u32,
        /// The class that the picture is to become: an index or a label.
        against: Option<String>,
        /// What hides.
        baseline: Baseline,
    },
    /// SmoothGrad, VarGrad, SquareGrad.
    Noise {
        /// Noisy pictures.
        samples: u32,
        /// Deviation of the noise as a share of the picture's range.
        noise: f32,
        /// Stored noise.
        file: Option<PathBuf>,
    },
    /// Integrated gradients.
    Path {
        /// Where gradients are taken.
        quadrature: Quadrature,
        /// Steps along the path.
        steps: u32,
        /// Where paths begin.
        baselines: Vec<Baseline>,
        /// Error until which the steps double.
        tolerance: Option<f32>,
    },
    /// LRP: the rules of the layers.
    Relevance(RelevanceRules),
    /// AISE.
    Aise {
        /// Deviations of the windows as shares of the sides.
        widths: Vec<f32>,
        /// Places tried with each.
        samples: u32,
        /// Share by which a place must promise to beat the best.
        epsilon: f32,
        /// What hides.
        baseline: Baseline,
    },
    /// Activation maximisation.
    Ascent(ActivationMaximisation),
    /// The other methods that look at a layer.
    OnLayer {
        /// ONNX node or tensor.
        layer: Option<String>,
        /// Which of them.
        kind: LayerMethod,
    },
}

/// A method that looks at a layer, with its other parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerMethod {
    /// CAM.
    Cam,
    /// Grad-CAM++; `epsilon` is added to the divisor of its weights.
    PlusPlus {
        /// Whether only the positive part counts.
        relu: bool,
        /// Added to the divisor.
        epsilon: f32,
    },
    /// HiResCAM.
    HiRes {
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// XGrad-CAM.
    XGrad {
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// LayerCAM.
    Layer {
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// Guided Grad-CAM.
    Guided {
        /// Whether a pixel takes the value of the place that it lies in.
        nearest: bool,
    },
    /// Eigen-CAM.
    Eigen {
        /// Whether each channel's mean is subtracted first.
        centred: bool,
        /// What fixes the sign.
        sign: Sign,
    },
    /// Score-CAM.
    Score {
        /// Whether only the positive part counts.
        relu: bool,
        /// What shows where a channel hides.
        baseline: Baseline,
        /// Whether channels are enlarged corner on corner.
        corners: bool,
        /// Whether constant channels take part.
        constant: bool,
    },
    /// Ablation-CAM.
    Ablation {
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// Recipro-CAM.
    Recipro,
}

/// One method as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodSpec {
    /// Its row in the method table.
    pub row: &'static MethodRow,
    /// Its parameters.
    pub parameters: Parameters,
    /// Where it stops at the latest.
    pub limits: Limits,
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

    /// Whether it shares relevance.
    pub const fn needs_relevance(&self) -> bool {
        matches!(self.parameters, Parameters::Relevance(_))
    }

    /// Whether it looks at a layer.
    pub const fn takes_layer(&self) -> bool {
        matches!(
            self.parameters,
            Parameters::GradCam { .. } | Parameters::OnLayer { .. }
        )
    }

    /// Whether devices run it, with these parameters.
    pub fn runs_on_devices(&self) -> bool {
        crate::link::call(self, &|_| Some(0)).is_ok()
    }

    /// Whether every board's program has it: one of the first seven, as it was.
    pub fn runs_on_every_board(&self) -> bool {
        // A device does not know of limits.
        if self.limits != Limits::default() {
            return false;
        }
        match &self.parameters {
            Parameters::Plain => DEVICE_GRADIENTS.contains(&self.row.name),
            Parameters::GradCam { counterfactual, .. } => !counterfactual,
            Parameters::Occlusion { .. } => true,
            Parameters::Rise {
                estimator, even, ..
            } => *estimator == Estimator::Raw && !even,
            Parameters::Hoc { beam, minimal, .. } => *beam == 1 && !minimal,
            _ => false,
        }
    }

    /// Whether the scores that it gets decide how many passes it takes.
    pub const fn depends_on_scores(&self) -> bool {
        match &self.parameters {
            Parameters::Hoc { .. } => true,
            Parameters::Segmented(segmented) => matches!(segmented.asking, Asking::Anchors { .. }),
            Parameters::MeaningfulPerturbation { against, .. } => against.is_some(),
            Parameters::Path { tolerance, .. } | Parameters::Rise { tolerance, .. } => {
                tolerance.is_some()
            }
            _ => false,
        }
    }

    /// The layer that it names.
    pub fn layer(&self) -> Option<&str> {
        match &self.parameters {
            Parameters::GradCam { layer, .. } | Parameters::OnLayer { layer, .. } => {
                layer.as_deref()
            }
            _ => None,
        }
    }

    /// Names the layer, if the method has one and none is named yet.
    #[must_use]
    pub fn with_layer(mut self, name: &str) -> Self {
        if let Parameters::GradCam { layer, .. } | Parameters::OnLayer { layer, .. } =
            &mut self.parameters
        {
            layer.get_or_insert_with(|| name.to_string());
        }
        self
    }

    /// Sets limits, where none are given yet.
    #[must_use]
    pub const fn within(mut self, limits: Limits) -> Self {
        self.limits = self.limits.or(limits);
        self
    }

    /// What it holds two halves or a sum to, if it ends once that is reached.
    pub const fn tolerance(&self) -> Option<f32> {
        match self.parameters {
            Parameters::Rise { tolerance, .. } | Parameters::Path { tolerance, .. } => tolerance,
            _ => None,
        }
    }

    /// The class that the method itself holds others against: an index or a label.
    pub fn against(&self) -> Option<&str> {
        match &self.parameters {
            Parameters::MeaningfulPerturbation { against, .. } => against.as_deref(),
            _ => None,
        }
    }

    /// Holds others against a class, if the method does that itself.
    #[must_use]
    pub(crate) fn with_against(mut self, class: usize) -> Self {
        if let Parameters::MeaningfulPerturbation { against, .. } = &mut self.parameters {
            *against = Some(class.to_string());
        }
        self
    }

    /// The parameters for the report; what is left to the method is absent.
    pub fn to_json(&self) -> BTreeMap<&'static str, Value> {
        let mut all = values::of(&self.parameters);
        self.limits.put(&mut all);
        all
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
        "feature-ablation" => "Feature ablation",
        "lime" => "LIME",
        "kernel-shap" => "Kernel SHAP",
        "anchors" => "Anchors",
        "sobol" => "Sobol",
        "hsic" => "HSIC",
        "meaningful-perturbation" => "Meaningful perturbation",
        "input-x-gradient" => "Input x gradient",
        "smooth-grad" => "SmoothGrad",
        "var-grad" => "VarGrad",
        "square-grad" => "SquareGrad",
        "integrated-gradients" => "Integrated gradients",
        "cam" => "CAM",
        "grad-cam-plus-plus" => "Grad-CAM++",
        "hires-cam" => "HiResCAM",
        "x-grad-cam" => "XGrad-CAM",
        "layer-cam" => "LayerCAM",
        "guided-grad-cam" => "Guided Grad-CAM",
        "eigen-cam" => "Eigen-CAM",
        "score-cam" => "Score-CAM",
        "ablation-cam" => "Ablation-CAM",
        "recipro-cam" => "Recipro-CAM",
        "full-grad" => "FullGrad",
        "lrp" => "LRP",
        "aise" => "AISE",
        "activation-maximisation" => "Activation maximisation",
        _ => "Method",
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blur => f.write_str("blur"),
            Self::Black => f.write_str("black"),
            Self::Mean => f.write_str("mean"),
            Self::Number(number) => write!(f, "{number}"),
            Self::File(name) => write!(f, "{}", name.path().display()),
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

#[cfg(test)]
mod tests;
