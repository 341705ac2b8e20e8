//! `foveola budget`: what a model and its explanations take.

mod on_board;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use foveola_core::explain::METHODS;
use foveola_core::net::model::Model;

use super::compile::plans;
use super::model_args::ModelArgs;
use super::plan_args::PlanArgs;
use super::table::{bytes, lay_out, row};
use super::unit_args::UnitArgs;
use super::{CliError, note};
use crate::backend::core::ModelFile;
use crate::compile::CompileOptions;
use crate::explainer::Explainer;
use crate::method_spec::MethodSpec;
use crate::model::{Engine, ModelError, OpenModel};

#[derive(Debug, Args)]
pub struct BudgetArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Method to count, NAME[:key=value,...]; repeats [default: all]
    #[arg(short, long = "method", value_name = "METHOD")]
    pub methods: Vec<MethodSpec>,

    #[command(flatten)]
    pub unit: UnitArgs,

    /// Classes explained together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub targets: u32,

    /// Keep channels that can only be constant: without them scores, gradients, guided
    /// backpropagation and Grad-CAM are the same, but deconvolution, randomised weights and
    /// views of layers are those of the smaller network
    #[arg(long)]
    pub no_prune: bool,

    /// Board to fit, or `all`; repeats. Says where each buffer lies
    #[arg(short, long = "board", value_name = "NAME")]
    pub boards: Vec<String>,

    /// Picture that a board is asked about [default: a drawn one]
    #[arg(long, value_name = "FILE", requires = "boards")]
    pub picture: Option<PathBuf>,

    #[command(flatten)]
    pub plan: PlanArgs,
}

/// Runs the command.
pub fn run(args: &BudgetArgs) -> Result<String, CliError> {
    let boards = on_board::named(&args.boards)?;
    let mut model = args.unit.of(args.model.open()?)?;
    args.plan.apply(&mut model)?;
    let boards = on_board::tell(args, &model, &boards)?;
    let mut text = String::new();
    match model_file(&model, args)? {
        Some(file) => {
            text += &flash(file.model());
            text += "\nRAM, one arena a pass (the largest serves all):\n";
            text += &plans(file.model());
        }
        None => note("tract runs this model, so flash and arenas are not known"),
    }
    text += "\nMethods: passes, and scratch besides the arena and the maps\n";
    text += &method_rows(args, model)?;
    Ok(text + &boards)
}

fn model_file(model: &OpenModel, args: &BudgetArgs) -> Result<Option<Arc<ModelFile>>, CliError> {
    let layers: Vec<String> = args
        .methods
        .iter()
        .filter_map(|m| m.layer().map(String::from))
        .collect();
    match &model.engine {
        Engine::Tract(_) => Ok(None),
        Engine::File(file) => Ok(Some(Arc::clone(file))),
        Engine::Graph(_) => {
            let options = CompileOptions::shipped(&layers, !args.no_prune);
            let compiled = model.compile(&options.planned(model.goal))?;
            let file = ModelFile::new(&compiled.bytes).map_err(|source| ModelError::File {
                path: model.path.clone(),
                source,
            })?;
            Ok(Some(Arc::new(file)))
        }
    }
}

fn flash(model: &Model<'_>) -> String {
    let all = model.bytes().len();
    let weights = model.weight_bytes();
    lay_out(
        &[
            row([&"flash, model file", &bytes(all)]),
            row([&"  of it weights", &bytes(weights)]),
            row([&"  of it the rest", &bytes(all - weights)]),
        ],
        &[1],
    )
}

/// The methods that were named, or all.
fn methods(args: &BudgetArgs) -> Vec<MethodSpec> {
    let all = || METHODS.iter().filter_map(|m| m.name.parse().ok()).collect();
    match args.methods.is_empty() {
        true => all(),
        false => args.methods.clone(),
    }
}

fn method_rows(args: &BudgetArgs, model: OpenModel) -> Result<String, CliError> {
    let methods = methods(args);
    let mut rows = vec![row([
        &"method",
        &"forward",
        &"backward",
        &"scratch",
        &"map",
    ])];
    let explainer = Explainer::new(model, args.model.threads());
    for (spec, cost) in methods
        .iter()
        .zip(explainer.costs(&methods, args.targets as usize)?)
    {
        let name = match args.methods.is_empty() {
            true => spec.row.name.to_string(),
            false => spec.to_string(),
        };
        rows.push(match cost {
            Ok((cost, map)) => row([
                &name,
                &cost.forward,
                &cost.backward,
                &bytes(4 * cost.scratch),
                &bytes(4 * map.len()),
            ]),
            Err(reason) => row([&name, &"-", &"-", &"-", &reason]),
        });
    }
    Ok(lay_out(&rows, &[1, 2, 3]) + "HOC: at most; it stops as soon as the region is found.\n")
}
