//! The network under construction.

use std::collections::HashMap;

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};

use super::super::array::{Offsets, element_count, strides};
use super::super::builder::{MAX_AXIS, finite, operand_dims, small};
use super::super::error::{ImportError, Stop, malformed, unsupported_because};
use super::super::view::{C, H, View, W, axis_strides};
use super::call::{Call, Value};
use super::file::Entry;
use crate::graph::{Node, Quant, QuantisedWeights, Tensor};

/// What a node is made of, besides its name.
pub(super) struct Parts {
    pub op: Op,
    pub activation: Activation,
    pub inputs: Vec<TensorId>,
    pub shape: Shape,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub quantised: Option<QuantisedWeights>,
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
            quantised: None,
        }
    }

    pub fn with(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }
}

/// Tensors and nodes so far, and what each tensor of the file stands for.
pub(super) struct Builder {
    pub tensors: Vec<Tensor>,
    pub nodes: Vec<Node>,
    /// By the file's index; `None` until some operator makes the tensor.
    pub values: Vec<Option<Value>>,
    pub warnings: Vec<String>,
    /// f32 values of int8 tensors.
    real: HashMap<TensorId, TensorId>,
    /// Elements that constants may still take.
    left: usize,
}

impl Builder {
    /// `left`: elements that all constants together may have where they are read.
    pub fn new(values: Vec<Option<Value>>, left: usize) -> Self {
        Self {
            tensors: vec![],
            nodes: vec![],
            values,
            warnings: vec![],
            real: HashMap::new(),
            left,
        }
    }

    pub fn shape(&self, view: &View) -> Shape {
        self.tensors[usize::from(view.tensor.0)].shape
    }

    pub fn quant(&self, tensor: TensorId) -> Option<Quant> {
        self.tensors[usize::from(tensor.0)].quant
    }

    /// Counts constants against the limit on all of them: a small file must
    /// not become a large network by naming one buffer many times.
    pub fn charge(&mut self, elements: usize) -> Result<(), ImportError> {
        match self.left.checked_sub(elements) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ImportError::TooLarge {
                what: "its operators read more constants than its file can hold".into(),
            }),
        }
    }

    /// Real numbers of a constant input.
    pub fn reals(&mut self, call: &Call<'_, '_>, i: usize) -> Result<Vec<f32>, Stop> {
        let entry = call.input(i)?;
        self.charge(entry.elements())?;
        match call.value(i)? {
            Value::Real(values) => Ok(values.to_vec()),
            Value::Constant => match entry.reals() {
                Some(values) => Ok(values),
                None => unsupported_because(format!(
                    "\"{}\" is {} where real numbers belong",
                    entry.name,
                    entry.kind_name()
                )),
            },
            _ => unsupported_because(format!("input {i} is not a constant")),
        }
    }

    pub fn add_tensor(
        &mut self,
        name: &str,
        shape: Shape,
        quant: Option<Quant>,
    ) -> Result<TensorId, ImportError> {
        let too_large = |what: String| ImportError::TooLarge { what };
        let axes = [shape.h, shape.w, shape.c];
        if axes.iter().any(|&n| n == 0 || n > MAX_AXIS) || element_count(&axes).is_none() {
            return Err(too_large(format!(
                "tensor \"{name}\" is {axes:?}; every axis must be 1 to {MAX_AXIS}"
            )));
        }
        let id = u16::try_from(self.tensors.len())
            .map_err(|_| too_large(format!("more than {} tensors", u16::MAX)))?;
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape,
            constant: None,
            quant,
        });
        Ok(TensorId(id))
    }

    /// Appends a node; its output is stored as `quant` says.
    pub fn push(
        &mut self,
        call: &Call<'_, '_>,
        name: &str,
        quant: Option<Quant>,
        parts: Parts,
    ) -> Result<TensorId, Stop> {
        finite(&parts.weights, "weights")?;
        finite(&parts.bias, "bias")?;
        let output = self.add_tensor(name, parts.shape, quant)?;
        self.nodes.push(Node {
            name: call.name(),
            op: parts.op,
            activation: parts.activation,
            inputs: parts.inputs,
            output,
            weights: parts.weights,
            bias: parts.bias,
            quantised: parts.quantised,
            dropout: None,
        });
        Ok(output)
    }

    /// Appends a node that makes output `i`, in the arithmetic of that output;
    /// its inputs must be stored alike.
    pub fn emit(&mut self, call: &Call<'_, '_>, i: usize, parts: Parts) -> Result<TensorId, Stop> {
        let entry = call.output(i)?;
        let quant = output_quant(entry)?;
        for &input in &parts.inputs {
            self.stored_alike(input, quant, entry)?;
        }
        self.push(call, &entry.name, quant, parts)
    }

    /// As [`Builder::emit`], for an operator that has no int8 kernel: in an
    /// int8 network its inputs become f32 before it and its result int8 after.
    pub fn emit_real(&mut self, call: &Call<'_, '_>, mut parts: Parts) -> Result<TensorId, Stop> {
        let entry = call.output(0)?;
        let Some(quant) = output_quant(entry)? else {
            return self.emit(call, 0, parts);
        };
        for input in &mut parts.inputs {
            self.stored_alike(*input, Some(quant), entry)?;
            *input = self.real(call, *input)?;
        }
        let shape = parts.shape;
        let real = self.push(call, &real_name(&entry.name), None, parts)?;
        let op = quantise(quant);
        self.push(
            call,
            &entry.name,
            Some(quant),
            Parts::plain(op, &[real], shape),
        )
    }

    fn stored_alike(
        &self,
        input: TensorId,
        output: Option<Quant>,
        entry: &Entry<'_>,
    ) -> Result<(), Stop> {
        let tensor = &self.tensors[usize::from(input.0)];
        let kind = |q: Option<Quant>| match q {
            None => "float",
            Some(Quant { unsigned: true, .. }) => "uint8",
            Some(_) => "int8",
        };
        if kind(tensor.quant) != kind(output) {
            return malformed(format!(
                "its input \"{}\" is {}, its output \"{}\" is {}",
                tensor.name,
                kind(tensor.quant),
                entry.name,
                kind(output)
            ));
        }
        Ok(())
    }

    /// The f32 value of an int8 tensor; made once.
    pub fn real(&mut self, call: &Call<'_, '_>, tensor: TensorId) -> Result<TensorId, Stop> {
        let have = &self.tensors[usize::from(tensor.0)];
        let (shape, name) = (have.shape, real_name(&have.name));
        if have.quant.is_none() {
            return Ok(tensor);
        }
        if let Some(&real) = self.real.get(&tensor) {
            return Ok(real);
        }
        let real = match have.constant.clone() {
            Some(values) => {
                self.charge(values.len())?;
                let real = self.add_tensor(&name, shape, None)?;
                self.tensors[usize::from(real.0)].constant = Some(values);
                real
            }
            None => {
                let parts = Parts::plain(Op::Dequantise, &[tensor], shape);
                self.push(call, &name, None, parts)?
            }
        };
        self.real.insert(tensor, real);
        Ok(real)
    }

    /// Input `i` as a view whose dimensions are whole axes.
    pub fn whole_input(&self, call: &Call<'_, '_>, i: usize) -> Result<View, Stop> {
        let view = call.activation(i)?;
        if !view.is_whole(self.shape(view)) {
            return unsupported_because("its input is rearranged across axes");
        }
        Ok(view.clone())
    }

    /// Input `i`, which must lie as batch, height, width, channels.
    pub fn picture_input(&self, call: &Call<'_, '_>, i: usize) -> Result<(TensorId, Shape), Stop> {
        let view = self.whole_input(call, i)?;
        let shape = self.shape(&view);
        if view != nhwc(view.tensor, shape) {
            return unsupported_because(format!(
                "its input {:?} does not lie as batch 1, height, width, channels",
                view.sizes()
            ));
        }
        Ok((view.tensor, shape))
    }

    /// A constant input as an operand beside the activation `like`, broadcast
    /// as TFLite does; int8 where the file's is.
    pub fn constant_operand(
        &mut self,
        call: &Call<'_, '_>,
        i: usize,
        like: &View,
    ) -> Result<View, Stop> {
        let values = self.reals(call, i)?;
        finite(&values, "constant")?;
        let entry = call.input(i)?;
        let quant = match call.value(i)? {
            Value::Constant => output_quant(entry)?,
            _ => None,
        };
        let rank = like.dims.len().max(entry.dims.len());
        let like = like.with_rank(rank);
        let mut sizes = vec![1; rank - entry.dims.len()];
        sizes.extend(&entry.dims);
        let dims = operand_dims(&like, &sizes)?;
        let mut steps = [0; 3];
        let mut extent = [1; 3];
        for (dim, &unit) in dims.iter().zip(&strides(&sizes)) {
            let along = axis_strides(dim, unit);
            for factor in dim {
                steps[factor.axis] = along[factor.axis];
                extent[factor.axis] = factor.size;
            }
        }
        let data = Offsets::new(&extent, &steps, 0).map(|at| values.get(at).copied());
        let Some(data) = data.collect::<Option<Vec<f32>>>() else {
            return malformed(format!("a constant of {:?} does not fit", entry.dims));
        };
        let [h, w, c] = extent;
        let tensor = self.add_tensor(&entry.name, Shape::new(h, w, c), quant)?;
        self.tensors[usize::from(tensor.0)].constant = Some(data);
        Ok(View { tensor, dims })
    }

    /// A view whose factors are whole axes, channel shuffles carried out; other
    /// rearrangements stay as they are.
    pub fn settled(&mut self, call: &Call<'_, '_>, view: View) -> Result<View, Stop> {
        let shape = self.shape(&view);
        let Some(groups) = view.shuffled_groups(shape) else {
            return Ok(view);
        };
        let op = Op::Shuffle {
            groups: small(groups as i64, "groups")?,
        };
        let tensor = self.emit(call, 0, Parts::plain(op, &[view.tensor], shape))?;
        Ok(view.unshuffled(tensor, shape))
    }

    /// Refuses an int8 operator whose output means its numbers otherwise than
    /// its input: TFLite moves them unchanged.
    pub fn same_scale(&self, input: TensorId, entry: &Entry<'_>) -> Result<(), Stop> {
        let (Some(have), Some(wanted)) = (self.quant(input), output_quant(entry)?) else {
            return Ok(());
        };
        let near = (have.scale - wanted.scale).abs() <= 1e-6 * have.scale;
        if !near || have.zero_point != wanted.zero_point {
            return malformed(format!(
                "its input has scale {} and zero point {}, its output {} and {}; they must agree",
                have.scale, have.zero_point, wanted.scale, wanted.zero_point
            ));
        }
        Ok(())
    }
}

/// Batch, height, width, channels.
pub(super) fn nhwc(tensor: TensorId, shape: Shape) -> View {
    View::of_axes(tensor, shape, &[H, W, C])
}

/// Name of the f32 value of an int8 tensor.
pub(super) fn real_name(name: &str) -> String {
    format!("{name}/f32")
}

/// From a tensor's real numbers to its stored ones.
pub(super) fn quantise(quant: Quant) -> Op {
    Op::Quantise {
        scale: quant.scale,
        zero_point: quant.zero_point,
    }
}

/// How a tensor is stored.
pub(super) fn output_quant(entry: &Entry<'_>) -> Result<Option<Quant>, Stop> {
    entry.quant().or_else(unsupported_because)
}
