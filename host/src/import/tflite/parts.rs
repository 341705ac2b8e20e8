//! Operators that take tensors apart, join them or put something around them.

use foveola_core::TensorId;
use foveola_core::net::op::{Op, PadMode};
use tract_tflite::tflite::{BuiltinOperator, MirrorPadMode};

use super::super::builder::{small, with_axis};
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::parts::{axis, check_beside};
use super::super::view::{View, axis_len, whole};
use super::builder::{Builder, Parts, output_quant};
use super::call::{Call, Value, fused};

/// CONCATENATION of activations and constants.
pub(super) fn concatenation(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_concatenation_options())?;
    let activation = fused(options.fused_activation_function())?;
    let Some(first) = (0..call.inputs.len()).find(|&i| call.is_activation(i)) else {
        return malformed("it has no input");
    };
    let like = b.whole_input(call, first)?;
    let dim = call.dimension(options.axis().into(), like.dims.len())?;
    let axis = axis(&like, dim)?;
    let mut inputs: Vec<TensorId> = vec![];
    let mut total = 0;
    for i in 0..call.inputs.len() {
        let view = match call.is_activation(i) {
            true => b.whole_input(call, i)?,
            false => joined_constant(b, call, i, &like, (dim, axis))?,
        };
        check_beside(&like, &view, dim, axis)?;
        // TFLite rescales uint8 inputs, and refuses int8 ones that would need it.
        if output_quant(call.output(0)?)?.is_some_and(|q| !q.unsigned) {
            b.same_scale(view.tensor, call.output(0)?)?;
        }
        total += axis_len(b.shape(&view), axis);
        inputs.push(view.tensor);
    }
    let shape = with_axis(b.shape(&like), axis, total);
    let op = Op::Concat { axis: axis as u8 };
    let mut view = like.over(b.emit(call, 0, Parts::plain(op, &inputs, shape).with(activation))?);
    view.dims[dim] = whole(axis, total);
    Ok(vec![Value::Activation(view)])
}

/// A constant of its own length along the joined axis.
fn joined_constant(
    b: &mut Builder,
    call: &Call<'_, '_>,
    i: usize,
    like: &View,
    (dim, axis): (usize, usize),
) -> Result<View, Stop> {
    let dims = &call.input(i)?.dims;
    let mut like = like.clone();
    if let Some(&length) = dims.get(dim) {
        like.dims[dim] = whole(axis, length);
    }
    if *dims != like.sizes() {
        return malformed(format!(
            "a constant of {dims:?} does not fit {:?}",
            like.sizes()
        ));
    }
    b.constant_operand(call, i, &like)
}

/// PAD, PADV2 and MIRROR_PAD on any of the three axes.
pub(super) fn pad(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let mode = pad_mode(b, call)?;
    let view = b.whole_input(call, 0)?;
    let amounts = call.integers(1)?;
    if call.input(1)?.dims != [view.dims.len(), 2] {
        return malformed(format!(
            "{} pads for {} dimensions",
            amounts.len(),
            view.dims.len()
        ));
    }
    let mut before = [0; 3];
    let mut shape = b.shape(&view);
    let mut result = view.clone();
    for (dim, amount) in amounts.chunks_exact(2).enumerate() {
        let (front, back) = (amount[0], amount[1]);
        if front < 0 || back < 0 {
            return malformed(format!("its pads are {front} and {back}"));
        }
        if front == 0 && back == 0 {
            continue;
        }
        let axis = axis(&view, dim)?;
        let size = axis_len(shape, axis);
        if mode == PadMode::Reflect && front.max(back) >= size as i64 {
            return malformed("it reflects more elements than there are");
        }
        before[axis] = small(front, "pad")?;
        let len = size + usize::from(before[axis]) + usize::from(small(back, "pad")?);
        shape = with_axis(shape, axis, len);
        result.dims[dim] = whole(axis, len);
    }
    b.same_scale(view.tensor, call.output(0)?)?;
    let op = Op::Pad { before, mode };
    result.tensor = b.emit(call, 0, Parts::plain(op, &[view.tensor], shape))?;
    Ok(vec![Value::Activation(result)])
}

fn pad_mode(b: &mut Builder, call: &Call<'_, '_>) -> Result<PadMode, Stop> {
    if call.code == BuiltinOperator::MIRROR_PAD {
        let options = call.options(call.operator.builtin_options_as_mirror_pad_options())?;
        return match options.mode() {
            MirrorPadMode::REFLECT => Ok(PadMode::Reflect),
            _ => unsupported_because("it repeats the border (SYMMETRIC)"),
        };
    }
    if call.code == BuiltinOperator::PAD || call.optional(2).is_none() {
        return Ok(PadMode::Constant(0.0));
    }
    match b.reals(call, 2)?[..] {
        // Below everything finite stays below everything finite.
        [value] if !value.is_nan() => Ok(PadMode::Constant(value.clamp(f32::MIN, f32::MAX))),
        _ => malformed("its padding is not a single number"),
    }
}

/// A strided part of one dimension.
struct Cut {
    start: usize,
    step: usize,
    len: usize,
}

/// Takes a part of every dimension for output `i`.
fn cut(
    b: &mut Builder,
    call: &Call<'_, '_>,
    i: usize,
    view: &View,
    cuts: &[Cut],
) -> Result<View, Stop> {
    let mut shape = b.shape(view);
    let mut start = [0; 3];
    let mut step = [1; 3];
    let mut result = view.clone();
    for (dim, (cut, size)) in cuts.iter().zip(view.sizes()).enumerate() {
        if cut.len == 0 {
            return unsupported_because("nothing is left of its input");
        }
        let end = cut.start + (cut.len - 1) * cut.step;
        if end >= size {
            return malformed(format!("it reads up to index {end} of {size}"));
        }
        if cut.len == size {
            continue;
        }
        let axis = axis(view, dim)?;
        start[axis] = small(cut.start as i64, "start")?;
        // The distance to a second element that is not there does not matter.
        step[axis] = small(if cut.len == 1 { 1 } else { cut.step as i64 }, "step")?;
        shape = with_axis(shape, axis, cut.len);
        result.dims[dim] = whole(axis, cut.len);
    }
    b.same_scale(view.tensor, call.output(i)?)?;
    let parts = Parts::plain(Op::Slice { start, step }, &[view.tensor], shape);
    result.tensor = b.emit(call, i, parts)?;
    Ok(result)
}

/// SPLIT (axis, input) into equal parts.
pub(super) fn split(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 1)?;
    let count = call.outputs.len();
    let size = match call.integers(0)?[..] {
        [given] => view.sizes()[call.dimension(given, view.dims.len())?],
        _ => return malformed("its axis is not a single number"),
    };
    if count == 0 || !size.is_multiple_of(count) {
        return malformed(format!("{size} does not split into {count} equal parts"));
    }
    let lengths = vec![(size / count) as i64; count];
    pieces(b, call, &view, call.integers(0)?[0], &lengths)
}

/// SPLIT_V (input, lengths, axis); one length may be -1, the rest.
pub(super) fn split_v(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let mut lengths = call.integers(1)?;
    let [given] = call.integers(2)?[..] else {
        return malformed("its axis is not a single number");
    };
    let size = view.sizes()[call.dimension(given, view.dims.len())?] as i64;
    let known: i64 = lengths
        .iter()
        .filter(|&&l| l > 0)
        .fold(0, |n, &l| n.saturating_add(l));
    if let Some(open) = lengths.iter_mut().find(|l| **l == -1) {
        *open = size.saturating_sub(known);
    }
    pieces(b, call, &view, given, &lengths)
}

fn pieces(
    b: &mut Builder,
    call: &Call<'_, '_>,
    view: &View,
    given: i64,
    lengths: &[i64],
) -> Result<Vec<Value>, Stop> {
    let sizes = view.sizes();
    let dim = call.dimension(given, sizes.len())?;
    let sum = lengths.iter().try_fold(0i64, |n, &l| n.checked_add(l));
    let fits = sum == Some(sizes[dim] as i64) && lengths.iter().all(|&l| l > 0);
    if !fits || lengths.len() != call.outputs.len() {
        return malformed(format!(
            "parts {lengths:?} do not make up {} in {} outputs",
            sizes[dim],
            call.outputs.len()
        ));
    }
    let mut start = 0;
    let mut values = vec![];
    for (i, &len) in lengths.iter().enumerate() {
        let mut cuts: Vec<Cut> = sizes
            .iter()
            .map(|&len| Cut {
                start: 0,
                step: 1,
                len,
            })
            .collect();
        let len = len as usize;
        cuts[dim] = Cut {
            start,
            step: 1,
            len,
        };
        start += len;
        values.push(Value::Activation(cut(b, call, i, view, &cuts)?));
    }
    Ok(values)
}

/// SLICE (input, first index, length; -1 is the rest).
pub(super) fn slice(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let (begin, lengths) = (call.integers(1)?, call.integers(2)?);
    if begin.len() != sizes.len() || lengths.len() != sizes.len() {
        return malformed(format!("its bounds do not fit {} dimensions", sizes.len()));
    }
    let mut cuts = vec![];
    for ((&begin, &len), &size) in begin.iter().zip(&lengths).zip(&sizes) {
        let size = size as i64;
        let len = if len == -1 {
            size.saturating_sub(begin)
        } else {
            len
        };
        if begin < 0 || len < 0 || begin.saturating_add(len) > size {
            return malformed(format!(
                "it takes {len} elements from {begin} on, of {size}"
            ));
        }
        cuts.push(Cut {
            start: begin as usize,
            step: 1,
            len: len as usize,
        });
    }
    let view = cut(b, call, 0, &view, &cuts)?;
    Ok(vec![Value::Activation(view)])
}

/// STRIDED_SLICE (input, begin, end, steps) with TensorFlow's masks.
pub(super) fn strided_slice(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let options = call.options(call.operator.builtin_options_as_strided_slice_options())?;
    if options.ellipsis_mask() != 0 || options.new_axis_mask() != 0 {
        return unsupported_because("its masks add dimensions");
    }
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let [begin, end, steps] = [call.integers(1)?, call.integers(2)?, call.integers(3)?];
    if [&begin, &end, &steps]
        .iter()
        .any(|v| v.len() != sizes.len())
    {
        return malformed(format!("its bounds do not fit {} dimensions", sizes.len()));
    }
    let marked = |mask: i32, d: usize| mask >> d & 1 == 1;
    let mut cuts = vec![];
    for (d, &size) in sizes.iter().enumerate() {
        let shrink = marked(options.shrink_axis_mask(), d);
        let begin = (!marked(options.begin_mask(), d)).then_some(begin[d]);
        let end = (!marked(options.end_mask(), d)).then_some(end[d]);
        cuts.push(strided(size, begin, end, steps[d], shrink)?);
    }
    let mut view = cut(b, call, 0, &view, &cuts)?;
    let mut d = 0;
    view.dims.retain(|_| {
        d += 1;
        !marked(options.shrink_axis_mask(), d - 1)
    });
    Ok(vec![Value::Activation(view)])
}

/// One dimension of a STRIDED_SLICE; bounds that are left out are the whole.
fn strided(
    size: usize,
    begin: Option<i64>,
    end: Option<i64>,
    step: i64,
    shrink: bool,
) -> Result<Cut, Stop> {
    let size = size as i64;
    if step < 1 {
        return unsupported_because(format!("its step is {step}"));
    }
    let clamp = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
    let start = begin.map_or(0, clamp);
    let end = match shrink {
        true => start + 1,
        false => end.map_or(size, clamp),
    };
    let len = ((end - start).max(0) as u64).div_ceil(step as u64);
    Ok(Cut {
        start: start as usize,
        // A step past the end reads nothing more.
        step: step.min(size.max(1)) as usize,
        len: len as usize,
    })
}
