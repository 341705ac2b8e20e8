//! What an ONNX file says about its input and output, read from the protobuf.

use std::collections::BTreeMap;

use foveola_core::Shape;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto};

use super::{TractError, surgery};
use crate::card::NetworkFacts;
use crate::graph::{InputType, Layout};

/// A classifier's input and output.
#[derive(Clone, Debug)]
pub struct OnnxFacts {
    /// Name of the input.
    pub input_name: String,
    /// Height, width, channels.
    pub input: Shape,
    /// Order of the axes.
    pub layout: Layout,
    /// Number type of the input.
    pub input_type: InputType,
    /// Name of the output that holds the scores.
    pub output_name: String,
    /// Number of scores.
    pub classes: usize,
    /// Whether the model ends in a softmax or sigmoid.
    pub normalised: bool,
    /// Labels of a ZipMap; empty without one.
    pub labels: Vec<String>,
    /// Metadata properties.
    pub metadata: BTreeMap<String, String>,
}

impl From<&OnnxFacts> for NetworkFacts {
    fn from(facts: &OnnxFacts) -> Self {
        Self {
            input: facts.input,
            layout: facts.layout,
            classes: facts.classes,
            normalised: facts.normalised,
            labels: facts.labels.clone(),
            metadata: facts.metadata.clone(),
        }
    }
}

/// Reads the facts and leaves in `proto` what tract can run: batch 1, scores
/// (and logits, if the model ends in a softmax or sigmoid) as the outputs.
pub fn read(proto: &mut ModelProto, size: Option<[usize; 2]>) -> Result<OnnxFacts, TractError> {
    let metadata = proto.metadata_props.iter();
    let metadata = metadata.map(|p| (p.key.clone(), p.value.clone())).collect();
    let graph = proto
        .graph
        .as_mut()
        .ok_or_else(|| TractError::Parse(String::from("it holds no graph")))?;
    surgery::drop_initialised_inputs(graph);
    surgery::replace_image_scalers(graph);
    surgery::scalar_pad_values(graph);
    let (dims, input_type) = picture_input(graph, size)?;
    let (layout, input) = axes(graph, &dims)?;
    let input_name = graph.input[0].name.clone();
    let labels = labels(graph);
    let tail = surgery::keep_scores(graph)?;
    Ok(OnnxFacts {
        input_name,
        input,
        layout,
        input_type,
        output_name: tail.scores,
        classes: 0,
        normalised: tail.logits.is_some(),
        labels,
        metadata,
    })
}

/// Sets the batch to 1, and open sides to `size`; answers the sides and the
/// number type of the only input.
fn picture_input(
    graph: &mut GraphProto,
    size: Option<[usize; 2]>,
) -> Result<(Vec<usize>, InputType), TractError> {
    let [input] = graph.input.as_mut_slice() else {
        let names: Vec<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
        let reason = format!("it has {} inputs ({})", names.len(), names.join(", "));
        return Err(TractError::NotAClassifier(reason));
    };
    let open = |reason: &str| TractError::NotAClassifier(format!("its input {reason}"));
    let (elem, dims) = tensor_type(input).ok_or_else(|| open("has no shape"))?;
    let input_type = match DataType::try_from(elem) {
        Ok(DataType::Float) => InputType::F32,
        Ok(DataType::Float16) => InputType::F16,
        Ok(DataType::Uint8) => InputType::U8,
        Ok(DataType::Int8) => InputType::I8,
        other => return Err(open(&format!("takes numbers of type {other:?}"))),
    };
    let sides = close(dims, size)
        .ok_or_else(|| open("leaves height or width open; give them with --input-size H,W"))?;
    match sides.first() {
        Some(1) => Ok((sides, input_type)),
        _ => Err(open("does not take one picture at a time")),
    }
}

/// Gives open dimensions their sizes; `None` if one has none.
fn close(dims: &mut Dims, size: Option<[usize; 2]>) -> Option<Vec<usize>> {
    let colours = |d: &Dimension| matches!(d.value, Some(Dim::DimValue(1 | 3 | 4)));
    let channels_last = dims.last().is_some_and(colours) && !dims.get(1).is_some_and(colours);
    let rows = if channels_last { 1 } else { 2 };
    let mut sides = Vec::new();
    for (axis, dim) in dims.iter_mut().enumerate() {
        let given = match (axis, size) {
            (0, _) => Some(1),
            (a, Some([h, _])) if a == rows => Some(h),
            (a, Some([_, w])) if a == rows + 1 => Some(w),
            _ => None,
        };
        let side = match (&dim.value, given) {
            (Some(Dim::DimValue(n)), _) if *n > 0 => *n as usize,
            (_, given) => given?,
        };
        dim.value = Some(Dim::DimValue(side as i64));
        sides.push(side);
    }
    Some(sides)
}

type Dims = Vec<Dimension>;

fn tensor_type(info: &mut ValueInfoProto) -> Option<(i32, &mut Dims)> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_mut()?.value.as_mut()?;
    Some((tensor.elem_type, &mut tensor.shape.as_mut()?.dim))
}

/// Where the channels are: told by a Transpose that brings them forward, else
/// by which axis has 1, 3 or 4 of them; in doubt first.
fn axes(graph: &GraphProto, dims: &[usize]) -> Result<(Layout, Shape), TractError> {
    match *dims {
        [_, features] => Ok((Layout::Flat, Shape::new(1, 1, features))),
        [_, a, b, c] => {
            let colours = |n: usize| matches!(n, 1 | 3 | 4);
            let last = brought_forward(graph) || (colours(c) && !colours(a));
            Ok(match last {
                true => (Layout::Nhwc, Shape::new(a, b, c)),
                false => (Layout::Nchw, Shape::new(b, c, a)),
            })
        }
        _ => Err(TractError::NotAClassifier(format!(
            "its input has {} axes, not batch, channels, height, width",
            dims.len()
        ))),
    }
}

fn brought_forward(graph: &GraphProto) -> bool {
    let mut name = graph.input[0].name.as_str();
    loop {
        let mut readers = graph
            .node
            .iter()
            .filter(|n| n.input.iter().any(|i| i == name));
        let (Some(reader), None) = (readers.next(), readers.next()) else {
            return false;
        };
        match reader.op_type.as_str() {
            "Transpose" => return ints(reader, "perm") == [0, 3, 1, 2],
            "QuantizeLinear" | "DequantizeLinear" | "Cast" | "Identity" => {
                name = reader.output[0].as_str();
            }
            _ => return false,
        }
    }
}

fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    let attribute = node.attribute.iter().find(|a| a.name == name);
    attribute.map_or(&[], |a| a.ints.as_slice())
}

/// Labels of a ZipMap.
fn labels(graph: &GraphProto) -> Vec<String> {
    let maps = graph.node.iter().filter(|n| n.op_type == "ZipMap");
    let strings = maps
        .flat_map(|n| &n.attribute)
        .find(|a| a.name == "classlabels_strings");
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    strings.map_or(Vec::new(), |a| a.strings.iter().map(text).collect())
}
