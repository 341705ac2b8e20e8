//! `foveola run`, `plan`, `status` and `merge`: a whole data set, explained and
//! scored.

mod args;
mod progress;
mod summary;

use std::path::{Path, PathBuf};

use clap::Args;

use super::progress::catch_interrupts;
use super::{CliError, Ending, note, print};
use crate::run::gather;
use crate::run::manifest::{MANIFEST, Manifest};
use crate::run::read::RunFolder;
use crate::run::{Ended, Part, RunError, Runner};
pub use args::{PlanArgs, RunArgs};
use progress::Progress;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Folder of the run
    pub run: PathBuf,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders of the same run, each with some of its shards
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,

    /// Folder for all of them
    #[arg(short, long, value_name = "RUN")]
    pub out: PathBuf,
}

/// Runs `foveola run`.
pub fn run(args: &RunArgs) -> Result<Ending, CliError> {
    let (mut runner, folder) = match &args.question.data {
        Some(_) => (args.question.runner()?, args.question.folder()?),
        None => again(args)?,
    };
    runner.workers = args.workers.map_or_else(every, usize::from);
    catch_interrupts();
    let progress = Progress::new(&folder);
    let ended = runner.run(&folder, args.shard.unwrap_or(Part::WHOLE), &progress)?;
    progress.finish();
    if ended.stopped {
        note("stopped; finished shards are kept, and the same command goes on");
        return Ok(Ending::Stopped);
    }
    print(&closing(&folder, &ended)?);
    Ok(Ending::Done)
}

fn every() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A run that was planned: its folder stands in the place of the model.
fn again(args: &RunArgs) -> Result<(Runner, PathBuf), CliError> {
    let folder = args.question.model.model.clone();
    if !folder.join(MANIFEST).is_file() {
        let reason = format!(
            "{} is no planned run: give a model and a data set, or the folder of `foveola plan`",
            folder.display()
        );
        return Err(CliError::Usage(reason));
    }
    if let Some(flag) = args.question.asks() {
        let reason = format!("{flag} is for a new run; the plan of this one is fixed");
        return Err(CliError::Usage(reason));
    }
    let manifest = Manifest::open(&folder)?;
    Ok((Runner::of_manifest(&manifest)?, folder))
}

fn closing(folder: &Path, ended: &Ended) -> Result<String, CliError> {
    let mut text = String::new();
    if !ended.complete {
        text += &format!(
            "{} pictures computed, {} failed\n",
            ended.pictures, ended.failures
        );
        if ended.elsewhere > 0 {
            text += &format!(
                "{} shards are computed by other processes\n",
                ended.elsewhere
            );
        }
        return Ok(text + &shown(folder, &gather::status(folder)?));
    }
    let run = RunFolder::open(folder)?.run()?;
    text += &summary::of(&run);
    Ok(text + &format!("The run is in {}\n", folder.display()))
}

/// Runs `foveola plan`.
pub fn plan(args: &PlanArgs) -> Result<String, CliError> {
    let folder = args.question.folder()?;
    let manifest = args.question.runner()?.prepare(&folder)?;
    Ok(format!(
        "{} pictures in {} shards of up to {}, {} passes a picture and class at most\n\
         compute them with `foveola run {} --shard 1/N` to `--shard N/N`\n",
        manifest.data.pictures,
        manifest.shards.count,
        manifest.shards.size,
        manifest
            .config
            .methods
            .iter()
            .map(|m| m.passes)
            .sum::<u64>(),
        folder.display()
    ))
}

/// Runs `foveola status`.
pub fn status(args: &StatusArgs) -> Result<Ending, CliError> {
    let status = gather::status(&args.run)?;
    print(&shown(&args.run, &status));
    Ok(
        match status.damaged.is_empty() && status.done == status.shards {
            true => Ending::Done,
            false => Ending::Differs,
        },
    )
}

fn shown(folder: &Path, status: &gather::Status) -> String {
    let mut text = format!(
        "{}: {} of {} shards, {} of {} pictures, {} failures\n",
        folder.display(),
        status.done,
        status.shards,
        status.written,
        status.pictures,
        status.failures
    );
    if !status.running.is_empty() {
        let running: Vec<String> = status.running.iter().map(u64::to_string).collect();
        text += &format!("computed now: shards {}\n", running.join(", "));
    }
    for damaged in &status.damaged {
        text += &format!("damaged: {damaged}; remove its shard and run again\n");
    }
    text
}

/// Runs `foveola merge`.
pub fn merge(args: &MergeArgs) -> Result<Ending, CliError> {
    let merged = gather::merge(&args.runs, &args.out)?;
    print(&format!(
        "{} shards copied, {} there already with the same bytes, {} still missing\n",
        merged.copied, merged.same, merged.missing
    ));
    Ok(match merged.missing {
        0 => Ending::Done,
        _ => Ending::Differs,
    })
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}
