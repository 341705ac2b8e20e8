//! What a board left in its folder, against the host.

use super::answer::{Answer, AnswerError};
use super::compare::Comparison;
use super::host::first_best;
use super::{Host, Identity, Inquiry};

/// What the board says of itself; older firmware says less.
pub(super) fn identity(answer: &Answer) -> Identity {
    let text = |key: &str| answer.text(key).unwrap_or_default().to_owned();
    let logits = answer.floats("logits.bin").ok();
    Identity {
        board: text("board"),
        firmware: text("firmware"),
        firmware_sha256: text("firmware_sha256"),
        model: text("model"),
        input: answer.text("picture_sha256").ok().map(str::to_owned),
        best: logits.map(|logits| first_best(&logits)),
    }
}

/// Compares everything that both sides have.
pub(super) fn compare(
    host: &Host,
    answer: &Answer,
    inquiry: &Inquiry<'_>,
) -> Result<Vec<Comparison>, AnswerError> {
    let logits = answer.floats("logits.bin")?;
    let mut scores = host.scores(&logits, &answer.floats("probabilities.bin")?);
    scores[0].cost = Some(answer.cost("classify")?);
    let mut all = scores.to_vec();
    for i in 0..host.layers.len() {
        let values = answer.floats(&format!("layer{i}.bin"))?;
        all.extend(host.layer(i, &values));
    }
    for (i, spec) in inquiry.methods.iter().enumerate() {
        let values = answer.floats(&format!("map{i}.bin"))?;
        let outcome = answer.text(&format!("outcome.{i}"))?;
        let cost = Some(answer.cost(&format!("cost.{i}"))?);
        let map = host.map(spec, &values, outcome);
        all.extend(map.map(|map| Comparison { cost, ..map }));
    }
    Ok(all)
}
