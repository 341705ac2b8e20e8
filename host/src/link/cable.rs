//! What carries bytes: a serial port, a socket, or a test.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What carries bytes both ways.
pub trait Cable {
    /// Sends bytes.
    ///
    /// # Errors
    /// A line that is gone.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes, at most so long; answers how many came.
    ///
    /// # Errors
    /// A line that is gone.
    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize>;

    /// The time since some moment, always the same one.
    fn now(&mut self) -> Duration;
}

impl Cable for Box<dyn Cable + Send> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).send(bytes)
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        (**self).receive(into, patience)
    }

    fn now(&mut self) -> Duration {
        (**self).now()
    }
}

/// A socket as a cable.
///
/// # Errors
/// A socket that is gone.
pub fn tcp(stream: TcpStream) -> io::Result<Box<dyn Cable + Send>> {
    Ok(Box::new(Stream::tcp(stream)?))
}

/// A stream whose reads end after a while.
pub(super) struct Stream<S> {
    stream: S,
    begun: Instant,
    limit: fn(&mut S, Duration) -> io::Result<()>,
}

impl Stream<TcpStream> {
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            begun: Instant::now(),
            limit: |stream, patience| stream.set_read_timeout(Some(patience)),
        })
    }
}

#[cfg(unix)]
impl Stream<std::os::unix::net::UnixStream> {
    pub(super) fn unix(stream: std::os::unix::net::UnixStream) -> Self {
        Self {
            stream,
            begun: Instant::now(),
            limit: |stream, patience| stream.set_read_timeout(Some(patience)),
        }
    }
}

#[cfg(feature = "serial")]
impl Stream<Box<dyn serialport::SerialPort>> {
    pub(super) fn serial(stream: Box<dyn serialport::SerialPort>) -> Self {
        Self {
            stream,
            begun: Instant::now(),
            limit: |stream, patience| stream.set_timeout(patience).map_err(io::Error::from),
        }
    }
}

impl<S: Read + Write> Cable for Stream<S> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        // A patience of 0 would mean for ever.
        (self.limit)(&mut self.stream, patience.max(Duration::from_millis(1)))?;
        match self.stream.read(into) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(count),
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(0),
                _ => Err(e),
            },
        }
    }

    fn now(&mut self) -> Duration {
        self.begun.elapsed()
    }
}
