//! Parameters of the methods that look inside, from text and as values.

use std::path::PathBuf;

use foveola_core::explain::{ActivationMaximisation, Parameter, Quadrature, Sign};

use super::parse::Given;
use super::values::{Values, decimal};
use super::{Baseline, FileName, LayerMethod, Parameters, SpecError};

/// Quadratures by name; the first is the default.
const QUADRATURES: [(&str, Quadrature); 5] = [
    ("middle", Quadrature::Middle),
    ("left", Quadrature::Left),
    ("right", Quadrature::Right),
    ("trapezoid", Quadrature::Trapezoid),
    ("gauss-legendre", Quadrature::GaussLegendre),
];

impl Given<'_> {
    pub(super) fn takes_layer(&self, parameters: &[Parameter]) -> bool {
        parameters.iter().any(|p| p.key == "layer")
    }

    pub(super) fn relu(&self) -> Result<bool, SpecError> {
        Ok(self.choice("relu", &["true", "false"])? == 0)
    }

    /// A number of at least 0.
    pub(super) fn amount(&self, key: &str, usual: f32) -> Result<f32, SpecError> {
        const TAKES: &str = "a number from 0";
        let value = self.number::<f32>(key, TAKES)?.unwrap_or(usual);
        match value.is_finite() && value >= 0.0 {
            true => Ok(value),
            false => Err(self.wrong(key, format!("it takes {TAKES}"))),
        }
    }

    pub(super) fn noise(&self) -> Result<Parameters, SpecError> {
        Ok(Parameters::Noise {
            samples: self
                .count("samples", "a whole number from 1")?
                .unwrap_or(50),
            noise: self.amount("noise", 0.15)?,
            file: self.values.get("file").map(PathBuf::from),
        })
    }

    pub(super) fn ascent(&self) -> Result<Parameters, SpecError> {
        const COUNT: &str = "a whole number from 1";
        let usual = ActivationMaximisation::default();
        let rate = self.amount("rate", usual.rate)?;
        if rate == 0.0 {
            return Err(self.wrong("rate", "it takes a number above 0"));
        }
        Ok(Parameters::Ascent(ActivationMaximisation {
            steps: self.count("steps", COUNT)?.unwrap_or(usual.steps),
            rate,
            decay: self.share("decay", usual.decay, false)?,
            jitter: self
                .number("jitter", "a whole number from 0 to 65535")?
                .unwrap_or(usual.jitter),
            blur: self.amount("blur", usual.blur)?,
            blur_every: self.count("every", COUNT)?.unwrap_or(usual.blur_every),
            from_picture: self.choice("start", &["noise", "picture"])? == 1,
        }))
    }

    pub(super) fn path(&self) -> Result<Parameters, SpecError> {
        let names = QUADRATURES.map(|(name, _)| name);
        let texts = self.values.get("baseline").map_or("black", String::as_str);
        let baselines: Result<Vec<Baseline>, _> = listed(texts)
            .iter()
            .map(|text| self.baseline_of(text))
            .collect();
        let tolerance = self.number::<f32>("tolerance", "a number above 0")?;
        if tolerance.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
            return Err(self.wrong("tolerance", "it takes a number above 0"));
        }
        let steps = self.count::<u32>("steps", "a whole number from 1")?;
        if steps.is_some_and(|steps| steps > 1 << 20) {
            return Err(self.wrong("steps", "it takes at most 1048576"));
        }
        Ok(Parameters::Path {
            quadrature: QUADRATURES[self.choice("quadrature", &names)?].1,
            steps: steps.unwrap_or(50),
            baselines: baselines?,
            tolerance,
        })
    }

    pub(super) fn on_layer(&self, name: &str) -> Result<Parameters, SpecError> {
        let kind = match name {
            "cam" => LayerMethod::Cam,
            "grad-cam-plus-plus" => LayerMethod::PlusPlus {
                relu: self.relu()?,
                epsilon: self.amount("epsilon", 0.0)?,
            },
            "hires-cam" => LayerMethod::HiRes { relu: self.relu()? },
            "x-grad-cam" => LayerMethod::XGrad { relu: self.relu()? },
            "layer-cam" => LayerMethod::Layer { relu: self.relu()? },
            "guided-grad-cam" => LayerMethod::Guided {
                nearest: self.choice("upsample", &["bilinear", "nearest"])? == 1,
            },
            "eigen-cam" => LayerMethod::Eigen {
                centred: self.choice("centred", &["false", "true"])? == 1,
                sign: match self.choice("sign", &["activation", "weights"])? {
                    0 => Sign::Activation,
                    _ => Sign::Weights,
                },
            },
            "score-cam" => LayerMethod::Score {
                relu: self.relu()?,
                baseline: self.baseline(Baseline::Black)?,
                corners: self.choice("grid", &["edges", "corners"])? == 1,
                constant: self.choice("constant", &["dropped", "hidden"])? == 1,
            },
            "ablation-cam" => LayerMethod::Ablation { relu: self.relu()? },
            _ => LayerMethod::Recipro,
        };
        Ok(Parameters::OnLayer {
            layer: self.values.get("layer").cloned(),
            kind,
        })
    }
}

/// Baselines separated by `/`, which names of files may hold as well: a name
/// goes on until its end is that of a picture.
fn listed(texts: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for part in texts.split('/') {
        match all.last_mut().filter(|_| open) {
            Some(last) => {
                last.push('/');
                last.push_str(part);
            }
            None => all.push(part.to_string()),
        }
        let word = matches!(part, "black" | "blur" | "mean") || part.parse::<f32>().is_ok();
        open = match open {
            true => FileName::of_picture(part).is_none(),
            false => !word && FileName::of_picture(part).is_none(),
        };
    }
    all
}

/// Parameters of integrated gradients as values.
pub(super) fn path(parameters: &Parameters, none: Values) -> Values {
    let Parameters::Path {
        quadrature,
        steps,
        baselines,
        tolerance,
    } = parameters
    else {
        return none;
    };
    let known = QUADRATURES.iter().find(|(_, q)| q == quadrature);
    let texts: Vec<String> = baselines.iter().map(Baseline::to_string).collect();
    none.put("quadrature", known.map_or("middle", |(name, _)| name))
        .put("steps", steps)
        .put("baseline", texts.join("/"))
        .may("tolerance", tolerance.map(decimal))
}

/// Parameters of an ascent as values.
pub(super) fn ascent(ascent: &ActivationMaximisation, none: Values) -> Values {
    none.put("steps", ascent.steps)
        .put("rate", decimal(ascent.rate))
        .put("decay", decimal(ascent.decay))
        .put("jitter", ascent.jitter)
        .put("blur", decimal(ascent.blur))
        .put("every", ascent.blur_every)
        .put(
            "start",
            if ascent.from_picture {
                "picture"
            } else {
                "noise"
            },
        )
}

/// Parameters of a method on a layer as values.
pub(super) fn on_layer(kind: &LayerMethod, none: Values) -> Values {
    match *kind {
        LayerMethod::Cam | LayerMethod::Recipro => none,
        LayerMethod::PlusPlus { relu, epsilon } => {
            none.put("relu", relu).put("epsilon", decimal(epsilon))
        }
        LayerMethod::HiRes { relu }
        | LayerMethod::XGrad { relu }
        | LayerMethod::Layer { relu }
        | LayerMethod::Ablation { relu } => none.put("relu", relu),
        LayerMethod::Guided { nearest } => {
            none.put("upsample", if nearest { "nearest" } else { "bilinear" })
        }
        LayerMethod::Eigen { centred, sign } => none.put("centred", centred).put(
            "sign",
            match sign {
                Sign::Activation => "activation",
                Sign::Weights => "weights",
            },
        ),
        LayerMethod::Score {
            relu,
            baseline,
            corners,
            constant,
        } => none
            .put("relu", relu)
            .baseline(baseline)
            .put("grid", if corners { "corners" } else { "edges" })
            .put("constant", if constant { "hidden" } else { "dropped" }),
    }
}
