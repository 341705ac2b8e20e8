//! A method as it travels.

use foveola_core::explain::hoc::MAX_LAYERS;
use foveola_core::net::model::Model;
use foveola_core::wire::message::{Baseline as Sent, Call};

use super::LinkError;
use crate::method_spec::{Baseline, MethodSpec, Parameters};

/// A method for a device; `layer` finds the id of a named tensor.
///
/// # Errors
/// What only a host can do: stored masks, the picture's mean colour.
pub fn call(spec: &MethodSpec, layer: &dyn Fn(&str) -> Option<u16>) -> Result<Call, LinkError> {
    let unfit = |reason| LinkError::Method {
        method: spec.to_string(),
        reason,
    };
    let cannot = |_| unfit("it has a number that is too large");
    Ok(match &spec.parameters {
        _ if !spec.runs_on_devices() => return Err(unfit("devices do not have it yet")),
        Parameters::Plain => match spec.row.name {
            "gradient" => Call::Gradient,
            "deconvolution" => Call::Deconvolution,
            _ => Call::GuidedBackprop,
        },
        Parameters::GradCam {
            layer: name, relu, ..
        } => Call::GradCam {
            layer: match name {
                Some(name) => {
                    Some(layer(name).ok_or(unfit("the model has no plan for that layer"))?)
                }
                None => None,
            },
            relu: *relu,
        },
        Parameters::Occlusion {
            window,
            stride,
            baseline,
            mindspore,
        } => Call::Occlusion {
            window: window.map(sides).transpose().map_err(cannot)?,
            stride: stride.map(sides).transpose().map_err(cannot)?,
            baseline: sent(*baseline).map_err(unfit)?,
            mindspore: *mindspore,
        },
        Parameters::MeaningfulPerturbation { .. } => {
            return Err(unfit("devices do not search for masks yet"));
        }
        Parameters::Segmented(_) => return Err(unfit("devices have no segments yet")),
        Parameters::Rise { centred: true, .. } => {
            return Err(unfit("devices have no centred estimator yet"));
        }
        Parameters::Rise { file: Some(_), .. } => {
            return Err(unfit("it takes no masks from files"));
        }
        Parameters::Rise {
            masks,
            grid,
            keep,
            baseline,
            by_coverage,
            mindspore,
            ..
        } => Call::Rise {
            masks: *masks,
            grid: *grid,
            keep: *keep,
            baseline: sent(*baseline).map_err(unfit)?,
            by_coverage: *by_coverage,
            mindspore: *mindspore,
        },
        Parameters::Hoc {
            cover,
            threshold,
            windows,
            strides,
            baseline,
        } => Call::Hoc {
            cover: *cover,
            threshold: *threshold,
            windows: lengths(windows).map_err(unfit)?,
            strides: lengths(strides).map_err(unfit)?,
            baseline: sent(*baseline).map_err(unfit)?,
        },
        _ => return Err(unfit("devices do not have it yet")),
    })
}

/// The id of a tensor by its name.
pub fn tensor_named(model: &Model<'_>, name: &str) -> Option<u16> {
    let named = |id: &u16| {
        let tensor = model.tensor(foveola_core::TensorId(*id));
        tensor.is_some_and(|tensor| tensor.name == name)
    };
    (0..model.tensor_count() as u16).find(named)
}

fn sides(all: [usize; 3]) -> Result<[u32; 3], std::num::TryFromIntError> {
    let [c, h, w] = all.map(u32::try_from);
    Ok([c?, h?, w?])
}

fn sent(baseline: Baseline) -> Result<Sent, &'static str> {
    match baseline {
        Baseline::Blur => Ok(Sent::Blur),
        Baseline::Black => Ok(Sent::Number(0.0)),
        Baseline::Number(number) => Ok(Sent::Number(number)),
        Baseline::Mean => Err("it has no mean colour; give the number"),
    }
}

/// The lengths, then zeros, which end them.
fn lengths(list: &[usize]) -> Result<[u16; MAX_LAYERS], &'static str> {
    let mut out = [0; MAX_LAYERS];
    if list.len() > MAX_LAYERS {
        return Err("it has too many layers of boxes");
    }
    for (place, length) in out.iter_mut().zip(list) {
        let number = u16::try_from(*length).ok().filter(|n| *n > 0);
        *place = number.ok_or("it has a length that is 0 or too large")?;
    }
    Ok(out)
}
