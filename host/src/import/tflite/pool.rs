//! Pools, reductions and softmax.

use foveola_core::Shape;
use foveola_core::net::op::Op;
use tract_tflite::tflite::BuiltinOperator;

use super::super::builder::with_axis;
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::parts::axis;
use super::super::view::{C, View};
use super::builder::{Builder, Parts, nhwc};
use super::call::{Call, Value, fused};
use super::elementwise::fixed_output;
use super::window::{Steps, window};

/// AVERAGE_POOL_2D (padding does not count) and MAX_POOL_2D.
pub(super) fn pool(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_pool_2_doptions())?;
    let (input, shape) = b.picture_input(call, 0)?;
    let mut kernel = [0; 2];
    let sides = [options.filter_height(), options.filter_width()];
    for (side, given) in kernel.iter_mut().zip(sides) {
        match usize::try_from(given) {
            Ok(n) if n > 0 => *side = n,
            _ => return malformed(format!("its window is {sides:?}")),
        }
    }
    let steps = Steps {
        padding: options.padding(),
        stride: [options.stride_h(), options.stride_w()],
        dilation: [1, 1],
    };
    let window = window([shape.h, shape.w], kernel, &steps)?;
    let op = match call.code {
        BuiltinOperator::MAX_POOL_2D => Op::MaxPool(window.geometry),
        _ => Op::AveragePool {
            geometry: window.geometry,
            count_padding: false,
            pad_end: window.pad_end,
        },
    };
    b.same_scale(input, call.output(0)?)?;
    let shape = Shape::new(window.output[0], window.output[1], shape.c);
    let activation = fused(options.fused_activation_function())?;
    let parts = Parts::plain(op, &[input], shape).with(activation);
    let tensor = b.emit(call, 0, parts)?;
    Ok(vec![Value::Activation(nhwc(tensor, shape))])
}

/// MEAN and REDUCE_MAX over constant axes.
pub(super) fn reduce(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let keep = call
        .options(call.operator.builtin_options_as_reducer_options())?
        .keep_dims();
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let mut dims = vec![];
    for given in call.integers(1)? {
        let dim = call.dimension(given, sizes.len())?;
        if !dims.contains(&dim) {
            dims.push(dim);
        }
    }
    let mut axes = [false; 3];
    let mut shape = b.shape(&view);
    for &dim in dims.iter().filter(|&&d| sizes[d] > 1) {
        for factor in &view.dims[dim] {
            axes[factor.axis] = true;
            shape = with_axis(shape, factor.axis, 1);
        }
    }
    let op = match call.code {
        BuiltinOperator::MEAN => Op::Mean { axes },
        _ if axes[C] || shape.area() > 1 => {
            return unsupported_because("its maximum is not taken over height and width");
        }
        _ => {
            b.same_scale(view.tensor, call.output(0)?)?;
            Op::GlobalMaxPool
        }
    };
    let tensor = b.emit(call, 0, Parts::plain(op, &[view.tensor], shape))?;
    let reduced = view.dims.iter().enumerate();
    let left = reduced.filter_map(|(d, dim)| match dims.contains(&d) {
        true => keep.then(Vec::new),
        false => Some(dim.clone()),
    });
    Ok(vec![Value::Activation(View {
        tensor,
        dims: left.collect(),
    })])
}

/// SOFTMAX over the last dimension, which must be the channels.
pub(super) fn softmax(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let beta = call
        .options(call.operator.builtin_options_as_softmax_options())?
        .beta();
    if beta != 1.0 {
        return unsupported_because(format!("its beta is {beta}, not 1"));
    }
    let view = b.whole_input(call, 0)?;
    let last = view.dims.len().wrapping_sub(1);
    if view.dims.is_empty() || axis(&view, last)? != C {
        return unsupported_because("its last dimension is not the channels");
    }
    fixed_output(call, 1.0 / 256.0, -128)?;
    let parts = Parts::plain(Op::Softmax, &[view.tensor], b.shape(&view));
    let tensor = b.emit(call, 0, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}
