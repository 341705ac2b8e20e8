//! The link between a device and a host: frames, messages, and the device's
//! side of the conversation. `host/docs/link.md` specifies it with bytes.
//!
//! * [`frame`]: bytes on the line, and how damage is found.
//! * [`message`]: requests and replies, in postcard; [`fault`]: what went wrong.
//! * [`server`]: a device that answers. It reads bytes, writes bytes and works;
//!   what it stands on is a [`server::Platform`].
//!
//! The host asks, the device replies; the device never speaks first. A request
//! has a sequence number; the same number again gets the same reply again and
//! has no effect of its own, so a host that hears nothing simply repeats itself.

mod call;
pub mod fault;
pub mod frame;
pub mod message;
pub mod question;
pub mod server;
mod text;

/// Version of the protocol. Hosts and devices of different versions do not talk.
pub const VERSION: u16 = 1;

/// Most bytes of a file, picture or result in one message.
pub const CHUNK: usize = 448;
