//! Layer-wise relevance propagation as values: which rule each kind of layer
//! has, and what a layer did with its relevance.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How a layer with weights shares the relevance `R_k` of an output among its
/// inputs `a_j`. With `w+` the positive part of `w`, `w-` the negative one, `s`
/// the stabiliser `epsilon * sign(z)` where `sign(0)` is 1:
///
/// Sources: Bach et al. 2015, PLoS ONE 10(7) e0130140; Montavon et al. 2017,
/// arXiv 1512.02479 (w², flat, zB); Montavon et al. 2019,
/// doi 10.1007/978-3-030-28954-6_10 (gamma); for inputs of both signs Andeol et
/// al. 2021, arXiv 2108.02295.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LayerRule {
    /// `a w / (z + s)`, `z = sum a w + b`. With epsilon 0 this is LRP-0.
    Epsilon,
    /// As epsilon, with `w + gamma w+` and `b + gamma b+` for `w` and `b`. (Of
    /// an input below 0 it is `w + gamma w-` that is raised, and where `z` is
    /// below 0 the other sign.) The number is gamma, 0 or more.
    Gamma(f32),
    /// `(a w)+ / (sum (a w)+ + s)`.
    ZPlus,
    /// `alpha (a w)+ / sum (a w)+ - beta (a w)- / sum (a w)-` with
    /// `beta = alpha - 1`. The number is alpha, 1 or more.
    AlphaBeta(f32),
    /// `w² / sum w²`, whatever the input.
    WSquare,
    /// The same for every input.
    Flat,
    /// `(x w - l w+ - h w-)` over its sum, for pixels between `l` and `h`.
    /// Where the input is no picture of at most 4 channels, [`LayerRule::WSquare`].
    ZBox,
}

/// What a sum of two tensors does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SumRule {
    /// Each operand gets the share that it contributed.
    Share,
    /// Each operand gets all of it, as a gradient does; not conserving.
    Copy,
}

/// Where a batch normalisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormRule {
    /// A layer of its own, with the epsilon rule.
    Own,
    /// A part of the layer with weights before it, if nothing lies between.
    Fold,
}

/// The rules of a network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelevanceRules {
    /// Of the layers with weights that read the picture.
    pub first: LayerRule,
    /// Of other convolutions.
    pub convolution: LayerRule,
    /// Of other dense layers.
    pub dense: LayerRule,
    /// Whether the last layer with weights has LRP-0 in the place of all that.
    pub last_exact: bool,
    /// The stabiliser of every division, 0 or more. What is divided by 0 goes
    /// to nobody and counts as taken by the stabiliser.
    pub epsilon: f32,
    /// Whether biases count in [`LayerRule::ZPlus`] and [`LayerRule::AlphaBeta`].
    pub bias: bool,
    /// Whether a maximum is divided by as well: its winner then gets
    /// `z / (z + s)` in the place of everything.
    pub stabilise_maximum: bool,
    /// Of sums.
    pub sum: SumRule,
    /// Of batch normalisations.
    pub norm: NormRule,
}

impl RelevanceRules {
    /// One rule for all convolutions; dense layers have epsilon.
    pub const fn uniform(rule: LayerRule, epsilon: f32) -> Self {
        Self {
            first: rule,
            convolution: rule,
            dense: LayerRule::Epsilon,
            last_exact: false,
            epsilon,
            bias: false,
            stabilise_maximum: false,
            sum: SumRule::Share,
            norm: NormRule::Fold,
        }
    }

    /// Epsilon, gamma and alpha within their ranges.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        if !self.epsilon.is_finite() || self.epsilon < 0.0 {
            return Err(Error::BadParameter("epsilon"));
        }
        for rule in [self.first, self.convolution, self.dense] {
            match rule {
                LayerRule::Gamma(gamma) if !gamma.is_finite() || gamma < 0.0 => {
                    return Err(Error::BadParameter("gamma"));
                }
                LayerRule::AlphaBeta(alpha) if !alpha.is_finite() || alpha < 1.0 => {
                    return Err(Error::BadParameter("alpha"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Default for RelevanceRules {
    /// The composite for convolutional networks (Montavon et al. 2019, section
    /// 10.3): zB on the picture, gamma 0.25 on other convolutions, epsilon on
    /// dense layers, LRP-0 on the last.
    fn default() -> Self {
        Self {
            first: LayerRule::ZBox,
            last_exact: true,
            ..Self::uniform(LayerRule::Gamma(0.25), 1e-6)
        }
    }
}

/// What one layer did with its relevance: `out = into + bias + epsilon`, up to
/// rounding, but for [`SumRule::Copy`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerRelevance {
    /// The node, by its place in the run order.
    pub node: usize,
    /// Sum over its output.
    pub out: f64,
    /// Sum over what its inputs got.
    pub into: f64,
    /// What biases and constants took.
    pub bias: f64,
    /// What stabilisers took, and what nobody could be given.
    pub epsilon: f64,
}

/// Takes the balance of each layer, last layer first. An error ends the pass
/// and is handed on.
pub type Balance<'a> = dyn FnMut(&LayerRelevance) -> Result<(), Error> + 'a;
