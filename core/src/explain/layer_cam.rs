//! LayerCAM (Jiang et al. 2021, IEEE TIP 30, eq. 5-6): sum over the channels of
//! a layer of ReLU(gradient) times activation, place by place; by default the
//! positive part.
//!
//! The paper scales the maps of shallow layers by tanh(2 M / max M) where
//! several layers are fused; maps here are raw, so that is left to whoever
//! fuses them. Default score: logit. Cost: 1 forward, 1 backward a target;
//! scratch: the layer's gradient.

use super::layer::{Layer, Parts, layer_method};
use crate::classifier::At;

/// Where in a layer the evidence lies, by positive gradient times activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
}

impl Default for LayerCam {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
        }
    }
}

impl LayerCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    #[allow(clippy::unused_self)] // every such method has one
    fn combine(&self, parts: &Parts<'_>, _: &mut [f32], map: &mut [f32]) {
        for (out, place) in map.iter_mut().zip(parts.places()) {
            *out = place.map(|(a, g)| if g > 0.0 { g * a } else { 0.0 }).sum();
        }
    }
}

layer_method!(LayerCam);
