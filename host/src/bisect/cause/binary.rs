//! Sums and products of two tensors with one thing wrong.

use foveola_core::Shape;
use foveola_core::net::op::{Arithmetic, Op};
use foveola_core::net::quant::Factor;

use super::linear::finished;
use super::rounding::{RealRule, Rounding};
use super::{Cause, Kind, Ranking, Scene, finishing};

/// Bits by which TFLite raises the inputs of a sum before it scales them.
const RAISED: u32 = 20;

struct Binary<'a> {
    scene: &'a Scene<'a>,
    arithmetic: Arithmetic,
    zeros: [i32; 2],
}

impl Binary<'_> {
    fn factor(&self, number: usize) -> Factor {
        let words = self.scene.node.words;
        let at = |i: usize| words.get(i).copied().unwrap_or(0);
        Factor {
            multiplier: at(2 * number),
            shift: at(2 * number + 1) as i8,
        }
    }

    /// The operands of an output element as they are stored.
    fn operands(&self, index: usize) -> [i32; 2] {
        let output = self.scene.node.output;
        let place = [
            index / output.row(),
            index / output.c % output.w,
            index % output.c,
        ];
        [0, 1].map(|number| {
            let shape = self.scene.of_inputs[number].0;
            i32::from(self.scene.inputs[number][broadcast(shape, place)])
        })
    }

    /// The result before the output's zero point.
    fn scaled(&self, index: usize, rule: Rounding, zeros: [i32; 2]) -> i32 {
        let [a, b] = self.operands(index);
        self.of(rule, [a - zeros[0], b - zeros[1]])
    }

    fn of(&self, rule: Rounding, [a, b]: [i32; 2]) -> i32 {
        if self.arithmetic == Arithmetic::Mul {
            return rule.scale(self.factor(0), a * b);
        }
        let a = rule.scale(self.factor(0), a << RAISED);
        let b = rule.scale(self.factor(1), b << RAISED);
        let sum = match self.arithmetic {
            Arithmetic::Sub => a.wrapping_sub(b),
            _ => a.wrapping_add(b),
        };
        rule.scale(self.factor(2), sum)
    }

    /// The same in real numbers: their quotient by the output's step.
    fn real(&self, index: usize) -> f64 {
        let [a, b] = self.operands(index);
        let real = |number: usize| {
            let Factor { multiplier, shift } = self.factor(number);
            f64::from(multiplier) * f64::powi(2.0, i32::from(shift) - 31)
        };
        let (a, b) = (f64::from(a - self.zeros[0]), f64::from(b - self.zeros[1]));
        let raised = f64::from(1_u32 << RAISED);
        match self.arithmetic {
            Arithmetic::Mul => a * b * real(0),
            Arithmetic::Sub => (a * real(0) - b * real(1)) * real(2) * raised,
            _ => (a * real(0) + b * real(1)) * real(2) * raised,
        }
    }
}

fn broadcast(shape: Shape, [y, x, c]: [usize; 3]) -> usize {
    let at = |i: usize, size: usize| if size == 1 { 0 } else { i };
    (at(y, shape.h) * shape.w + at(x, shape.w)) * shape.c + at(c, shape.c)
}

/// Tries everything that can go wrong with such a node.
pub(super) fn try_all(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    let Op::Binary(arithmetic) = scene.node.op else {
        return;
    };
    let (2, &[(_, zero_a), (_, zero_b)]) = (scene.inputs.len(), scene.of_inputs) else {
        return;
    };
    let zeros = [zero_a, zero_b];
    let binary = Binary {
        scene,
        arithmetic,
        zeros,
    };
    binary.rounding(ranking);
    finishing(scene, ranking, &|i| {
        binary.scaled(i, Rounding::Twice, zeros)
    });
    for (number, name) in ["first", "second"].into_iter().enumerate() {
        binary.operand(ranking, number, name);
    }
}

impl Binary<'_> {
    fn rounding(&self, ranking: &mut Ranking<'_>) {
        let scene = self.scene;
        for rule in Rounding::ALL.into_iter().filter(|r| *r != Rounding::Twice) {
            let text = || Cause::new(Kind::Rounding, format!("results are {}", rule.words()));
            ranking.consider(text, |i| finished(scene, self.scaled(i, rule, self.zeros)));
        }
        let exact: [RealRule; 4] = [
            ("halves to even", f64::round_ties_even),
            ("halves away from 0", f64::round),
            ("cut off towards 0", f64::trunc),
            ("rounded downwards", f64::floor),
        ];
        for (words, round) in exact {
            let text = || {
                let words = format!("results are computed in real numbers, {words}");
                Cause::new(Kind::Rounding, words)
            };
            ranking.consider(text, |i| finished(scene, round(self.real(i)) as i32));
        }
    }

    /// One operand with another zero point, or left out.
    fn operand(&self, ranking: &mut Ranking<'_>, number: usize, name: &str) {
        let (scene, zero) = (self.scene, self.zeros[number]);
        for other in (-128..128).filter(|&z| z != zero) {
            let mut wrong = self.zeros;
            wrong[number] = other;
            let text = || {
                let words = format!("the zero point of the {name} operand is {other}, not {zero}");
                Cause::new(Kind::ZeroPoint, words)
            };
            ranking.consider(text, |i| {
                finished(scene, self.scaled(i, Rounding::Twice, wrong))
            });
        }
        let text = || Cause::new(Kind::Operand, format!("the {name} operand is left out"));
        ranking.consider(text, |i| {
            let [a, b] = self.operands(i);
            let mut both = [a - self.zeros[0], b - self.zeros[1]];
            both[number] = 0;
            finished(scene, self.of(Rounding::Twice, both))
        });
    }
}
