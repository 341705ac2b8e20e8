//! The parts of a verified TFLite flatbuffer that the import reads, checked
//! further: shapes, scales, and that the bytes of constants fit them.
//!
//! The table types are tract's, generated from TensorFlow's
//! `tensorflow/lite/schema/schema.fbs` (version 3); the flatbuffers verifier
//! has seen every offset, length, vtable and string before one is followed.

use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};
use half::f16;
use tract_tflite::tflite::{self, BuiltinOperator, Model, Operator, SubGraph, TensorType};

use super::super::array::element_count;
use super::super::error::ImportError;
use super::error::TfliteError;
use crate::graph::Quant;

/// What stands at byte 4 of every TFLite file.
const IDENTIFIER: &[u8] = b"TFL3";
/// Most tables of a file: operators, tensors, buffers and what belongs to them.
const MAX_TABLES: usize = 1 << 20;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// Whether the bytes start as a TFLite file does.
pub(crate) fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(IDENTIFIER)
}

/// Scales and zero points as the file gives them.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    /// One, or one for each index of the quantised dimension; finite and above 0.
    pub scales: Vec<f32>,
    /// As many, in the tensor's own integers.
    pub zero_points: Vec<i64>,
    pub dimension: usize,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub index: usize,
    /// Its name, or `#` and its index where it has none.
    pub name: String,
    pub dims: Vec<usize>,
    /// Dimensions that the file leaves open (it then holds a 1 in `dims`).
    pub open: Vec<bool>,
    /// Whether the file tells the shape.
    pub has_shape: bool,
    pub kind: TensorType,
    pub scales: Option<Scales>,
    /// Values, if it is a constant: as many bytes as the shape needs.
    pub data: Option<&'a [u8]>,
}

/// The network of a file.
pub(super) struct File<'a> {
    pub model: Model<'a>,
    pub operators: Vec<Operator<'a>>,
    pub entries: Vec<Entry<'a>>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
    /// Builtin operator and custom name of each operator code.
    pub codes: Vec<(BuiltinOperator, &'a str)>,
}

fn no_graph(reason: &str) -> ImportError {
    let reason = reason.to_owned();
    TfliteError::NoGraph { reason }.into()
}

impl<'a> File<'a> {
    /// Verifies the buffer and reads the first subgraph.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let options = VerifierOptions {
            max_tables: MAX_TABLES,
            // What is shared counts each time; only vtables and names are.
            max_apparent_size: bytes.len().saturating_mul(16).saturating_add(1 << 20),
            ..VerifierOptions::default()
        };
        let model =
            tflite::root_as_model_with_opts(&options, bytes).map_err(|e| TfliteError::Decode {
                reason: e.to_string().lines().next().unwrap_or("").to_owned(),
            })?;
        if model.version() != 3 {
            let found = model.version();
            return Err(TfliteError::Version { found }.into());
        }
        let graph = first_subgraph(&model)?;
        let entries = entries(&model, &graph)?;
        let operators: Vec<_> = graph.operators().iter().flatten().collect();
        let ports = |ids: Option<Vector<'a, i32>>| -> Result<Vec<usize>, ImportError> {
            let ids = ids.iter().flatten();
            ids.map(|i| {
                index(i, entries.len()).ok_or_else(|| no_graph(&format!("it lists a tensor {i}")))
            })
            .collect()
        };
        Ok(Self {
            model,
            inputs: ports(graph.inputs())?,
            outputs: ports(graph.outputs())?,
            codes: codes(&model),
            operators,
            entries,
        })
    }

    /// The operator's kind and name; unknown codes are named by their number.
    pub fn operator(&self, operator: &Operator<'_>) -> (BuiltinOperator, String) {
        let at = operator.opcode_index() as usize;
        let Some(&(code, custom)) = self.codes.get(at) else {
            return (
                BuiltinOperator(-1),
                format!("operator code {at}, which does not exist"),
            );
        };
        let name = match code.variant_name() {
            Some("CUSTOM") => format!("CUSTOM {custom}"),
            Some(name) => name.to_owned(),
            None => format!("builtin operator {}", code.0),
        };
        (code, name)
    }
}

/// A tensor's index; `None` outside the subgraph.
pub(super) fn index(given: i32, count: usize) -> Option<usize> {
    usize::try_from(given).ok().filter(|&i| i < count)
}

fn first_subgraph<'a>(model: &Model<'a>) -> Result<SubGraph<'a>, ImportError> {
    model
        .subgraphs()
        .filter(|s| !s.is_empty())
        .map(|s| s.get(0))
        .ok_or_else(|| no_graph("there is no subgraph"))
}

/// Old files keep the code in a byte, new ones keep it apart; the larger counts.
fn codes<'a>(model: &Model<'a>) -> Vec<(BuiltinOperator, &'a str)> {
    let codes = model.operator_codes().into_iter().flatten().map(|code| {
        let builtin = code
            .builtin_code()
            .0
            .max(code.deprecated_builtin_code().into());
        (BuiltinOperator(builtin), code.custom_code().unwrap_or(""))
    });
    codes.collect()
}

type Buffers<'a> = Option<Vector<'a, ForwardsUOffset<tflite::Buffer<'a>>>>;

fn entries<'a>(model: &Model<'a>, graph: &SubGraph<'a>) -> Result<Vec<Entry<'a>>, ImportError> {
    let buffers = model.buffers();
    let tensors = graph.tensors().into_iter().flatten().enumerate();
    tensors
        .map(|(i, tensor)| entry(i, &tensor, &buffers))
        .collect()
}

fn entry<'a>(
    index: usize,
    tensor: &tflite::Tensor<'a>,
    buffers: &Buffers<'a>,
) -> Result<Entry<'a>, ImportError> {
    let name = match tensor.name() {
        None | Some("") => format!("#{index}"),
        Some(name) => name.to_owned(),
    };
    let fail = |reason: String| TfliteError::Tensor {
        index,
        name: name.clone(),
        reason,
    };
    let dims = dims(tensor.shape()).map_err(fail)?;
    let signature = tensor.shape_signature();
    let signature: Vec<i32> = signature.iter().flatten().take(MAX_RANK).collect();
    let open = (0..dims.len()).map(|d| signature.get(d).is_some_and(|&n| n < 0));
    let buffer = tensor.buffer() as usize;
    let data = match buffers {
        Some(b) if buffer < b.len() => b.get(buffer).data().map(|d| d.bytes()),
        _ if buffer == 0 => None,
        _ => return Err(fail(format!("it names buffer {buffer}, which does not exist")).into()),
    };
    let data = data.filter(|d| !d.is_empty());
    let entry = Entry {
        index,
        open: open.collect(),
        has_shape: tensor.shape().is_some_and(|s| !s.is_empty()) || tensor.has_rank(),
        kind: tensor.type_(),
        scales: scales(tensor, &dims).map_err(fail)?,
        data,
        dims,
        name: name.clone(),
    };
    if data.is_some() {
        let sparse = tensor.sparsity().is_some();
        entry.check_data(sparse).map_err(fail)?;
    }
    Ok(entry)
}

fn dims(shape: Option<Vector<'_, i32>>) -> Result<Vec<usize>, String> {
    let rank = shape.as_ref().map_or(0, Vector::len);
    if rank > MAX_RANK {
        return Err(format!(
            "it has {rank} dimensions; {MAX_RANK} at most are read"
        ));
    }
    let shape: Vec<i32> = shape.iter().flatten().collect();
    let dims: Option<Vec<usize>> = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    match dims {
        Some(dims) if element_count(&dims).is_some() => Ok(dims),
        Some(_) => Err(format!("its shape {shape:?} is too large")),
        None => Err(format!("its shape is {shape:?}")),
    }
}

/// Scales, if there are any, of the right number.
fn scales(tensor: &tflite::Tensor<'_>, dims: &[usize]) -> Result<Option<Scales>, String> {
    let Some(given) = tensor.quantization() else {
        return Ok(None);
    };
    let scales: Vec<f32> = given.scale().iter().flatten().collect();
    if scales.is_empty() {
        return Ok(None);
    }
    if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(format!("one of its scales is {scale}"));
    }
    let mut zero_points: Vec<i64> = given.zero_point().iter().flatten().collect();
    if zero_points.is_empty() || (zero_points.len() == 1 && scales.len() > 1) {
        let zero_point = zero_points.first().copied().unwrap_or(0);
        zero_points = vec![zero_point; scales.len()];
    }
    if zero_points.len() != scales.len() {
        return Err(format!(
            "it has {} scales and {} zero points",
            scales.len(),
            zero_points.len()
        ));
    }
    // The dimension of a single scale means nothing; some writers leave one
    // there that does not exist.
    let dimension = usize::try_from(given.quantized_dimension()).unwrap_or(usize::MAX);
    if scales.len() > 1 && dims.get(dimension) != Some(&scales.len()) {
        return Err(format!(
            "{} scales along dimension {} do not fit its shape {dims:?}",
            scales.len(),
            given.quantized_dimension()
        ));
    }
    Ok(Some(Scales {
        scales,
        zero_points,
        dimension,
    }))
}

/// Bytes of one element; `None` for types that no classifier computes with.
fn element_bytes(kind: TensorType) -> Option<usize> {
    match kind {
        TensorType::INT8 | TensorType::UINT8 | TensorType::BOOL => Some(1),
        TensorType::INT16 | TensorType::FLOAT16 => Some(2),
        TensorType::FLOAT32 | TensorType::INT32 => Some(4),
        TensorType::INT64 | TensorType::FLOAT64 => Some(8),
        _ => None,
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
}

impl Entry<'_> {
    fn check_data(&self, sparse: bool) -> Result<(), String> {
        let Some(data) = self.data else { return Ok(()) };
        let Some(width) = element_bytes(self.kind) else {
            // Refused where an operator reads it.
            return Ok(());
        };
        let wanted = self.elements() * width;
        if !sparse && data.len() != wanted {
            return Err(format!(
                "shape {:?} needs {wanted} bytes, its buffer holds {}",
                self.dims,
                data.len()
            ));
        }
        match sparse {
            true => Err("its values are stored sparsely, which is not read".into()),
            false => Ok(()),
        }
    }

    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Name of the number type.
    pub fn kind_name(&self) -> &'static str {
        self.kind.variant_name().unwrap_or("of an unknown type")
    }

    /// Constant integers as stored; `None` for other types and where there are none.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let data = self.data?;
        Some(match self.kind {
            TensorType::INT8 => each(data, |b| i8::from_le_bytes(b).into()),
            TensorType::UINT8 => each(data, |[b]| b.into()),
            TensorType::INT16 => each(data, |b| i16::from_le_bytes(b).into()),
            TensorType::INT32 => each(data, |b| i32::from_le_bytes(b).into()),
            TensorType::INT64 => each(data, i64::from_le_bytes),
            _ => return None,
        })
    }

    /// Constant real numbers: floats, or integers by their scales.
    pub fn reals(&self) -> Option<Vec<f32>> {
        let data = self.data?;
        match self.kind {
            TensorType::FLOAT32 => return Some(each(data, f32::from_le_bytes)),
            TensorType::FLOAT16 => {
                return Some(each(data, |b| f16::from_le_bytes(b).to_f32()));
            }
            _ => {}
        }
        let integers = self.integers()?;
        let Scales {
            scales,
            zero_points,
            dimension,
        } = self.scales.as_ref()?;
        // Elements between neighbours along the quantised dimension.
        let run = match scales.len() {
            1 => 1,
            _ => self
                .dims
                .get(dimension + 1..)?
                .iter()
                .product::<usize>()
                .max(1),
        };
        let real = |(i, q): (usize, i64)| {
            let channel = i / run % scales.len();
            (q.saturating_sub(zero_points[channel])) as f32 * scales[channel]
        };
        Some(integers.into_iter().enumerate().map(real).collect())
    }

    /// How an activation is stored: `Ok(None)` is f32.
    pub fn quant(&self) -> Result<Option<Quant>, String> {
        let (unsigned, offset) = match self.kind {
            TensorType::FLOAT32 => return Ok(None),
            TensorType::INT8 => (false, 0),
            TensorType::UINT8 => (true, 128),
            _ => {
                return Err(format!(
                    "\"{}\" is {}; FLOAT32, INT8 and UINT8 work",
                    self.name,
                    self.kind_name()
                ));
            }
        };
        let Some(scales) = &self.scales else {
            return Err(format!(
                "\"{}\" is {} without a scale",
                self.name,
                self.kind_name()
            ));
        };
        let (&[scale], &[zero_point]) = (&scales.scales[..], &scales.zero_points[..]) else {
            return Err(format!("\"{}\" has a scale for each channel", self.name));
        };
        let Ok(zero_point) = i8::try_from(zero_point.saturating_sub(offset)) else {
            return Err(format!("\"{}\" has zero point {zero_point}", self.name));
        };
        Ok(Some(Quant {
            scale,
            zero_point,
            unsigned,
        }))
    }
}
