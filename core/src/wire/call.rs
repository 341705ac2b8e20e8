//! A method as it travels.

use serde::{Deserialize, Serialize};

use crate::explain::hoc::MAX_LAYERS;
use crate::explain::{Quadrature, Sign};
use crate::relevance::RelevanceRules;

/// A method with its parameters; `None` leaves the choice to the method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// Gradient.
    Gradient,
    /// Deconvolution.
    Deconvolution,
    /// Guided backpropagation.
    GuidedBackprop,
    /// Grad-CAM.
    GradCam {
        /// Id of a tensor; `None` for the one of the model's last plan.
        layer: Option<u16>,
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// Occlusion.
    Occlusion {
        /// Channels (0: all), rows, columns.
        window: Option<[u32; 3]>,
        /// Along the same axes.
        stride: Option<[u32; 3]>,
        /// What hides.
        baseline: Baseline,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// RISE.
    Rise {
        /// Number of masks.
        masks: Option<u32>,
        /// Cells along each side.
        grid: Option<u16>,
        /// Share of kept cells.
        keep: f32,
        /// What hides.
        baseline: Baseline,
        /// Whether each pixel is divided by its own coverage.
        by_coverage: bool,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// HOC.
    Hoc {
        /// Whether boxes cover the picture instead of revealing it.
        cover: bool,
        /// Score that decides.
        threshold: f32,
        /// Side of the boxes of each layer, then zeros.
        windows: [u16; MAX_LAYERS],
        /// Distance of the boxes of each layer, then zeros.
        strides: [u16; MAX_LAYERS],
        /// What hides.
        baseline: Baseline,
    },
    /// Input times gradient.
    InputXGradient,
    /// SmoothGrad, VarGrad or SquareGrad.
    Noise {
        /// What is made of the gradients.
        statistic: Statistic,
        /// Noisy pictures.
        samples: u32,
        /// Deviation of the noise, as a share of the picture's range.
        share: f32,
    },
    /// Integrated gradients.
    IntegratedGradients {
        /// Where gradients are taken.
        quadrature: Quadrature,
        /// Steps along the path.
        steps: u32,
        /// Where the path begins.
        baseline: Baseline,
        /// Error of completeness until which the steps double.
        tolerance: Option<f32>,
    },
    /// FullGrad.
    FullGrad,
    /// LRP.
    Lrp(RelevanceRules),
    /// Another method that looks at a layer.
    OnLayer {
        /// As Grad-CAM's.
        layer: Option<u16>,
        /// Which of them.
        kind: LayerCall,
    },
    /// A method over a grid of segments.
    Segmented {
        /// About how many segments.
        count: u32,
        /// What hides a segment.
        hiding: Hiding,
        /// Which of them.
        kind: SegmentCall,
    },
    /// Meaningful perturbation.
    MeaningfulPerturbation {
        /// Cells along each side.
        grid: Option<u16>,
        /// Steps of the search.
        steps: u32,
        /// Adam's rate.
        rate: f32,
        /// Weight of what is taken away.
        sparsity: f32,
        /// Weight of the mask's slopes.
        smoothness: f32,
        /// Pairs of masks a step, where there are no gradients.
        pairs: u32,
        /// What hides.
        baseline: Baseline,
    },
    /// RISE, centred.
    CentredRise {
        /// Number of masks.
        masks: Option<u32>,
        /// Cells along each side.
        grid: Option<u16>,
        /// Share of kept cells.
        keep: f32,
        /// What hides.
        baseline: Baseline,
        /// MindSpore's numbers.
        mindspore: bool,
        /// Disagreement of two halves that ends the masks.
        tolerance: Option<f32>,
    },
    /// AISE.
    Aise {
        /// Deviations of the windows as shares of the sides, then zeros.
        widths: [f32; MAX_WIDTHS],
        /// Centres tried with each width.
        samples: u32,
        /// How much better than the best a place must promise to be.
        epsilon: f32,
        /// What hides.
        baseline: Baseline,
    },
    /// Activation maximisation; its map is the picture that it made.
    ActivationMaximisation {
        /// Steps up the gradient.
        steps: u32,
        /// Size of a step as a share of the range.
        rate: f32,
        /// Share by which each step shrinks the picture towards the middle.
        decay: f32,
        /// Most pixels by which the picture is rolled each way.
        jitter: u16,
        /// Deviation of the blur in pixels.
        blur: f32,
        /// Steps from one blur to the next.
        blur_every: u32,
        /// Whether it starts from the picture instead of noise.
        from_picture: bool,
    },
    /// RISE with masks of a Sobol sequence.
    EvenRise {
        /// Number of masks.
        masks: Option<u32>,
        /// Cells along each side.
        grid: Option<u16>,
        /// Share of kept cells.
        keep: f32,
        /// What hides.
        baseline: Baseline,
        /// Whether each pixel is divided by its own coverage.
        by_coverage: bool,
        /// MindSpore's numbers.
        mindspore: bool,
        /// Whether the mean score is subtracted, as [`Call::CentredRise`] does.
        centred: bool,
        /// Disagreement of two halves that ends the masks, if centred.
        tolerance: Option<f32>,
    },
    /// HOC with several sets of boxes side by side, or only the boxes that are needed.
    WideHoc {
        /// As [`Call::Hoc`]'s.
        cover: bool,
        /// As [`Call::Hoc`]'s.
        threshold: f32,
        /// As [`Call::Hoc`]'s.
        windows: [u16; MAX_LAYERS],
        /// As [`Call::Hoc`]'s.
        strides: [u16; MAX_LAYERS],
        /// As [`Call::Hoc`]'s.
        baseline: Baseline,
        /// Sets of boxes that grow side by side, from 1.
        beam: u16,
        /// Whether boxes that the others make unnecessary are dropped at the end.
        minimal: bool,
    },
}

/// Most widths of AISE's windows.
pub const MAX_WIDTHS: usize = 6;

/// What is made of the gradients at noisy pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// Their mean: SmoothGrad.
    Mean,
    /// Their variance: VarGrad.
    Variance,
    /// The mean of their squares: SquareGrad.
    MeanSquare,
}

/// A method that looks at a layer, with its other parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LayerCall {
    /// Grad-CAM of what speaks against the class; whether only the positive part counts.
    Counterfactual(bool),
    /// CAM.
    Cam,
    /// Grad-CAM++: whether only the positive part counts, and what is added to
    /// the divisor of the weights.
    PlusPlus(bool, f32),
    /// HiResCAM; whether only the positive part counts.
    HiRes(bool),
    /// XGrad-CAM; as well.
    XGrad(bool),
    /// LayerCAM; as well.
    Layer(bool),
    /// Guided Grad-CAM; whether a pixel takes the value of the place that it lies in.
    Guided(bool),
    /// Eigen-CAM: whether each channel's mean is subtracted first, and what fixes the sign.
    Eigen(bool, Sign),
    /// Score-CAM.
    Score {
        /// Whether only the positive part counts.
        relu: bool,
        /// What shows where a channel hides.
        baseline: Baseline,
        /// Whether channels are enlarged corner on corner.
        corners: bool,
        /// Whether constant channels take part.
        constant: bool,
    },
    /// Ablation-CAM; whether only the positive part counts.
    Ablation(bool),
    /// Recipro-CAM.
    Recipro,
}

/// A method over segments, with its own parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum SegmentCall {
    /// Feature ablation.
    FeatureAblation,
    /// LIME.
    Lime {
        /// Number of masks.
        samples: u32,
        /// Width of the kernel.
        kernel: f64,
        /// Weight of the ridge.
        alpha: f64,
    },
    /// Kernel SHAP; most coalitions.
    KernelShap(Option<u32>),
    /// Anchors.
    Anchors {
        /// Precision sought.
        threshold: f64,
        /// Share of wrong bounds.
        delta: f64,
        /// Overlap at which two sets count as equal.
        tau: f64,
        /// Masks a set and round.
        batch: u32,
        /// Sets that grow at once.
        beam: u8,
        /// Most masks a class.
        passes: u32,
    },
    /// Sobol indices; rows of the design.
    Sobol(u32),
    /// HSIC; number of masks.
    Hsic(u32),
}

/// What hides a segment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Hiding {
    /// The segment's own mean colour.
    Mean,
    /// One for the whole picture.
    Baseline(Baseline),
}

/// What hides a part of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Baseline {
    /// This number for all channels: in pixel units for pixels, in model units
    /// for tensors.
    Number(f32),
    /// The picture, blurred.
    Blur,
}

impl Call {
    /// The method's name, as people write it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gradient => "gradient",
            Self::Deconvolution => "deconvolution",
            Self::GuidedBackprop => "guided-backprop",
            Self::GradCam { .. } => "grad-cam",
            Self::Occlusion { .. } => "occlusion",
            Self::Rise { .. } | Self::CentredRise { .. } | Self::EvenRise { .. } => "rise",
            Self::Hoc { .. } | Self::WideHoc { .. } => "hoc",
            Self::Aise { .. } => "aise",
            Self::ActivationMaximisation { .. } => "activation-maximisation",
            Self::InputXGradient => "input-x-gradient",
            Self::Noise { statistic, .. } => match statistic {
                Statistic::Mean => "smooth-grad",
                Statistic::Variance => "var-grad",
                Statistic::MeanSquare => "square-grad",
            },
            Self::IntegratedGradients { .. } => "integrated-gradients",
            Self::FullGrad => "full-grad",
            Self::Lrp(_) => "lrp",
            Self::OnLayer { kind, .. } => kind.name(),
            Self::Segmented { kind, .. } => kind.name(),
            Self::MeaningfulPerturbation { .. } => "meaningful-perturbation",
        }
    }

    /// The layer that it names.
    #[must_use]
    pub const fn layer(&self) -> Option<u16> {
        match *self {
            Self::GradCam { layer, .. } | Self::OnLayer { layer, .. } => layer,
            _ => None,
        }
    }

    /// The same without the layer that it names.
    #[must_use]
    pub const fn without_layer(mut self) -> Self {
        if let Self::GradCam { layer, .. } | Self::OnLayer { layer, .. } = &mut self {
            *layer = None;
        }
        self
    }
}

impl LayerCall {
    const fn name(&self) -> &'static str {
        match self {
            Self::Counterfactual(_) => "grad-cam",
            Self::Cam => "cam",
            Self::PlusPlus(..) => "grad-cam-plus-plus",
            Self::HiRes(_) => "hires-cam",
            Self::XGrad(_) => "x-grad-cam",
            Self::Layer(_) => "layer-cam",
            Self::Guided(_) => "guided-grad-cam",
            Self::Eigen(..) => "eigen-cam",
            Self::Score { .. } => "score-cam",
            Self::Ablation(_) => "ablation-cam",
            Self::Recipro => "recipro-cam",
        }
    }
}

impl SegmentCall {
    const fn name(&self) -> &'static str {
        match self {
            Self::FeatureAblation => "feature-ablation",
            Self::Lime { .. } => "lime",
            Self::KernelShap(_) => "kernel-shap",
            Self::Anchors { .. } => "anchors",
            Self::Sobol(_) => "sobol",
            Self::Hsic(_) => "hsic",
        }
    }
}

/// A method's bytes in postcard, and how many there are; `None` if they are more.
#[must_use]
pub fn call_bytes(call: &Call) -> Option<([u8; MAX_CALL], usize)> {
    let mut bytes = [0; MAX_CALL];
    let length = postcard::to_slice(call, &mut bytes).ok()?.len();
    Some((bytes, length))
}

/// Most bytes of a method in postcard.
pub const MAX_CALL: usize = 64;
