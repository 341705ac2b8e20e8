//! What the check must refuse, and that what it accepts runs.

use super::made::{Made, SHARES, keeps_meaning, made};
use crate::Rule;
use crate::net::arch::Isa;
use crate::net::int8::check;
use crate::net::op::{Activation, Op};
use crate::net::ops::tests::Random;
use crate::net::ops::tests::cases::FAMILIES;

fn passes(made: &Made) -> bool {
    check(&made.node(0), &made.inputs)
}

fn refuses(made: &Made, spoil: impl FnOnce(&mut Made)) {
    let mut broken = made.clone();
    assert!(passes(&broken));
    spoil(&mut broken);
    assert!(!passes(&broken), "{broken:?}");
}

#[test]
fn nonsense_is_refused() {
    let mut random = Random(27);
    for family in 0..FAMILIES {
        let Some(made) = made(family, &mut random) else {
            continue;
        };
        refuses(&made, |m| m.range = [3, 2]);
        refuses(&made, |m| m.inputs[0].1.scale = 0.0);
        refuses(&made, |m| m.output.1.scale = f32::NAN);
        refuses(&made, |m| m.output.1.scale = f32::INFINITY);
        refuses(&made, |m| m.bytes.push(0));
        refuses(&made, |m| m.words.push(0));
        refuses(&made, |m| {
            let first = m.inputs[0];
            m.inputs.extend([first; 2]);
        });
        if keeps_meaning(made.op) {
            refuses(&made, |m| m.output.1.zero_point ^= 1);
        }
        if made.op != Op::Activate {
            refuses(&made, |m| {
                m.activation = Activation::LeakyRelu { slope: 0.5 };
            });
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut random = Random(28);
    // Grouped, plain, pointwise, depthwise, dense.
    for family in 0..5 {
        let made = made(family, &mut random).unwrap();
        let channels = made.words.len() / 2;
        let last = made.bytes.len() - 1;
        refuses(&made, |m| m.words[channels] = -1);
        refuses(&made, |m| m.bytes[last] = 31);
        refuses(&made, |m| m.bytes[last] = -32);
        refuses(&made, |m| m.words[0] = i32::MAX);
        refuses(&made, |m| m.words[0] = i32::MIN);
    }
    for family in [9, 10, 11, 14, 20] {
        let made = made(family, &mut random).unwrap();
        refuses(&made, |m| m.words[0] = -1);
        refuses(&made, |m| m.words[1] = 31);
        refuses(&made, |m| m.words[1] = -32);
    }
    let softmax = made(23, &mut random).unwrap();
    refuses(&softmax, |m| m.words[0] = -1);
    refuses(&softmax, |m| m.words[1] = -1);
    refuses(&softmax, |m| m.words[2] = 1);
    refuses(&softmax, |m| m.words[2] = i32::MIN);
    let pool = made(19, &mut random).unwrap();
    refuses(&pool, |m| m.words[0] = 1);
}

/// The largest sums that the check lets through do not overflow.
#[test]
fn accumulators_that_pass_the_check_hold() {
    let mut random = Random(29);
    for family in [1, 3, 4] {
        let mut made = made(family, &mut random).unwrap();
        made.weights.fill(-128);
        made.data[0].fill(-128);
        made.weights_zero_point = 127;
        made.inputs[0].1.zero_point = 127;
        made = made.finish();
        let channels = made.words.len() / 2;
        let filter = made.weights.len() / channels;
        let most = i32::MAX - 255 * 255 * filter as i32;
        made.words[0] = most;
        assert!(passes(&made), "{made:?}");
        for isa in Isa::every() {
            // Overflow would stop a build with checks.
            made.forward(isa, SHARES[3]);
        }
        refuses(&made, |m| m.words[0] = most + 1);
    }
}

/// Random numbers in every field: the check answers, and what it accepts runs.
#[test]
fn what_the_check_accepts_runs() {
    let mut random = Random(30);
    let mut ran = 0;
    for round in 0..20_000 {
        let Some(mut made) = made(round % FAMILIES, &mut random) else {
            continue;
        };
        let (words, bytes) = (made.words.len(), made.bytes.len());
        match random.below(4) {
            0 if words > 0 => {
                made.words[random.below(words)] = (random.below(1 << 32) as u32).cast_signed();
            }
            1 if words > 0 => {
                made.words[random.below(words)] = random.within(0, 64) as i32 - 32;
            }
            2 if bytes > 0 => {
                made.bytes[random.below(bytes)] = random.within(0, 255) as u8 as i8;
            }
            _ => {
                let (part, byte) = (random.below(made.inputs.len()), random.within(0, 255));
                made.inputs[part].1.zero_point = byte as u8 as i8;
                made.range = [0, 1].map(|_| random.within(0, 255) as u8 as i8);
            }
        }
        if passes(&made) {
            let seed = random.values(made.output.0.len());
            for isa in Isa::every() {
                let share = SHARES[round % 4];
                made.backward(0, Rule::Gradient, &seed, 0.0, isa, share);
            }
            ran += 1;
        }
    }
    assert!(ran > 1000, "{ran}");
}
