//! The kernels against TFLite's own answers and against plain loops.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop"
)]

mod tflite;

use super::make::{Spec, node, view};
use super::{Operand8, bytes_len, check, forward, keeps, scratch_len, words_len};
use crate::net::arch::Isa;
use crate::net::op::Op;
use crate::net::quant::Quantisation;
use crate::tensor::Shape;
use std::vec;
use std::vec::Vec;

/// The numbers that a writer makes of a specification.
struct Made {
    bytes: Vec<i8>,
    words: Vec<i32>,
    range: [i8; 2],
}

impl Made {
    fn of(spec: &Spec<'_>) -> Self {
        let (input, output) = (spec.inputs[0].0, spec.output.0);
        let mut made = Self {
            bytes: vec![0; bytes_len(spec.op, input, output)],
            words: vec![0; words_len(spec.op, spec.inputs.len(), output)],
            range: [0; 2],
        };
        made.range = node(spec, &mut made.bytes, &mut made.words).unwrap();
        let view = view(spec, 0, &made.bytes, &made.words, made.range).unwrap();
        assert!(check(&view, spec.inputs), "{spec:?} {:?}", made.words);
        made
    }
}

/// Calls of a node: part and offset, several for a `Concat`.
fn calls(spec: &Spec<'_>) -> Vec<(usize, usize)> {
    let Op::Concat { axis } = spec.op else {
        return vec![(0, 0)];
    };
    let mut offset = 0;
    let mut calls = Vec::new();
    for (part, (s, _)) in spec.inputs.iter().enumerate() {
        calls.push((part, offset));
        offset += [s.h, s.w, s.c][usize::from(axis)];
    }
    calls
}

/// Output and kept bytes of a node. `scratch` is a share of what the fastest variant wants.
fn run(
    spec: &Spec<'_>,
    made: &Made,
    data: &[Vec<i8>],
    isa: Isa,
    scratch: fn(usize) -> usize,
) -> (Vec<i8>, Vec<u8>) {
    let output = spec.output.0;
    let mut out = vec![77; output.len()];
    let kept = keeps(spec.op, spec.activation, spec.inputs[0].0, output);
    let mut keep = vec![0xAA; kept.bytes];
    let operands: Vec<Operand8<'_>> = spec
        .inputs
        .iter()
        .zip(data)
        .map(|(&(shape, quant), data)| Operand8 { shape, data, quant })
        .collect();
    for (part, offset) in calls(spec) {
        let node = view(spec, part, &made.bytes, &made.words, made.range).unwrap();
        let mut scratch = vec![0x55; scratch(scratch_len(&node, isa))];
        let operands = if calls(spec).len() > 1 {
            &operands[part..=part]
        } else {
            &operands[..]
        };
        forward(
            &node,
            operands,
            part,
            offset,
            &mut out,
            &mut keep,
            &mut scratch,
            isa,
        )
        .unwrap();
    }
    (out, keep)
}

fn quantisation(scale: f32, zero_point: i8) -> Quantisation {
    Quantisation { scale, zero_point }
}

fn shape(axes: &[f64]) -> Shape {
    Shape::new(axes[0] as usize, axes[1] as usize, axes[2] as usize)
}
