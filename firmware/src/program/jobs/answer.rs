//! `answer.txt`, line by line.

use core::fmt::{self, Write as _};

use foveola_core::Picture;
use foveola_core::explain::Outcome;
use foveola_core::net::model::Model;
use semihosting::fs::File;
use semihosting::io::Write as _;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use super::files::Folder;
use crate::board::image;
use crate::program::failure::{Failure, Name};

/// Longest line, in bytes; a longer one is cut.
const LINE: usize = 320;

/// The file.
pub struct Answer(File);

/// A line under work.
struct Line {
    text: [u8; LINE],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            // The last place is for the end of the line.
            if let Some(place) = self.text.get_mut(self.length)
                && self.length + 1 < LINE
            {
                *place = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

fn lost() -> Failure {
    Failure::File(Name::try_from("answer.txt").unwrap_or_default())
}

impl Answer {
    pub fn create(folder: Folder<'_>) -> Result<Self, Failure> {
        folder.create(format_args!("answer.txt"), |output| Ok(Self(output.into())))
    }

    /// One line.
    pub fn line(&mut self, text: fmt::Arguments<'_>) -> Result<(), Failure> {
        let mut line = Line {
            text: [b'\n'; LINE],
            length: 0,
        };
        line.write_fmt(text).map_err(|_| lost())?;
        let bytes = line.text.get(..=line.length).unwrap_or_default();
        self.0.write_all(bytes).map_err(|_| lost())
    }

    /// What the model is.
    pub fn model(&mut self, model: &Model<'_>) -> Result<(), Failure> {
        self.line(format_args!("model={}", Hexadecimal(model.digest())))?;
        let shape = model.input();
        self.line(format_args!("input={}/{}/{}", shape.h, shape.w, shape.c))?;
        self.line(format_args!("classes={}", model.classes()))?;
        self.line(format_args!("nodes={}", model.node_count()))
    }

    /// What the program is.
    #[inline(never)]
    pub fn program(&mut self) -> Result<(), Failure> {
        self.line(format_args!("firmware={}", env!("CARGO_PKG_VERSION")))?;
        let digest = image::digest();
        self.line(format_args!("firmware_sha256={}", Hexadecimal(&digest)))
    }

    /// The picture as it lies in memory.
    #[inline(never)]
    pub fn picture(&mut self, picture: &Picture<'_>) -> Result<(), Failure> {
        let digest = match *picture {
            Picture::Pixels { data, .. } => Sha256::digest(data),
            Picture::Tensor { data, .. } => Sha256::digest(data.as_bytes()),
        };
        self.line(format_args!("picture_sha256={}", Hexadecimal(&digest)))
    }

    /// What became of a map.
    pub fn outcome(&mut self, number: usize, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::Ok => self.line(format_args!("outcome.{number}=ok")),
            Outcome::Flat => self.line(format_args!("outcome.{number}=flat")),
            Outcome::Undefined(why) => self.line(format_args!("outcome.{number}=undefined {why}")),
            Outcome::Partial { done, total } => {
                self.line(format_args!("outcome.{number}=partial {done} {total}"))
            }
        }
    }

    /// The last lines of a job that failed. If they cannot be written, the log has them.
    pub fn failed(&mut self, failure: &Failure, instructions: u64) {
        let _ = self.line(format_args!("ended={instructions}"));
        let _ = self.line(format_args!("error={failure}"));
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
