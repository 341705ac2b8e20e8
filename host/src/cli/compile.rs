//! `foveola compile`: an ONNX or TFLite file becomes a `.fov` file.

mod int8;

use std::path::PathBuf;

use clap::Args;
use foveola_core::At;
use foveola_core::net::model::{Model, Pass};

use self::int8::Int8Args;
use super::CliError;
use super::model_args::ModelArgs;
use super::plan_args::PlanArgs;
use super::seal_args::SealArgs;
use super::table::{bytes, lay_out, row};
use crate::backend::core::ModelFile;
use crate::compile::CompileOptions;
use crate::compile::prune::{Change, Report};
use crate::model::{Engine, ModelError, Unit};
use crate::report::folder::write_file;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola compile model.onnx
  foveola compile model.onnx --int8 --calibrate photos -o model.fov
  foveola compile model.onnx --int8 --calibrate photos --validate test --method guided-backprop
  foveola compile model.onnx --policy policy.toml --release 3 --sign key.txt
  foveola compile model.onnx --unit /features/12/Relu_output_0:3

With --int8 the network is run on pictures of its kind, quantised by what its
layers held, and compared with what it was. Where the folders inside the
validation folder are called like the labels, the right answers are counted.

A policy is what a device holds itself to, in TOML:

  on-failure = \"withhold\"          # or \"report\" (the default), \"halt\"
  [limits]                         # of one judgement; each may be left out
  instructions = 500_000_000
  milliseconds = 2000
  ram = 300_000                    # bytes of arena, map and scratch
  [[rule]]
  method = \"grad-cam\"              # as `foveola methods` lists them
  target = \"top\"                   # or a class, or a list of classes
  inside = [[0.3, 0.1, 0.4, 0.8]]  # boxes: x, y, width, height
  least-inside = 0.5               # least share of the evidence in the boxes
  border = 0.05                    # width of the border
  most-border = 0.3                # most share of the evidence in it
  unit = \"fractions\"               # of the picture (the default), or \"pixels\"
  like = [\"good.png\"]              # pictures whose mean map is stored
  grid = [8, 8]                    # its rows and columns
  measure = \"spearman\"             # or \"top-tenth\"
  least-agreement = 0.6
  [[self-test]]                    # scores and map are computed here, and
  picture = \"good.png\"             # compared bit for bit on the device
  rule = 1                         # also the map of this rule's method

A .fov file can be given a policy, a release or a signature as well.
`foveola audit judge` holds pictures to the policy.")]
pub struct CompileArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// ONNX node or tensor down to which gradients are wanted, besides the
    /// input and the last layer with rows and columns; repeats
    #[arg(long = "layer", value_name = "NAME")]
    pub layers: Vec<String>,

    /// Add a memory plan for relevance (the method `lrp`)
    #[arg(long)]
    pub relevance: bool,

    /// Leave batch normalisations as they are instead of folding them into weights
    #[arg(long)]
    pub no_fold: bool,

    /// Keep channels that can only be constant: without them scores, gradients, guided
    /// backpropagation and Grad-CAM are the same, but deconvolution, randomised weights and
    /// views of layers are those of the smaller network
    #[arg(long)]
    pub no_prune: bool,

    /// Name the layers that lost channels
    #[arg(short, long)]
    pub verbose: bool,

    /// Compile the network up to a unit, whose channels are then the classes: a device that
    /// runs this file explains the unit where it explains the class with the channel's number
    #[arg(
        long,
        value_name = "TENSOR:CHANNEL[,ROW,COLUMN]",
        conflicts_with = "int8"
    )]
    pub unit: Option<Unit>,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub int8: Int8Args,

    #[command(flatten)]
    pub seal: SealArgs,

    /// File to write [default: MODEL.fov in this folder, with --unit MODEL-unit.fov]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &CompileArgs) -> Result<String, CliError> {
    let mut model = args.model.open()?;
    if let Some(unit) = &args.unit {
        model = model.of_unit(unit)?;
    }
    args.plan.apply(&mut model)?;
    let out = out(args);
    if let (Engine::File(file), true) = (&model.engine, args.seal.any()) {
        let sealed = args.seal.apply(file.model().bytes(), &model)?;
        write_file(&out, &sealed)?;
        return Ok(format!("{}: {}\n", out.display(), bytes(sealed.len())));
    }
    if args.int8.int8 {
        return int8::run(args, &model, &out);
    }
    let compiled = model.compile(&CompileOptions {
        fold: !args.no_fold,
        relevance: args.relevance,
        ..CompileOptions::shipped(&args.layers, !args.no_prune).planned(model.goal)
    })?;
    let sealed = args.seal.apply(&compiled.bytes, &model)?;
    let file = ModelFile::new(&sealed).map_err(|source| ModelError::File {
        path: out.clone(),
        source,
    })?;
    write_file(&out, &sealed)?;
    let mut text = format!("{}: {}\n", out.display(), bytes(sealed.len()));
    let report = &compiled.report;
    text += &format!(
        "{} folded into weights, {} activations merged, {} nodes removed\n",
        report.folded, report.merged, report.removed
    );
    text += &pruned(&compiled.pruned, args.verbose);
    text += &plans(file.model());
    Ok(text)
}

/// What went with the constant channels; nothing to say where none did.
fn pruned(report: &Report, verbose: bool) -> String {
    if report.is_empty() {
        return String::new();
    }
    let change = |change: &Change| format!("{} -> {}", change.before, change.after);
    let mut rows = vec![
        row([
            &"constant channels removed",
            &"channels",
            &"MAC",
            &"weights",
        ]),
        row([
            &"all layers",
            &change(&report.channels),
            &change(&report.macs),
            &change(&report.weights),
        ]),
    ];
    let layers = report.layers.iter().filter(|_| verbose);
    rows.extend(layers.map(|layer| {
        row([
            &format!("  {}", layer.name),
            &change(&layer.channels),
            &change(&layer.macs),
            &change(&layer.weights),
        ])
    }));
    lay_out(&rows, &[1, 2, 3]) + "\n"
}

/// The file to write.
fn out(args: &CompileArgs) -> PathBuf {
    let stem = args.model.model.file_stem().unwrap_or_default();
    let default = || match args.unit {
        Some(_) => PathBuf::from(format!("{}-unit.fov", stem.display())),
        None => PathBuf::from(stem).with_extension("fov"),
    };
    args.out.clone().unwrap_or_else(default)
}

/// The memory plans of a model file.
pub fn plans(model: &Model<'_>) -> String {
    let mut rows = vec![row([&"pass", &"arena"])];
    for pass in model.passes() {
        let arena = model.plan(pass).map_or(0, |p| p.arena_len());
        rows.push(row([&pass_name(model, pass), &bytes(arena)]));
    }
    lay_out(&rows, &[1])
}

fn pass_name(model: &Model<'_>, pass: Pass) -> String {
    match pass {
        Pass::Forward => String::from("forward"),
        Pass::Backward(At::Input) => String::from("backward to the input"),
        Pass::Backward(At::Tensor(id)) => {
            let name = model.tensor(id).map_or("", |t| t.name);
            format!("backward to {name}")
        }
        _ => String::from("other"),
    }
}
