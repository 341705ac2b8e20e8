//! The flag that puts a unit of the network in the place of the classes.

use clap::Args;

use super::CliError;
use crate::model::{OpenModel, Unit};

#[derive(Clone, Debug, Default, Args)]
pub struct UnitArgs {
    /// Explain a unit of the network instead of a class: the mean of a tensor's
    /// channel, or its value in one place
    #[arg(long, value_name = "TENSOR:CHANNEL[,ROW,COLUMN]")]
    pub unit: Option<Unit>,
}

impl UnitArgs {
    /// The model up to the unit, if there is one.
    ///
    /// # Errors
    /// A unit that the model has not.
    pub fn of(&self, model: OpenModel) -> Result<OpenModel, CliError> {
        match &self.unit {
            Some(unit) => Ok(model.of_unit(unit)?),
            None => Ok(model),
        }
    }

    /// The unit's channel: its class in the network up to there.
    pub fn channel(&self) -> Option<usize> {
        self.unit.as_ref().map(|unit| unit.channel)
    }
}
