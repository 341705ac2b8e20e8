//! The model's input and output: which they are and how they lie.

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};
use tract_tflite::tflite::TensorType;

use super::super::error::ImportError;
use super::super::ports::is_vector;
use super::super::view::{C, H, View, W};
use super::builder::{Builder, real_name};
use super::call::Value;
use super::file::{Entry, File};
use crate::graph::{InputType, Layout, Node, Tensor};

/// The input as the file declares it, with open sizes closed.
pub(super) struct Input {
    /// The file's tensor.
    pub entry: usize,
    pub kind: InputType,
    pub layout: Layout,
    pub dims: Vec<usize>,
}

/// Finds the one input that the scores depend on.
pub(super) fn input(
    file: &File<'_>,
    reads: &[bool],
    size: Option<[usize; 2]>,
) -> Result<Input, ImportError> {
    let read: Vec<usize> = file.inputs.iter().copied().filter(|&i| reads[i]).collect();
    let name = |i: &usize| file.entries[*i].name.clone();
    let entry = match read[..] {
        [entry] => &file.entries[entry],
        [] => {
            return Err(ImportError::Input {
                name: file.inputs.first().map(name).unwrap_or_default(),
                reason: "no output depends on an input".into(),
            });
        }
        _ => {
            return Err(ImportError::Input {
                name: read.iter().map(name).collect::<Vec<_>>().join("\", \""),
                reason: "the model takes several inputs; only one picture can be explained".into(),
            });
        }
    };
    describe(entry, size)
}

fn describe(entry: &Entry<'_>, size: Option<[usize; 2]>) -> Result<Input, ImportError> {
    let fail = |reason: String| ImportError::Input {
        name: entry.name.clone(),
        reason,
    };
    let kind = match entry.kind {
        TensorType::FLOAT32 => InputType::F32,
        TensorType::INT8 => InputType::I8,
        TensorType::UINT8 => InputType::U8,
        _ => {
            return Err(fail(format!(
                "it takes {}; convert the model with a FLOAT32, INT8 or UINT8 input",
                entry.kind_name()
            )));
        }
    };
    if entry.data.is_some() {
        return Err(fail("it is a constant".into()));
    }
    let layout = match entry.dims.len() {
        2 => Layout::Flat,
        3 | 4 => Layout::Nhwc,
        n => {
            return Err(fail(format!(
                "it has {n} dimensions; a picture has 4 (N,H,W,C) or 3 (N,H,W), a vector 2"
            )));
        }
    };
    Ok(Input {
        entry: entry.index,
        kind,
        layout,
        dims: closed(entry, layout, size)?,
    })
}

/// Gives open dimensions their sizes.
fn closed(
    entry: &Entry<'_>,
    layout: Layout,
    size: Option<[usize; 2]>,
) -> Result<Vec<usize>, ImportError> {
    let fail = |reason: String| ImportError::Input {
        name: entry.name.clone(),
        reason,
    };
    let mut dims = entry.dims.clone();
    let batch = dims.first().copied().unwrap_or(1);
    if batch != 1 && !entry.open.first().is_some_and(|&o| o) {
        return Err(fail(format!(
            "it takes batches of {batch}; convert it with a batch of 1"
        )));
    }
    dims[0] = 1;
    let sides = if layout == Layout::Nhwc { 1..3 } else { 0..0 };
    for (side, d) in sides.enumerate() {
        match (entry.open[d], size) {
            (true, None) => {
                let name = entry.name.clone();
                return Err(ImportError::NeedsSize { name });
            }
            (true, Some(size)) => dims[d] = size[side],
            (false, Some(size)) if size[side] != dims[d] => {
                return Err(fail(format!(
                    "its size is fixed at {}, {} was asked for",
                    dims[d], size[side]
                )));
            }
            (false, _) => {}
        }
    }
    Ok(dims)
}

/// Makes the graph's input, which is always the first tensor and f32, and the
/// file's own: in a model that takes integers a `Quantise` makes it of them.
pub(super) fn add_input(
    b: &mut Builder,
    file: &File<'_>,
    input: &Input,
) -> Result<View, ImportError> {
    let entry = &file.entries[input.entry];
    let fail = |reason: String| ImportError::Input {
        name: entry.name.clone(),
        reason,
    };
    let (shape, axes): (Shape, &[usize]) = match input.dims[..] {
        [_, n] => (Shape::new(1, 1, n), &[C]),
        [_, h, w] => (Shape::new(h, w, 1), &[H, W]),
        [_, h, w, c] => (Shape::new(h, w, c), &[H, W, C]),
        _ => {
            return Err(fail(
                "its dimensions are neither a picture's nor a vector's".into(),
            ));
        }
    };
    let quant = entry.quant().map_err(fail)?;
    let Some(quant) = quant else {
        let tensor = b.add_tensor(&entry.name, shape, None)?;
        return Ok(View::of_axes(tensor, shape, axes));
    };
    let given = b.add_tensor(&real_name(&entry.name), shape, None)?;
    let stored = b.add_tensor(&entry.name, shape, Some(quant))?;
    b.nodes.push(Node {
        name: format!("{}/quantise", entry.name),
        // What the model takes are integers already.
        op: Op::Quantise {
            scale: 1.0,
            zero_point: if quant.unsigned { -128 } else { 0 },
        },
        activation: Activation::None,
        inputs: vec![given],
        output: stored,
        weights: vec![],
        bias: vec![],
        quantised: None,
        dropout: None,
    });
    Ok(View::of_axes(stored, shape, axes))
}

/// Picks the output that holds scores. `None` if an operator that is not
/// supported stands before all of them.
pub(super) fn scores(
    b: &mut Builder,
    file: &File<'_>,
) -> Result<Option<(TensorId, String)>, ImportError> {
    let mut found: Vec<(TensorId, String)> = vec![];
    let mut others = vec![];
    let mut unknown = false;
    for &output in &file.outputs {
        let name = file.entries[output].name.clone();
        match &b.values[output] {
            Some(Value::Unknown) => unknown = true,
            Some(Value::Activation(view)) if is_vector(view) => found.push((view.tensor, name)),
            Some(Value::Activation(view)) => {
                others.push(format!("\"{name}\" is {:?}", view.sizes()))
            }
            Some(_) => others.push(format!("\"{name}\" does not depend on the picture")),
            None => others.push(format!("nothing makes \"{name}\"")),
        }
    }
    if found.is_empty() && !unknown {
        let reason = match others[..] {
            [] => "the file names none".into(),
            _ => others.join(", "),
        };
        return Err(ImportError::Output { reason });
    }
    if found.len() > 1 || (unknown && !found.is_empty()) {
        b.warnings.push(format!(
            "the model has several outputs; \"{}\" is taken for the scores",
            found[0].1
        ));
    }
    Ok(found.into_iter().next())
}

/// The f32 values of scores, and of the scores before the softmax or sigmoid
/// that makes them, if one does.
pub(super) fn real_scores(
    b: &mut Builder,
    scores: TensorId,
) -> Result<(TensorId, TensorId), ImportError> {
    let output = dequantised(b, scores)?;
    let maker = |b: &Builder, id: TensorId| b.nodes.iter().position(|n| n.output == id);
    let mut last = scores;
    // A file may turn its int8 probabilities into f32 itself.
    while let Some(at) = maker(b, last)
        && matches!(b.nodes[at].op, Op::Dequantise | Op::Quantise { .. })
        && b.nodes[at].inputs[0] != TensorId(0)
    {
        last = b.nodes[at].inputs[0];
    }
    let before = maker(b, last).map(|at| &b.nodes[at]).filter(|n| {
        n.op == Op::Softmax || (n.op == Op::Activate && n.activation == Activation::Sigmoid)
    });
    match before.map(|n| n.inputs[0]) {
        Some(logits) => Ok((output, dequantised(b, logits)?)),
        None => Ok((output, output)),
    }
}

/// The f32 value of a tensor; appended if nothing makes it yet.
fn dequantised(b: &mut Builder, tensor: TensorId) -> Result<TensorId, ImportError> {
    let Tensor {
        name, shape, quant, ..
    } = b.tensors[usize::from(tensor.0)].clone();
    if quant.is_none() {
        return Ok(tensor);
    }
    let made = |n: &&Node| n.op == Op::Dequantise && n.inputs == [tensor];
    if let Some(node) = b.nodes.iter().find(made) {
        return Ok(node.output);
    }
    let real = b.add_tensor(&real_name(&name), shape, None)?;
    b.nodes.push(Node {
        name: real_name(&name),
        op: Op::Dequantise,
        activation: Activation::None,
        inputs: vec![tensor],
        output: real,
        weights: vec![],
        bias: vec![],
        quantised: None,
        dropout: None,
    });
    Ok(real)
}
