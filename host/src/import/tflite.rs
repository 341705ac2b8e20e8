//! Import of TFLite, float, int8 and uint8, from the verified flatbuffer.
//!
//! Every tensor of the file is a constant or a view of one of our tensors;
//! operators are lowered one to one, with the fused activation on the node.
//! int8 and uint8 stay as the file has them, with its own scales (see
//! [`Quant`](crate::graph::Quant)). What has no int8 kernel is computed in f32
//! between a `Dequantise` and a `Quantise`.
//!
//! **Names.** A tensor goes by its name in the file and by `#` and its index
//! there; a node by its index and operator, `5.CONV_2D`. The f32 value of an
//! int8 tensor is `NAME/f32`; so is the graph's own input where the model
//! takes integers: it holds those integers.

mod builder;
mod call;
mod elementwise;
mod error;
mod file;
mod linear;
mod parts;
mod pool;
mod ports;
mod rename;
mod window;

use std::collections::BTreeMap;

use foveola_core::TensorId;
use tract_tflite::tflite::BuiltinOperator;

use self::builder::Builder;
use self::call::{Call, Value};
pub use self::error::TfliteError;
use self::file::File;
pub(crate) use self::file::is_tflite;
use super::error::{ImportError, Stop, UnsupportedNode};
use super::{Format, Imported, Options, table};
use crate::graph::Graph;

/// Most elements that all constants together may have when read.
const MAX_CONSTANTS: usize = 1 << 27;

/// Imports a file's bytes.
///
/// # Errors
/// Says what is wrong with the file, where, and what to do.
pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let file = File::read(bytes)?;
    let wanted = Wanted::new(&file)?;
    let constant = |c: bool| c.then_some(Value::Constant);
    let values = file.entries.iter().map(|e| constant(e.data.is_some()));
    // A network may read a constant several times, not without end.
    let most = bytes.len().saturating_mul(4).min(MAX_CONSTANTS);
    let mut b = Builder::new(values.collect(), most);
    let input = ports::input(&file, &wanted.reads, options.input_size)?;
    let view = ports::add_input(&mut b, &file, &input)?;
    b.values[input.entry] = Some(Value::Activation(view));
    let unsupported = lower_operators(&mut b, &file, &wanted)?;
    let Some((scores, name)) = ports::scores(&mut b, &file)? else {
        return Err(TfliteError::Unsupported { nodes: unsupported }.into());
    };
    let (output, logits) = ports::real_scores(&mut b, scores)?;
    Ok(finish(b, &file, &input, name, output, logits))
}

/// What the outputs need: operators that nothing reads are left out.
struct Wanted {
    /// Which operator makes a tensor.
    makers: Vec<Option<usize>>,
    operators: Vec<bool>,
    /// Tensors that are read.
    reads: Vec<bool>,
}

impl Wanted {
    fn new(file: &File<'_>) -> Result<Self, ImportError> {
        let mut makers = vec![None; file.entries.len()];
        for (i, operator) in file.operators.iter().enumerate() {
            for output in operator.outputs().iter().flatten() {
                let maker = file::index(output, makers.len()).map(|o| &mut makers[o]);
                if maker.is_some_and(|m| m.replace(i).is_some()) {
                    let tensor = file.entries[output as usize].name.clone();
                    return Err(ImportError::Duplicate { tensor });
                }
            }
        }
        let mut wanted = Self {
            makers,
            operators: vec![false; file.operators.len()],
            reads: vec![false; file.entries.len()],
        };
        wanted.trace(file);
        Ok(wanted)
    }

    fn trace(&mut self, file: &File<'_>) {
        let mut open = file.outputs.clone();
        while let Some(tensor) = open.pop() {
            if std::mem::replace(&mut self.reads[tensor], true) {
                continue;
            }
            let Some(maker) = self.makers[tensor] else {
                continue;
            };
            self.operators[maker] = true;
            let operator = &file.operators[maker];
            let count = read_inputs(file.operator(operator).0);
            let inputs = operator.inputs();
            let inputs = inputs.iter().flatten().take(count);
            open.extend(inputs.filter_map(|i| file::index(i, self.reads.len())));
        }
    }
}

/// How many inputs the lowering reads: the shape of what only renames is that
/// of its output.
fn read_inputs(code: BuiltinOperator) -> usize {
    match code {
        BuiltinOperator::RESHAPE | BuiltinOperator::SQUEEZE | BuiltinOperator::EXPAND_DIMS => 1,
        _ => usize::MAX,
    }
}

/// Lowers the operators in file order, which is the order of running.
fn lower_operators(
    b: &mut Builder,
    file: &File<'_>,
    wanted: &Wanted,
) -> Result<Vec<UnsupportedNode>, ImportError> {
    let mut unsupported = vec![];
    for (index, _) in wanted.operators.iter().enumerate().filter(|(_, w)| **w) {
        let call = call(b, file, wanted, index)?;
        let (values, reason) = lower_operator(b, &call)?;
        for (i, &output) in call.outputs.iter().enumerate() {
            let value = values.get(i).cloned().unwrap_or(Value::Unknown);
            check_shape(&call, output, &value)?;
            b.values[output] = Some(value);
        }
        unsupported.extend(reason.map(|reason| UnsupportedNode {
            name: tensor_name(&call).to_owned(),
            op: format!("operator {index} {}", call.op),
            reason,
        }));
    }
    Ok(unsupported)
}

fn tensor_name<'f>(call: &'f Call<'_, '_>) -> &'f str {
    let first = call.outputs.first();
    first.map_or("", |&o| call.file.entries[o].name.as_str())
}

fn malformed(call: &Call<'_, '_>, reason: String) -> ImportError {
    TfliteError::Operator {
        index: call.index,
        op: call.op.clone(),
        tensor: tensor_name(call).to_owned(),
        reason,
    }
    .into()
}

/// Looks the operator's tensors up.
fn call<'f, 'a>(
    b: &Builder,
    file: &'f File<'a>,
    wanted: &Wanted,
    index: usize,
) -> Result<Call<'f, 'a>, ImportError> {
    let operator = file.operators[index];
    let (code, op) = file.operator(&operator);
    let mut call = Call {
        file,
        index,
        operator,
        code,
        op,
        inputs: vec![],
        outputs: vec![],
        values: vec![],
    };
    let count = file.entries.len();
    for given in operator.outputs().iter().flatten() {
        match file::index(given, count) {
            Some(at) => call.outputs.push(at),
            None => return Err(malformed(&call, format!("it makes tensor {given}"))),
        }
    }
    for given in operator.inputs().iter().flatten().take(read_inputs(code)) {
        let at = file::index(given, count);
        if at.is_none() && given != -1 {
            return Err(malformed(&call, format!("it reads tensor {given}")));
        }
        call.inputs.push(at);
    }
    for &at in &call.inputs {
        let value = at.map(|at| b.values[at].clone());
        if let (Some(None), Some(at)) = (&value, at) {
            let why = match wanted.makers[at] {
                Some(_) => "a later operator makes, or a circle",
                None => "nothing makes",
            };
            let name = &file.entries[at].name;
            return Err(malformed(
                &call,
                format!("it reads \"{name}\", which {why}"),
            ));
        }
        call.values.push(value.flatten());
    }
    Ok(call)
}

/// The outputs of an operator, or none and why. No reason is given where an
/// operator before it is to blame.
fn lower_operator(
    b: &mut Builder,
    call: &Call<'_, '_>,
) -> Result<(Vec<Value>, Option<String>), ImportError> {
    let Some(lower) = lowering(call.code) else {
        return Ok((vec![], Some("this operator is not supported".into())));
    };
    if call
        .values
        .iter()
        .flatten()
        .any(|v| matches!(v, Value::Unknown))
    {
        return Ok((vec![], None));
    }
    match lower(b, call) {
        Ok(values) => Ok((values, None)),
        Err(Stop::Unsupported(reason)) => Ok((vec![], Some(reason))),
        Err(Stop::Malformed(reason)) => Err(malformed(call, reason)),
        Err(Stop::Fatal(error)) => Err(error),
    }
}

type Lowering = fn(&mut Builder, &Call<'_, '_>) -> Result<Vec<Value>, Stop>;

fn lowering(code: BuiltinOperator) -> Option<Lowering> {
    Some(match code {
        BuiltinOperator::CONV_2D => linear::conv,
        BuiltinOperator::DEPTHWISE_CONV_2D => linear::depthwise,
        BuiltinOperator::FULLY_CONNECTED => linear::fully_connected,
        BuiltinOperator::ADD
        | BuiltinOperator::SUB
        | BuiltinOperator::MUL
        | BuiltinOperator::DIV => elementwise::arithmetic,
        BuiltinOperator::RELU
        | BuiltinOperator::RELU6
        | BuiltinOperator::RELU_N1_TO_1
        | BuiltinOperator::RELU_0_TO_1
        | BuiltinOperator::LEAKY_RELU
        | BuiltinOperator::HARD_SWISH
        | BuiltinOperator::LOGISTIC
        | BuiltinOperator::TANH => elementwise::function,
        BuiltinOperator::PRELU => elementwise::prelu,
        BuiltinOperator::QUANTIZE => elementwise::quantize,
        BuiltinOperator::DEQUANTIZE => elementwise::dequantize,
        BuiltinOperator::AVERAGE_POOL_2D | BuiltinOperator::MAX_POOL_2D => pool::pool,
        BuiltinOperator::MEAN | BuiltinOperator::REDUCE_MAX => pool::reduce,
        BuiltinOperator::SOFTMAX => pool::softmax,
        BuiltinOperator::CONCATENATION => parts::concatenation,
        BuiltinOperator::PAD | BuiltinOperator::PADV2 | BuiltinOperator::MIRROR_PAD => parts::pad,
        BuiltinOperator::SPLIT => parts::split,
        BuiltinOperator::SPLIT_V => parts::split_v,
        BuiltinOperator::SLICE => parts::slice,
        BuiltinOperator::STRIDED_SLICE => parts::strided_slice,
        BuiltinOperator::RESHAPE | BuiltinOperator::SQUEEZE | BuiltinOperator::EXPAND_DIMS => {
            rename::reshape
        }
        BuiltinOperator::TRANSPOSE => rename::transpose,
        _ => return None,
    })
}

/// The file states every shape; one that differs from what the operator makes
/// is a mistake in the file.
fn check_shape(call: &Call<'_, '_>, output: usize, value: &Value) -> Result<(), ImportError> {
    let entry = &call.file.entries[output];
    let Value::Activation(view) = value else {
        return Ok(());
    };
    let sizes = view.sizes();
    let stated = entry.has_shape && !entry.open.contains(&true);
    if stated && sizes != entry.dims {
        return Err(malformed(
            call,
            format!(
                "\"{}\" is {:?} in the file, it makes {sizes:?}",
                entry.name, entry.dims
            ),
        ));
    }
    Ok(())
}

fn finish(
    b: Builder,
    file: &File<'_>,
    input: &ports::Input,
    output_name: String,
    output: TensorId,
    logits: TensorId,
) -> Imported {
    let names = names(&b, file);
    let count = |n: &crate::graph::Node| {
        let int8 = n
            .quantised
            .as_ref()
            .map_or(0, |q| q.weights.len() + q.bias.len());
        n.weights.len() + n.bias.len() + int8
    };
    let parameters = b.nodes.iter().map(count).sum();
    let ops: Vec<String> = file.operators.iter().map(|o| file.operator(o).1).collect();
    Imported {
        graph: Graph {
            names,
            logits,
            tensors: b.tensors,
            nodes: b.nodes,
            input: TensorId(0),
            layout: input.layout,
            input_type: input.kind,
            input_name: file.entries[input.entry].name.clone(),
            output,
            output_name,
            labels: vec![],
            metadata: BTreeMap::new(),
        },
        warnings: b.warnings,
        format: Format::Tflite {
            version: file.model.version(),
        },
        producer: file.model.description().unwrap_or("").trim().to_owned(),
        ops: table::census(ops.iter().map(String::as_str)),
        parameters,
        input_dims: input.dims.clone(),
        outputs: file
            .outputs
            .iter()
            .map(|&o| file.entries[o].name.clone())
            .collect(),
    }
}

/// What tensors are called: their own names, the file's, and the file's indices.
fn names(b: &Builder, file: &File<'_>) -> BTreeMap<String, TensorId> {
    let mut names = BTreeMap::new();
    for (entry, value) in file.entries.iter().zip(&b.values) {
        let Some(Value::Activation(view)) = value else {
            continue;
        };
        if view.is_whole(b.shape(view)) {
            names.insert(format!("#{}", entry.index), view.tensor);
            names.entry(entry.name.clone()).or_insert(view.tensor);
        }
    }
    for (i, tensor) in b
        .tensors
        .iter()
        .enumerate()
        .filter(|(_, t)| t.constant.is_none())
    {
        names
            .entry(tensor.name.clone())
            .or_insert(TensorId(i as u16));
    }
    for node in &b.nodes {
        // Of several nodes of an operator the last makes its output.
        let named = node
            .name
            .split_once('.')
            .is_some_and(|(i, _)| i.parse::<usize>().is_ok());
        if named {
            names.insert(node.name.clone(), node.output);
        }
    }
    names
}
