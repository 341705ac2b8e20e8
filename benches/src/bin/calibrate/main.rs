//! Measures the firmware on every emulated board and fits what `foveola
//! budget` predicts with: `cargo run --release -p foveola-benches --bin
//! calibrate [BOARD..]`, from the repository's root, with QEMU and the targets
//! installed. Writes `host/src/budget/measured.toml`.

mod fit;
mod measure;
mod nets;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fit::{Row, fit};
use foveola::budget::{Measured, Measurements};
use measure::{Case, PROGRAMS, Program, sizes};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TABLE: &str = "host/src/budget/measured.toml";

/// Stacks are rounded up to this.
const STACK: usize = 64;

/// Added to the deepest stack that was seen: other networks nest otherwise.
const MARGIN: usize = 512;

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let firmware = Path::new("firmware").canonicalize()?;
    let cases = nets::nets();
    let cases = cases.iter().enumerate().map(|(i, net)| Case::new(i, net));
    let cases: Vec<Case> = cases.collect::<Result<_>>()?;
    let mut all = Measurements {
        origin: origin()?,
        boards: kept(),
    };
    for program in &PROGRAMS {
        if asked.is_empty() || asked.iter().any(|name| name == program.board) {
            let measured = calibrate(&firmware, program, &cases)?;
            all.boards.insert(program.board.to_owned(), measured);
        }
    }
    let head = "# Written by foveola-benches' program calibrate: what the firmware takes on each board.\n\n";
    std::fs::write(TABLE, head.to_owned() + &toml::to_string(&all)?)?;
    Ok(())
}

/// What the table says of boards that are not measured anew.
fn kept() -> BTreeMap<String, Measured> {
    let text = std::fs::read_to_string(TABLE).unwrap_or_default();
    let old: Measurements = toml::from_str(&text).unwrap_or_default();
    old.boards
}

fn origin() -> Result<BTreeMap<String, String>> {
    let first = |program: &str, args: &[&str]| -> Result<String> {
        let output = Command::new(program).args(args).output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let pairs = [
        ("qemu", first("qemu-system-arm", &["--version"])?),
        ("rustc", first("rustc", &["--version"])?),
        ("date", first("date", &["-u", "+%Y-%m-%d"])?),
    ];
    Ok(pairs.map(|(key, value)| (key.to_owned(), value)).into())
}

fn calibrate(firmware: &Path, program: &Program, cases: &[Case]) -> Result<Measured> {
    let elf = program.build(firmware)?;
    let (flash, statics) = sizes(&elf)?;
    let linked = std::fs::metadata(firmware.join("../core/fixtures/small.fov"))?.len() as usize;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = case.run(firmware, program, &elf).map_err(|e| e.to_string());
                    done.lock().expect("nobody panics").push((case, answer));
                }
            });
        }
    });
    let mut rows = Vec::new();
    let mut stack = BTreeMap::new();
    let done = done.into_inner().map_err(|_| "a thread panicked")?;
    for (case, answer) in done {
        let Some(answer) = answer? else {
            println!("{}: {} does not fit", program.board, case.name);
            continue;
        };
        let (more, stacks) = case.rows(&answer)?;
        rows.extend(more);
        for (method, depth) in stacks {
            let deepest = stack.entry(method.to_owned()).or_insert(0);
            *deepest = (depth + MARGIN).next_multiple_of(STACK).max(*deepest);
        }
    }
    let instructions = fit(&rows, |name| program.soft || !name.contains(".soft."));
    report(program.board, &rows, &instructions);
    Ok(Measured {
        program: flash - linked,
        statics,
        stack,
        instructions,
    })
}

/// How far prices are from what was measured.
fn report(board: &str, rows: &[Row], prices: &BTreeMap<String, f64>) {
    let error = |row: &Row| row.counts.at(prices) / row.instructions - 1.0;
    let lap = |row: &&Row| row.name.contains("ward.");
    for (what, laps) in [("nodes", true), ("questions", false)] {
        let chosen: Vec<&Row> = rows.iter().filter(|row| lap(row) == laps).collect();
        let squares: f64 = chosen.iter().map(|row| error(row).powi(2)).sum();
        let worst = chosen
            .iter()
            .max_by(|a, b| error(a).abs().total_cmp(&error(b).abs()));
        println!(
            "{board}: {} {what}: {:.2} % rms, worst {:.2} % ({})",
            chosen.len(),
            100.0 * (squares / chosen.len() as f64).sqrt(),
            worst.map_or(0.0, |row| 100.0 * error(row)),
            worst.map_or("", |row| &row.name),
        );
    }
    if std::env::var_os("VERBOSE").is_some() {
        for row in rows.iter().filter(|row| error(row).abs() > 0.01) {
            println!(
                "{:8.2} % {} {}",
                100.0 * error(row),
                row.instructions,
                row.name
            );
            for (name, n) in row.counts.iter() {
                println!("      {name} {n} x {:?}", prices.get(name));
            }
        }
    }
}
