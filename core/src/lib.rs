//! Foveola's portable core: it runs convolutional networks forward and
//! backward and asks them what they looked at, in buffers of the caller,
//! without std, heap, recursion or panics on data.
//!
//! The floors, from the ground up:
//!
//! * [`tensor`], [`mask`], [`rng`], [`error`], [`picture`], [`relevance`], [`classifier`]:
//!   the words of the field. A [`classifier::Classifier`] is whatever turns
//!   a masked picture into scores.
//! * [`segment`]: pictures cut into pieces that are kept or hidden as a whole.
//! * [`net`]: a network read in place from a `.fov` file, run in an arena.
//!   Its [`net::session::Session`] is a `Classifier`.
//! * [`explain`]: one file per method; each asks a `Classifier` questions and
//!   fills a map.
//! * [`uncertainty`]: how much the scores vary when parts of the network drop out.
//! * [`metric`]: one file per metric; each scores a map.
//! * [`accelerator`]: a network compiled for an NPU, as a black box.
//! * [`audit`]: what was asked and answered, in a log that cannot be changed unnoticed.
//! * [`ask`]: methods by name, made ready for a model and a picture.
//! * [`wire`]: all of it over a serial line: a device that answers, the words
//!   that it understands.
//!
//! `net` and `explain` never import each other; they meet in `classifier`.
//!
//! # A model in flash, a static arena
//!
//! The model file is part of the program and states how much memory it needs,
//! so the arena's size is a constant. (A microcontroller would hold the arena
//! in a `static_cell`; here a `Mutex` does.)
//!
//! ```
//! use std::sync::Mutex;
//!
//! use foveola_core::explain::{GuidedBackprop, Method, Outcome, Query, Silent};
//! use foveola_core::net::arch::Isa;
//! use foveola_core::net::format::{Aligned, TO_INPUT, arena_len, pass};
//! use foveola_core::net::model::Model;
//! use foveola_core::net::session::Session;
//! use foveola_core::{Classifier, Error, Picture};
//!
//! const FILE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
//!     env!("CARGO_MANIFEST_DIR"),
//!     "/fixtures/small.fov"
//! )));
//! const ARENA_LEN: usize = match arena_len(&FILE.0, pass::BACKWARD, TO_INPUT) {
//!     Some(len) => len,
//!     None => panic!("the file has no plan for gradients"),
//! };
//! static ARENA: Mutex<Aligned<[u8; ARENA_LEN]>> = Mutex::new(Aligned([0; ARENA_LEN]));
//! static PIXELS: [u8; 7 * 6 * 3] = [90; 7 * 6 * 3];
//!
//! fn main() -> Result<(), Error> {
//!     let model = Model::from_bytes(&FILE.0)?;
//!     let mut arena = ARENA.lock().expect("no other user");
//!     let mut session = Session::new(&model, &mut arena.0, Isa::portable())?;
//!     let normalisation = model.normalisation();
//!     let picture = Picture::Pixels {
//!         shape: session.input(),
//!         data: &PIXELS,
//!         normalisation: &normalisation,
//!     };
//!     let query = Query { picture, targets: &[1], score: None, seed: 0 };
//!     let (mut map, mut outcome) = ([0.0; 7 * 6 * 3], [Outcome::Flat]);
//!     GuidedBackprop.explain(&mut session, &query, &mut map, &mut outcome, &mut [], &mut Silent)?;
//!     assert_eq!(outcome, [Outcome::Ok]);
//!     assert_eq!(model.label(1), Some("steel"));
//!     Ok(())
//! }
//! ```
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

pub mod accelerator;
pub mod ask;
pub mod audit;
pub mod classifier;
pub mod error;
pub mod explain;
pub mod mask;
pub mod metric;
pub mod net;
pub mod picture;
pub mod quasi;
pub mod relevance;
pub mod rng;
pub mod segment;
pub mod tensor;
pub mod uncertainty;
pub mod wire;

pub use classifier::{At, Classifier, Dropout, Layers, Rule, Saturation, Score};
pub use error::Error;
pub use mask::{Fill, Mask, Masked, Window};
pub use picture::{Normalisation, Picture};
pub use tensor::{Shape, TensorId, Values};
