//! What a device keeps: its name, its log, its models.

use std::path::PathBuf;

use clap::Args;
use foveola_core::wire::message::Keeping;

use crate::audit::{self, hex};
use crate::cli::table::{lay_out, row};
use crate::cli::{CliError, Ending, print};
use crate::link::Remote;

#[derive(Debug, Args)]
#[command(after_help = "\
A device is enrolled once, over a cable that nobody else listens to. A new key:
  head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' > key.txt
Who has the key can check the log's signatures, and could have written it: keep it apart from the device.")]
pub struct EnrolArgs {
    /// Its name, at most 64 bytes
    #[arg(long, value_name = "NAME")]
    name: String,

    /// File with the key of its log, 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// File with the Ed25519 key of those who release models for it, 64 hexadecimal digits
    /// [default: it takes any sound model]
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "log.bin")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 for PASS, 1 for FAIL.")]
pub struct AuditArgs {
    /// Leave the policy's own pictures out
    #[arg(long)]
    no_self_test: bool,
}

/// Judges what the camera sees.
pub fn audit(remote: &mut Remote, args: &AuditArgs) -> Result<Ending, CliError> {
    remote.take_frame()?;
    let found = remote.audit(!args.no_self_test)?;
    let (verdict, ending) = match found.outcome.split_once(' ') {
        Some(("pass", inside)) => {
            let share = 100.0 * inside.parse().unwrap_or(0.0f32);
            (
                format!("PASS, {share:.0} % of the evidence inside"),
                Ending::Done,
            )
        }
        Some(("fail", why)) => (format!("FAIL by rule {why}"), Ending::Differs),
        _ => (found.outcome.clone(), Ending::Differs),
    };
    print(&format!(
        "class {}: {verdict}; {} instructions\n",
        found.target, found.instructions
    ));
    Ok(ending)
}

/// What the device keeps, in words.
pub fn storage(remote: &mut Remote) -> Result<String, CliError> {
    let keeps = remote.storage()?;
    let log = match keeps.keeping {
        Keeping::Flash => "in flash",
        Keeping::NotEnrolled => "in memory only: the device is not enrolled",
        Keeping::FlashFailed => "in memory only: the flash failed",
    };
    let sound = if keeps.sound {
        ""
    } else {
        ", which was NOT SOUND at the start"
    };
    let (number, hash) = keeps.last;
    let mut rows = vec![
        row([&"device", &keeps.device]),
        row([&"log", &format!("{log}{sound}")]),
        row([&"anchor", &format!("{number}:{}", hex(&hash))]),
        row([&"oldest release that may run", &keeps.release]),
    ];
    for (slot, number) in keeps.slots.iter().zip(0..) {
        let held = match slot {
            Some((length, sha256)) => format!("{length} bytes, file {}", &hex(sha256)[..12]),
            None => String::from("empty"),
        };
        let runs = if keeps.active == Some(number) {
            ", runs"
        } else {
            ""
        };
        rows.push(row([
            &format!("slot {number} in flash"),
            &format!("{held}{runs}"),
        ]));
    }
    Ok(lay_out(&rows, &[]))
}

/// Names the device.
pub fn enrol(remote: &mut Remote, args: &EnrolArgs) -> Result<String, CliError> {
    let secret = *audit::key(&args.key)?.secret();
    let signer = match &args.signer {
        Some(path) => *audit::key(path)?.secret(),
        None => [0; 32],
    };
    remote.enrol(&args.name, secret, signer)?;
    storage(remote)
}

/// Fetches the log.
pub fn log(remote: &mut Remote, args: &LogArgs) -> Result<String, CliError> {
    let log = remote.log()?;
    let (number, hash) = remote.storage()?.last;
    let unwritten = |e| CliError::Usage(format!("{}: {e}", args.out.display()));
    std::fs::write(&args.out, &log).map_err(unwritten)?;
    Ok(format!(
        "{} bytes in {}\nanchor {number}:{}\n",
        log.len(),
        args.out.display(),
        hex(&hash)
    ))
}
