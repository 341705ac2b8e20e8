//! Why a job ended early.

use core::fmt;

use foveola_core::Error;

use crate::job::BadLine;

/// What a name in a failure keeps.
pub type Name = heapless::String<32>;

/// Why a job ended early.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The network or a method.
    Core(Error),
    /// A line of the job.
    Line(BadLine),
    /// A method of the job that cannot be read.
    Method(usize),
    /// A method of the job that was left out of this board's program.
    NoRoom(usize),
    /// A job that is not text.
    Text,
    /// A link on a board without one.
    NoLink,
    /// A file that cannot be read or written.
    File(Name),
    /// A file that holds more or fewer bytes than it should.
    Length(Name, usize),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<BadLine> for Failure {
    fn from(line: BadLine) -> Self {
        Self::Line(line)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::Line(BadLine { line, wants }) => {
                write!(f, "line {line} of the job is wrong: {wants}")
            }
            Self::Method(number) => write!(f, "method {number} of the job is wrong"),
            Self::NoRoom(number) => {
                write!(f, "this board's program has no room for method {number}")
            }
            Self::Text => write!(f, "the job or batch is not UTF-8"),
            Self::NoLink => write!(f, "this board has no link"),
            Self::File(name) => write!(f, "file {name} cannot be read or written"),
            Self::Length(name, bytes) => write!(f, "file {name} has {bytes} bytes"),
        }
    }
}

impl defmt::Format for Failure {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Core(error) => defmt::write!(f, "{}", error),
            Self::Line(line) => defmt::write!(f, "job: {}", line),
            Self::Method(number) => defmt::write!(f, "job: method {} is wrong", number),
            Self::NoRoom(number) => defmt::write!(f, "job: no room for method {}", number),
            Self::Text => defmt::write!(f, "job or batch: not UTF-8"),
            Self::NoLink => defmt::write!(f, "no link on this board"),
            Self::File(name) => defmt::write!(f, "file {=str} failed", name.as_str()),
            Self::Length(name, bytes) => {
                defmt::write!(f, "file {=str} has {} bytes", name.as_str(), bytes);
            }
        }
    }
}
