//! int8 nodes as kernels: what each binds, and how many threads it takes.
//!
//! The arithmetic is TFLite's, exact, so every tensor has `core`'s bytes on
//! every adapter. A tensor lies as pictures, rows, columns, then words of four
//! channels ([`packed`]); what a node is computed with lies behind its weights.

mod weights;

use foveola_core::Shape;
use foveola_core::net::int8::fixed::{doubling_high, exp_of_negative};
use foveola_core::net::model::{Integers, Model, NodeView, TensorView};
use foveola_core::net::op::{Arithmetic, Geometry, Op, PadMode};
use foveola_core::net::quant::Quantisation;
use zerocopy::{Immutable, IntoBytes, transmute};

use super::GpuError;
use super::first::tiled;
use super::kernels::{ShaderKind, Words};
use super::steps::{Forward, Operand, Work};

pub(super) use weights::{packed, unpacked};

/// What the shaders call `Node`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct Numbers {
    /// Rows, columns, channels, words a pixel of the input.
    input: [u32; 4],
    /// The same of the output.
    output: [u32; 4],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    in_zero: i32,
    out_zero: i32,
    range: [i32; 2],
    weights_zero: i32,
    once: u32,
    groups: u32,
    kind: u32,
    second: [u32; 4],
    /// Words from one picture's operand to the next, 0 for a constant.
    steps: [u32; 2],
    second_zero: i32,
    numbers_at: u32,
    factors: [[i32; 2]; 3],
    extra: [i32; 6],
}

/// Words of four channels of a pixel.
pub(super) const fn quads(shape: Shape) -> usize {
    shape.c.div_ceil(4)
}

/// Words of a packed tensor.
pub(super) const fn words(shape: Shape) -> usize {
    shape.area() * quads(shape)
}

fn sizes(shape: Shape) -> [u32; 4] {
    [shape.h, shape.w, shape.c, quads(shape)].map(|n| n as u32)
}

/// Whether a node computes with integers or makes them or takes them.
pub(super) fn takes(view: &NodeView<'_>) -> bool {
    view.integers.is_some() || matches!(view.op, Op::Quantise { .. } | Op::Dequantise)
}

/// Whether a model has int8 tensors.
pub(super) fn any(model: &Model<'_>) -> bool {
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    nodes.into_iter().any(|view| takes(&view))
}

/// Adds the steps of an int8 node or a conversion.
pub(super) fn forward(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    // What reads it makes it.
    if at.first.makes(at.view.output) {
        return Ok(());
    }
    if at.first.makes(at.id(0)) {
        return first(at);
    }
    let parts = match at.view.op {
        Op::Concat { .. } => at.view.inputs().len(),
        _ => 1,
    };
    let mut before = 0;
    for part in 0..parts {
        let missing = || at.unsupported("it has no kernel for integers");
        let lowering = Lowering::new(at.model, at.view, part).ok_or_else(missing)?;
        let (shader, node) = lowering.kernel(before).ok_or_else(missing)?;
        let second = match at.view.op {
            Op::Binary(_) => Operand::Value(at.id(1)),
            _ => Operand::Nothing,
        };
        let operands = [
            Operand::Value(at.id(part)),
            second,
            Operand::Integers(at.index),
            Operand::Value(at.view.output),
        ];
        let words: [u32; WORDS] = transmute!(node);
        at.add(
            shader,
            &operands,
            Words::default().words(&words),
            work(shader, &node),
        );
        if let Op::Concat { axis } = at.view.op {
            before += node.input.get(usize::from(axis)).copied().unwrap_or(0);
        }
    }
    Ok(())
}

/// A layer that makes its input from the round's questions.
fn first(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let missing = || at.unsupported("it has no kernel for integers");
    let lowering = Lowering::new(at.model, at.view, 0).ok_or_else(missing)?;
    let (_, node) = lowering.kernel(0).ok_or_else(missing)?;
    let (shader, thresholds) = match at.first.quantised_by(at.id(0)) {
        Some(quantise) => (ShaderKind::Int8ConvFirst, Operand::Integers(quantise)),
        None => (ShaderKind::Int8QuantiseFirst, Operand::Nothing),
    };
    let operands = [
        thresholds,
        Operand::Nothing,
        Operand::Integers(at.index),
        Operand::Value(at.view.output),
        Operand::Questions,
        Operand::Pictures,
        Operand::Masks,
    ];
    let words: [u32; WORDS] = transmute!(node);
    let words = Words::default().words(&words);
    at.add(shader, &operands, words, work(shader, &node));
    Ok(())
}

/// Words of [`Numbers`].
const WORDS: usize = size_of::<Numbers>() / 4;

/// Words of channels that a workgroup of a convolution makes.
const TILE: usize = 16;

fn work(shader: ShaderKind, node: &Numbers) -> Work {
    let [h, w, c, quads] = node.output.map(|n| n as usize);
    match shader {
        ShaderKind::Int8Conv => Work::Tiles(h * w, quads.div_ceil(TILE)),
        ShaderKind::Int8ConvFirst => Work::Tiles(tiled(Shape::new(h, w, c)), quads.div_ceil(TILE)),
        ShaderKind::Int8Softmax => Work::Elements(h * w),
        ShaderKind::Int8Dequantise => Work::Elements(h * w * c),
        _ => Work::Elements(h * w * quads),
    }
}

/// What a node reads besides its operands: weights, biases and factors, or a
/// table; empty if nothing.
pub(super) fn numbers(model: &Model<'_>, index: usize) -> Vec<u32> {
    let lowering = model
        .node(index)
        .and_then(|view| Lowering::new(model, view, 0));
    lowering.and_then(|l| l.read()).unwrap_or_default()
}

/// A node on its way to a kernel.
struct Lowering<'m> {
    view: NodeView<'m>,
    part: usize,
    input: TensorView<'m>,
    second: Option<TensorView<'m>>,
    output: TensorView<'m>,
}

const NO_INTEGERS: Integers<'static> = Integers {
    bytes: &[],
    words: &[],
    range: [i8::MIN, i8::MAX],
    weights_zero_point: 0,
};

impl<'m> Lowering<'m> {
    fn new(model: &Model<'m>, view: NodeView<'m>, part: usize) -> Option<Self> {
        let second = match view.op {
            Op::Binary(_) => view.input(1),
            _ => None,
        };
        Some(Self {
            view,
            part,
            input: model.tensor(view.input(part)?)?,
            second: second.and_then(|id| model.tensor(id)),
            output: model.tensor(view.output)?,
        })
    }

    fn integers(&self) -> Integers<'m> {
        self.view.integers.unwrap_or(NO_INTEGERS)
    }

    /// What all kernels share.
    fn numbers(&self) -> Option<Numbers> {
        let zero = |view: &TensorView<'_>| view.quant.map_or(0, |q| q.zero_point.into());
        let step = |view: &TensorView<'_>| match view.constant {
            Some(_) => 0,
            None => words(view.shape) as u32,
        };
        let integers = self.integers();
        let mut factors = [[0; 2]; 3];
        if matches!(self.view.op, Op::Binary(_) | Op::Mean { .. }) {
            let pairs = integers.words.as_chunks::<2>().0;
            for (to, from) in factors.iter_mut().zip(pairs) {
                *to = *from;
            }
        }
        Some(Numbers {
            input: sizes(self.input.shape),
            output: sizes(self.output.shape),
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            in_zero: zero(&self.input),
            out_zero: zero(&self.output),
            range: integers.range.map(i32::from),
            weights_zero: integers.weights_zero_point.into(),
            groups: 1,
            second: self.second.as_ref().map_or([0; 4], |s| sizes(s.shape)),
            steps: [step(&self.input), self.second.as_ref().map_or(0, step)],
            second_zero: self.second.as_ref().map_or(0, zero),
            factors,
            ..Numbers::default()
        })
    }

    /// The shader and its numbers; `before` are the elements before this input
    /// of a `Concat`.
    fn kernel(&self, before: u32) -> Option<(ShaderKind, Numbers)> {
        let mut node = self.numbers()?;
        let shader = match self.view.op {
            Op::Conv { .. } | Op::Dense | Op::Depthwise { .. } => self.weighted(&mut node)?,
            Op::Activate => ShaderKind::Int8Activate,
            Op::Binary(arithmetic) => {
                node.kind = match arithmetic {
                    Arithmetic::Add => 0,
                    Arithmetic::Sub => 1,
                    Arithmetic::Mul => 2,
                    Arithmetic::Div => return None,
                };
                ShaderKind::Int8Binary
            }
            Op::Concat { axis } => {
                let pairs = self.integers().words.as_chunks::<2>().0;
                node.factors[0] = *pairs.get(self.part)?;
                node.kind = u32::from(self.input.quant == self.output.quant);
                *node.extra.get_mut(usize::from(axis))? = before.cast_signed();
                ShaderKind::Int8Concat
            }
            Op::Slice { .. } | Op::Shuffle { .. } | Op::Pad { .. } => {
                self.moved(&mut node)?;
                ShaderKind::Int8Move
            }
            Op::MaxPool(geometry) => {
                window(&mut node, geometry);
                ShaderKind::Int8Largest
            }
            Op::GlobalMaxPool => {
                node.kernel = [node.input[0], node.input[1]];
                ShaderKind::Int8Largest
            }
            Op::AveragePool { .. } => self.average(&mut node)?,
            Op::Mean { axes } => {
                let [y, x, c] = axes.map(i32::from);
                node.extra = [y, x, c, 0, 0, 0];
                ShaderKind::Int8Mean
            }
            Op::Softmax => ShaderKind::Int8Softmax,
            Op::Quantise { .. } => ShaderKind::Int8Quantise,
            Op::Dequantise => {
                node.extra[0] = self.input.quant?.scale.to_bits().cast_signed();
                ShaderKind::Int8Dequantise
            }
            Op::PRelu | Op::Affine | Op::Lrn { .. } => return None,
        };
        Some((shader, node))
    }

    /// What the kernel reads besides its operands.
    fn read(&self) -> Option<Vec<u32>> {
        let integers = self.integers();
        Some(match self.view.op {
            Op::Conv { .. } | Op::Dense | Op::Depthwise { .. } => {
                weights::weights(self.view.op, &integers, self.shapes())?.0
            }
            Op::Activate => weights::bytes(integers.bytes),
            Op::Softmax => exponentials(integers.words)?,
            Op::Quantise { scale, zero_point } => {
                weights::thresholds(Quantisation { scale, zero_point })
            }
            _ => vec![],
        })
    }

    const fn shapes(&self) -> (Shape, Shape) {
        (self.input.shape, self.output.shape)
    }

    fn average(&self, node: &mut Numbers) -> Option<ShaderKind> {
        let Op::AveragePool {
            geometry,
            count_padding,
            pad_end: [bottom, right],
        } = self.view.op
        else {
            return None;
        };
        window(node, geometry);
        let origin = *self.integers().words.first()?;
        let ends = [bottom, right].map(i32::from);
        node.extra = [origin, count_padding.into(), ends[0], ends[1], 0, 0];
        Some(ShaderKind::Int8Average)
    }

    /// `Conv`, `Dense` and `Depthwise`.
    fn weighted(&self, node: &mut Numbers) -> Option<ShaderKind> {
        let shader = match self.view.op {
            Op::Conv { geometry, groups } => {
                window(node, geometry);
                node.groups = groups.into();
                match groups {
                    1 => ShaderKind::Int8Conv,
                    _ => ShaderKind::Int8ConvGroups,
                }
            }
            Op::Depthwise { geometry } => {
                window(node, geometry);
                ShaderKind::Int8Depthwise
            }
            _ => {
                // One pixel of as many words as the picture has.
                node.once = 1;
                node.input = [1, 1, node.input[2], words(self.input.shape) as u32];
                ShaderKind::Int8Conv
            }
        };
        let (_, at) = weights::weights(self.view.op, &self.integers(), self.shapes())?;
        node.numbers_at = u32::try_from(at).ok()?;
        Some(shader)
    }

    /// `Slice`, `Shuffle` and `Pad`.
    fn moved(&self, node: &mut Numbers) -> Option<()> {
        node.extra = [0, 0, 0, 1, 1, 1];
        let (kind, start) = match self.view.op {
            Op::Slice { start, step } => {
                let step = step.map(i32::from);
                node.extra[3..].copy_from_slice(&step);
                (0, start)
            }
            Op::Shuffle { groups } => {
                node.groups = groups.into();
                (1, [0; 3])
            }
            Op::Pad { before, mode } => {
                if let PadMode::Constant(real) = mode {
                    node.in_zero = self.output.quant?.stored(real).into();
                }
                let kind = match mode {
                    PadMode::Constant(_) => 2,
                    PadMode::Edge => 3,
                    PadMode::Reflect => 4,
                };
                (kind, before)
            }
            _ => return None,
        };
        node.kind = kind;
        node.extra[..3].copy_from_slice(&start.map(i32::from));
        Some(())
    }
}

fn window(node: &mut Numbers, geometry: Geometry) {
    node.kernel = geometry.kernel.map(u32::from);
    node.stride = geometry.stride.map(u32::from);
    node.dilation = geometry.dilation.map(u32::from);
    node.pad = geometry.pad.map(u32::from);
}

/// exp of a number 0, 1, .. 255 steps below the largest, in Q0.31.
fn exponentials(words: &[i32]) -> Option<Vec<u32>> {
    let &[multiplier, shift, least] = words.first_chunk()?;
    let shift = u32::try_from(shift).ok()?;
    let of = |steps: i32| {
        if -steps < least {
            return 0;
        }
        let scaled = doubling_high((-steps).wrapping_shl(shift), multiplier);
        exp_of_negative(scaled).cast_unsigned()
    };
    Some((0..256).map(of).collect())
}
