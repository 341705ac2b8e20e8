//! Tails that turn scores into something else: labels, maps of labels,
//! logarithms. They are cut off; the scores become the output.

use std::rc::Rc;

use super::array::Data;
use super::builder::Builder;
use super::call::{Call, Value};
use super::error::{Stop, unsupported_because};

/// Operators that only occur behind the scores.
pub(super) fn is_tail(op: &str, domain: &str) -> bool {
    match domain {
        "" | "ai.onnx" => matches!(op, "ArgMax" | "LogSoftmax" | "ZipMap"),
        "ai.onnx.ml" => matches!(op, "ZipMap" | "ArrayFeatureExtractor" | "LabelEncoder"),
        _ => false,
    }
}

/// What scores that were cut off may still go through.
fn may_follow(op: &str) -> bool {
    matches!(
        op,
        "Cast" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Gather" | "Exp"
    )
}

fn reads_tail(call: &Call) -> Option<Rc<str>> {
    call.inputs.iter().flatten().find_map(|v| match v {
        Value::Tail(scores) => Some(scores.clone()),
        _ => None,
    })
}

/// Whether the node belongs to a tail.
pub(super) fn applies(call: &Call) -> bool {
    reads_tail(call).is_some() || is_tail(call.op(), &call.node.domain)
}

/// Cuts the node off and keeps the labels that it holds.
pub(super) fn cut(b: &mut Builder, call: &Call) -> Result<Vec<Value>, Stop> {
    if !is_tail(call.op(), &call.node.domain) && !may_follow(call.op()) {
        return unsupported_because("it computes with labels");
    }
    if call.op() == "ArrayFeatureExtractor" && call.inputs.first().is_some_and(is_activation) {
        return unsupported_because("it picks some of the scores");
    }
    let scores = match (reads_tail(call), call.inputs.iter().position(is_activation)) {
        (Some(scores), _) => scores,
        (None, Some(i)) => Rc::from(call.node.input[i].as_str()),
        (None, None) => return unsupported_because("its input does not depend on the picture"),
    };
    if let Some(labels) = labels(call)? {
        b.labels = labels;
    }
    Ok(vec![Value::Tail(scores); call.node.output.len()])
}

fn is_activation(value: &Option<Value>) -> bool {
    matches!(value, Some(Value::Activation(_)))
}

/// Class labels in class order, if the node knows them.
fn labels(call: &Call) -> Result<Option<Vec<String>>, Stop> {
    let numbers = |v: &[i64]| v.iter().map(i64::to_string).collect::<Vec<_>>();
    Ok(match call.op() {
        "ZipMap" => match call.texts_attribute("classlabels_strings")? {
            Some(texts) => Some(texts),
            None => call.ints_attribute("classlabels_int64s")?.map(numbers),
        },
        "ArrayFeatureExtractor" => match call.inputs.first() {
            Some(Some(Value::Constant(array))) => match &array.data {
                Data::Text(texts) => Some(texts.clone()),
                _ => None,
            },
            _ => None,
        },
        "LabelEncoder" => encoder_labels(call)?,
        _ => None,
    })
}

/// A LabelEncoder's texts, if its keys are the class indices 0, 1, 2 ...
fn encoder_labels(call: &Call) -> Result<Option<Vec<String>>, Stop> {
    if let Some(classes) = call.texts_attribute("classes_strings")? {
        return Ok(Some(classes));
    }
    let (Some(keys), Some(texts)) = (
        call.ints_attribute("keys_int64s")?,
        call.texts_attribute("values_strings")?,
    ) else {
        return Ok(None);
    };
    let mut pairs: Vec<(i64, String)> = keys.iter().copied().zip(texts).collect();
    pairs.sort();
    let complete = pairs
        .iter()
        .enumerate()
        .all(|(i, (key, _))| *key == i as i64);
    Ok(complete.then(|| pairs.into_iter().map(|(_, text)| text).collect()))
}
