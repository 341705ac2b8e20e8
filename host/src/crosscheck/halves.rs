//! The method on one side, the network on the other: which half differs.

use std::path::Path;
use std::sync::Arc;

use foveola_core::Error;
use foveola_core::explain::Cost;
use foveola_core::wire::message::Explain;
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::line::Asking;
use super::{CrosscheckError, outcome_text};
use crate::backend::core::{CoreBackend, ModelFile};
use crate::explainer::{ExplainError, Watch, explain_other};
use crate::link::{LinkError, Remote, call, tensor_named};
use crate::method_spec::MethodSpec;
use crate::model::{OpenModel, OpenOptions};

/// When the halves are asked apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Where something differs, so that the fault names its half
    #[default]
    Auto,
    /// For every picture
    Always,
    /// Never
    Never,
}

/// A method on one side and a network on the other, against the host alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mixed {
    /// The same bits.
    Same,
    /// Other bits.
    Differs {
        /// How many values.
        different: usize,
        /// Of how many.
        values: usize,
    },
    /// It was not or could not be asked, for this reason.
    NotAsked(String),
}

/// Where a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// Nowhere: all agree.
    None,
    /// The device's network.
    Network,
    /// The device's code of the method.
    Method,
    /// Each of them.
    Both,
    /// Each half alone agrees with the host.
    Together,
    /// The method, or the network's way back; the forward pass agrees.
    Backward,
    /// It was not asked.
    Unknown,
}

impl Half {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "no half differs",
            Self::Network => "the network",
            Self::Method => "the method's code",
            Self::Both => "both the network and the method's code",
            Self::Together => "only both halves together on the device",
            Self::Backward => {
                "the method's code or the network's way back (its forward pass agrees)"
            }
            Self::Unknown => "halves that were not asked apart",
        }
    }
}

/// What both mixtures say of one method.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Halves {
    /// The method.
    pub method: String,
    /// The host's method asks the device's network.
    pub device_network: Mixed,
    /// The device's method asks the host's network.
    pub device_method: Mixed,
    /// What follows.
    pub half: Half,
}

impl Halves {
    fn new(map: &Comparison, scores: bool, device_network: Mixed, device_method: Mixed) -> Self {
        let differs = |mixed: &Mixed| matches!(mixed, Mixed::Differs { .. });
        let half = match (&device_network, &device_method) {
            (a, b) if differs(a) && differs(b) => Half::Both,
            (a, _) if differs(a) => Half::Network,
            (_, b) if differs(b) => Half::Method,
            _ if map.is_exact() => Half::None,
            (Mixed::Same, Mixed::Same) => Half::Together,
            _ if !scores => Half::Network,
            _ => Half::Unknown,
        };
        Self {
            method: map.name.clone(),
            device_network,
            device_method,
            half,
        }
    }

    /// Of a method that the line cannot tear apart.
    pub(super) fn of_gradients(map: &Comparison, scores: bool) -> Self {
        let reason = || Mixed::NotAsked(String::from("gradients do not travel"));
        let halves = Self::new(map, scores, reason(), reason());
        match halves.half {
            Half::Unknown => Self {
                half: Half::Backward,
                ..halves
            },
            _ => halves,
        }
    }

    /// Of a method that could not be asked, for this reason.
    pub(super) fn unknown(map: &Comparison, scores: bool, reason: &str) -> Self {
        let reason = || Mixed::NotAsked(reason.to_owned());
        Self::new(map, scores, reason(), reason())
    }
}

/// Asks both mixtures of every method whose map was compared. The device has
/// model and picture; `scores` says whether its scores are the host's.
pub(super) fn ask(
    remote: &mut Remote,
    asking: &Asking<'_>,
    maps: &[&Comparison],
    scores: bool,
) -> Result<Vec<Halves>, CrosscheckError> {
    let mut all = Vec::new();
    for spec in asking.inquiry.methods {
        let name = spec.to_string();
        let Some(map) = maps.iter().find(|map| map.name == name) else {
            continue;
        };
        if spec.needs_gradients() {
            all.push(Halves::of_gradients(map, scores));
            continue;
        }
        let network = mixed(asking, spec, on_host(remote, asking, spec))?;
        // The host's method left its last masked picture there.
        remote.put_picture(&asking.photo.picture())?;
        let method = mixed(asking, spec, on_device(remote, asking, spec))?;
        all.push(Halves::new(map, scores, network, method));
    }
    Ok(all)
}

type Answer = Result<(Vec<f32>, String), CrosscheckError>;

fn mixed(asking: &Asking<'_>, spec: &MethodSpec, answer: Answer) -> Result<Mixed, CrosscheckError> {
    if !(asking.go_on)() {
        return Err(LinkError::Stopped.into());
    }
    let (values, outcome) = match answer {
        Ok(answer) => answer,
        Err(CrosscheckError::Link(e)) if e.is_line() => return Err(e.into()),
        Err(e) => return Ok(Mixed::NotAsked(e.to_string())),
    };
    Ok(match asking.host.map(spec, &values, &outcome) {
        Some(c) if c.is_exact() => Mixed::Same,
        Some(c) => Mixed::Differs {
            different: c.different,
            values: c.values,
        },
        None => Mixed::NotAsked(String::from("the host was not asked")),
    })
}

/// The host's method asks the device's network.
fn on_host(remote: &mut Remote, asking: &Asking<'_>, spec: &MethodSpec) -> Answer {
    let options = OpenOptions::default();
    let model = OpenModel::from_bytes(asking.bytes, Path::new("model.fov"), &options)?;
    let mut running = model.start(&[], 1)?;
    let query = (asking.host.target, asking.inquiry.seed);
    let watch = &mut Until(asking.go_on);
    let about = (asking.photo, spec);
    match explain_other(&mut running, remote, about, query, watch) {
        Ok((values, outcome)) => Ok((values, outcome_text(&outcome))),
        Err(ExplainError::Classifier(Error::Backend)) => {
            let failure = remote.failure.take();
            Err(failure.unwrap_or(LinkError::Unexpected).into())
        }
        Err(other) => Err(other.into()),
    }
}

/// The device's method asks the host's network.
fn on_device(remote: &mut Remote, asking: &Asking<'_>, spec: &MethodSpec) -> Answer {
    let file = Arc::new(ModelFile::new(asking.bytes)?);
    let explain = explain(&file, spec, asking)?;
    let mut network = CoreBackend::new(file, 1)?;
    let found = remote.explain_asking(&explain, &mut network, &mut |_, _| (asking.go_on)())?;
    Ok((found.values, found.outcome))
}

/// A method as it travels.
pub(super) fn explain(
    file: &ModelFile,
    spec: &MethodSpec,
    asking: &Asking<'_>,
) -> Result<Explain, LinkError> {
    Ok(Explain {
        method: call(spec, &|name| tensor_named(file.model(), name))?,
        target: Some(asking.host.target as u32),
        score: None,
        seed: asking.inquiry.seed,
    })
}

/// Watches until nobody wants to know any more.
struct Until<'g>(&'g (dyn Fn() -> bool + Sync));

impl Watch for Until<'_> {
    fn begin(&mut self, _method: &MethodSpec, _cost: &Cost) {}

    fn step(&mut self, _done: u64, _total: u64) -> bool {
        (self.0)()
    }

    fn end(&mut self) {}

    fn stopped(&self) -> bool {
        !(self.0)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_has_its_name() {
        let same = Comparison::new("rise", &[1.0], &[1.0]);
        let other = Comparison::new("rise", &[1.0], &[2.0]);
        let wrong = || Mixed::Differs {
            different: 1,
            values: 1,
        };
        let of = |map: &Comparison, scores, network, method| {
            Halves::new(map, scores, network, method).half
        };
        assert_eq!(of(&same, true, Mixed::Same, Mixed::Same), Half::None);
        assert_eq!(of(&other, false, wrong(), Mixed::Same), Half::Network);
        assert_eq!(of(&other, true, Mixed::Same, wrong()), Half::Method);
        assert_eq!(of(&other, true, wrong(), wrong()), Half::Both);
        assert_eq!(of(&other, true, Mixed::Same, Mixed::Same), Half::Together);
        assert_eq!(Halves::of_gradients(&other, true).half, Half::Backward);
        assert_eq!(Halves::of_gradients(&other, false).half, Half::Network);
        assert_eq!(Halves::of_gradients(&same, true).half, Half::None);
        assert_eq!(Halves::unknown(&other, true, "no").half, Half::Unknown);
    }
}
