//! Methods side by side with their peers, in one run, one thread each:
//! occlusion against Captum and against a bare loop over ONNX Runtime, RISE
//! against that loop, guided backpropagation and integrated gradients against
//! Captum, Grad-CAM and guided backpropagation in forward passes, and occlusion
//! with edits evaluated incrementally against in full.
//!
//! `cargo run --release -p foveola-benches --bin side_by_side -- [ZOO] [--quick]
//! [--record] [--strict] [--python PROGRAM]` with the folder of models (default
//! `../shared/zoo`) and a Python that has onnxruntime, captum, torch and
//! torchvision (default `python3`); what is not installed is said and left out.
//! Ours and theirs take turns; a ratio is the median of those of the turns.
//! Ours is Fused, as the peers are, unless `--strict`. `--record` writes
//! `benches/record/side-by-side-DATE.csv`.

mod ours;
mod peer;

use std::path::{Path, PathBuf};

use foveola::backend::core::{Arithmetic, Editing};
use foveola_benches::{Result, median, resnet};
use ours::Ours;
use peer::Peer;

/// Turns of each pair.
const TURNS: usize = 5;
/// Masks of RISE.
const MASKS: u32 = 1000;
/// Forward passes, and what is measured in them, are short: so many times the turns.
const SHORT: usize = 6;

const OCCLUSION: &str = "occlusion:window=32,stride=16";

/// What the issue of a pair is to be.
#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Said for the record.
    Open,
}

impl Wanted {
    fn text(self, found: f64) -> String {
        let (sign, limit, holds) = match self {
            Self::AtLeast(limit) => (">=", limit, found >= limit),
            Self::AtMost(limit) => ("<=", limit, found <= limit),
            Self::Open => return String::from("-"),
        };
        format!("{sign} {limit} {}", if holds { "holds" } else { "MISSED" })
    }
}

/// One line of the table.
struct Row {
    network: &'static str,
    what: String,
    ours: f64,
    theirs: f64,
    ratio: f64,
    wanted: Wanted,
}

/// What was asked for on the command line.
struct Arguments {
    zoo: PathBuf,
    quick: bool,
    record: bool,
    arithmetic: Arithmetic,
    python: String,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments {
        zoo: PathBuf::from("../shared/zoo"),
        quick: false,
        record: false,
        arithmetic: Arithmetic::Fused,
        python: String::from("python3"),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => found.quick = true,
            "--record" => found.record = true,
            "--strict" => found.arithmetic = Arithmetic::Strict,
            "--python" => found.python = words.next().ok_or("--python takes a program")?,
            flag if flag.starts_with("--") => return Err(format!("no flag {flag}").into()),
            path => found.zoo = PathBuf::from(path),
        }
    }
    Ok(found)
}

/// Times of both, in turns, and the median of their ratios.
fn turns(
    count: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<[f64; 3]> {
    // The first turn warms up.
    ours()?;
    theirs()?;
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let (own, other) = (ours()?, theirs()?);
        a.push(own);
        b.push(other);
        ratios.push(other / own);
    }
    Ok([median(a), median(b), median(ratios)])
}

struct Bench {
    network: &'static str,
    count: usize,
    rows: Vec<Row>,
}

impl Bench {
    fn push(&mut self, what: String, [ours, theirs, ratio]: [f64; 3], wanted: Wanted) {
        let network = self.network;
        println!("{network}: {what}: {ours:.2} ms, {theirs:.2} ms, {ratio:.2}");
        self.rows.push(Row {
            network,
            what,
            ours,
            theirs,
            ratio,
            wanted,
        });
    }

    /// How often ours goes into a peer's time.
    fn against(
        &mut self,
        ours: &mut Ours,
        (peer, question): (&mut Peer, &str),
        (what, method): (&str, &str),
        wanted: Wanted,
    ) -> Result<()> {
        let mut passes = 0;
        let own = || {
            let (time, made) = ours.ask(method)?;
            passes = made;
            Ok(time)
        };
        let found = turns(self.count, own, || peer.ask(question))?;
        self.push(format!("{what} ({passes} passes)"), found, wanted);
        Ok(())
    }

    /// A method in forward passes: the columns are a forward pass and the method.
    fn in_forwards(&mut self, ours: &mut Ours, method: &str, most: f64) -> Result<()> {
        let cell = std::cell::RefCell::new(ours);
        let forward = || cell.borrow_mut().forward();
        let whole = || Ok(cell.borrow_mut().ask(method)?.0);
        let found = turns(self.count * SHORT, forward, whole)?;
        let what = format!("{method} in forward passes");
        self.push(what, found, Wanted::AtMost(most));
        Ok(())
    }
}

fn measure(bench: &mut Bench, path: &Path, name: &str, asked: &Arguments) -> Result<()> {
    let masks = if asked.quick { MASKS / 20 } else { MASKS };
    let mut ours = Ours::open(path, asked.arithmetic, Editing::Incremental)?;
    let mut full = Ours::open(path, asked.arithmetic, Editing::Full)?;
    let own = || Ok(ours.ask(OCCLUSION)?.0);
    let found = turns(bench.count, own, || Ok(full.ask(OCCLUSION)?.0))?;
    let what = "occlusion 32/16, edits in full against incremental";
    bench.push(String::from(what), found, Wanted::Open);
    bench.in_forwards(&mut ours, "grad-cam", 1.15)?;
    bench.in_forwards(&mut ours, "guided-backprop", 2.5)?;
    let Some(mut peer) = Peer::start(&asked.python, path, name, masks)? else {
        println!("not installed: {} with numpy", asked.python);
        return Ok(());
    };
    let rise = format!("rise:masks={masks}");
    if let Some(version) = peer.onnx_runtime.clone() {
        let forward = turns(
            bench.count * SHORT,
            || ours.forward(),
            || peer.ask("forward"),
        )?;
        let what = format!("forward pass against ONNX Runtime {version}");
        bench.push(what, forward, Wanted::Open);
        let loops = [
            (
                "occlusion 32/16",
                OCCLUSION,
                "occlusion-loop",
                Wanted::AtLeast(1.8),
            ),
            ("RISE", &rise, "rise-loop", Wanted::AtLeast(1.0)),
        ];
        for (what, method, question, wanted) in loops {
            let what = format!("{what} against a loop over ONNX Runtime {version}");
            let asked = (&mut peer, question);
            bench.against(&mut ours, asked, (&what, method), wanted)?;
        }
    } else {
        println!("not installed: onnxruntime");
    }
    let Some(version) = peer.captum.clone() else {
        println!("not installed: captum with torch and torchvision");
        return Ok(());
    };
    let path = "integrated-gradients:steps=50";
    let captum = [
        ("occlusion 32/16", OCCLUSION, "occlusion", 5.0),
        ("guided backprop", "guided-backprop", "guided", 3.0),
        ("integrated gradients, 50 steps", path, "integrated", 3.0),
    ];
    for (what, method, question, least) in captum {
        let what = format!("{what} against Captum {version}");
        let asked = (&mut peer, question);
        bench.against(&mut ours, asked, (&what, method), Wanted::AtLeast(least))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let asked = arguments()?;
    let mobilenet = "models/imagenet/mobilenet_v2_100_224_float_nchw.onnx";
    let networks = [
        ("MobileNetV2 224", asked.zoo.join(mobilenet), "mobilenet_v2"),
        ("ResNet-18 224", resnet::file()?, "resnet18"),
    ];
    let mut rows = Vec::new();
    for (network, path, name) in networks {
        if !path.is_file() {
            println!("{network}: missing: {}", path.display());
            continue;
        }
        let mut bench = Bench {
            network,
            count: if asked.quick { 1 } else { TURNS },
            rows: Vec::new(),
        };
        measure(&mut bench, &path, name, &asked)?;
        rows.extend(bench.rows);
    }
    println!("{}", table(&rows));
    if asked.record {
        println!("Written to {}", record(&rows)?.display());
    }
    Ok(())
}

const COLUMNS: [&str; 6] = ["network", "what", "ours ms", "theirs ms", "ratio", "wanted"];

fn cells(row: &Row) -> [String; 6] {
    [
        String::from(row.network),
        row.what.clone(),
        format!("{:.2}", row.ours),
        format!("{:.2}", row.theirs),
        format!("{:.2}", row.ratio),
        row.wanted.text(row.ratio),
    ]
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("\n| {} |\n{}|\n", COLUMNS.join(" | "), "|---".repeat(6));
    for row in rows {
        text += &format!("| {} |\n", cells(row).join(" | "));
    }
    text
}

/// Writes the table as CSV under today's date.
fn record(rows: &[Row]) -> Result<PathBuf> {
    let date = std::process::Command::new("date").arg("+%F").output()?;
    let date = String::from_utf8(date.stdout)?;
    let file = PathBuf::from(format!("benches/record/side-by-side-{}.csv", date.trim()));
    let quoted = |row: &Row| cells(row).map(|cell| format!("\"{cell}\"")).join(",");
    let lines = rows.iter().map(quoted);
    let all: Vec<String> = [COLUMNS.join(",")].into_iter().chain(lines).collect();
    std::fs::write(&file, all.join("\n") + "\n")?;
    Ok(file)
}
