//! The methods: one file each, one row each in the method table.
//!
//! A method is a plain struct of parameters with a `Default`. It states its
//! cost before it runs, asks a [`Classifier`] its questions, and fills one map
//! a target: raw, signed, f32, HWC. Normalising and colouring happen only
//! where a map is shown.

mod ablation_cam;
mod activation_maximisation;
mod adjusted_rise;
mod aise;
pub mod anchors;
mod cam;
mod centred_rise;
mod contrast;
mod eigen_cam;
mod feature_ablation;
mod full_grad;
mod grad_cam;
mod grad_cam_plus_plus;
mod gradient;
mod guided_grad_cam;
mod hires_cam;
pub mod hoc;
mod hsic;
mod input_x_gradient;
mod integrated_gradients;
mod kernel_shap;
mod layer;
mod layer_cam;
mod lime;
mod lrp;
mod map;
mod meaningful_perturbation;
#[cfg(test)]
pub(crate) mod nets;
mod noise;
mod occlusion;
mod pass;
mod recipro_cam;
mod regression;
mod rise;
mod rows;
mod score_cam;
mod segmented;
mod smooth_grad;
mod sobol;
mod square_grad;
mod table;
mod var_grad;
mod x_grad_cam;

use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::picture::Picture;
use crate::tensor::Shape;

pub use ablation_cam::AblationCam;
pub use activation_maximisation::ActivationMaximisation;
pub use adjusted_rise::AdjustedRise;
pub use aise::Aise;
pub use anchors::Anchors;
pub use cam::Cam;
pub use centred_rise::CentredRise;
pub use contrast::Contrast;
pub use eigen_cam::{EigenCam, Sign};
pub use feature_ablation::FeatureAblation;
pub use full_grad::FullGrad;
pub use grad_cam::{CounterfactualGradCam, GradCam};
pub use grad_cam_plus_plus::GradCamPlusPlus;
pub use gradient::{Deconvolution, Gradient, GuidedBackprop};
pub use guided_grad_cam::GuidedGradCam;
pub use hires_cam::HiResCam;
pub use hoc::{Hoc, HocMethod};
pub use hsic::Hsic;
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::{IntegratedGradients, Quadrature};
pub use kernel_shap::KernelShap;
pub use layer_cam::LayerCam;
pub use lime::Lime;
pub use lrp::{Lrp, Told};
pub(crate) use map::{between, place, strongest};
pub use map::{strongest_channel, upsample_bilinear, upsample_nearest};
pub use meaningful_perturbation::MeaningfulPerturbation;
pub use noise::Noise;
pub use occlusion::Occlusion;
pub use recipro_cam::ReciproCam;
pub use rise::{Rise, StoredMasks};
pub use rows::gradient_rows;
pub use score_cam::ScoreCam;
pub use smooth_grad::SmoothGrad;
pub use sobol::Sobol;
pub use square_grad::SquareGrad;
pub use table::{METHODS, MapKind, MethodRow, Needs, Parameter};
pub use var_grad::VarGrad;
pub use x_grad_cam::XGradCam;

/// What is asked of a method.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The picture, of the classifier's input shape.
    pub picture: Picture<'a>,
    /// Classes to explain; all share the passes over the perturbations.
    pub targets: &'a [usize],
    /// Score to explain; `None` is the method's own default (logit for gradient
    /// methods, probability for perturbation methods).
    pub score: Option<Score>,
    /// Key of every random number; [`crate::rng::DEFAULT_SEED`] where nobody chose one.
    pub seed: u64,
}

/// What a method costs for one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Forward passes, all targets together (an upper bound where it depends on the picture).
    pub forward: u64,
    /// Backward passes, all targets together.
    pub backward: u64,
    /// Scratch, in f32 elements.
    pub scratch: usize,
}

/// What became of one map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A map with differences to see.
    Ok,
    /// No evidence: every element is the same, or the score never moved.
    Flat,
    /// There is no map, for this reason.
    Undefined(&'static str),
    /// Stopped before the end; the map holds what `done` of `total` passes give.
    Partial {
        /// Passes done.
        done: u64,
        /// Passes wanted.
        total: u64,
    },
}

/// Told how far a method is; answers whether to go on.
pub trait Progress {
    /// `done` of `total` passes are done. `false` stops the method, which then
    /// returns what it has as [`Outcome::Partial`].
    fn step(&mut self, done: u64, total: u64) -> bool;

    /// A number that a method tells beside map number `map` (in the order of
    /// the targets): an error, steps taken. Whoever does not keep it ignores it.
    fn note(&mut self, _map: usize, _name: &'static str, _value: f64) {}

    /// A map of the same shape that a method tells beside map number `map`: its
    /// standard error. Whoever does not keep it ignores it.
    fn companion(&mut self, _map: usize, _name: &'static str, _values: &[f32]) {}
}

/// Goes on without a word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        true
    }
}

/// A method of explanation.
pub trait Method {
    /// Shape of one map: the input's shape for methods that attribute to every
    /// input element, one channel for the others (native resolution for CAM).
    ///
    /// # Errors
    /// A layer or parameter that does not fit the classifier.
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error>;

    /// Cost for `targets` targets.
    ///
    /// # Errors
    /// As [`Method::map_shape`].
    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error>;

    /// Fills `maps` (one map after the other, in the order of the targets) and
    /// `outcomes` (one a target), with `scratch` as stated by [`Method::cost`].
    ///
    /// # Errors
    /// Short buffers, targets out of range, and what the classifier reports.
    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error>;
}
