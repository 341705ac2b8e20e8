//! Networks on an accelerator: forward passes alone, so what explains them are
//! the methods that ask a black box (RISE, HOC, Occlusion).
//!
//! * [`program`]: a network compiled for an NPU, read in place from a `.fvu` file.
//! * [`ethos_u`]: the driver of Arm's Ethos-U55 and Ethos-U65 over a trait of
//!   register accesses, so that it runs on hardware and against a mock.
//! * [`Accelerated`]: both together as a [`crate::Classifier`].

mod accelerated;
pub mod ethos_u;
pub mod program;

pub use accelerated::Accelerated;
