//! `foveola diff`: two runs, compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::table::lay_out;
use super::{CliError, Ending, print};
use crate::run::diff::{Comparison, EvidenceChange, Pair, Side, compare};
use crate::run::read::RunFolder;
use crate::run::view::Provenance;

/// Rows of a list that are shown.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Pictures are matched by name, classes by label, methods as they were asked for. Drift is one minus
Spearman's rank correlation of the evidence, the worst of all methods: 0 the same ranking, 1 an
unrelated one (or a map without evidence), 2 the opposite.

Exit code 1 if, with --max-drift, an answer that kept its label drifted further, or more labels
changed than --max-changed allows.

Examples:
  foveola diff RUN-FLOAT RUN-INT8
  foveola diff OLD NEW --max-drift 0.3 --max-changed 0.02 --json")]
pub struct DiffArgs {
    /// Folder of the run to start from
    pub first: PathBuf,

    /// Folder of the run to compare with it
    pub second: PathBuf,

    /// Drift that counts as other evidence in the list
    #[arg(long, value_name = "DRIFT", default_value_t = 0.5)]
    pub other: f64,

    /// Largest drift that an answer of the same label may have
    #[arg(long, value_name = "DRIFT")]
    pub max_drift: Option<f64>,

    /// Largest share of pictures whose best label may change [default: any]
    #[arg(long, value_name = "SHARE")]
    pub max_changed: Option<f64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    first: &'a Provenance,
    second: &'a Provenance,
    same_label_other_evidence: Vec<&'a Pair>,
    #[serde(flatten)]
    comparison: &'a Comparison,
    passes: bool,
}

/// Runs the command.
pub fn run(args: &DiffArgs) -> Result<Ending, CliError> {
    let folders = [
        RunFolder::open(&args.first)?,
        RunFolder::open(&args.second)?,
    ];
    let runs = [folders[0].run()?, folders[1].run()?];
    let side = |i: usize| Side {
        run: &runs[i],
        maps: &folders[i],
    };
    let found =
        compare(side(0), side(1), &mut |_, _| {}).map_err(|e| CliError::Usage(e.to_string()))?;
    if found.pictures == 0 {
        let name = |i: usize| runs[i].samples.first().map_or("none", |s| &s.file[..]);
        return Err(CliError::Usage(format!(
            "the runs have no picture in common: the first of one is `{}`, of the other `{}`",
            name(0),
            name(1)
        )));
    }
    let passes = args.passes(&found);
    let text = match args.json {
        false => args.text(&found, [&runs[0].provenance, &runs[1].provenance]),
        true => {
            let document = Document {
                first: &runs[0].provenance,
                second: &runs[1].provenance,
                same_label_other_evidence: found.same_label_other_evidence(args.other),
                comparison: &found,
                passes,
            };
            let text = serde_json::to_string_pretty(&document);
            text.map_err(|e| CliError::Usage(e.to_string()))? + "\n"
        }
    };
    print(&text);
    Ok(match passes {
        true => Ending::Done,
        false => Ending::Differs,
    })
}

impl DiffArgs {
    fn passes(&self, found: &Comparison) -> bool {
        let changed = found.label_changes as f64 / found.pictures.max(1) as f64;
        let labels = self.max_changed.is_none_or(|most| changed <= most);
        let far = |most: f64| !found.same_label_other_evidence(most).is_empty();
        labels && !self.max_drift.is_some_and(far)
    }

    fn text(&self, found: &Comparison, [first, second]: [&Provenance; 2]) -> String {
        let mut text = format!(
            "{} (first) against {} (second): {} pictures of both, {} of the first alone, {} of the \
             second alone\n",
            first.model, second.model, found.pictures, found.only_first, found.only_second
        );
        let kept = found.pictures - found.label_changes;
        let _ = writeln!(
            text,
            "labels: {kept} kept, {} changed ({:.1} %)",
            found.label_changes,
            100.0 * found.label_changes as f64 / found.pictures.max(1) as f64
        );
        let other = found.same_label_other_evidence(self.other);
        let _ = write!(
            text,
            "\nSame label, other evidence (drift above {}): {} of {} answers\n{}",
            self.other,
            other.len(),
            found.answers.iter().filter(|p| p.same_label).count(),
            list(found, &other)
        );
        let changed = found.other_label();
        let _ = write!(
            text,
            "\nOther label: {} answers\n{}",
            changed.len(),
            list(found, &changed)
        );
        text += "\nEvidence, mean rank correlation [95 %] and overlap of the strongest tenths\n";
        text += &evidence(found);
        if !found.scores.is_empty() {
            text += "\nScores, means and 95 % interval of the change\n";
            text += &scores(found);
        }
        text
    }
}

/// Some answers, a row each.
fn list(found: &Comparison, pairs: &[&Pair]) -> String {
    let mut rows = Vec::new();
    for pair in pairs.iter().take(SHOWN) {
        let best = match pair.same_label {
            true => pair.best[0].clone(),
            false => format!("{} -> {}", pair.best[0], pair.best[1]),
        };
        let worst = pair
            .evidence
            .iter()
            .max_by(|a, b| a.drift().total_cmp(&b.drift()));
        let by = worst.map_or_else(String::new, |e| found.methods[e.method][0].clone());
        rows.push(vec![
            format!("  {}", pair.file),
            best,
            format!("explained: {}", pair.label),
            format!("p {:.3} -> {:.3}", pair.probability[0], pair.probability[1]),
            pair.drift
                .map_or_else(String::new, |d| format!("drift {d:.3}")),
            by,
        ]);
    }
    let mut text = lay_out(&rows, &[]);
    if pairs.len() > SHOWN {
        let _ = writeln!(
            text,
            "  and {} more (--json lists all)",
            pairs.len() - SHOWN
        );
    }
    text
}

fn evidence(found: &Comparison) -> String {
    let mut rows = vec![
        ["  method", "label kept", "", "label changed", ""]
            .map(String::from)
            .to_vec(),
    ];
    for (method, names) in found.methods.iter().enumerate() {
        let mut row = vec![format!("  {}", names[0])];
        for changes in [&found.kept, &found.changed] {
            row.extend(changes.get(method).map(change).unwrap_or_default());
        }
        rows.push(row);
    }
    lay_out(&rows, &[])
}

fn change(change: &EvidenceChange) -> [String; 2] {
    let correlation = match (change.spearman, change.interval) {
        (Some(mean), Some([low, high])) => format!("{mean:.3} [{low:.3}, {high:.3}]"),
        (Some(mean), None) => format!("{mean:.3}"),
        _ => String::from("-"),
    };
    let overlap = change
        .overlap
        .map_or_else(String::new, |o| format!("{o:.3}, "));
    let without = match change.without {
        0 => String::new(),
        n => format!(", {n} without evidence"),
    };
    [correlation, format!("{overlap}n {}{without}", change.n)]
}

fn scores(found: &Comparison) -> String {
    let rows: Vec<Vec<String>> = found
        .scores
        .iter()
        .map(|s| {
            let interval = s.interval.map_or_else(String::new, |[low, high]| {
                format!("[{low:+.3}, {high:+.3}]")
            });
            vec![
                format!("  {}", s.metric),
                found.methods[s.method][0].clone(),
                format!("{:.3} -> {:.3}", s.means[0], s.means[1]),
                interval,
                format!("n {}", s.n),
            ]
        })
        .collect();
    lay_out(&rows, &[])
}
