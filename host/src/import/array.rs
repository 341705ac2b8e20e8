//! Constant arrays: initialisers and what is computed from them at import.

use std::rc::Rc;

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::error::ImportError;

/// Most elements that all constants of a model may hold together.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;

/// Values of a constant. All float types become `f32`, all integer types and
/// booleans `i64`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Int(Vec<i64>),
    Text(Vec<String>),
}

/// The integers that real numbers were dequantised from:
/// real = (stored - zero point) * scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    /// One an element.
    pub stored: Vec<i32>,
    /// One, or one a channel of the file's axis.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i32>,
    /// Each element's channel; empty where there is one scale.
    pub channels: Vec<u32>,
}

impl Origin {
    /// Scale and zero point of an element.
    pub fn step(&self, element: usize) -> (f32, i32) {
        let channel = self.channels.get(element).map_or(0, |&c| c as usize);
        (self.scales[channel], self.zero_points[channel])
    }

    fn pick(&self, indices: &[usize]) -> Option<Self> {
        Some(Self {
            stored: take(&self.stored, indices)?,
            scales: self.scales.clone(),
            zero_points: self.zero_points.clone(),
            channels: match self.channels[..] {
                [] => vec![],
                _ => take(&self.channels, indices)?,
            },
        })
    }
}

/// A constant in ONNX's row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub dims: Vec<usize>,
    pub data: Data,
    /// For 8-bit integers, whether they are unsigned.
    pub unsigned: Option<bool>,
    /// For dequantised numbers, where they come from.
    pub origin: Option<Rc<Origin>>,
}

fn take<T: Clone>(from: &[T], at: &[usize]) -> Option<Vec<T>> {
    at.iter().map(|&i| from.get(i).cloned()).collect()
}

impl Array {
    pub fn new(dims: Vec<usize>, data: Data) -> Self {
        Self {
            dims,
            data,
            unsigned: None,
            origin: None,
        }
    }

    pub fn vector(data: Data) -> Self {
        let len = match &data {
            Data::Float(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Text(v) => v.len(),
        };
        Self::new(vec![len], data)
    }

    pub fn scalar(data: Data) -> Self {
        Self::new(vec![], data)
    }

    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The values as floats; `None` for text.
    pub fn floats(&self) -> Option<Vec<f32>> {
        match &self.data {
            Data::Float(v) => Some(v.clone()),
            Data::Int(v) => Some(v.iter().map(|&i| i as f32).collect()),
            Data::Text(_) => None,
        }
    }

    /// The values as integers; `None` for floats and text.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(v) => Some(v),
            _ => None,
        }
    }

    /// A new array whose elements are picked from this one. `None` where an
    /// index lies outside.
    pub fn pick(&self, dims: Vec<usize>, indices: impl Iterator<Item = usize>) -> Option<Self> {
        let at: Vec<usize> = indices.collect();
        let data = match &self.data {
            Data::Float(v) => Data::Float(take(v, &at)?),
            Data::Int(v) => Data::Int(take(v, &at)?),
            Data::Text(v) => Data::Text(take(v, &at)?),
        };
        let origin = match &self.origin {
            Some(origin) => Some(Rc::new(origin.pick(&at)?)),
            None => None,
        };
        Some(Self {
            dims,
            data,
            unsigned: self.unsigned,
            origin,
        })
    }

    /// The same elements under other dimensions of the same product.
    pub fn with_dims(&self, dims: Vec<usize>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), self.len());
        Self {
            dims,
            ..self.clone()
        }
    }
}

/// Product of dimensions, within [`MAX_ELEMENTS`].
pub(super) fn element_count(dims: &[usize]) -> Option<usize> {
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= MAX_ELEMENTS)
}

/// Row-major strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    strides
}

/// Offsets of a strided block, last dimension fastest.
pub(super) struct Offsets {
    sizes: Vec<usize>,
    strides: Vec<usize>,
    index: Vec<usize>,
    offset: usize,
    left: usize,
}

impl Offsets {
    pub fn new(sizes: &[usize], strides: &[usize], start: usize) -> Self {
        Self {
            sizes: sizes.to_vec(),
            strides: strides.to_vec(),
            index: vec![0; sizes.len()],
            offset: start,
            left: sizes.iter().product(),
        }
    }
}

impl Iterator for Offsets {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let here = self.offset;
        for d in (0..self.sizes.len()).rev() {
            self.index[d] += 1;
            self.offset += self.strides[d];
            if self.index[d] < self.sizes[d] {
                break;
            }
            self.offset -= self.strides[d] * self.sizes[d];
            self.index[d] = 0;
        }
        Some(here)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Reads a tensor whose values lie in the file itself or, given apart, in `raw`.
pub(super) fn from_proto(proto: &TensorProto, raw: Option<&[u8]>) -> Result<Array, ImportError> {
    let fail = |reason: String| ImportError::Tensor {
        tensor: proto.name.clone(),
        reason,
    };
    let dims = dimensions(proto)?;
    let count = element_count(&dims).ok_or_else(|| {
        fail(format!(
            "dimensions {dims:?} exceed {MAX_ELEMENTS} elements"
        ))
    })?;
    let kind = DataType::try_from(proto.data_type)
        .map_err(|_| fail(format!("data type {} is unknown", proto.data_type)))?;
    let raw = raw.or((!proto.raw_data.is_empty()).then_some(&proto.raw_data[..]));
    let data = match raw {
        Some(bytes) => from_raw(bytes, kind, count).map_err(fail)?,
        None => from_fields(proto, kind).map_err(fail)?,
    };
    let found = match &data {
        Data::Float(v) => v.len(),
        Data::Int(v) => v.len(),
        Data::Text(v) => v.len(),
    };
    if found != count {
        return Err(fail(format!(
            "dimensions {dims:?} need {count} elements, the file holds {found}"
        )));
    }
    let unsigned = match kind {
        DataType::Uint8 => Some(true),
        DataType::Int8 => Some(false),
        _ => None,
    };
    Ok(Array {
        unsigned,
        ..Array::new(dims, data)
    })
}

fn dimensions(proto: &TensorProto) -> Result<Vec<usize>, ImportError> {
    proto
        .dims
        .iter()
        .map(|&d| {
            usize::try_from(d).map_err(|_| ImportError::Tensor {
                tensor: proto.name.clone(),
                reason: format!("dimension {d} is negative"),
            })
        })
        .collect()
}

/// Bytes of one element; `None` for types that do not occur in classifiers.
pub(super) fn element_bytes(kind: DataType) -> Option<usize> {
    match kind {
        DataType::Uint8 | DataType::Int8 | DataType::Bool => Some(1),
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => Some(2),
        DataType::Float | DataType::Int32 | DataType::Uint32 => Some(4),
        DataType::Double | DataType::Int64 | DataType::Uint64 => Some(8),
        _ => None,
    }
}

fn from_raw(bytes: &[u8], kind: DataType, count: usize) -> Result<Data, String> {
    let width = element_bytes(kind)
        .ok_or_else(|| format!("values of type {} cannot be used", kind.as_str_name()))?;
    if count.checked_mul(width) != Some(bytes.len()) {
        return Err(format!(
            "{count} elements of {width} bytes need {} bytes, the file holds {}",
            count.saturating_mul(width),
            bytes.len()
        ));
    }
    fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
    }
    Ok(match kind {
        DataType::Float => Data::Float(each(bytes, f32::from_le_bytes)),
        DataType::Double => Data::Float(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        DataType::Float16 => Data::Float(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        DataType::Bfloat16 => Data::Float(each(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
        DataType::Uint8 | DataType::Bool => Data::Int(each(bytes, |[b]| i64::from(b))),
        DataType::Int8 => Data::Int(each(bytes, |b| i64::from(i8::from_le_bytes(b)))),
        DataType::Uint16 => Data::Int(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        DataType::Int16 => Data::Int(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        DataType::Uint32 => Data::Int(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        DataType::Int32 => Data::Int(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        DataType::Int64 => Data::Int(each(bytes, i64::from_le_bytes)),
        _ => Data::Int(each(bytes, |b| u64::from_le_bytes(b) as i64)),
    })
}

fn from_fields(proto: &TensorProto, kind: DataType) -> Result<Data, String> {
    /// 16-bit floats lie in the low halves of 32-bit integers.
    fn halves(bits: &[i32], read: fn(u16) -> f32) -> Data {
        Data::Float(bits.iter().map(|&v| read(v as u16)).collect())
    }
    let small = &proto.int32_data;
    Ok(match kind {
        DataType::Float => Data::Float(proto.float_data.clone()),
        DataType::Double => Data::Float(proto.double_data.iter().map(|&v| v as f32).collect()),
        DataType::Float16 => halves(small, |b| half::f16::from_bits(b).to_f32()),
        DataType::Bfloat16 => halves(small, |b| half::bf16::from_bits(b).to_f32()),
        DataType::Int64 => Data::Int(proto.int64_data.clone()),
        DataType::Uint32 | DataType::Uint64 => {
            Data::Int(proto.uint64_data.iter().map(|&v| v as i64).collect())
        }
        DataType::String => {
            let text = |s: &Vec<u8>| String::from_utf8_lossy(s).into_owned();
            Data::Text(proto.string_data.iter().map(text).collect())
        }
        other if element_bytes(other).is_some() => {
            Data::Int(small.iter().map(|&v| i64::from(v)).collect())
        }
        other => {
            let name = other.as_str_name();
            return Err(format!("values of type {name} cannot be used"));
        }
    })
}
