//! `foveola accelerate`: a TFLite file becomes a program for an NPU.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::CliError;
use super::model_args::ModelArgs;
use super::table::{bytes, lay_out, row};
use crate::accelerate::{Accelerated, NPUS, accelerate, default_name};
use crate::report::folder::write_file;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola accelerate model_int8.tflite --npu ethos-u55-128
  foveola accelerate model_int8.tflite --npu ethos-u65-256 --vela-arg=--optimise=Size

It calls Arm's compiler `vela` (pip install ethos-u-vela==5.2.0). The file that
it writes is what the firmware's driver runs; methods that ask a black box
(rise, occlusion, hoc) explain it there.")]
pub struct AccelerateArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// NPU: product and multipliers
    #[arg(long, value_name = "NPU", value_parser = PossibleValuesParser::new(NPUS))]
    pub npu: String,

    /// Arm's compiler
    #[arg(long, value_name = "PROGRAM", default_value = "vela")]
    pub vela: String,

    /// Argument for the compiler; repeats
    #[arg(long = "vela-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub vela_args: Vec<String>,

    /// File to write [default: MODEL.fvu in this folder]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &AccelerateArgs) -> Result<String, CliError> {
    let model = args.model.open()?;
    let made = accelerate(&model, &args.npu, &args.vela, &args.vela_args)?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| default_name(&model.path));
    write_file(&out, &made.file)?;
    let (path, size) = (out.display(), bytes(made.file.len()));
    Ok(format!("{path}: {size} for {}\n", args.npu) + &told(&made))
}

/// What lies where.
fn told(accelerated: &Accelerated) -> String {
    let Accelerated { facts, made, .. } = accelerated;
    let number = |count: Option<u32>| count.map_or(String::from("-"), |n| n.to_string());
    let counts = &made.counts;
    let fast = match facts.fast {
        0 => String::from("in the scratch"),
        n => bytes(n),
    };
    let cycles = counts.cycles.map_or(String::from("-"), |n| n.to_string());
    let shape = facts.input;
    let input = format!("{}x{}x{} at {}", shape.h, shape.w, shape.c, facts.input_at);
    let output = format!("{} at {}", facts.classes, facts.output_at);
    lay_out(
        &[
            row([&"operators on the NPU, as vela counts", &number(counts.npu)]),
            row([&"operators on the processor", &number(counts.processor)]),
            row([&"cycles of a pass, as vela estimates", &cycles]),
            row([&"command stream", &bytes(made.commands.len())]),
            row([&"weights (region 0)", &bytes(made.weights.len())]),
            row([&"scratch (region 1)", &bytes(facts.scratch)]),
            row([&"fast scratch (region 2)", &fast]),
            row([&"input", &input]),
            row([&"output", &output]),
        ],
        &[1],
    )
}
