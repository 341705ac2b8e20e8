//! How far two tensors are apart.

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
    /// Last row, column and channel in which one differs, and the first ones:
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
    let slack = match expected {
        Data::Stored(_) => 0.0,
        Data::Real(data) => {
            let largest = data.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
            f64::from(largest) * tolerance
        }
    };
    let length = expected.len().min(found.len());
    let apart = |i: usize| {
        let apart = (expected.at(i) - found.at(i)).abs();
        // NaN differs from everything but NaN.
        match apart.is_nan() && expected.at(i).is_nan() != found.at(i).is_nan() {
            true => f64::INFINITY,
            false => apart,
        }
    };
    let wrong: Vec<usize> = (0..length).filter(|&i| apart(i) > slack).collect();
    let &first = wrong.first()?;
    let place = |i: usize| [i / shape.row(), i / shape.c % shape.w, i % shape.c];
    let mut extent = [place(first); 2];
    let mut channels = vec![false; shape.c];
    for place in wrong.iter().map(|&i| place(i)) {
        channels[place[2]] = true;
        for axis in 0..3 {
            extent[0][axis] = extent[0][axis].min(place[axis]);
            extent[1][axis] = extent[1][axis].max(place[axis]);
        }
    }
    Some(Difference {
        values: length,
        different: wrong.len(),
        largest: wrong.iter().map(|&i| apart(i)).fold(0.0, f64::max),
        first: place(first),
        extent,
        channels: channels.iter().filter(|&&c| c).count(),
        expected: expected.at(first),
        found: found.at(first),
    })
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
