//! Which corners of the integer arithmetic a set of networks has drawn.

use foveola_core::net::model::{Integers, Model, NodeView, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::quant::Quantisation;
use foveola_core::{Score, TensorId};

use super::corners8::{CORNERS, OPS, PICTURES, REAL_OPS};
use super::coverage::{Coverage, nodes};

/// Names of all that networks in int8 must show.
pub fn wanted() -> impl Iterator<Item = String> {
    let int8 = OPS.iter().chain(CORNERS).map(|name| format!("int8 {name}"));
    let rest = REAL_OPS.iter().chain(PICTURES);
    int8.chain(rest.map(|&name| name.to_owned()))
}

/// Names of the operators in int8.
pub fn integer_operators() -> impl Iterator<Item = String> {
    OPS.iter().map(|name| format!("int8 {name}"))
}

fn quant(model: &Model<'_>, id: TensorId) -> Option<Quantisation> {
    model.tensor(id)?.quant
}

fn place(zero_point: i8) -> &'static str {
    match zero_point {
        -128 => "-128",
        0 => "0",
        127 => "127",
        _ => "between",
    }
}

impl Coverage {
    /// Notes what is particular to a network with integers; `stored` are the
    /// numbers of each layer, by node.
    pub fn integers(&mut self, model: &Model<'_>) {
        let mut real = false;
        for node in nodes(model) {
            match node.integers {
                Some(integers) => self.integer_node(model, &node, integers),
                None => real |= !matches!(node.op, Op::Quantise { .. } | Op::Dequantise),
            }
        }
        // The card's own softmax does not count.
        let logits = model.score_id(Score::Logit);
        let own = nodes(model).any(|n| n.output == logits && n.integers.is_none());
        self.note_if(real && own, "int8 and f32 mixed");
        let last = nodes(model).last().expect("a node");
        let answers = last.op == Op::Dequantise && last.output != logits;
        self.note_if(answers, "probabilities in int8");
        let whole = matches!(nodes(model).next().map(|n| n.op), Some(Op::Quantise { scale, .. }) if scale == 1.0);
        self.note(match whole {
            true => "input of integers",
            false => "input of real numbers",
        });
        self.rings(model);
    }

    fn integer_node(&mut self, model: &Model<'_>, node: &NodeView<'_>, integers: Integers<'_>) {
        let tensor = model.tensor(node.output).expect("an output");
        let to = tensor.quant.expect("it is stored");
        let unsigned = if tensor.unsigned { "uint8" } else { "int8" };
        self.note(format!("int8 model of {unsigned}"));
        let zero = place(to.zero_point);
        self.note(format!("int8 output zero point {zero}"));
        for id in node.inputs() {
            let from = quant(model, id).expect("it is stored");
            let zero = place(from.zero_point);
            self.note(format!("int8 input zero point {zero}"));
            if let Op::Concat { .. } = node.op {
                let how = if from == to { "copies" } else { "rescales" };
                self.note(format!("int8 Concat {how}"));
            }
        }
        let [low, high] = integers.range;
        self.note_if(low > -128, "int8 range from below");
        self.note_if(high < 127, "int8 range from above");
        self.note_if(low == high, "int8 range of one number");
        if matches!(node.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense) {
            self.weights8(integers);
        }
    }

    fn weights8(&mut self, integers: Integers<'_>) {
        let count = integers.words.len() / 2;
        let (bias, multipliers) = integers.words.split_at(count);
        let (weights, shifts) = integers
            .bytes
            .split_at(integers.bytes.len().saturating_sub(count));
        let factors = || multipliers.iter().zip(shifts);
        let differ = factors().any(|f| Some(f) != factors().next());
        self.note_if(differ, "int8 weights scaled per channel");
        self.note_if(!differ && count > 1, "int8 weights scaled per tensor");
        let zero = place(integers.weights_zero_point);
        self.note(format!("int8 weights zero point {zero}"));
        let ends = weights.contains(&-128) && weights.contains(&127);
        self.note_if(ends, "int8 weights at both ends");
        let large = bias.iter().any(|b| b.unsigned_abs() > 1 << 18);
        self.note_if(large, "int8 sum with a bias above 2^18");
        self.note_if(shifts.iter().any(|&s| s > 0), "int8 factor above 1");
        self.note_if(shifts.iter().any(|&s| s < -8), "int8 factor below 2^-8");
    }

    /// Nodes that run together, row by row.
    fn rings(&mut self, model: &Model<'_>) {
        let plan = model.plan(Pass::Forward).expect("a plan");
        let mut together = 1;
        for node in nodes(model) {
            let tensor = model.tensor(node.output).expect("an output");
            let ring = plan.value(node.output).length < tensor.size();
            together = if ring { together + 1 } else { 1 };
            self.note_if(ring && node.integers.is_some(), "int8 row by row");
            self.note_if(together >= 3, "int8 three nodes together");
        }
    }

    /// Notes what the stored numbers of a layer are, given its real ones.
    pub fn stored(&mut self, model: &Model<'_>, node: &NodeView<'_>, bits: &[u32]) {
        let (Some(_), Some(quant)) = (node.integers, quant(model, node.output)) else {
            return;
        };
        let at = |stored: i8| {
            let real = quant.real(stored).to_bits();
            bits.iter().filter(|&&b| b == real).count()
        };
        let (below, above) = (at(-128), at(127));
        self.note_if(below > 0, "int8 saturated below");
        self.note_if(above > 0, "int8 saturated above");
        self.note_if(below + above == bits.len(), "int8 all saturated");
        self.note_if(below + above == 0, "int8 nothing saturated");
    }
}
