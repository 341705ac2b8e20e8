//! `foveola report`: runs as one page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, note};
use crate::report::folder::write_file;
use crate::report::page::{Entry, Limits, render};
use crate::run::read::RunFolder;
use crate::run::view::Run;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folders of runs; several are switched between in the page
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,

    /// Most pictures of a run in the page, the worst of every class first
    #[arg(long, value_name = "N", default_value_t = Limits::default().samples)]
    samples: usize,

    /// Most megabytes of pictures and maps in the page
    #[arg(long, value_name = "N", default_value_t = (Limits::default().bytes >> 20) as u16)]
    megabytes: u16,
}

/// Runs the command.
pub fn run(args: &ReportArgs) -> Result<String, CliError> {
    let folders = args.runs.iter().map(|path| RunFolder::open(path));
    let folders = folders.collect::<Result<Vec<_>, _>>()?;
    let runs = folders.iter().map(RunFolder::run);
    let runs: Vec<Run> = runs.collect::<Result<_, _>>()?;
    let names: Vec<String> = args.runs.iter().map(|path| name(path)).collect();
    let entries: Vec<Entry<'_>> = (names.iter().zip(&runs).zip(&folders))
        .map(|((name, run), pictures)| Entry {
            name,
            run,
            pictures,
        })
        .collect();
    let limits = Limits {
        samples: args.samples,
        bytes: usize::from(args.megabytes) << 20,
    };
    let page = render(&entries, None, limits);
    write_file(&args.out, page.html.as_bytes())?;
    for ((name, run), shown) in names.iter().zip(&runs).zip(&page.shown) {
        let all = run.samples.len();
        if *shown < all {
            note(&format!(
                "{name}: {shown} of {all} pictures are in the page, the worst of every class \
                 first; every number is of all of them. --samples and --megabytes change that"
            ));
        }
    }
    let size = page.html.len() as f64 / f64::from(1 << 20);
    Ok(format!("{} ({size:.1} MB)\n", args.out.display()))
}

/// What a run is called: its folder.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
