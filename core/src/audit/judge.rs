//! Holds a map to a rule of a [policy](super::policy).
//!
//! **Evidence** is a weight of at least 0 for each pixel of the network's input.
//! A map of the method's own resolution is enlarged as
//! [`upsample_bilinear`](crate::explain::upsample_bilinear) does, one of several
//! channels is reduced as [`strongest_channel`](crate::explain::strongest_channel)
//! does: what is judged is what a person is shown. Of gradient methods the
//! magnitude counts, of RISE what lies above the map's least value, of others
//! the positive part.
//!
//! **Inside** a box, or in the border, is a pixel whose centre is; boxes that
//! overlap count once. **Agreement** is measured between the stored map and the
//! evidence's mean over each cell of the stored map's grid (pixel `y` of `h`
//! rows belongs to cell `y * rows / h`).
//!
//! Sums are plain f32 sums, row by row, rows added in order: the same bits on
//! every machine. Nothing is allocated; the map is read, never changed.

mod agreement;
mod reason;

pub use reason::{Reason, split_code, verdict_code};

use super::policy::layout::BoxRecord;
use super::policy::{Rule, Unit};
use crate::error::Error;
use crate::explain::{Outcome, between, place, strongest};
use crate::tensor::Shape;
use crate::wire::message::Call;

/// What a rule makes of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Number of the rule, from 1.
    pub rule: u16,
    /// Why it fails; `None` for a pass.
    pub reason: Option<Reason>,
    /// Share of the evidence inside the region; 1 where no region is asked for, 0
    /// without evidence.
    pub inside: f32,
    /// Share of the evidence in the border; 0 where no border is asked for.
    pub border: f32,
    /// Agreement with the stored map, if one is asked for and there is evidence.
    pub agreement: Option<f32>,
}

impl Judgement {
    /// A rule that fails before there is a map to measure.
    pub const fn failed(rule: u16, reason: Reason) -> Self {
        Self {
            rule,
            reason: Some(reason),
            inside: 0.0,
            border: 0.0,
            agreement: None,
        }
    }

    /// Whether the map is as the rule wants it.
    pub const fn passed(&self) -> bool {
        self.reason.is_none()
    }

    /// The number that stands for it in a log's verdict, 0 for a pass.
    pub const fn code(&self) -> u16 {
        match self.reason {
            None => 0,
            Some(reason) => verdict_code(self.rule, reason),
        }
    }
}

/// What of a map counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Positive,
    Magnitude,
    AboveLeast,
}

impl Evidence {
    const fn of(call: &Call) -> Self {
        match call {
            Call::Gradient | Call::Deconvolution | Call::GuidedBackprop => Self::Magnitude,
            Call::Rise { .. } => Self::AboveLeast,
            _ => Self::Positive,
        }
    }

    fn weigh(self, value: f32, least: f32) -> f32 {
        match self {
            Self::Magnitude => libm::fabsf(value),
            Self::AboveLeast => value - least,
            Self::Positive if value > 0.0 => value,
            Self::Positive => 0.0,
        }
    }
}

/// A map at the resolution of the network's input.
struct Enlarged<'m> {
    map: &'m [f32],
    shape: Shape,
    input: Shape,
    evidence: Evidence,
    least: f32,
}

impl Enlarged<'_> {
    fn at(&self, y: usize, x: usize) -> f32 {
        let start = (y * self.shape.w + x) * self.shape.c;
        strongest(self.map.get(start..start + self.shape.c).unwrap_or(&[]))
    }

    /// Hands each pixel's value of a row to `each`.
    fn row(&self, y: usize, each: &mut dyn FnMut(usize, f32)) {
        let Shape { h, w, .. } = self.shape;
        if (h, w) == (self.input.h, self.input.w) {
            return (0..w).for_each(|x| each(x, self.at(y, x)));
        }
        let (above, below, down) = place(y, h, self.input.h);
        for x in 0..self.input.w {
            let (left, right, along) = place(x, w, self.input.w);
            let upper = between(self.at(above, left), self.at(above, right), along);
            let lower = between(self.at(below, left), self.at(below, right), along);
            each(x, between(upper, lower, down));
        }
    }

    /// Hands the weight of each pixel of a row to `each`.
    fn weights(&self, y: usize, each: &mut dyn FnMut(usize, f32)) {
        self.row(y, &mut |x, value| {
            each(x, self.evidence.weigh(value, self.least));
        });
    }
}

/// Holds a map to a rule.
///
/// `map` has the shape `shape` (HWC: the input's rows and columns, or one
/// channel of the method's own resolution), `input` is the shape of the network's
/// input, `outcome` what the method said of the map.
///
/// # Errors
/// [`Error::BufferTooSmall`] for a map that is shorter than its shape,
/// [`Error::BadParameter`] for a shape without elements.
pub fn judge(
    rule: &Rule<'_>,
    map: &[f32],
    shape: Shape,
    input: Shape,
    outcome: Outcome,
) -> Result<Judgement, Error> {
    let enlarged = enlarged(&rule.call, map, shape, input)?;
    let early = match outcome {
        Outcome::Ok => None,
        Outcome::Flat => Some(Reason::Flat),
        Outcome::Undefined(_) => Some(Reason::Undefined),
        Outcome::Partial { .. } => Some(Reason::Stopped),
    };
    if let Some(reason) = early {
        return Ok(Judgement::failed(rule.number, reason));
    }
    if !enlarged.map.iter().all(|value| value.is_finite()) {
        return Ok(Judgement::failed(rule.number, Reason::NotFinite));
    }
    Ok(measure(rule, &enlarged))
}

/// Reduces a map's evidence to the cells of a grid, as a rule's stored map
/// holds them: `cells` takes rows times columns means, row by row.
///
/// # Errors
/// [`Error::BufferTooSmall`] for `map` or `cells`, [`Error::BadParameter`] for
/// a shape without elements.
pub fn cells(
    call: &Call,
    map: &[f32],
    (shape, input): (Shape, Shape),
    grid: [usize; 2],
    cells: &mut [f32],
) -> Result<(), Error> {
    let [rows, columns] = grid;
    let (need, have) = (rows * columns, cells.len());
    let short = Error::BufferTooSmall { need, have };
    let cells = cells.get_mut(..need).ok_or(short)?;
    let enlarged = enlarged(call, map, shape, input)?;
    cells.fill(0.0);
    agreement::reduce(&enlarged, grid, cells);
    Ok(())
}

fn enlarged<'m>(
    call: &Call,
    map: &'m [f32],
    shape: Shape,
    input: Shape,
) -> Result<Enlarged<'m>, Error> {
    let (need, have) = (shape.len(), map.len());
    if need == 0 || input.area() == 0 {
        return Err(Error::BadParameter("size of a map"));
    }
    let short = Error::BufferTooSmall { need, have };
    let mut enlarged = Enlarged {
        map: map.get(..need).ok_or(short)?,
        shape,
        input,
        evidence: Evidence::of(call),
        least: f32::INFINITY,
    };
    if enlarged.evidence == Evidence::AboveLeast {
        enlarged.least = least(&enlarged);
    }
    Ok(enlarged)
}

/// The least value of any pixel.
fn least(map: &Enlarged<'_>) -> f32 {
    let mut least = f32::INFINITY;
    for y in 0..map.input.h {
        map.row(y, &mut |_, value| {
            if value < least {
                least = value;
            }
        });
    }
    least
}

/// Sums of evidence.
#[derive(Clone, Copy, Default)]
struct Sums {
    total: f32,
    inside: f32,
    border: f32,
}

fn measure(rule: &Rule<'_>, map: &Enlarged<'_>) -> Judgement {
    let sums = sums(rule, map);
    if !sums.total.is_finite() {
        return Judgement::failed(rule.number, Reason::NotFinite);
    }
    if sums.total <= 0.0 {
        return Judgement::failed(rule.number, Reason::Flat);
    }
    let inside = match rule.boxes {
        [] => 1.0,
        _ => sums.inside / sums.total,
    };
    let border = sums.border / sums.total;
    let agreement = rule.agreement.map(|wanted| agreement::of(&wanted, map));
    let disagrees = match (rule.agreement, agreement) {
        (Some(wanted), Some(Some(found))) => found < wanted.least,
        (Some(_), _) => true,
        (None, _) => false,
    };
    let reason = match () {
        () if inside < rule.least_inside => Some(Reason::Outside),
        () if rule.border.is_some() && border > rule.most_border => Some(Reason::Border),
        () if disagrees => Some(Reason::Disagrees),
        () => None,
    };
    Judgement {
        rule: rule.number,
        reason,
        inside,
        border,
        agreement: agreement.flatten(),
    }
}

fn sums(rule: &Rule<'_>, map: &Enlarged<'_>) -> Sums {
    let mut all = Sums::default();
    for y in 0..map.input.h {
        let mut row = Sums::default();
        map.weights(y, &mut |x, weight| {
            row.total += weight;
            if rule
                .boxes
                .iter()
                .any(|b| holds(b, rule.unit, map.input, y, x))
            {
                row.inside += weight;
            }
            if is_border(rule, map.input, y, x) {
                row.border += weight;
            }
        });
        all.total += row.total;
        all.inside += row.inside;
        all.border += row.border;
    }
    all
}

/// Whether a box holds the centre of a pixel.
fn holds(record: &BoxRecord, unit: Unit, input: Shape, y: usize, x: usize) -> bool {
    let (across, down) = match unit {
        Unit::Pixels => (1.0, 1.0),
        Unit::Fractions => (input.w as f32, input.h as f32),
    };
    let lies = |at: usize, start: f32, length: f32, scale: f32| {
        let centre = at as f32 + 0.5;
        centre >= start * scale && centre < (start + length) * scale
    };
    lies(x, record.x.get(), record.w.get(), across) && lies(y, record.y.get(), record.h.get(), down)
}

fn is_border(rule: &Rule<'_>, input: Shape, y: usize, x: usize) -> bool {
    let Some(width) = rule.border else {
        return false;
    };
    let width = match rule.unit {
        Unit::Pixels => width,
        Unit::Fractions => width * input.h.min(input.w) as f32,
    };
    let near = |at: usize, side: usize| {
        let to_edge = at.min(side.saturating_sub(at + 1));
        to_edge as f32 + 0.5 < width
    };
    near(y, input.h) || near(x, input.w)
}

#[cfg(test)]
mod tests;
