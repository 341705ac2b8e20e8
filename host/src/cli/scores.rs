//! `foveola scores`: the scores of a run, weighed.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::CliError;
use super::table::lay_out;
use crate::card::label;
use crate::run::evaluation::{Evaluation, Mean, Overall, Weights, normalised};
use crate::run::read::RunFolder;
use crate::run::view::Run;

/// Numbers that tables show after the point.
const DIGITS: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = "\
The overall score is sum w v / sum w over the metrics that a method has a score of, where v is the
mean brought to 0 (worst) .. 1 (best) by the metric's range and direction. A metric without bounds,
or without a single score, takes no part: its weight goes to the others and the overall score is
marked partial. Intervals are 95 % bootstrap intervals.

Examples:
  foveola scores RUN
  foveola scores RUN --weights faithfulness=2,localization=1
  foveola scores RUN --weights deletion=1,insertion=1 --json")]
pub struct ScoresArgs {
    /// Folder of a run
    pub run: PathBuf,

    /// What metrics and families of metrics count, relative to each other:
    /// NAME=WEIGHT,.. [default: all alike]
    #[arg(long, value_name = "LIST")]
    pub weights: Option<String>,

    /// Show the scores of each class as well
    #[arg(long)]
    pub classes: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,

    /// Print CSV: a row for each class, method and metric
    #[arg(long)]
    pub csv: bool,
}

/// Runs the command.
pub fn run(args: &ScoresArgs) -> Result<String, CliError> {
    let run = RunFolder::open(&args.run)?.run()?;
    if run.metrics.is_empty() {
        return Err(CliError::Usage(format!(
            "{} has no scores: it was made without --metric",
            args.run.display()
        )));
    }
    let weights = match &args.weights {
        Some(text) => Weights::parse(text, &run).map_err(|e| CliError::Usage(e.to_string()))?,
        None => Weights::equal(&run),
    };
    let evaluation = Evaluation::of(&run);
    let overall = evaluation.overall(&run, &weights);
    let scores = Scores {
        run: &run,
        weights: &weights,
        evaluation: &evaluation,
        overall: &overall,
    };
    Ok(match (args.json, args.csv) {
        (true, _) => scores.json()?,
        (_, true) => scores.csv()?,
        _ => scores.text(args.classes),
    })
}

struct Scores<'a> {
    run: &'a Run,
    weights: &'a Weights,
    evaluation: &'a Evaluation,
    overall: &'a [Overall],
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a crate::run::view::Provenance,
    metrics: Vec<MetricDocument<'a>>,
    methods: Vec<MethodDocument<'a>>,
    classes: Vec<ClassDocument<'a>>,
    differences: &'a [crate::run::evaluation::Difference],
}

#[derive(Serialize)]
struct MetricDocument<'a> {
    metric: &'a str,
    family: &'static str,
    weight: f64,
}

#[derive(Serialize)]
struct MethodDocument<'a> {
    method: &'a str,
    baseline: bool,
    overall: Option<f64>,
    partial: bool,
    scores: &'a [Mean],
}

#[derive(Serialize)]
struct ClassDocument<'a> {
    class: usize,
    label: String,
    scores: &'a [Vec<Mean>],
}

impl Scores<'_> {
    fn text(&self, classes: bool) -> String {
        let mut text = self.table(&self.evaluation.scores, Some(self.overall));
        let partial = self.overall.iter().any(|o| !o.missing.is_empty());
        if partial {
            text += "\n* partial: some weighted metrics have no score, or no bounds; their weight went to the others\n";
        }
        text += &self.missing();
        text += &self.pairs();
        if classes {
            for (class, scores) in &self.evaluation.classes {
                text += &format!("\n{}\n", label(&self.run.labels, *class));
                text += &self.table(scores, None);
            }
        }
        text
    }

    fn table(&self, scores: &[Vec<Mean>], overall: Option<&[Overall]>) -> String {
        let mut heading = vec![String::from("method")];
        heading.extend(overall.map(|_| String::from("overall")));
        heading.extend(self.run.metrics.iter().map(|m| m.spec.clone()));
        let mut order: Vec<usize> = (0..scores.len()).collect();
        if let Some(overall) = overall {
            let value = |m: usize| overall[m].value.unwrap_or(-1.0);
            order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
        }
        let mut rows = vec![heading];
        for m in order {
            let method = &self.run.methods[m];
            let mark = if method.baseline { " (baseline)" } else { "" };
            let mut row = vec![format!("{}{mark}", method.spec)];
            row.extend(overall.map(|overall| overall_cell(&overall[m])));
            row.extend(scores[m].iter().map(cell));
            rows.push(row);
        }
        lay_out(&rows, &[])
    }

    /// Scores that do not exist, and why.
    fn missing(&self) -> String {
        let mut lines = Vec::new();
        for (method, means) in self.run.methods.iter().zip(&self.evaluation.scores) {
            for (metric, mean) in self.run.metrics.iter().zip(means) {
                for (reason, n) in &mean.undefined {
                    let (method, metric) = (&method.spec, &metric.spec);
                    lines.push(format!(
                        "  {method}, {metric}: {n} without a score: {reason}\n"
                    ));
                }
            }
        }
        match lines.is_empty() {
            true => String::new(),
            false => format!("\nUndefined:\n{}", lines.concat()),
        }
    }

    /// The differences of methods that are hardly chance.
    fn pairs(&self) -> String {
        let mut rows = Vec::new();
        for difference in &self.evaluation.differences {
            let metric = &self.run.metrics[difference.metric];
            let Some(better) = difference.better(metric.row) else {
                continue;
            };
            let [a, b] = difference.methods;
            let other = if better == a { b } else { a };
            let [low, high] = difference.interval;
            rows.push(vec![
                format!("  {}", metric.spec),
                format!("{} beats", self.run.methods[better].spec),
                self.run.methods[other].spec.clone(),
                format!("by {:.DIGITS$}", difference.mean.abs()),
                format!(
                    "[{:.DIGITS$}, {:.DIGITS$}]",
                    low.abs().min(high.abs()),
                    low.abs().max(high.abs())
                ),
                format!("n {}", difference.n),
            ]);
        }
        match rows.is_empty() {
            true => String::from("\nNo difference of two methods is beyond chance.\n"),
            false => format!(
                "\nPaired differences beyond chance:\n{}",
                lay_out(&rows, &[])
            ),
        }
    }

    fn json(&self) -> Result<String, CliError> {
        let (run, evaluation) = (self.run, self.evaluation);
        let metrics = run.metrics.iter().zip(self.weights.values());
        let methods = run.methods.iter().zip(self.overall).zip(&evaluation.scores);
        let document = Document {
            run: &run.provenance,
            metrics: metrics
                .map(|(m, &weight)| MetricDocument {
                    metric: &m.spec,
                    family: crate::run::evaluation::family_word(m.row.family),
                    weight,
                })
                .collect(),
            methods: methods
                .map(|((method, overall), scores)| MethodDocument {
                    method: &method.spec,
                    baseline: method.baseline,
                    overall: overall.value,
                    partial: !overall.missing.is_empty(),
                    scores,
                })
                .collect(),
            classes: evaluation
                .classes
                .iter()
                .map(|(&class, scores)| ClassDocument {
                    class,
                    label: label(&run.labels, class),
                    scores,
                })
                .collect(),
            differences: &evaluation.differences,
        };
        serde_json::to_string_pretty(&document)
            .map(|text| text + "\n")
            .map_err(|e| CliError::Usage(e.to_string()))
    }

    fn csv(&self) -> Result<String, CliError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |e: &dyn std::fmt::Display| CliError::Usage(e.to_string());
        let heading = "class,method,metric,mean,low,high,n,undefined,normalised,weight,overall";
        writer
            .write_record(heading.split(','))
            .map_err(|e| failed(&e))?;
        let classes = self.evaluation.classes.iter();
        let all = std::iter::once((String::new(), &self.evaluation.scores, true));
        let each = classes.map(|(&c, scores)| (label(&self.run.labels, c), scores, false));
        for (class, scores, whole) in all.chain(each) {
            for (m, means) in scores.iter().enumerate() {
                for (k, mean) in means.iter().enumerate() {
                    let metric = &self.run.metrics[k];
                    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
                    let overall = self.overall[m].value.filter(|_| whole);
                    let record = [
                        class.clone(),
                        self.run.methods[m].spec.clone(),
                        metric.spec.clone(),
                        number(mean.mean),
                        number(mean.interval.map(|i| i[0])),
                        number(mean.interval.map(|i| i[1])),
                        mean.n.to_string(),
                        mean.missing().to_string(),
                        number(mean.mean.and_then(|v| normalised(v, metric.row))),
                        self.weights.values()[k].to_string(),
                        number(overall),
                    ];
                    writer.write_record(record).map_err(|e| failed(&e))?;
                }
            }
        }
        let bytes = writer.into_inner().map_err(|e| failed(&e))?;
        String::from_utf8(bytes).map_err(|e| failed(&e))
    }
}

fn overall_cell(overall: &Overall) -> String {
    let mark = if overall.missing.is_empty() { "" } else { "*" };
    match overall.value {
        Some(value) => format!("{value:.DIGITS$}{mark}"),
        None => String::from("-"),
    }
}

fn cell(mean: &Mean) -> String {
    match (mean.mean, mean.interval) {
        (Some(mean), Some([low, high])) => {
            format!("{mean:.DIGITS$} [{low:.DIGITS$}, {high:.DIGITS$}]")
        }
        (Some(mean), None) => format!("{mean:.DIGITS$}"),
        (None, _) => String::from("-"),
    }
}
