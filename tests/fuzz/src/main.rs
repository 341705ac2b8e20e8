//! The `foveola-fuzz` program; the library says what it does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use foveola_fuzz::{corpus, corpus_folder, flips, fuzz, log};

const USAGE: &str = "\
foveola-fuzz model [--inputs N] [--seed N] [--threads N] [--only INDEX]
foveola-fuzz flips FILE [--sample N]
foveola-fuzz log [--inputs N] [--seed N] [--threads N]";

/// The number behind a flag.
fn number(args: &[String], flag: &str) -> Result<Option<u64>, String> {
    let Some(at) = args.iter().position(|a| a == flag) else {
        return Ok(None);
    };
    let value = args.get(at + 1).and_then(|v| v.parse().ok());
    value
        .map(Some)
        .ok_or(format!("{flag} takes a number\n{USAGE}"))
}

fn model(args: &[String]) -> Result<String, String> {
    let only = number(args, "--only")?;
    let threads = number(args, "--threads")?.unwrap_or(2).clamp(1, 64) as usize;
    let options = fuzz::Options {
        first: only.unwrap_or(0),
        inputs: if only.is_some() {
            1
        } else {
            number(args, "--inputs")?.unwrap_or(1_000_000)
        },
        seed: number(args, "--seed")?.unwrap_or(1),
        threads: if only.is_some() { 1 } else { threads },
        found: corpus_folder().with_file_name("found"),
        every: Duration::from_secs(10),
    };
    let corpus = corpus(&corpus_folder())?;
    if let Some(index) = only {
        let path = options
            .found
            .join(format!("seed{}-input{index}.fov", options.seed));
        let written = std::fs::create_dir_all(&options.found)
            .and_then(|()| std::fs::write(&path, fuzz::bytes(&corpus, options.seed, index)));
        written.map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{}", path.display());
    }
    let begin = Instant::now();
    let tally = fuzz::fuzz(&corpus, &options)?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = tally.inputs as f64 / seconds;
    let files = corpus.len();
    Ok(format!(
        "{}seed {}, {files} files, {seconds:.0} s, {rate:.0} inputs a second: nothing found",
        tally.table(),
        options.seed
    ))
}

fn every_bit(path: &str, args: &[String]) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    fuzz::quiet_panics();
    let choice = flips::Choice {
        first: 0,
        step: 1,
        sample: number(args, "--sample")?.unwrap_or(1).max(1) as usize,
    };
    let flips = flips::flips(&bytes, choice)?;
    let table = flips.tally.table();
    match (&flips.unnoticed[..], &flips.findings[..]) {
        ([], []) => Ok(format!(
            "{table}with hashes every flip is rejected: nothing found"
        )),
        (unnoticed, findings) => {
            let unnoticed = format!("bits that hashes do not notice: {unnoticed:?}");
            let findings = findings.iter().map(|(bit, f)| format!("bit {bit}: {f:?}"));
            Err(findings.chain([unnoticed]).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Logs of a device, broken.
fn logs(args: &[String]) -> Result<String, String> {
    let inputs = number(args, "--inputs")?.unwrap_or(1_000_000);
    let seed = number(args, "--seed")?.unwrap_or(1);
    let threads = number(args, "--threads")?.unwrap_or(2).clamp(1, 64);
    let sound = log::sound();
    fuzz::quiet_panics();
    let share = |thread: u64| -> Result<u64, String> {
        let mut passed = 0;
        for index in (thread..inputs).step_by(threads as usize) {
            let found = log::feed(&sound, seed, index);
            passed += u64::from(found.map_err(|f| format!("seed {seed} input {index}: {f:?}"))?);
        }
        Ok(passed)
    };
    let all: Result<Vec<u64>, String> = std::thread::scope(|scope| {
        let share = &share;
        let threads: Vec<_> = (0..threads)
            .map(|t| scope.spawn(move || share(t)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|end| end.unwrap_or_else(|_| Err("the fuzzer itself is broken".into())))
            .collect()
    });
    let passed: u64 = all?.into_iter().sum();
    Ok(format!(
        "{inputs} logs, {passed} found sound, seed {seed}: nothing found"
    ))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["model", ..] => model(&args),
        ["log", ..] => logs(&args),
        ["flips", path, ..] => every_bit(path, &args),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
