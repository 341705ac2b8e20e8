//! `foveola demo`: three networks, equal on paper, told apart by what they look at.

mod board;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;

use super::progress::{bar, catch_interrupts, interrupted};
use super::table::{lay_out, row};
use super::{CliError, Ending, print};
use crate::demo::audit::{Audit, Finding, MethodFindings, Questions, Scenes, audit};
use crate::demo::evidence::Part;
use crate::demo::gallery::Gallery;
use crate::demo::page::lead;
use crate::demo::runs::{self, SHOWN, Scratch};
use crate::demo::scene::Kind;
use crate::demo::verdict::{DECIDING_METHOD, LEAST_LIFT};
use crate::demo::{NETWORKS, SCENES, SEED};
use crate::report::files::png;
use crate::report::folder::OutputFolder;
use crate::run::Observe;
use crate::run::shard::Seal;

/// Name of the contact sheet's file.
const SHEET: &str = "contact-sheet.png";
/// Name of the page.
const PAGE: &str = "report.html";

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the files
    #[arg(short, long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub out: PathBuf,

    /// Threads; results do not depend on it [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Do not run the networks on an emulated microcontroller
    #[arg(long)]
    pub no_board: bool,
}

const DEFAULT_OUT: &str = "foveola-out/demo";

impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            out: PathBuf::from(DEFAULT_OUT),
            threads: None,
            no_board: false,
        }
    }
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Result<Ending, CliError> {
    let folder = OutputFolder::open(&args.out)?;
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or_else(all, usize::from);
    print(&format!(
        "Three networks tell utility poles of wood, concrete and steel apart. {SCENES} scenes that no training saw\n\
         (seed {SEED}); snow lies exactly under the concrete poles. Who looks at the pole?\n\n"
    ));
    let _ = std::io::stdout().flush();
    catch_interrupts();
    let build = (!args.no_board).then(board::Build::begin).flatten();
    let scenes = Scenes::new(SEED, SCENES, threads);
    let Some(audits) = audit_all(&scenes, threads)? else {
        return Ok(Ending::Stopped);
    };
    print(&verdicts(&audits));
    print(&evidence(&audits));
    if !save(&audits, &scenes, folder, threads)? {
        return Ok(Ending::Stopped);
    }
    print(&format!(
        "\nOverlays, {SHEET} and {PAGE} are in {}.\n",
        args.out.display()
    ));
    as_stated(&audits)?;
    let ending = match args.no_board {
        true => Ending::Done,
        false => board::run(&scenes.cue, build)?,
    };
    print("\nNow your own:\n  foveola explain MODEL.onnx PHOTO.jpg\n");
    Ok(ending)
}

/// Every network in turn; `None` if it was stopped.
fn audit_all(scenes: &Scenes, threads: usize) -> Result<Option<Vec<Audit>>, CliError> {
    let bar = bar("demo", NETWORKS.len() as u64 * u64::from(SCENES), "scenes");
    let tick = || {
        bar.inc(1);
        !interrupted()
    };
    let questions = Questions::demo()?;
    let mut audits = Vec::new();
    for network in &NETWORKS {
        match audit(network, scenes, &questions, (threads, &tick))? {
            Some(audit) => audits.push(audit),
            None => return Ok(None),
        }
    }
    bar.finish_and_clear();
    Ok(Some(audits))
}

/// Accuracy and verdict of each network.
fn verdicts(audits: &[Audit]) -> String {
    let heading: [&dyn std::fmt::Display; 6] = [
        &"network",
        &"snow in training",
        &"right as trained",
        &"right here",
        &"right, snow swapped",
        &"verdict",
    ];
    let mut rows = vec![row(heading)];
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for a in audits {
        rows.push(row([
            &a.network.name,
            &a.network.training,
            &percent(a.own),
            &percent(a.cue),
            &percent(a.swapped),
            &a.verdict.word(),
        ]));
    }
    let mut text = lay_out(&rows, &[2, 3, 4]);
    for a in audits {
        text += &format!("{}: {}.\n", a.network.name, a.verdict);
    }
    text
}

/// A column of the evidence table: which scenes.
type Column = (&'static str, fn(&MethodFindings) -> &Finding);

/// Share of the evidence on the pole: the deciding method by class, then all
/// methods over all scenes and for concrete.
fn evidence(audits: &[Audit]) -> String {
    let mut rows = vec![vec![
        String::from("method"),
        String::from("poles"),
        String::from("scenes"),
    ]];
    rows[0].extend(audits.iter().map(|a| String::from(a.network.name)));
    rows[0].push(String::from("chance"));
    let columns: [Column; 4] = [
        ("all", |m| &m.all),
        (Kind::Wood.label(), |m| &m.classes[Kind::Wood as usize]),
        (Kind::Concrete.label(), |m| {
            &m.classes[Kind::Concrete as usize]
        }),
        (Kind::Steel.label(), |m| &m.classes[Kind::Steel as usize]),
    ];
    let methods = audits.first().map_or(&[][..], |a| &a.methods);
    for (m, method) in methods.iter().enumerate() {
        for (label, pick) in columns {
            let decides = method.method == DECIDING_METHOD;
            if decides || label == "all" || label == Kind::Concrete.label() {
                rows.push(evidence_row(audits, m, label, pick));
            }
        }
    }
    format!(
        "\nEvidence inside the pole's box, % [95 % interval]; chance is the box's share of the picture.\n\
         PASS needs {LEAST_LIFT} times chance in {DECIDING_METHOD} for every class, at the interval's lower end.\n\n{}",
        lay_out(&rows, &[2, 3, 4, 5, 6])
    )
}

fn evidence_row(
    audits: &[Audit],
    method: usize,
    label: &str,
    pick: fn(&MethodFindings) -> &Finding,
) -> Vec<String> {
    let found: Vec<&MethodFindings> = audits
        .iter()
        .filter_map(|a| a.methods.get(method))
        .collect();
    let first = found.first().map(|m| (m.method, pick(m)));
    let (name, scenes, chance) = first.map_or(("", 0, 0.0), |(name, f)| {
        (name, f.scenes, f.areas[Part::Pole as usize])
    });
    let mut cells = row([&name, &label, &scenes]);
    for method in found {
        let [mean, low, high] = {
            let pole = &pick(method).pole;
            [pole.mean, pole.low, pole.high].map(|v| 100.0 * v)
        };
        cells.push(format!("{mean:.0} [{low:.0}, {high:.0}]"));
    }
    cells.push(format!("{:.0}", 100.0 * chance));
    cells
}

/// Writes the files; `false` if it was stopped before.
fn save(
    audits: &[Audit],
    scenes: &Scenes,
    mut folder: OutputFolder,
    threads: usize,
) -> Result<bool, CliError> {
    let gallery = Gallery::new(&scenes.cue)?;
    folder.stage(SHEET, &png(&gallery.sheet))?;
    for (name, bytes) in &gallery.overlays {
        folder.stage(name, bytes)?;
    }
    let scratch = Scratch::new(folder.path())?;
    let watch = Watch(bar("page", (SHOWN * NETWORKS.len()) as u64, "scenes"));
    let page = runs::page(
        &lead(audits, &scenes.cue),
        &scenes.cue,
        &scratch,
        (threads, &watch),
    )?;
    watch.0.finish_and_clear();
    let Some(page) = page else {
        return Ok(false);
    };
    folder.stage(PAGE, page.as_bytes())?;
    folder.commit()?;
    Ok(true)
}

/// Shows how far the page's runs are.
struct Watch(ProgressBar);

impl Observe for Watch {
    fn begin(&self, _todo: u64, _there: u64) {}

    fn picture(&self, _file: &str, _failure: Option<&str>) {
        self.0.inc(1);
    }

    fn shard(&self, _seal: &Seal) {}

    fn stopped(&self) -> bool {
        interrupted()
    }
}

/// Fails unless every verdict is the one that the demo promises.
fn as_stated(audits: &[Audit]) -> Result<(), CliError> {
    let wrong = audits
        .iter()
        .filter(|a| a.verdict.passes() != a.network.passes);
    let wrong: Vec<String> = wrong
        .map(|a| format!("{} {}", a.network.name, a.verdict.word()))
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(CliError::Verdict(wrong.join(", "))),
    }
}
