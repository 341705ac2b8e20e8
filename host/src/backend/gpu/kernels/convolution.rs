//! Convolutions and dense layers.

use foveola_core::Shape;
use foveola_core::net::model::NodeView;
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::ops::packing;

use super::{GpuError, ShaderKind, Words};
use crate::backend::gpu::first::tiled;
use crate::backend::gpu::residual::Residual;
use crate::backend::gpu::steps::{Backward, Forward, Operand, Work};

/// Channels of a tile.
const TILE: usize = 64;

/// A convolution as one matrix product for each group.
struct Product {
    source: Shape,
    target: Shape,
    kernel: [usize; 2],
    places: Places,
    groups: usize,
}

/// Where the source pixel of a tap lies: (target * step + start + tap * hop) / part.
struct Places {
    step: [i32; 2],
    start: [i32; 2],
    hop: [i32; 2],
    part: [i32; 2],
}

impl Places {
    fn forward(geometry: Geometry) -> Self {
        Self {
            step: geometry.stride.map(i32::from),
            start: geometry.pad.map(|n| -i32::from(n)),
            hop: geometry.dilation.map(i32::from),
            part: [1; 2],
        }
    }

    fn backward(geometry: Geometry) -> Self {
        Self {
            step: [1; 2],
            start: geometry.pad.map(i32::from),
            hop: geometry.dilation.map(|n| -i32::from(n)),
            part: geometry.stride.map(i32::from),
        }
    }

    fn words(&self, words: Words) -> Words {
        let words = words.signed(self.step).signed(self.start);
        words.signed(self.hop).signed(self.part)
    }
}

/// Geometry, groups and shapes; a dense layer is a 1x1 convolution of one pixel.
fn decoded(op: Op, input: Shape, output: Shape) -> (Geometry, usize, Shape, Shape) {
    match op {
        Op::Conv { geometry, groups } => (geometry, usize::from(groups).max(1), input, output),
        _ => {
            let geometry = Geometry {
                kernel: [1; 2],
                stride: [1; 2],
                dilation: [1; 2],
                pad: [0; 2],
            };
            let flat = |shape: Shape| Shape::new(1, 1, shape.len());
            (geometry, 1, flat(input), flat(output))
        }
    }
}

impl Product {
    fn of(op: Op, input: Shape, output: Shape, backward: bool) -> Self {
        let (geometry, groups, input, output) = decoded(op, input, output);
        let (source, target, places) = match backward {
            false => (input, output, Places::forward(geometry)),
            true => (output, input, Places::backward(geometry)),
        };
        Self {
            source,
            target,
            kernel: geometry.kernel.map(usize::from),
            places,
            groups,
        }
    }

    fn words(&self, has_bias: bool, accumulate: bool, activation: Activation) -> Words {
        let Shape { h, w, c } = self.source;
        let words = Words::default().sizes([h, w, c]);
        let Shape { h, w, c } = self.target;
        let words = self.places.words(words.sizes([h, w, c]).sizes(self.kernel));
        let outputs = self.target.c / self.groups;
        words
            .sizes([self.source.c / self.groups, outputs])
            .sizes([outputs.div_ceil(4), outputs.div_ceil(TILE)])
            .flag(has_bias)
            .flag(accumulate)
            .activation(activation)
    }

    fn shader(&self) -> ShaderKind {
        let inputs = self.source.c / self.groups;
        match inputs.is_multiple_of(4) && self.source.c.is_multiple_of(4) {
            true => ShaderKind::ConvVector,
            false => ShaderKind::ConvScalar,
        }
    }

    /// Tiles of channels.
    const fn tiles(&self) -> usize {
        (self.target.c / self.groups).div_ceil(TILE) * self.groups
    }

    const fn work(&self) -> Work {
        Work::Tiles(self.target.area(), self.tiles())
    }
}

/// A product that no tile and no step of taps and channels divides, to try
/// shaders on.
pub struct Sample {
    pub words: Words,
    pub work: Work,
    /// Of source, weights, bias and result.
    pub elements: [usize; 4],
}

impl Sample {
    /// 3 x 3 taps on 9 x 8 pixels of 20 channels that make 70.
    pub fn product() -> Self {
        let geometry = Geometry {
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: [1; 2],
        };
        let op = Op::Conv {
            geometry,
            groups: 1,
        };
        let (source, target) = (Shape::new(9, 8, 20), Shape::new(9, 8, 70));
        let product = Product::of(op, source, target, false);
        let row = target.c.next_multiple_of(4);
        Self {
            words: product.words(true, false, Activation::Relu),
            work: product.work(),
            elements: [source.len(), 9 * source.c * row, target.c, target.len()],
        }
    }
}

/// Fails where the source is a constant, which does not lie there once a picture.
fn not_constant(at: &Forward<'_, '_>) -> Result<(), GpuError> {
    match at.picture(at.id(0)) {
        0 => Err(at.unsupported("its input is a constant")),
        _ => Ok(()),
    }
}

pub fn forward(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    not_constant(at)?;
    if at.first.makes(at.id(0)) {
        return first(at);
    }
    if let Some(residual) = at.residuals.done_by(at.index) {
        return with_residual(at, residual);
    }
    let product = Product::of(at.view.op, at.input(0), at.output(), false);
    let words = product.words(!at.view.bias.is_empty(), false, at.view.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Weights(at.index),
        Operand::Bias(at.index),
        Operand::Value(at.view.output),
    ];
    at.add(product.shader(), &operands, words, product.work());
    Ok(())
}

/// A convolution and the addition behind it.
fn with_residual(at: &mut Forward<'_, '_>, residual: Residual) -> Result<(), GpuError> {
    let missing = || at.unsupported("what it is added to is not in the model file");
    let addition = at.model.node(residual.addition).ok_or_else(missing)?;
    let product = Product::of(at.view.op, at.input(0), at.output(), false);
    let words = product.words(!at.view.bias.is_empty(), false, addition.activation);
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Weights(at.index),
        Operand::Bias(at.index),
        Operand::Value(addition.output),
        Operand::Value(residual.other),
    ];
    let shader = match product.shader() {
        ShaderKind::ConvVector => ShaderKind::ConvVectorAdd,
        _ => ShaderKind::ConvScalarAdd,
    };
    at.add(shader, &operands, words, product.work());
    Ok(())
}

/// A layer that makes its input from the round's questions.
fn first(at: &mut Forward<'_, '_>) -> Result<(), GpuError> {
    let (input, output) = (at.input(0), at.output());
    let (op, shader) = match at.view.op {
        // Its numbers are those of a group a channel.
        Op::Depthwise { geometry } => {
            let groups = input.c as u16;
            (Op::Conv { geometry, groups }, ShaderKind::DepthwiseFirst)
        }
        op => (op, ShaderKind::ConvFirst),
    };
    let product = Product::of(op, input, output, false);
    let words = product.words(!at.view.bias.is_empty(), false, at.view.activation);
    let operands = [
        Operand::Questions,
        Operand::Weights(at.index),
        Operand::Bias(at.index),
        Operand::Value(at.view.output),
        Operand::Pictures,
        Operand::Masks,
    ];
    let deep = match shader {
        ShaderKind::DepthwiseFirst => 1,
        _ => product.tiles(),
    };
    at.add(shader, &operands, words, Work::Tiles(tiled(output), deep));
    Ok(())
}

pub fn backward(at: &mut Backward<'_, '_>) -> Result<(), GpuError> {
    let product = Product::of(at.view.op, at.input(), at.output(), true);
    let words = product.words(false, at.accumulate, Activation::None);
    let operands = [
        at.from(),
        Operand::Transposed(at.index),
        Operand::Nothing,
        at.to(),
    ];
    at.add(product.shader(), &operands, words, product.work());
    Ok(())
}

fn depthwise_words(
    (source, target): (Shape, Shape),
    (kernel, places): ([u16; 2], &Places),
    has_bias: bool,
    accumulate: bool,
    activation: Activation,
) -> Words {
    let words = Words::default()
        .sizes([source.h, source.w, target.h, target.w, target.c])
        .sizes(kernel.map(usize::from));
    places
        .words(words)
        .flag(has_bias)
        .flag(accumulate)
        .activation(activation)
}

/// Four channels a thread, where they are a multiple of four.
const fn depthwise_shader(target: Shape) -> (ShaderKind, Work) {
    match target.c.is_multiple_of(4) {
        true => (
            ShaderKind::DepthwiseVector,
            Work::Elements(target.len() / 4),
        ),
        false => (ShaderKind::Depthwise, Work::Elements(target.len())),
    }
}

pub fn depthwise(at: &mut Forward<'_, '_>, geometry: Geometry) -> Result<(), GpuError> {
    not_constant(at)?;
    if at.first.makes(at.id(0)) {
        return first(at);
    }
    let (input, output) = (at.input(0), at.output());
    let places = Places::forward(geometry);
    let words = depthwise_words(
        (input, output),
        (geometry.kernel, &places),
        !at.view.bias.is_empty(),
        false,
        at.view.activation,
    );
    let operands = [
        Operand::Value(at.id(0)),
        Operand::Weights(at.index),
        Operand::Bias(at.index),
        Operand::Value(at.view.output),
    ];
    let (shader, work) = depthwise_shader(output);
    at.add(shader, &operands, words, work);
    Ok(())
}

pub fn depthwise_back(at: &mut Backward<'_, '_>, geometry: Geometry) -> Result<(), GpuError> {
    let (input, output) = (at.input(), at.output());
    let places = Places::backward(geometry);
    let words = depthwise_words(
        (output, input),
        (geometry.kernel, &places),
        false,
        at.accumulate,
        Activation::None,
    );
    let operands = [
        at.from(),
        Operand::Weights(at.index),
        Operand::Nothing,
        at.to(),
    ];
    let (shader, work) = depthwise_shader(input);
    at.add(shader, &operands, words, work);
    Ok(())
}

/// Weights in the order of the kernels: `[group][tap, source channel][target
/// channel]`, target channels filled up with zeros to a multiple of four; other
/// operators' as they are.
pub fn weights(view: &NodeView<'_>, input: Shape, output: Shape, backward: bool) -> Vec<f32> {
    if !matches!(view.op, Op::Conv { .. } | Op::Dense) {
        return view.weights.to_vec();
    }
    let (geometry, groups, source, target) = decoded(view.op, input, output);
    let taps = usize::from(geometry.kernel[0]) * usize::from(geometry.kernel[1]);
    let (inputs, outputs) = (source.c / groups, target.c / groups);
    let (sources, targets) = match backward {
        false => (inputs, outputs),
        true => (outputs, inputs),
    };
    let row = targets.next_multiple_of(4);
    let mut out = vec![0.0; groups * taps * sources * row];
    for o in 0..groups * outputs {
        for tap in 0..taps {
            for i in 0..inputs {
                let plain = (o * taps + tap) * inputs + i;
                let at = packing::packed_index(view.op, input, output, plain);
                let within = o % outputs;
                let (from, to) = match backward {
                    false => (i, within),
                    true => (within, i),
                };
                let first = ((o / outputs * taps + tap) * sources + from) * row;
                out[first + to] = view.weights[at];
            }
        }
    }
    out
}
