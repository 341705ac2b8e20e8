//! The method table: one row a method. It feeds the command line, the budget,
//! the report and the documentation.

/// What a method asks of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Scores only: any classifier will do.
    Scores,
    /// Gradients: the classifier must be a white box.
    Gradients,
}

/// What one element of a map stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// An input element (a pixel if all of its channels always change together).
    Elements,
    /// A pixel.
    Pixels,
    /// A place of a layer, at its own resolution.
    Layer,
}

/// A parameter of a method, as a person writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub key: &'static str,
    /// Its default, as text.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// A row of [`METHODS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodRow {
    /// Name, in kebab-case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it asks for.
    pub needs: Needs,
    /// What its map is made of.
    pub map: MapKind,
    /// Where it comes from.
    pub paper: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

/// Methods whose map means to add up to what it explains, the score of the
/// picture less that of a baseline. Shapley values of segments do before they
/// are painted on every pixel; relevance adds up to the score itself.
const ADDITIVE: &[&str] = &["integrated-gradients"];

impl MethodRow {
    /// Whether the sum of a map means to be what the score of the picture has
    /// beyond that of a baseline; derivatives, layers and shares of masks do not.
    #[must_use]
    pub fn is_additive(&self) -> bool {
        ADDITIVE.contains(&self.name)
    }
}

const fn parameter(key: &'static str, default: &'static str, help: &'static str) -> Parameter {
    Parameter { key, default, help }
}

const COMPAT: Parameter = parameter(
    "compat",
    "none",
    "mindspore: MindSpore XAI's numbers and defaults",
);

const SEGMENTS: Parameter = parameter("segments", "slic", CUTS);

const COUNT: Parameter = parameter("count", "50", "about how many segments grid and slic make");

const CELLS: Parameter = parameter("segments", "grid", CUTS);

const COUNT_OF_CELLS: Parameter =
    parameter("count", "64", "about how many segments grid and slic make");

const CUTS: &str = "grid, slic, quickshift or a file: .npy, H,W, whole numbers";

const HIDES_SEGMENTS: &str =
    "what hides: segment (its mean colour), blur, black, mean, a number or a file";

const DESIGN: &str = "masks to use: .npy, N,segments, 0 hides and 1 keeps";

const POINTS: &str =
    "rows to use: .npy, N,2 x segments, weights 0 to 1, those of A and then those of B";

const NOISE: &[Parameter] = &[
    parameter("samples", "50", "number of noisy pictures"),
    parameter(
        "noise",
        "0.15",
        "deviation of the noise, as a share of the picture's range",
    ),
    parameter(
        "file",
        "none",
        "noise to add instead: .npy, N,C,H,W, f32, in model space",
    ),
];

/// All methods: those for single pixels, layers and boxes, those over segments,
/// then the others that look inside.
pub const METHODS: &[MethodRow] = &[
    MethodRow {
        name: "gradient",
        summary: "derivative of the score with respect to every input element",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Simonyan et al. 2013, arXiv 1312.6034",
        parameters: &[],
    },
    MethodRow {
        name: "deconvolution",
        summary: "gradient in which ReLUs pass back what is positive, wherever it goes",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Zeiler and Fergus 2014, arXiv 1311.2901",
        parameters: &[],
    },
    MethodRow {
        name: "guided-backprop",
        summary: "gradient in which ReLUs pass back what is positive where they are open",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Springenberg et al. 2015, arXiv 1412.6806",
        parameters: &[],
    },
    MethodRow {
        name: "grad-cam",
        summary: "channels of a layer, weighted by their mean gradient",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Selvaraju et al. 2017, arXiv 1610.02391",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are weighted",
            ),
            parameter("relu", "true", "keep only the positive part"),
            parameter(
                "counterfactual",
                "false",
                "turn the sign of the weights: what speaks against the class",
            ),
        ],
    },
    MethodRow {
        name: "occlusion",
        summary: "what the score loses when a window hides a part of the picture",
        needs: Needs::Scores,
        map: MapKind::Elements,
        paper: "Zeiler and Fergus 2014, arXiv 1311.2901",
        parameters: &[
            parameter(
                "window",
                "a seventh of each side",
                "H/W or C/H/W; without C all channels",
            ),
            parameter(
                "stride",
                "half the window",
                "distance of neighbouring windows, H/W or C/H/W",
            ),
            parameter(
                "baseline",
                "black",
                "what hides: blur, black, mean, a number or a file",
            ),
            COMPAT,
        ],
    },
    MethodRow {
        name: "rise",
        summary: "mean of random masks, weighted by the score behind them",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Petsiuk et al. 2018, arXiv 1806.07421",
        parameters: &[
            parameter("masks", "4000", "number of random masks"),
            parameter("grid", "7", "cells along each side of a mask, 1 to 64"),
            parameter("keep", "0.5", "share of kept cells, above 0, up to 1"),
            parameter(
                "baseline",
                "black",
                "what hides: blur, black, mean, a number or a file",
            ),
            parameter(
                "file",
                "none",
                "masks to use: .npy, N,H,W, u8 (m/255) or f32",
            ),
            parameter(
                "divisor",
                "keep",
                "keep: number of masks times keep; coverage: sum of each pixel's own weights",
            ),
            parameter(
                "estimator",
                "raw",
                "raw: the paper's; centred: by coverage, less the mean score; adjusted: centred, by a regression on up to 12 cells a side",
            ),
            parameter(
                "tolerance",
                "none",
                "ends the masks once as many others would agree so closely, 0 to 1; for centred and adjusted",
            ),
            parameter(
                "sequence",
                "random",
                "random, or sobol: masks that fill the cube of their cells evenly; up to 15 cells a side",
            ),
            COMPAT,
        ],
    },
    MethodRow {
        name: "hoc",
        summary: "smallest regions that are enough, box by box and layer by layer",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "hierarchical occlusion counterfactual, MindSpore XAI 1.5",
        parameters: &[
            parameter(
                "mode",
                "reveal",
                "reveal boxes until the score is there, or cover them until it is gone",
            ),
            parameter("threshold", "0.5", "score that decides"),
            parameter(
                "windows",
                "halves of the short side, 28 pixels or more",
                "side of the boxes of each layer, descending, with /",
            ),
            parameter(
                "strides",
                "a fifth of each window",
                "distance of neighbouring boxes of each layer, with /",
            ),
            parameter("beam", "1", "sets of boxes that grow at once; 1 is greedy"),
            parameter(
                "minimal",
                "false",
                "drop boxes at the end that the others make unnecessary",
            ),
            parameter(
                "baseline",
                "blur",
                "what hides: blur, black, mean, a number or a file",
            ),
        ],
    },
    MethodRow {
        name: "feature-ablation",
        summary: "what the score loses when a segment is hidden",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Zeiler and Fergus 2014, arXiv 1311.2901, over segments",
        parameters: &[
            SEGMENTS,
            COUNT,
            parameter("baseline", "black", HIDES_SEGMENTS),
        ],
    },
    MethodRow {
        name: "lime",
        summary: "coefficients of a linear model of the segments, near the picture",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Ribeiro et al. 2016, arXiv 1602.04938",
        parameters: &[
            SEGMENTS,
            COUNT,
            parameter("baseline", "segment", HIDES_SEGMENTS),
            parameter("samples", "1000", "number of random masks"),
            parameter("kernel", "0.25", "width of the kernel that weighs masks"),
            parameter("alpha", "1", "penalty of the ridge"),
            parameter("design", "none", DESIGN),
        ],
    },
    MethodRow {
        name: "kernel-shap",
        summary: "Shapley values of the segments",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Lundberg and Lee 2017, arXiv 1705.07874",
        parameters: &[
            SEGMENTS,
            COUNT,
            parameter("baseline", "black", HIDES_SEGMENTS),
            parameter(
                "samples",
                "2 a segment and 2048",
                "most coalitions; all of them where there are no more",
            ),
            parameter("design", "none", DESIGN),
        ],
    },
    MethodRow {
        name: "anchors",
        summary: "segments that decide the class whatever becomes of the others",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Ribeiro et al. 2018, AAAI 32(1)",
        parameters: &[
            SEGMENTS,
            COUNT,
            parameter("baseline", "segment", HIDES_SEGMENTS),
            parameter("threshold", "0.95", "precision sought, 0 to 1"),
            parameter("delta", "0.1", "share of wrong bounds, 0 to 1"),
            parameter("tau", "0.15", "overlap at which two sets count as equal"),
            parameter("batch", "100", "masks a set and round"),
            parameter("beam", "1", "sets that grow at once, 1 to 8"),
            parameter("passes", "20000", "most masks a class"),
        ],
    },
    MethodRow {
        name: "sobol",
        summary: "share of the score's variance that a segment takes part in",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Fel et al. 2021, arXiv 2111.04138",
        parameters: &[
            CELLS,
            COUNT_OF_CELLS,
            parameter("baseline", "black", HIDES_SEGMENTS),
            parameter("designs", "32", "rows of the design, best a power of two"),
            parameter("design", "none", POINTS),
        ],
    },
    MethodRow {
        name: "hsic",
        summary: "how much the score depends on whether a segment shows",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Novello et al. 2022, arXiv 2206.06219",
        parameters: &[
            CELLS,
            COUNT_OF_CELLS,
            parameter("baseline", "black", HIDES_SEGMENTS),
            parameter("samples", "500", "number of random masks"),
            parameter("design", "none", DESIGN),
        ],
    },
    MethodRow {
        name: "meaningful-perturbation",
        summary: "smallest smooth part of the picture whose loss takes the class away",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "Fong and Vedaldi 2017, arXiv 1704.03296",
        parameters: &[
            parameter(
                "grid",
                "28 with gradients, 8 without",
                "cells of the mask along each side, 1 to 64",
            ),
            parameter("steps", "300", "steps of the search"),
            parameter("rate", "0.1", "Adam's rate"),
            parameter("sparsity", "0.05", "weight of what is taken away"),
            parameter("smoothness", "0.2", "weight of the mask's slopes"),
            parameter("pairs", "8", "pairs of masks a step, without gradients"),
            parameter(
                "against",
                "none",
                "class by index or label: perturb until the picture becomes it",
            ),
            parameter(
                "baseline",
                "blur",
                "what hides: blur, black, mean, a number or a file",
            ),
        ],
    },
    MethodRow {
        name: "input-x-gradient",
        summary: "each input element times the derivative of the score",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Shrikumar et al. 2016, arXiv 1605.01713",
        parameters: &[],
    },
    MethodRow {
        name: "smooth-grad",
        summary: "mean of the derivative at noisy pictures",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Smilkov et al. 2017, arXiv 1706.03825",
        parameters: NOISE,
    },
    MethodRow {
        name: "var-grad",
        summary: "variance of the derivative at noisy pictures",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Adebayo et al. 2018, arXiv 1810.03307",
        parameters: NOISE,
    },
    MethodRow {
        name: "square-grad",
        summary: "mean square of the derivative at noisy pictures",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Hooker et al. 2019, arXiv 1806.10758",
        parameters: NOISE,
    },
    MethodRow {
        name: "integrated-gradients",
        summary: "what each input element adds to the score on the way from a baseline",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Sundararajan et al. 2017, arXiv 1703.01365",
        parameters: &[
            parameter(
                "quadrature",
                "middle",
                "middle, left, right, trapezoid or gauss-legendre",
            ),
            parameter("steps", "50", "steps along the path"),
            parameter(
                "baseline",
                "black",
                "where the path begins: blur, black, mean, a number or a file; several with /",
            ),
            parameter(
                "tolerance",
                "none",
                "error of completeness, in units of the score, until which the steps double, five times at most",
            ),
        ],
    },
    MethodRow {
        name: "cam",
        summary: "channels of the last layer, weighted by the class's own weights",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Zhou et al. 2016, arXiv 1512.04150",
        parameters: &[parameter(
            "layer",
            "last with rows and columns",
            "node or tensor whose channels are looked at",
        )],
    },
    MethodRow {
        name: "grad-cam-plus-plus",
        summary: "channels of a layer, weighted place by place by their gradient",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Chattopadhay et al. 2018, arXiv 1710.11063",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
            parameter(
                "epsilon",
                "0",
                "added to the divisor of the weights; grad-cam has 1e-6",
            ),
        ],
    },
    MethodRow {
        name: "hires-cam",
        summary: "gradient times activation at each place of a layer",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Draelos and Carin 2020, arXiv 2011.08891",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
        ],
    },
    MethodRow {
        name: "x-grad-cam",
        summary: "channels of a layer, weighted by their gradient in units of activation",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Fu et al. 2020, arXiv 2008.02312",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
        ],
    },
    MethodRow {
        name: "layer-cam",
        summary: "positive gradient times activation at each place of a layer",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Jiang et al. 2021, IEEE TIP 30",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
        ],
    },
    MethodRow {
        name: "guided-grad-cam",
        summary: "guided backpropagation where Grad-CAM sees evidence",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Selvaraju et al. 2017, arXiv 1610.02391",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter(
                "upsample",
                "bilinear",
                "how Grad-CAM is enlarged: bilinear or nearest",
            ),
        ],
    },
    MethodRow {
        name: "eigen-cam",
        summary: "strongest common pattern of a layer's channels, whatever the class",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Muhammad and Yeasin 2020, arXiv 2008.00299",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter(
                "centred",
                "false",
                "subtract each channel's mean first, as grad-cam does",
            ),
            parameter(
                "sign",
                "activation",
                "what fixes the sign: activation (along the sum of the channels) or weights (their sum is not negative)",
            ),
        ],
    },
    MethodRow {
        name: "score-cam",
        summary: "channels of a layer, weighted by the scores behind them",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Wang et al. 2020, arXiv 1910.01279",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
            parameter(
                "baseline",
                "black",
                "what shows where a channel hides: blur, black, mean, a number or a file",
            ),
            parameter(
                "grid",
                "edges",
                "what falls together when channels are enlarged: edges or corners",
            ),
            parameter(
                "constant",
                "dropped",
                "channels without differences: dropped, or hidden (masks that hide everything)",
            ),
        ],
    },
    MethodRow {
        name: "ablation-cam",
        summary: "channels of a layer, weighted by what the score loses without them",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Desai and Ramaswamy 2020, WACV",
        parameters: &[
            parameter(
                "layer",
                "last with rows and columns",
                "node or tensor whose channels are looked at",
            ),
            parameter("relu", "true", "keep only the positive part"),
        ],
    },
    MethodRow {
        name: "recipro-cam",
        summary: "score of the network from a layer on, one place of it at a time",
        needs: Needs::Gradients,
        map: MapKind::Layer,
        paper: "Byun and Lee 2022, arXiv 2209.14074",
        parameters: &[parameter(
            "layer",
            "last with rows and columns",
            "node or tensor whose channels are looked at",
        )],
    },
    MethodRow {
        name: "full-grad",
        summary: "input and every bias on the way, each times its gradient",
        needs: Needs::Gradients,
        map: MapKind::Pixels,
        paper: "Srinivas and Fleuret 2019, arXiv 1905.00780",
        parameters: &[],
    },
    MethodRow {
        name: "lrp",
        summary: "the logit shared out among the inputs, layer by layer",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Bach et al. 2015, PLoS ONE 10(7) e0130140",
        parameters: &[
            parameter(
                "rule",
                "composite",
                "of convolutions: composite (zb on the picture, gamma elsewhere), epsilon, gamma, zplus, alpha-beta, w2, flat or zb",
            ),
            parameter(
                "first",
                "that of rule",
                "of the layers that read the picture: one of these but composite",
            ),
            parameter(
                "dense",
                "epsilon",
                "of dense layers: one of these but composite",
            ),
            parameter(
                "last",
                "exact for composite, else rule",
                "exact: the last layer has epsilon 0; rule: it is like the others",
            ),
            parameter("epsilon", "1e-6", "stabiliser of every division, 0 or more"),
            parameter("gamma", "0.25", "of the rule gamma, 0 or more"),
            parameter(
                "alpha",
                "2",
                "of the rule alpha-beta, 1 or more; beta is 1 less",
            ),
            parameter(
                "bn",
                "fold",
                "fold: batch normalisations are a part of the layer before; own: layers of their own",
            ),
            parameter(
                "bias",
                "none",
                "share: biases count in zplus and alpha-beta; none",
            ),
            parameter(
                "max",
                "winner",
                "winner takes all, or epsilon: its value is stabilised as a sum is",
            ),
            parameter(
                "add",
                "share",
                "share: operands of a sum get what they contributed; copy: each gets all",
            ),
        ],
    },
    MethodRow {
        name: "aise",
        summary: "density of Gaussian windows that keep the class and hide it, adaptively placed",
        needs: Needs::Scores,
        map: MapKind::Pixels,
        paper: "OpenVINO XAI 1.1, 2024; DIRECT: Jones et al. 1993",
        parameters: &[
            parameter("samples", "50", "places tried with each width"),
            parameter(
                "widths",
                "0.1/0.175/0.25",
                "deviations of the windows as shares of the sides, with /",
            ),
            parameter(
                "epsilon",
                "0.1",
                "share by which a place must promise to beat the best, from 0",
            ),
            parameter(
                "baseline",
                "black",
                "what hides: blur, black, mean, a number or a file",
            ),
        ],
    },
    MethodRow {
        name: "activation-maximisation",
        summary: "a picture that the network finds most of the class or unit in",
        needs: Needs::Gradients,
        map: MapKind::Elements,
        paper: "Simonyan et al. 2013, arXiv 1312.6034; Yosinski et al. 2015, arXiv 1506.06579",
        parameters: &[
            parameter("steps", "128", "steps up the gradient"),
            parameter(
                "rate",
                "0.02",
                "root mean square of a step, as a share of the range of pixels",
            ),
            parameter(
                "decay",
                "0.005",
                "share by which each step shrinks the picture towards grey, 0 to 1",
            ),
            parameter(
                "jitter",
                "4",
                "most pixels by which the picture is rolled before each step",
            ),
            parameter("blur", "0.5", "deviation of the blur in pixels; 0: none"),
            parameter("every", "4", "steps from one blur to the next"),
            parameter("start", "noise", "noise or picture"),
        ],
    },
];
