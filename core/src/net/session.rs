//! Runs a model in an arena.
