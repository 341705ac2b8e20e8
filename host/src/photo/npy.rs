//! `.npy` files: tensors in a model's own input space, and masks.

use half::f16;
use ndarray::{Array3, Array4, ArrayD};
use ndarray_npy::{ReadNpyExt, ReadableElement};

use super::Intake;
use crate::graph::{InputType, Layout};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Whether a file starts as a `.npy` file does.
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The element type as the header names it, without byte order: `f4`, `u1`, ..
fn element_type(bytes: &[u8]) -> Option<&str> {
    let header = &bytes[..bytes.len().min(256)];
    let line = header.split(|b| *b == b'\n').next()?;
    let text = line.get(line.iter().position(|b| *b == b'{')?..)?;
    let text = std::str::from_utf8(text).ok()?;
    let descr = text.split("'descr':").nth(1)?.split('\'').nth(1)?;
    Some(descr.trim_start_matches(['<', '>', '|', '=']))
}

fn read<T: ReadableElement>(bytes: &[u8]) -> Result<ArrayD<T>, String> {
    ArrayD::<T>::read_npy(bytes).map_err(|e| e.to_string())
}

/// Half precision is read as its bits: the reader knows no such type.
fn read_f16(bytes: &[u8]) -> Result<ArrayD<f32>, String> {
    let mut bytes = bytes.to_vec();
    let at = bytes
        .windows(3)
        .take(256)
        .position(|w| w == b"<f2")
        .ok_or("big-endian half precision is not read")?;
    bytes[at + 1] = b'u';
    Ok(read::<u16>(&bytes)?.mapv(|bits| f16::from_bits(bits).to_f32()))
}

/// A tensor for the network, HWC in f32.
///
/// # Errors
/// Another type or shape than the network's, or NaN, in words.
pub fn read_tensor(bytes: &[u8], intake: &Intake<'_>) -> Result<Vec<f32>, String> {
    let found = element_type(bytes).ok_or("its header is not that of a .npy file")?;
    let float = matches!(intake.input_type, InputType::F32 | InputType::F16);
    let values = match (found, float, intake.input_type) {
        ("f4", true, _) => read::<f32>(bytes)?,
        ("f8", true, _) => read::<f64>(bytes)?.mapv(|v| v as f32),
        ("f2", true, _) => read_f16(bytes)?,
        ("u1", _, InputType::U8) => read::<u8>(bytes)?.mapv(f32::from),
        ("i1", _, InputType::I8) => read::<i8>(bytes)?.mapv(f32::from),
        ("f4", false, kind) => whole(read::<f32>(bytes)?, kind)?,
        _ => {
            return Err(format!(
                "it holds {found} numbers, the network takes {}",
                match intake.input_type {
                    InputType::F32 => "f4 (32-bit float)",
                    InputType::F16 => "f2 (16-bit float)",
                    InputType::U8 => "u1 (8-bit unsigned)",
                    InputType::I8 => "i1 (8-bit signed)",
                }
            ));
        }
    };
    if values.iter().any(|v| !v.is_finite()) {
        return Err(String::from("it holds NaN or infinity"));
    }
    to_hwc(values, intake)
}

/// Floats for a network that takes integers: each must be one of them.
fn whole(values: ArrayD<f32>, kind: InputType) -> Result<ArrayD<f32>, String> {
    let range = match kind {
        InputType::U8 => 0.0..=255.0,
        _ => -128.0..=127.0,
    };
    match values
        .iter()
        .find(|v| v.fract() != 0.0 || !range.contains(*v))
    {
        Some(v) => Err(format!("it holds {v}, the network takes 8-bit integers")),
        None => Ok(values),
    }
}

/// From the model's layout to HWC.
fn to_hwc(values: ArrayD<f32>, intake: &Intake<'_>) -> Result<Vec<f32>, String> {
    let s = intake.shape;
    let expected = match intake.layout {
        Layout::Nchw => vec![s.c, s.h, s.w],
        Layout::Nhwc => vec![s.h, s.w, s.c],
        Layout::Flat => vec![s.len()],
    };
    let found = values.shape().to_vec();
    let bare = match found.strip_prefix(&[1]) {
        Some(rest) if rest.len() == expected.len() => rest.to_vec(),
        _ => found.clone(),
    };
    let plane = s.c == 1 && intake.layout != Layout::Flat && bare == [s.h, s.w];
    if bare != expected && !plane {
        return Err(format!(
            "its shape is {}, the network takes {}, with or without a leading 1",
            list(&found),
            list(&expected)
        ));
    }
    let flat: Vec<f32> = values.iter().copied().collect();
    if intake.layout != Layout::Nchw {
        return Ok(flat);
    }
    let area = s.area();
    let pixels = (0..area).flat_map(|p| (0..s.c).map(move |c| c * area + p));
    Ok(pixels.map(|i| flat[i]).collect())
}

fn list(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({})", sides.join(", "))
}

/// Masks N x H x W with weights 0..1: f32, or u8 as byte / 255.
///
/// # Errors
/// Not such a file, in words.
pub fn read_masks(bytes: &[u8]) -> Result<Array3<f32>, String> {
    let masks = match element_type(bytes) {
        Some("u1") => read::<u8>(bytes)?.mapv(|v| f32::from(v) / 255.0),
        Some("f4") => read::<f32>(bytes)?,
        Some("f8") => read::<f64>(bytes)?.mapv(|v| v as f32),
        Some(other) => return Err(format!("it holds {other} numbers, not f4 or u1")),
        None => return Err(String::from("it is not a .npy file")),
    };
    let shape = list(masks.shape());
    let masks = masks
        .into_dimensionality()
        .map_err(|_| format!("its shape is {shape}, not masks, height, width"))?;
    match masks.iter().all(|v| (0.0..=1.0).contains(v)) {
        true => Ok(masks),
        false => Err(String::from("it holds weights outside 0..1")),
    }
}

/// The kind of numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
    /// Wider integers.
    Wide,
    /// Floats.
    Float,
}

/// An array of any type that engines write, as f32 (integers above 2^24 lose bits).
///
/// # Errors
/// A malformed file or another type, in words.
pub fn read_any(bytes: &[u8]) -> Result<(ArrayD<f32>, Numbers), String> {
    let found = element_type(bytes).ok_or("it is not a .npy file")?;
    Ok(match found {
        "i1" => (read::<i8>(bytes)?.mapv(f32::from), Numbers::I8),
        "u1" => (read::<u8>(bytes)?.mapv(f32::from), Numbers::U8),
        "i2" => (read::<i16>(bytes)?.mapv(f32::from), Numbers::Wide),
        "u2" => (read::<u16>(bytes)?.mapv(f32::from), Numbers::Wide),
        "i4" => (read::<i32>(bytes)?.mapv(|v| v as f32), Numbers::Wide),
        "i8" => (read::<i64>(bytes)?.mapv(|v| v as f32), Numbers::Wide),
        "f2" => (read_f16(bytes)?, Numbers::Float),
        "f4" => (read::<f32>(bytes)?, Numbers::Float),
        "f8" => (read::<f64>(bytes)?.mapv(|v| v as f32), Numbers::Float),
        other => return Err(format!("it holds {other} numbers, which are not read")),
    })
}

/// Stored noise, N,C,H,W in f32, model space.
///
/// # Errors
/// Another type or shape, or NaN, in words.
pub fn read_noise(bytes: &[u8]) -> Result<Array4<f32>, String> {
    let values = match element_type(bytes).ok_or("its header is not that of a .npy file")? {
        "f4" => read::<f32>(bytes)?,
        "f8" => read::<f64>(bytes)?.mapv(|v| v as f32),
        found => return Err(format!("it holds {found} numbers, noise is f4")),
    };
    if values.iter().any(|v| !v.is_finite()) {
        return Err(String::from("it holds NaN or infinity"));
    }
    let axes = values.ndim();
    let wrong = |_| format!("it has {axes} axes; noise is N,C,H,W");
    values.into_dimensionality().map_err(wrong)
}
