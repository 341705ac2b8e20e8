//! `foveola device DEVICE uncertainty`: dropout where the network runs.

use clap::Args;
use foveola_core::Score;

use super::{Pictured, cost, prepare, watched};
use crate::cli::CliError;
use crate::cli::uncertainty::words;
use crate::explainer::DEFAULT_SEED;
use crate::link::Remote;
use crate::uncertainty::{Dropout, Setting, Uncertainty};

/// Classes shown.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
pub struct UncertainArgs {
    #[command(flatten)]
    of: Pictured,

    /// Passes with dropout
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,
}

/// Runs the command.
pub fn run(remote: &mut Remote, args: &UncertainArgs) -> Result<String, CliError> {
    let (model, ..) = prepare(remote, (args.of.model.open()?, &args.of.picture), &[])?;
    let probabilities = remote.scores(Score::Probability)?.values;
    let asked = (args.passes, args.seed);
    let measured = watched("uncertainty", "passes", |watch| {
        remote.uncertainty(asked, watch)
    })?;
    let (mean, variance) = measured.values.split_at(measured.values.len() / 2);
    let moments = mean.iter().zip(variance);
    let moments = moments.map(|(&mean, &variance)| (mean.into(), variance.into()));
    let found = Uncertainty::new(&probabilities, moments, measured.saturation);
    let mut order: Vec<usize> = (0..found.classes.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.truncate(SHOWN);
    let usual = Setting::default();
    let setting = Setting {
        passes: args.passes as usize,
        dropout: Dropout {
            seed: args.seed,
            ..usual.dropout
        },
    };
    let shown = words(&model.card, &setting, &found, &order);
    Ok(shown + &cost(&measured) + "\n")
}
