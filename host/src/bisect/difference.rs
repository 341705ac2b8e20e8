//! How far two tensors are apart.

use std::collections::BTreeSet;

use foveola_core::Shape;

use super::network::Data;

/// How two tensors differ.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Values compared.
    pub values: usize,
    /// How many differ.
    pub different: usize,
    /// Largest difference: in steps of an int8 tensor, else in its own unit.
    pub largest: f64,
    /// Row, column and channel of the first that differs.
    pub first: [usize; 3],
    /// First row, column and channel in which one differs, and the last ones:
    /// the box that holds all.
    pub extent: [[usize; 3]; 2],
    /// Channels in which values differ.
    pub channels: usize,
    /// What the first should be, as it is stored.
    pub expected: f64,
    /// What it is.
    pub found: f64,
}

/// Largest difference of f32 tensors that counts as none, relative to the
/// largest expected value: engines sum in other orders.
pub const TOLERANCE: f64 = 1e-4;

/// The difference of two tensors of `shape`, if there is one.
pub fn difference(
    expected: &Data,
    found: &Data,
    shape: Shape,
    tolerance: f64,
) -> Option<Difference> {
    let slack = slack(expected, tolerance);
    let apart = |i: usize| {
        let apart = (expected.at(i) - found.at(i)).abs();
        // NaN differs from everything but NaN.
        match apart.is_nan() && expected.at(i).is_nan() != found.at(i).is_nan() {
            true => f64::INFINITY,
            false => apart,
        }
    };
    let length = expected.len().min(found.len());
    let wrong: Vec<usize> = (0..length).filter(|&i| apart(i) > slack).collect();
    let &first = wrong.first()?;
    let places: Vec<[usize; 3]> = wrong.iter().map(|&i| place(i, shape)).collect();
    let channels: BTreeSet<usize> = places.iter().map(|place| place[2]).collect();
    let edge = |of: fn(usize, usize) -> usize| {
        let edges = places.iter().copied();
        edges.reduce(|a, b| [0, 1, 2].map(|axis| of(a[axis], b[axis])))
    };
    Some(Difference {
        values: length,
        different: wrong.len(),
        largest: wrong.iter().map(|&i| apart(i)).fold(0.0, f64::max),
        first: place(first, shape),
        extent: [edge(usize::min)?, edge(usize::max)?],
        channels: channels.len(),
        expected: expected.at(first),
        found: found.at(first),
    })
}

/// What values may be apart and count as equal.
fn slack(expected: &Data, tolerance: f64) -> f64 {
    expected.real().map_or(0.0, |data| {
        let largest = data.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        f64::from(largest) * tolerance
    })
}

/// Row, column and channel of an element.
const fn place(i: usize, shape: Shape) -> [usize; 3] {
    [i / shape.row(), i / shape.c % shape.w, i % shape.c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_counts() {
        let shape = Shape::new(2, 3, 4);
        let expected = Data::Stored((0..24).collect());
        let mut found: Vec<i8> = (0..24).collect();
        (found[6], found[23]) = (9, 20);
        let d = difference(&expected, &Data::Stored(found), shape, 0.0).unwrap();
        assert_eq!((d.different, d.largest, d.channels), (2, 3.0, 2));
        assert_eq!((d.first, d.expected, d.found), ([0, 1, 2], 6.0, 9.0));
        assert_eq!(d.extent, [[0, 1, 2], [1, 2, 3]]);
        assert_eq!(difference(&expected, &expected, shape, 0.0), None);
    }

    #[test]
    fn floats_have_slack_and_nan_has_none() {
        let shape = Shape::new(1, 1, 2);
        let expected = Data::Real(vec![100.0, 1.0]);
        let with = |v| difference(&expected, &Data::Real(vec![100.0, v]), shape, TOLERANCE);
        assert_eq!(with(1.009), None);
        assert_eq!(with(1.02).unwrap().different, 1);
        assert_eq!(with(f32::NAN).unwrap().largest, f64::INFINITY);
    }
}
