//! Why a stage differs: what it would hold under each hypothesis, and which of
//! them holds what was found.

mod binary;
mod bits;
mod input;
mod linear;
mod pool;
mod ranking;
mod real;
mod rounding;
mod softmax;
mod stale;
pub(crate) mod window;

use foveola_core::Shape;
use foveola_core::net::int8::Node8;
use foveola_core::net::op::{Op, PadMode};

pub use input::{Prepared, decoded, prepared};
pub use ranking::Ranking;
pub use real::{RealScene, real_layer};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bytes of the picture's file.
    Bytes,
    /// The two bytes of an RGB565 pixel.
    ByteSwap,
    /// Colours cut to RGB565.
    ColourDepth,
    /// Order of the channels, or colour against grey.
    ChannelOrder,
    /// Mean or scale.
    Mean,
    /// int8 against uint8.
    Sign,
    /// The resize rule.
    ResizeRule,
    /// NHWC against NCHW, or orientation.
    Layout,
    /// A zero point.
    ZeroPoint,
    /// Where padding lies, or what it holds.
    Padding,
    /// Stride, phase or dilation.
    Stride,
    /// The rounding rule.
    Rounding,
    /// The bounds of a ReLU.
    Clamp,
    /// A scale of the layer.
    Scale,
    /// The order of the weights.
    WeightOrder,
    /// An operand of a sum.
    Operand,
    /// Values that another computation left.
    StaleBuffer,
    /// One bit of a weight.
    WeightBit,
    /// One bit of a bias.
    BiasBit,
    /// One bit of a multiplier or shift.
    MultiplierBit,
    /// How a softmax is computed.
    Softmax,
    /// None of these.
    Unknown,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes of the file",
            Self::ByteSwap => "byte order of RGB565",
            Self::ColourDepth => "colours cut to RGB565",
            Self::ChannelOrder => "order of the channels",
            Self::Mean => "mean or scale",
            Self::Sign => "int8 against uint8",
            Self::ResizeRule => "resize rule",
            Self::Layout => "layout or orientation",
            Self::ZeroPoint => "zero point",
            Self::Padding => "padding",
            Self::Stride => "stride or phase",
            Self::Rounding => "rounding rule",
            Self::Clamp => "clamp of the activation",
            Self::Scale => "scale",
            Self::WeightOrder => "order of the weights",
            Self::Operand => "operand",
            Self::StaleBuffer => "stale buffer",
            Self::WeightBit => "a weight",
            Self::BiasBit => "a bias",
            Self::MultiplierBit => "a multiplier",
            Self::Softmax => "softmax",
            Self::Unknown => "unknown",
        }
    }
}

/// A hypothesis, and how well it explains what was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Cause {
    /// What went wrong.
    pub kind: Kind,
    /// The same in words, with place and size.
    pub text: String,
    /// The output channel, if it is about one.
    pub channel: Option<usize>,
    /// Values that it does not explain.
    pub unexplained: usize,
}

impl Cause {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            channel: None,
            unexplained: 0,
        }
    }

    pub(super) fn of_channel(self, channel: usize) -> Self {
        let channel = Some(channel);
        Self { channel, ..self }
    }
}

/// A tensor that a stale buffer may have come from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// In words.
    pub name: &'a str,
    /// Its stored numbers, HWC.
    pub data: &'a [i8],
    /// Its shape.
    pub shape: Shape,
}

/// An int8 node that differs, with its inputs.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The node; about its first input.
    pub node: &'a Node8<'a>,
    /// Stored numbers of its inputs, HWC.
    pub inputs: &'a [&'a [i8]],
    /// Shape and zero point of each input.
    pub of_inputs: &'a [(Shape, i32)],
    /// What it should hold.
    pub expected: &'a [i8],
    /// What it holds.
    pub found: &'a [i8],
    /// Where old values may have come from.
    pub sources: &'a [Source<'a>],
}

impl Scene<'_> {
    fn input_zero(&self) -> i32 {
        self.node.input_quant.zero_point.into()
    }

    fn output_zero(&self) -> i32 {
        self.node.output_quant.zero_point.into()
    }
}

/// The causes that explain everything, or the one that explains nearly
/// everything, or [`Kind::Unknown`].
pub fn layer(scene: &Scene<'_>) -> Vec<Cause> {
    let mut ranking = Ranking::new(scene.expected, scene.found);
    match scene.node.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => linear::try_all(scene, &mut ranking),
        Op::Binary(_) => binary::try_all(scene, &mut ranking),
        Op::AveragePool { .. } | Op::Mean { .. } | Op::MaxPool(_) => {
            pool::try_all(scene, &mut ranking);
        }
        Op::Softmax => softmax::try_all(scene, &mut ranking),
        Op::Pad {
            mode: PadMode::Constant(_),
            ..
        } => padding(scene, &mut ranking),
        _ => {}
    }
    // A bound read off so few values is no better than a bit that is.
    let few = ranking.wrong().len() < 3;
    if !few {
        ranking.promote();
    }
    stale::try_all(scene, &mut ranking);
    if let Some(cause) = bits::one_bit(scene) {
        ranking.add_exact(cause);
    }
    ranking.promote();
    stale::contiguous(scene, &mut ranking);
    ranking.finish(scene.node.output)
}

/// A `Pad` that puts another constant around its input.
fn padding(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    let Some(&first) = ranking.wrong().first() else {
        return;
    };
    let (value, usual) = (scene.found[first], scene.expected[first]);
    ranking.consider(
        || Cause::new(Kind::Padding, format!("padding holds {value}, not {usual}")),
        |i| match scene.expected[i] == usual {
            true => value,
            false => scene.expected[i],
        },
    );
}

/// Hypotheses about what comes after the sum: bounds that are missing, another
/// zero point, other bounds. `scaled` is the result before the zero point and
/// the bounds.
fn finishing(scene: &Scene<'_>, ranking: &mut Ranking<'_>, scaled: &dyn Fn(usize) -> i32) {
    let [low, high] = scene.node.range.map(i32::from);
    for other in [[-128, 127], [-128, high], [low, 127]] {
        if other != [low, high] {
            let cause = bounds_cause([low, high], other);
            ranking.consider(|| cause, |i| bound(scaled(i) + scene.output_zero(), other));
        }
    }
    output_zeros(scene, ranking, scaled);
    // Read off what was found, so they explain more than they should.
    let least = scene.found.iter().copied().min().map_or(low, i32::from);
    let most = scene.found.iter().copied().max().map_or(high, i32::from);
    for other in [[least, high], [low, most], [least, most]] {
        if other != [low, high] {
            let cause = bounds_cause([low, high], other);
            ranking.consider_late(|| cause, |i| bound(scaled(i) + scene.output_zero(), other));
        }
    }
}

fn bound(x: i32, [low, high]: [i32; 2]) -> i8 {
    x.max(low).min(high) as i8
}

fn bounds_cause(right: [i32; 2], wrong: [i32; 2]) -> Cause {
    let words = |side: usize, what: &str, end: i32| {
        let (from, to) = (right[side], wrong[side]);
        match (from == to, to == end) {
            (true, _) => None,
            (_, true) => Some(format!("the {what} bound {from} is missing")),
            _ => Some(format!("the {what} bound is {to}, not {from}")),
        }
    };
    let words = [words(0, "lower", -128), words(1, "upper", 127)];
    let words: Vec<String> = words.into_iter().flatten().collect();
    Cause::new(Kind::Clamp, words.join("; "))
}

/// Another zero point, with the bounds as they are and moved along.
fn output_zeros(scene: &Scene<'_>, ranking: &mut Ranking<'_>, scaled: &dyn Fn(usize) -> i32) {
    let zero = scene.output_zero();
    let [low, high] = scene.node.range.map(i32::from);
    for other in (-128..128).filter(|&z| z != zero) {
        let text = |also: &str| {
            let words = format!("the output's zero point is {other}, not {zero}{also}");
            Cause::new(Kind::ZeroPoint, words)
        };
        let stays = [low, high];
        ranking.consider(|| text(""), |i| bound(scaled(i) + other, stays));
        let moved = |b: i32, end: i32| match b == end {
            true => end,
            false => (b + other - zero).clamp(-128, 127),
        };
        let moved = [moved(low, -128), moved(high, 127)];
        // A ReLU's bound is the zero point, also where that is the least number.
        let of_relu = [other, high];
        for bounds in [moved, of_relu] {
            if bounds != stays && (bounds != of_relu || low == zero) {
                let also = ", in the bounds of the activation as well";
                ranking.consider(|| text(also), |i| bound(scaled(i) + other, bounds));
            }
        }
    }
}
