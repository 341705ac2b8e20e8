//! A whole data set, explained and scored: the runner, its files, and what is
//! read from them.

mod columns;
pub mod data;
pub mod diff;
mod error;
pub mod evaluation;
mod examine;
pub mod gather;
mod inquiry;
mod judge;
pub mod manifest;
pub mod nearest;
mod plan;
mod pool;
pub mod read;
pub mod record;
mod runner;
pub mod shard;
mod tables;
pub mod verdict;
pub mod view;

pub use error::RunError;
pub use runner::{Ended, Observe, Part, Quiet, Runner};
pub use tables::{flag_word, verdict_word};

#[cfg(test)]
mod tests;
