//! Foveola's portable core: it runs convolutional networks forward and
//! backward and asks them what they looked at, in buffers of the caller,
//! without std, heap, recursion or panics on data.
//!
//! The floors, from the ground up:
//!
//! * [`tensor`], [`mask`], [`rng`], [`error`], [`picture`], [`classifier`]:
//!   the words of the field. A [`classifier::Classifier`] is whatever turns
//!   a masked picture into scores.
//! * [`net`]: a network read in place from a `.fov` file, run in an arena.
//!   Its [`net::session::Session`] is a `Classifier`.
//! * [`explain`]: one file per method; each asks a `Classifier` questions and
//!   fills a map.
//!
//! `net` and `explain` never import each other; they meet in `classifier`.
#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable
)]

#[cfg(test)]
extern crate std;

pub mod classifier;
pub mod error;
pub mod explain;
pub mod mask;
pub mod net;
pub mod picture;
pub mod rng;
pub mod tensor;

pub use classifier::{At, Classifier, Layers, Rule, Score};
pub use error::Error;
pub use mask::{Fill, Mask, Masked, Window};
pub use picture::{Normalisation, Picture};
pub use tensor::{Shape, TensorId};
