//! What a run found, in a few lines.

use foveola_core::metric::bootstrap::{RESAMPLES, of_mean};

use crate::card::label;
use crate::cli::table::{lay_out, row};
use crate::run::verdict::{EvidenceMatrix, Place};
use crate::run::view::{Flag, Run, Verdict};
use crate::run::{flag_word, verdict_word};

/// Labels of the evidence confusion matrix that are shown.
const MOST_LABELS: usize = 20;
/// Places that the whole matrix may have on a terminal.
const MOST_PLACES: usize = 6;

/// The summary of a finished run.
pub fn of(run: &Run) -> String {
    let failures = run.samples.iter().filter(|s| s.failure.is_some()).count();
    let mut text = format!("{} pictures, {failures} failed\n", run.samples.len());
    text += &match &run.provenance.unit {
        Some(unit) => format!("each explained by {unit}\n"),
        None => counts(run),
    };
    text += &scores(run);
    let matrix = EvidenceMatrix::of(run);
    if !matrix.is_empty() {
        text += "what the evidence for each predicted label lies on (the first method's):\n";
        text += &evidence(&matrix, &run.labels);
    }
    text
}

/// Flags and verdicts, those that there are.
fn counts(run: &Run) -> String {
    let answers = || run.samples.iter().flat_map(|s| &s.answers);
    let flags = [
        Flag::TruePositive,
        Flag::FalsePositive,
        Flag::FalseNegative,
        Flag::Unknown,
    ];
    let of_flag = |flag: Flag| answers().filter(|a| a.flag == flag).count();
    let verdicts = [Verdict::Right, Verdict::RightWrongReason, Verdict::Wrong];
    let of_verdict = |verdict| answers().filter(|a| a.verdict == Some(verdict)).count();
    let word = |flag: Flag| match flag {
        Flag::Unknown => "predicted",
        other => flag_word(other),
    };
    let mut parts: Vec<(String, usize)> = Vec::new();
    parts.extend(flags.map(|f| (word(f).to_string(), of_flag(f))));
    parts.extend(verdicts.map(|v| (verdict_word(v).to_string(), of_verdict(v))));
    let shown = parts.iter().filter(|(_, n)| *n > 0);
    let shown: Vec<String> = shown.map(|(name, n)| format!("{n} {name}")).collect();
    match shown.is_empty() {
        true => String::from("no label was explained: none is true, none above the threshold\n"),
        false => shown.join(", ") + "\n",
    }
}

/// The matrix as it fits on a terminal: whole if it is small, else what is not 0.
fn evidence(matrix: &EvidenceMatrix, labels: &[String]) -> String {
    if matrix.places.len() <= MOST_PLACES {
        return lay_out(&matrix.rows(labels, MOST_LABELS), &[]);
    }
    let short = |class| label(labels, class).chars().take(32).collect::<String>();
    let mut rows = Vec::new();
    for (&predicted, counts) in matrix.labels.iter().zip(&matrix.counts) {
        let (mut own, mut background, mut others) = (0, 0, Vec::new());
        for (place, &count) in matrix.places.iter().zip(counts) {
            match place {
                Place::Label(class) if *class == predicted => own = count,
                Place::Background => background = count,
                Place::Label(class) if count > 0 => others.push((count, short(*class))),
                Place::Label(_) => {}
            }
        }
        let away = background + others.iter().map(|o| o.0).sum::<u64>();
        let others: Vec<String> = others
            .iter()
            .map(|(n, name)| format!("{n} {name}"))
            .collect();
        let cells = row([&short(predicted), &own, &background, &others.join(", ")]);
        rows.push((std::cmp::Reverse(away), cells));
    }
    rows.sort_by_key(|(away, _)| *away);
    let heading = row([
        &"predicted",
        &"its boxes",
        &"background",
        &"boxes of others",
    ]);
    let left = rows.len().saturating_sub(MOST_LABELS);
    let shown = rows.into_iter().take(MOST_LABELS).map(|(_, cells)| cells);
    let all: Vec<Vec<String>> = std::iter::once(heading).chain(shown).collect();
    match left {
        0 => lay_out(&all, &[1, 2]),
        n => lay_out(&all, &[1, 2]) + &format!("and {n} labels more\n"),
    }
}

/// Mean scores of each method with their intervals.
fn scores(run: &Run) -> String {
    if run.metrics.is_empty() || run.samples.iter().all(|s| s.answers.is_empty()) {
        return String::new();
    }
    let heading = run.metrics.iter().map(|m| m.spec.clone());
    let mut rows: Vec<Vec<String>> = vec![
        std::iter::once(String::from("mean score (95 % interval)"))
            .chain(heading)
            .collect(),
    ];
    for (m, method) in run.methods.iter().enumerate() {
        let name = if method.baseline {
            &method.title
        } else {
            &method.spec
        };
        let cells = (0..run.metrics.len()).map(|k| cell(run, m, k));
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    lay_out(&rows, &[])
}

fn cell(run: &Run, method: usize, metric: usize) -> String {
    let answers = run.samples.iter().flat_map(|s| &s.answers);
    let score = |a: &crate::run::view::Answer| a.maps.get(method)?.scores.get(metric)?.clone().ok();
    let values: Vec<f64> = answers.filter_map(score).collect();
    let found = of_mean(&values, run.provenance.seed, &mut [0.0; RESAMPLES]);
    match (found, values.as_slice()) {
        (Some(i), _) => format!("{:.3} ({:.3} to {:.3})", i.mean, i.low, i.high),
        (None, [one]) => format!("{one:.3}"),
        (None, _) => String::from("-"),
    }
}
