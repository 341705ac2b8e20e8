//! First layers that read the round's questions themselves: the masked picture
//! is made where they load it, and the network's input is not stored.
//!
//! A workgroup makes an 8 x 8 tile of outputs, and before it what they see of
//! the picture, once, in shared memory. So it is for layers whose tile sees no
//! more than fits there beside the product's own 8 KiB, in the 16 KiB that
//! every adapter has. A `Quantise` before convolutions on int8 goes with them;
//! before anything else it alone reads the questions.

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Geometry, Op};
use foveola_core::{Score, Shape, TensorId};

use super::integers;

/// Outputs along the side of a tile.
const SIDE: usize = 8;

/// Elements that `first.wgsl` holds, and pixels that `int8_conv_first.wgsl` holds.
const MOST_SEEN: usize = 2048;
const MOST_PIXELS: usize = 1536;

/// Channels of a picture whose pixels are a word of int8, and whose tile is not
/// more elements than a workgroup has threads.
const MOST_CHANNELS: usize = 4;

/// Which tensors are made where they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct First {
    made: Vec<TensorId>,
    /// Tensors of `made` that are quantised, and the nodes that quantise them.
    quantised: Vec<(TensorId, usize)>,
}

/// Pixels of the picture that a tile sees.
fn seen(geometry: Geometry) -> usize {
    let [h, w] = [0, 1].map(|axis| {
        let taps = usize::from(geometry.kernel[axis]).saturating_sub(1);
        let [stride, hop] = [geometry.stride[axis], geometry.dilation[axis]].map(usize::from);
        (SIDE - 1) * stride + taps * hop + 1
    });
    h * w
}

/// Tiles of a picture, as the pixels that a product of 64 pixels would have.
pub(super) const fn tiled(target: Shape) -> usize {
    target.h.div_ceil(SIDE) * target.w.div_ceil(SIDE) * SIDE * SIDE
}

/// Whether an f32 layer makes its own input.
fn takes(view: &NodeView<'_>, input: Shape) -> bool {
    let fits = |geometry| seen(geometry) * input.c <= MOST_SEEN;
    match view.op {
        _ if integers::takes(view) => false,
        Op::Conv { geometry, .. } => fits(geometry),
        Op::Depthwise { geometry } => input.c <= MOST_CHANNELS && fits(geometry),
        _ => false,
    }
}

/// Whether an int8 layer makes its own input.
fn takes_integers(view: &NodeView<'_>, input: Shape) -> bool {
    match view.op {
        Op::Conv {
            geometry,
            groups: 1,
        } => view.integers.is_some() && input.c <= MOST_CHANNELS && seen(geometry) <= MOST_PIXELS,
        _ => false,
    }
}

/// Whether something reads a tensor, and all that does is so; scores are read
/// by the host.
fn all_readers(model: &Model<'_>, id: TensorId, so: impl Fn(&NodeView<'_>) -> bool) -> bool {
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let mut readers = nodes.filter(|view| view.inputs().any(|input| input == id));
    let scores = [Score::Logit, Score::Probability].map(|score| model.score_id(score));
    !scores.contains(&id) && readers.next().is_some_and(|view| so(&view)) && readers.all(|v| so(&v))
}

impl First {
    /// Nothing where all tensors are kept, and else [`Self::of`] the model.
    pub fn where_not_kept(model: &Model<'_>, keep: bool) -> Self {
        match keep {
            true => Self::default(),
            false => Self::of(model),
        }
    }

    /// What a model's first layers make themselves.
    fn of(model: &Model<'_>) -> Self {
        let (input, shape) = (model.input_id(), model.input());
        let mut first = Self::default();
        if all_readers(model, input, |view| takes(view, shape)) {
            first.made.push(input);
        }
        let is_quantise = |view: &NodeView<'_>| matches!(view.op, Op::Quantise { .. });
        if all_readers(model, input, is_quantise) {
            first.made.push(input);
            for index in 0..model.node_count() {
                let Some(view) = model.node(index).filter(|v| v.input(0) == Some(input)) else {
                    continue;
                };
                if all_readers(model, view.output, |v| takes_integers(v, shape)) {
                    first.made.push(view.output);
                    first.quantised.push((view.output, index));
                }
            }
        }
        first
    }

    /// Whether a tensor is not stored.
    pub fn makes(&self, id: TensorId) -> bool {
        self.made.contains(&id)
    }

    /// The node that quantises a tensor that is not stored.
    pub fn quantised_by(&self, id: TensorId) -> Option<usize> {
        let mut quantised = self.quantised.iter();
        quantised.find(|(of, _)| *of == id).map(|(_, node)| *node)
    }
}
