//! The network under construction.

use std::collections::HashMap;
use std::rc::Rc;

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};

use super::array::{Array, MAX_ELEMENTS, Offsets, Origin, strides};
use super::call::{Call, Value};
use super::error::{ImportError, Stop, malformed, unsupported_because};
use super::view::{Factor, View, axis_len, axis_strides, whole};
use crate::graph::{Node, Quant, Tensor};

/// Longest axis of a tensor.
pub(super) const MAX_AXIS: usize = u16::MAX as usize;

/// Tensors and nodes so far, and what each ONNX name stands for.
#[derive(Default)]
pub(super) struct Builder {
    pub tensors: Vec<Tensor>,
    pub nodes: Vec<Node>,
    pub values: HashMap<String, Value>,
    pub labels: Vec<String>,
    pub warnings: Vec<String>,
    /// For a model that takes 8-bit integers, whether they are unsigned.
    pub unsigned_input: Option<bool>,
    /// Integers behind the weights of a node (by its output) or behind a constant.
    pub origins: HashMap<TensorId, LinearOrigin>,
    /// Elements of all constants.
    elements: usize,
}

/// What a node is made of, besides its name.
pub(super) struct Parts {
    pub op: Op,
    pub activation: Activation,
    pub inputs: Vec<TensorId>,
    pub shape: Shape,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub origin: LinearOrigin,
}

/// The integers behind weights (or a constant) and bias.
#[derive(Clone, Debug, Default)]
pub(super) struct LinearOrigin {
    pub weights: Option<Rc<Origin>>,
    pub bias: Option<Rc<Origin>>,
}

impl LinearOrigin {
    pub fn of(weights: &Array, bias: Option<&Array>) -> Self {
        Self {
            weights: weights.origin.clone(),
            bias: bias.and_then(|b| b.origin.clone()),
        }
    }

    fn is_known(&self) -> bool {
        self.weights.is_some() || self.bias.is_some()
    }
}

impl Parts {
    /// A node without weights.
    pub fn plain(op: Op, inputs: &[TensorId], shape: Shape) -> Self {
        Self {
            op,
            activation: Activation::None,
            inputs: inputs.to_vec(),
            shape,
            weights: vec![],
            bias: vec![],
            origin: LinearOrigin::default(),
        }
    }
}

impl Builder {
    /// Shape of the tensor behind a view.
    pub fn shape(&self, view: &View) -> Shape {
        self.tensors[usize::from(view.tensor.0)].shape
    }

    /// Elements that further constants may have.
    pub fn elements_left(&self) -> usize {
        MAX_ELEMENTS.saturating_sub(self.elements)
    }

    /// Counts a constant against the limit on all of them.
    pub fn charge(&mut self, array: Array) -> Result<Rc<Array>, ImportError> {
        self.elements = self.elements.saturating_add(array.len());
        if self.elements > MAX_ELEMENTS {
            return Err(ImportError::TooLarge {
                what: format!("its constants exceed {MAX_ELEMENTS} elements"),
            });
        }
        Ok(Rc::new(array))
    }

    pub fn add_tensor(
        &mut self,
        name: &str,
        shape: Shape,
        constant: Option<Vec<f32>>,
    ) -> Result<TensorId, ImportError> {
        let too_large = |what: String| ImportError::TooLarge { what };
        let axes = [shape.h, shape.w, shape.c];
        if axes.iter().any(|&n| n == 0 || n > MAX_AXIS) {
            return Err(too_large(format!(
                "tensor \"{name}\" is {axes:?}; every axis must be 1 to {MAX_AXIS}"
            )));
        }
        if super::array::element_count(&axes).is_none() {
            return Err(too_large(format!("tensor \"{name}\" is {axes:?}")));
        }
        let id = u16::try_from(self.tensors.len())
            .map_err(|_| too_large(format!("more than {} tensors", u16::MAX)))?;
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape,
            constant,
            quant: None,
        });
        Ok(TensorId(id))
    }

    /// Appends a node and returns its output tensor, named after the call's first output.
    pub fn emit(&mut self, call: &Call, parts: Parts) -> Result<TensorId, Stop> {
        self.emit_as(call, call.output(), parts)
    }

    /// Appends a node whose output carries the given name.
    pub fn emit_as(&mut self, call: &Call, name: &str, parts: Parts) -> Result<TensorId, Stop> {
        finite(&parts.weights, "weights")?;
        finite(&parts.bias, "bias")?;
        let quant = self.kept_quant(&parts)?;
        let output = self.add_tensor(name, parts.shape, None)?;
        self.tensors[usize::from(output.0)].quant = quant;
        if parts.origin.is_known() {
            self.origins.insert(output, parts.origin);
        }
        self.nodes.push(Node {
            name: call.name().to_owned(),
            op: parts.op,
            activation: parts.activation,
            inputs: parts.inputs,
            output,
            weights: parts.weights,
            bias: parts.bias,
            quantised: None,
            dropout: None,
        });
        Ok(output)
    }

    /// How the output of a node is stored: as its input, where the node only
    /// picks elements of quantised tensors.
    fn kept_quant(&self, parts: &Parts) -> Result<Option<Quant>, Stop> {
        let mut quants = parts.inputs.iter().map(|&id| self.quant(id));
        let first = quants.next().flatten();
        let alike = quants.all(|q| q == first);
        match (parts.op, first) {
            (Op::Quantise { .. } | Op::Dequantise, _) => Ok(None),
            (_, None) if alike => Ok(None),
            (
                Op::MaxPool(_)
                | Op::GlobalMaxPool
                | Op::Slice { .. }
                | Op::Shuffle { .. }
                | Op::Pad { .. }
                | Op::Concat { .. },
                Some(quant),
            ) if alike => Ok(Some(quant)),
            _ => unsupported_because(
                "it computes with stored integers; only operators that pick elements, and QLinear ones, can",
            ),
        }
    }

    /// How a tensor is stored, if not as f32.
    pub fn quant(&self, id: TensorId) -> Option<Quant> {
        self.tensors[usize::from(id.0)].quant
    }

    /// A view whose factors are whole axes: channel shuffles are carried out,
    /// any other rearrangement is refused.
    pub fn settled(&mut self, call: &Call, view: View) -> Result<View, Stop> {
        let shape = self.shape(&view);
        let Some(groups) = view.shuffled_groups(shape) else {
            return Ok(view);
        };
        let op = Op::Shuffle {
            groups: small(groups as i64, "groups")?,
        };
        let tensor = self.emit(call, Parts::plain(op, &[view.tensor], shape))?;
        Ok(view.unshuffled(tensor, shape))
    }

    /// Input `i` as a view of whole axes.
    pub fn whole_input(&self, call: &Call, i: usize) -> Result<View, Stop> {
        let view = call.activation(i)?;
        if !view.is_whole(self.shape(view)) {
            return unsupported_because("its input is rearranged across axes");
        }
        Ok(view.clone())
    }

    /// Input `i`, which must lie as batch, channels, height, width.
    pub fn picture_input(&self, call: &Call, i: usize) -> Result<(TensorId, Shape), Stop> {
        let view = self.whole_input(call, i)?;
        let sizes = view.sizes();
        if sizes.len() != 4 {
            return unsupported_because(format!(
                "its input has dimensions {sizes:?}; only N,C,H,W with N = 1 works"
            ));
        }
        if !view.is_nchw() {
            return unsupported_because(
                "its input does not lie as batch 1, channels, height, width",
            );
        }
        Ok((view.tensor, self.shape(&view)))
    }

    /// A constant as an operand beside the activation `like`, broadcast as ONNX does.
    pub fn constant_operand(
        &mut self,
        call: &Call,
        array: &Array,
        like: &View,
    ) -> Result<View, Stop> {
        let Some(values) = array.floats() else {
            return malformed("a constant holds text where numbers belong");
        };
        finite(&values, "constant")?;
        let rank = like.dims.len().max(array.dims.len());
        let like = like.with_rank(rank);
        let mut sizes = vec![1; rank - array.dims.len()];
        sizes.extend(&array.dims);
        let dims = operand_dims(&like, &sizes)?;
        let units = strides(&sizes);
        let mut steps = [0; 3];
        let mut extent = [1; 3];
        for (dim, &unit) in dims.iter().zip(&units) {
            let along = axis_strides(dim, unit);
            for factor in dim {
                steps[factor.axis] = along[factor.axis];
                extent[factor.axis] = factor.size;
            }
        }
        let [h, w, c] = extent;
        let order = Offsets::new(&extent, &steps, 0);
        let Some(laid_out) = array.pick(vec![h * w * c], order) else {
            return malformed("a constant is smaller than its dimensions");
        };
        let name = format!("{}/constant", call.output());
        let tensor = self.add_tensor(&name, Shape::new(h, w, c), laid_out.floats())?;
        let origin = LinearOrigin::of(&laid_out, None);
        if origin.is_known() {
            self.origins.insert(tensor, origin);
        }
        Ok(View { tensor, dims })
    }
}

/// Which axes each dimension of a constant runs over.
pub(super) fn operand_dims(like: &View, sizes: &[usize]) -> Result<Vec<Vec<Factor>>, Stop> {
    let mut dims = vec![];
    for (d, (&size, have)) in sizes.iter().zip(like.sizes()).enumerate() {
        if size == 1 {
            dims.push(vec![]);
        } else if size == have {
            dims.push(like.dims[d].clone());
        } else if have == 1 && size > 0 {
            match like.axis_of(d) {
                Some(axis) => dims.push(whole(axis, size)),
                None => {
                    return unsupported_because(format!(
                        "a constant of dimensions {sizes:?} widens its dimension {d}"
                    ));
                }
            }
        } else {
            return malformed(format!(
                "a constant of dimensions {sizes:?} does not fit {:?}",
                like.sizes()
            ));
        }
    }
    no_axis_twice(&dims)?;
    Ok(dims)
}

/// Refuses dimensions that run over one axis at two places.
pub(super) fn no_axis_twice(dims: &[Vec<Factor>]) -> Result<(), Stop> {
    let mut seen = [false; 3];
    for factor in dims.iter().flatten() {
        if std::mem::replace(&mut seen[factor.axis], true) {
            return unsupported_because("its operands lie along different axes");
        }
    }
    Ok(())
}

/// Shape that whole-axis dimensions span.
pub(super) fn spanned(dims: &[Vec<Factor>]) -> Shape {
    let mut extent = [1; 3];
    for factor in dims.iter().flatten() {
        extent[factor.axis] = factor.size;
    }
    let [h, w, c] = extent;
    Shape::new(h, w, c)
}

/// A shape with one axis of another length.
pub(super) fn with_axis(shape: Shape, axis: usize, len: usize) -> Shape {
    let mut axes = [0, 1, 2].map(|a| axis_len(shape, a));
    axes[axis] = len;
    Shape::new(axes[0], axes[1], axes[2])
}

/// Refuses NaN and infinities.
pub(super) fn finite(values: &[f32], what: &str) -> Result<(), Stop> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => malformed(format!("element {i} of its {what} is {}", values[i])),
        None => Ok(()),
    }
}

/// A number that must fit 16 bits.
pub(super) fn small(value: i64, what: &str) -> Result<u16, Stop> {
    match u16::try_from(value) {
        Ok(v) => Ok(v),
        Err(_) if value < 0 => malformed(format!("{what} {value} is negative")),
        Err(_) => malformed(format!("{what} {value} is larger than {}", u16::MAX)),
    }
}
