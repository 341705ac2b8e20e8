//! Foveola on microcontrollers.
//!
//! * [`fits`]: whether a model and a method fit, when the firmware is built.
//! * [`decimal`]: numbers in text.
//! * [`job`], [`method`]: what a board is asked, as text; plain parsing, also for hosts.
//! * [`heat_map`]: a heat map over a picture as an embedded-graphics `Drawable`;
//!   [`canvas`]: memory to draw on.
//! * [`log`]: the audit log in flash, whole after every cut of power.
//! * [`panel`]: a map with its class and verdict, as a small display shows it.
//! * `board`: the boards; each one is a counter of instructions, sizes, and
//!   maybe a panel. Only for targets without an operating system.
//! * `program`: reads a job, runs it in a pool of memory, writes the answer.
//!   Only there as well.
#![cfg_attr(not(test), no_std)]

pub mod canvas;
pub mod decimal;
pub mod fits;
pub mod heat_map;
pub mod job;
pub mod log;
pub mod method;
pub mod panel;

#[cfg(target_os = "none")]
pub mod board;
#[cfg(target_os = "none")]
pub mod program;
