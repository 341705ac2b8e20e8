//! A whole data set, explained and scored: the runner, its files, and what is
//! read from them.

mod columns;
pub mod data;
mod error;
pub mod manifest;
pub mod nearest;
pub mod read;
pub mod record;
pub mod shard;
mod tables;
pub mod verdict;
pub mod view;

pub use error::RunError;
pub use tables::{flag_word, verdict_word};

#[cfg(test)]
mod tests;
