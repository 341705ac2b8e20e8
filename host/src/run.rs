//! A whole data set, explained and scored: the runner, its files, and what is
//! read from them.

pub mod view;
