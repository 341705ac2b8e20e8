//! Convolutions and matrix products, in f32 and int8.

use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::{Shape, TensorId};
use tract_tflite::tflite::{FullyConnectedOptionsWeightsFormat, TensorType};

use super::super::array::Offsets;
use super::super::builder::small;
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::view::{C, Factor, View, axis_strides, whole};
use super::builder::{Builder, Parts, nhwc, output_quant};
use super::call::{Call, Value, fused};
use super::file::Entry;
use super::window::{Steps, window};
use crate::graph::QuantisedWeights;

/// How the plain order of our weights runs over the file's.
struct Order {
    sizes: [usize; 4],
    strides: [usize; 4],
}

impl Order {
    /// The file's own order.
    fn same(len: usize) -> Self {
        Self {
            sizes: [1, 1, 1, len],
            strides: [0, 0, 0, 1],
        }
    }

    fn apply<T: Copy>(&self, values: &[T]) -> Result<Vec<T>, Stop> {
        let picked = Offsets::new(&self.sizes, &self.strides, 0).map(|at| values.get(at).copied());
        match picked.collect() {
            Some(values) => Ok(values),
            None => malformed("its weights do not fit its input"),
        }
    }
}

/// A linear node between a tensor and its weights.
struct Linear {
    op: Op,
    activation: Activation,
    input: TensorId,
    shape: Shape,
    order: Order,
    /// Which dimension of the weights may have a scale for each index.
    channels: usize,
}

/// CONV_2D: weights O, kernel height, kernel width, I / group.
pub(super) fn conv(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_conv_2_doptions())?;
    let (input, shape) = b.picture_input(call, 0)?;
    let weights = call.input(1)?;
    let &[outputs, kh, kw, per_group] = &weights.dims[..] else {
        return malformed(format!("its weights are {:?}", weights.dims));
    };
    let groups = shape.c.checked_div(per_group).unwrap_or(0);
    if groups * per_group != shape.c || groups == 0 || !outputs.is_multiple_of(groups) {
        return malformed(format!(
            "weights {:?} do not fit {} channels",
            weights.dims, shape.c
        ));
    }
    let steps = Steps {
        padding: options.padding(),
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
    };
    let window = window([shape.h, shape.w], [kh, kw], &steps)?;
    let depthwise = groups > 1 && per_group == 1 && groups == outputs;
    let geometry = window.geometry;
    let order = match depthwise {
        // One tap after the other, all channels of each.
        true => Order {
            sizes: [kh, kw, outputs, 1],
            strides: [kw, 1, kh * kw, 1],
        },
        false => Order::same(weights.elements()),
    };
    let linear = Linear {
        op: match depthwise {
            true => Op::Depthwise { geometry },
            false => Op::Conv {
                geometry,
                groups: small(groups as i64, "groups")?,
            },
        },
        activation: fused(options.fused_activation_function())?,
        input,
        shape: Shape::new(window.output[0], window.output[1], outputs),
        order,
        channels: 0,
    };
    picture(b, call, linear)
}

/// DEPTHWISE_CONV_2D: weights 1, kernel height, kernel width, channels; of each
/// input channel `multiplier` output channels are made, one after the other.
pub(super) fn depthwise(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_depthwise_conv_2_doptions())?;
    let (input, shape) = b.picture_input(call, 0)?;
    let weights = call.input(1)?;
    let &[1, kh, kw, outputs] = &weights.dims[..] else {
        return malformed(format!("its weights are {:?}", weights.dims));
    };
    if outputs == 0 || !outputs.is_multiple_of(shape.c) {
        return malformed(format!(
            "weights {:?} do not fit {} channels",
            weights.dims, shape.c
        ));
    }
    let steps = Steps {
        padding: options.padding(),
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
    };
    let window = window([shape.h, shape.w], [kh, kw], &steps)?;
    let geometry = window.geometry;
    let linear = Linear {
        op: match outputs == shape.c {
            true => Op::Depthwise { geometry },
            false => Op::Conv {
                geometry,
                groups: small(shape.c as i64, "channels")?,
            },
        },
        activation: fused(options.fused_activation_function())?,
        input,
        shape: Shape::new(window.output[0], window.output[1], outputs),
        order: match outputs == shape.c {
            true => Order::same(weights.elements()),
            // Output channels first, as a convolution in groups of one.
            false => Order {
                sizes: [outputs, kh, kw, 1],
                strides: [1, kw * outputs, outputs, 1],
            },
        },
        channels: 3,
    };
    picture(b, call, linear)
}

/// Emits a convolution.
fn picture(b: &mut Builder, call: &Call<'_, '_>, linear: Linear) -> Result<Vec<Value>, Stop> {
    let shape = linear.shape;
    let tensor = emit(b, call, linear)?;
    Ok(vec![Value::Activation(nhwc(tensor, shape))])
}

/// FULLY_CONNECTED: weights O, I. A dense layer if there is one row; else a
/// 1 x 1 convolution, where the rows are pixels.
pub(super) fn fully_connected(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_fully_connected_options())?;
    if options.weights_format() != FullyConnectedOptionsWeightsFormat::DEFAULT {
        return unsupported_because("its weights are shuffled");
    }
    let &[outputs, k] = &call.input(1)?.dims[..] else {
        return malformed(format!("its weights are {:?}", call.input(1)?.dims));
    };
    let (view, dims) = rows(b, call, k, options.keep_num_dims())?;
    let shape = b.shape(&view);
    let Some((row, others)) = view.dims.split_last() else {
        return malformed("its input is a scalar");
    };
    let one_row = others.iter().all(Vec::is_empty);
    if !one_row && shape.c != k {
        return unsupported_because("its rows are not the channels of one pixel");
    }
    let taps = if one_row { shape } else { Shape::new(1, 1, k) };
    let [h, w, c] = axis_strides(row, 1);
    let linear = Linear {
        op: if one_row { Op::Dense } else { pointwise() },
        activation: fused(options.fused_activation_function())?,
        input: view.tensor,
        shape: match one_row {
            true => Shape::new(1, 1, outputs),
            false => Shape::new(shape.h, shape.w, outputs),
        },
        order: Order {
            sizes: [outputs, taps.h, taps.w, taps.c],
            strides: [k, h, w, c],
        },
        channels: 0,
    };
    let tensor = emit(b, call, linear)?;
    let mut dims = dims;
    dims.push(whole(C, outputs));
    Ok(vec![Value::Activation(View { tensor, dims })])
}

type Dims = Vec<Vec<Factor>>;

/// The input as rows of `k` elements, and the dimensions before the last one
/// of what comes out.
fn rows(b: &Builder, call: &Call<'_, '_>, k: usize, keep_dims: bool) -> Result<(View, Dims), Stop> {
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let total: usize = sizes.iter().product();
    if k == 0 || !total.is_multiple_of(k) {
        return malformed(format!("rows of {k} elements meet an input of {sizes:?}"));
    }
    if keep_dims && sizes.last() != Some(&k) {
        return malformed(format!("weights of {k} columns meet an input of {sizes:?}"));
    }
    let flat = view.reshape(&[total / k, k]);
    let Some(flat) = flat.filter(|f| f.is_whole(b.shape(f))) else {
        return unsupported_because(format!(
            "its input {sizes:?} does not fall into rows of {k}"
        ));
    };
    let others = match keep_dims {
        true => view.dims[..view.dims.len() - 1].to_vec(),
        false => vec![flat.dims[0].clone()],
    };
    Ok((flat, others))
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

fn emit(b: &mut Builder, call: &Call<'_, '_>, linear: Linear) -> Result<TensorId, Stop> {
    let parts = Parts::plain(linear.op, &[linear.input], linear.shape).with(linear.activation);
    let parts = match b.quant(linear.input) {
        Some(_) => Parts {
            quantised: Some(quantised(b, call, &linear)?),
            ..parts
        },
        None => Parts {
            weights: float_weights(b, call, &linear)?,
            bias: float_bias(b, call, linear.shape.c)?,
            ..parts
        },
    };
    b.emit(call, 0, parts)
}

fn float_weights(b: &mut Builder, call: &Call<'_, '_>, linear: &Linear) -> Result<Vec<f32>, Stop> {
    let entry = call.input(1)?;
    if matches!(entry.kind, TensorType::INT8 | TensorType::UINT8) {
        b.warnings.push(format!(
            "operator {} ({}) has {} weights and a float input: it is computed in f32 with the \
             weights' real values, without rounding its input",
            call.index,
            call.op,
            entry.kind_name()
        ));
    }
    let values = b.reals(call, 1)?;
    linear.order.apply(&values)
}

fn float_bias(b: &mut Builder, call: &Call<'_, '_>, outputs: usize) -> Result<Vec<f32>, Stop> {
    if call.optional(2).is_none() {
        return Ok(vec![]);
    }
    let bias = b.reals(call, 2)?;
    match bias.len() == outputs {
        true => Ok(bias),
        false => malformed(format!("{} biases for {outputs} outputs", bias.len())),
    }
}

fn quantised(
    b: &mut Builder,
    call: &Call<'_, '_>,
    linear: &Linear,
) -> Result<QuantisedWeights, Stop> {
    let entry = call.input(1)?;
    let unsigned = b.quant(linear.input).is_some_and(|q| q.unsigned);
    let wanted = if unsigned {
        TensorType::UINT8
    } else {
        TensorType::INT8
    };
    if entry.kind != wanted {
        return unsupported_because(format!(
            "its weights are {} and its input is {}",
            entry.kind_name(),
            wanted.variant_name().unwrap_or_default()
        ));
    }
    let (scales, zero_point) = weight_scales(entry, linear, call)?;
    b.charge(entry.elements())?;
    let offset = if unsigned { 128 } else { 0 };
    // INT8 and UINT8 less 128 both fit.
    let stored: Vec<i8> = call
        .integers(1)?
        .iter()
        .map(|&w| (w - offset) as i8)
        .collect();
    Ok(QuantisedWeights {
        weights: linear.order.apply(&stored)?,
        zero_point,
        bias: bias(b, call, linear, &scales)?,
        scales,
    })
}

/// Scales of the weights, and their zero point in the int8 domain.
fn weight_scales(
    entry: &Entry<'_>,
    linear: &Linear,
    call: &Call<'_, '_>,
) -> Result<(Vec<f32>, i8), Stop> {
    let Some(scales) = &entry.scales else {
        return malformed("its weights have no scale");
    };
    let single = scales.scales.len() == 1;
    if !single && (scales.dimension != linear.channels || scales.scales.len() != linear.shape.c) {
        return malformed(format!(
            "its weights have {} scales along dimension {}",
            scales.scales.len(),
            scales.dimension
        ));
    }
    let zero_point = scales.zero_points[0];
    let unsigned = entry.kind == TensorType::UINT8;
    if unsigned && !single {
        return unsupported_because("its UINT8 weights have a scale for each channel");
    }
    let may_shift = unsigned || (single && linear.op == Op::Dense && call.op == "FULLY_CONNECTED");
    if !may_shift && scales.zero_points.iter().any(|&z| z != 0) {
        return malformed("its INT8 weights have a zero point other than 0");
    }
    let offset = if unsigned { 128 } else { 0 };
    match i8::try_from(zero_point.saturating_sub(offset)) {
        Ok(zero_point) => Ok((scales.scales.clone(), zero_point)),
        Err(_) => malformed(format!("its weights have zero point {zero_point}")),
    }
}

/// Bias in units of input scale * weight scale.
fn bias(
    b: &mut Builder,
    call: &Call<'_, '_>,
    linear: &Linear,
    scales: &[f32],
) -> Result<Vec<i32>, Stop> {
    let Some(entry) = call.optional(2) else {
        return Ok(vec![]);
    };
    if entry.kind != TensorType::INT32 {
        return unsupported_because(format!("its bias is {}, not INT32", entry.kind_name()));
    }
    b.charge(entry.elements())?;
    let values = call.integers(2)?;
    if values.len() != linear.shape.c {
        return malformed(format!(
            "{} biases for {} outputs",
            values.len(),
            linear.shape.c
        ));
    }
    check_bias_scale(b, call, linear, entry, scales)?;
    // They are INT32.
    Ok(values.iter().map(|&v| v as i32).collect())
}

/// TFLite takes the bias in units of input scale * weight scale, and refuses
/// one whose own scale is off by more than 2 % of the output's
/// (`GetQuantizedConvolutionMultipler` in `kernels/kernel_util.cc`).
fn check_bias_scale(
    b: &Builder,
    call: &Call<'_, '_>,
    linear: &Linear,
    entry: &Entry<'_>,
    scales: &[f32],
) -> Result<(), Stop> {
    let quants = (b.quant(linear.input), output_quant(call.output(0)?)?);
    let (Some(own), (Some(input), Some(output))) = (&entry.scales, quants) else {
        return Ok(());
    };
    let (&[own], &[weight]) = (&own.scales[..], scales) else {
        return Ok(());
    };
    let product = f64::from(input.scale) * f64::from(weight);
    let off = (product - f64::from(own)).abs();
    if off > 0.02 * f64::from(output.scale) {
        return malformed(format!(
            "its bias has scale {own}, input and weights have {product} together"
        ));
    }
    Ok(())
}
