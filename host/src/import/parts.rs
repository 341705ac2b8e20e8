//! Operators that take tensors apart, join them or put something around them.

use foveola_core::net::op::{Op, PadMode};
use foveola_core::{Shape, TensorId};

use super::array::Array;
use super::builder::{Builder, Parts, small, with_axis};
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::view::{View, axis_len, whole};
use crate::graph::Quant;

/// The axis behind one dimension of a view.
pub(super) fn axis(view: &View, dim: usize) -> Result<usize, Stop> {
    match view.axis_of(dim) {
        Some(axis) => Ok(axis),
        None => unsupported_because(format!(
            "dimension {dim} of {:?} is not one of height, width, channels",
            view.sizes()
        )),
    }
}

/// Concat of activations and constants.
pub(super) fn concat(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let first = call
        .inputs
        .iter()
        .position(|v| matches!(v, Some(Value::Activation(_))));
    let Some(first) = first else {
        return malformed("it has no input");
    };
    let like = b.whole_input(call, first)?;
    let Some(given) = call.int_attribute("axis")? else {
        return malformed("attribute axis is missing");
    };
    let dim = call.dimension(given, like.dims.len())?;
    if call.inputs.len() == 1 {
        return Ok(vec![Value::Activation(like)]);
    }
    let axis = axis(&like, dim)?;
    let mut pieces = vec![];
    for i in 0..call.inputs.len() {
        let view = match &call.inputs[i] {
            Some(Value::Constant(array)) => joined_constant(b, call, array, &like, (dim, axis))?,
            _ => b.whole_input(call, i)?,
        };
        check_beside(&like, &view, dim, axis)?;
        pieces.push(view);
    }
    let view = joined_like(b, call, &like, &pieces, (dim, axis))?;
    Ok(vec![Value::Activation(view)])
}

/// A constant of its own length along the joined axis.
fn joined_constant(
    b: &mut Builder,
    call: &Call,
    array: &Array,
    like: &View,
    (dim, axis): (usize, usize),
) -> Result<View, Stop> {
    let mut like = like.clone();
    let Some(&length) = array.dims.get(dim) else {
        return malformed(format!("a constant of {:?} does not fit", array.dims));
    };
    like.dims[dim] = whole(axis, length);
    if array.dims != like.sizes() {
        return malformed(format!(
            "a constant of {:?} does not fit {:?}",
            array.dims,
            like.sizes()
        ));
    }
    b.constant_operand(call, array, &like)
}

/// Two values that differ along one axis only.
pub(super) fn check_beside(like: &View, view: &View, dim: usize, axis: usize) -> Result<(), Stop> {
    let (a, b) = (like.sizes(), view.sizes());
    let differ = a.len() != b.len() || (0..a.len()).any(|d| d != dim && a[d] != b[d]);
    if differ {
        return malformed(format!(
            "{b:?} cannot be joined to {a:?} along dimension {dim}"
        ));
    }
    let others_match = (0..a.len()).all(|d| d == dim || like.dims[d] == view.dims[d]);
    if !others_match || !matches!(view.dims[dim][..], [] | [_]) || view.axis_of(dim) != Some(axis) {
        return unsupported_because("its inputs lie along different axes");
    }
    Ok(())
}

/// A strided part of one dimension.
struct Cut {
    dim: usize,
    start: usize,
    step: usize,
    len: usize,
}

/// Slices dimensions; those that stay whole cost nothing.
fn cut(b: &mut Builder, call: &Call, name: &str, view: &View, cuts: &[Cut]) -> Result<View, Stop> {
    let sizes = view.sizes();
    let mut shape = b.shape(view);
    let mut start = [0; 3];
    let mut step = [1; 3];
    let mut result = view.clone();
    let mut changed = false;
    for cut in cuts
        .iter()
        .filter(|c| c.len != sizes[c.dim] || c.start != 0)
    {
        let axis = axis(view, cut.dim)?;
        if cut.len == 0 {
            return unsupported_because("nothing is left of its input");
        }
        start[axis] = small(cut.start as i64, "start")?;
        // The distance to a second element that is not there does not matter.
        step[axis] = small(if cut.len == 1 { 1 } else { cut.step as i64 }, "step")?;
        shape = with_axis(shape, axis, cut.len);
        result.dims[cut.dim] = whole(axis, cut.len);
        changed = true;
    }
    if changed {
        let parts = Parts::plain(Op::Slice { start, step }, &[view.tensor], shape);
        result.tensor = b.emit_as(call, name, parts)?;
    }
    Ok(result)
}

/// Split along one dimension.
pub(super) fn split(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let dim = call.dimension(call.int_attribute("axis")?.unwrap_or(0), sizes.len())?;
    let lengths = split_lengths(call, sizes[dim])?;
    let mut start = 0;
    let mut values = vec![];
    for (name, len) in call.node.output.iter().zip(lengths) {
        let part = Cut {
            dim,
            start,
            step: 1,
            len,
        };
        start += len;
        values.push(match name.as_str() {
            "" => Value::Unknown,
            name => Value::Activation(cut(b, call, name, &view, &[part])?),
        });
    }
    Ok(values)
}

fn split_lengths(call: &Call, size: usize) -> Result<Vec<usize>, Stop> {
    let count = call.node.output.len();
    if let Some(given) = call.ints_either("split", 1)? {
        let lengths: Option<Vec<usize>> = given
            .iter()
            .map(|&n| usize::try_from(n).ok().filter(|&n| n <= size))
            .collect();
        return match lengths {
            Some(l) if l.len() == count && l.iter().sum::<usize>() == size => Ok(l),
            _ => malformed(format!(
                "parts {given:?} do not make up {size} in {count} outputs"
            )),
        };
    }
    if call
        .int_attribute("num_outputs")?
        .is_some_and(|n| n != count as i64)
    {
        return malformed("num_outputs contradicts its outputs");
    }
    let len = size.div_ceil(count.max(1));
    let last = size.checked_sub(len * count.saturating_sub(1));
    match last {
        Some(last) if last > 0 && (last == len || call.opset >= 18) => {
            let mut lengths = vec![len; count];
            if let Some(end) = lengths.last_mut() {
                *end = last;
            }
            Ok(lengths)
        }
        _ => malformed(format!("{size} does not split into {count} parts")),
    }
}

/// Starts, ends, axes and steps of a Slice: attributes before opset 10, inputs since.
struct Bounds {
    starts: Vec<i64>,
    ends: Vec<i64>,
    axes: Vec<i64>,
    steps: Vec<i64>,
}

fn bounds(call: &Call) -> Result<Bounds, Stop> {
    let get = |key: &str, i: usize| -> Result<Option<Vec<i64>>, Stop> {
        if call.opset < 10 {
            return Ok(call.ints_attribute(key)?.map(<[i64]>::to_vec));
        }
        call.has_input(i).then(|| call.ints(i)).transpose()
    };
    let (Some(starts), Some(ends)) = (get("starts", 1)?, get("ends", 2)?) else {
        return malformed("starts or ends are missing");
    };
    let axes = get("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.opset < 10 {
        None
    } else {
        get("steps", 4)?
    };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()]
        .iter()
        .any(|&n| n != starts.len())
    {
        return malformed("starts, ends, axes and steps differ in length");
    }
    Ok(Bounds {
        starts,
        ends,
        axes,
        steps,
    })
}

/// First index, count and step along each dimension that a Slice names.
pub(super) fn slice_ranges(
    call: &Call,
    sizes: &[usize],
) -> Result<Vec<(usize, usize, usize, usize)>, Stop> {
    let bounds = bounds(call)?;
    let dims = call.dimensions(&bounds.axes, sizes.len())?;
    let mut ranges = vec![];
    for (i, &dim) in dims.iter().enumerate() {
        let size = sizes[dim] as i64;
        let clamp = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
        let (start, end) = (clamp(bounds.starts[i]), clamp(bounds.ends[i]));
        let step = bounds.steps[i];
        if step == 0 {
            return malformed("a step is 0");
        }
        if step < 0 {
            return unsupported_because("it runs backwards");
        }
        let len = ((end - start).max(0) as u64).div_ceil(step as u64);
        ranges.push((dim, start as usize, len as usize, step as usize));
    }
    Ok(ranges)
}

/// Slice of an activation.
pub(super) fn slice(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let cuts: Vec<Cut> = slice_ranges(call, &view.sizes())?
        .into_iter()
        .map(|(dim, start, len, step)| Cut {
            dim,
            start,
            step,
            len,
        })
        .collect();
    let view = cut(b, call, call.output(), &view, &cuts)?;
    Ok(vec![Value::Activation(view)])
}

/// Gather with constant indices: runs of neighbours, joined.
pub(super) fn gather(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let sizes = view.sizes();
    let dim = call.dimension(call.int_attribute("axis")?.unwrap_or(0), sizes.len())?;
    let runs = index_runs(&call.ints(1)?, sizes[dim])?;
    let scalar = call.constant(1)?.dims.is_empty();
    if !scalar && call.constant(1)?.dims.len() != 1 {
        return unsupported_because("its indices are no list");
    }
    let mut pieces = vec![];
    for (i, &(start, len)) in runs.iter().enumerate() {
        let part = Cut {
            dim,
            start,
            step: 1,
            len,
        };
        let name = match runs.len() {
            1 => call.output().to_owned(),
            _ => format!("{}/{i}", call.output()),
        };
        pieces.push(cut(b, call, &name, &view, &[part])?);
    }
    let mut result = joined(b, call, &pieces, dim)?;
    if scalar {
        result.dims.remove(dim);
    }
    Ok(vec![Value::Activation(result)])
}

/// First index and length of each run of indices that follow each other.
fn index_runs(indices: &[i64], size: usize) -> Result<Vec<(usize, usize)>, Stop> {
    let mut runs: Vec<(usize, usize)> = vec![];
    for &given in indices {
        let from_end = if given < 0 { size as i64 } else { 0 };
        let index = match given.checked_add(from_end).map(usize::try_from) {
            Some(Ok(i)) if i < size => i,
            _ => return malformed(format!("index {given} lies outside {size}")),
        };
        match runs.last_mut() {
            Some((start, len)) if *start + *len == index => *len += 1,
            _ => runs.push((index, 1)),
        }
    }
    if runs.is_empty() {
        return unsupported_because("nothing is left of its input");
    }
    Ok(runs)
}

/// Parts of one view, one after the other.
fn joined(b: &mut Builder, call: &Call, pieces: &[View], dim: usize) -> Result<View, Stop> {
    let [first, _, ..] = pieces else {
        return Ok(pieces[0].clone());
    };
    let axis = axis(first, dim)?;
    joined_like(b, call, first, pieces, (dim, axis))
}

/// The same, arranged like a view that need not be the first part.
fn joined_like(
    b: &mut Builder,
    call: &Call,
    like: &View,
    pieces: &[View],
    (dim, axis): (usize, usize),
) -> Result<View, Stop> {
    let total = pieces.iter().map(|p| axis_len(b.shape(p), axis)).sum();
    let inputs: Vec<TensorId> = pieces.iter().map(|p| p.tensor).collect();
    let shape = with_axis(b.shape(like), axis, total);
    let op = Op::Concat { axis: axis as u8 };
    let mut view = like.over(b.emit(call, Parts::plain(op, &inputs, shape))?);
    view.dims[dim] = whole(axis, total);
    Ok(view)
}

/// Pad: constant, edge or reflect, on any of the three axes.
pub(super) fn pad(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let rank = view.dims.len();
    let amounts = pad_amounts(call, rank)?;
    let mode = stored_mode(pad_mode(call)?, b.quant(view.tensor));
    let mut before = [0; 3];
    let shape = b.shape(&view);
    let mut padded = shape;
    let mut result = view.clone();
    for (dim, &(front, back)) in amounts.iter().enumerate() {
        if front < 0 || back < 0 {
            return unsupported_because("a negative pad crops its input; use Slice");
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
        padded = with_axis(padded, axis, len);
        result.dims[dim] = whole(axis, len);
    }
    if padded != shape {
        result.tensor = emit_pad(b, call, view.tensor, Op::Pad { before, mode }, padded)?;
    }
    Ok(vec![Value::Activation(result)])
}

fn emit_pad(
    b: &mut Builder,
    call: &Call,
    input: TensorId,
    op: Op,
    shape: Shape,
) -> Result<TensorId, Stop> {
    b.emit(call, Parts::plain(op, &[input], shape))
}

/// Elements before and after each dimension.
fn pad_amounts(call: &Call, rank: usize) -> Result<Vec<(i64, i64)>, Stop> {
    let pads = if call.opset < 11 {
        call.ints_attribute("pads")?.map(<[i64]>::to_vec)
    } else {
        call.has_input(1).then(|| call.ints(1)).transpose()?
    };
    let Some(pads) = pads else {
        return malformed("pads are missing");
    };
    let dims = if call.has_input(3) {
        call.dimensions(&call.ints(3)?, rank)?
    } else {
        (0..rank).collect()
    };
    if pads.len() != 2 * dims.len() {
        return malformed(format!("{} pads for {} dimensions", pads.len(), dims.len()));
    }
    let mut amounts = vec![(0, 0); rank];
    for (i, &dim) in dims.iter().enumerate() {
        amounts[dim] = (pads[i], pads[i + dims.len()]);
    }
    Ok(amounts)
}

/// The constant around stored integers is one of them; a node names the real number.
fn stored_mode(mode: PadMode, quant: Option<Quant>) -> PadMode {
    match (mode, quant) {
        (PadMode::Constant(stored), Some(q)) => {
            let least = if q.unsigned { -128.0 } else { 0.0 };
            PadMode::Constant((stored + least - f32::from(q.zero_point)) * q.scale)
        }
        _ => mode,
    }
}

fn pad_mode(call: &Call) -> Result<PadMode, Stop> {
    match call.text_attribute("mode")?.as_deref() {
        None | Some("constant") => {}
        Some("edge") => return Ok(PadMode::Edge),
        Some("reflect") => return Ok(PadMode::Reflect),
        Some(mode) => return unsupported_because(format!("mode {mode}")),
    }
    let value = if call.opset < 11 {
        call.float_attribute("value")?
    } else {
        call.optional_scalar(2)?
    };
    let value = value.unwrap_or(0.0);
    if value.is_nan() {
        return malformed("it pads with NaN");
    }
    // Below everything finite stays below everything finite.
    Ok(PadMode::Constant(value.clamp(f32::MIN, f32::MAX)))
}
