//! What runs a network: each backend is a `Classifier`.

pub mod core;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod tract;
