//! The model's input and output: which they are and how they lie.

use foveola_core::net::op::{Activation, Op};
use foveola_core::{Shape, TensorId};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

use super::builder::Builder;
use super::call::Value;
use super::error::ImportError;
use super::view::{C, H, View, W};
use crate::graph::{InputType, Layout, Node};

/// The input as the file declares it, with a batch of 1.
pub(super) struct Input {
    pub name: String,
    pub kind: InputType,
    pub layout: Layout,
    pub dims: Vec<usize>,
}

/// Finds out about an input.
pub(super) fn input(
    info: &ValueInfoProto,
    graph: &GraphProto,
    size: Option<[usize; 2]>,
) -> Result<Input, ImportError> {
    let fail = |reason: String| ImportError::Input {
        name: info.name.clone(),
        reason,
    };
    let Some(Type::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(fail("it is not a tensor".into()));
    };
    let kind = input_type(tensor.elem_type).map_err(fail)?;
    let declared: Vec<Option<i64>> = tensor
        .shape
        .iter()
        .flat_map(|s| &s.dim)
        .map(|d| match d.value {
            // Some exporters write 0 or -1 for an open dimension.
            Some(Dimension::DimValue(n)) if n != 0 && n != -1 => Some(n),
            _ => None,
        })
        .collect();
    let layout = layout(&info.name, graph, &declared).map_err(fail)?;
    let dims = closed(info, &declared, layout, size)?;
    Ok(Input {
        name: info.name.clone(),
        kind,
        layout,
        dims,
    })
}

fn input_type(kind: i32) -> Result<InputType, String> {
    match DataType::try_from(kind) {
        Ok(DataType::Float) => Ok(InputType::F32),
        Ok(DataType::Float16) => Ok(InputType::F16),
        Ok(DataType::Uint8) => Ok(InputType::U8),
        Ok(DataType::Int8) => Ok(InputType::I8),
        Ok(other) => Err(format!(
            "it takes {}; export the model with a float input",
            other.as_str_name()
        )),
        Err(_) => Err(format!("its type {kind} does not exist")),
    }
}

fn layout(name: &str, graph: &GraphProto, dims: &[Option<i64>]) -> Result<Layout, String> {
    match dims.len() {
        2 => Ok(Layout::Flat),
        // One gray plane lies alike in either order.
        3 => Ok(Layout::Nchw),
        4 => Ok(layout_by_use(name, graph).unwrap_or_else(|| layout_by_size(dims))),
        n => Err(format!(
            "it has {n} dimensions; a picture has 4 (N,C,H,W or N,H,W,C), a vector 2"
        )),
    }
}

/// Follows the input to the first operator that tells rows from channels.
fn layout_by_use(name: &str, graph: &GraphProto) -> Option<Layout> {
    let mut same = std::collections::HashSet::from([name]);
    for node in &graph.node {
        if !node.input.iter().any(|i| same.contains(i.as_str())) {
            continue;
        }
        match node.op_type.as_str() {
            "Transpose" => return transposed_layout(node),
            "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "LRN"
            | "BatchNormalization" | "ImageScaler" | "ConvInteger" | "QLinearConv" => {
                return Some(Layout::Nchw);
            }
            "Identity" | "Cast" | "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Relu" | "Clip"
            | "Pad" | "QuantizeLinear" | "DequantizeLinear" | "Slice" | "Concat" => {
                same.extend(node.output.iter().map(String::as_str));
            }
            _ => {}
        }
    }
    None
}

fn transposed_layout(node: &NodeProto) -> Option<Layout> {
    let order = node.attribute.iter().find(|a| a.name == "perm")?;
    match order.ints[..] {
        [0, 3, 1, 2] => Some(Layout::Nhwc),
        [0, 2, 3, 1] => Some(Layout::Nchw),
        _ => None,
    }
}

/// As many channels as pictures have at the end, and not at the front, mean N,H,W,C.
fn layout_by_size(dims: &[Option<i64>]) -> Layout {
    let channels = |d: Option<i64>| matches!(d, Some(1 | 3 | 4));
    if channels(dims[3]) && !channels(dims[1]) {
        return Layout::Nhwc;
    }
    Layout::Nchw
}

/// Gives open dimensions their sizes.
fn closed(
    info: &ValueInfoProto,
    declared: &[Option<i64>],
    layout: Layout,
    size: Option<[usize; 2]>,
) -> Result<Vec<usize>, ImportError> {
    let rows = match (layout, declared.len()) {
        (Layout::Flat, _) => None,
        (Layout::Nhwc, _) | (_, 3) => Some(1),
        (Layout::Nchw, _) => Some(2),
    };
    let mut dims = vec![];
    for (d, &declared) in declared.iter().enumerate() {
        // 0 for rows, 1 for columns.
        let side = rows.and_then(|r| d.checked_sub(r)).filter(|&s| s < 2);
        let given = side.and_then(|s| size.map(|size| size[s]));
        if declared.is_none() && side.is_some() && given.is_none() {
            let name = info.name.clone();
            return Err(ImportError::NeedsSize { name });
        }
        let dim = closed_dimension(d, declared, given).map_err(|reason| ImportError::Input {
            name: info.name.clone(),
            reason,
        })?;
        dims.push(dim);
    }
    Ok(dims)
}

/// One dimension: as declared, or as given; the batch is 1.
fn closed_dimension(
    d: usize,
    declared: Option<i64>,
    given: Option<usize>,
) -> Result<usize, String> {
    match (declared, given) {
        (None | Some(1), _) if d == 0 => Ok(1),
        (Some(n), _) if d == 0 => Err(format!(
            "it takes batches of {n}; export it with a batch of 1"
        )),
        (None, None) => Err("its number of channels or features is open".into()),
        (None, Some(n)) => Ok(n),
        (Some(n), Some(m)) if usize::try_from(n) != Ok(m) => {
            Err(format!("its size is fixed at {n}, {m} was asked for"))
        }
        (Some(n), _) => usize::try_from(n).map_err(|_| format!("dimension {d} is {n}")),
    }
}

/// Makes the input tensor; it is always the first.
pub(super) fn add_input(b: &mut Builder, input: &Input) -> Result<View, ImportError> {
    let (shape, axes): (Shape, &[usize]) = match (&input.dims[..], input.layout) {
        (&[_, n], _) => (Shape::new(1, 1, n), &[C]),
        (&[_, h, w], _) => (Shape::new(h, w, 1), &[H, W]),
        (&[_, h, w, c], Layout::Nhwc) => (Shape::new(h, w, c), &[H, W, C]),
        (&[_, c, h, w], _) => (Shape::new(h, w, c), &[C, H, W]),
        _ => {
            return Err(ImportError::Input {
                name: input.name.clone(),
                reason: "its dimensions are neither a picture's nor a vector's".into(),
            });
        }
    };
    let tensor = b.add_tensor(&input.name, shape, None)?;
    Ok(View::of_axes(tensor, shape, axes))
}

/// The scores: their tensor and the ONNX tensor that they stand for.
pub(super) struct Scores {
    pub tensor: TensorId,
    pub name: String,
}

/// Picks the output that holds scores. `None` if a node that is not supported
/// stands before all of them.
pub(super) fn scores(b: &mut Builder, graph: &GraphProto) -> Result<Option<Scores>, ImportError> {
    let mut found: Vec<Scores> = vec![];
    let mut others = vec![];
    let mut unknown = false;
    for output in &graph.output {
        match vector(b, &output.name) {
            Ok(Some(scores)) if found.iter().all(|s| s.tensor != scores.tensor) => {
                found.push(scores);
            }
            Ok(Some(_)) => {}
            Ok(None) => unknown = true,
            Err(reason) => others.push(reason),
        }
    }
    if found.is_empty() && !unknown {
        let reason = match others[..] {
            [] => "the graph names none".into(),
            _ => others.join(", "),
        };
        return Err(ImportError::Output { reason });
    }
    if found.len() > 1 || (unknown && !found.is_empty()) {
        b.warnings.push(format!(
            "the model has several outputs; \"{}\" is taken for the scores",
            found[0].name
        ));
    }
    let mut found = found.into_iter().next();
    if let Some(scores) = &mut found
        && b.quant(scores.tensor).is_some()
    {
        let node = dequantise(b, scores.tensor)?;
        scores.tensor = node.output;
        b.nodes.push(node);
    }
    Ok(found)
}

/// The scores that an output holds or was made from; `None` if a node that is
/// not supported makes it; else what it is instead.
fn vector(b: &Builder, output: &str) -> Result<Option<Scores>, String> {
    let name = match b.values.get(output) {
        Some(Value::Tail(scores)) => scores.to_string(),
        Some(Value::Unknown) => return Ok(None),
        _ => output.to_owned(),
    };
    match b.values.get(&name) {
        Some(Value::Activation(view)) if is_vector(view) => Ok(Some(Scores {
            tensor: view.tensor,
            name,
        })),
        Some(Value::Activation(view)) => Err(format!("\"{name}\" is {:?}", view.sizes())),
        Some(_) => Err(format!("\"{name}\" does not depend on the picture")),
        None => Err(format!("nothing makes \"{name}\"")),
    }
}

/// Whether a value is one row of channels.
pub(super) fn is_vector(view: &View) -> bool {
    let factors: Vec<_> = view.dims.iter().flatten().collect();
    matches!(factors[..], []) || matches!(factors[..], [f] if f.axis == C && f.stride == 1)
}

/// The scores before the softmax or sigmoid that makes them, if one does. Of
/// stored logits the real numbers, which a node is added for if there is none.
pub(super) fn logits(b: &mut Builder, output: TensorId) -> Result<TensorId, ImportError> {
    let mut id = output;
    let at = loop {
        let Some(at) = b.nodes.iter().position(|n| n.output == id) else {
            return Ok(output);
        };
        match (b.nodes[at].op, b.nodes[at].activation) {
            (Op::Softmax, _) | (Op::Activate, Activation::Sigmoid) => break at,
            (Op::Quantise { .. } | Op::Dequantise, _) | (Op::Activate, Activation::None) => {
                id = b.nodes[at].inputs[0];
            }
            _ => return Ok(output),
        }
    };
    let logits = b.nodes[at].inputs[0];
    if b.quant(logits).is_none() {
        return Ok(logits);
    }
    let real = |n: &&Node| n.op == Op::Dequantise && n.inputs == [logits];
    if let Some(node) = b.nodes.iter().find(real) {
        return Ok(node.output);
    }
    let node = dequantise(b, logits)?;
    let output = node.output;
    b.nodes.insert(at, node);
    Ok(output)
}

/// A node that makes real numbers of a stored tensor.
fn dequantise(b: &mut Builder, stored: TensorId) -> Result<Node, ImportError> {
    let tensor = &b.tensors[usize::from(stored.0)];
    let (name, shape) = (format!("{}/real", tensor.name), tensor.shape);
    Ok(Node {
        output: b.add_tensor(&name, shape, None)?,
        name,
        op: Op::Dequantise,
        activation: Activation::None,
        inputs: vec![stored],
        weights: vec![],
        bias: vec![],
        quantised: None,
        dropout: None,
    })
}
