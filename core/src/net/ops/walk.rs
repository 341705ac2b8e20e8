//! Walks the input pixels of a sliding window against its direction, for
//! kernels without vectors.

use super::Rows;
use super::spans::{Axis, Span};
use crate::net::arch::products::{MOST_TAPS, Run, Tap};

/// Where a convolution's gradient is read and written.
#[derive(Clone, Copy)]
pub(in crate::net) struct Window<'a> {
    /// Rows and columns of the input.
    pub rows: Axis,
    pub cols: Axis,
    /// The output's gradient, and its channels.
    pub source: Rows<'a>,
    pub source_c: usize,
    /// Elements of a row of the input, and its channels.
    pub target_row: usize,
    pub target_c: usize,
}

/// Neighbouring pixels that see the same taps.
pub(in crate::net) struct Pixels<'t, 'a> {
    /// First element of the first of them.
    pub target: usize,
    pub run: Run,
    /// The taps of the first pixel, kernel row by kernel row: its gradients and
    /// whatever follows in the same row, and the weights.
    pub taps: &'t [Tap<'a>],
}

impl<'a> Window<'a> {
    /// Whether [`Window::runs`] can walk it.
    pub fn is_walked(&self) -> bool {
        self.rows.kernel() * self.cols.kernel() <= MOST_TAPS
    }

    /// Calls `visit` with all pixels that some output reads. Tap i of the
    /// kernel has the weights from element i * `step` on; sources begin with
    /// channel `first`. `None` if the kernel has too many taps.
    #[inline(always)]
    pub fn runs(
        &self,
        weights: &'a [f32],
        step: usize,
        first: usize,
        mut visit: impl FnMut(&Pixels<'_, 'a>) -> Option<()>,
    ) -> Option<()> {
        for rows in self.rows.spans().filter(|rows| rows.taps > 0) {
            for cols in self.cols.spans().filter(|cols| cols.taps > 0) {
                for y in 0..rows.count {
                    let mut taps: [Tap<'a>; MOST_TAPS] = [(&[], &[]); MOST_TAPS];
                    let taps = taps.get_mut(..rows.taps * cols.taps)?;
                    self.find(&rows, &cols, y, (weights, step, first), taps)?;
                    let row = (rows.to + y * rows.to_step) * self.target_row;
                    visit(&Pixels {
                        target: row + cols.to * self.target_c,
                        run: Run {
                            pixels: cols.count,
                            source_step: cols.from_step.unsigned_abs() * self.source_c,
                            target_step: cols.to_step * self.target_c,
                        },
                        taps,
                    })?;
                }
            }
        }
        Some(())
    }

    /// The taps of the first pixel in row `y` of a span.
    fn find(
        &self,
        rows: &Span,
        cols: &Span,
        y: usize,
        (weights, step, first): (&'a [f32], usize, usize),
        taps: &mut [Tap<'a>],
    ) -> Option<()> {
        let top = rows.from + y as isize * rows.from_step;
        let mut taps = taps.iter_mut();
        for j in 0..rows.taps {
            let line = self.source.line(top + j as isize * rows.hop)?;
            let kernel_row = (rows.tap + j * rows.tap_step) * self.cols.kernel();
            for i in 0..cols.taps {
                let col = usize::try_from(cols.from + i as isize * cols.hop).ok()?;
                let index = kernel_row + cols.tap + i * cols.tap_step;
                let source = line.get(col * self.source_c + first..)?;
                *taps.next()? = (source, weights.get(index * step..)?);
            }
        }
        Some(())
    }
}
