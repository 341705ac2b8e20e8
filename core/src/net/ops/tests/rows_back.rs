//! Gradients row by row, from a ring that holds only what is stated, against
//! gradients at once.

use super::cases::{FAMILIES, case};
use super::{Random, bits};
use crate::classifier::Rule;
use crate::net::arch::Isa;
use crate::net::model::RowWindow;
use crate::net::op::{Activation, Op};
use crate::net::ops::{Rows, backward_row, scratch_len};
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// Calls `row` with each row of the input: rows of the output's gradient enter
/// a ring only when a window reaches them, and NaN lies where none has been.
pub(in crate::net) fn by_rows(
    op: Op,
    [input, output]: [Shape; 2],
    gradient: &[f32],
    mut row: impl FnMut(Rows<'_>, usize),
) {
    let window = RowWindow::of(op, &[input], output).unwrap();
    let (width, modulo) = (output.row(), window.reach());
    let mut ring = vec![f32::NAN; width * modulo];
    let mut there = 0;
    for y in 0..input.h {
        while there < window.back_end(y).min(output.h) {
            let place = there % modulo * width;
            ring[place..place + width].copy_from_slice(&gradient[there * width..][..width]);
            there += 1;
        }
        let rows = Rows {
            data: &ring,
            row: width,
            modulo,
        };
        row(rows, y);
    }
}

#[test]
fn rows_are_those_of_the_whole() {
    let mut random = Random(77);
    let mut checked = 0;
    for round in 0..4000 {
        let mut case = case(round % FAMILIES, &mut random);
        if !matches!(case.op, Op::Conv { .. } | Op::Depthwise { .. }) {
            continue;
        }
        case.activation = Activation::None;
        let mut seed = random.values(case.output.len());
        for value in &mut seed {
            *value = if random.below(2) == 0 { *value } else { 0.0 };
        }
        let whole = case.backward(0, Rule::Gradient, &seed, 0.5, Isa::portable(), false);
        for isa in Isa::every() {
            let node = case.node(0);
            for scratch in [0, scratch_len(&node, isa)] {
                let mut scratch = vec![9.0; scratch];
                let mut found: Vec<f32> = Vec::new();
                by_rows(case.op, [node.input, node.output], &seed, |rows, y| {
                    let mut to = vec![0.5; node.input.row()];
                    let scratch = (&mut scratch[..], y > 0);
                    backward_row(&node, rows, y, &mut to, scratch, isa).unwrap();
                    found.extend(to);
                });
                assert_eq!(bits(&found), bits(&whole), "{case:?} {isa:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 500, "only {checked}");
}
