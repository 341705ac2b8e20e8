//! What was compared, as text and as one JSON document.

use serde_json::{Value, json};

use super::boards::Ready;
use super::record::{Entry, Tensor};
use crate::cli::table::{lay_out, row};
use crate::crosscheck::{Kind, Verdict};

/// Comparisons that the table names when they do not pass.
const NAMED: usize = 20;

/// One picture on one device: a row a tensor.
pub fn one(entry: &Entry, board: &Ready) -> String {
    let (layers, rest): (Vec<_>, Vec<_>) =
        entry.tensors.iter().partition(|t| t.kind == Kind::Layer);
    let mut text = heading(entry);
    let mut rows = vec![row([
        &"",
        &"values",
        &"different",
        &"largest",
        &"steps",
        &"Spearman",
        &"top 10 %",
        &"instructions",
        &"stack",
        &"arena",
    ])];
    rows.extend(rest.into_iter().chain(&entry.first_layer).map(compared));
    if rows.len() > 1 {
        text += &lay_out(&rows, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    if !layers.is_empty() {
        let exact = layers.iter().filter(|t| t.is_exact()).count();
        text += &format!("{exact} of {} layers have the same bits\n", layers.len());
    }
    for halves in &entry.halves {
        text += &format!("{}: {}\n", halves.method, halves.half.words());
    }
    for (method, why) in &entry.left_out {
        text += &format!("left out: {method}: {why}\n");
    }
    text += &drifts(std::slice::from_ref(entry));
    if let Some(error) = &entry.error {
        text += &format!("{}: {error}\n", board.name);
    }
    if let Some(suspect) = &entry.suspect {
        text += &format!("suspect: {suspect}\n");
    }
    text + &format!("\n{}\n", entry.verdict)
}

/// Device, model, class, and the device's program.
fn heading(entry: &Entry) -> String {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
    let mut text = format!(
        "{}, model {}",
        entry.question.board,
        short(&entry.question.model)
    );
    if let Some(target) = entry.target {
        text += &format!(", class {target}");
    }
    if let Some(device) = entry.device.as_ref().filter(|d| !d.firmware.is_empty()) {
        text += &format!(
            "\n{} with firmware {} ({}), model {}, picture {}",
            device.board,
            device.firmware,
            short(&device.firmware_sha256),
            short(&device.model),
            short(device.input.as_deref().unwrap_or("unknown"))
        );
    }
    text + "\n\n"
}

fn compared(t: &Tensor) -> Vec<String> {
    let count = |value: Option<u64>| value.map_or(String::new(), |v| v.to_string());
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
    let mut name = t.name.clone();
    if let Some(op) = &t.op {
        name += &format!(" ({op})");
    }
    if let Some(remark) = &t.remark {
        name += &format!(" ({remark})");
    }
    row([
        &name,
        &t.values,
        &t.different,
        &t.largest
            .map_or(String::from("inf"), |v| format!("{v:.1e}")),
        &t.steps.map_or(String::new(), |v| format!("{v:.1}")),
        &number(t.spearman),
        &number(t.top_tenth),
        &count(t.instructions),
        &count(t.stack),
        &count(t.arena),
    ])
}

/// One row a device, then what does not pass.
pub fn many(entries: &[Entry], boards: &[Ready]) -> String {
    let mut rows = vec![row([
        &"board",
        &"pictures",
        &"bit-exact",
        &"others",
        &"instructions",
        &"seconds",
    ])];
    for board in boards {
        let mine = entries.iter().filter(|e| e.question.board == board.name);
        let mine: Vec<&Entry> = mine.collect();
        let exact = mine.iter().filter(|e| e.verdict == "BIT-EXACT").count();
        let seconds: f64 = mine.iter().map(|e| e.seconds).sum();
        let instructions: u64 = mine.iter().map(|e| e.instructions()).sum();
        let count = mine.len().max(1);
        rows.push(row([
            &board.name,
            &mine.len(),
            &exact,
            &(mine.len() - exact),
            &format!("{:.3} G", instructions as f64 / count as f64 / 1e9),
            &format!("{:.1}", seconds / count as f64),
        ]));
    }
    let mut text = lay_out(&rows, &[1, 2, 3, 4, 5]);
    text += "instructions and seconds: of one picture, on average\n";
    for board in boards.iter().filter(|board| !board.left_out.is_empty()) {
        let names: Vec<&str> = board.left_out.iter().map(|(m, _)| m.as_str()).collect();
        text += &format!(
            "{} has too little RAM for {}\n",
            board.name,
            names.join(", ")
        );
    }
    text += &drifts(entries);
    let wrong: Vec<&Entry> = entries.iter().filter(|e| !e.passes).collect();
    for entry in wrong.iter().take(NAMED) {
        let (board, picture) = (&entry.question.board, &entry.picture);
        text += &format!(
            "{board}, {picture}: {}: {}\n",
            entry.verdict,
            entry.reason()
        );
    }
    let exact = entries.iter().filter(|e| e.verdict == "BIT-EXACT").count();
    text + &format!("\n{exact} of {} BIT-EXACT\n", entries.len())
}

/// Mean and most of some drifts.
fn spread(drifts: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let all: Vec<f64> = drifts.collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let most = all.iter().copied().reduce(f64::max)?;
    Some([mean, most])
}

fn quantisation(entries: &[Entry]) -> Option<[f64; 2]> {
    let float = entries.iter().filter_map(|e| e.float.as_ref());
    spread(float.map(|float| float.drift))
}

fn device(entries: &[Entry]) -> Option<[f64; 2]> {
    spread(entries.iter().filter_map(|e| e.device_drift))
}

/// The two numbers that tell quantisation from the device, if a float network
/// was compared.
fn drifts(entries: &[Entry]) -> String {
    let (Some(float), Some(device)) = (quantisation(entries), device(entries)) else {
        return String::new();
    };
    let labels = entries.iter().filter_map(|e| e.float.as_ref());
    let changed = labels.filter(|float| !float.same_label).count();
    format!(
        "drift of the maps (1 - Spearman, worst method), mean and most:\n\
         quantisation, float on the host against this model on the host: {:.4}, {:.4}; \
         another class {changed} times\n\
         device, this model on the host against the device: {:.4}, {:.4}\n",
        float[0], float[1], device[0], device[1]
    )
}

/// Everything, and what it comes to.
pub fn document(entries: &[Entry]) -> Value {
    let count = |verdict: Verdict| {
        let word = verdict.word();
        let count = entries.iter().filter(|e| e.verdict == word).count();
        (word.to_owned(), json!(count))
    };
    let drift =
        |spread: Option<[f64; 2]>| spread.map(|[mean, most]| json!({"mean": mean, "most": most}));
    let verdicts: serde_json::Map<String, Value> = Verdict::ALL.map(count).into_iter().collect();
    json!({
        "foveola": env!("CARGO_PKG_VERSION"),
        "passes": entries.iter().all(|entry| entry.passes),
        "verdicts": verdicts,
        "device_drift": drift(device(entries)),
        "quantisation_drift": drift(quantisation(entries)),
        "comparisons": entries,
    })
}
