//! Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063, eq. 5, 6 and 19),
//! for exp of the score, whose higher derivatives are powers of the first.
//!
//! With g = df/dA at each place of channel k and S_k the sum of its activation:
//! a = g^2 / (2 g^2 + S_k g^3), 0 where the divisor is 0; the channel weighs
//! sum(a ReLU(g)); the map is the weighted sum of the channels, by default its
//! positive part. The factor exp(f), common to all weights, is left out.
//! grad-cam adds 1e-6 to the divisor (`epsilon`), which is not small where
//! gradients are about 1e-3; the default is 0.
//! Default score: logit. Cost: 1 forward, 1 backward a target; scratch: the
//! layer's gradient and two numbers a channel.

use super::layer::{Layer, Parts, layer_method};
use crate::classifier::At;

/// Where in a layer the evidence lies, channels weighted place by place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradCamPlusPlus {
    /// The layer; there is no default.
    pub layer: Option<At>,
    /// Whether only the positive part counts.
    pub relu: bool,
    /// Added to the divisor, at least 0.
    pub epsilon: f32,
}

impl Default for GradCamPlusPlus {
    fn default() -> Self {
        Self {
            layer: None,
            relu: true,
            epsilon: 0.0,
        }
    }
}

impl GradCamPlusPlus {
    const fn layer(&self) -> Layer {
        Layer {
            at: self.layer,
            relu: self.relu,
        }
    }

    fn combine(&self, parts: &Parts<'_>, weights: &mut [f32], map: &mut [f32]) {
        let (weights, sums) = weights.split_at_mut(parts.shape.c.min(weights.len()));
        weights.fill(0.0);
        sums.fill(0.0);
        for place in parts.places() {
            for ((a, _), sum) in place.zip(&mut *sums) {
                *sum += a;
            }
        }
        for place in parts.places() {
            for ((_, g), (weight, sum)) in place.zip(weights.iter_mut().zip(&*sums)) {
                let divisor = 2.0 * g * g + sum * g * g * g + self.epsilon;
                if g > 0.0 && divisor != 0.0 {
                    *weight += g * g / divisor * g;
                }
            }
        }
        parts.weigh(weights, map);
    }
}

layer_method!(GradCamPlusPlus);
