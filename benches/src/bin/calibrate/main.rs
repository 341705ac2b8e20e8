//! Measures the firmware on every emulated board and fits what `foveola
//! budget` predicts with: `cargo run --release -p foveola-benches --bin
//! calibrate [methods | sizes] [BOARD..]`, from the repository's root, with QEMU and
//! the targets installed. Writes `host/src/budget/measured.toml`. With `methods` all
//! prices stay but those of what methods beyond the first seven do themselves; with
//! `sizes` all stay, and only the programs' sizes are measured.

mod fit;
mod grid;
mod measure;
mod methods;
mod nets;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fit::{Row, fit};
use foveola::budget::{Accuracy, Errors, Measured, Measurements};
use foveola::crosscheck::Answer;
use measure::{Case, PROGRAMS, Program, sizes};
use methods::Asked;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TABLE: &str = "host/src/budget/measured.toml";

/// Stacks are rounded up to this.
const STACK: usize = 64;

/// Random networks in int8 that prices are fitted on, and that check them.
const DRAWN: usize = 90;
const CHECKS: usize = 14;

/// Added to the deepest stack that was seen: other networks nest otherwise.
const MARGIN: usize = 512;

fn main() -> Result<()> {
    let (words, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word == "methods" || word == "sizes");
    let only_sizes = words.iter().any(|word| word == "sizes");
    let firmware = Path::new("firmware").canonicalize()?;
    let mut all = Measurements {
        origin: origin()?,
        boards: kept(),
    };
    // Everything, or only what is measured on top of it.
    let cases = match words.is_empty() {
        true => Some(cases()?),
        false => None,
    };
    let asked = methods::asked()?;
    let wanted = |program: &&Program| names.is_empty() || names.iter().any(|n| n == program.board);
    for program in PROGRAMS.iter().filter(wanted) {
        let alike = program.like.and_then(|board| all.boards.get(board));
        let known = all.boards.get(program.board).cloned().unwrap_or_default();
        let measured = match (alike, &cases) {
            _ if only_sizes => resized(&firmware, program, &known)?,
            (Some(alike), _) => resized(&firmware, program, alike)?,
            (None, Some(cases)) => calibrate(&firmware, program, cases, &asked)?,
            (None, None) if !program.has_all_methods() => known,
            (None, None) => with_methods(&firmware, program, &known, &asked)?,
        };
        all.boards.insert(program.board.to_owned(), measured);
    }
    let head = "# Written by foveola-benches' program calibrate: what the firmware takes on each board.\n\n";
    std::fs::write(TABLE, head.to_owned() + &toml::to_string(&all)?)?;
    Ok(())
}

/// All networks: those in f32, those in int8, and those that check the prices.
fn cases() -> Result<Vec<Case>> {
    let real = nets::nets().into_iter().enumerate();
    let real = real.map(|(i, net)| Case::new(format!("net{i}"), &net));
    let int8 = grid::grid().into_iter();
    let int8 = int8.map(|(name, net, held)| {
        let mut case = Case::new(name, &net)?;
        case.held = held;
        Ok(case)
    });
    let mut all: Vec<Case> = real.chain(int8).collect::<Result<_>>()?;
    // Some of the networks that are drawn overflow on this picture.
    let drawn = |first: u64, held| (first..).filter_map(move |seed| Case::drawn(seed, held).ok());
    all.extend(drawn(0, false).take(DRAWN));
    all.extend(drawn(1000, true).take(CHECKS));
    all.extend(measure::zoo()?);
    Ok(all)
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

/// A board that executes what another one does, but has a program of its own.
fn resized(firmware: &Path, program: &Program, alike: &Measured) -> Result<Measured> {
    let (size, statics) = sizes_of(firmware, &program.build(firmware)?)?;
    Ok(Measured {
        program: size,
        statics,
        ..alike.clone()
    })
}

/// Bytes of flash of a program without its model, and of static memory.
fn sizes_of(firmware: &Path, elf: &Path) -> Result<(usize, usize)> {
    let (flash, statics) = sizes(elf)?;
    let linked = std::fs::metadata(firmware.join("../core/fixtures/small.fov"))?.len() as usize;
    Ok((flash - linked, statics))
}

/// Answers to cases in their order; `None` where one does not fit.
fn run(
    firmware: &Path,
    program: &Program,
    elf: &Path,
    cases: &[&Case],
) -> Result<Vec<Option<Answer>>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(i) else {
                        break;
                    };
                    let answer = case.run(firmware, program, elf).map_err(|e| e.to_string());
                    let mut done = done.lock().expect("nobody panics");
                    done.insert(i, answer);
                    eprint!("\r{}: {} of {}", program.board, done.len(), cases.len());
                }
            });
        }
    });
    eprintln!();
    let done = done.into_inner().map_err(|_| "a thread panicked")?;
    Ok(done.into_values().collect::<std::result::Result<_, _>>()?)
}

/// Everything about a board.
fn calibrate(
    firmware: &Path,
    program: &Program,
    cases: &[Case],
    asked: &[Asked],
) -> Result<Measured> {
    let elf = program.build(firmware)?;
    let (mut rows, mut integers, mut held) = (Vec::new(), Vec::new(), Vec::new());
    let mut stack = BTreeMap::new();
    let all: Vec<&Case> = cases.iter().collect();
    for (case, answer) in cases.iter().zip(run(firmware, program, &elf, &all)?) {
        let Some(answer) = answer else {
            println!("{}: {} does not fit", program.board, case.name);
            continue;
        };
        let (more, stacks) = case.rows(&answer)?;
        match (case.held, case.int8) {
            (true, _) => held.extend(more),
            (_, true) => integers.extend(more),
            _ => rows.extend(more),
        }
        for (method, depth) in stacks {
            let deepest = stack.entry(method.to_owned()).or_insert(0);
            *deepest = (depth + MARGIN).next_multiple_of(STACK).max(*deepest);
        }
    }
    let instructions = prices(program, &rows, &integers);
    for (what, rows) in [("f32", &rows), ("int8", &integers), ("left out", &held)] {
        report(&format!("{}: {what}", program.board), rows, &instructions);
    }
    let (size, statics) = sizes_of(firmware, &elf)?;
    let measured = Measured {
        program: size,
        statics,
        stack,
        int8: accuracy(&held, &instructions),
        instructions,
        methods: BTreeMap::new(),
    };
    match program.has_all_methods() {
        true => with_methods(firmware, program, &measured, asked),
        false => Ok(measured),
    }
}

/// The same with what methods beyond the first seven do themselves.
fn with_methods(
    firmware: &Path,
    program: &Program,
    measured: &Measured,
    asked: &[Asked],
) -> Result<Measured> {
    let elf = program.build(firmware)?;
    let (size, statics) = sizes_of(firmware, &elf)?;
    let known = (&measured.instructions, &measured.stack);
    let found = methods::prices((firmware, program, &elf), asked, known)?;
    let mut measured = Measured {
        program: size,
        statics,
        methods: found.errors,
        ..measured.clone()
    };
    measured.instructions.extend(found.instructions);
    measured.stack.extend(found.stack);
    Ok(measured)
}

/// Prices of everything: of networks in f32, then of those in int8 forward, then
/// of these backward. What was priced before keeps its price.
fn prices(program: &Program, real: &[Row], integers: &[Row]) -> BTreeMap<String, f64> {
    let forward = |row: &&Row| row.name.contains(" forward.") || row.is_plain();
    let (forth, back): (Vec<&Row>, Vec<&Row>) = integers.iter().partition(forward);
    let mut prices = BTreeMap::new();
    let mut known = BTreeMap::new();
    for rows in [real.iter().collect(), forth, back] {
        prices.extend(fit(&rows, &known, |name| program.does(name)));
        for (name, _) in rows.iter().flat_map(|row| row.counts.iter()) {
            known.insert(name.to_owned(), prices.get(name).copied());
        }
    }
    prices
}

/// How far prices are from what networks took that they were not fitted on.
fn accuracy(held: &[Row], prices: &BTreeMap<String, f64>) -> Accuracy {
    let of = |is_asked: fn(&Row) -> bool| {
        let errors = held.iter().filter(|row| is_asked(row));
        let errors: Vec<f64> = errors.map(|row| row.error(prices)).collect();
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        Errors {
            rms: (squares / errors.len().max(1) as f64).sqrt(),
            worst: errors.iter().fold(0.0, |most, error| error.abs().max(most)),
        }
    };
    Accuracy {
        networks: held.iter().filter(|row| row.is_plain()).count(),
        inference: of(Row::is_plain),
        methods: of(|row| !row.is_plain() && !row.is_lap()),
    }
}

/// How far prices are from what was measured.
fn report(what: &str, rows: &[Row], prices: &BTreeMap<String, f64>) {
    let kind = |row: &Row| match row.name.rsplit(' ').next() {
        Some("classify") => "inference",
        _ if row.is_lap() => "nodes",
        _ => "methods",
    };
    for wanted in ["nodes", "inference", "methods"] {
        let chosen: Vec<&Row> = rows.iter().filter(|row| kind(row) == wanted).collect();
        let squares: f64 = chosen.iter().map(|row| row.error(prices).powi(2)).sum();
        let worst = chosen
            .iter()
            .max_by(|a, b| a.error(prices).abs().total_cmp(&b.error(prices).abs()));
        println!(
            "{what}: {} {wanted}: {:.2} % rms, worst {:.2} % ({})",
            chosen.len(),
            100.0 * (squares / chosen.len().max(1) as f64).sqrt(),
            worst.map_or(0.0, |row| 100.0 * row.error(prices)),
            worst.map_or("", |row| &row.name),
        );
    }
    let Some(least) = std::env::var("VERBOSE").ok().and_then(|v| v.parse().ok()) else {
        return;
    };
    for row in rows
        .iter()
        .filter(|row| 100.0 * row.error(prices).abs() > least)
    {
        let error = 100.0 * row.error(prices);
        println!("{error:8.2} % {} {}", row.instructions, row.name);
        for (name, n) in row.counts.iter() {
            if let Some(price) = prices.get(name) {
                println!("      {name} {n} x {price:.2} = {:.0}", n * price);
            }
        }
    }
}
