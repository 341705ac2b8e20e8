//! Output pixels one behind another, with the input rows that they see at hand.

use super::Patches;
use crate::net::arch::dsp::{Dsp, Narrow};

/// Most rows of a kernel whose patches are runs.
const ROWS: usize = 8;

/// A pixel.
pub struct Walk<'p, 'a> {
    of: &'p Patches<'a>,
    /// Row of the output, and column.
    y: usize,
    x: usize,
    /// Pixels before it.
    passed: usize,
    /// First channel of the group.
    first: usize,
    /// Whether the rows of patches are runs.
    runs: bool,
    /// Rows and columns of the kernel.
    kernel: [usize; 2],
    /// Columns that only patches inside begin at: from 0 to here, less than this.
    most_left: usize,
    /// Whether the rows at hand are those of `y`.
    settled: bool,
    /// What is under the rows of the kernel; empty in the padding.
    lines: [&'a [i8]; ROWS],
    /// Whether none of them is.
    rows_inside: bool,
}

/// The rows of a patch.
pub struct Runs<'w, 'a> {
    lines: core::slice::Iter<'w, &'a [i8]>,
    left: usize,
    /// Elements of each.
    pub size: usize,
}

impl<'a> Iterator for Runs<'_, 'a> {
    type Item = Option<&'a [i8]>;

    #[inline(always)]
    fn next(&mut self) -> Option<Option<&'a [i8]>> {
        let line = *self.lines.next()?;
        Some(line.get(self.left..).and_then(|line| line.get(..self.size)))
    }
}

impl<'p, 'a> Walk<'p, 'a> {
    pub(super) fn new(of: &'p Patches<'a>, group: usize) -> Self {
        let kernel = of.geometry.kernel.map(usize::from);
        let whole = of.inputs == of.input.c && of.geometry.dilation == [1; 2];
        Self {
            of,
            y: of.y,
            x: 0,
            passed: 0,
            first: group * of.inputs,
            runs: whole && kernel[0] <= ROWS,
            kernel,
            most_left: (of.input.w + 1).saturating_sub(kernel[1]),
            settled: false,
            lines: [&[]; ROWS],
            rows_inside: false,
        }
    }

    /// Takes the rows that the pixel sees at hand.
    #[inline(always)]
    pub fn settle(&mut self) -> Option<()> {
        if self.settled {
            return Some(());
        }
        self.settled = true;
        self.fetch()
    }

    #[inline(never)]
    fn fetch(&mut self) -> Option<()> {
        let top = self.y * usize::from(self.of.geometry.stride[0]);
        let above = usize::from(self.of.geometry.pad[0]);
        self.rows_inside = true;
        for (ky, line) in self.lines.iter_mut().take(self.kernel[0]).enumerate() {
            let row = (top + ky).checked_sub(above);
            *line = match row.filter(|&row| row < self.of.input.h) {
                Some(row) => self.of.source.line(row as isize)?,
                None => &[],
            };
            self.rows_inside &= !line.is_empty();
        }
        Some(())
    }

    /// The next pixel.
    #[inline(always)]
    pub fn advance(&mut self) {
        self.passed += 1;
        self.x += 1;
        if self.x == self.of.width {
            (self.x, self.y) = (0, self.y + 1);
            self.settled = false;
        }
    }

    /// Column of the input under the first column of the kernel, wrapping
    /// below 0.
    #[inline(always)]
    fn left(&self) -> usize {
        let [_, stride] = self.of.geometry.stride;
        let [_, pad] = self.of.geometry.pad;
        (self.x * usize::from(stride)).wrapping_sub(pad.into())
    }

    /// The patch where it is one pixel of the input.
    #[inline(always)]
    pub fn pointed(&self, len: usize) -> Option<&'a [i8]> {
        let [line, ..] = self.lines;
        let at = self.left() * self.of.input.c + self.first;
        line.get(at..)?.get(..len)
    }

    /// The rows of the patch if all of it lies inside and they are runs.
    #[inline(always)]
    pub fn inside(&self) -> Option<Runs<'_, 'a>> {
        let left = self.left();
        if !(self.runs && self.rows_inside && left < self.most_left) {
            return None;
        }
        let c = self.of.input.c;
        Some(Runs {
            lines: self.lines.get(..self.kernel[0])?.iter(),
            left: left * c,
            size: self.kernel[1] * c,
        })
    }

    /// Puts the patch together, of `len` elements, wherever it lies.
    #[inline(never)]
    pub fn gather(&self, dsp: Dsp, len: usize, patch: &mut Narrow<'_>) -> Option<()> {
        let padding = self.of.padding;
        if !self.runs {
            patch.pad(padding, len)?;
            let to = patch.elements();
            return self.of.gather(self.passed, 1, self.first, 1, to);
        }
        let (c, w) = (self.of.input.c, self.kernel[1]);
        let [_, stride] = self.of.geometry.stride.map(usize::from);
        let [_, pad] = self.of.geometry.pad.map(usize::from);
        // Taps left of the input, and behind them those inside.
        let at = self.x * stride;
        let before = pad.saturating_sub(at).min(w);
        let start = (at + before).saturating_sub(pad).min(self.of.input.w);
        let inside = (self.of.input.w - start).min(w - before);
        for line in self.lines.get(..self.kernel[0])? {
            if line.is_empty() {
                patch.pad(padding, w * c)?;
                continue;
            }
            let run = line.get(start * c..)?.get(..inside * c)?;
            patch.pad(padding, before * c)?;
            patch.push(dsp, run)?;
            patch.pad(padding, (w - before - inside) * c)?;
        }
        Some(())
    }
}
