//! Functions of single elements, arithmetic of two operands, and the borders
//! between f32 and int8.

use std::rc::Rc;

use foveola_core::net::op::{Activation, Arithmetic, Op};
use tract_tflite::tflite::BuiltinOperator;

use super::super::builder::spanned;
use super::super::elementwise::merged;
use super::super::error::{Stop, malformed, unsupported_because};
use super::super::view::View;
use super::builder::{Builder, Parts, output_quant, quantise};
use super::call::{Call, Value, fused};
use crate::graph::Quant;

/// Operators that apply one function to every element.
pub(super) fn function(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let activation = match call.code {
        BuiltinOperator::RELU => Activation::Relu,
        BuiltinOperator::RELU6 => Activation::Clip { lo: 0.0, hi: 6.0 },
        BuiltinOperator::RELU_N1_TO_1 => Activation::Clip { lo: -1.0, hi: 1.0 },
        BuiltinOperator::RELU_0_TO_1 => Activation::Clip { lo: 0.0, hi: 1.0 },
        BuiltinOperator::HARD_SWISH => Activation::HardSwish,
        BuiltinOperator::LOGISTIC => Activation::Sigmoid,
        BuiltinOperator::TANH => Activation::Tanh,
        _ => {
            let options = call.options(call.operator.builtin_options_as_leaky_relu_options())?;
            let slope = options.alpha();
            if !slope.is_finite() {
                return malformed(format!("its slope is {slope}"));
            }
            Activation::LeakyRelu { slope }
        }
    };
    match call.code {
        BuiltinOperator::LOGISTIC => fixed_output(call, 1.0 / 256.0, -128)?,
        BuiltinOperator::TANH => fixed_output(call, 1.0 / 128.0, 0)?,
        _ => {}
    }
    activate(b, call, activation)
}

fn activate(
    b: &mut Builder,
    call: &Call<'_, '_>,
    activation: Activation,
) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?;
    let parts = Parts::plain(Op::Activate, &[view.tensor], b.shape(view)).with(activation);
    let tensor = b.emit(call, 0, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// Refuses an int8 output whose scale is not the one that TFLite fixes for the
/// operator. `zero_point` is the int8 one.
pub(super) fn fixed_output(call: &Call<'_, '_>, scale: f32, zero_point: i8) -> Result<(), Stop> {
    match output_quant(call.output(0)?)? {
        Some(q) if (q.scale - scale).abs() > 1e-3 * scale || q.zero_point != zero_point => {
            malformed(format!(
                "its output has scale {} and zero point {}; {scale} and {zero_point} are fixed",
                q.scale, q.zero_point
            ))
        }
        _ => Ok(()),
    }
}

/// PRELU with a constant slope.
pub(super) fn prelu(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = b.whole_input(call, 0)?;
    let slope = b.constant_operand(call, 1, &view)?;
    let dims = merged(&view, &slope)?;
    if spanned(&dims) != b.shape(&view) || dims.len() != view.dims.len() {
        return malformed("its slope is larger than its input");
    }
    let parts = Parts::plain(Op::PRelu, &[view.tensor, slope.tensor], b.shape(&view));
    let tensor = b.emit_real(call, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// ADD, SUB, MUL and DIV, with broadcast.
pub(super) fn arithmetic(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let op = &call.operator;
    let (operation, function) = match call.code {
        BuiltinOperator::ADD => (
            Arithmetic::Add,
            op.builtin_options_as_add_options()
                .map(|o| o.fused_activation_function()),
        ),
        BuiltinOperator::SUB => (
            Arithmetic::Sub,
            op.builtin_options_as_sub_options()
                .map(|o| o.fused_activation_function()),
        ),
        BuiltinOperator::MUL => (
            Arithmetic::Mul,
            op.builtin_options_as_mul_options()
                .map(|o| o.fused_activation_function()),
        ),
        _ => (
            Arithmetic::Div,
            op.builtin_options_as_div_options()
                .map(|o| o.fused_activation_function()),
        ),
    };
    let activation = fused(call.options(function)?)?;
    if call.inputs.len() != 2 {
        return malformed(format!("{} inputs", call.inputs.len()));
    }
    let [left, right] = operands(b, call)?;
    let dims = merged(&left, &right)?;
    let inputs = [left.tensor, right.tensor];
    let parts = Parts::plain(Op::Binary(operation), &inputs, spanned(&dims)).with(activation);
    let tensor = match operation {
        Arithmetic::Div => b.emit_real(call, parts)?,
        _ => b.emit(call, 0, parts)?,
    };
    Ok(vec![Value::Activation(View { tensor, dims })])
}

/// Both inputs as views; a constant lies beside the one that depends on the picture.
fn operands(b: &mut Builder, call: &Call<'_, '_>) -> Result<[View; 2], Stop> {
    Ok(match (call.is_activation(0), call.is_activation(1)) {
        (true, true) => [b.whole_input(call, 0)?, b.whole_input(call, 1)?],
        (true, false) => {
            let left = b.whole_input(call, 0)?;
            let right = b.constant_operand(call, 1, &left)?;
            [left, right]
        }
        _ => {
            let right = b.whole_input(call, 1)?;
            let left = b.constant_operand(call, 0, &right)?;
            [left, right]
        }
    })
}

/// QUANTIZE: from f32 to int8, or from one scale to another.
pub(super) fn quantize(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?;
    let entry = call.output(0)?;
    let Some(quant) = output_quant(entry)? else {
        return malformed("its output is FLOAT32");
    };
    let shape = b.shape(view);
    let op = match b.quant(view.tensor) {
        None => quantise(quant),
        Some(Quant { .. }) => Op::Activate,
    };
    let parts = Parts::plain(op, &[view.tensor], shape);
    let tensor = b.push(call, &entry.name, Some(quant), parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}

/// DEQUANTIZE, of constants too.
pub(super) fn dequantize(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    if !call.is_activation(0) {
        if call.input(0)?.dims != call.output(0)?.dims {
            return malformed("its input and output differ in shape");
        }
        return Ok(vec![Value::Real(Rc::new(b.reals(call, 0)?))]);
    }
    let view = call.activation(0)?;
    let entry = call.output(0)?;
    if output_quant(entry)?.is_some() {
        return malformed("its output is not FLOAT32");
    }
    if b.quant(view.tensor).is_none() {
        return unsupported_because("its input is float already");
    }
    let parts = Parts::plain(Op::Dequantise, &[view.tensor], b.shape(view));
    let tensor = b.push(call, &entry.name, None, parts)?;
    Ok(vec![Value::Activation(view.over(tensor))])
}
