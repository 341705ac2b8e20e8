//! Constants are those of SciPy 1.17.1 (`pearsonr`, `spearmanr`,
//! `1 - distance.cosine`), scikit-image 0.26.0 (`structural_similarity` of the
//! maps brought to 0..1, `data_range=1`) and NumPy 2 (stable `argsort`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic

use std::vec::Vec;

use super::*;

/// Two maps of 10 x 12 with ties, and 3a + b; exact in f32.
fn maps() -> [Vec<f32>; 3] {
    let a: Vec<f32> = (0..120)
        .map(|i| ((i * 37 + 11) % 101) as f32 / 4.0)
        .collect();
    let b: Vec<f32> = (0..120)
        .map(|i| ((i * 53 + 29) % 97) as f32 / 8.0)
        .collect();
    let c = a.iter().zip(&b).map(|(a, b)| 3.0 * a + b).collect();
    [a, b, c]
}

fn near(found: Scored, expected: f64) {
    let found = found.value().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
}

#[test]
fn correlations() {
    let [a, b, _] = maps();
    near(pearson(&a, &b), 0.011_209_406_779_667_964);
    near(cosine(&a, &b), 0.750_064_195_193_145_7);
    let mut scratch = [0; 240];
    near(
        spearman(&a, &b, &mut scratch).unwrap(),
        0.010_852_239_381_562_56,
    );
    let a = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    let b = [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];
    near(
        spearman(&a, &b, &mut scratch).unwrap(),
        0.198_853_681_209_924_67,
    );
    near(pearson(&a, &b), 0.209_655_319_073_021_1);
}

#[test]
fn a_map_agrees_with_itself_exactly() {
    for map in maps() {
        let one = Scored::Value(1.0);
        assert_eq!([pearson(&map, &map), cosine(&map, &map)], [one; 2]);
        assert_eq!(spearman(&map, &map, &mut [0; 240]), Ok(one));
    }
}

#[test]
fn structural_similarity() {
    let [a, b, c] = maps();
    near(ssim(&a, &b, [10, 12]), 0.142_214_096_830_669_74);
    near(ssim(&a, &c, [10, 12]), 0.985_167_475_934_388_5);
    near(ssim(&a, &c, [5, 24]), 0.983_132_090_050_062_5);
    near(ssim(&a, &a, [10, 12]), 1.0);
    let small = Scored::Undefined("a map is smaller than 3 x 3");
    assert_eq!(ssim(&a, &b, [2, 60]), small);
    assert_eq!(ssim(&a, &b, [10, 11]), Scored::Undefined(OTHER_SIZE));
}

#[test]
fn overlaps() {
    let [a, b, c] = maps();
    let mut scratch = [0; 240];
    let mut of = |a: &[f32], b: &[f32], share| overlap(a, b, share, &mut scratch).unwrap().unwrap();
    assert_eq!(
        of(&a, &b, 0.1),
        Overlap {
            iou: 0.0,
            share: 0.0
        }
    );
    let found = of(&a, &c, 0.1);
    assert_eq!(
        found,
        Overlap {
            iou: 10.0 / 14.0,
            share: 10.0 / 12.0
        }
    );
    assert_eq!(
        of(&a, &b, 1.0),
        Overlap {
            iou: 1.0,
            share: 1.0
        }
    );
    let bad = Error::BadParameter("share of the strongest elements");
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        assert_eq!(overlap(&a, &b, share, &mut scratch), Err(bad));
    }
    let short = Error::BufferTooSmall {
        need: 240,
        have: 239,
    };
    assert_eq!(overlap(&a, &b, 0.1, &mut scratch[..239]), Err(short));
}

#[test]
fn a_tenth_is_a_tenth() {
    for n in 1..5000 {
        assert_eq!(strongest(n, 0.1).unwrap(), n.div_ceil(10), "{n}");
    }
    assert_eq!(strongest(0, 0.1), Ok(0));
}

#[test]
fn what_has_no_number_says_why() {
    let a = [1.0, 2.0, 3.0];
    let nan = [1.0, f32::NAN, 3.0];
    let mut scratch = [0; 6];
    let cases: [(&[f32], &str); 4] = [
        (&a[..2], OTHER_SIZE),
        (&nan, NOT_FINITE),
        (&[2.0; 3], FLAT),
        (&[0.0, -0.0, 0.0], FLAT),
    ];
    for (other, reason) in cases {
        let none = Scored::Undefined(reason);
        assert_eq!(pearson(&a, other), none);
        assert_eq!(spearman(other, &a, &mut scratch), Ok(none));
        assert_eq!(ssim(&a, other, [1, 3]), none);
        assert_eq!(overlap(&a, other, 0.5, &mut scratch), Ok(Err(reason)));
    }
    assert_eq!(cosine(&a, &[0.0; 3]), Scored::Undefined(ALL_ZERO));
    assert_eq!(cosine(&[], &[]), Scored::Undefined(EMPTY));
    assert_eq!(spearman(&[], &[], &mut []), Ok(Scored::Undefined(EMPTY)));
}

#[test]
fn the_first_difference() {
    let a = [1.0, 0.0, 3.0];
    assert_eq!(first_difference(&a, &a), None);
    let differs = |place, values| Some(Difference { place, values });
    let zero = differs(1, [Some(0.0), Some(-0.0)]);
    assert_eq!(first_difference(&a, &[1.0, -0.0, 4.0]), zero);
    assert_eq!(first_difference(&a, &a[..2]), differs(2, [Some(3.0), None]));
    assert_eq!(first_difference(&[], &[2.0]), differs(0, [None, Some(2.0)]));
}
