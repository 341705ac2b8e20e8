//! Convolutions and matrix products.

use foveola_core::Shape;
use foveola_core::net::op::{Geometry, Op};

use super::array::{Array, Data, Offsets};
use super::builder::{Builder, LinearOrigin, Parts, small};
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::view::{C, View, axis_strides, whole};
use super::window::{kernel_shape, window};

/// Conv: weights O, I / group, kernel height, kernel width.
pub(super) fn conv(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (input, shape) = b.picture_input(call, 0)?;
    let weights = call.constant(1)?;
    let &[outputs, per_group, kh, kw] = &weights.dims[..] else {
        return malformed(format!("its weights have dimensions {:?}", weights.dims));
    };
    let groups = call.int_attribute("group")?.unwrap_or(1);
    let fits = usize::try_from(groups).is_ok_and(|g| {
        g > 0
            && outputs > 0
            && outputs.is_multiple_of(g)
            && per_group.checked_mul(g) == Some(shape.c)
    });
    if !fits {
        return malformed(format!(
            "weights {:?} in {groups} groups do not fit {} channels",
            weights.dims, shape.c
        ));
    }
    if kernel_shape(call)?.is_some_and(|k| k != [kh, kw]) {
        return malformed("kernel_shape contradicts the weights");
    }
    let window = window(call, [kh, kw], [shape.h, shape.w], false)?;
    let groups = small(groups, "group")?;
    let depthwise = usize::from(groups) == outputs && per_group == 1 && groups > 1;
    let weights = conv_weights(weights, depthwise)?;
    let bias = conv_bias(call, outputs)?;
    let parts = Parts {
        origin: LinearOrigin::of(&weights, bias.as_ref()),
        weights: floats(weights)?,
        bias: bias.map_or(Ok(vec![]), floats)?,
        ..Parts::plain(
            conv_op(window.geometry, groups, per_group, outputs),
            &[input],
            Shape::new(window.output[0], window.output[1], outputs),
        )
    };
    let shape = parts.shape;
    let tensor = b.emit(call, parts)?;
    Ok(vec![Value::Activation(View::nchw(tensor, shape))])
}

fn conv_op(geometry: Geometry, groups: u16, per_group: usize, outputs: usize) -> Op {
    if groups > 1 && per_group == 1 && usize::from(groups) == outputs {
        return Op::Depthwise { geometry };
    }
    Op::Conv { geometry, groups }
}

/// OIHW to OHWI, or C1HW to HWC for a depthwise convolution.
fn conv_weights(weights: &Array, depthwise: bool) -> Result<Array, Stop> {
    let [o, i, kh, kw] = [0, 1, 2, 3].map(|d| weights.dims[d]);
    let area = kh * kw;
    let order = if depthwise {
        Offsets::new(&[kh, kw, o], &[kw, 1, area], 0)
    } else {
        Offsets::new(&[o, kh, kw, i], &[i * area, kw, 1, area], 0)
    };
    rearranged(weights, order)
}

/// The elements in another order.
fn rearranged(array: &Array, order: Offsets) -> Result<Array, Stop> {
    match array.pick(vec![array.len()], order) {
        Some(array) => Ok(array),
        None => malformed("an index lies outside its weights"),
    }
}

fn floats(array: Array) -> Result<Vec<f32>, Stop> {
    match array.data {
        Data::Float(values) => Ok(values),
        _ => array
            .floats()
            .map_or_else(|| malformed("its weights are text"), Ok),
    }
}

fn conv_bias(call: &Call, outputs: usize) -> Result<Option<Array>, Stop> {
    let Some(bias) = call.optional_constant(2)? else {
        return Ok(None);
    };
    if bias.len() != outputs {
        return malformed(format!("{} biases for {outputs} outputs", bias.len()));
    }
    Ok(Some(bias.clone()))
}

/// A constant matrix that multiplies rows of `k` elements from the right.
struct Matrix<'a> {
    array: &'a Array,
    k: usize,
    n: usize,
    /// Distances between neighbours along k and n.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    fn new(array: &'a Array, transposed: bool) -> Result<Self, Stop> {
        let &[rows, columns] = &array.dims[..] else {
            return unsupported_because(format!("its matrix has dimensions {:?}", array.dims));
        };
        if rows == 0 || columns == 0 {
            return malformed("its matrix is empty");
        }
        let (k, n, strides) = if transposed {
            (columns, rows, [1, columns])
        } else {
            (rows, columns, [columns, 1])
        };
        Ok(Self {
            array,
            k,
            n,
            strides,
        })
    }

    /// OI weights for inputs of `shape`, of which the dimension `dim` runs over the elements.
    fn weights(&self, dim: &[super::view::Factor], shape: Shape) -> Result<Array, Stop> {
        let [h, w, c] = axis_strides(dim, self.strides[0]);
        let order = Offsets::new(
            &[self.n, shape.h, shape.w, shape.c],
            &[self.strides[1], h, w, c],
            0,
        );
        rearranged(self.array, order)
    }
}

/// Products in f64, each rounded once; what they were dequantised from is
/// forgotten unless the factor is 1.
fn scaled(array: Array, factor: f32) -> Result<Array, Stop> {
    if factor == 1.0 {
        return Ok(array);
    }
    let dims = array.dims.clone();
    let values = floats(array)?.into_iter();
    let values = values.map(|v| (f64::from(v) * f64::from(factor)) as f32);
    Ok(Array::new(dims, Data::Float(values.collect())))
}

/// Gemm: alpha * A' * B' + beta * C with A from the picture.
pub(super) fn gemm(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let mut view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    if sizes.len() != 2 {
        return malformed(format!("its input has dimensions {sizes:?}, not two"));
    }
    if call.flag("transA")? {
        view.dims.swap(0, 1);
    }
    let matrix = Matrix::new(call.constant(1)?, call.flag("transB")?)?;
    let alpha = call.float_attribute("alpha")?.unwrap_or(1.0);
    let beta = call.float_attribute("beta")?.unwrap_or(1.0);
    let bias = match call.optional_constant(2)? {
        None => None,
        Some(c) => Some(scaled(gemm_bias(c, matrix.n)?, beta)?),
    };
    product(b, call, &view, &matrix, alpha, bias)
}

/// One bias an output.
fn gemm_bias(c: &Array, outputs: usize) -> Result<Array, Stop> {
    let fits = c.len() == outputs && c.dims.last() == Some(&outputs);
    let order: Vec<usize> = match c.len() {
        1 => vec![0; outputs],
        _ if fits => (0..outputs).collect(),
        _ => {
            return malformed(format!("C of {:?} does not fit {outputs} outputs", c.dims));
        }
    };
    match c.pick(vec![outputs], order.into_iter()) {
        Some(bias) => Ok(bias),
        None => malformed("C is empty"),
    }
}

/// MatMul with a constant on the right.
pub(super) fn matmul(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let matrix = Matrix::new(call.constant(1)?, false)?;
    product(b, call, &view, &matrix, 1.0, None)
}

/// A dense layer if there is one row; else a 1 x 1 convolution, where the rows
/// are pixels.
fn product(
    b: &mut Builder,
    call: &Call,
    view: &View,
    matrix: &Matrix<'_>,
    alpha: f32,
    bias: Option<Array>,
) -> Result<Vec<Value>, Stop> {
    let shape = b.shape(view);
    let Some((row, others)) = view.dims.split_last() else {
        return malformed("its input is a scalar");
    };
    let length: usize = row.iter().map(|f| f.size).product();
    if length != matrix.k {
        return malformed(format!(
            "rows of {length} elements meet a matrix of {} rows",
            matrix.k
        ));
    }
    let one_row = others.iter().all(Vec::is_empty);
    if !one_row && shape.c != matrix.k {
        return unsupported_because("its rows are not the channels of one pixel");
    }
    let (op, taps, h, w) = if one_row {
        (Op::Dense, shape, 1, 1)
    } else {
        (pointwise(), Shape::new(1, 1, shape.c), shape.h, shape.w)
    };
    let weights = scaled(matrix.weights(row, taps)?, alpha)?;
    let parts = Parts {
        origin: LinearOrigin::of(&weights, bias.as_ref()),
        weights: floats(weights)?,
        bias: bias.map_or(Ok(vec![]), floats)?,
        ..Parts::plain(op, &[view.tensor], Shape::new(h, w, matrix.n))
    };
    let tensor = b.emit(call, parts)?;
    let mut dims = others.to_vec();
    dims.push(whole(C, matrix.n));
    Ok(vec![Value::Activation(View { tensor, dims })])
}

fn pointwise() -> Op {
    Op::Conv {
        geometry: Geometry {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        },
        groups: 1,
    }
}
