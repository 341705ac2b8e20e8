//! What several of the benchmarks need.

pub mod elf;
