//! What a device holds itself to. This page is the policy's specification.
//!
//! Little endian, read in place; the first byte lies on a multiple of 16. A
//! policy is section 13 of a model file ([`Policy::of`]), or comes apart as the
//! same bytes ([`Policy::from_bytes`]).
//!
//! ```text
//! 0    Head              64 bytes: magic "FVP1", length, counts, limits
//! 64   RuleRecord[n]     64 bytes each
//! ..   BoxRecord[n]      16 bytes each; the region of a rule is a run of them
//! ..   CaseRecord[n]     80 bytes each
//! ..   u16[n]            classes; the targets of a rule are a run of them
//! ..   data              methods, reference maps, pictures, scores
//! ```
//!
//! Offsets count from the first byte of the policy; f32 data lies on multiples
//! of 4. The fields are those of [`layout`].
//!
//! **A rule** says what is explained (a method, the class, the score) and where
//! the evidence may lie ([`judge`](crate::audit::judge) measures it): at least
//! a share inside a region of boxes, at most a share in a border, at least so
//! much agreement with a stored map.
//!
//! **A case** is a picture whose scores, and the map of a rule's method, are
//! known bit for bit: see [`self_test`](crate::audit::self_test).

mod check;
pub mod layout;

use zerocopy::FromBytes;
use zerocopy::little_endian::{F32, U16};

use self::layout::{BoxRecord, CaseRecord, Head, NO_RULE, RuleRecord};
use super::Hash;
use crate::classifier::Score;
use crate::error::Error;
use crate::net::model::Model;
use crate::picture::{Normalisation, Picture};
use crate::tensor::Shape;
use crate::wire::message::{Call, Explain, Format, read};

/// A policy that passed every check.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'p> {
    bytes: &'p [u8],
    head: &'p Head,
    rules: &'p [RuleRecord],
    boxes: &'p [BoxRecord],
    cases: &'p [CaseRecord],
    classes: &'p [U16],
}

/// What a device does when a judgement or a self-test fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnFailure {
    /// Says so and answers all the same.
    Report,
    /// Says so instead of answering.
    Withhold,
    /// Answers nothing more until it is started anew.
    Halt,
}

/// What a judgement may take; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions.
    pub instructions: Option<u64>,
    /// Milliseconds.
    pub milliseconds: Option<u32>,
    /// Bytes of arena, map and scratch.
    pub ram: Option<u32>,
}

/// Unit of boxes and border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pixels of the network's input.
    Pixels,
    /// Fractions of the picture.
    Fractions,
}

/// How a map is compared with a stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Spearman's rank correlation.
    Spearman,
    /// Share of the strongest tenth of cells that both have.
    TopTenth,
}

/// A stored map, and how much a map must agree with it.
#[derive(Clone, Copy, Debug)]
pub struct Agreement<'p> {
    /// The measure.
    pub measure: Measure,
    /// Least of it.
    pub least: f32,
    /// Rows and columns.
    pub grid: [usize; 2],
    bytes: &'p [u8],
    floats: bool,
}

impl Agreement<'_> {
    /// The stored map, row by row.
    pub fn cells(&self) -> impl Iterator<Item = f32> + '_ {
        let size = if self.floats { 4 } else { 1 };
        self.bytes.chunks_exact(size).map(|cell| match *cell {
            [byte] => f32::from(byte),
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            _ => 0.0,
        })
    }
}

/// Which classes a rule explains.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'p> {
    /// The one with the highest probability.
    Best,
    /// Each of these.
    Each(&'p [U16]),
}

impl<'p> Targets<'p> {
    /// The classes, `best` being the one with the highest probability.
    pub fn classes(self, best: usize) -> impl Iterator<Item = usize> + 'p {
        let (list, best): (&[U16], _) = match self {
            Self::Best => (&[], Some(best)),
            Self::Each(list) => (list, None),
        };
        let listed = list.iter().map(|class| usize::from(class.get()));
        best.into_iter().chain(listed)
    }
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'p> {
    /// Its number, from 1.
    pub number: u16,
    /// The method.
    pub call: Call,
    /// The classes.
    pub targets: Targets<'p>,
    /// The score that is explained; `None` for the method's own.
    pub score: Option<Score>,
    /// Key of every random number.
    pub seed: u64,
    /// Unit of `boxes` and `border`.
    pub unit: Unit,
    /// The region; empty for none.
    pub boxes: &'p [BoxRecord],
    /// Least share of the evidence inside the region.
    pub least_inside: f32,
    /// Width of the border, if there is one.
    pub border: Option<f32>,
    /// Most share of the evidence in the border.
    pub most_border: f32,
    /// A stored map.
    pub agreement: Option<Agreement<'p>>,
}

impl Rule<'_> {
    /// What a device is asked for one class.
    pub fn explain(&self, target: usize) -> Explain {
        Explain {
            method: self.call,
            target: Some(u32::try_from(target).unwrap_or(u32::MAX)),
            score: self.score,
            seed: self.seed,
        }
    }
}

/// A picture whose answer is known.
#[derive(Clone, Copy, Debug)]
pub struct Case<'p> {
    /// Its number, from 1.
    pub number: u16,
    /// Shape of the picture.
    pub shape: Shape,
    /// Numbers of the picture.
    pub format: Format,
    /// The picture's bytes.
    pub bytes: &'p [u8],
    /// Which scores are known.
    pub score: Score,
    /// The expected scores, one a class.
    pub scores: &'p [F32],
    /// The map that is known, if one is.
    pub map: Option<KnownMap<'p>>,
}

/// A map whose hash is known.
#[derive(Clone, Copy, Debug)]
pub struct KnownMap<'p> {
    /// Number of the rule whose method makes it, from 1.
    pub rule: u16,
    /// The class that it explains.
    pub target: usize,
    /// Its [`output_hash`](super::output_hash).
    pub hash: &'p Hash,
}

impl<'p> Case<'p> {
    /// The picture as methods take it.
    ///
    /// # Errors
    /// [`Error::Internal`] for what the check excludes.
    pub fn picture<'n>(&self, normalisation: &'n Normalisation) -> Result<Picture<'n>, Error>
    where
        'p: 'n,
    {
        let shape = self.shape;
        Ok(match self.format {
            Format::Pixels => Picture::Pixels {
                shape,
                data: self.bytes,
                normalisation,
            },
            Format::Tensor => Picture::Tensor {
                shape,
                data: <[f32]>::ref_from_bytes(self.bytes).map_err(|_| Error::Internal)?,
            },
        })
    }
}

impl<'p> Policy<'p> {
    /// Reads a policy and checks all of it once: bounds, counts, shares of 0
    /// to 1, finite numbers, methods that can be decoded.
    ///
    /// # Errors
    /// [`Error::Misaligned`], [`Error::Truncated`], [`Error::BadMagic`],
    /// [`Error::BadPolicy`] with the first thing that is wrong.
    pub fn from_bytes(bytes: &'p [u8]) -> Result<Self, Error> {
        let policy = check::tables(bytes)?;
        policy.check()?;
        Ok(policy)
    }

    /// The policy in a model file, held to the model.
    ///
    /// # Errors
    /// As [`Policy::from_bytes`] and [`Policy::fits`].
    pub fn of(model: &Model<'p>) -> Result<Option<Self>, Error> {
        let policy = model.policy().map(Policy::from_bytes).transpose()?;
        if let Some(policy) = &policy {
            policy.fits(model)?;
        }
        Ok(policy)
    }

    /// The whole policy.
    pub const fn bytes(&self) -> &'p [u8] {
        self.bytes
    }

    /// What a device does when something fails.
    pub const fn on_failure(&self) -> OnFailure {
        match self.head.on_failure {
            0 => OnFailure::Report,
            1 => OnFailure::Withhold,
            _ => OnFailure::Halt,
        }
    }

    /// What a judgement may take.
    pub fn limits(&self) -> Limits {
        let given = |limit: u32| (limit != 0).then_some(limit);
        let instructions = self.head.instructions.get();
        Limits {
            instructions: (instructions != 0).then_some(instructions),
            milliseconds: given(self.head.milliseconds.get()),
            ram: given(self.head.ram.get()),
        }
    }

    /// Number of rules.
    pub const fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Rule number `number`, from 1.
    pub fn rule(&self, number: u16) -> Option<Rule<'p>> {
        let record = self.rules.get(usize::from(number).checked_sub(1)?)?;
        let border = record.border.get();
        Some(Rule {
            number,
            call: read(self.data(record.call.get(), record.call_length.get().into())?)?,
            targets: match record.target {
                0 => Targets::Best,
                _ => Targets::Each(run(self.classes, record.first_class, record.classes)?),
            },
            score: match record.score {
                0 => None,
                1 => Some(Score::Logit),
                _ => Some(Score::Probability),
            },
            seed: record.seed.get(),
            unit: match record.unit {
                0 => Unit::Pixels,
                _ => Unit::Fractions,
            },
            boxes: run(self.boxes, record.first_box, record.boxes)?,
            least_inside: record.least_inside.get(),
            border: (border > 0.0).then_some(border),
            most_border: record.most_border.get(),
            agreement: match record.measure {
                0 => None,
                _ => Some(self.agreement(record)?),
            },
        })
    }

    fn agreement(&self, record: &RuleRecord) -> Option<Agreement<'p>> {
        let grid = [record.rows, record.columns].map(usize::from);
        let [rows, columns] = grid;
        let floats = record.reference_type == 0;
        let size = rows * columns * if floats { 4 } else { 1 };
        Some(Agreement {
            measure: match record.measure {
                1 => Measure::Spearman,
                _ => Measure::TopTenth,
            },
            least: record.least_agreement.get(),
            grid,
            bytes: self.data(record.reference.get(), size)?,
            floats,
        })
    }

    /// Every rule, in order.
    pub fn rules(&self) -> impl Iterator<Item = Rule<'p>> {
        let policy = *self;
        (1..).map_while(move |number| policy.rule(number))
    }

    /// Number of self-test cases.
    pub const fn case_count(&self) -> usize {
        self.cases.len()
    }

    /// Case number `number`, from 1.
    pub fn case(&self, number: u16) -> Option<Case<'p>> {
        let record = self.cases.get(usize::from(number).checked_sub(1)?)?;
        let [h, w, c] = record.shape.map(|side| side.get() as usize);
        let count = usize::from(record.classes.get());
        let scores = self.data(record.scores.get(), count * 4)?;
        let known = KnownMap {
            rule: record.rule.get().wrapping_add(1),
            target: record.target.get().into(),
            hash: &record.map,
        };
        Some(Case {
            number,
            shape: Shape::new(h, w, c),
            format: match record.format {
                0 => Format::Pixels,
                _ => Format::Tensor,
            },
            bytes: self.data(record.picture.get(), record.picture_length.get() as usize)?,
            score: match record.score {
                0 => Score::Logit,
                _ => Score::Probability,
            },
            scores: <[F32]>::ref_from_bytes(scores).ok()?,
            map: (record.rule.get() != NO_RULE).then_some(known),
        })
    }

    /// Every case, in order.
    pub fn cases(&self) -> impl Iterator<Item = Case<'p>> {
        let policy = *self;
        (1..).map_while(move |number| policy.case(number))
    }

    fn data(&self, start: u32, length: usize) -> Option<&'p [u8]> {
        let start = start as usize;
        self.bytes.get(start..start.checked_add(length)?)
    }
}

/// A run of records.
fn run<T>(all: &[T], first: U16, count: U16) -> Option<&[T]> {
    let first = usize::from(first.get());
    all.get(first..first + usize::from(count.get()))
}
