//! `foveola crosscheck`: the same bits on the host and on boards?

mod boards;
mod many;
mod record;

use std::path::PathBuf;

use clap::Args;

use super::model_args::ModelArgs;
use super::plan_args::PlanArgs;
use super::table::{lay_out, row};
use super::{CliError, Ending, print};
use crate::crosscheck::{Comparison, CrosscheckError, Device, Host, Inquiry, Report, model_bytes};
use crate::explainer::DEFAULT_SEED;
use crate::method_spec::MethodSpec;
use crate::photo::Photo;
use boards::Ready;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola crosscheck model.onnx photo.jpg --device qemu:mps2-an386
  foveola crosscheck model.onnx photos/ --device qemu:all --record boards.jsonl

A board whose RAM is too small for the model gets it in its flash. Without
--method, methods that do not fit into a board's RAM are left out and named.

Exit code 0 if every verdict is BIT-EXACT or WITHIN-TOLERANCE, 1 if one is another,
2 if the sides could not be compared, 130 if it was stopped.")]
pub struct CrosscheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Pictures, or folders of pictures: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,

    /// The board: qemu:all, or one of qemu:mps2-an386, mps2-an500, mps2-an505, mps3-an547, netduinoplus2,
    /// lm3s6965evb, riscv32-virt; repeats
    #[arg(long = "device", value_name = "qemu:BOARD", required = true)]
    pub devices: Vec<Devices>,

    /// Method, NAME[:key=value,...]; repeats [default: all seven, rise with 64 masks]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    /// Index of the class to explain [default: the best]
    #[arg(short, long, value_name = "INDEX")]
    pub target: Option<usize>,

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
}

/// One board, or all.
#[derive(Clone, Debug)]
pub struct Devices {
    list: Vec<Device>,
    /// Whether boards that are too small are left out instead of being an error.
    all: bool,
}

impl std::str::FromStr for Devices {
    type Err = CrosscheckError;

    fn from_str(text: &str) -> Result<Self, CrosscheckError> {
        let all = text == "qemu:all";
        Ok(Self {
            list: match all {
                true => Device::ALL.to_vec(),
                false => vec![text.parse()?],
            },
            all,
        })
    }
}

/// Runs the command.
pub fn run(args: &CrosscheckArgs) -> Result<Ending, CliError> {
    let mut model = args.model.open()?;
    args.plan.apply(&mut model)?;
    let pictures = many::pictures(&args.pictures)?;
    let bytes = model_bytes(&model, !args.no_prune)?;
    let methods = match args.methods.is_empty() {
        true => default_methods(model.facts.input.h.min(model.facts.input.w))?,
        false => args.methods.clone(),
    };
    let folder = JobFolder::open(args.keep.as_ref())?;
    let inquiry = Inquiry {
        methods: &methods,
        target: args.target,
        seed: args.seed,
        layers: !args.no_layers,
    };
    let photo = Photo::open(&pictures[0], &model.intake())?;
    let boards = boards::ready(args, &bytes, &photo, &methods, &folder.path)?;
    match (pictures.as_slice(), boards.as_slice(), &args.record) {
        ([_], [board], None) => {
            let host = Host::run(&bytes, &photo, &inquiry)?;
            let report = board.ask(&bytes, &photo, &host, &inquiry)?;
            print(&text(&report, board));
            Ok(match report.verdict.passes() {
                true => Ending::Done,
                false => Ending::Differs,
            })
        }
        _ => many::run(args, &model, &bytes, &inquiry, &pictures, &boards),
    }
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
    temporary: bool,
}

impl JobFolder {
    pub(super) fn open(keep: Option<&PathBuf>) -> Result<Self, CliError> {
        let unnamed =
            || std::env::temp_dir().join(format!("foveola-crosscheck-{}", std::process::id()));
        let path = keep.cloned().unwrap_or_else(unnamed);
        std::fs::create_dir_all(&path)
            .map_err(|e| CliError::Usage(format!("cannot make {}: {e}", path.display())))?;
        Ok(Self {
            path,
            temporary: keep.is_none(),
        })
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        if self.temporary {
            // A folder that stays behind in the temporary place harms nobody.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn text(report: &Report, board: &Ready) -> String {
    let (layers, rest): (Vec<_>, Vec<_>) = report
        .comparisons
        .iter()
        .partition(|c| c.name.starts_with("layer "));
    let mut rows = vec![row([
        &"",
        &"values",
        &"different",
        &"largest",
        &"instructions",
        &"stack",
        &"arena",
    ])];
    rows.extend(rest.into_iter().map(compared));
    if let Some(first) = layers.iter().find(|c| !c.is_exact()) {
        rows.push(compared(first));
    }
    let exact = layers.iter().filter(|c| c.is_exact()).count();
    let mut text = format!(
        "{}, model {}, class {}\n\n",
        board.device.board,
        &report.model[..12],
        report.target
    );
    text += &lay_out(&rows, &[1, 2, 3, 4, 5, 6]);
    if !layers.is_empty() {
        text += &format!("{exact} of {} layers have the same bits\n", layers.len());
    }
    for (method, why) in &board.left_out {
        text += &format!("left out: {method}: {why}\n");
    }
    text + &format!("\n{}\n", report.verdict.word())
}

fn compared(c: &Comparison) -> Vec<String> {
    let cost = |of: fn(&crate::crosscheck::Cost) -> u64| {
        c.cost
            .as_ref()
            .map_or(String::new(), |cost| of(cost).to_string())
    };
    let mut name = c.name.clone();
    if let Some(remark) = &c.remark {
        name += &format!(" ({remark})");
    }
    row([
        &name,
        &c.values,
        &c.different,
        &format!("{:.1e}", c.largest),
        &cost(|c| c.instructions),
        &cost(|c| c.stack),
        &cost(|c| c.arena),
    ])
}
