//! Import of ONNX, opset 7 to 21, from the protobuf itself, and of
//! [TFLite](tflite).
//!
//! Every ONNX value is a constant, or a view of one of our tensors
//! (height, width, channels). Nodes on constants are evaluated, nodes that only
//! rename change the view, the rest is lowered to [`Op`](foveola_core::net::op::Op)s
//! one to one: nothing is folded or fused here, so that every tensor of the file
//! can be looked at. Only operators between quantisers become int8 nodes, as
//! that is what such a file means.

mod arity;
mod array;
mod builder;
mod call;
mod elementwise;
mod error;
mod evaluate;
mod external;
mod linear;
mod parts;
mod ports;
mod quantised;
mod reduce;
mod rename;
mod table;
mod tail;
pub mod tflite;
mod view;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use foveola_core::TensorId;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::Framework;

use self::builder::Builder;
use self::call::{Call, Value, node_name, operator};
pub use self::error::{ImportError, UnsupportedNode};
use self::error::{Stop, malformed};
use self::quantised::fuse::{Fused, fuse};
use crate::graph::{Graph, InputType, Node};

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether values may be read from other files in the model's folder.
    pub allow_external: bool,
    /// Height and width, for a model that leaves them open.
    pub input_size: Option<[usize; 2]>,
}

/// What kind of file it was, and which version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ONNX.
    Onnx {
        /// Version of the standard operator set.
        opset: i64,
        /// Version of the format.
        ir_version: i64,
    },
    /// TensorFlow Lite.
    Tflite {
        /// Version of the schema.
        version: u32,
    },
}

/// A network and what the file says about itself.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub graph: Graph,
    /// What was decided where the file leaves a choice.
    pub warnings: Vec<String>,
    /// What kind of file it was.
    pub format: Format,
    /// The program that wrote the file, as far as it says.
    pub producer: String,
    /// How often each operator of the file occurs.
    pub ops: BTreeMap<String, usize>,
    /// Weights and biases.
    pub parameters: usize,
    /// Dimensions of the file's input, with a batch of 1.
    pub input_dims: Vec<usize>,
    /// Names of the graph's outputs.
    pub outputs: Vec<String>,
}

/// Imports a file.
///
/// # Errors
/// Says what is wrong with the file, where, and what to do.
pub fn load(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    let folder = match path.parent() {
        Some(p) if p.as_os_str().is_empty() => Some(Path::new(".")),
        other => other,
    };
    from_bytes(&bytes, folder, options)
}

/// Imports a file's bytes, TFLite if they start so, else ONNX. External data is
/// looked for in `folder`.
///
/// # Errors
/// Says what is wrong with the file, where, and what to do.
pub fn from_bytes(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported, ImportError> {
    if tflite::is_tflite(bytes) {
        return tflite::from_bytes(bytes, options);
    }
    let mut reader = bytes;
    let model = tract_onnx::onnx()
        .proto_model_for_read(&mut reader)
        .map_err(|e| ImportError::Decode {
            reason: e.root_cause().to_string(),
        })?;
    let graph = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    if graph.node.is_empty() && graph.input.is_empty() {
        return Err(ImportError::NoGraph);
    }
    let opset = opset(&model)?;
    let wanted = Wanted::new(graph)?;
    let mut b = Builder::default();
    if opset > 21 {
        b.warnings.push(format!(
            "opset {opset} is newer than 21; operators whose meaning changed since are misread"
        ));
    }
    let input = find_input(graph, &wanted, options)?;
    let view = ports::add_input(&mut b, &input)?;
    b.unsigned_input = match input.kind {
        InputType::U8 => Some(true),
        InputType::I8 => Some(false),
        InputType::F32 | InputType::F16 => None,
    };
    b.values.insert(input.name.clone(), Value::Activation(view));
    add_initialisers(&mut b, graph, &wanted, folder, options)?;
    let unsupported = lower_nodes(&mut b, graph, &wanted, opset)?;
    let Some(scores) = ports::scores(&mut b, graph)? else {
        return Err(ImportError::Unsupported { nodes: unsupported });
    };
    let fused = fuse(&mut b, scores.tensor)?;
    Ok(finish(b, &model, graph, (input, scores, fused), opset))
}

fn opset(model: &ModelProto) -> Result<i64, ImportError> {
    let found = model
        .opset_import
        .iter()
        .find(|o| matches!(o.domain.as_str(), "" | "ai.onnx"))
        .map_or(1, |o| o.version);
    if found < 7 {
        return Err(ImportError::Opset { found });
    }
    Ok(found)
}

/// What the outputs need: nodes that nothing reads are left out.
struct Wanted<'a> {
    /// Which node makes a tensor.
    makers: HashMap<&'a str, usize>,
    nodes: HashSet<usize>,
    /// Tensors that are read.
    reads: HashSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(graph: &'a GraphProto) -> Result<Self, ImportError> {
        let mut makers = HashMap::new();
        let given = graph.initializer.iter().map(|i| i.name.as_str());
        let mut taken: HashSet<&str> = HashSet::new();
        let made = graph
            .node
            .iter()
            .enumerate()
            .flat_map(|(i, n)| n.output.iter().map(move |o| (i, o.as_str())));
        for name in given
            .chain(made.clone().map(|(_, o)| o))
            .filter(|n| !n.is_empty())
        {
            if !taken.insert(name) {
                return Err(ImportError::Duplicate {
                    tensor: name.to_owned(),
                });
            }
        }
        makers.extend(made.map(|(i, o)| (o, i)));
        let mut wanted = Self {
            makers,
            nodes: HashSet::new(),
            reads: graph.output.iter().map(|o| o.name.as_str()).collect(),
        };
        wanted.trace(graph);
        Ok(wanted)
    }

    fn trace(&mut self, graph: &'a GraphProto) {
        let mut open: Vec<&str> = self.reads.iter().copied().collect();
        while let Some(name) = open.pop() {
            let Some(&maker) = self.makers.get(name) else {
                continue;
            };
            if !self.nodes.insert(maker) {
                continue;
            }
            for input in graph.node[maker].input.iter().filter(|i| !i.is_empty()) {
                if self.reads.insert(input) {
                    open.push(input);
                }
            }
        }
    }
}

fn find_input(
    graph: &GraphProto,
    wanted: &Wanted,
    options: &Options,
) -> Result<ports::Input, ImportError> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|i| i.name.as_str()).collect();
    let read: Vec<_> = graph
        .input
        .iter()
        .filter(|i| wanted.reads.contains(i.name.as_str()) && !constants.contains(i.name.as_str()))
        .collect();
    match read[..] {
        [info] => ports::input(info, graph, options.input_size),
        [] => Err(ImportError::Input {
            name: graph
                .input
                .first()
                .map(|i| i.name.clone())
                .unwrap_or_default(),
            reason: "no output depends on an input".into(),
        }),
        _ => Err(ImportError::Input {
            name: read
                .iter()
                .map(|i| i.name.as_str())
                .collect::<Vec<_>>()
                .join("\", \""),
            reason: "the model takes several inputs; only one picture can be explained".into(),
        }),
    }
}

fn add_initialisers(
    b: &mut Builder,
    graph: &GraphProto,
    wanted: &Wanted,
    folder: Option<&Path>,
    options: &Options,
) -> Result<(), ImportError> {
    for proto in &graph.initializer {
        if !wanted.reads.contains(proto.name.as_str()) {
            continue;
        }
        let array = if external::is_external(proto) {
            let bytes = external::read(proto, folder, options.allow_external)?;
            array::from_proto(proto, Some(&bytes))?
        } else {
            array::from_proto(proto, None)?
        };
        let array = b.charge(array)?;
        b.values.insert(proto.name.clone(), Value::Constant(array));
    }
    Ok(())
}

/// Lowers the nodes in file order, which must be an order of running.
fn lower_nodes(
    b: &mut Builder,
    graph: &GraphProto,
    wanted: &Wanted,
    opset: i64,
) -> Result<Vec<UnsupportedNode>, ImportError> {
    let mut unsupported = vec![];
    for (i, node) in graph.node.iter().enumerate() {
        if !wanted.nodes.contains(&i) {
            continue;
        }
        let inputs = inputs(b, node, wanted)?;
        let call = Call {
            node,
            opset,
            inputs,
        };
        let (values, reason) = lower_node(b, &call)?;
        let mut reasons: Vec<String> = reason.into_iter().collect();
        for (at, name) in node
            .output
            .iter()
            .enumerate()
            .filter(|(_, n)| !n.is_empty())
        {
            let value = values.get(at).cloned().unwrap_or(Value::Unknown);
            let lacking = at >= values.len() && reasons.is_empty() && !values.is_empty();
            if lacking && wanted.reads.contains(name.as_str()) {
                reasons.push(format!("its output \"{name}\" is not computed"));
            }
            b.values.insert(name.clone(), value);
        }
        unsupported.extend(reasons.into_iter().map(|reason| UnsupportedNode {
            name: node_name(node).to_owned(),
            op: operator(node),
            reason,
        }));
    }
    Ok(unsupported)
}

fn inputs(
    b: &Builder,
    node: &NodeProto,
    wanted: &Wanted,
) -> Result<Vec<Option<Value>>, ImportError> {
    let look_up = |name: &String| match (b.values.get(name), name.as_str()) {
        (_, "") => Ok(None),
        (Some(value), _) => Ok(Some(value.clone())),
        (None, _) => Err(ImportError::Order {
            name: node_name(node).to_owned(),
            op: operator(node),
            tensor: name.clone(),
            why: if wanted.makers.contains_key(name.as_str()) {
                "is made by a later node, or in a circle"
            } else {
                "nothing makes"
            },
        }),
    };
    node.input.iter().map(look_up).collect()
}

/// The outputs of a node, or none and why. No reason is given where a node
/// before it is to blame.
fn lower_node(b: &mut Builder, call: &Call) -> Result<(Vec<Value>, Option<String>), ImportError> {
    if let Some(reason) = table::missing(call.op(), &call.node.domain) {
        return Ok((vec![], Some(reason.into())));
    }
    if call
        .inputs
        .iter()
        .flatten()
        .any(|v| matches!(v, Value::Unknown))
    {
        return Ok((vec![], None));
    }
    let lowered = match arity::most(call.op()) {
        Some(most) if call.inputs.len() > most => malformed(format!(
            "it has {} inputs and takes {most} at most",
            call.inputs.len()
        )),
        _ => table::lower(b, call),
    };
    match lowered {
        Ok(values) => Ok((values, None)),
        Err(Stop::Unsupported(reason)) => Ok((vec![], Some(reason))),
        Err(Stop::Malformed(reason)) => Err(ImportError::Node {
            name: call.name().to_owned(),
            op: operator(call.node),
            reason,
        }),
        Err(Stop::Fatal(error)) => Err(error),
    }
}

fn finish(
    mut b: Builder,
    model: &ModelProto,
    proto: &GraphProto,
    (input, scores, fused): (ports::Input, ports::Scores, Fused),
    opset: i64,
) -> Imported {
    drop_unfitting_labels(&mut b, &scores);
    let properties = model.metadata_props.iter();
    let graph = Graph {
        names: names(&b, proto, &fused),
        logits: fused.logits,
        tensors: b.tensors,
        nodes: b.nodes,
        input: TensorId(0),
        layout: input.layout,
        input_type: input.kind,
        input_name: input.name,
        output: scores.tensor,
        output_name: scores.name,
        labels: b.labels,
        metadata: properties
            .map(|p| (p.key.clone(), p.value.clone()))
            .collect(),
    };
    let weights = graph.nodes.iter().map(parameters);
    let producer = [&model.producer_name[..], &model.producer_version[..]].join(" ");
    Imported {
        parameters: weights.sum(),
        graph,
        warnings: b.warnings,
        format: Format::Onnx {
            opset,
            ir_version: model.ir_version,
        },
        producer: producer.trim().to_owned(),
        ops: table::census(proto.node.iter().map(|n| n.op_type.as_str())),
        input_dims: input.dims,
        outputs: proto.output.iter().map(|o| o.name.clone()).collect(),
    }
}

/// Weights and biases of a node.
fn parameters(node: &Node) -> usize {
    let stored = node.quantised.as_ref();
    node.weights.len() + node.bias.len() + stored.map_or(0, |q| q.weights.len() + q.bias.len())
}

fn drop_unfitting_labels(b: &mut Builder, scores: &ports::Scores) {
    let classes = b.tensors[usize::from(scores.tensor.0)].shape.c;
    if !b.labels.is_empty() && b.labels.len() != classes {
        let found = std::mem::take(&mut b.labels).len();
        b.warnings.push(format!(
            "the file's {found} labels are left out, as there are {classes} classes"
        ));
    }
}

/// Every ONNX name whose value a tensor holds.
fn names(b: &Builder, proto: &GraphProto, fused: &Fused) -> BTreeMap<String, TensorId> {
    let held = |name: &str| match b.values.get(name)? {
        Value::Activation(view) if view.is_whole(b.shape(view)) => fused.holder(view.tensor),
        _ => None,
    };
    let mut names = BTreeMap::new();
    for node in proto.node.iter().filter(|n| !n.name.is_empty()) {
        if let Some(tensor) = node.output.first().and_then(|o| held(o)) {
            names.entry(node.name.clone()).or_insert(tensor);
        }
    }
    for name in b.values.keys() {
        if let Some(tensor) = held(name) {
            names.insert(name.clone(), tensor);
        }
    }
    names
}
