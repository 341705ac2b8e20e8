//! What methods beyond the first seven do themselves, besides asking the
//! network: so much a call, a pass, a pass and element, and for some so much for
//! what they alone have (a layer, segments). The prices are each
//! method's own, in networks in f32 and in integers.

use foveola_core::Shape;
use foveola_core::relevance::RelevanceRules;

use super::counts::{Counts, Kernel};
use crate::method_spec::{Asking, Estimator, LayerMethod, MethodSpec, Parameters};

/// What the work of a method is a multiple of.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Forward and backward passes.
    pub passes: usize,
    /// The network's input.
    pub input: Shape,
    /// The layer that is looked at; nothing if there is none.
    pub layer: Shape,
    /// Segments of the picture.
    pub segments: usize,
}

/// The name under which a method's own work is priced; `None` for the first
/// seven, whose work has prices that they share.
pub fn name(spec: &MethodSpec, has_integers: bool) -> Option<String> {
    if spec.runs_on_every_board() {
        return None;
    }
    let mut name = spec.row.name.to_owned();
    let variants: &[(bool, &str)] = match &spec.parameters {
        Parameters::Rise {
            estimator,
            even,
            tolerance,
            ..
        } => &[
            (*estimator == Estimator::Centred, ".centred"),
            (*even, ".even"),
            (tolerance.is_some(), ".tolerance"),
        ],
        Parameters::Hoc { beam, minimal, .. } => &[(*beam > 1, ".beam"), (*minimal, ".minimal")],
        Parameters::MeaningfulPerturbation { against, .. } => &[(against.is_some(), ".against")],
        Parameters::Relevance(rules) => &[(*rules != RelevanceRules::default(), ".rules")],
        _ => &[],
    };
    for (has, variant) in variants {
        name += if *has { variant } else { "" };
    }
    Some(name + if has_integers { "8" } else { "" })
}

/// Counts what the method does itself, under `name`.
pub fn count(counts: &mut Counts, name: &str, spec: &MethodSpec, extent: &Extent) {
    let Extent {
        passes,
        input,
        layer,
        segments,
    } = *extent;
    let mut k = Kernel::new(counts, name);
    k.n("call", 1);
    k.n("pass", passes);
    match &spec.parameters {
        Parameters::OnLayer { kind, .. } => {
            k.n("layer", layer.len());
            match kind {
                LayerMethod::Guided { .. } => k.n("element", input.len()),
                // How many rounds its iteration takes depends on the activation.
                LayerMethod::Eigen { .. } => {}
                LayerMethod::Score { .. } => {
                    k.n("pixel", passes * input.area());
                    k.n("channel", layer.c * layer.c);
                }
                LayerMethod::Ablation { .. } | LayerMethod::Recipro => {
                    k.n("replaced", passes * layer.len());
                }
                _ => k.n("place", layer.area()),
            }
        }
        Parameters::GradCam { .. } => k.n("layer", layer.len()),
        Parameters::Segmented(segmented) => {
            k.n("pixel", passes * input.area());
            asked(&mut k, &segmented.asking, passes, segments);
        }
        Parameters::MeaningfulPerturbation { grid, .. } => {
            let side = |pixels: usize| grid.map_or(28, usize::from).min(pixels);
            k.n("cell", passes * side(input.h) * side(input.w));
            k.n("element", passes * input.len());
        }
        Parameters::Aise { samples, .. } => {
            k.n("pixel", passes * input.area());
            k.n("tried", passes * *samples as usize);
        }
        Parameters::Ascent(ascent) => {
            k.n("element", passes * input.len());
            let blurs = ascent.steps / ascent.blur_every.max(1);
            k.n("blurred", blurs as usize * input.len());
        }
        Parameters::Rise { grid, .. } => {
            let cells = grid.map_or(7, usize::from);
            k.n("cell", passes * cells * cells);
            k.n("pixel", passes * input.area());
        }
        // The picture, and what its relevance or its biases take beside this.
        _ => k.n("element", passes * input.len()),
    }
}

/// What becomes of the scores of segments.
fn asked(k: &mut Kernel<'_>, asking: &Asking, passes: usize, segments: usize) {
    k.n("segment", passes * segments);
    match asking {
        Asking::Lime { .. } | Asking::KernelShap { .. } => {
            k.n("square", passes * segments * segments);
            k.n("cube", segments * segments * segments);
        }
        Asking::Hsic { .. } => {
            k.n("pair", passes * passes);
            k.n("pair.segment", passes * passes * segments);
        }
        _ => {}
    }
}
