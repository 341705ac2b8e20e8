//! `foveola audit replay`, `judge` and `keygen`: what runs a model or makes a key.

use std::path::{Path, PathBuf};

use clap::Args;
use foveola_core::audit::policy::Policy;
use foveola_core::audit::self_test;
use foveola_core::rng::DEFAULT_SEED;

use super::model_args::{CardArgs, ModelArgs};
use super::seal_args::bench;
use super::table::{lay_out, row};
use super::{CliError, Ending, print};
use crate::audit::bench::Bench;
use crate::audit::policy::PolicyError;
use crate::audit::replay::{Replay, files};
use crate::audit::rules::judge_all;
use crate::audit::{LogFile, hex, replay as again, seal, story};
use crate::photo::Photo;
use crate::report::files::png;
use crate::report::folder::OutputFolder;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0 if input and output are the same bytes, 1 if they are not or the input is missing, 2 if
something cannot be read.")]
pub struct ReplayArgs {
    /// The log, as the device exported it
    log: PathBuf,

    /// Number of the record
    number: u64,

    /// The .fov file that ran
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    /// The picture, or a folder in which it is found by its hash: photos, .npy tensors, frames as
    /// the device took them
    #[arg(long, value_name = "FILE or DIR")]
    picture: PathBuf,

    /// Key of random numbers, for explanations
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
`foveola compile --policy` puts a policy into a model file; its help says how one is written.

Exit code 0 if all pictures and the self-test pass, 1 if not.")]
pub struct JudgeArgs {
    #[command(flatten)]
    model: ModelArgs,

    /// Pictures, or folders of them
    #[arg(required = true)]
    pictures: Vec<PathBuf>,

    /// Folder for overlays with the region's boxes
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The private key stays with who ships models; devices and verifiers take the public one.")]
pub struct KeygenArgs {
    /// File for the private key; the public one goes beside it, with .pub behind its name
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// `foveola audit keygen`.
pub fn keygen(args: &KeygenArgs) -> Result<Ending, CliError> {
    let public = seal::keygen(&args.out)?;
    print(&format!("public key {}\n", hex(&public.0)));
    Ok(Ending::Done)
}

fn open(path: &Path) -> Result<Bench, CliError> {
    let args = ModelArgs {
        model: path.to_path_buf(),
        backend: None,
        adapter: None,
        precision: None,
        threads: None,
        edits: None,
        allow_external: false,
        input_size: None,
        card: CardArgs::default(),
    };
    bench(args.open()?)
}

/// `foveola audit replay`.
pub fn replay(args: &ReplayArgs) -> Result<Ending, CliError> {
    let log = LogFile::open(&args.log)?;
    let record = log.record(args.number)?;
    let mut bench = open(&args.model)?;
    let found = again::replay(&record, &mut bench, &args.picture, args.seed)?;
    let mut text = format!("record {}: {}\n", record.number, story(&record));
    text += &told(&found, &args.picture);
    print(&text);
    Ok(match found.is_same() {
        true => Ending::Done,
        false => Ending::Differs,
    })
}

fn told(found: &Replay, given: &Path) -> String {
    match found {
        Replay::OtherModel { wanted } => {
            format!("another model ran: its SHA-256 is {}\n", hex(wanted))
        }
        Replay::NotAPicture => String::from("the record is not about a picture\n"),
        Replay::NoInput { wanted, looked_at } => format!(
            "the input is missing: none of {looked_at} files in {} has SHA-256 {}\n",
            given.display(),
            hex(wanted)
        ),
        Replay::Ran {
            picture,
            what,
            same,
            otherwise,
        } => {
            let verdict = match same {
                true => "the same bytes",
                false => "OTHER BYTES",
            };
            let mut text = format!(
                "input: {}, the same bytes\noutput ({what}): {verdict}\n",
                picture.display()
            );
            for line in otherwise {
                text += &format!("DIFFERS: {line}\n");
            }
            text
        }
    }
}

/// `foveola audit judge`.
pub fn judge(args: &JudgeArgs) -> Result<Ending, CliError> {
    let mut bench = bench(args.model.open()?)?;
    let handle = bench.handle();
    let policy = Policy::of(handle.model()).map_err(PolicyError::Check)?;
    let policy = policy.ok_or_else(|| PolicyError::None(bench.model.path.clone()))?;
    let mut folder = args.out.as_deref().map(OutputFolder::open).transpose()?;
    let mut rows = vec![row([
        &"picture",
        &"class",
        &"rule",
        &"inside",
        &"border",
        &"agreement",
        &"verdict",
    ])];
    let (mut failed, mut pictures) = (0, 0);
    for path in all_files(&args.pictures)? {
        let photo = Photo::open(&path, &bench.model.intake())?;
        let judged = judge_all(&policy, &mut bench, &photo)?;
        pictures += 1;
        failed += usize::from(judged.iter().any(|one| !one.judgement.passed()));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for one in judged {
            let label = bench.model.card.label(one.target);
            let j = &one.judgement;
            let percent = |share: f32| format!("{:.1} %", 100.0 * share);
            let agreement = j.agreement.map_or(String::from("-"), |a| format!("{a:.3}"));
            rows.push(row([
                &name,
                &label,
                &j.rule,
                &percent(j.inside),
                &percent(j.border),
                &agreement,
                &one.words(),
            ]));
            if let Some(folder) = &mut folder {
                let file = format!("{name}.rule{}.{}.png", j.rule, one.target);
                folder.stage(&file, &png(&one.overlay(&photo, &label)))?;
            }
        }
    }
    let mut text = lay_out(&rows, &[2, 3, 4, 5]);
    text += &format!("{} of {pictures} pictures pass\n", pictures - failed);
    let sound = self_tested(&policy, &mut bench, &mut text);
    if let Some(folder) = folder {
        folder.commit()?;
    }
    print(&text);
    Ok(match failed == 0 && sound {
        true => Ending::Done,
        false => Ending::Differs,
    })
}

/// Runs the self-test, if there is one; whether it passes.
fn self_tested(policy: &Policy<'_>, bench: &mut Bench, text: &mut String) -> bool {
    let mut out = vec![0.0; bench.file().classes()];
    let summary = self_test::run(policy, bench, &mut out);
    if summary.cases > 0 {
        *text += &match summary.first {
            None => format!("self-test: all of {} pass\n", summary.cases),
            Some((case, reason)) => format!(
                "self-test: {} of {} FAIL; case {case}: {reason}\n",
                summary.failed, summary.cases
            ),
        };
    }
    summary.failed == 0
}

fn all_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PolicyError> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(files(path)?);
    }
    Ok(all)
}
