//! MuFidelity: what the score loses without a random part of the picture should
//! go with the attribution of that part (Bhatt et al. 2020, arXiv 2005.00631).
//!
//! Each subset takes a share of the cells of a grid away; Spearman's
//! correlation, over the subsets, of the sum of the signed attribution in them
//! with what the score loses.

use super::agreement::spearman;
use super::order::integers;
use super::pass::{Answer, Ask, Passes, check, cut};
use super::signed::{pixels, silent};
use super::table::{SCORE, baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Mask, Masked};
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "mu-fidelity",
    summary: "rank correlation of attribution with what the score loses without random parts",
    family: Family::Faithfulness,
    range: [-1.0, 1.0],
    better: Better::Higher,
    needs: Needs::Scores,
    per_class: true,
    paper: "Bhatt et al. 2020, arXiv 2005.00631",
    parameters: &[
        parameter("samples", "128", "random subsets, from 2"),
        parameter("grid", "9", "cells along each side"),
        parameter(
            "share",
            "0.2",
            "share of the cells that a subset takes away",
        ),
        SCORE,
        baseline("black"),
    ],
};

/// Masks that are ready at a time.
const BATCH: usize = 8;

/// Correlation of attribution with loss, over random subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuFidelity {
    /// Subsets, at least 2.
    pub samples: usize,
    /// Cells along each side; no more than there are pixels.
    pub grid: usize,
    /// Share of the cells that a subset takes away, between 0 and 1.
    pub share: f32,
    /// Score that is lost.
    pub score: Score,
}

impl Default for MuFidelity {
    fn default() -> Self {
        Self {
            samples: 128,
            grid: 9,
            share: 0.2,
            score: Score::Probability,
        }
    }
}

/// The cells of a picture.
#[derive(Clone, Copy)]
struct Cells {
    input: Shape,
    rows: usize,
    columns: usize,
}

impl Cells {
    fn new(input: Shape, grid: usize) -> Self {
        Self {
            input,
            rows: grid.min(input.h),
            columns: grid.min(input.w),
        }
    }

    const fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// The cell of a pixel.
    fn of(&self, pixel: usize) -> usize {
        let (h, w) = (self.input.h.max(1), self.input.w.max(1));
        let (y, x) = (pixel / w, pixel % w);
        y * self.rows / h * self.columns + x * self.columns / w
    }

    /// Draws `taken` cells, marks them with 1 and the others with 0.
    fn draw(&self, seed: u64, sample: u32, taken: usize, deck: &mut [u32], marks: &mut [f32]) {
        for (i, cell) in (0u32..).zip(deck.iter_mut()) {
            *cell = i;
        }
        marks.fill(0.0);
        for i in 0..taken.min(deck.len()) {
            let words = rng::words(seed, sample, (i / 4) as u32, 0, Purpose::FidelityCells);
            let word = words.get(i % 4).copied().unwrap_or(0);
            let other = i + rng::below(word, (deck.len() - i) as u32) as usize;
            let (own, drawn) = (deck.get(i).copied(), deck.get(other).copied());
            if let (Some(own), Some(drawn)) = (own, drawn) {
                for (place, cell) in [(i, drawn), (other, own)] {
                    if let Some(place) = deck.get_mut(place) {
                        *place = cell;
                    }
                }
                if let Some(mark) = marks.get_mut(drawn as usize) {
                    *mark = 1.0;
                }
            }
        }
    }
}

/// Parts of the scratch.
struct Desk<'s> {
    /// One sum of attribution a cell.
    sums: &'s mut [f32],
    deck: &'s mut [u32],
    marks: &'s mut [f32],
    attributed: &'s mut [f32],
    lost: &'s mut [f32],
    /// Masks of a batch; the first holds the map before.
    masks: &'s mut [f32],
    order: &'s mut [u32],
}

impl<'s> Desk<'s> {
    fn lay(scratch: &'s mut [f32], cells: &Cells, samples: usize) -> Result<Self, Error> {
        let (sums, rest) = cut(scratch, cells.count())?;
        let (deck, rest) = cut(rest, cells.count())?;
        let (marks, rest) = cut(rest, cells.count())?;
        let (attributed, rest) = cut(rest, samples)?;
        let (lost, rest) = cut(rest, samples)?;
        let (order, rest) = cut(rest, 2 * samples)?;
        let (masks, _) = cut(rest, BATCH * cells.input.area())?;
        Ok(Self {
            sums,
            deck: integers(deck)?,
            marks,
            attributed,
            lost,
            masks,
            order: integers(order)?,
        })
    }

    /// Adds the map up, cell by cell.
    fn add_up(&mut self, cells: &Cells) {
        self.sums.fill(0.0);
        for (pixel, value) in self.masks.iter().take(cells.input.area()).enumerate() {
            if let Some(sum) = self.sums.get_mut(cells.of(pixel)) {
                *sum += value;
            }
        }
    }
}

impl MuFidelity {
    /// Cells that a subset takes away.
    fn taken(&self, cells: &Cells) -> usize {
        let taken = libm::round(f64::from(self.share) * cells.count() as f64) as usize;
        taken.max(1).min(cells.count().saturating_sub(1))
    }

    /// Draws the masks of samples `first..` and adds their attribution up.
    fn draw(&self, cells: &Cells, seed: u64, first: usize, desk: &mut Desk<'_>) {
        let samples = desk.attributed.iter_mut().enumerate().skip(first);
        let masks = desk.masks.chunks_exact_mut(cells.input.area().max(1));
        for ((i, attributed), mask) in samples.zip(masks) {
            let taken = self.taken(cells);
            cells.draw(seed, i as u32, taken, desk.deck, desk.marks);
            let pairs = desk.sums.iter().zip(desk.marks.iter());
            let sum: f64 = pairs
                .map(|(sum, mark)| f64::from(*sum) * f64::from(*mark))
                .sum();
            *attributed = sum as f32;
            for (pixel, weight) in mask.iter_mut().enumerate() {
                *weight = 1.0 - desk.marks.get(cells.of(pixel)).copied().unwrap_or(0.0);
            }
        }
    }
}

impl MuFidelity {
    /// What the score loses without each subset.
    fn ask(
        &self,
        classifier: &mut dyn Classifier,
        (subject, cells): (&Subject<'_>, &Cells),
        desk: &mut Desk<'_>,
        (scores, witness): (&mut [f32], &mut dyn Witness),
    ) -> Result<(), Error> {
        let mut passes = Passes::new(witness, self.samples + 1);
        let mut ask = Ask {
            score: self.score,
            target: subject.target,
            scores,
        };
        let whole = ask.one(classifier, &Masked::whole(subject.picture), &mut passes)?;
        let mut first = 0;
        while first < self.samples {
            self.draw(cells, subject.seed, first, desk);
            let masks = &*desk.masks;
            let view = |i: usize| Masked {
                picture: subject.picture,
                fill: subject.fill,
                mask: Mask::Soft(masks.get(i * cells.input.area()..).unwrap_or_default()),
            };
            let lost = &mut *desk.lost;
            let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
                if let Some(place) = lost.get_mut(first + i) {
                    *place = (whole - answer.score) as f32;
                }
            };
            let count = BATCH.min(self.samples - first);
            ask.all(classifier, count, &view, &mut passes, &mut sink)?;
            first += count;
        }
        Ok(())
    }
}

impl Metric for MuFidelity {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        let cells = Cells::new(input, self.grid).count();
        Cost {
            forward: self.samples as u64 + 1,
            backward: 0,
            scratch: classes + 3 * cells + 4 * self.samples + BATCH * input.area(),
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        if self.samples < 2 || self.grid == 0 || !(self.share > 0.0 && self.share < 1.0) {
            return Err(Error::BadParameter("subsets of mu-fidelity"));
        }
        let input = check(classifier, subject)?;
        let cells = Cells::new(input, self.grid);
        if cells.count() < 2 {
            return Ok(Scored::Undefined("the picture has one pixel"));
        }
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let mut desk = Desk::lay(scratch, &cells, self.samples)?;
        pixels(&subject.attribution, input, desk.masks)?;
        let map = desk.masks.get(..input.area()).unwrap_or_default();
        if let Some(reason) = silent(map) {
            return Ok(Scored::Undefined(reason));
        }
        desk.add_up(&cells);
        let asked = (subject, &cells);
        self.ask(classifier, asked, &mut desk, (scores, witness))?;
        settle(desk.attributed, desk.lost, desk.order)
    }
}

fn settle(attributed: &[f32], lost: &[f32], order: &mut [u32]) -> Result<Scored, Error> {
    let still = |values: &[f32]| values.iter().all(|v| Some(v) == values.first());
    if still(lost) {
        return Ok(Scored::Undefined("the score never moves"));
    }
    if still(attributed) {
        return Ok(Scored::Undefined("all subsets have the same attribution"));
    }
    spearman(attributed, lost, order)
}
