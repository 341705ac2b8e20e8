#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use std::vec;
use std::vec::Vec;

use zerocopy::FromZeros;
use zerocopy::little_endian::F32;

use super::*;
use crate::audit::policy::{Policy, Targets};
use crate::net::format::Aligned;
use crate::wire::message::Baseline;

const INPUT: Shape = Shape::new(6, 8, 3);

fn rule(boxes: &[BoxRecord]) -> Rule<'_> {
    Rule {
        number: 2,
        call: Call::GradCam {
            layer: None,
            relu: true,
        },
        targets: Targets::Best,
        score: None,
        seed: 0,
        unit: Unit::Pixels,
        boxes,
        least_inside: 0.5,
        border: None,
        most_border: 1.0,
        agreement: None,
    }
}

fn area([x, y, w, h]: [f32; 4]) -> BoxRecord {
    let [x, y, w, h] = [x, y, w, h].map(F32::new);
    BoxRecord { x, y, w, h }
}

/// One channel of the input's size: `count` of mass at each place.
fn map(mass: &[(usize, usize, f32)]) -> Vec<f32> {
    let mut map = vec![0.0; INPUT.area()];
    for &(y, x, value) in mass {
        map[y * INPUT.w + x] = value;
    }
    map
}

fn shown(rule: &Rule<'_>, map: &[f32]) -> Judgement {
    judge(rule, map, Shape { c: 1, ..INPUT }, INPUT, Outcome::Ok).unwrap()
}

#[test]
fn mass_inside_boxes_counts_once() {
    // 1 + 2 of 4 lie inside; the boxes overlap at (1, 2), -9 is no evidence.
    let boxes = [area([1.0, 0.0, 2.0, 2.0]), area([2.0, 1.0, 2.0, 2.0])];
    let mass = map(&[(1, 2, 1.0), (0, 1, 2.0), (5, 7, 1.0), (3, 3, -9.0)]);
    let judged = shown(&rule(&boxes), &mass);
    assert_eq!(
        (judged.inside, judged.reason, judged.code()),
        (0.75, None, 0)
    );
    let strict = Rule {
        least_inside: 0.76,
        ..rule(&boxes)
    };
    let judged = shown(&strict, &mass);
    assert_eq!(judged.reason, Some(Reason::Outside));
    assert_eq!(split_code(judged.code()), (2, Some(Reason::Outside)));
    // The same boxes in fractions of 8 x 6.
    let boxes = [
        area([0.125, 0.0, 0.25, 1.0 / 3.0]),
        area([0.25, 1.0 / 6.0, 0.25, 1.0 / 3.0]),
    ];
    let fractions = Rule {
        unit: Unit::Fractions,
        ..rule(&boxes)
    };
    assert_eq!(shown(&fractions, &mass).inside, 0.75);
}

#[test]
fn the_border_is_as_wide_as_it_says() {
    let mass = map(&[(0, 3, 1.0), (3, 7, 1.0), (2, 1, 1.0), (2, 3, 5.0)]);
    for (unit, width, share) in [
        (Unit::Pixels, 1.0, 0.25),
        (Unit::Pixels, 2.0, 0.375),
        (Unit::Pixels, 3.0, 1.0),
        (Unit::Fractions, 1.0 / 3.0, 0.375),
    ] {
        let rule = Rule {
            unit,
            border: Some(width),
            most_border: 0.3,
            ..rule(&[])
        };
        let judged = shown(&rule, &mass);
        assert_eq!((judged.border, judged.inside), (share, 1.0), "{width}");
        assert_eq!(judged.passed(), share < 0.3);
    }
}

#[test]
fn evidence_is_what_the_method_means() {
    let left = [area([0.0, 0.0, 4.0, 6.0])];
    let mut mass = map(&[(1, 1, -3.0), (1, 6, 1.0)]);
    let gradient = Rule {
        call: Call::Gradient,
        ..rule(&left)
    };
    assert_eq!(shown(&gradient, &mass).inside, 0.75);
    assert_eq!(shown(&rule(&left), &mass).inside, 0.0);
    // RISE: all 2 above the least, but one 5 and one at the least.
    mass.fill(2.0);
    (mass[0], mass[7]) = (5.0, 0.0);
    let rise = Rule {
        call: Call::Rise {
            masks: None,
            grid: None,
            keep: 0.5,
            baseline: Baseline::Blur,
            by_coverage: false,
            mindspore: false,
        },
        ..rule(&left)
    };
    let exact = (23.0 * 2.0 + 5.0) / (46.0 * 2.0 + 5.0);
    assert!((shown(&rise, &mass).inside - exact).abs() < 1e-6);
}

/// A coarse map is judged as it is shown: enlarged bilinearly.
#[test]
fn a_coarse_map_is_enlarged() {
    let coarse = [1.0, 3.0];
    let left = [area([0.0, 0.0, 4.0, 6.0])];
    let judged = judge(
        &rule(&left),
        &coarse,
        Shape::new(1, 2, 1),
        INPUT,
        Outcome::Ok,
    )
    .unwrap();
    let mut shown = [0.0; 48];
    crate::explain::upsample_bilinear(&coarse, [1, 2], [6, 8], &mut shown).unwrap();
    let total: f32 = shown.iter().sum();
    let inside: f32 = shown.chunks(8).flat_map(|row| &row[..4]).sum();
    assert!((judged.inside - inside / total).abs() < 1e-6);
    assert!((judged.inside - 0.3125).abs() < 0.02, "{}", judged.inside);
}

#[test]
fn of_several_channels_the_strongest_counts() {
    let mut map = vec![0.0; INPUT.len()];
    map[..3].copy_from_slice(&[1.0, -4.0, 2.0]);
    map[3 * 7..3 * 8].copy_from_slice(&[0.0, 0.0, 12.0]);
    let left = [area([0.0, 0.0, 4.0, 6.0])];
    let gradient = Rule {
        call: Call::Gradient,
        ..rule(&left)
    };
    let judged = judge(&gradient, &map, INPUT, INPUT, Outcome::Ok).unwrap();
    assert_eq!(judged.inside, 0.25);
}

#[test]
fn maps_that_say_nothing_have_reasons() {
    let shape = Shape { c: 1, ..INPUT };
    let good = map(&[(1, 1, 1.0)]);
    let ask = |map: &[f32], outcome| {
        judge(&rule(&[]), map, shape, INPUT, outcome)
            .unwrap()
            .reason
    };
    assert_eq!(ask(&good, Outcome::Ok), None);
    assert_eq!(ask(&good, Outcome::Flat), Some(Reason::Flat));
    assert_eq!(ask(&good, Outcome::Undefined("")), Some(Reason::Undefined));
    let stopped = Outcome::Partial { done: 1, total: 2 };
    assert_eq!(ask(&good, stopped), Some(Reason::Stopped));
    assert_eq!(ask(&map(&[]), Outcome::Ok), Some(Reason::Flat));
    assert_eq!(ask(&map(&[(0, 0, -1.0)]), Outcome::Ok), Some(Reason::Flat));
    for bad in [f32::NAN, f32::INFINITY] {
        assert_eq!(
            ask(&map(&[(0, 0, bad)]), Outcome::Ok),
            Some(Reason::NotFinite)
        );
    }
    let huge = map(&[(0, 0, 3e38), (0, 1, 3e38)]);
    assert_eq!(ask(&huge, Outcome::Ok), Some(Reason::NotFinite));
    assert!(judge(&rule(&[]), &good[1..], shape, INPUT, Outcome::Ok).is_err());
}

#[test]
fn reasons_have_numbers_of_their_own() {
    for (number, reason) in (1..).zip(Reason::ALL) {
        assert_eq!(reason.number(), number);
        assert_eq!(Reason::from_number(number), Some(reason));
        assert_eq!(split_code(verdict_code(7, reason)), (7, Some(reason)));
    }
    assert_eq!(split_code(3), (3, None));
}

/// A policy of one rule without anything but a stored map of 2 x 3 bytes.
fn with_reference(measure: u8, least: f32, cells: [u8; 6]) -> Aligned<[u8; 144]> {
    use crate::audit::policy::layout::{Head, MAGIC, RuleRecord};
    use zerocopy::IntoBytes;
    let head = Head {
        magic: MAGIC,
        length: 144.into(),
        rules: 1.into(),
        ..Head::new_zeroed()
    };
    let rule = RuleRecord {
        call: 128.into(),
        call_length: 1.into(),
        measure,
        rows: 2,
        columns: 3,
        least_agreement: F32::new(least),
        reference: 132.into(),
        reference_type: 1,
        ..RuleRecord::new_zeroed()
    };
    let mut bytes = Aligned([0; 144]);
    bytes.0[..64].copy_from_slice(head.as_bytes());
    bytes.0[64..128].copy_from_slice(rule.as_bytes());
    bytes.0[132..138].copy_from_slice(&cells);
    bytes
}

/// Ranks 1 .. 6 against 1 2 3 4 6 5: 1 - 6 * 2 / (6 * 35).
#[test]
fn agreement_is_a_rank_correlation() {
    let mut map = vec![0.0; 48];
    // Rows 0 to 2 lie in the first row of cells.
    for (y, row) in map.chunks_mut(8).enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            *value = (y * 2 / 6 * 3 + x * 3 / 8 + 1) as f32;
        }
    }
    for (measure, least, cells, wanted, passes) in [
        (1, 0.9, [1, 2, 3, 4, 6, 5], 1.0 - 12.0 / 210.0, true),
        (1, 0.95, [1, 2, 3, 4, 6, 5], 1.0 - 12.0 / 210.0, false),
        (1, 0.0, [6, 5, 4, 3, 2, 1], -1.0, false),
        (2, 1.0, [0, 0, 0, 0, 0, 9], 1.0, true),
        (2, 0.5, [0, 0, 9, 0, 0, 8], 0.0, false),
    ] {
        let bytes = with_reference(measure, least, cells);
        let policy = Policy::from_bytes(&bytes.0).unwrap();
        let judged = shown(&policy.rule(1).unwrap(), &map);
        assert!(
            (judged.agreement.unwrap() - wanted).abs() < 1e-6,
            "{judged:?}"
        );
        assert_eq!(judged.passed(), passes, "{judged:?}");
    }
    let flat = with_reference(1, 0.5, [4; 6]);
    assert!(Policy::from_bytes(&flat.0).is_err());
    let bytes = with_reference(1, 0.0, [1, 2, 3, 4, 5, 6]);
    let policy = Policy::from_bytes(&bytes.0).unwrap();
    let even = shown(&policy.rule(1).unwrap(), &[1.0; 48]);
    assert_eq!(
        (even.reason, even.agreement),
        (Some(Reason::Disagrees), None)
    );
}
