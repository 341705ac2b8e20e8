//! Calls `vela` and reads what it wrote: a TFLite file with one operator
//! `ethos-u`, whose inputs are the command stream, the weights, the two
//! scratches and the network's input.
//!
//! The command stream tensor wraps the stream for TFLite's runtime: `COP1`,
//! then actions of one word and what belongs to them, of which 1 states the
//! NPU (CONFIG and ID follow), 2 is the stream (bits 8 to 31 are its words,
//! highest byte first) and 5 fills up to a multiple of 16 bytes.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use foveola_core::net::quant::Quantisation;
use tract_tflite::tflite::{self, BuiltinOperator, Model, SubGraph, TensorType};

use super::AccelerateError;

/// What the compiler made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The command stream.
    pub commands: Vec<u8>,
    /// Weights, biases and tables, as the NPU reads them.
    pub weights: Vec<u8>,
    /// CONFIG register of the NPU that it is for.
    pub config: u32,
    /// ID register.
    pub id: u32,
    /// Bytes of the scratch.
    pub scratch: usize,
    /// Bytes of the fast scratch; 0 where it is the scratch.
    pub fast: usize,
    /// The network's input in the scratch.
    pub input: Port,
    /// Its output there.
    pub output: Port,
    /// What the compiler counted.
    pub counts: Counts,
}

/// A tensor of int8 in the scratch.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Where it begins.
    pub at: usize,
    /// Its elements.
    pub elements: usize,
    /// What they mean.
    pub stored: Quantisation,
}

/// What the compiler says of its work; nothing where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Operators on the NPU, as it split and merged them.
    pub npu: Option<u32>,
    /// Operators on the processor.
    pub processor: Option<u32>,
    /// Estimated cycles of one inference.
    pub cycles: Option<u64>,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> AccelerateError {
    let path = path.to_owned();
    move |source| AccelerateError::Io { path, source }
}

/// Compiles the file at `model`.
pub fn run(
    model: &Path,
    npu: &str,
    program: &str,
    arguments: &[String],
) -> Result<Made, AccelerateError> {
    let folder = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let output = Command::new(program)
        .arg(model)
        .args(["--accelerator-config", npu, "--output-dir"])
        .arg(folder.path())
        .args(arguments)
        .output();
    let output = output.map_err(|source| match source.kind() {
        ErrorKind::NotFound => AccelerateError::NoVela {
            program: program.to_owned(),
        },
        _ => io(Path::new(program))(source),
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    let path = folder.path().join(format!("{stem}_vela.tflite"));
    if !output.status.success() || !path.is_file() {
        let last = |text: &str| text.lines().rev().take(3).map(str::to_owned).collect();
        let mut lines: Vec<String> = last(if complained.is_empty() {
            &said
        } else {
            &complained
        });
        lines.reverse();
        return Err(AccelerateError::Failed {
            program: program.to_owned(),
            said: lines.join("; "),
        });
    }
    let bytes = std::fs::read(&path).map_err(io(&path))?;
    let counts = Counts {
        npu: counted(&said, "NPU operators = "),
        processor: counted(&said, "CPU operators = "),
        cycles: cycles(folder.path()),
    };
    Ok(Made {
        counts,
        ..read(&bytes)?
    })
}

/// The number after a text.
fn counted(said: &str, text: &str) -> Option<u32> {
    let (_, rest) = said.split_once(text)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The column `cycles_total` of the compiler's table.
fn cycles(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let mut tables = files.filter(|file| file.path().extension().is_some_and(|e| e == "csv"));
    let text = std::fs::read_to_string(tables.next()?.path()).ok()?;
    let mut lines = text.lines();
    let column = lines.next()?.split(',').position(|c| c == "cycles_total")?;
    let value: f64 = lines.next()?.split(',').nth(column)?.trim().parse().ok()?;
    Some(value as u64)
}

fn not_understood(reason: impl Into<String>) -> AccelerateError {
    AccelerateError::Output(reason.into())
}

/// Reads the compiler's TFLite file.
pub fn read(bytes: &[u8]) -> Result<Made, AccelerateError> {
    let model = tflite::root_as_model(bytes).map_err(|e| not_understood(e.to_string()))?;
    let graphs = model.subgraphs().filter(|graphs| graphs.len() == 1);
    let graph = graphs.ok_or_else(|| not_understood("it has not one subgraph"))?;
    let file = File {
        model,
        graph: graph.get(0),
    };
    file.read()
}

struct File<'a> {
    model: Model<'a>,
    graph: SubGraph<'a>,
}

impl<'a> File<'a> {
    fn read(&self) -> Result<Made, AccelerateError> {
        let inputs = self.npu_inputs()?;
        let &[stream, weights, scratch, fast, input] = &inputs[..] else {
            let n = inputs.len();
            return Err(not_understood(format!(
                "its operator has {n} inputs, not 5"
            )));
        };
        let outputs: Vec<i32> = self.graph.outputs().into_iter().flatten().collect();
        let &[output] = &outputs[..] else {
            return Err(not_understood("it has not one output"));
        };
        let wrapped = unwrap(self.constant(stream)?)?;
        let fast_bytes = if fast == scratch {
            0
        } else {
            self.elements(fast)?
        };
        Ok(Made {
            commands: wrapped.commands,
            weights: self.constant(weights)?.to_vec(),
            config: wrapped.config,
            id: wrapped.id,
            scratch: self.elements(scratch)?,
            fast: fast_bytes,
            input: self.port(input)?,
            output: self.port(output)?,
            counts: Counts::default(),
        })
    }

    /// Inputs of the operator `ethos-u`, which must be the only one.
    fn npu_inputs(&self) -> Result<Vec<i32>, AccelerateError> {
        let operators: Vec<_> = self.graph.operators().into_iter().flatten().collect();
        let names = operators.iter().map(|o| self.name(o.opcode_index()));
        let others: Vec<String> = names.filter(|name| name != "ethos-u").collect();
        match &operators[..] {
            [one] if others.is_empty() => Ok(one.inputs().into_iter().flatten().collect()),
            _ if others.is_empty() => Err(not_understood("several operators of the NPU")),
            _ => Err(AccelerateError::Processor(others)),
        }
    }

    /// Name of an operator code.
    fn name(&self, code: u32) -> String {
        let codes = self.model.operator_codes().into_iter().flatten();
        let Some(code) = codes.into_iter().nth(code as usize) else {
            return String::from("an operator without a code");
        };
        let old = BuiltinOperator(code.deprecated_builtin_code().into());
        let builtin = code.builtin_code().max(old);
        match builtin.variant_name() {
            Some("CUSTOM") => code.custom_code().unwrap_or("CUSTOM").to_owned(),
            Some(name) => name.to_owned(),
            None => format!("builtin operator {}", builtin.0),
        }
    }

    fn tensor(&self, index: i32) -> Result<tflite::Tensor<'a>, AccelerateError> {
        let tensors = self.graph.tensors();
        let found = usize::try_from(index).ok().zip(tensors);
        let found = found.filter(|(i, tensors)| *i < tensors.len());
        let found = found.map(|(i, tensors)| tensors.get(i));
        found.ok_or_else(|| not_understood(format!("there is no tensor {index}")))
    }

    fn elements(&self, index: i32) -> Result<usize, AccelerateError> {
        let shape = self.tensor(index)?.shape();
        let sides = shape.into_iter().flatten();
        let product = sides.into_iter().try_fold(1_usize, |product, side| {
            product.checked_mul(usize::try_from(side).ok()?)
        });
        let product = product.filter(|product| u32::try_from(*product).is_ok());
        product.ok_or_else(|| not_understood(format!("the shape of tensor {index}")))
    }

    fn buffer(&self, index: u32) -> Option<&'a [u8]> {
        let buffers = self.model.buffers()?;
        let buffer = (index as usize) < buffers.len();
        buffer
            .then(|| buffers.get(index as usize).data())?
            .map(|d| d.bytes())
    }

    fn constant(&self, index: i32) -> Result<&'a [u8], AccelerateError> {
        let data = self.buffer(self.tensor(index)?.buffer());
        let data = data.filter(|data| !data.is_empty());
        data.ok_or_else(|| not_understood(format!("tensor {index} has no values")))
    }

    /// A tensor of int8 in the scratch.
    fn port(&self, index: i32) -> Result<Port, AccelerateError> {
        let tensor = self.tensor(index)?;
        let scales = tensor.quantization();
        let scale = scales.and_then(|q| q.scale()).filter(|s| s.len() == 1);
        let zero = scales.and_then(|q| q.zero_point()).filter(|z| z.len() == 1);
        let zero = zero.and_then(|zero| i8::try_from(zero.get(0)).ok());
        let stored = scale.zip(zero).map(|(scale, zero_point)| Quantisation {
            scale: scale.get(0),
            zero_point,
        });
        let stored = stored.filter(|_| tensor.type_() == TensorType::INT8);
        Ok(Port {
            at: self.place(index)?,
            elements: self.elements(index)?,
            stored: stored.ok_or_else(|| not_understood(format!("tensor {index} is not int8")))?,
        })
    }

    /// Where a tensor begins in the scratch: the metadata `OfflineMemoryAllocation`
    /// are i32: version, subgraphs, tensors, then one offset a tensor.
    fn place(&self, index: i32) -> Result<usize, AccelerateError> {
        const NAME: &str = "OfflineMemoryAllocation";
        let metadata = self.model.metadata().into_iter().flatten();
        let mut named = metadata.filter(|entry| entry.name() == Some(NAME));
        let data = named.next().and_then(|entry| self.buffer(entry.buffer()));
        let words = data.unwrap_or_default().as_chunks::<4>().0;
        let at = usize::try_from(index).ok().and_then(|i| words.get(3 + i));
        let at = at.and_then(|word| usize::try_from(i32::from_le_bytes(*word)).ok());
        at.ok_or_else(|| not_understood(format!("the place of tensor {index}")))
    }
}

/// A command stream without its wrapping.
struct Wrapped {
    config: u32,
    id: u32,
    commands: Vec<u8>,
}

fn unwrap(bytes: &[u8]) -> Result<Wrapped, AccelerateError> {
    let cut = || not_understood("its command stream is cut off");
    let (words, rest) = bytes.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
    if words.next() != Some(u32::from_le_bytes(*b"COP1")) || !rest.is_empty() {
        return Err(not_understood(
            "its command stream does not begin with COP1",
        ));
    }
    let (mut npu, mut commands) = (None, None);
    while let Some(action) = words.next() {
        match action & 0xFF {
            1 => npu = words.next().zip(words.next()),
            2 => {
                let length = (action >> 8 & 0xFF) << 16 | action >> 16;
                let stream: Vec<u32> = words.by_ref().take(length as usize).collect();
                if stream.len() != length as usize {
                    return Err(cut());
                }
                commands = Some(stream.into_iter().flat_map(u32::to_le_bytes).collect());
            }
            5 => {}
            other => return Err(not_understood(format!("action {other} of its stream"))),
        }
    }
    let (config, id) = npu.ok_or_else(cut)?;
    Ok(Wrapped {
        config,
        id,
        commands: commands.ok_or_else(cut)?,
    })
}
