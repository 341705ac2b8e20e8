//! QuantizeLinear and DequantizeLinear of values that are known at import.

use std::rc::Rc;

use super::super::array::{Array, Data, Origin};
use super::super::call::Call;
use super::super::error::{Stop, malformed, unsupported_because};

/// Scales and zero points along one dimension, or one of each.
struct Steps {
    scales: Vec<f32>,
    zero_points: Vec<i32>,
    /// Elements between neighbours along the dimension, and its length.
    inner: usize,
    length: usize,
}

impl Steps {
    fn new(
        array: &Array,
        scales: Vec<f32>,
        zero_points: Vec<i64>,
        dim: usize,
    ) -> Result<Self, Stop> {
        let count = scales.len();
        let length = array.dims.get(dim).copied().unwrap_or(1);
        let zero_points: Option<Vec<i32>> = match zero_points[..] {
            [] => Some(vec![0; count]),
            [one] => i32::try_from(one).ok().map(|z| vec![z; count]),
            _ => zero_points.iter().map(|&z| z.try_into().ok()).collect(),
        };
        let Some(zero_points) = zero_points.filter(|z| z.len() == count) else {
            return malformed("its zero points do not fit its scales");
        };
        if count != 1 && count != length {
            return malformed(format!(
                "{count} scales do not fit dimension {dim} of {:?}",
                array.dims
            ));
        }
        if let Some(scale) = scales.iter().find(|s| !s.is_finite() || **s < 0.0) {
            return malformed(format!("a scale is {scale}"));
        }
        let inner = array.dims.iter().skip(dim + 1).product();
        Ok(Self {
            scales,
            zero_points,
            inner,
            length,
        })
    }

    fn channel(&self, element: usize) -> usize {
        match self.scales.len() {
            1 => 0,
            _ => element / self.inner.max(1) % self.length.max(1),
        }
    }
}

/// The real numbers of stored integers, which are remembered.
pub fn dequantised(
    array: &Array,
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    dim: usize,
) -> Result<Array, Stop> {
    let Some(stored) = array.ints() else {
        return malformed("what it dequantises are no integers");
    };
    let stored: Option<Vec<i32>> = stored.iter().map(|&v| v.try_into().ok()).collect();
    let Some(stored) = stored else {
        return malformed("its integers exceed 32 bits");
    };
    let steps = Steps::new(array, scales, zero_points, dim)?;
    let real = |(i, &q): (usize, &i32)| {
        let c = steps.channel(i);
        (i64::from(q) - i64::from(steps.zero_points[c])) as f32 * steps.scales[c]
    };
    let values = stored.iter().enumerate().map(real).collect();
    let channels = match steps.scales.len() {
        1 => vec![],
        _ => (0..stored.len()).map(|i| steps.channel(i) as u32).collect(),
    };
    Ok(Array {
        origin: Some(Rc::new(Origin {
            stored,
            channels,
            scales: steps.scales,
            zero_points: steps.zero_points,
        })),
        ..Array::new(array.dims.clone(), Data::Float(values))
    })
}

/// The dimension that scales run along.
pub fn axis(call: &Call, array: &Array) -> Result<usize, Stop> {
    if call.int_attribute("block_size")?.is_some_and(|n| n != 0) {
        return unsupported_because("it quantises block by block");
    }
    let rank = array.dims.len();
    let scales = call.constant(1)?.len();
    let given = call.int_attribute("axis")?.unwrap_or(1);
    if scales <= 1 || rank == 0 {
        return Ok(0);
    }
    call.dimension(given, rank)
}

fn zero_points(call: &Call) -> Result<Vec<i64>, Stop> {
    match call.has_input(2) {
        true => call.ints(2),
        false => Ok(vec![]),
    }
}

/// DequantizeLinear of a constant.
pub fn dequantise(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let dim = axis(call, array)?;
    dequantised(array, call.floats(1)?, zero_points(call)?, dim)
}

/// QuantizeLinear of a constant: halves go to the even integer.
pub fn quantise(call: &Call) -> Result<Array, Stop> {
    let array = call.constant(0)?;
    let Some(values) = array.floats() else {
        return malformed("what it quantises are no numbers");
    };
    let unsigned = super::steps::made_unsigned(call)?;
    let dim = axis(call, array)?;
    let steps = Steps::new(array, call.floats(1)?, zero_points(call)?, dim)?;
    let (least, most) = if unsigned {
        (0.0, 255.0)
    } else {
        (-128.0, 127.0)
    };
    let stored = values.iter().enumerate().map(|(i, &v)| {
        let c = steps.channel(i);
        let q = (v / steps.scales[c]).round_ties_even() + steps.zero_points[c] as f32;
        q.clamp(least, most) as i64
    });
    Ok(Array {
        unsigned: Some(unsigned),
        ..Array::new(array.dims.clone(), Data::Int(stored.collect()))
    })
}
