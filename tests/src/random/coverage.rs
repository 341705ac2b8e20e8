//! Which operators, attributes and corners a set of networks has drawn.

use std::collections::BTreeSet;

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::net::ops::packing::LANES;
use foveola_core::{At, Shape};

use super::corners::CORNERS;
pub use super::corners::OPS;

/// Names of the operators, attributes and corners that networks in f32 must show.
pub fn wanted() -> impl Iterator<Item = String> {
    OPS.iter().chain(CORNERS).map(|&name| name.to_owned())
}

/// What has been drawn.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    seen: BTreeSet<String>,
    /// Put before what is noted of a node.
    prefix: &'static str,
}

/// The name of an operator in [`OPS`].
pub fn name(op: Op) -> &'static str {
    match op {
        Op::Conv { .. } => "Conv",
        Op::Depthwise { .. } => "Depthwise",
        Op::Dense => "Dense",
        Op::Activate => "Activate",
        Op::PRelu => "PRelu",
        Op::Binary(Arithmetic::Add) => "Add",
        Op::Binary(Arithmetic::Sub) => "Sub",
        Op::Binary(Arithmetic::Mul) => "Mul",
        Op::Binary(Arithmetic::Div) => "Div",
        Op::Affine => "Affine",
        Op::Concat { .. } => "Concat",
        Op::Slice { .. } => "Slice",
        Op::Shuffle { .. } => "Shuffle",
        Op::Pad { .. } => "Pad",
        Op::MaxPool(_) => "MaxPool",
        Op::AveragePool { .. } => "AveragePool",
        Op::Mean { .. } => "Mean",
        Op::GlobalMaxPool => "GlobalMaxPool",
        Op::Lrn { .. } => "Lrn",
        Op::Softmax => "Softmax",
        Op::Quantise { .. } => "Quantise",
        Op::Dequantise => "Dequantise",
    }
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::None => "None",
        Activation::Relu => "Relu",
        Activation::Clip { .. } => "Clip",
        Activation::LeakyRelu { .. } => "LeakyRelu",
        Activation::HardSigmoid { .. } => "HardSigmoid",
        Activation::HardSwish => "HardSwish",
        Activation::Sigmoid => "Sigmoid",
        Activation::Silu => "Silu",
        Activation::Tanh => "Tanh",
    }
}

/// The operators of a model, as [`OPS`] names them, `int8` before those that
/// compute with integers.
pub fn operators(model: &Model<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for node in nodes(model) {
        let mut insert = |name: &str| names.insert(format!("{}{name}", prefix(&node)));
        insert(name(node.op));
        if let Op::Conv { geometry, groups } = node.op {
            if groups > 1 {
                insert("Grouped Conv");
            }
            if geometry.kernel == [1, 1] {
                insert("Pointwise Conv");
            }
        }
    }
    names
}

fn prefix(node: &NodeView<'_>) -> &'static str {
    if node.integers.is_some() { "int8 " } else { "" }
}

pub(super) fn nodes<'m>(model: &Model<'m>) -> impl Iterator<Item = NodeView<'m>> {
    let views = (0..model.node_count()).map(|index| model.node(index));
    views.map(|view| view.expect("an index below the count"))
}

impl Coverage {
    /// Notes that something has been drawn.
    pub fn note(&mut self, what: impl Into<String>) {
        let what = format!("{}{}", self.prefix, what.into());
        self.seen.insert(what);
    }

    pub(super) fn note_if(&mut self, holds: bool, what: &str) {
        if holds {
            self.note(what);
        }
    }

    /// What has not been drawn of `wanted`.
    pub fn missing(&self, wanted: impl IntoIterator<Item = String>) -> Vec<String> {
        let missing = |name: &String| !self.seen.contains(name);
        wanted.into_iter().filter(missing).collect()
    }

    /// Notes everything about a network and whether its picture is of pixels.
    pub fn network(&mut self, model: &Model<'_>, pixels: bool) {
        for name in operators(model) {
            self.note(name);
        }
        self.picture(model, pixels);
        for node in nodes(model) {
            self.prefix = prefix(&node);
            self.activation(&node);
            self.window(model, &node);
            self.operands(model, &node);
            self.layout(model, &node);
            self.values("weights", node.weights);
            self.values("weights", node.bias);
        }
        self.prefix = "";
    }

    fn picture(&mut self, model: &Model<'_>, pixels: bool) {
        let (shape, input) = (model.input(), model.input_id());
        self.note_if(shape.area() == 1, "picture 1x1");
        self.note_if(shape.h == 1 && shape.w > 1, "picture of one row");
        self.note_if(shape.w == 1 && shape.h > 1, "picture of one column");
        self.note_if(shape.c == 1, "picture of one channel");
        self.note(if pixels {
            "picture of pixels"
        } else {
            "picture of numbers"
        });
        let plan = model.plan(foveola_core::net::model::Pass::Forward);
        let held = plan.expect("a plan").value(input).length;
        let streamed = held < 4 * shape.len();
        self.note(if streamed {
            "streamed input"
        } else {
            "whole input"
        });
        let readers = |id| {
            nodes(model)
                .flat_map(|n| n.inputs().collect::<Vec<_>>())
                .filter(|&i| i == id)
                .count()
        };
        self.note_if(readers(input) > 1, "input read twice");
        self.note_if(nodes(model).any(|n| readers(n.output) > 1), "branch");
        self.note_if(model.classes() == 1, "one class");
        let layer = |pass| {
            matches!(
                pass,
                foveola_core::net::model::Pass::Backward(At::Tensor(_))
            )
        };
        self.note_if(!model.passes().any(layer), "no layer with rows and columns");
    }

    fn activation(&mut self, node: &NodeView<'_>) {
        let alone = if node.op == Op::Activate {
            "Activate"
        } else {
            "merged"
        };
        self.note(format!("{alone} {}", activation_name(node.activation)));
        match node.activation {
            Activation::Clip { lo, hi } => {
                self.note_if(lo == hi, "Clip lo = hi");
                self.note_if([lo, hi].iter().any(is_negative_zero), "Clip -0");
                self.note_if(lo == f32::MIN || hi == f32::MAX, "Clip one side");
            }
            Activation::LeakyRelu { slope } => {
                self.note_if(slope == 0.0, "LeakyRelu 0");
                self.note_if(slope.is_subnormal(), "LeakyRelu subnormal");
            }
            _ => {}
        }
    }

    fn window(&mut self, model: &Model<'_>, node: &NodeView<'_>) {
        let geometry = match node.op {
            Op::Conv { geometry, .. }
            | Op::Depthwise { geometry }
            | Op::MaxPool(geometry)
            | Op::AveragePool { geometry, .. } => geometry,
            _ => return,
        };
        let of = name(node.op);
        let (input, output) = (first_shape(model, node), model.shape(node.output));
        let mut note = |holds: bool, what: &str| self.note_if(holds, &format!("{of} {what}"));
        let Geometry {
            kernel,
            stride,
            dilation,
            pad,
        } = geometry;
        note(kernel == [1, 1], "kernel 1");
        note(kernel[0] != kernel[1], "kernel oblong");
        note(stride != [1, 1], "stride");
        note(
            stride[0] > kernel[0] || stride[1] > kernel[1],
            "stride > kernel",
        );
        note((0..2).any(|a| dilation[a] > 1 && kernel[a] > 1), "dilation");
        note(pad != [0, 0], "padding");
        let ends = past_the_end(geometry, input, output);
        note(ends.iter().any(|&past| past), "padding end");
        note(sees_padding_only(geometry, input, output), "padding only");
        note(
            usize::from(kernel[0]) * usize::from(kernel[1]) > 256,
            "over 256 taps",
        );
        note(input.area() == 1, "1x1 in");
        note(input.c == 1, "one channel in");
        note(output.c == 1, "one channel out");
        note(output.c % LANES != 0, "channels beside LANES");
        note(output.c % LANES == 0, "channels of LANES");
        note(node.bias.is_empty(), "without bias");
    }

    fn operands(&mut self, model: &Model<'_>, node: &NodeView<'_>) {
        let kind = match node.op {
            Op::PRelu => "PRelu",
            Op::Binary(_) => "Binary",
            _ => return,
        };
        let ids: Vec<_> = node.inputs().collect();
        let constant = |id| model.tensor(id).expect("a tensor").constant;
        let [a, b] = [ids[0], ids[1]].map(|id| model.shape(id));
        let output = model.shape(node.output);
        let of = if constant(ids[1]).is_some() {
            "constant"
        } else {
            "tensor"
        };
        self.note(format!("{kind} of a {of}"));
        self.note_if(
            constant(ids[0]).is_some(),
            &format!("{kind} constant first"),
        );
        self.note_if(ids[0] == ids[1], &format!("{kind} of itself"));
        self.note_if(b != output, &format!("{kind} broadcast"));
        self.note_if(
            b != output && a == output,
            &format!("{kind} second broadcast"),
        );
        self.note_if(
            a != output && b == output,
            &format!("{kind} first broadcast"),
        );
        self.note_if(
            a != output && b != output,
            &format!("{kind} both broadcast"),
        );
        self.note_if(b.len() == 1 && output.len() > 1, &format!("{kind} scalar"));
        for values in ids.into_iter().filter_map(constant) {
            let values: Vec<f32> = values.iter().collect();
            self.values("constant", &values);
        }
    }

    fn layout(&mut self, model: &Model<'_>, node: &NodeView<'_>) {
        let (input, output) = (first_shape(model, node), model.shape(node.output));
        match node.op {
            Op::Dense => {
                let of = if input.area() == 1 {
                    "vector"
                } else {
                    "picture"
                };
                self.note(format!("Dense of a {of}"));
                self.note_if(node.bias.is_empty(), "Dense without bias");
                self.note_if(input.len() == 1, "Dense one channel in");
            }
            Op::Concat { axis } => {
                self.note(format!("Concat axis {axis}"));
                self.concat(model, node);
            }
            Op::Slice { start, step } => {
                self.note_if(start != [0; 3], "Slice start");
                self.note_if(step != [1; 3], "Slice step");
                let next = usize::from(start[0]) + output.h * usize::from(step[0]);
                self.note_if(next < input.h, "Slice short");
            }
            Op::Shuffle { groups } => {
                self.note_if(
                    groups > 1 && usize::from(groups) < input.c,
                    "Shuffle groups",
                );
            }
            Op::Pad { before, mode } => self.pad(before, mode, input, output),
            Op::AveragePool {
                count_padding,
                pad_end,
                ..
            } => {
                let how = if count_padding { "counts" } else { "counts no" };
                self.note(format!("AveragePool {how} padding"));
                self.note_if(pad_end != [0, 0], "AveragePool end padding declared");
            }
            Op::Mean { .. } | Op::Lrn { .. } => self.reduction(node.op, input),
            Op::Softmax => self.note_if(input.area() > 1, "Softmax over a picture"),
            _ => {}
        }
    }

    /// Means and sums over several elements.
    fn reduction(&mut self, op: Op, input: Shape) {
        match op {
            Op::Mean { axes: [h, w, c] } => {
                let marks = [(h, "h"), (w, "w"), (c, "c")];
                let marks = marks.iter().filter(|(marked, _)| *marked);
                let marks: String = marks.map(|(_, name)| *name).collect();
                let marks = if marks.is_empty() { "none" } else { &marks };
                self.note(format!("Mean {marks}"));
            }
            Op::Lrn { size, beta, .. } => {
                self.note(if size % 2 == 0 { "Lrn even" } else { "Lrn odd" });
                self.note_if(usize::from(size) > input.c, "Lrn past the channels");
                self.note(if beta == 0.75 {
                    "Lrn beta 0.75"
                } else {
                    "Lrn other beta"
                });
            }
            _ => {}
        }
    }

    fn concat(&mut self, model: &Model<'_>, node: &NodeView<'_>) {
        let ids: Vec<_> = node.inputs().collect();
        self.note_if(ids.len() == 1, "Concat of one");
        let constant = |&id| model.tensor(id).expect("a tensor").constant.is_some();
        self.note_if(ids.iter().any(constant), "Concat of a constant");
        let twice = (1..ids.len()).any(|i| ids[..i].contains(&ids[i]));
        self.note_if(twice, "Concat of the same twice");
    }

    fn pad(&mut self, before: [u16; 3], mode: PadMode, input: Shape, output: Shape) {
        self.note(match mode {
            PadMode::Constant(_) => "Pad constant",
            PadMode::Edge => "Pad edge",
            PadMode::Reflect => "Pad reflect",
        });
        self.note_if(before != [0; 3], "Pad before");
        self.note_if(output.h > input.h + usize::from(before[0]), "Pad after");
        self.note_if(output.c > input.c, "Pad channels");
    }

    fn values(&mut self, of: &str, values: &[f32]) {
        // Packed weights are filled up with +0.
        self.note_if(values.iter().any(is_negative_zero), &format!("{of} -0"));
        self.note_if(
            values.iter().any(|v| v.is_subnormal()),
            &format!("{of} subnormal"),
        );
        self.note_if(values.iter().any(|v| v.abs() > 1e36), &format!("{of} huge"));
    }

    /// Notes what the values of a layer are.
    pub fn layer(&mut self, bits: &[u32]) {
        let values: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
        self.values("layer", &values);
        self.note_if(values.iter().any(|v| v.is_infinite()), "layer infinite");
    }
}

fn is_negative_zero(value: &f32) -> bool {
    value.to_bits() == 1 << 31
}

fn first_shape(model: &Model<'_>, node: &NodeView<'_>) -> Shape {
    model.shape(node.input(0).expect("an input"))
}

/// For rows and columns, whether the last window reaches past the input's end.
fn past_the_end(g: Geometry, input: Shape, output: Shape) -> [bool; 2] {
    [(0, input.h, output.h), (1, input.w, output.w)].map(|(axis, size, windows)| {
        let of = |pair: [u16; 2]| usize::from(pair[axis]);
        let last = (windows - 1) * of(g.stride) + (of(g.kernel) - 1) * of(g.dilation);
        last >= size + of(g.pad)
    })
}

/// Whether some window has no tap inside the input.
fn sees_padding_only(g: Geometry, input: Shape, output: Shape) -> bool {
    [(0, input.h, output.h), (1, input.w, output.w)]
        .into_iter()
        .any(|(axis, size, windows)| {
            let of = |pair: [u16; 2]| usize::from(pair[axis]);
            let inside = |at: usize| at >= of(g.pad) && at < size + of(g.pad);
            (0..windows).any(|window| {
                let mut taps =
                    (0..of(g.kernel)).map(|k| window * of(g.stride) + k * of(g.dilation));
                !taps.any(inside)
            })
        })
}
