//! `foveola classify`: scores of one picture.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::CliError;
use super::model_args::ModelArgs;
use super::table::{lay_out, row};
use crate::explainer::Explainer;

#[derive(Debug, Args)]
pub struct ClassifyArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Picture: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    pub picture: PathBuf,

    /// Classes shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,

    /// Print {"scores": [..]}: the model's whole output, in order
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &ClassifyArgs) -> Result<String, CliError> {
    let model = args.model.open()?;
    let mut explainer = Explainer::new(model, args.model.threads());
    let photo = explainer.photo(&args.picture)?;
    let (scores, probabilities) = explainer.classify(&photo)?;
    if args.json {
        return Ok(format!("{}\n", json!({ "scores": scores })));
    }
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut rows = vec![row([&"class", &"label", &"probability", &"output"])];
    for class in order.into_iter().take(args.top) {
        let probability = format!("{:.2} %", 100.0 * probabilities[class]);
        let label = explainer.model().card.label(class);
        rows.push(row([&class, &label, &probability, &scores[class]]));
    }
    Ok(lay_out(&rows, &[0, 2]))
}
