//! The `foveola` program.
fn main() {}
