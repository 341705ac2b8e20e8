//! A network compiled for an Ethos-U: what `foveola accelerate` writes.
//!
//! # The file (`.fvu`)
//! Little endian. The file lies in memory on a multiple of 16, as do its two
//! sections in it, because the NPU reads them in place.
//!
//! | at | type | what |
//! |---|---|---|
//! | 0 | 4 bytes | `FVNU` |
//! | 4 | u16 | version, 1 |
//! | 6 | u16 | bytes of this header, 128 |
//! | 8 | u32 | bytes of the file |
//! | 12 | u32 | CRC-32C of all bytes from 16 to the end |
//! | 16 | u32 | CONFIG register of the NPU that it is compiled for |
//! | 20 | u32 | ID register: architecture 1.0.6 is 1 << 28, 0 << 20, 6 << 16 |
//! | 24, 28 | u32 | offset and bytes of the command stream |
//! | 32, 36 | u32 | offset and bytes of the weights: region 0 |
//! | 40 | u32 | bytes of the scratch, region 1: inputs, outputs and all between |
//! | 44 | u32 | bytes of the fast scratch, region 2; 0: region 2 is the scratch |
//! | 48, 52 | u32 | offset of the input and of the output in the scratch |
//! | 56 | 4 x u32 | height, width, channels of the input; classes |
//! | 72 | f32, i32 | scale and zero point that store the model's numbers as the input, int8 |
//! | 80 | f32, i32 | scale and zero point of the output, int8 |
//! | 88 | 4 x f32, 4 x f32 | mean and scale of the preprocessing card |
//! | 120 | u32 | what the output is: [`Scores`] |
//! | 124 | u32 | 0 |
//!
//! The command stream is the program of the NPU as `vela` made it, without the
//! wrapping of TFLite: 32-bit words, the last one stops the NPU. It holds
//! addresses in the regions that nobody checks here: a `.fvu` file is as
//! trustworthy as its author, and the checksum finds damage alone.

use crate::net::model::crc32c;
use crate::net::quant::Quantisation;
use crate::picture::{MAX_CHANNELS, Normalisation};
use crate::tensor::Shape;

/// First bytes of a file.
pub const MAGIC: [u8; 4] = *b"FVNU";
/// Version of the format.
pub const VERSION: u16 = 1;
/// Bytes of the header.
pub const HEADER: usize = 128;
/// What the NPU's addresses are multiples of.
pub const ALIGNMENT: usize = 16;

/// Why a file is not a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// It ends early.
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// It starts with other bytes.
    BadMagic,
    /// Another version of the format.
    BadVersion {
        /// Version found.
        found: u16,
    },
    /// More bytes than it says.
    BadLength,
    /// It is damaged.
    BadChecksum,
    /// It does not lie on a multiple of 16.
    Misaligned {
        /// Address modulo 16.
        offset: usize,
    },
    /// A section lies outside the file, on no multiple of 16, or is empty.
    BadSection,
    /// The command stream is cut inside a command, or does not end with a stop.
    BadCommands,
    /// The input or the output does not lie in the scratch.
    BadShape,
    /// A scale or zero point out of range.
    BadQuantisation,
    /// An unknown kind of output, or numbers where there are none.
    BadScores,
}

impl core::error::Error for ProgramError {}

impl core::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated { need, have } => {
                write!(f, "the file ends early: {need} bytes needed, {have} there")
            }
            Self::BadMagic => write!(f, "not a program for an accelerator"),
            Self::BadVersion { found } => write!(f, "version {found} is not supported"),
            Self::BadLength => write!(f, "the file is longer than it says"),
            Self::BadChecksum => write!(f, "the file is corrupt"),
            Self::Misaligned { offset } => write!(
                f,
                "the file starts {offset} past a multiple of 16; align it to 16"
            ),
            Self::BadSection => write!(f, "a section is malformed"),
            Self::BadCommands => write!(f, "the command stream is malformed"),
            Self::BadShape => write!(f, "input or output do not lie in the scratch"),
            Self::BadQuantisation => write!(f, "a scale or zero point is out of range"),
            Self::BadScores => write!(f, "the kind of output is not known"),
        }
    }
}

/// What a network's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Probabilities; the logits stay inside the NPU.
    Probabilities = 0,
    /// Logits; softmax makes probabilities of them.
    Softmax = 1,
    /// Logits; the sigmoid of each is a probability.
    Sigmoid = 2,
    /// Scores that are both.
    Plain = 3,
}

/// All numbers of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// CONFIG register of the NPU that it is compiled for.
    pub config: u32,
    /// ID register, of which the architecture counts.
    pub id: u32,
    /// Bytes of region 1.
    pub scratch: usize,
    /// Bytes of region 2; 0: region 2 is region 1.
    pub fast: usize,
    /// Where in the scratch the input begins.
    pub input_at: usize,
    /// Where in the scratch the output begins.
    pub output_at: usize,
    /// Shape of the input, HWC.
    pub input: Shape,
    /// Elements of the output.
    pub classes: usize,
    /// From the model's numbers to the stored input.
    pub input_as: Quantisation,
    /// From the stored output to numbers.
    pub output_as: Quantisation,
    /// From pixels to the model's numbers.
    pub normalisation: Normalisation,
    /// What the output is.
    pub scores: Scores,
}

/// A checked program, in place.
#[derive(Clone, Copy, Debug)]
pub struct Program<'f> {
    facts: Facts,
    commands: &'f [u8],
    weights: &'f [u8],
}

impl<'f> Program<'f> {
    /// Checks a file.
    ///
    /// # Errors
    /// See [`ProgramError`].
    pub fn from_bytes(file: &'f [u8]) -> Result<Self, ProgramError> {
        let have = file.len();
        let need = HEADER;
        let header = file.first_chunk::<HEADER>();
        let header = Header(header.ok_or(ProgramError::Truncated { need, have })?);
        header.check(file)?;
        let facts = header.facts()?;
        let commands = section(file, header.word(24), header.word(28))?;
        let weights = section(file, header.word(32), header.word(36))?;
        if !is_whole(commands) {
            return Err(ProgramError::BadCommands);
        }
        Ok(Self {
            facts,
            commands,
            weights,
        })
    }

    /// Its numbers.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The command stream, on a multiple of 16.
    pub const fn commands(&self) -> &'f [u8] {
        self.commands
    }

    /// Region 0, on a multiple of 16.
    pub const fn weights(&self) -> &'f [u8] {
        self.weights
    }
}

/// A part of the file on a multiple of 16.
fn section(file: &[u8], at: u32, length: u32) -> Result<&[u8], ProgramError> {
    let (at, length) = (at as usize, length as usize);
    let found = file.get(at..).and_then(|rest| rest.get(..length));
    found
        .filter(|bytes| !bytes.is_empty() && at >= HEADER && at.is_multiple_of(ALIGNMENT))
        .ok_or(ProgramError::BadSection)
}

/// The command that stops the NPU and raises its interrupt.
const STOP: u32 = 0xFFFF_0000;

/// Whether a stream is whole commands, of which the last, and no other, stops.
/// A command is a word; bits 14 and 15 say how many more words belong to it
/// (0 or 1), bits 0 to 9 which command it is, of which 0 without more is a stop.
fn is_whole(stream: &[u8]) -> bool {
    let (words, rest) = stream.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
    while let Some(word) = words.next() {
        match word >> 14 & 3 {
            0 if word & 0x3FF == 0 => {
                return word == STOP && words.next().is_none() && rest.is_empty();
            }
            0 => {}
            1 if words.next().is_some() => {}
            _ => return false,
        }
    }
    false
}

struct Header<'f>(&'f [u8; HEADER]);

impl Header<'_> {
    fn chunk<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().unwrap_or([0; N])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.chunk(at))
    }

    fn size(&self, at: usize) -> usize {
        self.word(at) as usize
    }

    fn real(&self, at: usize) -> f32 {
        f32::from_bits(self.word(at))
    }

    /// Magic, version, length, checksum, alignment.
    fn check(&self, file: &[u8]) -> Result<(), ProgramError> {
        if !self.0.starts_with(&MAGIC) {
            return Err(ProgramError::BadMagic);
        }
        let found = u16::from_le_bytes(self.chunk(4));
        if found != VERSION || u16::from_le_bytes(self.chunk(6)) != HEADER as u16 {
            return Err(ProgramError::BadVersion { found });
        }
        let (need, have) = (self.size(8), file.len());
        if have < need {
            return Err(ProgramError::Truncated { need, have });
        }
        if have > need {
            return Err(ProgramError::BadLength);
        }
        if crc32c(file.get(16..).unwrap_or_default()) != self.word(12) {
            return Err(ProgramError::BadChecksum);
        }
        let offset = file.as_ptr().addr() % ALIGNMENT;
        if offset != 0 {
            return Err(ProgramError::Misaligned { offset });
        }
        Ok(())
    }

    fn facts(&self) -> Result<Facts, ProgramError> {
        let facts = Facts {
            config: self.word(16),
            id: self.word(20),
            scratch: self.size(40),
            fast: self.size(44),
            input_at: self.size(48),
            output_at: self.size(52),
            input: Shape::new(self.size(56), self.size(60), self.size(64)),
            classes: self.size(68),
            input_as: self.quantisation(72)?,
            output_as: self.quantisation(80)?,
            normalisation: Normalisation {
                mean: self.reals(88),
                scale: self.reals(104),
            },
            scores: match self.word(120) {
                0 => Scores::Probabilities,
                1 => Scores::Softmax,
                2 => Scores::Sigmoid,
                3 => Scores::Plain,
                _ => return Err(ProgramError::BadScores),
            },
        };
        if self.word(124) != 0 {
            return Err(ProgramError::BadScores);
        }
        // Sides have 32 bits: products of three need more.
        let sides = [56, 60, 64].map(|at| u128::from(self.word(at)));
        let input: u128 = sides.iter().product();
        let inside =
            |at: usize, length: u128| length > 0 && (at as u128) + length <= facts.scratch as u128;
        if !inside(facts.input_at, input) || !inside(facts.output_at, facts.classes as u128) {
            return Err(ProgramError::BadShape);
        }
        Ok(facts)
    }

    fn quantisation(&self, at: usize) -> Result<Quantisation, ProgramError> {
        let scale = self.real(at);
        let zero_point = i8::try_from(self.word(at + 4).cast_signed());
        match zero_point {
            Ok(zero_point) if scale.is_finite() && scale > 0.0 => {
                Ok(Quantisation { scale, zero_point })
            }
            _ => Err(ProgramError::BadQuantisation),
        }
    }

    fn reals(&self, at: usize) -> [f32; MAX_CHANNELS] {
        let mut reals = [0.0; MAX_CHANNELS];
        for (i, real) in reals.iter_mut().enumerate() {
            *real = self.real(at + 4 * i);
        }
        reals
    }
}
