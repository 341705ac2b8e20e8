//! `foveola report`: runs as one page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, note};
use crate::report::folder::{PageWithFolder, write_file};
use crate::report::page::{DATA, Entry, Limits, Page, render, render_split};
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

    /// Keep pictures and maps in a folder `data` beside the page, which loads what is looked at:
    /// for runs that are too large for one file
    #[arg(long, conflicts_with = "megabytes")]
    split: bool,

    /// Most pictures of a run in the page, the worst of every class first (500; all with --split)
    #[arg(long, value_name = "N")]
    samples: Option<usize>,

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
    let page = write(args, &entries)?;
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
    let data = args.out.with_file_name(DATA);
    Ok(match args.split {
        true => format!(
            "{} ({size:.1} MB) and {}\n",
            args.out.display(),
            data.display()
        ),
        false => format!("{} ({size:.1} MB)\n", args.out.display()),
    })
}

/// Writes the page where it was asked for.
fn write(args: &ReportArgs, entries: &[Entry<'_>]) -> Result<Page, CliError> {
    let one = Limits::default().samples;
    let limits = Limits {
        samples: args
            .samples
            .unwrap_or(if args.split { usize::MAX } else { one }),
        bytes: usize::from(args.megabytes) << 20,
    };
    if args.split {
        let folder = PageWithFolder::open(&args.out, DATA)?;
        let mut put = |name: &str, bytes: &[u8]| folder.put(name, bytes);
        let page = render_split(entries, None, limits, &mut put)?;
        folder.commit(page.html.as_bytes())?;
        return Ok(page);
    }
    let page = render(entries, None, limits);
    write_file(&args.out, page.html.as_bytes())?;
    Ok(page)
}

/// What a run is called: its folder.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
