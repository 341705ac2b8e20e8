//! The methods beyond the first seven, made ready as the first ones are.

use core::cell::RefCell;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use super::{Lend, Subject, fill, layer_of, until_zero};
use crate::classifier::At;
use crate::error::Error;
use crate::explain::anchors::Arm;
use crate::explain::hoc::{Mode, Storage};
use crate::explain::{
    AblationCam, ActivationMaximisation, Aise, Anchors, Cam, CentredRise, CounterfactualGradCam,
    EigenCam, FeatureAblation, FullGrad, GradCam, GradCamPlusPlus, GuidedGradCam, HiResCam, Hoc,
    HocMethod, Hsic, InputXGradient, IntegratedGradients, KernelShap, LayerCam, Lime, Lrp,
    MeaningfulPerturbation, Method, Noise, ReciproCam, Rise, ScoreCam, SmoothGrad, Sobol,
    SquareGrad, VarGrad, XGradCam,
};
use crate::mask::{Fill, Sequence};
use crate::net::model::Pass;
use crate::picture::Picture;
use crate::quasi::scrambled_sobol;
use crate::segment::{Segments, flatten_pixels, flatten_scratch, flatten_tensor, grid, grid_of};
use crate::wire::message::{Baseline, Call, Hiding, LayerCall, SegmentCall, Statistic};

const FORWARD: Pass = Pass::Forward;
const TO_INPUT: Pass = Pass::Backward(At::Input);

/// Takes the method and the passes whose plans it needs.
pub(super) type Run<'r> = dyn FnMut(&[Pass], &dyn Method) -> Result<(), Error> + 'r;

/// A method that needs no memory of its own beyond what hides; `fill` is that.
pub(super) fn simple(
    call: &Call,
    subject: &Subject<'_>,
    (fill, storage): (Fill<'_>, Storage<'_>),
    run: &mut Run<'_>,
) -> Result<(), Error> {
    match *call {
        Call::InputXGradient => run(&[TO_INPUT], &InputXGradient),
        Call::FullGrad => run(&[TO_INPUT], &FullGrad),
        Call::Lrp(rules) => run(&[Pass::Relevance], &Lrp { rules, told: None }),
        Call::Noise {
            statistic,
            samples,
            share,
        } => {
            let noise = Noise {
                samples,
                share,
                stored: None,
            };
            match statistic {
                Statistic::Mean => run(&[TO_INPUT], &SmoothGrad { noise }),
                Statistic::Variance => run(&[TO_INPUT], &VarGrad { noise }),
                Statistic::MeanSquare => run(&[TO_INPUT], &SquareGrad { noise }),
            }
        }
        Call::IntegratedGradients {
            quadrature,
            steps,
            tolerance,
            ..
        } => {
            let baselines = &[fill];
            let method = IntegratedGradients {
                quadrature,
                steps,
                baselines,
                tolerance,
            };
            run(&[TO_INPUT], &method)
        }
        Call::OnLayer { layer, kind } => {
            on_layer(kind, At::Tensor(layer_of(subject.model, layer)?), fill, run)
        }
        Call::CentredRise { .. } => run(&[FORWARD], &centred(call, fill)),
        Call::WideHoc { .. } => wide(call, (fill, storage), run),
        Call::EvenRise { .. } => even(call, fill, run),
        _ => search(call, fill, run),
    }
}

/// Methods that look for a place or a picture.
fn search(call: &Call, fill: Fill<'_>, run: &mut Run<'_>) -> Result<(), Error> {
    match *call {
        Call::Aise {
            widths,
            samples,
            epsilon,
            ..
        } => {
            let count = widths.iter().take_while(|width| **width != 0.0).count();
            let method = Aise {
                widths: widths.get(..count).unwrap_or(&widths),
                samples,
                epsilon,
                fill,
            };
            run(&[FORWARD], &method)
        }
        Call::ActivationMaximisation {
            steps,
            rate,
            decay,
            jitter,
            blur,
            blur_every,
            from_picture,
        } => {
            let method = ActivationMaximisation {
                steps,
                rate,
                decay,
                jitter,
                blur,
                blur_every,
                from_picture,
            };
            run(&[TO_INPUT], &method)
        }
        _ => perturb(call, fill, run),
    }
}

fn even(call: &Call, fill: Fill<'_>, run: &mut Run<'_>) -> Result<(), Error> {
    let Call::EvenRise {
        masks,
        grid,
        keep,
        baseline,
        by_coverage,
        mindspore,
        centred,
        tolerance,
    } = *call
    else {
        return Err(Error::Internal);
    };
    let like = Call::Rise {
        masks,
        grid,
        keep,
        baseline,
        by_coverage,
        mindspore,
    };
    let rise = Rise {
        sequence: Sequence::Even(scrambled_sobol),
        ..like.rise(fill)
    };
    match centred {
        true => run(&[FORWARD], &CentredRise { rise, tolerance }),
        false => run(&[FORWARD], &rise),
    }
}

fn wide(
    call: &Call,
    (fill, storage): (Fill<'_>, Storage<'_>),
    run: &mut Run<'_>,
) -> Result<(), Error> {
    let Call::WideHoc {
        cover,
        threshold,
        windows,
        strides,
        beam,
        minimal,
        ..
    } = *call
    else {
        return Err(Error::Internal);
    };
    let [windows, strides] = [windows, strides].map(|list| list.map(usize::from));
    let hoc = Hoc {
        mode: if cover { Mode::Cover } else { Mode::Reveal },
        threshold,
        windows: until_zero(&windows),
        strides: until_zero(&strides),
        fill,
        beam: usize::from(beam),
        minimal,
    };
    let storage = RefCell::new(storage);
    run(&[FORWARD], &HocMethod { hoc, storage })
}

fn perturb(call: &Call, fill: Fill<'_>, run: &mut Run<'_>) -> Result<(), Error> {
    let Call::MeaningfulPerturbation {
        grid,
        steps,
        rate,
        sparsity,
        smoothness,
        pairs,
        ..
    } = *call
    else {
        return Err(Error::Internal);
    };
    let method = MeaningfulPerturbation {
        fill,
        grid: grid.map(|cells| [usize::from(cells); 2]),
        steps,
        rate,
        sparsity,
        smoothness,
        pairs,
        against: None,
    };
    run(&[TO_INPUT], &method)
}

fn centred<'f>(call: &Call, fill: Fill<'f>) -> CentredRise<'f> {
    let Call::CentredRise {
        masks,
        grid,
        keep,
        mindspore,
        tolerance,
        ..
    } = *call
    else {
        return CentredRise::default();
    };
    let like = Call::Rise {
        masks,
        grid,
        keep,
        baseline: Baseline::Blur,
        by_coverage: false,
        mindspore,
    };
    let rise: Rise<'f> = like.rise(fill);
    CentredRise { rise, tolerance }
}

fn on_layer(kind: LayerCall, at: At, fill: Fill<'_>, run: &mut Run<'_>) -> Result<(), Error> {
    let (layer, down) = (Some(at), Pass::Backward(at));
    match kind {
        LayerCall::Counterfactual(relu) => {
            run(&[down], &CounterfactualGradCam(GradCam { layer, relu }))
        }
        LayerCall::Cam => run(&[down], &Cam { layer }),
        LayerCall::PlusPlus(relu, epsilon) => {
            let method = GradCamPlusPlus {
                layer,
                relu,
                epsilon,
            };
            run(&[down], &method)
        }
        LayerCall::HiRes(relu) => run(&[down], &HiResCam { layer, relu }),
        LayerCall::XGrad(relu) => run(&[down], &XGradCam { layer, relu }),
        LayerCall::Layer(relu) => run(&[down], &LayerCam { layer, relu }),
        LayerCall::Guided(nearest) => run(&[down, TO_INPUT], &GuidedGradCam { layer, nearest }),
        LayerCall::Eigen(centred, sign) => {
            let method = EigenCam {
                layer,
                centred,
                sign,
            };
            run(&[down], &method)
        }
        LayerCall::Score {
            relu,
            corners,
            constant,
            ..
        } => {
            let method = ScoreCam {
                layer,
                relu,
                fill,
                corners,
                constant,
            };
            run(&[down, FORWARD], &method)
        }
        LayerCall::Ablation(relu) => run(&[down], &AblationCam { layer, relu }),
        LayerCall::Recipro => run(&[down], &ReciproCam { layer }),
    }
}

/// What a method over segments borrows.
pub(super) struct Cut<'c> {
    segments: Segments<'c>,
    fill: Fill<'c>,
    /// Numbers of LIME, Kernel SHAP and Sobol.
    numbers: &'c mut [f64],
    /// Sets of Anchors.
    arms: &'c mut [Arm],
}

/// Cuts the picture into a grid and lends what the method needs.
pub(super) fn cut<'s, 'm: 's>(
    (count, hiding, kind): (u32, Hiding, SegmentCall),
    picture: &Picture<'s>,
    memory: &mut impl Lend<'m>,
) -> Result<Cut<'s>, Error> {
    let shape = picture.shape();
    let labels: &'m mut [u16] = lent(memory, shape.area())?;
    grid(shape, grid_of(shape, count as usize), labels)?;
    let labels: &'m [u16] = labels;
    let segments = Segments::new(labels);
    let fill = match hiding {
        Hiding::Mean => Fill::Picture(flattened(picture, &segments, memory)?),
        Hiding::Baseline(baseline) => fill(picture, Some(baseline), memory)?,
    };
    let pieces = segments.count();
    let numbers = match kind {
        SegmentCall::Lime { .. } => Lime::storage(pieces, 1),
        SegmentCall::KernelShap(_) => KernelShap::storage(pieces, 1),
        SegmentCall::Sobol(_) => 2,
        _ => 0,
    };
    let arms = match kind {
        SegmentCall::Anchors { beam, .. } => Anchors::arms(pieces, usize::from(beam)),
        _ => 0,
    };
    Ok(Cut {
        segments,
        fill,
        numbers: lent(memory, numbers)?,
        arms: lent(memory, arms)?,
    })
}

/// Hands the method over segments to `run`.
pub(super) fn segmented(kind: SegmentCall, cut: Cut<'_>, run: &mut Run<'_>) -> Result<(), Error> {
    let Cut {
        segments,
        fill,
        numbers,
        arms,
    } = cut;
    let storage = RefCell::new(numbers);
    let passes = &[FORWARD];
    match kind {
        SegmentCall::FeatureAblation => run(passes, &FeatureAblation { segments, fill }),
        SegmentCall::Lime {
            samples,
            kernel,
            alpha,
        } => {
            let method = Lime {
                segments,
                fill,
                samples,
                kernel,
                alpha,
                design: None,
                storage,
            };
            run(passes, &method)
        }
        SegmentCall::KernelShap(samples) => {
            let method = KernelShap {
                segments,
                fill,
                samples,
                design: None,
                storage,
            };
            run(passes, &method)
        }
        SegmentCall::Anchors {
            threshold,
            delta,
            tau,
            batch,
            beam,
            passes: most,
        } => {
            let method = Anchors {
                threshold,
                delta,
                tau,
                batch,
                beam: usize::from(beam),
                most,
                ..Anchors::new(segments, fill, arms)
            };
            run(passes, &method)
        }
        SegmentCall::Sobol(designs) => {
            let method = Sobol {
                segments,
                fill,
                designs,
                design: None,
                storage,
            };
            run(passes, &method)
        }
        SegmentCall::Hsic(samples) => {
            let method = Hsic {
                segments,
                fill,
                samples,
                design: None,
            };
            run(passes, &method)
        }
    }
}

/// The picture, each segment in its mean colour.
fn flattened<'s, 'm: 's>(
    picture: &Picture<'s>,
    segments: &Segments<'_>,
    memory: &mut impl Lend<'m>,
) -> Result<Picture<'s>, Error> {
    let shape = picture.shape();
    let need = flatten_scratch(segments.count(), shape.c);
    Ok(match *picture {
        Picture::Pixels {
            data,
            normalisation,
            ..
        } => {
            let out = memory.bytes(shape.len())?;
            flatten_pixels(
                segments,
                shape.c,
                data,
                lent(&mut memory.scope(), need)?,
                out,
            )?;
            Picture::Pixels {
                shape,
                data: out,
                normalisation,
            }
        }
        Picture::Tensor { data, .. } => {
            let out = memory.floats(shape.len())?;
            flatten_tensor(
                segments,
                shape.c,
                data,
                lent(&mut memory.scope(), need)?,
                out,
            )?;
            Picture::Tensor { shape, data: out }
        }
    })
}

/// So many elements of any kind, all bytes 0.
fn lent<'m, T: FromBytes + IntoBytes + KnownLayout>(
    memory: &mut impl Lend<'m>,
    count: usize,
) -> Result<&'m mut [T], Error> {
    let length = count.checked_mul(size_of::<T>());
    let bytes = memory.bytes(length.ok_or(Error::Internal)?)?;
    bytes.fill(0);
    <[T]>::mut_from_bytes(bytes).map_err(|_| Error::Internal)
}
