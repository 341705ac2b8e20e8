//! A method as it travels.

use foveola_core::explain::hoc::MAX_LAYERS;
use foveola_core::net::model::Model;
use foveola_core::wire::message::{
    Baseline as Sent, Call, Hiding, LayerCall, MAX_WIDTHS, SegmentCall, Statistic,
};

use super::LinkError;
use crate::method_spec::{
    self, Asking, Baseline, Cutting, Estimator, LayerMethod, Limits, MethodSpec, Parameters,
    Segmented,
};

/// A method for a device; `layer` finds the id of a named tensor.
///
/// # Errors
/// What only a host can do: what comes from files, cuts along colours, the
/// picture's mean colour.
pub fn call(spec: &MethodSpec, layer: &dyn Fn(&str) -> Option<u16>) -> Result<Call, LinkError> {
    let unfit = |reason| LinkError::Method {
        method: spec.to_string(),
        reason,
    };
    if spec.limits != Limits::default() {
        return Err(unfit("devices know no limits"));
    }
    let cannot = |_| unfit("it has a number that is too large");
    let id = |name: &Option<String>| match name {
        Some(name) => layer(name)
            .map(Some)
            .ok_or(unfit("the model has no plan for that layer")),
        None => Ok(None),
    };
    Ok(match &spec.parameters {
        Parameters::Plain => plain(spec.row.name).ok_or(unfit("devices do not have it yet"))?,
        Parameters::GradCam {
            layer,
            relu,
            counterfactual,
        } => match counterfactual {
            false => Call::GradCam {
                layer: id(layer)?,
                relu: *relu,
            },
            true => Call::OnLayer {
                layer: id(layer)?,
                kind: LayerCall::Counterfactual(*relu),
            },
        },
        Parameters::OnLayer { layer, kind } => Call::OnLayer {
            layer: id(layer)?,
            kind: on_layer(*kind).map_err(unfit)?,
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
        Parameters::Rise { .. } => rise(&spec.parameters).map_err(unfit)?,
        Parameters::Hoc {
            cover,
            threshold,
            windows,
            strides,
            baseline,
            beam,
            minimal,
        } if *beam > 1 || *minimal => Call::WideHoc {
            cover: *cover,
            threshold: *threshold,
            windows: lengths(windows).map_err(unfit)?,
            strides: lengths(strides).map_err(unfit)?,
            baseline: sent(*baseline).map_err(unfit)?,
            beam: u16::try_from(*beam).map_err(cannot)?,
            minimal: *minimal,
        },
        Parameters::Hoc {
            cover,
            threshold,
            windows,
            strides,
            baseline,
            ..
        } => Call::Hoc {
            cover: *cover,
            threshold: *threshold,
            windows: lengths(windows).map_err(unfit)?,
            strides: lengths(strides).map_err(unfit)?,
            baseline: sent(*baseline).map_err(unfit)?,
        },
        Parameters::Segmented(segmented) => over_segments(segmented).map_err(unfit)?,
        other => inside(spec.row.name, other).map_err(unfit)?,
    })
}

/// Methods without parameters.
fn plain(name: &str) -> Option<Call> {
    Some(match name {
        "gradient" => Call::Gradient,
        "deconvolution" => Call::Deconvolution,
        "guided-backprop" => Call::GuidedBackprop,
        "input-x-gradient" => Call::InputXGradient,
        "full-grad" => Call::FullGrad,
        _ => return None,
    })
}

fn rise(parameters: &Parameters) -> Result<Call, &'static str> {
    let Parameters::Rise {
        masks,
        grid,
        keep,
        baseline,
        file,
        by_coverage,
        estimator,
        tolerance,
        even,
        mindspore,
    } = parameters
    else {
        return Err("devices do not have it yet");
    };
    if file.is_some() {
        return Err("it takes no masks from files");
    }
    let centred = match estimator {
        Estimator::Raw => false,
        Estimator::Centred => true,
        Estimator::Adjusted => return Err("devices have no memory for a regression"),
    };
    let baseline = sent(*baseline)?;
    if *even {
        return Ok(Call::EvenRise {
            masks: *masks,
            grid: *grid,
            keep: *keep,
            baseline,
            by_coverage: *by_coverage,
            mindspore: *mindspore,
            centred,
            tolerance: *tolerance,
        });
    }
    Ok(match centred {
        true => Call::CentredRise {
            masks: *masks,
            grid: *grid,
            keep: *keep,
            baseline,
            mindspore: *mindspore,
            tolerance: *tolerance,
        },
        false => Call::Rise {
            masks: *masks,
            grid: *grid,
            keep: *keep,
            baseline,
            by_coverage: *by_coverage,
            mindspore: *mindspore,
        },
    })
}

/// Methods that look inside, and the search for a mask.
fn inside(name: &str, parameters: &Parameters) -> Result<Call, &'static str> {
    Ok(match parameters {
        Parameters::Noise { file: Some(_), .. } => return Err("it takes no noise from files"),
        Parameters::Noise { samples, noise, .. } => Call::Noise {
            statistic: match name {
                "smooth-grad" => Statistic::Mean,
                "var-grad" => Statistic::Variance,
                _ => Statistic::MeanSquare,
            },
            samples: *samples,
            share: *noise,
        },
        Parameters::Path {
            quadrature,
            steps,
            baselines,
            tolerance,
        } => Call::IntegratedGradients {
            quadrature: *quadrature,
            steps: *steps,
            baseline: match baselines.as_slice() {
                &[baseline] => sent(baseline)?,
                _ => return Err("it takes one baseline"),
            },
            tolerance: *tolerance,
        },
        Parameters::Relevance(rules) => Call::Lrp(*rules),
        Parameters::Aise { .. } => aise(parameters)?,
        Parameters::Ascent(ascent) => Call::ActivationMaximisation {
            steps: ascent.steps,
            rate: ascent.rate,
            decay: ascent.decay,
            jitter: ascent.jitter,
            blur: ascent.blur,
            blur_every: ascent.blur_every,
            from_picture: ascent.from_picture,
        },
        Parameters::MeaningfulPerturbation {
            against: Some(_), ..
        } => return Err("devices hold no class against another"),
        Parameters::MeaningfulPerturbation {
            against: None,
            grid,
            steps,
            rate,
            sparsity,
            smoothness,
            pairs,
            baseline,
        } => Call::MeaningfulPerturbation {
            grid: *grid,
            steps: *steps,
            rate: *rate,
            sparsity: *sparsity,
            smoothness: *smoothness,
            pairs: *pairs,
            baseline: sent(*baseline)?,
        },
        _ => return Err("devices do not have it yet"),
    })
}

fn aise(parameters: &Parameters) -> Result<Call, &'static str> {
    let Parameters::Aise {
        widths: given,
        samples,
        epsilon,
        baseline,
    } = parameters
    else {
        return Err("devices do not have it yet");
    };
    let mut widths = [0.0; MAX_WIDTHS];
    let places = widths.get_mut(..given.len());
    let places = places.ok_or("it has more widths than devices take")?;
    places.copy_from_slice(given);
    Ok(Call::Aise {
        widths,
        samples: *samples,
        epsilon: *epsilon,
        baseline: sent(*baseline)?,
    })
}

fn on_layer(kind: LayerMethod) -> Result<LayerCall, &'static str> {
    Ok(match kind {
        LayerMethod::Cam => LayerCall::Cam,
        LayerMethod::PlusPlus { relu, epsilon } => LayerCall::PlusPlus(relu, epsilon),
        LayerMethod::HiRes { relu } => LayerCall::HiRes(relu),
        LayerMethod::XGrad { relu } => LayerCall::XGrad(relu),
        LayerMethod::Layer { relu } => LayerCall::Layer(relu),
        LayerMethod::Guided { nearest } => LayerCall::Guided(nearest),
        LayerMethod::Eigen { centred, sign } => LayerCall::Eigen(centred, sign),
        LayerMethod::Score {
            relu,
            baseline,
            corners,
            constant,
        } => LayerCall::Score {
            relu,
            baseline: sent(baseline)?,
            corners,
            constant,
        },
        LayerMethod::Ablation { relu } => LayerCall::Ablation(relu),
        LayerMethod::Recipro => LayerCall::Recipro,
    })
}

fn over_segments(segmented: &Segmented) -> Result<Call, &'static str> {
    const GRID: &str = "devices cut pictures into rectangles only; say segments=grid";
    let Cutting::Grid(count) = segmented.cutting else {
        return Err(GRID);
    };
    if segmented.design().is_some() {
        return Err("it takes no design from files");
    }
    Ok(Call::Segmented {
        count: u32::try_from(count).map_err(|_| "it has too many segments")?,
        hiding: match segmented.hiding {
            method_spec::Hiding::Mean => Hiding::Mean,
            method_spec::Hiding::Baseline(baseline) => Hiding::Baseline(sent(baseline)?),
        },
        kind: match segmented.asking {
            Asking::FeatureAblation => SegmentCall::FeatureAblation,
            Asking::Lime {
                samples,
                kernel,
                alpha,
                ..
            } => SegmentCall::Lime {
                samples,
                kernel,
                alpha,
            },
            Asking::KernelShap { samples, .. } => SegmentCall::KernelShap(samples),
            Asking::Anchors {
                threshold,
                delta,
                tau,
                batch,
                beam,
                passes,
            } => SegmentCall::Anchors {
                threshold,
                delta,
                tau,
                batch,
                beam: u8::try_from(beam).map_err(|_| "its beam is too wide")?,
                passes,
            },
            Asking::Sobol { designs, .. } => SegmentCall::Sobol(designs),
            Asking::Hsic { samples, .. } => SegmentCall::Hsic(samples),
        },
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
        Baseline::File(_) => Err("a picture of one's own does not go over the wire as a baseline"),
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

#[cfg(test)]
mod tests {
    use foveola_core::explain::METHODS;
    use foveola_core::wire::message::call_bytes;

    use super::*;

    /// Parameters that differ from the defaults, one by one.
    const OTHERS: [&str; 21] = [
        "grad-cam:counterfactual=true,relu=false",
        "lrp:rule=gamma,gamma=0.5,first=zplus,dense=w2,last=rule,bn=own,bias=share,max=epsilon,add=copy",
        "lrp:rule=alpha-beta,alpha=3,epsilon=0.125",
        "integrated-gradients:quadrature=trapezoid,steps=7,baseline=-3.5,tolerance=0.25",
        "rise:estimator=centred,masks=9,grid=5,keep=0.25,baseline=blur,tolerance=0.125",
        "score-cam:relu=false,baseline=blur,grid=corners,constant=hidden",
        "eigen-cam:centred=true,sign=weights",
        "guided-grad-cam:upsample=nearest",
        "grad-cam-plus-plus:relu=false,epsilon=0.5",
        "anchors:segments=grid,count=9,threshold=0.5,delta=0.2,tau=0.3,batch=4294967295,beam=8,passes=4294967295",
        "lime:segments=grid,baseline=blur,samples=9,kernel=0.5,alpha=2.5",
        "kernel-shap:segments=grid,samples=77",
        "feature-ablation:segments=grid,baseline=segment",
        "meaningful-perturbation:grid=5,steps=6,rate=0.5,sparsity=0.25,smoothness=0.75,pairs=3,baseline=9",
        "var-grad:samples=3,noise=0.5",
        "aise:widths=0.1/0.2/0.3/0.4/0.5/0.6,samples=4294967295,epsilon=0.25,baseline=-3.5",
        "activation-maximisation:steps=9,rate=0.5,decay=0.25,jitter=3,blur=1.5,every=7,start=picture",
        "rise:sequence=sobol,masks=4294967295,grid=5,keep=0.25,baseline=blur,divisor=coverage",
        "rise:sequence=sobol,estimator=centred,tolerance=0.125",
        "hoc:mode=cover,threshold=0.25,windows=9/8/7/6/5/4/3/2,strides=9/8/7/6/5/4/3/2,baseline=-3.5,beam=65535,minimal=true",
        "hoc:minimal=true",
    ];

    /// What travels, written in words and read again, is the same; it fits.
    #[test]
    fn every_call_in_words_is_itself() {
        let pieces = ["feature-ablation", "lime", "kernel-shap", "anchors"];
        let usual = METHODS.iter().map(|row| match pieces.contains(&row.name) {
            true => format!("{}:segments=grid", row.name),
            false => row.name.to_string(),
        });
        let mut sent = 0;
        for text in usual.chain(OTHERS.map(String::from)) {
            let spec: MethodSpec = text.parse().expect("a method");
            let Ok(one) = call(&spec, &|_| None) else {
                continue;
            };
            sent += 1;
            let again: MethodSpec = one.to_string().parse().expect("a method");
            assert_eq!(call(&again, &|_| None).expect("a call"), one, "{one}");
            assert!(call_bytes(&one).is_some(), "{one}");
        }
        assert_eq!(sent, METHODS.len() + OTHERS.len());
    }

    #[test]
    fn what_only_hosts_do() {
        for (text, reason) in [
            ("lime", "segments=grid"),
            ("smooth-grad:file=n.npy", "no noise from files"),
            ("integrated-gradients:baseline=black/blur", "one baseline"),
            ("kernel-shap:segments=grid,design=d.npy", "no design"),
            ("sobol:design=d.npy", "no design"),
        ] {
            let spec: MethodSpec = text.parse().expect("a method");
            let error = call(&spec, &|_| None).expect_err("a reason").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
