//! Functions of single elements and arithmetic of two operands.

use foveola_core::net::op::{Activation, Arithmetic, Op};

use super::builder::{Builder, Parts, no_axis_twice, spanned};
use super::call::{Call, Value};
use super::error::{Stop, malformed, unsupported_because};
use super::view::{Factor, View};

/// A node that applies one function to every element.
fn activate(
    b: &mut Builder,
    call: &Call,
    view: &View,
    activation: Activation,
) -> Result<Vec<Value>, Stop> {
    let parts = Parts {
        activation,
        ..Parts::plain(Op::Activate, &[view.tensor], b.shape(view))
    };
    let tensor = b.emit(call, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// A float attribute, which must be finite.
fn number(call: &Call, key: &str, default: f32) -> Result<f32, Stop> {
    match call.float_attribute(key)?.unwrap_or(default) {
        v if v.is_finite() => Ok(v),
        v => malformed(format!("attribute {key} is {v}")),
    }
}

/// The functions without operands beside the input.
pub(super) fn function(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let activation = match call.op() {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu {
            slope: number(call, "alpha", 0.01)?,
        },
        "HardSigmoid" => Activation::HardSigmoid {
            alpha: number(call, "alpha", 0.2)?,
            beta: number(call, "beta", 0.5)?,
        },
        "HardSwish" => Activation::HardSwish,
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Swish" if number(call, "alpha", 1.0)? == 1.0 => Activation::Silu,
        _ => return unsupported_because("its parameters have no equivalent"),
    };
    activate(b, call, call.activation(0)?, activation)
}

/// Clip: bounds are attributes before opset 11, inputs since.
pub(super) fn clip(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let (lo, hi) = if call.opset < 11 {
        (call.float_attribute("min")?, call.float_attribute("max")?)
    } else {
        (call.optional_scalar(1)?, call.optional_scalar(2)?)
    };
    limit(b, call, call.activation(0)?, lo, hi)
}

/// Min and Max of the picture's values with single numbers.
pub(super) fn extremum(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let largest = call.op() == "Max";
    let mut bound: Option<f32> = None;
    let mut views = vec![];
    for (i, input) in call.inputs.iter().enumerate() {
        if let Some(Value::Activation(view)) = input {
            views.push(view.clone());
            continue;
        }
        let v = single(&call.floats(i)?)?;
        bound = Some(bound.map_or(v, |b| if (v > b) == largest { v } else { b }));
    }
    let [view] = &views[..] else {
        return unsupported_because("exactly one of its inputs may depend on the picture");
    };
    let (lo, hi) = if largest {
        (bound, None)
    } else {
        (None, bound)
    };
    limit(b, call, view, lo, hi)
}

/// The one value of a constant whose elements are all equal.
fn single(values: &[f32]) -> Result<f32, Stop> {
    match values.split_first() {
        Some((&first, rest)) if rest.iter().all(|&v| v == first) => Ok(first),
        _ => unsupported_because("its bound differs between elements"),
    }
}

/// Missing and infinite bounds become the largest finite ones.
fn limit(
    b: &mut Builder,
    call: &Call,
    view: &View,
    lo: Option<f32>,
    hi: Option<f32>,
) -> Result<Vec<Value>, Stop> {
    if lo.is_some_and(f32::is_nan) || hi.is_some_and(f32::is_nan) {
        return malformed("a bound is not a number");
    }
    let lo = lo.unwrap_or(f32::MIN).clamp(f32::MIN, f32::MAX);
    let hi = hi.unwrap_or(f32::MAX).clamp(f32::MIN, f32::MAX);
    if lo > hi {
        return unsupported_because(format!("its bounds {lo} and {hi} are in the wrong order"));
    }
    if (lo, hi) == (f32::MIN, f32::MAX) {
        return Ok(vec![Value::Activation(view.clone())]);
    }
    if lo == 0.0 && hi == f32::MAX {
        return activate(b, call, view, Activation::Relu);
    }
    activate(b, call, view, Activation::Clip { lo, hi })
}

/// PRelu with a constant slope.
pub(super) fn prelu(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let slope = call.constant(1)?.clone();
    if let Some(&[slope]) = slope.floats().as_deref() {
        if !slope.is_finite() {
            return malformed("its slope is not finite");
        }
        return activate(
            b,
            call,
            call.activation(0)?,
            Activation::LeakyRelu { slope },
        );
    }
    let view = b.whole_input(call, 0)?;
    let slope = b.constant_operand(call, &slope, &view)?;
    let dims = merged(&view, &slope)?;
    if spanned(&dims) != b.shape(&view) || dims.len() != view.dims.len() {
        return malformed("its slope is larger than its input");
    }
    let parts = Parts::plain(Op::PRelu, &[view.tensor, slope.tensor], b.shape(&view));
    let tensor = b.emit(call, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// Add, Sub, Mul, Div and Sum, with ONNX's broadcast.
pub(super) fn arithmetic(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let operation = match call.op() {
        "Sub" => Arithmetic::Sub,
        "Mul" => Arithmetic::Mul,
        "Div" => Arithmetic::Div,
        _ => Arithmetic::Add,
    };
    let count = call.inputs.len();
    if count != 2 && call.op() != "Sum" || count == 0 {
        return malformed(format!("{count} inputs"));
    }
    let operands = operands(b, call)?;
    let mut sum = operands[0].clone();
    for (i, operand) in operands.iter().enumerate().skip(1) {
        let dims = merged(&sum, operand)?;
        let inputs = [sum.tensor, operand.tensor];
        let parts = Parts::plain(Op::Binary(operation), &inputs, spanned(&dims));
        let name = if i + 1 == operands.len() {
            call.output().to_owned()
        } else {
            format!("{}/{i}", call.output())
        };
        let tensor = b.emit_as(call, &name, parts)?;
        sum = View { tensor, dims };
    }
    Ok(vec![Value::Activation(sum)])
}

/// The inputs as views, constants laid out beside the first that depends on the picture.
fn operands(b: &mut Builder, call: &Call) -> Result<Vec<View>, Stop> {
    let like = call
        .inputs
        .iter()
        .position(|v| matches!(v, Some(Value::Activation(_))))
        .map_or_else(|| malformed("it has no input"), |i| b.whole_input(call, i))?;
    (0..call.inputs.len())
        .map(|i| match &call.inputs[i] {
            Some(Value::Constant(array)) => b.constant_operand(call, array, &like),
            _ => b.whole_input(call, i),
        })
        .collect()
}

/// Dimensions of the result of two operands.
pub(super) fn merged(a: &View, b: &View) -> Result<Vec<Vec<Factor>>, Stop> {
    let rank = a.dims.len().max(b.dims.len());
    let (a, b) = (a.with_rank(rank), b.with_rank(rank));
    let mut dims = vec![];
    for (d, e) in a.dims.iter().zip(&b.dims) {
        let sizes = [d, e].map(|x| x.iter().map(|f| f.size).product::<usize>());
        if sizes[0] != sizes[1] && sizes[0] != 1 && sizes[1] != 1 {
            return malformed(format!(
                "operands of {:?} and {:?} do not fit",
                a.sizes(),
                b.sizes()
            ));
        }
        if !d.is_empty() && !e.is_empty() && d != e {
            return unsupported_because("its operands lie along different axes");
        }
        dims.push(if d.is_empty() { e.clone() } else { d.clone() });
    }
    no_axis_twice(&dims)?;
    Ok(dims)
}
