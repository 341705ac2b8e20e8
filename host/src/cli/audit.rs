//! `foveola audit`: a device's log, held to the rules and told.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use foveola_core::audit::anchor::Link;
use foveola_core::audit::record::Record;
use serde_json::json;

use super::audit_run::{self, JudgeArgs, KeygenArgs, ReplayArgs};
use super::table::{lay_out, row};
use super::{CliError, Ending, print};
use crate::audit::{self, Findings, LogFile, explain, hex, story};

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find every deletion, change, swap, truncation and splice in a log
    Verify(VerifyArgs),
    /// Tell what a log, or one record of it, says
    Show(ShowArgs),
    /// Run a record again: are its input and its output the same bytes
    Replay(ReplayArgs),
    /// Hold pictures to the policy of a model
    Judge(JudgeArgs),
    /// Make a key that signs model files
    Keygen(KeygenArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
An end that was cut off looks like a log that ends earlier: only an anchor tells them apart. Keep the one
that this command prints, elsewhere.

Exit code 0 if nothing is wrong, 1 if something is, 2 if the log cannot be read.")]
struct VerifyArgs {
    /// The log, as the device exported it
    log: PathBuf,

    /// Name of the device
    #[arg(long, value_name = "NAME")]
    device: String,

    /// File with the key of its enrolment, 64 hexadecimal digits; without it, signatures are not checked
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// A record that was seen before, as an earlier run printed it
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_link)]
    anchor: Option<Link>,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The log, as the device exported it
    log: PathBuf,

    /// Number of one record [default: all]
    number: Option<u64>,
}

fn parse_link(text: &str) -> Result<Link, String> {
    let what = "a number, a colon and 64 hexadecimal digits are needed";
    audit::link(text).ok_or_else(|| String::from(what))
}

/// Runs the command.
pub fn run(args: &AuditArgs) -> Result<Ending, CliError> {
    match &args.command {
        AuditCommand::Verify(args) => verify(args),
        AuditCommand::Show(args) => show(args),
        AuditCommand::Replay(args) => audit_run::replay(args),
        AuditCommand::Judge(args) => audit_run::judge(args),
        AuditCommand::Keygen(args) => audit_run::keygen(args),
    }
}

fn verify(args: &VerifyArgs) -> Result<Ending, CliError> {
    let log = LogFile::open(&args.log)?;
    let key = args.key.as_deref().map(audit::key).transpose()?;
    let is_signed = key.is_some();
    let findings = log.verify(&args.device, key, args.anchor);
    print(&match args.json {
        true => format!("{}\n", as_json(&findings)),
        false => in_words(&findings, is_signed),
    });
    Ok(match findings.faults.is_empty() {
        true => Ending::Done,
        false => Ending::Differs,
    })
}

fn as_json(findings: &Findings) -> serde_json::Value {
    let faults: Vec<String> = findings.faults.iter().map(explain).collect();
    let link = |link: Option<Link>| link.map(|link| anchor(&link));
    json!({
        "records": findings.records,
        "faults": faults,
        "first": findings.summary.first.map(|first| first.number),
        "last": link(findings.summary.last),
        "signed": link(findings.summary.signed),
        "boots": findings.summary.boot + 1,
    })
}

fn anchor(link: &Link) -> String {
    format!("{}:{}", link.number, hex(&link.hash))
}

fn in_words(findings: &Findings, is_signed: bool) -> String {
    let summary = &findings.summary;
    let number = |link: Option<Link>| link.map_or(0, |link| link.number);
    let mut text = format!(
        "{} records, {} to {}, {} boots\n",
        findings.records,
        number(summary.first),
        number(summary.last),
        summary.boot + 1,
    );
    if let Some(cut) = summary.cut {
        text += &format!(
            "older records were given up for room before {}\n",
            cut.number
        );
    }
    match (is_signed, summary.signed) {
        (false, _) => text += "signatures were not checked: --key is missing\n",
        (true, None) => text += "no record is signed\n",
        (true, Some(signed)) => {
            let behind = number(summary.last).saturating_sub(signed.number);
            text += &format!("signed up to record {}", signed.number);
            text += &match behind {
                0 => String::from("\n"),
                n => format!("; the {n} behind it are chained only\n"),
            };
        }
    }
    for fault in &findings.faults {
        text += &format!("WRONG: {}\n", explain(fault));
    }
    if findings.faults.is_empty() {
        text += "nothing is wrong\n";
    }
    if let Some(last) = summary.last {
        text += &format!("anchor {}\n", anchor(&last));
    }
    text
}

fn show(args: &ShowArgs) -> Result<Ending, CliError> {
    let log = LogFile::open(&args.log)?;
    match args.number {
        Some(number) => print(&one(&log.record(number)?)),
        None => {
            let mut rows = vec![row([&"record", &"boot", &"time", &"what"])];
            rows.extend(log.records().map(|record| {
                let (boot, time) = (record.entry.boot, time(&record));
                row([&record.number, &boot, &time, &story(&record)])
            }));
            print(&lay_out(&rows, &[0, 1]));
        }
    }
    Ok(Ending::Done)
}

/// Date and time in UTC.
fn time(record: &Record<'_>) -> String {
    let Some(milliseconds) = record.entry.time else {
        return String::from("unknown");
    };
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}",
        second % 60
    )
}

/// Year, month and day of a number of days since 1970-01-01 (H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
const fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

fn one(record: &Record<'_>) -> String {
    let entry = &record.entry;
    let hash = |hash: &[u8; 32]| match hash {
        [0, .., 0] if hash == &[0; 32] => String::from("none"),
        _ => hex(hash),
    };
    lay_out(
        &[
            row([&"record", &record.number]),
            row([&"what", &story(record)]),
            row([&"time", &time(record)]),
            row([&"boots before", &entry.boot]),
            row([&"model", &hash(&entry.model)]),
            row([&"firmware", &hash(&entry.firmware)]),
            row([&"input", &hash(&entry.input)]),
            row([&"output", &hash(&entry.output)]),
            row([&"record before", &hex(&record.previous)]),
            row([&"this record", &hex(&record.hash)]),
        ],
        &[],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_779), (2026, 11, 22));
        assert_eq!(date(-1), (1969, 12, 31));
    }
}
