//! QuantizeLinear and DequantizeLinear of values that depend on the picture.

use foveola_core::TensorId;
use foveola_core::net::op::Op;

use super::super::builder::{Builder, Parts};
use super::super::call::{Call, Value};
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::view::View;
use crate::graph::Quant;

/// The one scale and zero point at inputs `scale` and `scale + 1` of a node.
/// The zero point's type tells int8 from uint8; `unsigned` does where there is
/// no zero point.
pub fn quant(call: &Call, scale: usize, unsigned: Option<bool>) -> Result<Quant, Stop> {
    let Ok(Some(step)) = call.optional_scalar(scale) else {
        return unsupported_because("it quantises the channels of an activation one by one");
    };
    if !step.is_finite() || step <= 0.0 {
        return malformed(format!("its scale is {step}"));
    }
    let given = call.optional_constant(scale + 1)?;
    let unsigned = match (given, unsigned) {
        (Some(zero_point), _) => match zero_point.unsigned {
            Some(unsigned) => unsigned,
            None => return unsupported_because("its integers are not 8 bits wide"),
        },
        (None, Some(unsigned)) => unsigned,
        (None, None) => true,
    };
    let zero_point = match given.and_then(|z| z.ints()) {
        None => 0,
        Some(&[z]) => z,
        Some(_) => return malformed("its zero point is not a single number"),
    };
    let lower = if unsigned { 128 } else { 0 };
    match i8::try_from(zero_point - lower) {
        Ok(zero_point) => Ok(Quant {
            scale: step,
            zero_point,
            unsigned,
        }),
        Err(_) => malformed(format!("its zero point is {zero_point}")),
    }
}

/// Whether a QuantizeLinear makes uint8: what its zero point is, else what its
/// attribute says, else uint8.
pub fn made_unsigned(call: &Call) -> Result<bool, Stop> {
    if let Some(zero_point) = call.optional_constant(2)? {
        return match zero_point.unsigned {
            Some(unsigned) => Ok(unsigned),
            None => unsupported_because("its integers are not 8 bits wide"),
        };
    }
    match call.int_attribute("output_dtype")? {
        None | Some(0 | 2) => Ok(true),
        Some(3) => Ok(false),
        Some(_) => unsupported_because("its integers are not 8 bits wide"),
    }
}

/// QuantizeLinear.
pub fn quantise_linear(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let quant = quant(call, 1, Some(made_unsigned(call)?))?;
    let view = call.activation(0)?.clone();
    let view = quantise(b, call, &view, quant)?;
    Ok(vec![Value::Activation(view)])
}

/// DequantizeLinear.
pub fn dequantise_linear(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?.clone();
    let quant = quant(call, 1, stored_unsigned(b, &view))?;
    let view = dequantise(b, call, &view, quant)?;
    Ok(vec![Value::Activation(view)])
}

/// Whether a view's integers are unsigned, if they are integers.
pub fn stored_unsigned(b: &Builder, view: &View) -> Option<bool> {
    match b.quant(view.tensor) {
        Some(quant) => Some(quant.unsigned),
        None => b.unsigned_input.filter(|_| view.tensor == TensorId(0)),
    }
}

/// A float view, quantised under the name of the node's output.
pub fn quantise(b: &mut Builder, call: &Call, view: &View, quant: Quant) -> Result<View, Stop> {
    if stored_unsigned(b, view).is_some() {
        return malformed("it quantises integers");
    }
    let op = Op::Quantise {
        scale: quant.scale,
        zero_point: quant.zero_point,
    };
    quantise_by(b, call, call.output(), view, (op, quant))
}

fn quantise_by(
    b: &mut Builder,
    call: &Call,
    name: &str,
    view: &View,
    (op, quant): (Op, Quant),
) -> Result<View, Stop> {
    let parts = Parts::plain(op, &[view.tensor], b.shape(view));
    let tensor = b.emit_as(call, name, parts)?;
    b.tensors[usize::from(tensor.0)].quant = Some(quant);
    Ok(view.over(tensor))
}

/// The real numbers of a stored view. One node serves all that ask for them.
pub fn dequantise(b: &mut Builder, call: &Call, view: &View, quant: Quant) -> Result<View, Stop> {
    let stored = stored(b, call, view, quant)?;
    let maker = |op: Op| op == Op::Dequantise;
    if let Some(tensor) = made_from(b, stored.tensor, maker) {
        return Ok(view.over(tensor));
    }
    let name = format!("{}/real", b.tensors[usize::from(stored.tensor.0)].name);
    let parts = Parts::plain(Op::Dequantise, &[stored.tensor], b.shape(view));
    let tensor = b.emit_as(call, &name, parts)?;
    Ok(view.over(tensor))
}

/// What a node of this kind has already made of a tensor.
fn made_from(b: &Builder, input: TensorId, kind: impl Fn(Op) -> bool) -> Option<TensorId> {
    let mut nodes = b.nodes.iter();
    nodes
        .find(|n| n.inputs == [input] && kind(n.op))
        .map(|n| n.output)
}

/// A view whose tensor is stored by `quant`. The integers of a model's input
/// are stored when its first reader says what they mean.
fn stored(b: &mut Builder, call: &Call, view: &View, quant: Quant) -> Result<View, Stop> {
    match b.quant(view.tensor) {
        Some(found) if found == quant => return Ok(view.clone()),
        Some(_) => {
            return unsupported_because(
                "its scale or zero point is not that which its input was quantised with",
            );
        }
        None => {}
    }
    match stored_unsigned(b, view) {
        Some(unsigned) if unsigned == quant.unsigned => {}
        Some(_) => return malformed("its zero point is not of the type of its input"),
        None => return malformed("its input is not quantised"),
    }
    let same = b.nodes.iter().find(|n| {
        n.inputs == [view.tensor]
            && matches!(n.op, Op::Quantise { .. })
            && b.quant(n.output) == Some(quant)
    });
    if let Some(node) = same {
        return Ok(view.over(node.output));
    }
    // The integers themselves are the input: the step from one to the next is 1.
    let op = Op::Quantise {
        scale: 1.0,
        zero_point: if quant.unsigned { -128 } else { 0 },
    };
    let name = format!("{}/stored", b.tensors[0].name);
    quantise_by(b, call, &name, view, (op, quant))
}
