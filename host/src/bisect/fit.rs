//! Somebody's array as a tensor of the network: layout and number type.

use foveola_core::Shape;
use ndarray::ArrayD;

use super::network::Data;
use crate::photo::Numbers;

/// What the network makes there.
pub struct Tensor {
    /// Height, width, channels.
    pub shape: Shape,
    /// Scale and zero point, if it is stored as int8.
    pub quant: Option<(f32, i8)>,
    /// Whether the model's own numbers are uint8.
    pub unsigned: bool,
    /// Whether the model's file has NCHW.
    pub planes_first: bool,
}

/// What earlier arrays of a dump say of the order of all: an engine that writes
/// one array in an order writes the others in it too, also those whose shape
/// leaves it open and whose values are wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habit {
    /// Arrays whose shape allows one order alone: HWC, CHW.
    shapes: [usize; 2],
    /// Shares of values that are off, summed over the others: as HWC, as CHW.
    misses: [f64; 2],
}

impl Habit {
    /// Takes an array, of whose values these shares are off in the orders that
    /// its shape allows; answers its order.
    fn take(&mut self, seen: &[(Order, f64)]) -> Order {
        if let [(order, _)] = seen {
            self.shapes[*order as usize] += 1;
            return *order;
        }
        for (order, misses) in seen {
            self.misses[*order as usize] += misses;
        }
        match self.shapes.map(|arrays| arrays > 0) {
            [true, false] => return Order::Hwc,
            [false, true] => return Order::Chw,
            _ => {}
        }
        let least = |a: &&(Order, f64), b: &&(Order, f64)| {
            let [a, b] = [a, b].map(|(order, _)| self.misses[*order as usize]);
            a.total_cmp(&b)
        };
        seen.iter()
            .min_by(least)
            .map_or(Order::Hwc, |(order, _)| *order)
    }
}

/// The values as the network has them, HWC, and what a person should know.
///
/// # Errors
/// Another shape or number type, in words.
pub fn fit(
    array: &ArrayD<f32>,
    numbers: Numbers,
    tensor: &Tensor,
    expected: &Data,
    habit: &mut Habit,
) -> Result<(Data, Vec<String>), String> {
    let mut remarks = Vec::new();
    let raw: Vec<f32> = array.iter().copied().collect();
    let orders = orders(array.shape(), tensor)?;
    let data = match tensor.quant {
        None if numbers == Numbers::Float => Data::Real(raw),
        None => {
            return Err("it holds integers where the network has floats".to_owned());
        }
        Some((scale, zero_point)) => {
            let integers = match numbers {
                Numbers::Float => from_real(&raw, scale, zero_point, &mut remarks),
                _ => raw,
            };
            Data::Stored(stored(integers, numbers, tensor, &mut remarks)?)
        }
    };
    let off = |data: &Data| {
        let length = data.len().min(expected.len());
        let off = (0..length).filter(|&i| data.at(i) != expected.at(i));
        off.count() as f64 / length.max(1) as f64
    };
    let seen: Vec<(Order, f64)> = orders
        .into_iter()
        .map(|order| (order, off(&arrange(&data, tensor.shape, order))))
        .collect();
    let order = habit.take(&seen);
    Ok((arrange(&data, tensor.shape, order), remarks))
}

/// How elements lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Hwc,
    Chw,
}

/// The orders that a shape allows, the likelier first.
fn orders(found: &[usize], tensor: &Tensor) -> Result<Vec<Order>, String> {
    let Shape { h, w, c } = tensor.shape;
    let wide =
        |sides: &[usize]| -> Vec<usize> { sides.iter().copied().filter(|&n| n != 1).collect() };
    let sides = wide(found);
    let flat = sides.len() <= 1 && sides.iter().product::<usize>() == tensor.shape.len();
    let mut orders = Vec::new();
    if flat || sides == wide(&[h, w, c]) {
        orders.push(Order::Hwc);
    }
    if flat || sides == wide(&[c, h, w]) {
        orders.push(Order::Chw);
    }
    if tensor.planes_first {
        orders.reverse();
    }
    match orders.is_empty() {
        true => Err(format!(
            "its shape is {found:?}; the network has {h} x {w} x {c} (height, width, channels) there, \
             as NHWC, NCHW or flat"
        )),
        false => Ok(orders),
    }
}

fn arrange(data: &Data, shape: Shape, order: Order) -> Data {
    if order == Order::Hwc {
        return data.clone();
    }
    let area = shape.area();
    let from = |i: usize| i % shape.c * area + i / shape.c;
    let places = (0..shape.len()).map(from);
    match data {
        Data::Real(values) => Data::Real(places.map(|i| values[i]).collect()),
        Data::Stored(values) => Data::Stored(places.map(|i| values[i]).collect()),
    }
}

/// Floats of an int8 tensor: dequantised numbers, or the integers themselves.
/// They come back as stored numbers, not yet int8.
fn from_real(raw: &[f32], scale: f32, zero_point: i8, remarks: &mut Vec<String>) -> Vec<f32> {
    let zero = f32::from(zero_point);
    let steps = |v: &f32| v / scale;
    let on_grid = |v: &f32| (steps(v) - steps(v).round()).abs() < 0.02;
    let inside = |v: &f32| (-129.0..=128.0).contains(&(steps(v) + zero));
    let whole = raw
        .iter()
        .all(|v| v.fract() == 0.0 && (-128.0..=255.0).contains(v));
    let dequantised = raw.iter().all(|v| on_grid(v) && inside(v));
    if !dequantised && whole {
        return raw.to_vec();
    }
    if !dequantised {
        let text = "floats that lie between the steps of an int8 tensor were rounded to them";
        remarks.push(text.to_owned());
    }
    let nearest = |v: &f32| (steps(v).round() + zero).clamp(-128.0, 127.0);
    raw.iter().map(nearest).collect()
}

/// Integers as int8; uint8 is stored with 128 less.
fn stored(
    integers: Vec<f32>,
    numbers: Numbers,
    tensor: &Tensor,
    remarks: &mut Vec<String>,
) -> Result<Vec<i8>, String> {
    let above = integers.iter().any(|&v| v > 127.0);
    let below = integers.iter().any(|&v| v < 0.0);
    let unsigned = match numbers {
        Numbers::U8 => true,
        Numbers::I8 => false,
        _ => above || tensor.unsigned && !below && numbers == Numbers::Wide,
    };
    if unsigned && !tensor.unsigned {
        remarks.push("uint8 numbers of an int8 network were taken as 128 too large".to_owned());
    }
    let less = if unsigned { 128.0 } else { 0.0 };
    let byte = |v: &f32| {
        let v = v - less;
        let fits = v.fract() == 0.0 && (-128.0..=127.0).contains(&v);
        fits.then_some(v as i8)
    };
    let all: Option<Vec<i8>> = integers.iter().map(byte).collect();
    all.ok_or_else(|| "it holds numbers that are no 8-bit integers".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;

    fn tensor(quant: Option<(f32, i8)>, unsigned: bool) -> Tensor {
        Tensor {
            shape: Shape::new(2, 3, 4),
            quant,
            unsigned,
            planes_first: false,
        }
    }

    fn array(shape: &[usize], values: impl Fn(usize) -> f32) -> ArrayD<f32> {
        let length = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(shape), (0..length).map(values).collect()).unwrap()
    }

    /// Both layouts, flat ones included, by what fits better.
    #[test]
    fn layouts() {
        let expected = Data::Stored((0..24).collect());
        let t = tensor(Some((0.5, 3)), false);
        let plain = |i: usize| i as f32;
        let planes = |i: usize| (i % 6 * 4 + i / 6) as f32;
        for (shape, planar) in [
            (&[1, 2, 3, 4][..], false),
            (&[2, 3, 4], false),
            (&[24], false),
            (&[1, 4, 2, 3], true),
            (&[1, 24], true),
        ] {
            let given = if planar {
                array(shape, planes)
            } else {
                array(shape, plain)
            };
            let (data, _) = fit(&given, Numbers::I8, &t, &expected, &mut Habit::default()).unwrap();
            assert_eq!(data, expected, "{shape:?}");
        }
        let given = array(&[2, 4, 3], plain);
        let wrong = fit(&given, Numbers::I8, &t, &expected, &mut Habit::default());
        assert!(wrong.unwrap_err().contains("2 x 3 x 4"));
    }

    /// An array that leaves the order open lies as those before it, even if its
    /// own values fit the other order better.
    #[test]
    fn one_order_for_a_dump() {
        let square = Tensor {
            shape: Shape::new(2, 2, 2),
            ..tensor(Some((0.5, 3)), false)
        };
        let plain = |i: usize| i as f32;
        let as_planes = |i: usize| (i % 4 * 2 + i / 4) as f32;
        let expected = Data::Stored((0..8).collect());
        let take = |values: &dyn Fn(usize) -> f32, habit: &mut Habit| {
            let given = array(&[1, 2, 2, 2], values);
            fit(&given, Numbers::I8, &square, &expected, habit)
                .unwrap()
                .0
        };
        let mut planes = Habit::default();
        assert_eq!(take(&as_planes, &mut planes), expected);
        assert_eq!(take(&as_planes, &mut planes), expected);
        let wrong = take(&plain, &mut planes);
        assert_ne!(wrong, expected, "the third lies as the others");
        let mut told = Habit::default();
        let wide = tensor(Some((0.5, 3)), false);
        let given = array(&[1, 4, 2, 3], |i| (i % 6 * 4 + i / 6) as f32);
        let all = Data::Stored((0..24).collect());
        fit(&given, Numbers::I8, &wide, &all, &mut told).unwrap();
        assert_ne!(take(&plain, &mut told), expected, "a shape tells");
        assert_eq!(take(&as_planes, &mut told), expected);
    }

    /// int8, uint8, wider integers, dequantised floats and integers as floats.
    #[test]
    fn number_types() {
        let expected = Data::Stored((0..24).map(|i| i - 20).collect());
        let t = tensor(Some((0.37, -5)), false);
        let as_type = |f: &dyn Fn(f32) -> f32, numbers, t: &Tensor| {
            let given = array(&[2, 3, 4], |i| f(i as f32 - 20.0));
            fit(&given, numbers, t, &expected, &mut Habit::default())
                .unwrap()
                .0
        };
        assert_eq!(as_type(&|q| q, Numbers::I8, &t), expected);
        assert_eq!(as_type(&|q| q, Numbers::Wide, &t), expected);
        assert_eq!(as_type(&|q| q + 128.0, Numbers::U8, &t), expected);
        assert_eq!(as_type(&|q| (q + 5.0) * 0.37, Numbers::Float, &t), expected);
        assert_eq!(as_type(&|q| q, Numbers::Float, &t), expected);
        let unsigned = tensor(Some((0.37, -5)), true);
        assert_eq!(as_type(&|q| q + 128.0, Numbers::Wide, &unsigned), expected);
        let floats = tensor(None, false);
        let integers = fit(
            &array(&[2, 3, 4], |i| i as f32),
            Numbers::I8,
            &floats,
            &expected,
            &mut Habit::default(),
        );
        assert!(integers.unwrap_err().contains("integers"));
    }
}
