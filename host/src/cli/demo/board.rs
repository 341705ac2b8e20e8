//! The demo's last part: the same questions to an emulated microcontroller.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rayon::prelude::*;

use crate::cli::crosscheck::{JobFolder, default_methods};
use crate::cli::table::{bytes, lay_out, row};
use crate::cli::{CliError, Ending, note, print};
use crate::crosscheck::{
    Asked, Comparison, Device, Host, Inquiry, Report, model_bytes, run as check,
};
use crate::demo::NETWORKS;
use crate::demo::audit::{SceneSet, photo};
use crate::demo::scene::SIDE;
use crate::explainer::DEFAULT_SEED;

/// A Cortex-M4F, and what its firmware is built for.
const BOARD: &str = "mps2-an386";
const TARGET: &str = "thumbv7em-none-eabihf";
/// Where the firmware's sources are, seen from Foveola's folder.
const FIRMWARE: &str = "firmware";

/// The board's program being built, which takes a minute, while the demo does
/// something else. If the demo is stopped, it goes on to its end by itself.
pub struct Build(Child);

impl Build {
    /// Begins, unless something is missing for it; why it fails says who asks the board.
    pub fn begin() -> Option<Self> {
        if !missing().is_empty() {
            return None;
        }
        let mut command = Command::new("sh");
        command.arg(Path::new(FIRMWARE).join("build.sh")).arg(BOARD);
        command.env_remove("FOVEOLA_MODEL").env_remove("RUSTFLAGS");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().ok().map(Self)
    }

    /// Waits for its end.
    pub fn end(mut self) {
        let _ = self.0.wait();
    }
}

/// Asks each network about one scene on the board and compares every layer and
/// map with this machine; where something is missing for it, says what.
pub fn run(set: &SceneSet, build: Option<Build>) -> Result<Ending, CliError> {
    let missing = missing();
    if !missing.is_empty() {
        print("\nThe same networks run on an emulated microcontroller, bit for bit. For that:\n");
        missing
            .iter()
            .for_each(|step| print(&format!("  {step}\n")));
        return Ok(Ending::Done);
    }
    note(&format!(
        "{BOARD} runs in QEMU; the first time its firmware is built"
    ));
    if let Some(build) = build {
        build.end();
    }
    let reports = (0..NETWORKS.len())
        .into_par_iter()
        .map(|i| ask(i, set))
        .collect::<Result<Vec<_>, _>>()?;
    print(&text(&reports, set));
    Ok(match reports.iter().all(|r| r.verdict.passes()) {
        true => Ending::Done,
        false => Ending::Differs,
    })
}

/// What has to be done before the board can run, one command a line.
fn missing() -> Vec<String> {
    let mut steps = Vec::new();
    if !Path::new(FIRMWARE).join("run.sh").is_file() {
        steps.push(String::from(
            "run it from Foveola's folder, where firmware/ is",
        ));
    }
    if !succeeds(Command::new("qemu-system-arm").arg("--version")) {
        steps.push(String::from(
            "apt install qemu-system-arm (or your system's QEMU for Arm)",
        ));
    }
    if !has_target() {
        steps.push(format!("rustup target add {TARGET}"));
    }
    steps
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Whether the compiler has the board's library.
fn has_target() -> bool {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    asked.is_ok_and(|answer| {
        let folder = String::from_utf8_lossy(&answer.stdout);
        answer.status.success() && Path::new(folder.trim()).is_dir()
    })
}

/// Network `i` about scene `i`: each network another class.
fn ask(i: usize, set: &SceneSet) -> Result<Report, CliError> {
    let explainer = NETWORKS[i].explainer()?;
    let photo = photo(&explainer, &set.scenes[scene(i)])?;
    let folder = JobFolder::open(None)?;
    let device: Device = format!("qemu:{BOARD}").parse()?;
    let bytes = model_bytes(explainer.model(), true)?;
    let methods = default_methods(SIDE)?;
    let inquiry = Inquiry {
        methods: &methods,
        target: None,
        seed: DEFAULT_SEED,
        layers: true,
    };
    let host = Host::run(&bytes, &photo, &inquiry)?;
    let asked = Asked {
        device: &device,
        firmware: Path::new(FIRMWARE),
        folder: &folder.path,
        elf: None,
    };
    Ok(check(&bytes, &photo, &host, &inquiry, &asked)?)
}

/// Wood for the first network, steel for the second, concrete for the cheat.
const fn scene(network: usize) -> usize {
    [0, 2, 1][network % 3]
}

/// One row a tensor, one column a network.
fn text(reports: &[Report], set: &SceneSet) -> String {
    let mut rows = vec![row([&"on the board"])];
    for (i, network) in NETWORKS.iter().enumerate() {
        let kind = set.scenes[scene(i)].kind.label();
        rows[0].push(format!("{}, {kind}", network.name));
    }
    rows[0].extend(["instructions", "arena"].map(String::from));
    let is_layer = |c: &&Comparison| c.name.starts_with("layer ");
    let others = |report: &Report| -> Vec<String> {
        let kept = report.comparisons.iter().filter(|c| !is_layer(c));
        kept.map(|c| c.name.clone()).collect()
    };
    for name in reports.first().map(others).unwrap_or_default() {
        let found = |report: &&Report| report.comparisons.iter().find(|c| c.name == name).cloned();
        let found: Vec<Comparison> = reports.iter().filter_map(|r| found(&r)).collect();
        let cost = found.first().and_then(|c| c.cost.as_ref());
        // Without its parameters a method's name fits the column.
        let mut cells = vec![name.split(':').next().unwrap_or_default().to_string()];
        cells.extend(found.iter().map(|c| said([c].into_iter())));
        if let Some(cost) = cost {
            cells.extend([cost.instructions.to_string(), bytes(cost.arena as usize)]);
        }
        rows.push(cells);
    }
    let mut layers = vec![String::from("every layer")];
    layers.extend(
        reports
            .iter()
            .map(|r| said(r.comparisons.iter().filter(is_layer))),
    );
    rows.push(layers);
    format!(
        "\nThe same on a microcontroller ({BOARD} in QEMU, a Cortex-M4F; 64 masks for RISE), against this machine;\n\
         instructions and arena of the first column:\n\n{}",
        lay_out(&rows, &[NETWORKS.len() + 1, NETWORKS.len() + 2])
    )
}

/// BIT-EXACT, or what differs.
fn said<'a>(compared: impl Iterator<Item = &'a Comparison>) -> String {
    let wrong: Vec<&Comparison> = compared.filter(|c| !c.is_exact()).collect();
    match wrong.first() {
        None => String::from("BIT-EXACT"),
        Some(c) => match &c.remark {
            Some(remark) => format!("{}: {remark}", c.name),
            None => format!(
                "{} of {} differ, by up to {:.1e}",
                c.different, c.values, c.largest
            ),
        },
    }
}
