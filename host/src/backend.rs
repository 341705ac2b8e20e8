//! What runs a network: each backend is a `Classifier`.

pub mod core;
pub mod tract;
