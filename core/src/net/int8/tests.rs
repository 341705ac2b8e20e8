//! The kernels against TFLite's own answers, against plain loops in i64, and
//! against real arithmetic in f64.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop"
)]

mod gradients;
mod hostile;
pub(in crate::net) mod made;
mod real;
mod rows_back;
mod rules;
mod sums;
mod tflite;
