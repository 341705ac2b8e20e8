//! The network: a model file read in place, and the session that runs it.
//!
//! * [`op`]: the operators as values.
//! * [`ops`]: what they compute, forward and backward; one file an operator family.
//! * [`relevance`]: the rules of LRP, layer by layer.
//! * [`quant`]: what a stored int8 means. [`int8`]: the operators on such numbers.
//! * [`dropout`]: where elements are dropped at random, and which.
//! * [`arch`]: which instruction sets may be used, and the only `unsafe` of the crate.
//! * [`format`](mod@format): the `.fov` model file, specified and checked.
//! * [`model`]: a checked file. [`session`]: runs it in an arena.

pub mod arch;
pub mod dropout;
pub mod format;
pub mod int8;
pub mod model;
pub mod op;
pub mod ops;
pub mod quant;
#[cfg(foveola_relevance)]
pub mod relevance;
pub mod session;
