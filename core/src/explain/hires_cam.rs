//! HiResCAM (Draelos and Carin 2020, arXiv 2011.08891, eq. 2): sum over the
//! channels of a layer of gradient times activation, place by place.
//!
//! Signed before the positive part is taken (`relu`, the default, as grad-cam
//! does; the paper shows the sum itself). Where one linear layer follows, the
//! sum of the signed map is the score minus the bias; Grad-CAM's is not.
//! Default score: logit. Cost: 1 forward, 1 backward a target; scratch: the
//! layer's gradient.

use super::layer::{Layer, Parts, layer_method};
use crate::classifier::At;

/// Where in a layer the evidence lies, by gradient times activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiResCam {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
}

impl Default for HiResCam {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
        }
    }
}

impl HiResCam {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    #[allow(clippy::unused_self)] // every such method has one
    fn combine(&self, parts: &Parts<'_>, _: &mut [f32], map: &mut [f32]) {
        for (out, place) in map.iter_mut().zip(parts.places()) {
            *out = place.map(|(a, g)| g * a).sum();
        }
    }
}

layer_method!(HiResCam);
