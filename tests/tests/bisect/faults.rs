//! Faults drawn by a seed.

use foveola::bisect::cause::Kind;
use foveola_core::net::op::{Geometry, Op};

use super::engine::{Deviation, OtherSoftmax, Rule, bounds_of};
use super::networks::{Network, Random};

/// The twelve kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    ByteSwap,
    Bgr,
    Mean,
    Resize,
    ZeroPoint,
    PaddingSide,
    Stride,
    Rounding,
    Clamp,
    Stale,
    WeightBit,
    Softmax,
}

impl Plant {
    pub const ALL: [Self; 12] = [
        Self::ByteSwap,
        Self::Bgr,
        Self::Mean,
        Self::Resize,
        Self::ZeroPoint,
        Self::PaddingSide,
        Self::Stride,
        Self::Rounding,
        Self::Clamp,
        Self::Stale,
        Self::WeightBit,
        Self::Softmax,
    ];

    /// What `bisect` should call it.
    pub fn kind(self) -> Kind {
        match self {
            Self::ByteSwap => Kind::ByteSwap,
            Self::Bgr => Kind::ChannelOrder,
            Self::Mean => Kind::Mean,
            Self::Resize => Kind::ResizeRule,
            Self::ZeroPoint => Kind::ZeroPoint,
            Self::PaddingSide => Kind::Padding,
            Self::Stride => Kind::Stride,
            Self::Rounding => Kind::Rounding,
            Self::Clamp => Kind::Clamp,
            Self::Stale => Kind::StaleBuffer,
            Self::WeightBit => Kind::WeightBit,
            Self::Softmax => Kind::Softmax,
        }
    }

    /// Whether it lies before the network.
    pub fn is_before_network(self) -> bool {
        matches!(self, Self::ByteSwap | Self::Bgr | Self::Mean | Self::Resize)
    }
}

/// A kernel's window, its input's sides, its output's sides.
fn window(network: &Network, node: usize) -> Option<(Geometry, [usize; 2], [usize; 2])> {
    let node = &network.graph.nodes[node];
    let geometry = match node.op {
        Op::Conv { geometry, .. } | Op::Depthwise { geometry } => geometry,
        _ => return None,
    };
    let sides = |id| {
        let shape = network.graph.tensor(id).shape;
        [shape.h, shape.w]
    };
    Some((geometry, sides(node.inputs[0]), sides(node.output)))
}

/// Padding that windows reach along both axes.
fn reach(geometry: Geometry, input: [usize; 2], output: [usize; 2]) -> [i64; 2] {
    [0, 1].map(|a| {
        let last = (output[a] as i64 - 1) * i64::from(geometry.stride[a]);
        (last + i64::from(geometry.kernel[a]) - input[a] as i64).max(0)
    })
}

/// Draws a node and what it does wrong. `values` are right ones of this
/// picture, `others` of the previous one. `None` where the draw does not fit.
pub fn draw(
    plant: Plant,
    network: &Network,
    values: &[Option<Vec<i8>>],
    others: &[Option<Vec<i8>>],
    random: &mut Random,
) -> Option<(usize, Deviation)> {
    let graph = &network.graph;
    let index = random.below(graph.nodes.len());
    let node = &graph.nodes[index];
    network.files[index].as_ref()?;
    let quant = graph.tensor(node.output).quant?;
    let has_weights = node.quantised.is_some();
    let deviation = match plant {
        Plant::ZeroPoint => {
            let number = random.below(node.inputs.len());
            let right = i32::from(graph.tensor(node.inputs[number]).quant?.zero_point);
            let rescales = has_weights || matches!(node.op, Op::Binary(_));
            let other = random.pick(&[0, -128, 127, right + 1, right - 1, right - 7, right + 30]);
            let other = other.clamp(-128, 127);
            match random.below(3) {
                0 if rescales => Deviation::OutputZero(other),
                1 if rescales => Deviation::InputZero(number, other),
                _ => return None,
            }
        }
        Plant::PaddingSide => {
            let (geometry, input, output) = window(network, index)?;
            let total = reach(geometry, input, output);
            if total == [0, 0] {
                return None;
            }
            let pad = geometry.pad.map(i64::from);
            let stride = geometry.stride.map(i64::from);
            match random.below(4) {
                0 => Deviation::PadValue(random.pick(&[0, -128, 127])),
                1 => Deviation::Window { stride, pad: total },
                2 => Deviation::Window {
                    stride,
                    pad: [0; 2],
                },
                _ => Deviation::Window {
                    stride,
                    pad: [total[0] - pad[0], total[1] - pad[1]],
                },
            }
        }
        Plant::Stride => {
            let (geometry, input, output) = window(network, index)?;
            let right = geometry.stride.map(i64::from);
            let pad = geometry.pad.map(i64::from);
            let other = |n: i64| if n == 1 { 2 } else { 1 };
            let total = reach(geometry, input, output);
            match random.below(4) {
                0 => Deviation::Window {
                    stride: right.map(other),
                    pad,
                },
                1 => Deviation::Window {
                    stride: [right[0], other(right[1])],
                    pad,
                },
                2 => Deviation::Window {
                    stride: [right[0] + 1, right[1] + 1],
                    pad,
                },
                // Begins one row and column late: beyond all padding.
                _ => Deviation::Window {
                    stride: right,
                    pad: [total[0] + 1, total[1] + 1],
                },
            }
        }
        Plant::Rounding => {
            let rules = [
                Rule::HalfUp,
                Rule::HalfEven,
                Rule::HalfAway,
                Rule::Truncate,
                Rule::Floor,
            ];
            let rule = random.pick(&rules);
            match node.op {
                Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => {}
                Op::Binary(_) | Op::AveragePool { .. } => {}
                _ => return None,
            }
            Deviation::Rounding(rule)
        }
        Plant::Clamp => {
            if !(has_weights || matches!(node.op, Op::Binary(_))) {
                return None;
            }
            let [low, high] = bounds_of(graph, node);
            let six = (6.0 / quant.scale) as i32 + i32::from(quant.zero_point);
            match random.below(4) {
                0 => Deviation::Bounds([-128, high]),
                1 => Deviation::Bounds([low, six.clamp(low, 127)]),
                2 => Deviation::Bounds([low.max(quant.zero_point.into()), high]),
                _ => Deviation::Bounds([low, random.within(low.max(20), 120).min(127)]),
            }
        }
        Plant::Stale => stale(network, index, values, others, random)?,
        Plant::WeightBit => {
            let weights = &node.quantised.as_ref()?.weights;
            let index = random.below(weights.len());
            let bit = random.below(8) as u32;
            Deviation::WeightBit { index, bit }
        }
        Plant::Softmax => {
            if node.op != Op::Softmax {
                return None;
            }
            Deviation::Softmax(random.pick(&[
                OtherSoftmax::Missing,
                OtherSoftmax::MissingBytes,
                OtherSoftmax::Twice,
                OtherSoftmax::AcrossPixels,
                OtherSoftmax::Base2,
                OtherSoftmax::Float,
            ]))
        }
        Plant::ByteSwap | Plant::Bgr | Plant::Mean | Plant::Resize => return None,
    };
    Some((index, deviation))
}

/// A run of at least 16 values that another tensor, the previous picture or
/// nobody left.
fn stale(
    network: &Network,
    index: usize,
    values: &[Option<Vec<i8>>],
    others: &[Option<Vec<i8>>],
    random: &mut Random,
) -> Option<Deviation> {
    let node = &network.graph.nodes[index];
    let length = network.graph.tensor(node.output).shape.len();
    if length < 16 {
        return None;
    }
    let size = 16 + random.below(length - 15);
    let first = random.below(length - size + 1);
    let own = usize::from(node.output.0);
    let values = match random.below(3) {
        0 => vec![random.pick(&[0x55, 0, -1, -86, -91]); size],
        1 => others[own].as_ref()?[first..first + size].to_vec(),
        _ => {
            let source = random.below(values.len());
            let source = values[source].as_ref().filter(|_| source != own)?;
            source.get(first..first + size)?.to_vec()
        }
    };
    Some(Deviation::Stale { first, values })
}
