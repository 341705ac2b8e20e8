//! DIRECT in a square (Jones, Perttunen and Stuckman 1993, J. Optim. Theory Appl. 79,
//! 157-181), looking for the greatest value: rectangles with a value at their
//! centre; those that some Lipschitz constant makes the most promising are divided
//! into thirds along their long sides.

use core::ops::Range;

/// Numbers of a rectangle: row and column of its centre, how often each side was
/// divided by three, and whether it is about to be divided.
pub(super) const NUMBERS: usize = 5;

pub(super) type Piece = [f32; NUMBERS];

/// The rectangles, with their values.
pub(super) struct Pieces<'s> {
    pieces: &'s mut [Piece],
    values: &'s mut [f32],
    epsilon: f32,
    len: usize,
}

/// The centre of rectangle `i`, and its value.
pub(super) fn tried(pieces: &[f32], values: &[f32], i: usize) -> ([f32; 2], f32) {
    let centre = centre(pieces.as_chunks::<NUMBERS>().0, i);
    (centre, values.get(i).copied().unwrap_or(0.0))
}

/// The centre of rectangle `i`.
pub(super) fn centre(pieces: &[Piece], i: usize) -> [f32; 2] {
    let [y, x, ..] = pieces.get(i).copied().unwrap_or_default();
    [y, x]
}

fn third(times: f32) -> f32 {
    libm::powf(3.0, -times)
}

/// Half of the diagonal.
fn size(&[_, _, down, across, _]: &Piece) -> f32 {
    let (h, w) = (third(down), third(across));
    libm::sqrtf(h * h + w * w) / 2.0
}

/// Which sides are long: 0 the rows', 1 the columns'.
fn long(&[_, _, down, across, _]: &Piece) -> [bool; 2] {
    [down <= across, across <= down]
}

impl<'s> Pieces<'s> {
    pub(super) fn new(pieces: &'s mut [f32], values: &'s mut [f32], epsilon: f32) -> Self {
        Self {
            pieces: pieces.as_chunks_mut::<NUMBERS>().0,
            values,
            epsilon,
            len: 0,
        }
    }

    /// The rectangles, and the values to be.
    pub(super) fn parts(&mut self) -> (&[Piece], &mut [f32]) {
        (self.pieces, self.values)
    }

    /// Marks the most promising rectangles and puts the centres that they are divided
    /// into behind them: the whole square first, none where there is no room.
    pub(super) fn divide(&mut self) -> Range<usize> {
        let first = self.len;
        if first == 0 {
            self.push([0.5, 0.5, 0.0, 0.0, 0.0]);
            return first..self.len;
        }
        self.mark();
        for i in 0..first {
            let Some(piece) = self.pieces.get(i).copied().filter(|p| p[4] > 0.0) else {
                continue;
            };
            let [y, x, down, across, _] = piece;
            let [rows, columns] = long(&piece);
            let (dy, dx) = (third(down + 1.0), third(across + 1.0));
            let all = [
                (rows, y + dy, x),
                (rows, y - dy, x),
                (columns, y, x + dx),
                (columns, y, x - dx),
            ];
            for (_, y, x) in all.into_iter().filter(|(is_long, ..)| *is_long) {
                self.push([y, x, down, across, 0.0]);
            }
        }
        first..self.len
    }

    fn push(&mut self, piece: Piece) {
        if let Some(place) = self.pieces.get_mut(self.len) {
            *place = piece;
            self.len += 1;
        }
    }

    /// Marks the rectangles that promise most.
    fn mark(&mut self) {
        let best = (0..self.len).filter_map(|i| self.known(i));
        let greater = |most: f32, (_, value): (f32, f32)| if value > most { value } else { most };
        let best = best.fold(f32::NEG_INFINITY, greater);
        for at in 0..self.len {
            let found = self.known(at);
            let marked = found.is_some_and(|found| self.promises(found, best));
            if let Some([.., mark]) = self.pieces.get_mut(at) {
                *mark = f32::from(u8::from(marked));
            }
        }
    }

    /// Whether, for some rate of change K above 0, value + K size is the greatest of
    /// all, and beats the best value by a share of it.
    fn promises(&self, (size, value): (f32, f32), best: f32) -> bool {
        let (mut least, mut most) = (0.0, f32::INFINITY);
        for (other, there) in (0..self.len).filter_map(|i| self.known(i)) {
            let apart = other - size;
            if apart == 0.0 {
                if there > value {
                    return false;
                }
                continue;
            }
            let rate = (value - there) / apart;
            if apart < 0.0 && rate > least {
                least = rate;
            } else if apart > 0.0 && rate < most {
                most = rate;
            }
        }
        let bound = value + most * size;
        least <= most && most > 0.0 && bound >= best + self.epsilon * libm::fabsf(best)
    }

    /// Half of the diagonal of rectangle `i`, and its value.
    fn known(&self, i: usize) -> Option<(f32, f32)> {
        let value = self.values.get(i).copied();
        self.pieces.get(i).map(size).zip(value)
    }

    /// Gives the rectangles that [`Pieces::divide`] made their sides, now that their values
    /// are known: the side with the best value is divided first, so that it lies in
    /// the larger rectangle.
    pub(super) fn settle(&mut self, fresh: Range<usize>) {
        let mut at = fresh.start;
        for i in 0..fresh.start {
            let Some(piece) = self.pieces.get(i).copied().filter(|p| p[4] > 0.0) else {
                continue;
            };
            let long = long(&piece);
            let [_, _, down, across, _] = piece;
            let both = long == [true, true];
            let count = if both { 4 } else { 2 };
            if at + count > fresh.end {
                return;
            }
            let value = |i: usize| self.values.get(i).copied().unwrap_or(0.0);
            let greater = |a: f32, b: f32| if a > b { a } else { b };
            let rows = greater(value(at), value(at + 1));
            let rows_first = !both || rows >= greater(value(at + 2), value(at + 3));
            let last = match long {
                [true, true] => [down + 1.0, across + 1.0],
                [true, false] => [down + 1.0, across],
                _ => [down, across + 1.0],
            };
            let first = if rows_first {
                [down + 1.0, across]
            } else {
                [down, across + 1.0]
            };
            for child in 0..count {
                let is_first = both && (child < 2) == rows_first;
                self.resize(at + child, if is_first { first } else { last });
            }
            self.resize(i, last);
            at += count;
        }
    }

    fn resize(&mut self, i: usize, [rows, columns]: [f32; 2]) {
        if let Some([_, _, down, across, _]) = self.pieces.get_mut(i) {
            (*down, *across) = (rows, columns);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // tests may panic
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The centres tried with room for `count`, in order.
    fn search(count: usize, value: impl Fn([f32; 2]) -> f32) -> Vec<[f32; 2]> {
        let (mut pieces, mut values) = (vec![0.0; NUMBERS * count], vec![0.0; count]);
        let mut search = Pieces::new(&mut pieces, &mut values, 1e-4);
        loop {
            let fresh = search.divide();
            if fresh.is_empty() {
                break;
            }
            let centres: Vec<_> = fresh.clone().map(|i| centre(search.parts().0, i)).collect();
            for (i, centre) in fresh.clone().zip(centres) {
                search.parts().1[i] = value(centre);
            }
            search.settle(fresh);
        }
        (0..count).map(|i| tried(&pieces, &values, i).0).collect()
    }

    /// The first steps as the paper draws them, and scipy.optimize.direct's best value
    /// of Branin's function in so many evaluations (global, eps 1e-4).
    #[test]
    fn the_papers_first_steps_and_branin() {
        let peak = |[y, x]: [f32; 2]| -((y - 0.8).powi(2) + 3.0 * (x - 0.5).powi(2));
        let tried = search(9, peak);
        let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-6;
        let (third, sixth) = (1.0 / 3.0, 1.0 / 6.0);
        let first = [
            [0.5, 0.5],
            [0.5 + third, 0.5],
            [0.5 - third, 0.5],
            [0.5, 0.5 + third],
            [0.5, 0.5 - third],
            // Below 0.5 + 1/3 lies the best value in the largest rectangle, three times as
            // wide as high.
            [0.5 + third, 0.5 + third],
            [0.5 + third, 0.5 - third],
        ];
        for (found, expected) in tried.iter().zip(first) {
            assert!(near(*found, expected), "{found:?} {expected:?}");
        }
        assert!(tried.iter().all(|c| c.iter().all(|v| *v >= sixth - 1e-6)));
        let branin = |[y, x]: [f32; 2]| {
            let (a, b) = (15.0 * f64::from(x) - 5.0, 15.0 * f64::from(y));
            let pi = std::f64::consts::PI;
            let term = b - 5.1 / (4.0 * pi * pi) * a * a + 5.0 / pi * a - 6.0;
            -(term * term + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * a.cos() + 10.0) as f32
        };
        let best = search(195, branin)
            .into_iter()
            .map(branin)
            .fold(f32::MIN, f32::max);
        // The paper: 195 evaluations bring it to 0.01 % of the minimum, 0.397887.
        assert!(best > -0.397887 * 1.0005, "{best}");
    }
}
