//! The `foveola` program: what it takes, and one file for each command.

mod accelerate;
mod audit;
mod audit_run;
mod bisect;
mod board_args;
mod budget;
mod classify;
mod compile;
mod completions;
mod crosscheck;
mod demo;
mod device;
mod diff;
mod doctor;
mod explain;
mod gpus;
mod inspect;
mod layers;
mod limit_args;
mod methods;
mod metrics;
mod model_args;
mod plan_args;
mod progress;
mod report;
mod run;
mod scores;
mod seal_args;
mod sheet;
mod table;
mod uncertainty;
mod unit_args;

use std::io::Write;

use clap::{Parser, Subcommand};

use crate::accelerate::AccelerateError;
use crate::activations::ActivationError;
use crate::audit::AuditError;
use crate::audit::policy::PolicyError;
use crate::bisect::BisectError;
use crate::crosscheck::CrosscheckError;
use crate::doctor::DoctorError;
use crate::explainer::ExplainError;
use crate::link::LinkError;
use crate::model::ModelError;
use crate::photo::PhotoError;
use crate::quantise::QuantiseError;
use crate::report::folder::WriteError;
use crate::run::RunError;
use crate::run::data::DataError;

/// Asks an image classifier what it looked at.
#[derive(Debug, Parser)]
#[command(name = "foveola", version, about, max_term_width = 100)]
#[command(
    after_help = "Without a command, `demo` runs: three networks, told apart by what they look at."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw what a model looks at in a picture, and say it in a sentence
    Explain(explain::ExplainArgs),
    /// Draw many methods on several pictures side by side
    Sheet(sheet::SheetArgs),
    /// Classify a picture
    Classify(classify::ClassifyArgs),
    /// Show a model's nodes, shapes, layers to explain, and what is supported
    Inspect(inspect::InspectArgs),
    /// Show what a layer holds for a picture, and the sum behind one number of it
    Layers(layers::LayersArgs),
    /// Compile an ONNX or .tflite file to a .fov model file
    Compile(compile::CompileArgs),
    /// Compile an int8 .tflite file for an Arm Ethos-U NPU
    Accelerate(accelerate::AccelerateArgs),
    /// Show what a model and its explanations take: flash, RAM, passes
    Budget(budget::BudgetArgs),
    /// Weigh the scores of a run: which method to trust
    Scores(scores::ScoresArgs),
    /// Compare two runs: labels, evidence, scores
    Diff(diff::DiffArgs),
    /// List the methods with their parameters, cost and needs
    Methods,
    /// List the metrics with their parameters, range and cost
    Metrics,
    /// Compare the host with a board, bit for bit
    Crosscheck(crosscheck::CrosscheckArgs),
    /// Find the first stage at which a device or another engine differs, and why
    Bisect(Box<bisect::BisectArgs>),
    /// Read the log of a device: is it whole, and what does it say
    Audit(audit::AuditArgs),
    /// Ask a device over its serial line: classify and explain there
    Device(Box<device::DeviceArgs>),
    /// Find the preprocessing that a model expects, from labelled pictures
    Doctor(Box<doctor::DoctorArgs>),
    /// Explain and score a whole data set
    Run(Box<run::RunArgs>),
    /// Plan a run: write its manifest and nothing else
    Plan(Box<run::PlanArgs>),
    /// Show how far a run is, and whether its shards are whole
    Status(run::StatusArgs),
    /// Put the shards of a run that was computed in several folders into one
    Merge(run::MergeArgs),
    /// Write runs as one page that opens from disk
    Report(report::ReportArgs),
    /// Tell three networks apart by what they look at
    Demo(demo::DemoArgs),
    /// List the GPUs within reach and what they can do
    Gpus,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The picture.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The explanation.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// What is asked of a layer.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The output files.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The comparison with a board.
    #[error(transparent)]
    Crosscheck(Box<CrosscheckError>),
    /// The comparison stage by stage.
    #[error(transparent)]
    Bisect(Box<BisectError>),
    /// The log of a device.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The policy of a model.
    #[error(transparent)]
    Policy(Box<PolicyError>),
    /// The device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The preprocessing.
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    /// The demo did not come out as it promises.
    #[error("these verdicts are not what the demo promises: {0}")]
    Verdict(String),
    /// The network is not compiled for an NPU.
    #[error(transparent)]
    Accelerate(#[from] AccelerateError),
    /// The network is not quantised.
    #[error(transparent)]
    Quantise(Box<QuantiseError>),
    /// The run of a data set.
    #[error(transparent)]
    Run(Box<RunError>),
    /// Flags that do not fit each other.
    #[error("{0}")]
    Usage(String),
}

impl From<CrosscheckError> for CliError {
    fn from(error: CrosscheckError) -> Self {
        Self::Crosscheck(Box::new(error))
    }
}

impl From<BisectError> for CliError {
    fn from(error: BisectError) -> Self {
        Self::Bisect(Box::new(error))
    }
}

impl From<PolicyError> for CliError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(Box::new(error))
    }
}

impl From<QuantiseError> for CliError {
    fn from(error: QuantiseError) -> Self {
        Self::Quantise(Box::new(error))
    }
}

/// How a command ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was asked to do.
    Done,
    /// It was stopped, and kept what was finished.
    Stopped,
    /// It compared two things, and they differ.
    Differs,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What is wrong with the input, in words.
    pub fn run(self) -> Result<Ending, CliError> {
        let text = match self.command {
            None => return demo::run(&demo::DemoArgs::default()),
            Some(Command::Demo(args)) => return demo::run(&args),
            Some(Command::Explain(args)) => return explain::run(&args),
            Some(Command::Sheet(args)) => return sheet::run(&args),
            Some(Command::Crosscheck(args)) => return crosscheck::run(&args),
            Some(Command::Bisect(args)) => return bisect::run(&args),
            Some(Command::Audit(args)) => return audit::run(&args),
            Some(Command::Device(args)) => return device::run(&args),
            Some(Command::Doctor(args)) => return doctor::run(&args),
            Some(Command::Run(args)) => return run::run(&args),
            Some(Command::Status(args)) => return run::status(&args),
            Some(Command::Merge(args)) => return run::merge(&args),
            Some(Command::Plan(args)) => run::plan(&args)?,
            Some(Command::Diff(args)) => return diff::run(&args),
            Some(Command::Scores(args)) => scores::run(&args)?,
            Some(Command::Classify(args)) => classify::run(&args)?,
            Some(Command::Inspect(args)) => inspect::run(&args)?,
            Some(Command::Layers(args)) => layers::run(&args)?,
            Some(Command::Compile(args)) => compile::run(&args)?,
            Some(Command::Accelerate(args)) => accelerate::run(&args)?,
            Some(Command::Budget(args)) => budget::run(&args)?,
            Some(Command::Methods) => methods::run(),
            Some(Command::Metrics) => metrics::run(),
            Some(Command::Gpus) => gpus::run(),
            Some(Command::Report(args)) => report::run(&args)?,
            Some(Command::Completions(args)) => completions::run(&args),
        };
        print(&text);
        Ok(Ending::Done)
    }
}

/// Prints to standard output. A reader that has gone away is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(plain(text).as_bytes());
}

/// Prints a remark to standard error.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "note: {}", plain(text));
}

/// Names and labels come from files of others: what could steer a terminal
/// becomes a question mark.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let shown = text.chars().map(|c| if harmless(c) { c } else { '?' });
    shown.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn terminals_cannot_be_steered() {
        assert_eq!(super::plain("a\u{1b}[2Jb\r\n\u{9b}c\t"), "a?[2Jb?\n?c\t");
    }
}
