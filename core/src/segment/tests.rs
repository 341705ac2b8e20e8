#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use std::vec;
use std::vec::Vec;

type Cut<'c> = &'c dyn Fn(&Colours<'_>, &mut Workspace<'_>, &mut [u16]) -> Result<usize, Error>;

/// Labels and their number, in buffers of exactly the stated size.
fn cut(colours: &Colours<'_>, numbers: usize, by: Cut<'_>) -> (Vec<u16>, usize) {
    let area = colours.shape.area();
    let (mut numbers, mut places) = (vec![9.0; numbers], vec![9; 2 * area]);
    let mut labels = vec![9; area];
    let mut workspace = Workspace {
        numbers: &mut numbers,
        places: &mut places,
    };
    let count = by(colours, &mut workspace, &mut labels).unwrap();
    (labels, count)
}

fn by_slic(colours: &Colours<'_>, parameters: Slic) -> (Vec<u16>, usize) {
    cut(colours, parameters.numbers(colours.shape), &|c, w, l| {
        slic(c, &parameters, w, l)
    })
}

fn by_quickshift(colours: &Colours<'_>) -> (Vec<u16>, usize) {
    let numbers = Quickshift::numbers(colours.shape);
    cut(colours, numbers, &|c, w, l| {
        // A border of 0.2 times 66 in colour is too far.
        let parameters = Quickshift {
            max_distance: 10.0,
            ..Quickshift::default()
        };
        quickshift(c, &parameters, w, l)
    })
}

/// Sizes of the connected pieces of each label, by spreading labels of places.
fn pieces(labels: &[u16], shape: Shape) -> Vec<(u16, usize)> {
    let mut place: Vec<usize> = (0..labels.len()).collect();
    loop {
        let before = place.clone();
        for at in 0..labels.len() {
            for other in [
                at.wrapping_sub(1),
                at + 1,
                at.wrapping_sub(shape.w),
                at + shape.w,
            ] {
                let beside = at.abs_diff(other) == shape.w || at / shape.w == other / shape.w;
                if other < labels.len() && beside && labels[other] == labels[at] {
                    place[at] = place[at].min(place[other]);
                }
            }
        }
        if place == before {
            break;
        }
    }
    let roots = (0..labels.len()).filter(|at| place[*at] == *at);
    roots
        .map(|root| (labels[root], place.iter().filter(|p| **p == root).count()))
        .collect()
}

/// Two halves of different colour, with a speckle, 18 x 30.
fn halves() -> (Shape, Vec<u8>) {
    let shape = Shape::new(18, 30, 3);
    let colour = |x: usize| {
        if x < 13 {
            [200, 30, 40]
        } else {
            [20, 160, 220]
        }
    };
    let mut data: Vec<u8> = (0..shape.area()).flat_map(|i| colour(i % 30)).collect();
    data[3 * (5 * 30 + 4)] = 90;
    (shape, data)
}

/// Means by hand; halves go away from 0.
#[test]
fn segments_in_their_mean_colour() {
    let labels = [1, 0, 1, 0, 0, 1];
    let segments = Segments::new(&labels);
    let mut scratch = [7.0; 6];
    assert_eq!(flatten_scratch(2, 2), scratch.len());
    let data = [0, 10, 1, 20, 1, 11, 2, 21, 0, 22, 4, 12];
    let mut out = [9; 12];
    flatten_pixels(&segments, 2, &data, &mut scratch, &mut out).unwrap();
    // 0: (1 + 2 + 0) / 3, (20 + 21 + 22) / 3; 1: 5 / 3, 33 / 3.
    assert_eq!(out, [2, 11, 1, 21, 2, 11, 1, 21, 1, 21, 2, 11]);
    let real = data.map(|v| f32::from(v) / 2.0);
    let mut out = [9.0; 12];
    flatten_tensor(&segments, 2, &real, &mut scratch, &mut out).unwrap();
    let [one, other] = [[5.0 / 6.0, 5.5], [0.5, 10.5]].map(|pair| pair.map(|v: f64| v as f32));
    let expected = [one, other, one, other, other, one];
    assert_eq!(out, expected.as_flattened());
    let short = flatten_pixels(&segments, 2, &data, &mut scratch[1..], &mut [0; 12]);
    assert!(matches!(
        short,
        Err(Error::BufferTooSmall { need: 6, have: 5 })
    ));
}

#[test]
fn grids_are_even() {
    let shape = Shape::new(5, 8, 3);
    let mut labels = [9; 40];
    assert_eq!(grid(shape, [2, 3], &mut labels), Ok(6));
    let row = |a: u16| [a, a, a, a + 1, a + 1, a + 1, a + 2, a + 2];
    let expected = [row(0), row(0), row(0), row(3), row(3)];
    assert_eq!(labels, *expected.as_flattened());
    let bad = Err(Error::BadParameter("number of segments"));
    for cells in [[0, 1], [6, 1], [1, 9]] {
        assert_eq!(grid(shape, cells, &mut labels), bad);
    }
    let short = Err(Error::BufferTooSmall { need: 40, have: 39 });
    assert_eq!(grid(shape, [1, 1], &mut labels[1..]), short);
    assert_eq!(grid_of(Shape::new(224, 224, 3), 49), [7, 7]);
    assert_eq!(grid_of(Shape::new(40, 80, 3), 8), [2, 4]);
    assert_eq!(grid_of(Shape::new(1, 3, 1), 100), [1, 3]);
}

/// CIE values of primaries under D65 (Lindbloom's calculator).
#[test]
fn colours_of_cie() {
    let cases = [
        ([255, 255, 255], [100.0, 0.0, 0.0]),
        ([0, 0, 0], [0.0, 0.0, 0.0]),
        ([255, 0, 0], [53.24, 80.09, 67.20]),
        ([0, 255, 0], [87.73, -86.18, 83.18]),
        ([0, 0, 255], [32.30, 79.19, -107.86]),
    ];
    for (rgb, expected) in cases {
        for (a, b) in colour::lab(rgb).into_iter().zip(expected) {
            assert!((a - b).abs() < 0.05, "{rgb:?}: {a} {b}");
        }
    }
}

/// Segments are about as many as asked for, those of SLIC hang together, and
/// none crosses the border between two colours.
#[test]
fn segments_follow_colours() {
    let (shape, data) = halves();
    let colours = Colours { shape, data: &data };
    let slic = |count| {
        let parameters = Slic {
            count,
            ..Slic::default()
        };
        by_slic(&colours, parameters)
    };
    for (i, (labels, count)) in [slic(15), slic(40), by_quickshift(&colours)]
        .into_iter()
        .enumerate()
    {
        let mut all: Vec<u16> = pieces(&labels, shape).iter().map(|p| p.0).collect();
        if i == 2 {
            all.sort_unstable();
            all.dedup();
        }
        assert_eq!(all, (0..count as u16).collect::<Vec<_>>());
        for label in 0..count as u16 {
            let columns = || (0..540).filter(|i| labels[*i] == label).map(|i| i % 30);
            assert!(columns().all(|x| x < 13) || columns().all(|x| x >= 13));
        }
    }
    for count in [15, 40] {
        let found = slic(count).1;
        assert!(found * 3 > count * 2 && found * 2 < count * 3, "{found}");
    }
    assert_eq!(slic(15), slic(15));
    // 18 x 30 pixels in 15 pieces: 36 pixels each, those below 9 have joined.
    assert!(pieces(&slic(15).0, shape).iter().all(|p| p.1 >= 9));
}

/// A flat picture has the segments of the grid: centres stay, ties go to the first.
#[test]
fn a_flat_picture_is_cut_evenly() {
    let shape = Shape::new(12, 18, 1);
    let data = [77; 216];
    let parameters = Slic {
        count: 6,
        ..Slic::default()
    };
    let (labels, count) = by_slic(&Colours { shape, data: &data }, parameters);
    assert_eq!(count, 6);
    for (_, size) in pieces(&labels, shape) {
        assert!((20..=54).contains(&size), "{size}");
    }
}

#[test]
fn bad_parameters() {
    let (shape, data) = halves();
    let colours = Colours { shape, data: &data };
    let (mut numbers, mut places) = (vec![0.0; 4096], vec![0; 1080]);
    let mut workspace = Workspace {
        numbers: &mut numbers,
        places: &mut places,
    };
    let mut labels = vec![0; 540];
    let mut cut = |parameters: Slic| slic(&colours, &parameters, &mut workspace, &mut labels);
    let usual = Slic::default();
    let bad = Err(Error::BadParameter("parameters of SLIC"));
    assert_eq!(cut(Slic { count: 0, ..usual }), bad);
    for compactness in [0.0, f32::NAN, f32::INFINITY] {
        assert_eq!(
            cut(Slic {
                compactness,
                ..usual
            }),
            bad
        );
    }
    assert!(cut(usual).is_ok());
    let kernel = Quickshift {
        kernel: 0.0,
        ..Quickshift::default()
    };
    let bad = Err(Error::BadParameter("parameters of quickshift"));
    assert_eq!(
        quickshift(&colours, &kernel, &mut workspace, &mut labels),
        bad
    );
    let two = Colours {
        shape: Shape::new(18, 15, 2),
        ..colours
    };
    let bad = Err(Error::BadParameter("shape of the picture to cut"));
    assert_eq!(slic(&two, &usual, &mut workspace, &mut labels), bad);
    workspace.numbers = &mut [];
    let short = slic(&colours, &usual, &mut workspace, &mut labels);
    assert!(matches!(short, Err(Error::BufferTooSmall { have: 0, .. })));
}
