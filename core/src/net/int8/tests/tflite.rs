//! Small nodes whose answers TFLite's reference kernels gave
//! (`core/fixtures/tflite_int8.py` writes them).

use super::made::{Made, SHARES, Share, quantisation};
use crate::net::arch::Isa;
use crate::net::op::{Activation, Arithmetic, Geometry, Op};
use crate::net::quant::Quantisation;
use crate::tensor::Shape;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

const CASES: &str = include_str!("../../../../fixtures/tflite_int8.txt");

/// A case: its lines by name, those of inputs in order.
#[derive(Default, Debug)]
struct Case {
    operator: String,
    lines: BTreeMap<String, Vec<f64>>,
    inputs: Vec<(Shape, Quantisation)>,
    data: Vec<Vec<i8>>,
}

fn described(numbers: &[f64]) -> (Shape, Quantisation) {
    let [h, w, c] = [0, 1, 2].map(|i| numbers[i] as usize);
    let quant = quantisation(numbers[3] as f32, numbers[4] as i8);
    (Shape::new(h, w, c), quant)
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in CASES.lines() {
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "case" {
            cases.push(Case {
                operator: rest.into(),
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap();
        let numbers: Vec<f64> = rest.split(' ').map(|v| v.parse().unwrap()).collect();
        match name {
            "input" => case.inputs.push(described(&numbers)),
            "data" => case.data.push(numbers.iter().map(|&v| v as i8).collect()),
            _ => drop(case.lines.insert(name.into(), numbers)),
        }
    }
    cases
}

impl Case {
    fn op(&self) -> Op {
        let geometry = self.lines.get("geometry").map(|g| {
            let pair = |i: usize| [g[i] as u16, g[i + 1] as u16];
            Geometry {
                kernel: pair(0),
                stride: pair(2),
                dilation: pair(4),
                pad: pair(6),
            }
        });
        match self.operator.as_str() {
            "conv" => Op::Conv {
                geometry: geometry.unwrap(),
                groups: 1,
            },
            "depthwise" => Op::Depthwise {
                geometry: geometry.unwrap(),
            },
            "dense" => Op::Dense,
            "add" => Op::Binary(Arithmetic::Add),
            "sub" => Op::Binary(Arithmetic::Sub),
            "mul" => Op::Binary(Arithmetic::Mul),
            "max_pool" => Op::MaxPool(geometry.unwrap()),
            "average_pool" => Op::AveragePool {
                geometry: geometry.unwrap(),
                count_padding: false,
                pad_end: [0, 0],
            },
            "mean" => Op::Mean {
                axes: [true, true, false],
            },
            "concat" => Op::Concat { axis: 2 },
            "softmax" => Op::Softmax,
            _ => Op::Activate,
        }
    }

    fn activation(&self) -> Activation {
        let relu6 = Activation::Clip { lo: 0.0, hi: 6.0 };
        match self.operator.as_str() {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "hard_swish" => Activation::HardSwish,
            "leaky_relu" => Activation::LeakyRelu {
                slope: self.lines["slope"][0] as f32,
            },
            "relu" => Activation::Relu,
            "relu6" => relu6,
            _ => match self.lines.get("activation").map(|a| a[0] as u8) {
                Some(1) => Activation::Relu,
                Some(3) => relu6,
                _ => Activation::None,
            },
        }
    }

    /// Number of elements that differ from TFLite's, and the largest difference.
    fn difference(&self, isa: Isa, share: Share) -> (usize, i32) {
        let empty = Vec::new();
        let line = |name: &str| self.lines.get(name).unwrap_or(&empty).iter();
        let made = Made {
            op: self.op(),
            activation: self.activation(),
            inputs: self.inputs.clone(),
            output: described(&self.lines["output"]),
            unsigned: line("unsigned").next() == Some(&1.0),
            weights: line("weights").map(|&v| v as i8).collect(),
            weights_zero_point: line("weights_zero_point").next().map_or(0, |&v| v as i8),
            scales: line("scales").map(|&v| v as f32).collect(),
            bias: line("bias").map(|&v| v as i32).collect(),
            data: self.data.clone(),
            bytes: Vec::new(),
            words: Vec::new(),
            range: [0; 2],
        }
        .finish();
        let (out, _) = made.forward(isa, share);
        let result = &self.lines["result"];
        assert_eq!(out.len(), result.len());
        let off = out
            .iter()
            .zip(result)
            .map(|(&a, &b)| (i32::from(a) - b as i32).abs());
        (off.clone().filter(|&d| d > 0).count(), off.max().unwrap())
    }
}

#[test]
fn every_operator_gives_tflites_bytes() {
    let mut wrong: BTreeMap<String, [i32; 4]> = BTreeMap::new();
    for case in cases() {
        for isa in Isa::every() {
            for share in SHARES {
                let (count, most) = case.difference(isa, share);
                let row = wrong.entry(case.operator.clone()).or_default();
                row[0] += 1;
                row[1] += i32::from(count > 0);
                row[2] += count as i32;
                row[3] = row[3].max(most);
            }
        }
    }
    assert_eq!(wrong.len(), 18);
    assert!(
        wrong.values().all(|row| row[1] == 0),
        "runs, of them wrong, wrong elements, most: {wrong:?}"
    );
}
