//! `--uncertainty`: how sure the model is, by dropout.

use clap::Args;

use super::CliError;
use super::table::{lay_out, row};
use crate::card::Card;
use crate::model::{BackendKind, OpenModel};
use crate::uncertainty::{Dropout, Setting, Uncertainty};

#[derive(Debug, Args)]
pub struct UncertaintyArgs {
    /// Measure how sure the model is: passes with dropout (the network's own, or
    /// one half behind its first layer with weights) give a deviation and a 95 % interval
    #[arg(long)]
    pub uncertainty: bool,

    /// Passes with dropout
    #[arg(long, value_name = "N", default_value_t = 10, requires = "uncertainty",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub passes: u32,
}

impl UncertaintyArgs {
    /// What is to be measured, if anything.
    pub fn setting(&self, seed: u64, model: &OpenModel) -> Result<Option<Setting>, CliError> {
        if self.uncertainty && model.backend() != BackendKind::Core {
            let reason = "--uncertainty is for the backend core; tract and GPUs have no dropout, a device \
                          measures it by itself: foveola device DEVICE uncertainty";
            return Err(CliError::Usage(String::from(reason)));
        }
        let setting = Setting::default();
        Ok(self.uncertainty.then_some(Setting {
            passes: self.passes as usize,
            dropout: Dropout {
                seed,
                ..setting.dropout
            },
        }))
    }
}

/// A table of these classes and a sentence about all.
pub fn words(card: &Card, setting: &Setting, found: &Uncertainty, classes: &[usize]) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut rows = vec![row([
        &"class",
        &"label",
        &"probability",
        &"deviation",
        &"95 % interval",
    ])];
    for &class in classes {
        let of = &found.classes[class];
        let within = of.interval;
        rows.push(row([
            &class,
            &card.label(class),
            &percent(of.probability.into()),
            &percent(within.deviation),
            &format!("{} to {}", percent(within.low), percent(within.high)),
        ]));
    }
    let Setting { passes, dropout } = setting;
    let mut text = lay_out(&rows, &[0, 2, 3]);
    text += &format!("{passes} passes with dropout, seed {}", dropout.seed);
    if found.saturation.of > 0 {
        let share = percent(found.saturation.share());
        text += &format!(", {share} of the kept elements saturated");
    }
    if let Some(margin) = found.margin {
        text += &format!("; margin {}", percent(margin));
    }
    if let Some(entropy) = found.entropy_of(card) {
        text += &format!("; entropy {entropy:.3} nats");
    }
    text + "\n"
}
