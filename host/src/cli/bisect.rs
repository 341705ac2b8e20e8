//! `foveola bisect`: where another engine first goes another way, and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::model_args::ModelArgs;
use super::table::{lay_out, row};
use super::{CliError, Ending, note, print};
use crate::backend::core::ModelFile;
use crate::bisect::{
    BisectError, Board, Dump, Report, Rung, Standing, Subject, TOLERANCE, Verdict, Witness, walk,
};
use crate::compile::CompileOptions;
use crate::crosscheck::model_bytes;
use crate::link::{DeviceName, open};
use crate::model::{Engine, OpenModel};
use crate::photo::{self, Photo};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola bisect model.tflite photo.png --dump tensors/
  foveola bisect model.fov photo.png --device /dev/ttyACM0

A dump holds .npy files (or is an .npz file) called as the model's tensors, as their
numbers in a .tflite file, or INDEX.OPERATOR.TENSOR; NHWC, NCHW or flat; int8, uint8, or
floats. `input` is the network's input; `decoded` the photo, and `input_bytes` its file's
bytes, before. What is missing is computed from what came before it.

Each stage is compared with the host's own (= equal) and with what the host makes of the
other side's previous stages: ~ follows from a difference above, ! differs by itself.

The last line is the verdict:
  EQUAL                  nothing that was compared differs (f32: within the tolerance)
  MODEL-DIFFERS          the device runs another model file
  INPUT-DIFFERS          other bytes of the picture's file
  DECODING-DIFFERS       the photo is decoded to something else
  PREPROCESSING-DIFFERS  the photo becomes another input tensor
  LAYER-DIFFERS          a layer computes something else

Exit code 0 for EQUAL, 1 for another verdict, 2 if the sides could not be compared.")]
pub struct BisectArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Picture: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    pub picture: PathBuf,

    /// Arrays of another engine: a folder of .npy files, or an .npz file
    #[arg(long, value_name = "DIR", required_unless_present = "device")]
    pub dump: Option<PathBuf>,

    /// Device: qemu:BOARD, a serial port such as /dev/ttyACM0, tcp:HOST:PORT, or unix:PATH
    #[arg(long, conflicts_with = "dump")]
    pub device: Option<DeviceName>,

    /// Bring the model to the device first; without it, the one that is there is compared
    #[arg(long, requires = "device")]
    pub put_model: bool,

    /// Compare the picture that the device holds, from its camera or its last user, instead
    /// of bringing PICTURE there
    #[arg(long, requires = "device")]
    pub device_picture: bool,

    /// Which input of a dump of several
    #[arg(long, value_name = "N", requires = "dump")]
    pub item: Option<usize>,

    /// The picture that ran before: tells what a stale buffer holds
    #[arg(long, value_name = "PICTURE")]
    pub previous: Option<PathBuf>,

    /// Difference of f32 tensors that counts as none, relative to their largest value
    #[arg(long, value_name = "T", default_value_t = TOLERANCE)]
    pub tolerance: f64,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Bits a second of a serial port
    #[arg(long, value_name = "N", default_value_t = 115_200)]
    pub baud: u32,

    /// Folder of the firmware's sources, for emulated boards
    #[arg(long, value_name = "DIR", default_value = "firmware")]
    pub firmware: PathBuf,
}

/// Runs the command.
pub fn run(args: &BisectArgs) -> Result<Ending, CliError> {
    let model = args.model.open()?;
    let (bytes, names) = network(args, &model)?;
    let file = ModelFile::new(&bytes).map_err(BisectError::Host)?;
    let intake = model.intake();
    let picture = photo::read(&args.picture)?;
    let photo = Photo::from_bytes(&picture, &args.picture, &intake)?;
    let image = photo::decode(&picture).ok().map(|image| image.to_rgb8());
    let previous = args.previous.as_ref();
    let previous = previous
        .map(|path| Photo::open(path, &intake))
        .transpose()?;
    let subject = Subject {
        model: file.model(),
        intake,
        photo: &photo,
        file: &picture,
        image: image.as_ref(),
        previous: previous.as_ref(),
        tolerance: args.tolerance,
    };
    let report = match &args.dump {
        Some(path) => {
            let mut dump = Dump::read(path, intake, file.model(), &names, args.item)?;
            walk(&subject, &mut dump)?
        }
        None => on_device(args, &bytes, &subject)?,
    };
    match args.json {
        true => print(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")),
        false => print(&text(&report)),
    }
    Ok(match report.verdict {
        Verdict::Equal => Ending::Done,
        _ => Ending::Differs,
    })
}

/// The model file and the names of its tensors: every layer of the original
/// for a dump, what boards run for a device.
fn network(
    args: &BisectArgs,
    model: &OpenModel,
) -> Result<(Vec<u8>, BTreeMap<String, foveola_core::TensorId>), CliError> {
    match (&model.engine, args.dump.is_some()) {
        (Engine::Graph(_), true) => {
            let compiled = model.compile(&CompileOptions::default())?;
            Ok((compiled.bytes, compiled.names))
        }
        _ => Ok((model_bytes(model, true)?, BTreeMap::new())),
    }
}

fn on_device(args: &BisectArgs, bytes: &[u8], subject: &Subject<'_>) -> Result<Report, CliError> {
    let Some(name) = &args.device else {
        return Err(CliError::Usage("give --device or --dump".to_owned()));
    };
    let emulated = matches!(name, DeviceName::Qemu(_));
    if emulated {
        note("the board runs in QEMU; its program is built if it is not there yet");
    }
    let mut opened = open(name, args.baud, &args.firmware)?;
    let remote = &mut opened.remote;
    // An emulated board has just been switched on: it holds nothing yet.
    if args.put_model || emulated {
        remote.put_model(bytes, &mut |_, _| true)?;
    }
    if !args.device_picture {
        remote.put_picture(&subject.photo.picture())?;
    }
    let digest = *subject.model.digest();
    let mut board = Board::new(remote, subject.intake, digest);
    let witness: &mut dyn Witness = &mut board;
    Ok(walk(subject, witness)?)
}

fn text(report: &Report) -> String {
    let mut rows = vec![row([
        &"", &"stage", &"op", &"shape", &"scale", &"zero", &"differs",
    ])];
    rows.extend(report.rungs.iter().map(rung));
    let mut text = lay_out(&rows, &[]);
    for (number, fault) in report.faults.iter().enumerate() {
        let rung = &report.rungs[fault.rung];
        let also = if number == 0 { "first" } else { "also" };
        text += &format!("\n{also}: {}", short(&rung.name));
        if !rung.op.is_empty() {
            text += &format!(" ({})", rung.op);
        }
        if let Some(difference) = &rung.alone {
            text += &format!(": {difference}");
        }
        text.push('\n');
        for (i, cause) in fault.causes.iter().enumerate() {
            let before = if i == 0 { "cause" } else { "or" };
            text += &format!("  {before}: {}: {}", cause.kind.word(), cause.text);
            text += &match cause.unexplained {
                0 => "\n".to_owned(),
                count => format!(" ({count} values are not explained)\n"),
            };
        }
    }
    for remark in &report.remarks {
        text += &format!("\nnote: {remark}\n");
    }
    text + &format!("\n{}\n", report.verdict.word())
}

/// Names of fused layers list every part; the first one says enough.
fn short(name: &str) -> &str {
    let first = name.split(';').next().unwrap_or(name);
    first
        .char_indices()
        .nth(48)
        .map_or(first, |(end, _)| &first[..end])
}

fn rung(rung: &Rung) -> Vec<String> {
    let mark = match rung.standing {
        Standing::Equal => "=",
        Standing::Follows => "~",
        Standing::Differs => "!",
        Standing::Skipped => "-",
    };
    let [h, w, c] = rung.shape;
    let apart = rung.alone.as_ref().or(rung.end_to_end.as_ref());
    let size = |d: &crate::bisect::Difference| {
        format!("{} of {}, at most {:.4}", d.different, d.values, d.largest)
    };
    let mut differs = match (rung.standing, apart) {
        (Standing::Skipped, _) => "not there: computed from what came before".to_owned(),
        (_, Some(apart)) => size(apart),
        (..) => String::new(),
    };
    if let Some(note) = &rung.note {
        differs += &format!(" ({note})");
    }
    row([
        &mark,
        &short(&rung.name),
        &rung.op,
        &format!("{h}x{w}x{c}"),
        &rung.scale.map_or(String::new(), |s| format!("{s:.6}")),
        &rung.zero_point.map_or(String::new(), |z| z.to_string()),
        &differs,
    ])
}
