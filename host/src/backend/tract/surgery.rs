//! What is cut from an ONNX graph and put into it, so that tract runs it and
//! puts out scores.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::TractError;

/// Inputs that have a value (as files before IR 4 list them) are none.
pub fn drop_initialised_inputs(graph: &mut GraphProto) {
    let known: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph.input.retain(|i| !known.contains(i.name.as_str()));
}

/// `ImageScaler`, an operator that ONNX withdrew: x * scale + bias\[c\].
pub fn replace_image_scalers(graph: &mut GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        match node.op_type.as_str() {
            "ImageScaler" => {
                let [mul, add] = scaled(&node, &mut graph.initializer);
                nodes.extend([mul, add]);
            }
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
}

fn scaled(node: &NodeProto, constants: &mut Vec<TensorProto>) -> [NodeProto; 2] {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let scale = attribute("scale").map_or(1.0, |a| a.f);
    let bias = attribute("bias").map_or(vec![0.0], |a| a.floats.clone());
    let channels = bias.len() as i64;
    let name = |part: &str| format!("{}/{part}", node.output[0]);
    constants.push(constant(name("scale"), vec![1], vec![scale]));
    constants.push(constant(name("bias"), vec![1, channels, 1, 1], bias));
    let binary = |op: &str, inputs: [String; 2], output: String| NodeProto {
        op_type: op.into(),
        name: output.clone(),
        input: inputs.into(),
        output: vec![output],
        ..NodeProto::default()
    };
    [
        binary(
            "Mul",
            [node.input[0].clone(), name("scale")],
            name("scaled"),
        ),
        binary(
            "Add",
            [name("scaled"), name("bias")],
            node.output[0].clone(),
        ),
    ]
}

/// The value of a `Pad` may be a vector of one element; tract wants a scalar.
pub fn scalar_pad_values(graph: &mut GraphProto) {
    let pads = graph.node.iter().filter(|n| n.op_type == "Pad");
    let values: HashSet<&String> = pads.filter_map(|n| n.input.get(2)).collect();
    for tensor in &mut graph.initializer {
        if values.contains(&tensor.name) && tensor.dims == [1] {
            tensor.dims.clear();
        }
    }
}

fn constant(name: String, dims: Vec<i64>, values: Vec<f32>) -> TensorProto {
    TensorProto {
        name,
        dims,
        data_type: DataType::Float as i32,
        float_data: values,
        ..TensorProto::default()
    }
}

/// The end of a classifier.
pub struct Tail {
    /// The tensor with the scores.
    pub scores: String,
    /// What the final softmax or sigmoid reads.
    pub logits: Option<String>,
}

/// Operators that turn scores into labels.
const LABELLING: [&str; 3] = ["ArgMax", "ArrayFeatureExtractor", "LabelEncoder"];
/// Operators that leave the scores what they are.
const RENAMING: [&str; 5] = ["Identity", "Flatten", "Reshape", "Squeeze", "Cast"];
/// Operators between quantised and real scores.
const QUANTISING: [&str; 2] = ["QuantizeLinear", "DequantizeLinear"];

/// Makes scores (first) and logits the graph's outputs and drops every node
/// that they do not need.
pub fn keep_scores(graph: &mut GraphProto) -> Result<Tail, TractError> {
    let scores = score_output(graph)?;
    let logits = logits_of(graph, &scores);
    let real = match before_rounding(graph, &scores) {
        Some(name) => name,
        None => dequantised(graph, &scores),
    };
    let outputs = std::iter::once(real).chain(logits.clone());
    graph.output = outputs
        .map(|name| ValueInfoProto {
            name,
            ..ValueInfoProto::default()
        })
        .collect();
    prune(graph);
    Ok(Tail { scores, logits })
}

fn producers(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    let nodes = graph.node.iter();
    nodes
        .flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n)))
        .collect()
}

/// The output that holds the scores; behind a ZipMap, its input.
fn score_output(graph: &GraphProto) -> Result<String, TractError> {
    let makers = producers(graph);
    let mut found = Vec::new();
    for output in &graph.output {
        let mut name = output.name.as_str();
        while let Some(node) = makers.get(name)
            && ["ZipMap", "Identity"].contains(&node.op_type.as_str())
        {
            name = node.input[0].as_str();
        }
        let labels = makers.get(name).is_some_and(|n| labelling(&makers, n));
        if !labels && !found.contains(&name) {
            found.push(name);
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).to_string()),
        [] => Err(TractError::NotAClassifier(String::from(
            "it puts out no scores",
        ))),
        many => Err(TractError::NotAClassifier(format!(
            "it has several outputs ({})",
            many.join(", ")
        ))),
    }
}

fn labelling(makers: &HashMap<&str, &NodeProto>, node: &NodeProto) -> bool {
    match node.op_type.as_str() {
        op if LABELLING.contains(&op) => true,
        op if RENAMING.contains(&op) => makers
            .get(node.input[0].as_str())
            .is_some_and(|n| LABELLING.contains(&n.op_type.as_str())),
        _ => false,
    }
}

/// What the final softmax or sigmoid reads, if there is one.
fn logits_of(graph: &GraphProto, scores: &str) -> Option<String> {
    let makers = producers(graph);
    let mut name = scores;
    loop {
        let node = makers.get(name)?;
        let op = node.op_type.as_str();
        match op {
            "Softmax" | "Sigmoid" => return node.input.first().cloned(),
            _ if RENAMING.contains(&op) || QUANTISING.contains(&op) => name = &node.input[0],
            _ => return None,
        }
    }
}

/// The output of a final softmax or sigmoid that the model rounds to 8 bits:
/// tract 0.23.9 computes a softmax between two quantisers wrongly, so its
/// unrounded output is taken, which is off by half a step at most.
fn before_rounding(graph: &GraphProto, scores: &str) -> Option<String> {
    let makers = producers(graph);
    let (mut name, mut rounded) = (scores, false);
    loop {
        let node = makers.get(name)?;
        match node.op_type.as_str() {
            "Softmax" | "Sigmoid" => return rounded.then(|| name.to_string()),
            op if QUANTISING.contains(&op) => rounded = true,
            op if RENAMING.contains(&op) => {}
            _ => return None,
        }
        name = node.input[0].as_str();
    }
}

/// Scores that leave the graph quantised are brought back to real numbers.
fn dequantised(graph: &mut GraphProto, scores: &str) -> String {
    let maker = producers(graph).get(scores).map(|n| (*n).clone());
    match maker {
        Some(node) if node.op_type == "QuantizeLinear" => {
            let real = format!("{scores}/real");
            let mut input = node.input.clone();
            input[0] = scores.to_string();
            graph.node.push(NodeProto {
                op_type: "DequantizeLinear".into(),
                name: real.clone(),
                output: vec![real.clone()],
                input,
                ..node
            });
            real
        }
        _ => scores.to_string(),
    }
}

fn prune(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let mut kept = vec![false; graph.node.len()];
    loop {
        let before = needed.len();
        for (node, kept) in graph.node.iter().zip(&mut kept) {
            if node.output.iter().any(|o| needed.contains(o)) {
                *kept = true;
                needed.extend(node.input.iter().cloned());
            }
        }
        if needed.len() == before {
            break;
        }
    }
    let mut kept = kept.into_iter();
    graph.node.retain(|_| kept.next().unwrap_or(false));
}
