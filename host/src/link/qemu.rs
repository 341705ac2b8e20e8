//! A board in QEMU, its UART on a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::LinkError;
use crate::crosscheck::Device;

/// Seconds after which a forgotten board ends, unless `FOVEOLA_SECONDS` says otherwise.
const LIFETIME: &str = "3600";

/// The board that has no link.
const WITHOUT: &str = "lm3s6965evb";

/// A running board. It ends when this is dropped.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    monitor: Option<TcpStream>,
    folder: PathBuf,
    /// Goes with the board.
    _temporary: Option<TempDir>,
}

fn board_error(reason: impl ToString) -> LinkError {
    LinkError::Board(reason.to_string())
}

impl Qemu {
    /// Starts the board's program, built where it is not there yet; also
    /// answers the line to its UART.
    ///
    /// # Errors
    /// Firmware that does not build, or an emulator that is not there.
    pub fn start(device: &Device, firmware: &Path) -> Result<(Self, TcpStream), LinkError> {
        let made = tempfile::Builder::new().prefix("foveola-link-").tempdir();
        let folder = made.map_err(board_error)?;
        let (mut qemu, line) = Self::start_in(device, firmware, folder.path())?;
        qemu._temporary = Some(folder);
        Ok((qemu, line))
    }

    /// As [`Qemu::start`], in a folder that stays: what the board's flash keeps
    /// is there for the next start, and `job.txt` is written over.
    ///
    /// # Errors
    /// As [`Qemu::start`].
    pub fn start_in(
        device: &Device,
        firmware: &Path,
        folder: &Path,
    ) -> Result<(Self, TcpStream), LinkError> {
        if device.board == WITHOUT {
            return Err(board_error("its flash has no room for the link"));
        }
        let script = firmware.join("run.sh");
        if !script.is_file() {
            return Err(board_error(format!("{} is not there", script.display())));
        }
        std::fs::create_dir_all(folder).map_err(board_error)?;
        std::fs::write(folder.join("job.txt"), "link=1\n").map_err(board_error)?;
        let (serial, serial_at) = listen()?;
        let (monitor, monitor_at) = listen()?;
        let mut command = Command::new("sh");
        command.arg(&script).arg(device.board).arg(folder);
        if std::env::var_os("FOVEOLA_SECONDS").is_none() {
            command.env("FOVEOLA_SECONDS", LIFETIME);
        }
        let child = command
            .env("FOVEOLA_SERIAL", serial_at)
            .env("FOVEOLA_MONITOR", monitor_at)
            .env_remove("FOVEOLA_MODEL")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(board_error)?;
        let mut qemu = Self {
            child,
            monitor: None,
            folder: folder.to_path_buf(),
            _temporary: None,
        };
        let line = qemu.accept(&serial)?;
        qemu.monitor = Some(qemu.accept(&monitor)?);
        Ok((qemu, line))
    }

    /// The folder that the board sees; `frame.bin` stands for its camera, or
    /// `frame.0.bin` and so on for one picture each, and `flash.bin` is its flash.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for the emulator to connect.
    fn accept(&mut self, listener: &TcpListener) -> Result<TcpStream, LinkError> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(board_error)?;
                    return Ok(stream);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(board_error(e)),
            }
            if let Some(status) = self.child.try_wait().map_err(board_error)? {
                let mut said = String::new();
                if let Some(errors) = &mut self.child.stderr {
                    let _ = errors.read_to_string(&mut said);
                }
                let last: Vec<&str> = said.lines().rev().take(3).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                return Err(board_error(format!("{status}: {}", last.join("; "))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A socket of this machine, and what QEMU calls it.
fn listen() -> Result<(TcpListener, String), LinkError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(board_error)?;
    listener.set_nonblocking(true).map_err(board_error)?;
    let port = listener.local_addr().map_err(board_error)?.port();
    Ok((listener, format!("tcp:127.0.0.1:{port},nodelay=on")))
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // The script waits for QEMU, so QEMU has to be told.
        let told = self
            .monitor
            .as_mut()
            .map(|monitor| monitor.write_all(b"quit\n"));
        if !matches!(told, Some(Ok(()))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
