//! `foveola inspect`: what a model is made of.

use std::path::PathBuf;

use clap::Args;
use foveola_core::Shape;
use foveola_core::net::model::Model;

use super::CliError;
use super::model_args::ModelArgs;
use super::seal_args::state as seal;
use super::table::{bytes, lay_out, row};
use crate::activations::operator;
use crate::graph::Graph;
use crate::import::{Format, Imported};
use crate::model::{Engine, OpenModel};

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// File with the public key that should have signed a .fov file
    #[arg(long, value_name = "FILE")]
    pub signer: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &InspectArgs) -> Result<String, CliError> {
    let model = args.model.open()?;
    let mut text = head(&model);
    match &model.engine {
        Engine::Graph(imported) => {
            text += &origin(imported);
            text += &graph_nodes(&imported.graph);
            text += &default_layer(&model)?;
        }
        Engine::File(file) => {
            text += &seal(file.model(), args.signer.as_deref())?;
            text += &file_nodes(file.model());
            text += &default_layer(&model)?;
        }
        Engine::Tract(_) => {
            text += "\nsupported: occlusion, rise and hoc, through tract; \
                     gradient methods need the core backend\n";
        }
    }
    Ok(text)
}

fn shape(s: Shape) -> String {
    format!("{}x{}x{}", s.h, s.w, s.c)
}

fn head(model: &OpenModel) -> String {
    let card = &model.card;
    let preprocessing = format!(
        "{:?} to {}x{}, {:?}, mean {:?}, scale {:?}, activation {:?}",
        card.resize,
        card.size[0],
        card.size[1],
        card.channels,
        card.mean,
        card.scale,
        card.activation
    );
    let facts = &model.facts;
    let input = format!(
        "{} (height x width x channels), {:?}, {:?}",
        shape(facts.input),
        facts.layout,
        model.input_type
    );
    let labels = match card.labels.len() {
        0 => String::from("no labels"),
        n => format!("{n} labels"),
    };
    lay_out(
        &[
            row([&"model", &model.path.display()]),
            row([&"size", &bytes(model.bytes)]),
            row([&"sha256", &model.sha256]),
            row([&"input", &input]),
            row([&"output", &format!("{} classes, {labels}", facts.classes)]),
            row([&"card", &model.card_source]),
            row([&"pictures", &preprocessing.to_lowercase()]),
        ],
        &[],
    )
}

fn origin(imported: &Imported) -> String {
    let ops: Vec<String> = imported
        .ops
        .iter()
        .map(|(op, n)| format!("{op} {n}"))
        .collect();
    let format = match imported.format {
        Format::Onnx { opset, .. } => format!("ONNX, opset {opset}"),
        Format::Tflite { version } => format!("TFLite, schema {version}"),
    };
    lay_out(
        &[
            row([&"producer", &imported.producer]),
            row([&"format ", &format]),
            row([&"weights", &imported.parameters]),
            row([&"nodes", &ops.join(", ")]),
            row([
                &"names",
                &format!(
                    "input {}, output {}",
                    imported.graph.input_name, imported.graph.output_name
                ),
            ]),
        ],
        &[],
    ) + "supported: all nodes; every method works\n"
}

fn graph_nodes(graph: &Graph) -> String {
    let mut rows = vec![row([&"op", &"output", &"tensor (for --layer)"])];
    for node in &graph.nodes {
        let tensor = graph.tensor(node.output);
        rows.push(row([
            &operator(&node.op, &node.activation),
            &shape(tensor.shape),
            &tensor.name,
        ]));
    }
    format!("\n{}", lay_out(&rows, &[1]))
}

fn file_nodes(model: &Model<'_>) -> String {
    let mut rows = vec![row([&"op", &"output", &"tensor"])];
    for node in (0..model.node_count()).filter_map(|i| model.node(i)) {
        let name = model.tensor(node.output).map_or("", |t| t.name);
        rows.push(row([
            &operator(&node.op, &node.activation),
            &shape(model.shape(node.output)),
            &name,
        ]));
    }
    format!("\n{}", lay_out(&rows, &[1]))
}

fn default_layer(model: &OpenModel) -> Result<String, CliError> {
    let running = model.start(&[], 1)?;
    Ok(match running.default_layer() {
        Some((name, _)) => format!("\ngrad-cam reads {name} by default\n"),
        None => String::from("\nno layer has rows and columns: grad-cam does not apply\n"),
    })
}
