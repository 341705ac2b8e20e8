//! The flags that say what the memory plan of forward passes is to be.

use clap::{Args, ValueEnum};

use super::CliError;
use crate::compile::Goal;
use crate::model::{Engine, OpenModel};

/// Heading of these flags.
const MEMORY: &str = "Memory plan of forward passes";

#[derive(Clone, Copy, Debug, Default, Args)]
pub struct PlanArgs {
    /// Tensors whole where that is faster, or rows of them wherever that takes less memory [default: fast]
    #[arg(help_heading = MEMORY, long, value_enum)]
    pub plan: Option<PlanKind>,

    /// The fastest plan whose arena has so many bytes at most
    #[arg(help_heading = MEMORY, long, value_name = "BYTES", conflicts_with = "plan")]
    pub arena: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanKind {
    Fast,
    Small,
}

impl PlanArgs {
    /// What was asked for, if anything.
    const fn goal(self) -> Option<Goal> {
        match (self.plan, self.arena) {
            (_, Some(bytes)) => Some(Goal::Arena(bytes)),
            (Some(PlanKind::Fast), _) => Some(Goal::Fast),
            (Some(PlanKind::Small), _) => Some(Goal::Small),
            (None, None) => None,
        }
    }

    /// Has the model compiled so.
    ///
    /// # Errors
    /// A model that is compiled already.
    pub fn apply(self, model: &mut OpenModel) -> Result<(), CliError> {
        match (self.goal(), &model.engine) {
            (None, _) => Ok(()),
            (Some(_), Engine::File(_)) => Err(CliError::Usage(String::from(
                "a .fov file has its plans already; give --plan or --arena to `foveola compile`",
            ))),
            (Some(goal), _) => {
                model.goal = goal;
                Ok(())
            }
        }
    }
}
