//! `foveola classify`: scores of one picture.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::model_args::{ModelArgs, failed};
use super::table::{lay_out, row};
use super::uncertainty::{UncertaintyArgs, words};
use super::{CliError, note};
use crate::explainer::{DEFAULT_SEED, Explainer};
use crate::model::BackendKind;

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

    /// Print the integers of a quantised output as well, as the model stores them
    #[arg(long)]
    pub quantised: bool,

    #[command(flatten)]
    pub uncertainty: UncertaintyArgs,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED, requires = "uncertainty")]
    pub seed: u64,
}

/// Runs the command.
pub fn run(args: &ClassifyArgs) -> Result<String, CliError> {
    let model = args.model.open()?;
    let setting = args.uncertainty.setting(args.seed, &model)?;
    let mut explainer = Explainer::new(model, args.model.threads());
    let photo = explainer.photo(&args.picture)?;
    let answer = explainer.classify(&photo);
    let (scores, probabilities) = answer.map_err(|error| failed(error, explainer.model()))?;
    if let Some(line) = explainer.model().device_line() {
        note(&line);
    }
    let integers = match args.quantised {
        true => Some(integers(&explainer, &scores)?),
        false => None,
    };
    let measured = match setting {
        Some(setting) => Some((setting, explainer.uncertainty(&photo, &setting)?)),
        None => None,
    };
    if args.json {
        let mut record = json!({ "scores": scores });
        if let Some((setting, found)) = &measured {
            let card = &explainer.model().card;
            record["uncertainty"] = found.to_json(setting, card, 0..scores.len());
        }
        if let Some(integers) = integers {
            record["quantised"] = json!(integers);
        }
        return Ok(format!("{record}\n"));
    }
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut rows = vec![row([&"class", &"label", &"probability", &"output"])];
    if args.quantised {
        rows[0].push(String::from("integer"));
    }
    let shown: Vec<usize> = order.into_iter().take(args.top).collect();
    for &class in &shown {
        let probability = format!("{:.2} %", 100.0 * probabilities[class]);
        let label = explainer.model().card.label(class);
        let mut cells = row([&class, &label, &probability, &scores[class]]);
        cells.extend(integers.iter().map(|all| all[class].to_string()));
        rows.push(cells);
    }
    let mut text = lay_out(&rows, &[0, 2, 4]);
    if let Some((setting, found)) = &measured {
        let card = &explainer.model().card;
        text += "\n";
        text += &words(card, setting, found, &shown);
    }
    Ok(text)
}

/// The integers that the model stores its output as.
fn integers(explainer: &Explainer, scores: &[f32]) -> Result<Vec<i32>, CliError> {
    let Some(quant) = explainer.model().output_quant() else {
        let model = explainer.model();
        return Err(CliError::Usage(match model.backend() {
            BackendKind::Core | BackendKind::Gpu | BackendKind::Device => {
                String::from("the model's output is not quantised")
            }
            BackendKind::Tract => String::from("the tract backend answers no integers"),
        }));
    };
    Ok(scores.iter().map(|&v| quant.integer(v)).collect())
}
