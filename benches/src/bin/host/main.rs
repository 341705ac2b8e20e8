//! What the host takes, side by side in one run: forward passes of `core`
//! (Strict, Fused, int8), tract and ONNX Runtime on one thread, `core` on two,
//! the backward pass, and peak memory.
//!
//! `cargo run --release -p foveola-benches --bin host [ZOO]` with the folder of
//! models (default `../shared/zoo`). Prints a table and writes it to
//! `benches/record/host-DATE.csv`. Engines take turns; a time is the median of
//! all their runs. Compare ratios, not milliseconds.

mod measure;
mod network;
mod peer;

use std::path::{Path, PathBuf};

use foveola_benches::{Result, resnet};
use measure::{Row, measure};
use network::Entry;

/// Networks in f32, each with its int8 twin where there is one.
const NETWORKS: [(&str, &str, &str); 6] = [
    (
        "MobileNetV2 224",
        "imagenet/mobilenet_v2_100_224_float_nchw.onnx",
        "imagenet/mobilenet_v2_100_224_uint8.tflite",
    ),
    (
        "SqueezeNet 224",
        "imagenet/squeezenet_fp32.onnx",
        "imagenet/squeezenet_int8_qdq.onnx",
    ),
    ("ResNet-18 224", "", ""),
    ("Custom Vision 227", "customvision/cat-or-dog_core.onnx", ""),
    (
        "ResNet-8 32",
        "tinyml/resnet8_cifar10_float.onnx",
        "tinyml/resnet8_cifar10_int8.tflite",
    ),
    (
        "VWW 96",
        "tinyml/vww96_float.onnx",
        "tinyml/vww96_int8.tflite",
    ),
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    // A child of this program: what one model takes.
    if first.as_deref() == Some("--peak") {
        let path = args.next().ok_or("--peak takes a model")?;
        return network::peak(Path::new(&path));
    }
    let zoo = PathBuf::from(first.unwrap_or_else(|| "../shared/zoo".into()));
    let mut rows = Vec::new();
    for (name, float, int8) in NETWORKS {
        let entry = Entry {
            name,
            float: match float {
                "" => resnet::file()?,
                _ => zoo.join("models").join(float),
            },
            int8: (!int8.is_empty()).then(|| zoo.join("models").join(int8)),
        };
        if !entry.float.is_file() {
            println!("{name}: missing: {}", entry.float.display());
            continue;
        }
        eprintln!("{name}");
        rows.push(measure(&entry)?);
    }
    println!("{}", table(&rows));
    let file = record(&rows)?;
    println!("Written to {}", file.display());
    Ok(())
}

/// Milliseconds, or a word.
fn millis(time: Option<f64>) -> String {
    time.map_or_else(|| String::from("-"), |ms| format!("{ms:.3}"))
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    let ratio = a.zip(b).map(|(a, b)| format!("{:.2}", a / b));
    ratio.unwrap_or_else(|| String::from("-"))
}

/// Names of the columns and what they hold.
fn cells(row: &Row) -> [(&'static str, String); 15] {
    [
        ("network", row.name.to_owned()),
        ("Strict ms", millis(Some(row.strict))),
        ("Fused ms", millis(Some(row.fused))),
        ("int8 ms", millis(row.int8)),
        ("tract ms", millis(Some(row.tract))),
        ("ONNX Runtime ms", millis(row.peer)),
        ("tract/Strict", ratio(Some(row.tract), Some(row.strict))),
        ("tract/Fused", ratio(Some(row.tract), Some(row.fused))),
        ("ORT/Strict", ratio(row.peer, Some(row.strict))),
        ("ORT/Fused", ratio(row.peer, Some(row.fused))),
        ("Strict/int8", ratio(Some(row.strict), row.int8)),
        ("threads 2:1", format!("{:.2}", row.threads)),
        (
            "backward/forward",
            ratio(Some(row.backward), Some(row.strict)),
        ),
        ("peak MB", format!("{:.1}", row.peak)),
        ("ORT peak MB", millis(row.peer_peak)),
    ]
}

fn table(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let cells = cells(row);
        let line = |texts: Vec<&str>| format!("| {} |", texts.join(" | "));
        if i == 0 {
            lines.push(line(cells.iter().map(|c| c.0).collect()));
            lines.push("|---".repeat(cells.len()) + "|");
        }
        lines.push(line(cells.iter().map(|c| &c.1[..]).collect()));
    }
    let peer = rows.first().map_or("", |row| &row.peer_version);
    lines.push(format!("tract 0.23.9; ONNX Runtime: {peer}"));
    lines.join("\n")
}

/// Writes the table as CSV under today's date.
fn record(rows: &[Row]) -> Result<PathBuf> {
    let date = std::process::Command::new("date").arg("+%F").output()?;
    let date = String::from_utf8(date.stdout)?;
    let folder = Path::new("benches/record");
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("host-{}.csv", date.trim()));
    let mut lines = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let mut cells: Vec<_> = cells(row).into();
        cells.push(("ONNX Runtime", row.peer_version.clone()));
        if i == 0 {
            lines.push(cells.iter().map(|c| c.0).collect::<Vec<_>>().join(","));
        }
        lines.push(cells.iter().map(|c| &c.1[..]).collect::<Vec<_>>().join(","));
    }
    std::fs::write(&file, lines.join("\n") + "\n")?;
    Ok(file)
}
