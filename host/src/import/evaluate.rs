//! Evaluates nodes that do not depend on the picture: shape arithmetic and
//! preparations of weights.

use super::array::{Array, Data, Offsets, element_count, strides};
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::parts::slice_ranges;
use super::quantised;
use super::rename::{new_sizes, order, shape_of};

/// Whether constants can go through an operator at import.
pub(super) fn is_known(op: &str) -> bool {
    matches!(
        op,
        "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Constant"
            | "ConstantOfShape"
            | "Shape"
            | "Size"
            | "Gather"
            | "Unsqueeze"
            | "Squeeze"
            | "Reshape"
            | "Flatten"
            | "Concat"
            | "Cast"
            | "Slice"
            | "Transpose"
            | "Identity"
            | "Expand"
            | "Neg"
            | "Sqrt"
            | "Floor"
            | "Ceil"
            | "Reciprocal"
            | "Abs"
            | "QuantizeLinear"
            | "DequantizeLinear"
    )
}

/// The value of a node all of whose inputs are constants. At most `left`
/// elements may come out.
pub(super) fn evaluate(call: &Call, left: usize) -> Result<Array, Stop> {
    match call.op() {
        "Constant" => constant(call),
        "ConstantOfShape" => filled(call, left),
        "Shape" => Ok(Array::vector(shape_of(call, &call.constant(0)?.dims)?)),
        "Size" => Ok(Array::scalar(Data::Int(vec![
            call.constant(0)?.len() as i64
        ]))),
        "Identity" => Ok(call.constant(0)?.clone()),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let array = call.constant(0)?;
            Ok(array.with_dims(new_sizes(call, &array.dims)?))
        }
        "Gather" => gather(call, left),
        "Concat" => concat(call, left),
        "Cast" => cast(call),
        "Slice" => slice(call),
        "Transpose" => transpose(call),
        "Expand" => expand(call, left),
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(call, left),
        "QuantizeLinear" => quantised::constants::quantise(call),
        "DequantizeLinear" => quantised::constants::dequantise(call),
        _ => unary(call),
    }
}

/// Checks the size of a result before it is made.
fn room(dims: Vec<usize>, left: usize) -> Result<Vec<usize>, Stop> {
    match element_count(&dims) {
        Some(n) if n <= left => Ok(dims),
        _ => malformed(format!("its result of dimensions {dims:?} is too large")),
    }
}

fn picked(array: &Array, dims: Vec<usize>, at: impl Iterator<Item = usize>) -> Result<Array, Stop> {
    match array.pick(dims, at) {
        Some(a) => Ok(a),
        None => malformed("an index lies outside its input"),
    }
}

fn constant(call: &Call) -> Result<Array, Stop> {
    if let Some(proto) = call.tensor_attribute("value")? {
        if super::external::is_external(proto) {
            return unsupported_because("its value lies in another file");
        }
        return Ok(super::array::from_proto(proto, None)?);
    }
    if let Some(v) = call.float_attribute("value_float")? {
        return Ok(Array::scalar(Data::Float(vec![v])));
    }
    if let Some(v) = call.int_attribute("value_int")? {
        return Ok(Array::scalar(Data::Int(vec![v])));
    }
    if let Some(v) = call.text_attribute("value_string")? {
        return Ok(Array::scalar(Data::Text(vec![v])));
    }
    if let Some(v) = call.floats_attribute("value_floats")? {
        return Ok(Array::vector(Data::Float(v.to_vec())));
    }
    if let Some(v) = call.ints_attribute("value_ints")? {
        return Ok(Array::vector(Data::Int(v.to_vec())));
    }
    if let Some(v) = call.texts_attribute("value_strings")? {
        return Ok(Array::vector(Data::Text(v)));
    }
    unsupported_because("it holds no tensor, number or text")
}

/// Dimensions given as integers.
fn dims_from(values: &[i64]) -> Result<Vec<usize>, Stop> {
    let dims: Option<Vec<usize>> = values.iter().map(|&n| usize::try_from(n).ok()).collect();
    match dims {
        Some(d) => Ok(d),
        None => malformed(format!("dimensions {values:?}")),
    }
}

fn filled(call: &Call, left: usize) -> Result<Array, Stop> {
    let dims = room(dims_from(&call.ints(0)?)?, left)?;
    let one = match call.tensor_attribute("value")? {
        Some(proto) => super::array::from_proto(proto, None)?,
        None => Array::scalar(Data::Float(vec![0.0])),
    };
    if one.len() != 1 {
        return malformed("its value is not a single number");
    }
    let count = dims.iter().product();
    picked(&one, dims, std::iter::repeat_n(0, count))
}

fn gather(call: &Call, left: usize) -> Result<Array, Stop> {
    let data = call.constant(0)?;
    let indices = call.ints(1)?;
    let index_dims = &call.constant(1)?.dims;
    let axis = call.dimension(call.int_attribute("axis")?.unwrap_or(0), data.dims.len())?;
    let size = data.dims[axis];
    let mut rows = vec![];
    for &i in &indices {
        let i = if i < 0 {
            i.saturating_add(size as i64)
        } else {
            i
        };
        match usize::try_from(i) {
            Ok(i) if i < size => rows.push(i),
            _ => return malformed(format!("index {i} lies outside {size}")),
        }
    }
    let inner: usize = data.dims[axis + 1..].iter().product();
    let outer: usize = data.dims[..axis].iter().product();
    let dims = [&data.dims[..axis], index_dims, &data.dims[axis + 1..]].concat();
    let dims = room(dims, left)?;
    let at = (0..outer).flat_map(|o| {
        rows.iter()
            .flat_map(move |r| (0..inner).map(move |i| (o * size + r) * inner + i))
    });
    picked(data, dims, at)
}

fn concat(call: &Call, left: usize) -> Result<Array, Stop> {
    let first = call.constant(0)?;
    let rank = first.dims.len();
    let axis = call.dimension(call.int_attribute("axis")?.unwrap_or(0), rank)?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    let mut arrays = vec![];
    for i in 0..call.inputs.len() {
        let array = call.constant(i)?;
        let fits = array.dims.len() == rank
            && (0..rank).all(|d| d == axis || array.dims[d] == dims[d])
            && std::mem::discriminant(&array.data) == std::mem::discriminant(&first.data);
        if !fits {
            return malformed(format!(
                "{:?} cannot be joined to {:?}",
                array.dims, first.dims
            ));
        }
        dims[axis] += array.dims[axis];
        arrays.push(array);
    }
    joined(&arrays, room(dims, left)?, axis)
}

/// Arrays of one type one after the other, picked row by row.
fn joined(arrays: &[&Array], dims: Vec<usize>, axis: usize) -> Result<Array, Stop> {
    let mut data = arrays[0].data.clone();
    let (mut starts, mut end) = (vec![], 0);
    for (i, array) in arrays.iter().enumerate() {
        starts.push(end);
        end += array.len();
        if i > 0 {
            append(&mut data, &array.data);
        }
    }
    let outer: usize = dims[..axis].iter().product();
    let at = (0..outer).flat_map(|o| {
        arrays.iter().zip(&starts).flat_map(move |(array, start)| {
            let run: usize = array.dims[axis..].iter().product();
            start + o * run..start + (o + 1) * run
        })
    });
    let all = Array {
        unsigned: arrays[0].unsigned,
        ..Array::new(vec![end], data)
    };
    picked(&all, dims, at)
}

fn append(to: &mut Data, from: &Data) {
    match (to, from) {
        (Data::Float(a), Data::Float(b)) => a.extend(b),
        (Data::Int(a), Data::Int(b)) => a.extend(b),
        (Data::Text(a), Data::Text(b)) => a.extend(b.iter().cloned()),
        _ => {}
    }
}

fn cast(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let Some(floats) = array.floats() else {
        return unsupported_because("it casts text");
    };
    let to = call.int_attribute("to")?;
    let data = match (to, &array.data) {
        (Some(1 | 11), Data::Float(_)) => return Ok(array.clone()),
        (Some(1 | 11), _) => Data::Float(floats),
        (Some(10), _) => Data::Float(
            floats
                .iter()
                .map(|&v| half::f16::from_f32(v).to_f32())
                .collect(),
        ),
        (Some(16), _) => Data::Float(
            floats
                .iter()
                .map(|&v| half::bf16::from_f32(v).to_f32())
                .collect(),
        ),
        (Some(9), _) => Data::Int(floats.iter().map(|&v| i64::from(v != 0.0)).collect()),
        (Some(2..=7 | 12 | 13), Data::Int(v)) => Data::Int(v.clone()),
        (Some(2..=7 | 12 | 13), _) => Data::Int(floats.iter().map(|&v| v as i64).collect()),
        (Some(to), _) => return unsupported_because(format!("it casts to type {to}")),
        (None, _) => return malformed("attribute to is missing"),
    };
    Ok(Array {
        // 2 is uint8, 3 is int8.
        unsigned: matches!(to, Some(2 | 3)).then_some(to == Some(2)),
        ..Array::new(array.dims.clone(), data)
    })
}

fn slice(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let mut steps = strides(&array.dims);
    let mut dims = array.dims.clone();
    let mut first = 0;
    for (dim, start, len, step) in slice_ranges(call, &array.dims)? {
        first += start * steps[dim];
        steps[dim] *= step;
        dims[dim] = len;
    }
    let at = Offsets::new(&dims, &steps, first);
    picked(array, dims.clone(), at)
}

fn transpose(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let order = order(call, array.dims.len())?;
    let old = strides(&array.dims);
    let dims: Vec<usize> = order.iter().map(|&d| array.dims[d]).collect();
    let steps: Vec<usize> = order.iter().map(|&d| old[d]).collect();
    let at = Offsets::new(&dims, &steps, 0);
    picked(array, dims.clone(), at)
}

/// Offsets that broadcast an array of `from` dimensions to `to`.
fn broadcast(from: &[usize], to: &[usize]) -> Offsets {
    let old = strides(from);
    let lead = to.len() - from.len();
    let steps: Vec<usize> = (0..to.len())
        .map(|d| match d.checked_sub(lead) {
            Some(f) if from[f] != 1 => old[f],
            _ => 0,
        })
        .collect();
    Offsets::new(to, &steps, 0)
}

/// Dimensions that two operands have together.
fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Stop> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], d: usize| (d + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let mut dims = vec![];
    for d in 0..rank {
        dims.push(match (at(a, d), at(b, d)) {
            (1, n) | (n, 1) => n,
            (n, m) if n == m => n,
            _ => return malformed(format!("operands of {a:?} and {b:?} do not fit")),
        });
    }
    Ok(dims)
}

fn expand(call: &Call, left: usize) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let wanted = dims_from(&call.ints(1)?)?;
    let dims = room(common(&array.dims, &wanted)?, left)?;
    let at = broadcast(&array.dims, &dims);
    picked(array, dims.clone(), at)
}

fn arithmetic(call: &Call, left: usize) -> Result<Array, Stop> {
    let (a, b) = (call.constant(0)?, call.constant(1)?);
    let dims = room(common(&a.dims, &b.dims)?, left)?;
    let pairs = broadcast(&a.dims, &dims).zip(broadcast(&b.dims, &dims));
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            let values: Option<Vec<i64>> =
                pairs.map(|(i, j)| integer(call.op(), x[i], y[j])).collect();
            match values {
                Some(v) => Data::Int(v),
                None => return malformed("its integers overflow or divide by 0"),
            }
        }
        _ => {
            let (Some(x), Some(y)) = (a.floats(), b.floats()) else {
                return malformed("its operands are text");
            };
            Data::Float(pairs.map(|(i, j)| float(call.op(), x[i], y[j])).collect())
        }
    };
    Ok(Array::new(dims, data))
}

fn integer(op: &str, x: i64, y: i64) -> Option<i64> {
    match op {
        "Add" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        _ => x.checked_div(y),
    }
}

fn float(op: &str, x: f32, y: f32) -> f32 {
    match op {
        "Add" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        _ => x / y,
    }
}

fn unary(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let data = match (call.op(), &array.data) {
        ("Neg", Data::Int(v)) => Data::Int(v.iter().map(|v| v.saturating_neg()).collect()),
        ("Abs", Data::Int(v)) => Data::Int(v.iter().map(|v| v.saturating_abs()).collect()),
        (op, Data::Float(v)) => {
            let function: fn(f32) -> f32 = match op {
                "Neg" => |v| -v,
                "Abs" => f32::abs,
                "Sqrt" => f32::sqrt,
                "Floor" => f32::floor,
                "Ceil" => f32::ceil,
                "Reciprocal" => f32::recip,
                _ => return unsupported_because("it is not evaluated at import"),
            };
            Data::Float(v.iter().map(|&v| function(v)).collect())
        }
        _ => return malformed("its input is of the wrong type"),
    };
    Ok(Array::new(array.dims.clone(), data))
}

/// Whether every input that is there is a constant.
pub(super) fn all_constant(call: &Call) -> bool {
    call.inputs
        .iter()
        .flatten()
        .all(|v| matches!(v, Value::Constant(_)))
}
