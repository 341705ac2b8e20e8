//! Operators that only rename: they change how a value is viewed, not the
//! value. Reshape arithmetic serves constants and activations alike.

use foveola_core::{Shape, TensorId};

use super::array::{Data, element_count};
use super::builder::Builder;
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::view::{C, Factor, H, View, W, whole};
use crate::graph::dropped_by;

/// Identity, and Cast between float types.
pub(super) fn identity(call: &Call) -> Result<Vec<Value>, Stop> {
    Ok(vec![Value::Activation(call.activation(0)?.clone())])
}

/// Cast: to floats only.
pub(super) fn cast(call: &Call) -> Result<Vec<Value>, Stop> {
    match call.int_attribute("to")? {
        // FLOAT, FLOAT16, DOUBLE, BFLOAT16
        Some(1 | 10 | 11 | 16) => identity(call),
        Some(to) => unsupported_because(format!("it casts to type {to}, which is no float")),
        None => malformed("attribute to is missing"),
    }
}

/// Dropout vanishes; the node before it keeps the share that it drops. Two in
/// a row are one that keeps what both keep.
pub(super) fn dropout(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    /// ONNX's default.
    const RATIO: f32 = 0.5;
    let view = call.activation(0)?;
    let ratio = match call.float_attribute("ratio")? {
        Some(ratio) => Some(ratio),
        None => call.optional_scalar(1)?,
    };
    let ratio = ratio.unwrap_or(RATIO);
    let drops = ratio > 0.0 && ratio < 1.0;
    let node = b.nodes.iter_mut().rev().find(|n| n.output == view.tensor);
    if let Some(node) = node.filter(|_| drops) {
        node.dropout = dropped_by(node.dropout, Some(ratio));
    }
    identity(call)
}

/// Shape of an activation: known, as the batch is 1.
pub(super) fn shape_of(call: &Call, sizes: &[usize]) -> Result<Data, Stop> {
    let rank = sizes.len() as i64;
    let bound = |key: &str, default: i64| -> Result<usize, Stop> {
        let at = call.int_attribute(key)?.unwrap_or(default);
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        Ok(at.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let part = sizes.get(start..end).unwrap_or(&[]);
    Ok(Data::Int(part.iter().map(|&n| n as i64).collect()))
}

/// The dimensions that Reshape, Flatten, Squeeze or Unsqueeze gives to a value of `sizes`.
pub(super) fn new_sizes(call: &Call, sizes: &[usize]) -> Result<Vec<usize>, Stop> {
    match call.op() {
        "Reshape" => reshaped(call, sizes),
        "Flatten" => flattened(call, sizes),
        "Squeeze" => squeezed(call, sizes),
        _ => unsqueezed(call, sizes),
    }
}

fn reshaped(call: &Call, sizes: &[usize]) -> Result<Vec<usize>, Stop> {
    let wanted = call.ints(1)?;
    let zero_stays = call.flag("allowzero")?;
    let mut new = vec![];
    let mut open = None;
    for (i, &n) in wanted.iter().enumerate() {
        match (n, sizes.get(i)) {
            (-1, _) if open.replace(i).is_some() => {
                return malformed("two dimensions are left open");
            }
            (-1, _) => new.push(1),
            (0, Some(&n)) if !zero_stays => new.push(n),
            _ => match usize::try_from(n) {
                Ok(n) => new.push(n),
                Err(_) => return malformed(format!("a dimension is {n}")),
            },
        }
    }
    let (have, given) = (element_count(sizes), element_count(&new));
    let (Some(have), Some(given)) = (have, given) else {
        return malformed(format!("dimensions {wanted:?} are too large"));
    };
    if let Some(i) = open
        && given > 0
    {
        new[i] = have / given;
    }
    if element_count(&new) != Some(have) {
        return malformed(format!("{sizes:?} cannot become {wanted:?}"));
    }
    Ok(new)
}

fn flattened(call: &Call, sizes: &[usize]) -> Result<Vec<usize>, Stop> {
    let axis = call.int_attribute("axis")?.unwrap_or(1);
    let at = if axis == sizes.len() as i64 {
        sizes.len()
    } else {
        call.dimension(axis, sizes.len())?
    };
    let (front, back) = sizes.split_at(at);
    Ok(vec![front.iter().product(), back.iter().product()])
}

fn squeezed(call: &Call, sizes: &[usize]) -> Result<Vec<usize>, Stop> {
    let Some(axes) = call.ints_either("axes", 1)? else {
        return Ok(sizes.iter().copied().filter(|&n| n != 1).collect());
    };
    let dims = call.dimensions(&axes, sizes.len())?;
    if let Some(d) = dims.iter().find(|&&d| sizes[d] != 1) {
        return malformed(format!("dimension {d} of {sizes:?} is not 1"));
    }
    let keep = sizes.iter().enumerate().filter(|(d, _)| !dims.contains(d));
    Ok(keep.map(|(_, &n)| n).collect())
}

fn unsqueezed(call: &Call, sizes: &[usize]) -> Result<Vec<usize>, Stop> {
    let Some(axes) = call.ints_either("axes", 1)? else {
        return malformed("axes are missing");
    };
    let rank = sizes.len() + axes.len();
    let dims = call.dimensions(&axes, rank)?;
    let mut old = sizes.iter();
    let size = |d| {
        if dims.contains(&d) {
            1
        } else {
            old.next().copied().unwrap_or(1)
        }
    };
    Ok((0..rank).map(size).collect())
}

/// Reshape, Flatten, Squeeze, Unsqueeze of an activation.
pub(super) fn reshape(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?.clone();
    let sizes = new_sizes(call, &view.sizes())?;
    if let Some(picture) = flat_input_as_picture(b, &view, &sizes) {
        return Ok(vec![Value::Activation(picture)]);
    }
    match view.reshape(&sizes) {
        Some(view) => {
            let view = b.settled(call, view)?;
            Ok(vec![Value::Activation(view)])
        }
        None => unsupported_because(format!(
            "{:?} cannot become {sizes:?} without moving elements between axes",
            view.sizes()
        )),
    }
}

/// A flat input that the model itself turns into a gray picture is a picture
/// from the start: the elements lie alike.
fn flat_input_as_picture(b: &mut Builder, view: &View, sizes: &[usize]) -> Option<View> {
    let (h, w) = match *sizes {
        [1, 1, h, w] | [1, h, w, 1] if h > 1 && w > 1 => (h, w),
        _ => return None,
    };
    let tensor: TensorId = view.tensor;
    let flat = b.shape(view);
    let untouched = tensor == TensorId(0) && b.nodes.iter().all(|n| !n.inputs.contains(&tensor));
    if !untouched || flat != Shape::new(1, 1, flat.c) || flat.c != h * w {
        return None;
    }
    b.tensors[0].shape = Shape::new(h, w, 1);
    let was = whole(C, flat.c);
    let now: Vec<Factor> = [whole(H, h), whole(W, w)].concat();
    for value in b.values.values_mut() {
        if let Value::Activation(v) = value
            && v.tensor == tensor
        {
            v.dims
                .iter_mut()
                .filter(|d| **d == was)
                .for_each(|d| *d = now.clone());
        }
    }
    let mut picture = view.clone();
    picture.dims = vec![vec![], now];
    picture.reshape(sizes)
}

/// The order of a Transpose; reversed unless given.
pub(super) fn order(call: &Call, rank: usize) -> Result<Vec<usize>, Stop> {
    let Some(order) = call.ints_attribute("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    if order.len() != rank {
        return malformed(format!("perm {order:?} does not fit {rank} dimensions"));
    }
    call.dimensions(order, rank)
}

/// Transpose of an activation.
pub(super) fn transpose(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?;
    let order = order(call, view.dims.len())?;
    match view.transpose(&order) {
        Some(view) => {
            let view = b.settled(call, view)?;
            Ok(vec![Value::Activation(view)])
        }
        None => malformed(format!("perm {order:?} is no permutation")),
    }
}

/// Expand that changes nothing but the rank.
pub(super) fn expand(call: &Call) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?;
    let wanted = call.ints(1)?;
    let view = view.with_rank(wanted.len());
    let sizes = view.sizes();
    let last = &sizes[sizes.len() - wanted.len()..];
    if last
        .iter()
        .zip(&wanted)
        .any(|(&have, &want)| want != 1 && want != have as i64)
    {
        return unsupported_because(format!("it widens {sizes:?} to {wanted:?}"));
    }
    Ok(vec![Value::Activation(view)])
}
