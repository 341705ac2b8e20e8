//! Devices by name.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::cable::{Stream, tcp};
use super::{Cable, LinkError, Qemu, Remote};
use crate::crosscheck::Device;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// `qemu:BOARD`: an emulated board, started for this.
    Qemu(Device),
    /// `tcp:HOST:PORT`: a socket that stands for the cable.
    Tcp(String),
    /// `unix:PATH`: as well.
    Unix(PathBuf),
    /// The name of a serial port.
    Serial(String),
}

impl FromStr for DeviceName {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.starts_with("qemu:") {
            let unknown = |e: crate::crosscheck::CrosscheckError| LinkError::Board(e.to_string());
            return text.parse().map(Self::Qemu).map_err(unknown);
        }
        if let Some(address) = text.strip_prefix("tcp:") {
            return Ok(Self::Tcp(address.to_owned()));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') || text.starts_with("COM") {
            return Ok(Self::Serial(text.to_owned()));
        }
        Err(LinkError::Name {
            name: text.to_owned(),
            hint: String::from(
                "qemu:BOARD, a serial port such as /dev/ttyACM0, tcp:HOST:PORT or unix:PATH",
            ),
        })
    }
}

/// A device, and the emulator that it lives in.
#[derive(Debug)]
pub struct Opened {
    /// The device.
    pub remote: Remote,
    // Dropped after the device.
    _qemu: Option<Qemu>,
}

/// Opens a device. `baud` is for serial ports, `firmware` is the folder of the
/// firmware's sources, for emulated boards.
///
/// # Errors
/// A device that is not there or does not answer.
pub fn open(name: &DeviceName, baud: u32, firmware: &Path) -> Result<Opened, LinkError> {
    open_in(name, baud, firmware, None)
}

/// As [`open`]; an emulated board sees `folder` and keeps its flash there.
///
/// # Errors
/// As [`open`].
pub fn open_in(
    name: &DeviceName,
    baud: u32,
    firmware: &Path,
    folder: Option<&Path>,
) -> Result<Opened, LinkError> {
    let mut qemu = None;
    let cable: Box<dyn Cable + Send> = match name {
        DeviceName::Qemu(device) => {
            let (board, line) = match folder {
                Some(folder) => Qemu::start_in(device, firmware, folder)?,
                None => Qemu::start(device, firmware)?,
            };
            qemu = Some(board);
            tcp(line)?
        }
        DeviceName::Tcp(address) => tcp(TcpStream::connect(address)?)?,
        DeviceName::Unix(path) => unix(path)?,
        DeviceName::Serial(port) => serial(port, baud)?,
    };
    Ok(Opened {
        remote: Remote::open(cable)?,
        _qemu: qemu,
    })
}

#[cfg(feature = "serial")]
fn serial(port: &str, baud: u32) -> Result<Box<dyn Cable + Send>, LinkError> {
    let builder = serialport::new(port, baud).timeout(std::time::Duration::from_millis(10));
    let failed = |source| LinkError::Port {
        port: port.to_owned(),
        source,
    };
    Ok(Box::new(Stream::serial(builder.open().map_err(failed)?)))
}

#[cfg(not(feature = "serial"))]
fn serial(port: &str, _baud: u32) -> Result<Box<dyn Cable + Send>, LinkError> {
    Err(LinkError::Name {
        name: port.to_owned(),
        hint: String::from("this program was built without serial ports, the feature `serial`"),
    })
}

#[cfg(unix)]
fn unix(path: &Path) -> Result<Box<dyn Cable + Send>, LinkError> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    Ok(Box::new(Stream::unix(stream)))
}

#[cfg(not(unix))]
fn unix(_path: &Path) -> Result<Box<dyn Cable + Send>, LinkError> {
    Err(LinkError::Line(std::io::ErrorKind::Unsupported.into()))
}
