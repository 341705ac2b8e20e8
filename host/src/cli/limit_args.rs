//! `--max-passes` and `--deadline`: how far every method may go.

use clap::Args;

use crate::method_spec::{Limits, limits};

#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Most passes of each method, forward and backward: the same number gives the same
    /// maps; one that is cut short is marked partial (as a key of a method: max-passes=N)
    #[arg(long, value_name = "N", value_parser = limits::passes)]
    pub max_passes: Option<u64>,

    /// Most seconds of each method; a map that is cut short is marked partial (as a key
    /// of a method: deadline=SECONDS)
    #[arg(long, value_name = "SECONDS", value_parser = limits::seconds)]
    pub deadline: Option<f64>,
}

impl LimitArgs {
    /// The limits.
    pub const fn limits(self) -> Limits {
        Limits {
            passes: self.max_passes,
            seconds: self.deadline,
        }
    }
}
