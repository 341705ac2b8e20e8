//! A device at the other end of a line: its models, pictures and answers.
//!
//! `docs/link.md` specifies the line. [`open`] finds a device by name;
//! [`Remote`] is a [`Classifier`](foveola_core::Classifier) that asks it, and
//! can have whole methods run there.

mod cable;
mod call;
mod device;
mod qemu;
mod remote;
mod session;

pub use cable::{Cable, tcp};
pub use call::{call, tensor_named};
pub use device::{DeviceName, Opened, open, open_in};
pub use qemu::Qemu;
pub use remote::{Facts, Finding, Keeps, Remote, Watch};
pub use session::{PATIENCE, REPEAT, Session};

use foveola_core::wire::fault::Fault;

/// Why a device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The line.
    #[error("the line to the device failed: {0}")]
    Line(#[from] std::io::Error),
    /// The serial port.
    #[cfg(feature = "serial")]
    #[error("cannot open {port}: {source}")]
    Port {
        /// Its name.
        port: String,
        /// What the system says.
        source: serialport::Error,
    },
    /// Nobody answers.
    #[error("the device has not answered for {seconds} s")]
    Silent {
        /// How long it was asked.
        seconds: f32,
    },
    /// The device speaks another version.
    #[error("the device speaks version {device} of the protocol, this program version {host}")]
    Version {
        /// The device's.
        device: u16,
        /// This program's.
        host: u16,
    },
    /// The session is gone.
    #[error("the device was restarted or taken over by another program")]
    Restarted,
    /// What the device says.
    #[error("the device says: {0}")]
    Refused(String),
    /// What `core` says on the device.
    #[error("the device says: {0}")]
    Core(foveola_core::Error),
    /// A reply to another question.
    #[error("the device answered something that was not asked")]
    Unexpected,
    /// A method that cannot be sent.
    #[error("{method} cannot run on a device: {reason}")]
    Method {
        /// The method.
        method: String,
        /// Why not.
        reason: &'static str,
    },
    /// A name that stands for no device.
    #[error("there is no device `{name}`: {hint}")]
    Name {
        /// The name.
        name: String,
        /// What there is.
        hint: String,
    },
    /// The emulator.
    #[error("the emulated board did not start: {0}")]
    Board(String),
    /// It was stopped before anything was there to keep.
    #[error("stopped")]
    Stopped,
}

impl LinkError {
    /// Whether the line is to blame, and not what the device found.
    pub const fn is_line(&self) -> bool {
        !matches!(
            self,
            Self::Refused(_) | Self::Core(_) | Self::Method { .. } | Self::Stopped
        )
    }
}

impl From<Fault<'_>> for LinkError {
    fn from(fault: Fault<'_>) -> Self {
        if let Some(error) = fault.error() {
            return Self::Core(error);
        }
        let text = match fault {
            Fault::Version { device } => {
                let host = foveola_core::wire::VERSION;
                return Self::Version { device, host };
            }
            Fault::Session => return Self::Restarted,
            Fault::Core { text, .. } => format!("parameter out of range: {text}"),
            Fault::Malformed => "the request cannot be read".to_owned(),
            Fault::Busy => "it is busy with something else".to_owned(),
            Fault::Unsupported => "the board has no such thing".to_owned(),
            Fault::TooLarge { room } => format!("it has room for {room} bytes only"),
            Fault::Incomplete { have } => format!("only {have} bytes of it have arrived"),
            Fault::OtherModel => "the model that came is not the one announced".to_owned(),
            Fault::NoModel => "it has no model there".to_owned(),
            Fault::NoResult => "it has no such result".to_owned(),
            Fault::SelfTest => {
                "the self-test failed: scores depend on what was in memory before".to_owned()
            }
            Fault::Denied(reason) => reason.to_owned(),
        };
        Self::Refused(text)
    }
}
