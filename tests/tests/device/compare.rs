//! What a board answered, held against the host's answer.

use foveola_core::net::model::Model;

use super::board::Answer;
use super::host::{Ask, Truth};

/// What differs, a line each: the layer with its operator, the scores, the maps.
pub fn differences(
    model: &Model<'_>,
    methods: &[Ask],
    answer: &Answer,
    truth: &Truth,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differ = |what: &str, found: &str, wanted: &str| {
        if found != wanted {
            lines.push(format!("{what}: board {found:?}, host {wanted:?}"));
        }
    };
    let target = truth.target.map(|target| target.to_string());
    differ(
        "target",
        answer.get("target"),
        target.as_deref().unwrap_or_default(),
    );
    let error = truth.error.as_deref().unwrap_or_default();
    differ("error", answer.get("error"), error);
    for (number, answered) in truth.answered.iter().enumerate() {
        let what = format!("outcome of {}", methods[number]);
        differ(
            &what,
            answer.get(&format!("outcome.{number}")),
            &answered.outcome,
        );
        let cost = |part| {
            answer
                .cost(&format!("cost.{number}"), part)
                .unwrap_or_default()
        };
        let (arena, scratch) = (cost("arena"), cost("scratch"));
        differ("arena", &arena.to_string(), &answered.arena.to_string());
        differ(
            "scratch",
            &scratch.to_string(),
            &answered.scratch.to_string(),
        );
    }
    for (name, wanted) in &truth.files {
        lines.extend(difference(
            &what(model, methods, name),
            &answer.bits(name),
            wanted,
        ));
    }
    lines
}

/// How two files of f32 differ, if they do.
fn difference(what: &str, found: &[u32], wanted: &[u32]) -> Option<String> {
    if found.len() != wanted.len() {
        let (found, wanted) = (found.len(), wanted.len());
        return Some(format!("{what}: {found} values, {wanted} wanted"));
    }
    let pairs = || found.iter().zip(wanted).enumerate();
    let count = pairs().filter(|(_, (a, b))| a != b).count();
    let (first, (a, b)) = pairs().find(|(_, (a, b))| a != b)?;
    let of = wanted.len();
    let values = [*a, *b].map(f32::from_bits);
    Some(format!(
        "{what}: {count} of {of} differ, first {first}: board {a:08x} ({:e}), host {b:08x} ({:e})",
        values[0], values[1]
    ))
}

/// What a file holds.
fn what(model: &Model<'_>, methods: &[Ask], file: &str) -> String {
    let number = |stem: &str| {
        let rest = file.strip_prefix(stem)?.strip_suffix(".bin")?;
        rest.parse::<usize>().ok()
    };
    if let Some((index, node)) = number("layer").and_then(|i| Some((i, model.node(i)?))) {
        return format!("node {index}, {:?} {:?}", node.op, node.activation);
    }
    match number("map") {
        Some(map) => format!("map of {}", methods[map]),
        None => file.to_owned(),
    }
}

/// What each method cost, as a table of this test's output.
pub fn costs(board: &str, answer: &Answer) {
    let methods = (0..16).map(|i| (answer.get(&format!("method.{i}")), format!("cost.{i}")));
    let methods = methods.take_while(|(method, _)| !method.is_empty());
    for (method, key) in std::iter::once(("classify", "classify".to_owned())).chain(methods) {
        println!("| {board} | {method} | {} |", answer.get(&key));
        let cost = |what| answer.cost(&key, what).expect("the cost states it");
        assert!(cost("instructions") > 1000, "{board}: {method}");
        let stack = cost("stack");
        assert!(
            (1000..13_000).contains(&stack),
            "{board}: {method}: {stack} bytes of stack"
        );
    }
}
