//! The C seam: RISE, HOC and Occlusion for an inference engine of one's own.
//! `include/foveola.h` documents every type and function for its callers; the
//! types of [`abi`] are the same structures seen from here.
//!
//! Nothing of a caller is trusted but its pointers, and these only to lead to
//! as much memory as the header says: null, misaligned and overlapping ones are
//! refused, as are numbers out of range. No panic can be reached: the panic
//! handler calls a function that does not exist, so a program that could panic
//! does not link.
//!
//! `cargo build --release -p foveola-c --target thumbv7em-none-eabihf` makes
//! `target/thumbv7em-none-eabihf/release/libfoveola.a`. Numbers of floating
//! point only pass through memory, so `thumbv7em-none-eabi`, `thumbv6m-none-eabi`
//! or a RISC-V target serve a firmware of another ABI in the same way.
#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable
)]

mod abi;
mod answer;
mod call;
mod engine;
mod memory;
mod methods;
#[cfg(target_os = "none")]
mod panic;
