//! The network node by node, each on values that somebody else may have made.

use foveola_core::net::arch::Isa;
use foveola_core::net::int8::{self, Node8, Operand8};
use foveola_core::net::model::{Model, NodeView, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::ops::{self, Operand};
use foveola_core::net::quant::Quantisation;
use foveola_core::net::session::Session;
use foveola_core::{Error, Masked, Shape, TensorId, Values};
use zerocopy::FromBytes;

use crate::aligned::AlignedBytes;

/// Values of a tensor, HWC.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Stored numbers.
    Stored(Vec<i8>),
    /// Real numbers.
    Real(Vec<f32>),
}

impl Data {
    fn of(values: Values<'_>) -> Self {
        match values {
            Values::Real(data) => Self::Real(data.to_vec()),
            Values::Stored { data, .. } => Self::Stored(data.to_vec()),
        }
    }

    fn extend(&mut self, values: Values<'_>) {
        match (self, values) {
            (Self::Real(all), Values::Real(data)) => all.extend(data),
            (Self::Stored(all), Values::Stored { data, .. }) => all.extend(data),
            (this, values) => *this = Self::of(values),
        }
    }

    /// Number of elements.
    pub const fn len(&self) -> usize {
        match self {
            Self::Stored(data) => data.len(),
            Self::Real(data) => data.len(),
        }
    }

    /// Whether there is no element at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index` as it is stored.
    pub fn at(&self, index: usize) -> f64 {
        match self {
            Self::Stored(data) => data[index].into(),
            Self::Real(data) => data[index].into(),
        }
    }

    /// The stored numbers, if it holds such.
    pub fn stored(&self) -> Option<&[i8]> {
        match self {
            Self::Stored(data) => Some(data),
            Self::Real(_) => None,
        }
    }

    /// The real numbers, if it holds such.
    pub fn real(&self) -> Option<&[f32]> {
        match self {
            Self::Real(data) => Some(data),
            Self::Stored(_) => None,
        }
    }
}

/// Output of every node for a picture, in run order.
///
/// # Errors
/// What `core` reports.
pub fn run(model: &Model<'_>, x: &Masked<'_>) -> Result<Vec<Data>, Error> {
    let length = model.plan(Pass::Forward).map_or(0, |plan| plan.arena_len());
    let mut arena = AlignedBytes::zeros(length);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let mut layers: Vec<Option<Data>> = vec![None; model.node_count()];
    session.forward_tapped(x, &mut |index, _, values| {
        match &mut layers[index] {
            Some(layer) => layer.extend(values),
            empty => *empty = Some(Data::of(values)),
        }
        Ok(())
    })?;
    let empty = || Data::Real(Vec::new());
    Ok(layers
        .into_iter()
        .map(|l| l.unwrap_or_else(empty))
        .collect())
}

/// Values of tensors by id; the constants of the model are there from the start.
#[derive(Clone, Debug)]
pub struct Tensors(Vec<Option<Data>>);

impl Tensors {
    /// The constants.
    pub fn new(model: &Model<'_>) -> Self {
        let ids = 0..model.tensor_count();
        let constant = |id: usize| {
            let tensor = model.tensor(TensorId(id as u16))?;
            tensor.constant.map(Data::of)
        };
        Self(ids.map(constant).collect())
    }

    /// A tensor's values.
    pub fn get(&self, id: TensorId) -> Option<&Data> {
        self.0.get(usize::from(id.0))?.as_ref()
    }

    /// Sets a tensor's values.
    pub fn set(&mut self, id: TensorId, data: Data) {
        self.0[usize::from(id.0)] = Some(data);
    }
}

/// An int8 node as its kernels see it, for input number `part`.
pub fn integer_node<'m>(model: &Model<'m>, view: &NodeView<'m>, part: usize) -> Option<Node8<'m>> {
    let integers = view.integers?;
    let (input, output) = (model.tensor(view.input(part)?)?, model.tensor(view.output)?);
    Some(Node8 {
        op: view.op,
        activation: view.activation,
        input: input.shape,
        output: output.shape,
        input_quant: input.quant?,
        output_quant: output.quant?,
        bytes: integers.bytes,
        words: integers.words,
        range: integers.range,
        weights_zero_point: integers.weights_zero_point,
    })
}

/// Output of a node on given inputs.
///
/// # Errors
/// [`Error::Internal`] if an input is missing or of another kind.
pub fn compute(model: &Model<'_>, index: usize, tensors: &Tensors) -> Result<Data, Error> {
    let view = model.node(index).ok_or(Error::Internal)?;
    let input = view.input(0).ok_or(Error::Internal)?;
    let first = tensors.get(input).ok_or(Error::Internal)?;
    match (view.op, first) {
        (Op::Quantise { scale, zero_point }, Data::Real(data)) => {
            let to = Quantisation { scale, zero_point };
            Ok(Data::Stored(data.iter().map(|&x| to.stored(x)).collect()))
        }
        (Op::Dequantise, Data::Stored(data)) => {
            let quant = model.tensor(input).and_then(|t| t.quant);
            let quant = quant.ok_or(Error::Internal)?;
            Ok(Data::Real(data.iter().map(|&q| quant.real(q)).collect()))
        }
        (_, Data::Stored(_)) => stored(model, &view, tensors).map(Data::Stored),
        (_, Data::Real(_)) => real(model, &view, tensors).map(Data::Real),
    }
}

/// How many times a node is called, and the element before each input along
/// the axis of a `Concat`.
fn parts(model: &Model<'_>, view: &NodeView<'_>) -> Vec<usize> {
    let Op::Concat { axis } = view.op else {
        return vec![0];
    };
    let extent = |shape: Shape| match axis {
        0 => shape.h,
        1 => shape.w,
        _ => shape.c,
    };
    let mut offset = 0;
    let mut offsets = Vec::new();
    for id in view.inputs() {
        offsets.push(offset);
        offset += extent(model.shape(id));
    }
    offsets
}

fn stored(model: &Model<'_>, view: &NodeView<'_>, tensors: &Tensors) -> Result<Vec<i8>, Error> {
    let operand = |id: TensorId| -> Option<Operand8<'_>> {
        Some(Operand8 {
            shape: model.shape(id),
            data: tensors.get(id)?.stored()?,
            quant: model.tensor(id)?.quant?,
        })
    };
    let mut out = vec![0; model.shape(view.output).len()];
    let isa = Isa::detect();
    for (part, offset) in parts(model, view).into_iter().enumerate() {
        let ids = view.inputs().skip(part).take(2);
        let operands: Option<Vec<_>> = ids.map(operand).collect();
        let operands = operands.ok_or(Error::Internal)?;
        let node = integer_node(model, view, part).ok_or(Error::Internal)?;
        let mut scratch = AlignedBytes::zeros(int8::scratch_len(&node, isa));
        int8::forward(
            &node,
            &operands,
            part,
            offset,
            &mut out,
            &mut [],
            &mut scratch,
            isa,
        )?;
    }
    Ok(out)
}

fn real(model: &Model<'_>, view: &NodeView<'_>, tensors: &Tensors) -> Result<Vec<f32>, Error> {
    let operand = |id: TensorId| -> Option<Operand<'_>> {
        Some(Operand {
            shape: model.shape(id),
            data: tensors.get(id)?.real()?,
        })
    };
    let mut out = vec![0.0; model.shape(view.output).len()];
    let mut scratch = AlignedBytes::zeros(0);
    for (part, offset) in parts(model, view).into_iter().enumerate() {
        let ids = view.inputs().skip(part).take(2);
        let operands: Option<Vec<_>> = ids.map(operand).collect();
        let operands = operands.ok_or(Error::Internal)?;
        let node = ops::Node {
            op: view.op,
            activation: view.activation,
            input: operands.first().ok_or(Error::Internal)?.shape,
            output: model.shape(view.output),
            weights: view.weights,
            bias: view.bias,
        };
        let scratch = <[f32]>::mut_from_bytes(&mut scratch).map_err(|_| Error::Internal)?;
        let isa = Isa::detect();
        // A NaN is a value like another here: it is compared.
        ops::forward(&node, &operands, offset, &mut out, &mut [], scratch, isa)?;
    }
    Ok(out)
}
