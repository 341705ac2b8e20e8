//! What several of the benchmarks need.

pub mod elf;
pub mod resnet;

/// What a benchmark gives, or why it cannot.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The middle of what was measured; NaN of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
