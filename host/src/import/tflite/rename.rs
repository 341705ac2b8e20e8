//! Operators that only rename dimensions.

use super::super::error::{Stop, malformed, unsupported_because};
use super::builder::Builder;
use super::call::{Call, Value};

/// RESHAPE, SQUEEZE and EXPAND_DIMS: the output's shape says it all.
pub(super) fn reshape(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?.clone();
    let output = call.output(0)?;
    let (sizes, wanted) = (view.sizes(), &output.dims);
    if sizes.iter().product::<usize>() != output.elements() {
        return malformed(format!("{sizes:?} cannot become {wanted:?}"));
    }
    b.same_scale(view.tensor, output)?;
    match view.reshape(wanted) {
        Some(view) => Ok(vec![Value::Activation(b.settled(call, view)?)]),
        None => unsupported_because(format!(
            "{sizes:?} cannot become {wanted:?} without moving elements between axes"
        )),
    }
}

/// TRANSPOSE.
pub(super) fn transpose(b: &mut Builder, call: &Call<'_, '_>) -> Result<Vec<Value>, Stop> {
    let view = call.activation(0)?.clone();
    let given = call.integers(1)?;
    let rank = view.dims.len();
    let order: Vec<usize> = given
        .iter()
        .map(|&d| call.dimension(d, rank))
        .collect::<Result<_, _>>()?;
    b.same_scale(view.tensor, call.output(0)?)?;
    match view.transpose(&order) {
        Some(view) => Ok(vec![Value::Activation(b.settled(call, view)?)]),
        None => malformed(format!("{given:?} is no order of {rank} dimensions")),
    }
}
