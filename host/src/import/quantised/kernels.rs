//! Which operators have an int8 kernel, between which scales.

use foveola_core::Shape;
use foveola_core::net::op::{Activation, Op};

use crate::graph::Quant;

/// How an operator between quantised tensors becomes int8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// One node makes the output.
    Direct(Op),
    /// The node makes a tensor that is stored like this; a table makes the
    /// output of it.
    Then(Op, Quant),
}

/// An operator with what surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub op: Op,
    /// Fused range behind it.
    pub range: Activation,
    pub shapes: [Shape; 2],
    pub input: Quant,
    pub output: Quant,
}

/// Whether two tensors store a number alike.
pub fn alike(a: Quant, b: Quant) -> bool {
    a.scale == b.scale && a.zero_point == b.zero_point
}

/// The output of the int8 softmax.
const PROBABILITIES: Quant = Quant {
    scale: 1.0 / 256.0,
    zero_point: -128,
    unsigned: false,
};

/// How a case runs in int8, if it can.
pub fn plan(case: Case) -> Option<Plan> {
    let plain = case.range == Activation::None;
    let same = alike(case.input, case.output);
    let direct = Plan::Direct(case.op);
    let then = |quant: Quant| Plan::Then(case.op, quant);
    Some(match case.op {
        Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense => direct,
        Op::Binary(operation) if operation != foveola_core::net::op::Arithmetic::Div => direct,
        Op::Activate if plain => direct,
        Op::Mean { .. } | Op::Concat { .. } if plain => direct,
        Op::Mean { .. } | Op::Concat { .. } => then(case.output),
        Op::AveragePool { .. } => return average_pool(case),
        Op::MaxPool(_)
        | Op::GlobalMaxPool
        | Op::Slice { .. }
        | Op::Shuffle { .. }
        | Op::Pad { .. } => match plain && same {
            true => direct,
            // Picking elements and storing them anew commute.
            false => then(case.input),
        },
        Op::Softmax if plain && alike(case.output, PROBABILITIES) => direct,
        // Probabilities stored more finely than in steps of 1/256 lose by it.
        Op::Softmax if case.output.scale >= 0.99 * PROBABILITIES.scale => then(PROBABILITIES),
        _ => return None,
    })
}

/// The kernel's mean has the scale of its input; over the whole picture any
/// scale will do.
fn average_pool(case: Case) -> Option<Plan> {
    let Op::AveragePool {
        geometry,
        count_padding,
        pad_end,
    } = case.op
    else {
        return None;
    };
    let unpadded = geometry.pad == [0, 0] && pad_end == [0, 0];
    if count_padding && !unpadded {
        return None;
    }
    if alike(case.input, case.output) {
        return Some(Plan::Direct(Op::AveragePool {
            geometry,
            count_padding: false,
            pad_end,
        }));
    }
    let [input, output] = case.shapes;
    let whole = geometry.kernel.map(usize::from) == [input.h, input.w]
        && geometry.dilation == [1, 1]
        && unpadded
        && output.area() == 1;
    let mean = Case {
        op: Op::Mean {
            axes: [true, true, false],
        },
        ..case
    };
    if whole { plan(mean) } else { None }
}
