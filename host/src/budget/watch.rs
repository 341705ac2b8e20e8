//! A classifier that counts what a method asks of it.

use foveola_core::classifier::{Edits, Sink};
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Error, Mask, Masked, Score, Shape};

use super::counts::{Counts, Kernel};
use super::load::{grid, load};
use super::trace::{Trace, rows};
use super::work::input_word;

/// Passes that are run for the sake of their values; the others are taken to
/// be like them.
const SAMPLES: u64 = 8;

/// HOC's first passes differ the most.
const FIRST: u64 = 24;

/// Counts the loads of every question, and the nodes of some.
pub struct Watch<'m, 'a> {
    model: &'m Model<'m>,
    session: Session<'m, 'a>,
    /// Whether scores matter to what is asked next.
    real: bool,
    /// Questions from one sample to the next.
    every: u64,
    asked: u64,
    loads: Counts,
    samples: u64,
    sampled: Counts,
}

impl<'m, 'a> Watch<'m, 'a> {
    pub fn new(model: &'m Model<'m>, session: Session<'m, 'a>, real: bool, passes: u64) -> Self {
        Self {
            model,
            session,
            real,
            every: passes.div_ceil(SAMPLES).max(1),
            asked: 0,
            loads: Counts::default(),
            samples: 0,
            sampled: Counts::default(),
        }
    }

    /// Passes, and everything that they repeat.
    pub fn counts(&self) -> (u64, Counts) {
        let mut counts = self.loads.clone();
        let share = self.asked as f64 / self.samples.max(1) as f64;
        counts.merge(&self.sampled, share);
        counts.add("pass", self.asked as f64);
        counts.add("pass.class", (self.asked as usize * self.classes()) as f64);
        (self.asked, counts)
    }

    /// What an edit's own window repeats in the method.
    fn edit(&mut self, i: usize, base: &Masked<'_>, shown: &Masked<'_>) {
        let Mask::Windows {
            extra: Some(window),
            ..
        } = shown.mask
        else {
            return;
        };
        let cut = window.cut(self.input());
        let mut k = Kernel::new(&mut self.loads, "edit");
        k.n("call", 1);
        k.n("row", cut.h);
        k.n("pixel", cut.h * cut.w);
        k.n("element", cut.h * cut.w * cut.d);
        if self.real {
            let used = match base.mask {
                Mask::Windows { boxes, .. } => boxes.len(),
                _ => 0,
            };
            k.n("candidate", i + 1);
            k.n("used", (i + 1) * used);
        }
    }
}

impl Classifier for Watch<'_, '_> {
    fn input(&self) -> Shape {
        self.model.input()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let rows = rows(self.model, x, None);
        load(&mut self.loads, input_word(self.model), x, rows);
        if let Mask::Grid(mask) = x.mask {
            // RISE makes each mask once more, to add it to the map.
            let shape = self.input();
            let mut k = Kernel::new(&mut self.loads, "again");
            grid(&mut k, &mask, shape, shape.h);
            k.each("add", shape.h, shape.w);
        }
        let sample = self.asked.is_multiple_of(self.every) || (self.real && self.asked < FIRST);
        self.asked += 1;
        if sample {
            let trace = Trace::forward(self.model, &mut self.session, x, None)?;
            for node in &trace.nodes {
                self.sampled.merge(node, 1.0);
            }
            self.samples += 1;
        }
        if self.real {
            return self.session.classify(x, score, out);
        }
        out.fill(1.0 / self.classes() as f32);
        Ok(())
    }

    fn classify_edits(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        base.editable()?;
        let scores = &mut scores[..self.classes()];
        for i in 0..count {
            let shown = base.edited(edit(i).window);
            self.edit(i, base, &shown);
            self.classify(&shown, score, scores)?;
            sink(i, scores)?;
        }
        Ok(())
    }
}
