//! XGrad-CAM (Fu et al. 2020, arXiv 2008.02312, eq. 7): each channel k of a
//! layer weighs sum(g A) / sum(A), sums over its places; the map is the weighted
//! sum of the channels, by default its positive part.
//!
//! A channel whose activation sums to 0 weighs 0 (grad-cam adds 1e-7 to the
//! divisor instead). Default score: logit. Cost: 1 forward, 1 backward a target;
//! scratch: the layer's gradient and two numbers a channel.

use super::layer::{Layer, Parts, layer_method};
use crate::classifier::At;

/// Where in a layer the evidence lies, channels weighted by their gradient in units of activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XGradCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
}

impl Default for XGradCam {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
        }
    }
}

impl XGradCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    #[allow(clippy::unused_self)] // every such method has one
    fn combine(&self, parts: &Parts<'_>, weights: &mut [f32], map: &mut [f32]) {
        let (weights, sums) = weights.split_at_mut(parts.shape.c.min(weights.len()));
        weights.fill(0.0);
        sums.fill(0.0);
        for place in parts.places() {
            for ((a, g), (weight, sum)) in place.zip(weights.iter_mut().zip(&mut *sums)) {
                *weight += g * a;
                *sum += a;
            }
        }
        for (weight, sum) in weights.iter_mut().zip(sums) {
            *weight = if *sum == 0.0 { 0.0 } else { *weight / *sum };
        }
        parts.weigh(weights, map);
    }
}

layer_method!(XGradCam);
