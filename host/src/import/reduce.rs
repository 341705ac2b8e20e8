//! Pools, means, normalisations: operators that look at several elements at once.

use foveola_core::Shape;
use foveola_core::net::op::{Arithmetic, Op};

use super::array::{Array, Data};
use super::builder::{Builder, Parts, finite, small, with_axis};
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::view::{C, H, View, W, axis_len};
use super::window::{kernel_shape, window};

/// MaxPool and AveragePool.
pub(super) fn pool(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (input, shape) = b.picture_input(call, 0)?;
    let Some(kernel) = kernel_shape(call)? else {
        return malformed("attribute kernel_shape is missing");
    };
    let size = [shape.h, shape.w];
    let window = window(call, kernel, size, call.flag("ceil_mode")?)?;
    let count_padding = call.flag("count_include_pad")?;
    let op = if call.op() == "MaxPool" {
        Op::MaxPool(window.geometry)
    } else {
        Op::AveragePool {
            geometry: window.geometry,
            count_padding,
            pad_end: window.pad_end,
        }
    };
    if call.op() == "MaxPool" || !count_padding {
        window.no_empty_window(size)?;
    }
    let [h, w] = window.output;
    let out = Shape::new(h, w, shape.c);
    let tensor = b.emit(call, Parts::plain(op, &[input], out))?;
    Ok(vec![Value::Activation(View::nchw(tensor, out))])
}

/// GlobalAveragePool and GlobalMaxPool.
pub(super) fn global_pool(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (input, shape) = b.picture_input(call, 0)?;
    let op = if call.op() == "GlobalMaxPool" {
        Op::GlobalMaxPool
    } else {
        let axes = [true, true, false];
        Op::Mean { axes }
    };
    let out = Shape::new(1, 1, shape.c);
    let tensor = b.emit(call, Parts::plain(op, &[input], out))?;
    Ok(vec![Value::Activation(View::nchw(tensor, out))])
}

/// ReduceMean over any axes, ReduceMax over height and width.
pub(super) fn reduce(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let rank = view.dims.len();
    let axes = call.ints_either("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.flag("noop_with_empty_axes")? {
        return Ok(vec![Value::Activation(view)]);
    }
    let dims = if axes.is_empty() {
        (0..rank).collect()
    } else {
        call.dimensions(&axes, rank)?
    };
    let mut over = [false; 3];
    for factor in dims.iter().flat_map(|&d| &view.dims[d]) {
        over[factor.axis] = true;
    }
    let mut result = view.clone();
    if over.contains(&true) {
        let shape = b.shape(&view);
        let out = (0..3)
            .filter(|&a| over[a])
            .fold(shape, |s, a| with_axis(s, a, 1));
        let op = reduction(call, over, shape)?;
        result.tensor = b.emit(call, Parts::plain(op, &[view.tensor], out))?;
    }
    let keep = call.int_attribute("keepdims")?.unwrap_or(1) != 0;
    result.dims = (0..rank)
        .filter(|d| keep || !dims.contains(d))
        .map(|d| {
            if dims.contains(&d) {
                vec![]
            } else {
                view.dims[d].clone()
            }
        })
        .collect();
    Ok(vec![Value::Activation(result)])
}

fn reduction(call: &Call, over: [bool; 3], shape: Shape) -> Result<Op, Stop> {
    if call.op() == "ReduceMean" {
        return Ok(Op::Mean { axes: over });
    }
    let spatial = [H, W].iter().all(|&a| over[a] || axis_len(shape, a) == 1);
    if over[C] || !spatial {
        return unsupported_because("a maximum works over height and width together only");
    }
    Ok(Op::GlobalMaxPool)
}

/// Softmax over the channels. Before opset 13 it covers `axis` and all after it.
pub(super) fn softmax(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let rank = view.dims.len();
    let default = if call.opset < 13 { 1 } else { -1 };
    let from = call.dimension(call.int_attribute("axis")?.unwrap_or(default), rank)?;
    let to = if call.opset < 13 { rank } else { from + 1 };
    let covered: Vec<usize> = view.dims[from..to]
        .iter()
        .flatten()
        .map(|f| f.axis)
        .collect();
    if covered != [C] {
        return unsupported_because(format!(
            "it runs over dimension {from} of {:?}, which is not the channels",
            view.sizes()
        ));
    }
    let tensor = b.emit(
        call,
        Parts::plain(Op::Softmax, &[view.tensor], b.shape(&view)),
    )?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// LRN across channels.
pub(super) fn lrn(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (input, shape) = b.picture_input(call, 0)?;
    let Some(size) = call.int_attribute("size")? else {
        return malformed("attribute size is missing");
    };
    let [alpha, beta, bias] = [
        call.float_attribute("alpha")?.unwrap_or(0.0001),
        call.float_attribute("beta")?.unwrap_or(0.75),
        call.float_attribute("bias")?.unwrap_or(1.0),
    ];
    finite(&[alpha, beta, bias], "attributes")?;
    let size = small(size, "size")?;
    if size == 0 {
        return malformed("size is 0");
    }
    let op = Op::Lrn {
        size,
        alpha,
        beta,
        bias,
    };
    let tensor = b.emit(call, Parts::plain(op, &[input], shape))?;
    Ok(vec![Value::Activation(View::nchw(tensor, shape))])
}

/// BatchNormalization at inference, computed in f64 and rounded once.
pub(super) fn batch_normalization(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    if view.dims.len() < 2 {
        return malformed("its input has no channels");
    }
    if call.flag("training_mode")? {
        return unsupported_because("it is in training mode; export the model for inference");
    }
    if call.opset < 9 && call.int_attribute("spatial")? == Some(0) {
        return unsupported_because("spatial = 0 normalises every element on its own");
    }
    let epsilon = f64::from(call.float_attribute("epsilon")?.unwrap_or(1e-5));
    let [gamma, beta, mean, var] = [
        call.floats(1)?,
        call.floats(2)?,
        call.floats(3)?,
        call.floats(4)?,
    ];
    let channels = view.sizes()[1];
    if [&gamma, &beta, &mean, &var]
        .iter()
        .any(|v| v.len() != channels)
    {
        return malformed(format!("its parameters do not fit {channels} channels"));
    }
    let (mut scale, mut shift) = (vec![], vec![]);
    for i in 0..channels {
        let s = f64::from(gamma[i]) / (f64::from(var[i]) + epsilon).sqrt();
        scale.push(s as f32);
        shift.push((f64::from(beta[i]) - f64::from(mean[i]) * s) as f32);
    }
    affine(b, call, &view, scale, shift)
}

/// ImageScaler: x * scale + bias\[channel\].
pub(super) fn image_scaler(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (_, shape) = b.picture_input(call, 0)?;
    let scale = call.float_attribute("scale")?.unwrap_or(1.0);
    let bias = call.floats_attribute("bias")?.unwrap_or(&[]);
    let bias = if bias.is_empty() {
        vec![0.0; shape.c]
    } else {
        bias.to_vec()
    };
    if bias.len() != shape.c {
        return malformed(format!("{} biases for {} channels", bias.len(), shape.c));
    }
    let view = b.whole_input(call, 0)?;
    if scale == 1.0 && bias.iter().all(|&v| v == 0.0) {
        return Ok(vec![Value::Activation(view)]);
    }
    affine(b, call, &view, vec![scale; shape.c], bias)
}

/// x * scale + shift for each index of dimension 1.
fn affine(
    b: &mut Builder,
    call: &Call,
    view: &View,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<Vec<Value>, Stop> {
    let shape = b.shape(view);
    let channels = matches!(view.dims[1][..], [f] if f.axis == C);
    if channels || (scale.len() == 1 && shape.c == 1) {
        let parts = Parts {
            weights: scale,
            bias: shift,
            ..Parts::plain(Op::Affine, &[view.tensor], shape)
        };
        let tensor = b.emit(call, parts)?;
        return Ok(vec![Value::Activation(view.over(tensor))]);
    }
    // A flattened picture: every element has its own factor.
    let mut view = view.clone();
    let mut dims = vec![1; view.dims.len() - 1];
    dims[0] = scale.len();
    for (operation, values) in [(Arithmetic::Mul, scale), (Arithmetic::Add, shift)] {
        let data = Data::Float(values);
        let constant = b.constant_operand(call, &Array::new(dims.clone(), data), &view)?;
        let inputs = [view.tensor, constant.tensor];
        let tensor = b.emit(call, Parts::plain(Op::Binary(operation), &inputs, shape))?;
        view = view.over(tensor);
    }
    Ok(vec![Value::Activation(view)])
}
