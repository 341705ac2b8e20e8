//! What an adapter does: pictures a second forward, RISE, occlusion and
//! GuidedBackprop, against what its own kernels of products and copies reach,
//! beside PyTorch and Captum where they are installed.
//!
//! `cargo run --release -p foveola-benches --bin gpu -- [--adapter N] [--quick]
//! [--half] [--record]`. Networks have random weights. `--quick` takes tiny
//! pictures and few masks: it tells that the bench works, not what the adapter
//! does. `--half` stores tensors in f16. `--record` writes the table to
//! `benches/record/gpu-DATE.csv`.

mod ceiling;
mod load;
mod networks;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use foveola::backend::gpu::{AdapterFacts, Gpu, GpuBackend, Storage, list};
use foveola_core::explain::{GuidedBackprop, Method, Occlusion, Outcome, Query, Rise, Silent};
use foveola_core::{Classifier, Masked, Picture, Score};

use ceiling::Ceiling;
use load::{Load, Watch};
use networks::{Network, build};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PEER: &str = include_str!("peer.py");

/// What was asked for.
#[derive(Clone, Debug, Default)]
struct Options {
    adapter: Option<String>,
    quick: bool,
    half: bool,
    record: bool,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--adapter" => options.adapter = args.next(),
                "--quick" => options.quick = true,
                "--half" => options.half = true,
                "--record" => options.record = true,
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(options)
    }

    const fn side(&self) -> usize {
        if self.quick { 32 } else { 224 }
    }

    const fn masks(&self) -> u32 {
        if self.quick { 8 } else { 8000 }
    }

    /// Seconds that a figure takes at least.
    const fn seconds(&self) -> f64 {
        if self.quick { 0.0 } else { 3.0 }
    }
}

/// One figure.
struct Row {
    network: &'static str,
    what: String,
    /// Pictures a second.
    rate: f64,
    /// Achieved TFLOP/s; none for a backward pass, whose products differ.
    tera: Option<f64>,
    /// Achieved GB/s of tensors that nodes read and write, likewise.
    giga: Option<f64>,
    load: Load,
}

/// Asks again and again; pictures a second and the processor's load.
fn rate(seconds: f64, pictures: usize, mut ask: impl FnMut() -> Result<()>) -> Result<(f64, Load)> {
    // The first one warms up, where the time counts.
    if seconds > 0.0 {
        ask()?;
    }
    let watch = Watch::start();
    let mut done = 0;
    loop {
        ask()?;
        done += pictures;
        let load = watch.stop();
        if load.seconds >= seconds {
            return Ok((done as f64 / load.seconds, load));
        }
    }
}

/// Asks a method about a made-up picture.
fn explain(backend: &mut GpuBackend, method: &dyn Method, pixels: &[u8]) -> Result<()> {
    let shape = backend.input();
    let normalisation = foveola_core::Normalisation {
        mean: [123.675, 116.28, 103.53, 0.0],
        scale: [1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375, 1.0],
    };
    let picture = Picture::Pixels {
        shape,
        data: pixels,
        normalisation: &normalisation,
    };
    let query = Query {
        picture,
        targets: &[0],
        score: None,
        seed: 0,
    };
    let mut maps = vec![0.0; method.map_shape(backend)?.len()];
    let mut outcomes = [Outcome::Flat];
    let mut scratch = vec![0.0; method.cost(backend, 1)?.scratch];
    method.explain(
        backend,
        &query,
        &mut maps,
        &mut outcomes,
        &mut scratch,
        &mut Silent,
    )?;
    Ok(())
}

fn forward(backend: &mut GpuBackend, pixels: &[u8], count: usize) -> Result<()> {
    let shape = backend.input();
    let data: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 64.0 - 2.0).collect();
    let view = |_| Masked::whole(Picture::Tensor { shape, data: &data });
    let mut scores = vec![0.0; backend.classes()];
    let mut sink = |_: usize, _: &[f32]| Ok(());
    backend.classify_batch(count, &view, Score::Logit, &mut scores, &mut sink)?;
    Ok(())
}

/// A network on the adapter, and what a picture of it takes.
struct Bench {
    network: Network,
    backend: GpuBackend,
    pixels: Vec<u8>,
    operations: f64,
    bytes: f64,
    seconds: f64,
}

/// What a question asks of a network.
type Ask<'a> = &'a dyn Fn(&mut GpuBackend, &[u8]) -> Result<()>;

impl Bench {
    fn new(gpu: &Arc<Gpu>, network: Network, options: &Options) -> Result<Self> {
        let built = build(network, options.side())?;
        let storage = match options.half {
            true => Storage::Half,
            false => Storage::Full,
        };
        let backend = GpuBackend::new(Arc::clone(gpu), built.file, storage)?;
        let len = backend.input().len();
        Ok(Self {
            network,
            backend,
            pixels: (0..len).map(|i| (i * 31 % 256) as u8).collect(),
            operations: built.operations,
            bytes: built.elements * storage.size() as f64,
            seconds: options.seconds(),
        })
    }

    /// One figure; only where all passes go forward, products tell how fast.
    fn row(
        &mut self,
        what: String,
        pictures: usize,
        only_forward: bool,
        ask: Ask<'_>,
    ) -> Result<Row> {
        let (backend, pixels) = (&mut self.backend, &self.pixels);
        let (rate, load) = rate(self.seconds, pictures, || ask(backend, pixels))?;
        eprintln!("{} {what}: {rate:.1} pictures/s", self.network.name());
        Ok(Row {
            network: self.network.name(),
            what,
            rate,
            tera: only_forward.then_some(rate * self.operations / 1e12),
            giga: only_forward.then_some(rate * self.bytes / 1e9),
            load,
        })
    }
}

/// All figures of one network.
fn measure(gpu: &Arc<Gpu>, network: Network, options: &Options) -> Result<Vec<Row>> {
    let mut bench = Bench::new(gpu, network, options)?;
    let batch = bench.backend.batch();
    let many = if options.quick { 2 } else { 4 * batch };
    let masks = options.masks();
    let rise = Rise {
        masks,
        ..Rise::default()
    };
    let size = if options.quick { 16 } else { 32 };
    let occlusion = Occlusion {
        window: Some([0, size, size]),
        stride: Some([0, size / 2, size / 2]),
        ..Occlusion::default()
    };
    let windows = occlusion.cost(&mut bench.backend, 1)?.forward as usize;
    let name = format!("forward (batch {})", batch.min(many));
    let rows = [
        bench.row(name, many, true, &|b, p| forward(b, p, many))?,
        bench.row(format!("RISE {masks}"), masks as usize, true, &|b, p| {
            explain(b, &rise, p)
        })?,
        bench.row(
            format!("occlusion {size}/{}", size / 2),
            windows,
            true,
            &|b, p| explain(b, &occlusion, p),
        )?,
        bench.row(String::from("guided backprop"), 1, false, &|b, p| {
            explain(b, &GuidedBackprop, p)
        })?,
    ];
    Ok(rows.into())
}

/// What the peers say, line by line.
fn peers(options: &Options) -> Vec<String> {
    let numbers = [
        options.side().to_string(),
        options.masks().to_string(),
        options.seconds().to_string(),
    ];
    let names = Network::ALL.map(Network::name);
    let run = Command::new("python3")
        .args(["-c", PEER])
        .args(numbers)
        .args(names)
        .output();
    match run {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().map(str::to_owned).collect()
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            vec![format!("# failed: {}", text.lines().last().unwrap_or("?"))]
        }
        Err(_) => vec![String::from("# not installed: python3")],
    }
}

fn share(part: f64) -> String {
    match part.is_finite() {
        true => format!("{:.0} %", part * 100.0),
        false => String::from("-"),
    }
}

const HEADER: [&str; 10] = [
    "network",
    "question",
    "pictures/s",
    "TFLOP/s",
    "of the ceiling",
    "GB/s",
    "of the ceiling",
    "seconds",
    "all threads",
    "busiest thread",
];

fn cells(row: &Row, ceiling: Ceiling) -> [String; 10] {
    let number = |n: Option<f64>| n.map_or_else(|| String::from("-"), |n| format!("{n:.3}"));
    let part = |n: Option<f64>, of: f64| share(n.map_or(f64::NAN, |n| n / of));
    [
        row.network.to_owned(),
        row.what.clone(),
        format!("{:.2}", row.rate),
        number(row.tera),
        part(row.tera, ceiling.tera),
        number(row.giga),
        part(row.giga, ceiling.giga),
        format!("{:.2}", row.load.seconds),
        share(row.load.all),
        share(row.load.busiest),
    ]
}

/// Writes the table as CSV under today's date.
fn record(lines: &[String]) -> Result<PathBuf> {
    let date = Command::new("date").arg("+%F").output()?;
    let date = String::from_utf8(date.stdout)?;
    let folder = Path::new("benches/record");
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("gpu-{}.csv", date.trim()));
    std::fs::write(&file, lines.join("\n") + "\n")?;
    Ok(file)
}

fn describe(facts: &AdapterFacts, ceiling: Ceiling) -> Vec<String> {
    vec![
        format!(
            "# {} ({}, {}, {})",
            facts.name, facts.kind, facts.api, facts.driver
        ),
        format!(
            "# its own ceiling: {:.3} TFLOP/s in f32, {:.1} GB/s (read and written)",
            ceiling.tera, ceiling.giga
        ),
    ]
}

fn main() -> Result<()> {
    let options = Options::read()?;
    if list().is_empty() {
        println!("no GPU adapter is within reach");
        return Ok(());
    }
    let gpu = Gpu::open(options.adapter.as_deref())?;
    let ceiling = ceiling::measure(gpu.facts().index, options.quick)?;
    let mut csv = describe(gpu.facts(), ceiling);
    csv.push(HEADER.join(","));
    for line in &csv[..2] {
        println!("{line}");
    }
    println!(
        "| {} |\n{}|",
        HEADER.join(" | "),
        "|---".repeat(HEADER.len())
    );
    for network in Network::ALL {
        for row in measure(&gpu, network, &options)? {
            let cells = cells(&row, ceiling);
            println!("| {} |", cells.join(" | "));
            csv.push(cells.join(","));
        }
    }
    let prepared = gpu.preparation();
    println!(
        "{} pipelines made in {:.2} s",
        prepared.pipelines,
        prepared.time.as_secs_f64()
    );
    println!("PyTorch and Captum:");
    for line in peers(&options) {
        println!("{line}");
        csv.push(line);
    }
    if options.record {
        println!("Written to {}", record(&csv)?.display());
    }
    Ok(())
}
