//! As the test of the same name for f32.

use super::made::{SHARES, made};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::int8::{backward_row, gate, record_gate, scratch_len};
use crate::net::op::Op;
use crate::net::ops::tests::Random;
use crate::net::ops::tests::cases::FAMILIES;
use crate::net::ops::tests::rows_back::by_rows;
use std::vec;
use std::vec::Vec;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Gates are recorded and applied row by row as well, into dirty bytes.
#[test]
fn rows_are_those_of_the_whole() {
    let mut random = Random(78);
    let mut checked = 0;
    for round in 0..4000 {
        let Some(made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        if !matches!(made.op, Op::Conv { .. } | Op::Depthwise { .. }) {
            continue;
        }
        let rule = [Rule::Gradient, Rule::Deconvolution, Rule::Guided][round % 3];
        let seed = random.values(made.output.0.len());
        let whole = made.backward(0, rule, &seed, 0.5, Isa::portable(), SHARES[0]);
        for isa in Isa::every() {
            let (out, mut keep) = made.forward(isa, SHARES[3]);
            let node = made.node(0);
            let (row, mut gradient) = (node.output.row(), seed.clone());
            for (y, out) in out.chunks(row).enumerate() {
                record_gate(&node, rule, out, y * row, &mut keep, isa);
            }
            for (y, gradient) in gradient.chunks_mut(row).enumerate() {
                gate(&node, rule, &keep, y * row, gradient).unwrap();
            }
            for share in SHARES {
                let words = share(scratch_len(&node, isa)).div_ceil(4);
                let mut words = vec![0x5555_5555_u32; words];
                let scratch = zerocopy::IntoBytes::as_mut_bytes(&mut words[..]);
                let mut found: Vec<f32> = Vec::new();
                by_rows(made.op, [node.input, node.output], &gradient, |rows, y| {
                    let mut to = vec![0.5; node.input.row()];
                    backward_row(&node, rows, y, &mut to, scratch, isa).unwrap();
                    found.extend(to);
                });
                assert_eq!(bits(&found), bits(&whole), "{made:?} {isa:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 500, "only {checked}");
}
