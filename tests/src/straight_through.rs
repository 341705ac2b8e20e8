//! The gradient of an int8 network by its definition, in f64: each operator is
//! differentiated as a function of real numbers at the numbers that the network
//! stored, and a stored number lets a gradient through if it lies strictly
//! inside its clip range (Y. Bengio et al., "Estimating or Propagating Gradients
//! Through Stochastic Neurons", 2013: the straight-through estimator).

use foveola::graph::{Graph, Node, Quant};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::{Rule, Shape, TensorId};

use crate::interpreter::{index, real_weights, tap, taps};

/// A network and what it stored for a picture.
pub struct Run<'a> {
    graph: &'a Graph,
    /// Stored numbers by tensor; empty for tensors in f32.
    stored: &'a [Vec<i8>],
}

/// What one output element's derivative adds to: input number, element, factor.
type Add<'a> = dyn FnMut(usize, usize, f64) + 'a;

impl<'a> Run<'a> {
    /// A network whose nodes, `Quantise` and `Dequantise` apart, all compute in
    /// int8, and the numbers of each tensor.
    pub fn new(graph: &'a Graph, stored: &'a [Vec<i8>]) -> Self {
        Self { graph, stored }
    }

    /// Gradient of element `class` of the logits at the input, HWC.
    pub fn gradient(&self, class: usize, rule: Rule) -> Vec<f64> {
        let tensors = &self.graph.tensors;
        let zeros = |t: &foveola::graph::Tensor| vec![0.0; t.shape.len()];
        let mut gradients: Vec<Vec<f64>> = tensors.iter().map(zeros).collect();
        gradients[index(self.graph.logits)][class] = 1.0;
        for node in self.graph.nodes.iter().rev() {
            let mut gradient = gradients[index(node.output)].clone();
            if gradient.iter().all(|&g| g == 0.0) {
                continue;
            }
            self.gate(node, rule, &mut gradient);
            let node = &self.real(node);
            for (element, &g) in gradient.iter().enumerate().filter(|(_, g)| **g != 0.0) {
                self.row(node, element, (g, rule), &mut |part, at, factor| {
                    gradients[index(node.inputs[part])][at] += g * factor;
                });
            }
        }
        gradients.swap_remove(index(self.graph.input))
    }

    fn quant(&self, id: TensorId) -> Quant {
        self.graph.tensor(id).quant.expect("a stored tensor")
    }

    fn shape(&self, id: TensorId) -> Shape {
        self.graph.tensor(id).shape
    }

    /// The node with real weights.
    fn real(&self, node: &Node) -> Node {
        let weights = node.quantised.as_ref();
        weights.map_or_else(
            || node.clone(),
            |weights| real_weights(node, weights, self.quant(node.inputs[0])),
        )
    }

    /// The real number that an element means.
    fn value(&self, id: TensorId, at: usize) -> f64 {
        let tensor = self.graph.tensor(id);
        if let Some(values) = &tensor.constant {
            return values[at].into();
        }
        let quant = self.quant(id);
        let steps = i32::from(self.stored[index(id)][at]) - i32::from(quant.zero_point);
        f64::from(steps) * f64::from(quant.scale)
    }

    fn gate(&self, node: &Node, rule: Rule, gradient: &mut [f64]) {
        let Some(quant) = self.graph.tensor(node.output).quant else {
            return;
        };
        let is_relu = matches!(node.activation, Activation::Relu | Activation::Clip { .. });
        if moves(node.op) && !is_relu {
            return;
        }
        let place = |real: f32| {
            let q = (real / quant.scale).round() + f32::from(quant.zero_point);
            q.clamp(-128.0, 127.0) as i8
        };
        let (low, high) = match node.activation {
            Activation::Relu => (place(0.0), 127),
            Activation::Clip { lo, hi } => (place(lo), place(hi)),
            _ => (-128, 127),
        };
        for (g, &q) in gradient.iter_mut().zip(&self.stored[index(node.output)]) {
            let open = match (rule, is_relu) {
                (Rule::Deconvolution, true) => q < high && *g > 0.0,
                (Rule::Gradient, _) | (_, false) => low < q && q < high,
                _ => low < q && q < high && *g > 0.0,
            };
            if !open {
                *g = 0.0;
            }
        }
    }

    /// The derivative of one output element by every input element.
    fn row(&self, node: &Node, element: usize, (g, rule): (f64, Rule), add: &mut Add<'_>) {
        let (x, to) = (node.inputs[0], self.shape(node.output));
        let from = self.shape(x);
        let out = place_of(element, to);
        match node.op {
            Op::Quantise { scale, .. } => {
                let quant = self.quant(node.output);
                add(0, element, f64::from(quant.scale) / f64::from(scale));
            }
            Op::Dequantise => add(0, element, 1.0),
            Op::Conv { geometry, groups } => {
                conv(node, &geometry, groups.into(), (from, to), out, add)
            }
            Op::Depthwise { geometry } => {
                for t in taps(&geometry) {
                    if let Some([y, w]) = tap(&geometry, from, [out[0], out[1]], t) {
                        let at = (t[0] * usize::from(geometry.kernel[1]) + t[1]) * to.c + out[2];
                        add(0, at_of([y, w, out[2]], from), node.weights[at].into());
                    }
                }
            }
            Op::Dense => {
                let n = from.len();
                for (i, &w) in node.weights[element * n..(element + 1) * n]
                    .iter()
                    .enumerate()
                {
                    add(0, i, w.into());
                }
            }
            Op::Activate => add(
                0,
                element,
                slope(node.activation, self.value(x, element), g, rule),
            ),
            Op::Binary(arithmetic) => self.binary(node, arithmetic, out, add),
            Op::Softmax => self.softmax(x, from, (element, out), add),
            _ => self.window(node, out, add),
        }
    }

    fn binary(&self, node: &Node, arithmetic: Arithmetic, out: [usize; 3], add: &mut Add<'_>) {
        let [a, b] = [0, 1].map(|part: usize| {
            let id = node.inputs[part];
            let at = narrowed(out, self.shape(id));
            (at, self.value(id, at))
        });
        let (first, second) = match arithmetic {
            Arithmetic::Add => (1.0, 1.0),
            Arithmetic::Sub => (1.0, -1.0),
            Arithmetic::Mul => (b.1, a.1),
            Arithmetic::Div => panic!("no quotient in int8"),
        };
        add(0, a.0, first);
        add(1, b.0, second);
    }

    fn softmax(
        &self,
        x: TensorId,
        from: Shape,
        (element, out): (usize, [usize; 3]),
        add: &mut Add<'_>,
    ) {
        let first = element - out[2];
        let values: Vec<f64> = (0..from.c).map(|c| self.value(x, first + c)).collect();
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = values.iter().map(|v| (v - most).exp()).sum();
        let y: Vec<f64> = values.iter().map(|v| (v - most).exp() / sum).collect();
        for c in 0..from.c {
            let own = if c == out[2] { 1.0 } else { 0.0 };
            add(0, first + c, y[out[2]] * (own - y[c]));
        }
    }

    /// Operators that choose or average elements.
    fn window(&self, node: &Node, out: [usize; 3], add: &mut Add<'_>) {
        let x = node.inputs[0];
        let from = self.shape(x);
        let to = self.shape(node.output);
        match node.op {
            Op::MaxPool(geometry) => {
                let places = inside(&geometry, from, out);
                add(0, self.first_largest(x, &places), 1.0);
            }
            Op::GlobalMaxPool => {
                let places: Vec<usize> = (0..from.area()).map(|i| i * from.c + out[2]).collect();
                add(0, self.first_largest(x, &places), 1.0);
            }
            Op::AveragePool {
                geometry,
                count_padding,
                pad_end,
            } => {
                let places = inside(&geometry, from, out);
                let count = match count_padding {
                    true => declared(&geometry, pad_end, from, out),
                    false => places.len(),
                };
                for at in places {
                    add(0, at, 1.0 / count as f64);
                }
            }
            Op::Mean { axes } => {
                let size = [from.h, from.w, from.c];
                let extent = [0, 1, 2].map(|a| if axes[a] { size[a] } else { 1 });
                let count = extent.iter().product::<usize>() as f64;
                for y in 0..extent[0] {
                    for w in 0..extent[1] {
                        for c in 0..extent[2] {
                            add(
                                0,
                                at_of([out[0] + y, out[1] + w, out[2] + c], from),
                                1.0 / count,
                            );
                        }
                    }
                }
            }
            Op::Concat { axis } => {
                let mut at = out;
                let axis = usize::from(axis);
                for (part, &id) in node.inputs.iter().enumerate() {
                    let shape = self.shape(id);
                    let size = [shape.h, shape.w, shape.c][axis];
                    if at[axis] < size {
                        return add(part, at_of(at, shape), 1.0);
                    }
                    at[axis] -= size;
                }
            }
            Op::Slice { start, step } => {
                let at = [0, 1, 2].map(|a| usize::from(start[a]) + out[a] * usize::from(step[a]));
                add(0, at_of(at, from), 1.0);
            }
            Op::Shuffle { groups } => {
                let (groups, o) = (usize::from(groups), out[2]);
                let c = (o % groups) * (to.c / groups) + o / groups;
                add(0, at_of([out[0], out[1], c], from), 1.0);
            }
            Op::Pad { before, mode } => {
                if let Some(at) = unpadded(before, mode, from, out) {
                    add(0, at_of(at, from), 1.0);
                }
            }
            other => panic!("{other:?} computes in f32"),
        }
    }

    fn first_largest(&self, x: TensorId, places: &[usize]) -> usize {
        let stored = &self.stored[index(x)];
        let better = |best: usize, &at: &usize| if stored[at] > stored[best] { at } else { best };
        places.iter().fold(places[0], better)
    }
}

fn moves(op: Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::Slice { .. }
            | Op::Shuffle { .. }
            | Op::Pad { .. }
    )
}

fn place_of(element: usize, shape: Shape) -> [usize; 3] {
    let pixel = element / shape.c;
    [pixel / shape.w, pixel % shape.w, element % shape.c]
}

fn at_of([y, x, c]: [usize; 3], shape: Shape) -> usize {
    assert!(
        y < shape.h && x < shape.w && c < shape.c,
        "inside the tensor"
    );
    (y * shape.w + x) * shape.c + c
}

/// The element that is broadcast to a place.
fn narrowed([y, x, c]: [usize; 3], shape: Shape) -> usize {
    let wrap = |i: usize, n: usize| if n == 1 { 0 } else { i };
    at_of(
        [wrap(y, shape.h), wrap(x, shape.w), wrap(c, shape.c)],
        shape,
    )
}

fn conv(
    node: &Node,
    g: &Geometry,
    groups: usize,
    (from, to): (Shape, Shape),
    [y, x, o]: [usize; 3],
    add: &mut Add<'_>,
) {
    let per_group = from.c / groups;
    let first = o / (to.c / groups) * per_group;
    let [kh, kw] = g.kernel.map(usize::from);
    for t in taps(g) {
        if let Some([iy, ix]) = tap(g, from, [y, x], t) {
            for i in 0..per_group {
                let weight = node.weights[((o * kh + t[0]) * kw + t[1]) * per_group + i];
                add(0, at_of([iy, ix, first + i], from), weight.into());
            }
        }
    }
}

/// Elements of a window inside the input.
fn inside(g: &Geometry, from: Shape, [y, x, c]: [usize; 3]) -> Vec<usize> {
    let places = taps(g).filter_map(|t| tap(g, from, [y, x], t));
    places.map(|[y, x]| at_of([y, x, c], from)).collect()
}

/// Taps inside the input and its declared padding.
fn declared(g: &Geometry, pad_end: [u16; 2], from: Shape, out: [usize; 3]) -> usize {
    let size = [from.h, from.w];
    let inside = |t: &[usize; 2]| {
        (0..2).all(|d| {
            let at = out[d] * usize::from(g.stride[d]) + t[d] * usize::from(g.dilation[d]);
            at < size[d] + usize::from(g.pad[d]) + usize::from(pad_end[d])
        })
    };
    taps(g).filter(inside).count()
}

fn unpadded(before: [u16; 3], mode: PadMode, from: Shape, out: [usize; 3]) -> Option<[usize; 3]> {
    let size = [from.h, from.w, from.c];
    let mut at = [0; 3];
    for a in 0..3 {
        let (p, n) = (out[a] as i64 - i64::from(before[a]), size[a] as i64);
        at[a] = match mode {
            PadMode::Constant(_) if !(0..n).contains(&p) => return None,
            PadMode::Reflect if p < 0 => -p,
            PadMode::Reflect if p >= n => 2 * (n - 1) - p,
            _ => p.clamp(0, n - 1),
        } as usize;
    }
    Some(at)
}

/// Derivative of a function of one element; a leaky ReLU follows the rule.
fn slope(activation: Activation, x: f64, g: f64, rule: Rule) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::None | Activation::Relu | Activation::Clip { .. } => 1.0,
        Activation::LeakyRelu { slope } => {
            let slope = f64::from(slope);
            let positive = x > 0.0;
            let open = if positive { 1.0 } else { slope };
            match rule {
                Rule::Gradient => open,
                Rule::Deconvolution if g > 0.0 => 1.0,
                Rule::Guided if g > 0.0 => open,
                _ => 0.0,
            }
        }
        Activation::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f64::from(alpha), f64::from(beta));
            let y = alpha * x + beta;
            if y > 0.0 && y < 1.0 { alpha } else { 0.0 }
        }
        Activation::HardSwish => {
            if x <= -3.0 {
                0.0
            } else if x >= 3.0 {
                1.0
            } else {
                x / 3.0 + 0.5
            }
        }
        Activation::Sigmoid => sigmoid * (1.0 - sigmoid),
        Activation::Silu => sigmoid + x * sigmoid * (1.0 - sigmoid),
        Activation::Tanh => 1.0 - x.tanh().powi(2),
    }
}
