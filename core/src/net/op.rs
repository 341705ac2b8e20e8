//! The operators: one value says what a node computes. The host's graph and
//! the model file use the same type.

/// Kernel, stride, dilation and padding of a sliding window, rows first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Kernel height and width.
    pub kernel: [u16; 2],
    /// Rows and columns between neighbouring windows.
    pub stride: [u16; 2],
    /// Rows and columns between neighbouring taps.
    pub dilation: [u16; 2],
    /// Padding above and left of the input. (What lies below and right follows
    /// from the output's size: taps outside the input are skipped.)
    pub pad: [u16; 2],
}

/// Function of one element. `Relu`, `Clip` and `LeakyRelu` may be merged into
/// the operator before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x
    None,
    /// x > 0 ? x : 0
    Relu,
    /// x limited to lo..hi; with lo = 0 a clipped ReLU, e.g. ReLU6
    Clip {
        /// Lower bound.
        lo: f32,
        /// Upper bound.
        hi: f32,
    },
    /// x > 0 ? x : slope * x
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// alpha * x + beta limited to 0..1
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// x * (x / 6 + 0.5 limited to 0..1)
    HardSwish,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// x * sigmoid(x)
    Silu,
    /// tanh(x)
    Tanh,
}

/// What a `Pad` puts around its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// A constant.
    Constant(f32),
    /// The nearest element.
    Edge,
    /// The input mirrored at its border, the border element not repeated.
    Reflect,
}

/// Arithmetic of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
}

/// What a node computes. Axes are 0 = height, 1 = width, 2 = channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Convolution; weights OHWI with I = channels of one group, bias O.
    Conv {
        /// Sliding window.
        geometry: Geometry,
        /// Groups; input and output channels are multiples of it.
        groups: u16,
    },
    /// Convolution of each channel alone; weights HWC, bias C.
    Depthwise {
        /// Sliding window.
        geometry: Geometry,
    },
    /// Matrix product of all input elements in HWC order; weights OI, bias O.
    Dense,
    /// The node's activation and nothing else.
    Activate,
    /// x > 0 ? x : slope * x; the slope is input 1, broadcast.
    PRelu,
    /// Arithmetic of inputs 0 and 1. Each axis of an input is the output's
    /// size or 1 (broadcast).
    Binary(Arithmetic),
    /// x * scale\[c\] + shift\[c\] (a BatchNormalization that did not fold);
    /// weights are the scales C, bias the shifts C.
    Affine,
    /// Inputs one after the other along an axis.
    Concat {
        /// The axis.
        axis: u8,
    },
    /// Every `step`-th element from `start` on, along each axis.
    Slice {
        /// First element along each axis.
        start: [u16; 3],
        /// Distance along each axis, 1 or more.
        step: [u16; 3],
    },
    /// Channel shuffle: channel `g * (C / groups) + i` moves to `i * groups + g`.
    Shuffle {
        /// Groups; a divisor of the channels.
        groups: u16,
    },
    /// Elements added around the input.
    Pad {
        /// Elements before the input along each axis.
        before: [u16; 3],
        /// What they are.
        mode: PadMode,
    },
    /// Largest value in the window; the first one wins among equals. Padding never wins.
    MaxPool(Geometry),
    /// Mean of the window.
    AveragePool {
        /// Sliding window.
        geometry: Geometry,
        /// Whether padded taps count in the divisor, as far as the declared padding
        /// (`pad` and `pad_end`) reaches.
        count_padding: bool,
        /// Declared padding below and right.
        pad_end: [u16; 2],
    },
    /// Mean over the axes that are marked, each kept with size 1. Global
    /// average pooling is height and width.
    Mean {
        /// Which axes.
        axes: [bool; 3],
    },
    /// Largest value over height and width; the first one wins among equals.
    GlobalMaxPool,
    /// Local response normalisation across channels (ONNX LRN):
    /// x / (bias + alpha / size * sum of squares)^beta.
    Lrn {
        /// Channels in the window.
        size: u16,
        /// Factor.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Offset.
        bias: f32,
    },
    /// exp(x - max) over its sum, across the channels of each pixel.
    Softmax,
    /// From f32 to int8: round(x / scale) + zero_point, halves away from zero,
    /// saturated. These are the output tensor's own scale and zero point,
    /// except behind the input of a model that takes integers: there x is that
    /// integer, so the scale is 1 and the zero point 0 (int8) or -128 (uint8).
    Quantise {
        /// Step of x, finite and above 0.
        scale: f32,
        /// The stored number for 0.
        zero_point: i8,
    },
    /// From the input tensor's int8 to f32.
    Dequantise,
}
