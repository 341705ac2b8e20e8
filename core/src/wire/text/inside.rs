//! The methods beyond the first seven in words.

use core::fmt::Result;

use super::Pairs;
use crate::explain::hoc::MAX_LAYERS;
use crate::explain::{Quadrature, Sign};
use crate::relevance::{LayerRule, NormRule, RelevanceRules, SumRule};
use crate::wire::message::{Call, Hiding, LayerCall, SegmentCall};

impl Pairs<'_, '_> {
    fn relu(&mut self, relu: bool) -> Result {
        self.flag(!relu, "relu", "false")
    }

    fn real(&mut self, key: &str, value: Option<f32>) -> Result {
        value.map_or(Ok(()), |value| self.put(key, &value))
    }

    /// The parameters of a call that is none of the first seven.
    pub(super) fn other(&mut self, call: &Call) -> Result {
        match *call {
            Call::Noise { samples, share, .. } => {
                self.put("samples", &samples)?;
                self.put("noise", &share)
            }
            Call::IntegratedGradients {
                quadrature,
                steps,
                baseline,
                tolerance,
            } => {
                self.put("quadrature", &name_of(quadrature))?;
                self.put("steps", &steps)?;
                self.baseline(baseline)?;
                self.real("tolerance", tolerance)
            }
            Call::Lrp(rules) => self.rules(&rules),
            Call::OnLayer { layer, kind } => {
                self.list("layer", layer.into_iter().map(u32::from))?;
                self.on_layer(kind)
            }
            Call::Segmented {
                count,
                hiding,
                kind,
            } => {
                self.put("segments", &"grid")?;
                self.put("count", &count)?;
                match hiding {
                    Hiding::Mean => self.put("baseline", &"segment")?,
                    Hiding::Baseline(baseline) => self.baseline(baseline)?,
                }
                self.segmented(kind)
            }
            _ => self.perturbing(call),
        }
    }

    fn perturbing(&mut self, call: &Call) -> Result {
        match *call {
            Call::MeaningfulPerturbation {
                grid,
                steps,
                rate,
                sparsity,
                smoothness,
                pairs,
                baseline,
            } => {
                self.list("grid", grid.into_iter().map(u32::from))?;
                self.put("steps", &steps)?;
                self.put("rate", &rate)?;
                self.put("sparsity", &sparsity)?;
                self.put("smoothness", &smoothness)?;
                self.put("pairs", &pairs)?;
                self.baseline(baseline)
            }
            Call::CentredRise {
                masks,
                grid,
                keep,
                baseline,
                mindspore,
                tolerance,
            } => {
                self.put("estimator", &"centred")?;
                self.list("masks", masks.into_iter())?;
                self.list("grid", grid.into_iter().map(u32::from))?;
                self.put("keep", &keep)?;
                self.baseline(baseline)?;
                self.flag(mindspore, "compat", "mindspore")?;
                self.real("tolerance", tolerance)
            }
            Call::EvenRise {
                masks,
                grid,
                keep,
                baseline,
                by_coverage,
                mindspore,
                centred,
                tolerance,
            } => {
                self.put("sequence", &"sobol")?;
                self.flag(centred, "estimator", "centred")?;
                self.list("masks", masks.into_iter())?;
                self.list("grid", grid.into_iter())?;
                self.put("keep", &keep)?;
                self.baseline(baseline)?;
                self.flag(by_coverage, "divisor", "coverage")?;
                self.flag(mindspore, "compat", "mindspore")?;
                self.real("tolerance", tolerance)
            }
            _ => self.searching(call),
        }
    }

    fn searching(&mut self, call: &Call) -> Result {
        match *call {
            Call::Aise {
                widths,
                samples,
                epsilon,
                baseline,
            } => {
                self.list("widths", widths.into_iter().take_while(|w| *w != 0.0))?;
                self.put("samples", &samples)?;
                self.put("epsilon", &epsilon)?;
                self.baseline(baseline)
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
                self.put("steps", &steps)?;
                self.put("rate", &rate)?;
                self.put("decay", &decay)?;
                self.put("jitter", &jitter)?;
                self.put("blur", &blur)?;
                self.put("every", &blur_every)?;
                self.flag(from_picture, "start", "picture")
            }
            Call::WideHoc {
                cover,
                threshold,
                windows,
                strides,
                baseline,
                beam,
                minimal,
            } => {
                let used = |list: [u16; MAX_LAYERS]| list.into_iter().take_while(|side| *side > 0);
                self.flag(cover, "mode", "cover")?;
                self.put("threshold", &threshold)?;
                self.list("windows", used(windows))?;
                self.list("strides", used(strides))?;
                self.baseline(baseline)?;
                self.put("beam", &beam)?;
                self.flag(minimal, "minimal", "true")
            }
            _ => Ok(()),
        }
    }

    fn on_layer(&mut self, kind: LayerCall) -> Result {
        match kind {
            LayerCall::Cam | LayerCall::Recipro => Ok(()),
            LayerCall::Counterfactual(relu) => {
                self.put("counterfactual", &true)?;
                self.relu(relu)
            }
            LayerCall::PlusPlus(relu, epsilon) => {
                self.put("epsilon", &epsilon)?;
                self.relu(relu)
            }
            LayerCall::HiRes(relu)
            | LayerCall::XGrad(relu)
            | LayerCall::Layer(relu)
            | LayerCall::Ablation(relu) => self.relu(relu),
            LayerCall::Guided(nearest) => self.flag(nearest, "upsample", "nearest"),
            LayerCall::Eigen(centred, sign) => {
                self.flag(centred, "centred", "true")?;
                self.flag(sign == Sign::Weights, "sign", "weights")
            }
            LayerCall::Score {
                relu,
                baseline,
                corners,
                constant,
            } => {
                self.relu(relu)?;
                self.baseline(baseline)?;
                self.flag(corners, "grid", "corners")?;
                self.flag(constant, "constant", "hidden")
            }
        }
    }

    fn segmented(&mut self, kind: SegmentCall) -> Result {
        match kind {
            SegmentCall::FeatureAblation => Ok(()),
            SegmentCall::Lime {
                samples,
                kernel,
                alpha,
            } => {
                self.put("samples", &samples)?;
                self.put("kernel", &kernel)?;
                self.put("alpha", &alpha)
            }
            SegmentCall::KernelShap(samples) => self.list("samples", samples.into_iter()),
            SegmentCall::Anchors {
                threshold,
                delta,
                tau,
                batch,
                beam,
                passes,
            } => {
                self.put("threshold", &threshold)?;
                self.put("delta", &delta)?;
                self.put("tau", &tau)?;
                self.put("batch", &batch)?;
                self.put("beam", &beam)?;
                self.put("passes", &passes)
            }
            SegmentCall::Sobol(designs) => self.put("designs", &designs),
            SegmentCall::Hsic(samples) => self.put("samples", &samples),
        }
    }

    fn rules(&mut self, rules: &RelevanceRules) -> Result {
        let each = [rules.first, rules.convolution, rules.dense];
        for (key, rule) in ["first", "rule", "dense"].into_iter().zip(each) {
            self.put(key, &rule_name(rule))?;
        }
        self.put("last", &if rules.last_exact { "exact" } else { "rule" })?;
        self.put("epsilon", &rules.epsilon)?;
        self.real(
            "gamma",
            each.iter().find_map(|rule| match rule {
                LayerRule::Gamma(gamma) => Some(*gamma),
                _ => None,
            }),
        )?;
        self.real(
            "alpha",
            each.iter().find_map(|rule| match rule {
                LayerRule::AlphaBeta(alpha) => Some(*alpha),
                _ => None,
            }),
        )?;
        self.flag(rules.norm == NormRule::Own, "bn", "own")?;
        self.flag(rules.bias, "bias", "share")?;
        self.flag(rules.stabilise_maximum, "max", "epsilon")?;
        self.flag(rules.sum == SumRule::Copy, "add", "copy")
    }
}

const fn name_of(quadrature: Quadrature) -> &'static str {
    match quadrature {
        Quadrature::Middle => "middle",
        Quadrature::Left => "left",
        Quadrature::Right => "right",
        Quadrature::Trapezoid => "trapezoid",
        Quadrature::GaussLegendre => "gauss-legendre",
    }
}

const fn rule_name(rule: LayerRule) -> &'static str {
    match rule {
        LayerRule::Epsilon => "epsilon",
        LayerRule::Gamma(_) => "gamma",
        LayerRule::ZPlus => "zplus",
        LayerRule::AlphaBeta(_) => "alpha-beta",
        LayerRule::WSquare => "w2",
        LayerRule::Flat => "flat",
        LayerRule::ZBox => "zb",
    }
}
