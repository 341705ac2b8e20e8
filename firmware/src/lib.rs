//! Foveola on microcontrollers.
//!
//! * [`fits`]: whether a model and a method fit, when the firmware is built.
//! * [`decimal`]: numbers in text.
//! * [`job`], [`method`]: what a board is asked, as text; plain parsing, also for hosts.
//! * [`heat_map`]: a heat map over a picture as an embedded-graphics `Drawable`;
//!   [`canvas`]: memory to draw on.
//! * [`flash`]: flash that several share; [`log`]: the audit log in it, whole
//!   after every cut of power; [`store`]: the models in it, of which one runs;
//!   [`enrolment`]: who the device is; [`witness`]: all of them together.
//! * [`panel`]: a map with its class and verdict, as a small display shows it.
//! * `board`: what a board is (a counter, sizes, a UART, maybe a panel), and those
//!   that QEMU emulates. Only for targets without an operating system.
//! * `program`: answers jobs in files or questions on the link, in a pool of memory.
//!   Only there as well.
#![cfg_attr(not(test), no_std)]

pub mod canvas;
pub mod decimal;
pub mod enrolment;
pub mod fits;
pub mod flash;
pub mod heat_map;
pub mod job;
pub mod log;
pub mod method;
pub mod panel;
pub mod store;
pub mod witness;

#[cfg(target_os = "none")]
pub mod board;
#[cfg(target_os = "none")]
pub mod program;
