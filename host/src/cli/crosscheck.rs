//! `foveola crosscheck`: the same bits on the host and on boards?

mod boards;
mod junit;
mod many;
mod record;
mod show;

use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::TempDir;

use super::model_args::ModelArgs;
use super::plan_args::PlanArgs;
use super::unit_args::UnitArgs;
use super::{CliError, Ending};
use crate::crosscheck::{
    CrosscheckError, Device, Float, Inquiry, Options, TOLERANCE, When, model_bytes_for,
};
use crate::explainer::DEFAULT_SEED;
use crate::link::DeviceName;
use crate::method_spec::MethodSpec;
use crate::photo::Photo;
use record::Gate;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola crosscheck model.onnx photo.jpg --device qemu:mps2-an386
  foveola crosscheck model.onnx photos/ --device qemu:all --record boards.jsonl
  foveola crosscheck int8.tflite photos/ --float float.onnx --device /dev/ttyACM0 --device /dev/ttyACM1 \\
    --method occlusion --max-drift 0.05 --junit crosscheck.xml

An emulated board is asked through files, the others over their line. A board whose RAM
is too small for the model gets it in its flash. Without --method, methods that do not fit
into a device's memory are left out and named. Over a line, layers are compared where scores
or a map differ, up to the first one that does.

Verdict of a picture on a device, the first that holds: INPUT-DIFFERS (another picture is
there), MODEL-DIFFERS, BIT-EXACT, WITHIN-TOLERANCE, LABEL-SAME-EVIDENCE-DIFFERS,
LABEL-DIFFERS, DEVICE-ERROR (no answer). The halves: the host's method asks the device's
network, and the device's method the host's network; that names what differs: the method's
code, the network, both, or the line.

Exit code 0 if every verdict is BIT-EXACT or WITHIN-TOLERANCE, or within --max-drift;
1 if one is another; 2 if the sides could not be compared; 130 if it was stopped.")]
pub struct CrosscheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Pictures, or folders of pictures: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,

    /// Device: qemu:all, or one of qemu:mps2-an386, mps2-an500, mps2-an505, mps3-an547, netduinoplus2,
    /// lm3s6965evb, riscv32-virt; a serial port such as /dev/ttyACM0, tcp:HOST:PORT, unix:PATH; repeats
    #[arg(long = "device", value_name = "DEVICE", required = true)]
    pub devices: Vec<Devices>,

    /// Bits a second of serial ports
    #[arg(long, value_name = "N", default_value_t = 115_200)]
    pub baud: u32,

    /// Method, NAME[:key=value,...]; repeats [default: all seven, rise with 64 masks]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    /// Index of the class to explain [default: the best]
    #[arg(short, long, value_name = "INDEX", conflicts_with = "unit")]
    pub target: Option<usize>,

    #[command(flatten)]
    pub unit: UnitArgs,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub seed: u64,

    /// Keep channels that can only be constant: without them scores, gradients, guided
    /// backpropagation and Grad-CAM are the same, but deconvolution, randomised weights and
    /// views of layers are those of the smaller network
    #[arg(long)]
    pub no_prune: bool,

    /// Compare scores and maps only, not every layer
    #[arg(long)]
    pub no_layers: bool,

    /// When method and network are asked on different sides
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub halves: When,

    /// Ask devices about the model that they have, instead of sending them this one
    #[arg(long)]
    pub keep_model: bool,

    /// Largest difference that is WITHIN-TOLERANCE, relative to a tensor's largest value
    #[arg(long, value_name = "T", default_value_t = TOLERANCE, value_parser = at_least_0)]
    pub tolerance: f64,

    /// Let LABEL-SAME-EVIDENCE-DIFFERS pass while 1 - Spearman of each map to the host's is at
    /// most D; with --float, the class must be the same and its maps as near as well
    #[arg(long, value_name = "D", value_parser = at_least_0)]
    pub max_drift: Option<f64>,

    /// The float network that the model was quantised from, to tell what quantisation changed
    /// from what the device changed; takes the model's flags
    #[arg(long, value_name = "MODEL", conflicts_with = "unit")]
    pub float: Option<PathBuf>,

    #[command(flatten)]
    pub plan: PlanArgs,

    /// Folder of the firmware's sources
    #[arg(long, value_name = "DIR", default_value = "firmware")]
    pub firmware: PathBuf,

    /// Folder in which the files of the jobs stay [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// JSON Lines, one for each picture and board as soon as they are compared; what is
    /// there already is not run again
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Everything that was compared, as one JSON document
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// One test case a picture, device and method, in JUnit's XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// A device of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A board in QEMU, asked through files.
    Emulated(Device),
    /// Another, asked over its line, and where it is.
    Line(DeviceName, String),
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Self::Emulated(device) => device.board,
            Self::Line(_, name) => name,
        }
    }
}

/// One device, or all emulated boards.
#[derive(Clone, Debug)]
pub struct Devices {
    list: Vec<Target>,
    /// Whether boards that are too small are left out instead of being an error.
    all: bool,
}

impl std::str::FromStr for Devices {
    type Err = CrosscheckError;

    fn from_str(text: &str) -> Result<Self, CrosscheckError> {
        let all = text == "qemu:all";
        let list = match text.parse() {
            _ if all => Device::ALL.map(Target::Emulated).to_vec(),
            Ok(DeviceName::Qemu(device)) => vec![Target::Emulated(device)],
            Ok(name) => vec![Target::Line(name, text.to_owned())],
            Err(_) if text.starts_with("qemu:") => vec![Target::Emulated(text.parse()?)],
            Err(other) => return Err(other.into()),
        };
        Ok(Self { list, all })
    }
}

fn at_least_0(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n: &f64| *n >= 0.0);
    number.ok_or_else(|| String::from("it takes a number that is not negative"))
}

impl CrosscheckArgs {
    fn options(&self) -> Options {
        Options {
            tolerance: self.tolerance,
            halves: self.halves,
            keep_model: self.keep_model,
            strict: !self.methods.is_empty(),
        }
    }

    const fn gate(&self) -> Gate {
        Gate {
            max_drift: self.max_drift,
        }
    }

    /// What else the answers depend on, as far as it is not the usual.
    fn setting(&self, float: Option<&Float>) -> Vec<String> {
        let mut all = Vec::new();
        if self.tolerance != TOLERANCE {
            all.push(format!("tolerance={}", self.tolerance));
        }
        all.extend(self.max_drift.map(|d| format!("max-drift={d}")));
        if self.halves != When::Auto {
            all.push(format!("halves={:?}", self.halves).to_lowercase());
        }
        if self.keep_model {
            all.push(String::from("keep-model"));
        }
        all.extend(float.map(|float| format!("float={}", float.sha256())));
        all
    }

    /// The float network, opened with the model's flags.
    fn open_float(&self) -> Result<Option<Float>, CliError> {
        let Some(path) = &self.float else {
            return Ok(None);
        };
        let args = ModelArgs {
            model: path.clone(),
            ..self.model.clone()
        };
        Ok(Some(Float::new(args.open()?, self.model.threads())))
    }
}

/// Runs the command.
pub fn run(args: &CrosscheckArgs) -> Result<Ending, CliError> {
    let emulated = |target: &Target| matches!(target, Target::Emulated(_));
    let mut targets = args.devices.iter().flat_map(|devices| &devices.list);
    if args.keep_model && targets.any(emulated) {
        return Err(CliError::Usage(String::from(
            "--keep-model is for devices at a line; an emulated board has no model of its own",
        )));
    }
    let mut model = args.unit.of(args.model.open()?)?;
    args.plan.apply(&mut model)?;
    let pictures = many::pictures(&args.pictures)?;
    let methods = match args.methods.is_empty() {
        true => default_methods(model.facts.input.h.min(model.facts.input.w))?,
        false => args.methods.clone(),
    };
    let bytes = model_bytes_for(&model, !args.no_prune, &methods)?;
    let folder = JobFolder::open(args.keep.as_ref())?;
    let inquiry = Inquiry {
        methods: &methods,
        target: args.target.or(args.unit.channel()),
        seed: args.seed,
        layers: !args.no_layers,
    };
    let photo = Photo::open(&pictures[0], &model.intake())?;
    let boards = boards::ready(args, &bytes, &photo, &methods, &folder.path)?;
    let subject = many::Subject {
        model: &model,
        bytes: &bytes,
        inquiry,
        pictures: &pictures,
        float: args.open_float()?,
    };
    many::run(args, subject, &boards)
}

/// All seven; boards in QEMU run about 0.3 G instructions a second, so RISE
/// has few masks, and HOC's boxes shrink with the picture so that it has layers.
pub(super) fn default_methods(side: usize) -> Result<Vec<MethodSpec>, CliError> {
    let (large, small) = ((side / 2).max(2), (side / 4).max(1));
    let hoc = format!(
        "hoc:windows={large}/{small},strides={}/{}",
        (large / 5).max(1),
        (small / 5).max(1)
    );
    let names = [
        "gradient",
        "deconvolution",
        "guided-backprop",
        "grad-cam",
        "occlusion",
        "rise:masks=64",
        &hoc,
    ];
    let specs = names.iter().map(|name| name.parse());
    specs
        .collect::<Result<_, _>>()
        .map_err(|e: crate::method_spec::SpecError| CliError::Usage(e.to_string()))
}

/// A folder that goes when the command ends, unless it was asked for by name.
pub(super) struct JobFolder {
    pub(super) path: PathBuf,
    _temporary: Option<TempDir>,
}

impl JobFolder {
    pub(super) fn open(keep: Option<&PathBuf>) -> Result<Self, CliError> {
        let failed = |path: &Path, e| {
            CliError::Usage(format!("cannot make the folder {}: {e}", path.display()))
        };
        if let Some(path) = keep {
            std::fs::create_dir_all(path).map_err(|e| failed(path, e))?;
            return Ok(Self {
                path: path.clone(),
                _temporary: None,
            });
        }
        let made = tempfile::Builder::new().prefix("foveola-").tempdir();
        let folder = made.map_err(|e| failed(&std::env::temp_dir(), e))?;
        Ok(Self {
            path: folder.path().to_owned(),
            _temporary: Some(folder),
        })
    }
}
