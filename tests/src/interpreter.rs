//! A graph run by definition, in f64, one element at a time: the oracle for
//! what import and simplification make of a model. An int8 node computes with
//! the real numbers that its integers mean; only its result is rounded.

use foveola::graph::{Graph, Node, Quant, QuantisedWeights};
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};
use foveola_core::{Shape, TensorId};

/// A tensor's value: shape and elements in HWC order.
#[derive(Clone, Debug)]
pub struct Value {
    /// Height, width, channels.
    pub shape: Shape,
    /// Elements.
    pub data: Vec<f64>,
}

impl Value {
    fn fill(shape: Shape, mut element: impl FnMut([usize; 3]) -> f64) -> Self {
        let mut data = Vec::with_capacity(shape.len());
        for y in 0..shape.h {
            for x in 0..shape.w {
                for c in 0..shape.c {
                    data.push(element([y, x, c]));
                }
            }
        }
        Self { shape, data }
    }

    /// An element; an axis of length 1 is broadcast.
    fn at(&self, [y, x, c]: [usize; 3]) -> f64 {
        let s = self.shape;
        let wrap = |i: usize, n: usize| if n == 1 { 0 } else { i };
        let (y, x, c) = (wrap(y, s.h), wrap(x, s.w), wrap(c, s.c));
        assert!(y < s.h && x < s.w && c < s.c, "inside the tensor");
        self.data[(y * s.w + x) * s.c + c]
    }
}

/// Values of all tensors of a graph for an input in HWC order.
pub fn run(graph: &Graph, input: &[f32]) -> Vec<Option<Value>> {
    let mut values: Vec<Option<Value>> = graph
        .tensors
        .iter()
        .map(|t| t.constant.as_ref().map(|c| value(t.shape, c)))
        .collect();
    let shape = graph.tensor(graph.input).shape;
    assert_eq!(input.len(), shape.len(), "the input has the graph's shape");
    values[index(graph.input)] = Some(value(shape, input));
    for node in &graph.nodes {
        let inputs: Vec<&Value> = node
            .inputs
            .iter()
            .map(|&i| values[index(i)].as_ref().expect("nodes are in run order"))
            .collect();
        let weights = node.quantised.as_ref();
        let step = node.inputs.first().and_then(|&i| graph.tensor(i).quant);
        let real = weights.map(|weights| real_weights(node, weights, step.expect("an int8 input")));
        let output = graph.tensor(node.output);
        let mut result = compute(real.as_ref().unwrap_or(node), &inputs, output.shape);
        for v in &mut result.data {
            *v = activate(node.activation, *v);
        }
        if let Some(quant) = output.quant {
            // Behind a model's integers the node's own numbers say which is which.
            let (scale, zero) = match node.op {
                Op::Quantise { scale, zero_point } => (scale, zero_point),
                _ => (quant.scale, quant.zero_point),
            };
            for v in &mut result.data {
                *v = stored(*v, scale, zero) - f64::from(quant.zero_point);
                *v *= f64::from(quant.scale);
            }
        }
        assert!(values[index(node.output)].is_none(), "one maker a tensor");
        values[index(node.output)] = Some(result);
    }
    values
}

/// The integer that a real number is stored as: halves go to the even one, as
/// ONNX has it.
pub fn stored(real: f64, scale: f32, zero_point: i8) -> f64 {
    let q = (real / f64::from(scale)).round_ties_even() + f64::from(zero_point);
    q.clamp(-128.0, 127.0)
}

/// A node with the real numbers of its int8 weights and int32 biases.
pub(crate) fn real_weights(node: &Node, weights: &QuantisedWeights, input: Quant) -> Node {
    let outputs = match weights.scales.len() {
        1 => weights.bias.len().max(1),
        n => n,
    };
    let scale = |channel: usize| {
        let own = weights.scales.get(channel).unwrap_or(&weights.scales[0]);
        f64::from(*own)
    };
    let per_output = weights.weights.len() / outputs;
    let channel = |i: usize| match node.op {
        Op::Depthwise { .. } => i % outputs,
        _ => i / per_output,
    };
    let weight = |(i, &q): (usize, &i8)| {
        (f64::from(i16::from(q) - i16::from(weights.zero_point)) * scale(channel(i))) as f32
    };
    let bias = |(o, &q): (usize, &i32)| (f64::from(q) * f64::from(input.scale) * scale(o)) as f32;
    Node {
        weights: weights.weights.iter().enumerate().map(weight).collect(),
        bias: weights.bias.iter().enumerate().map(bias).collect(),
        ..node.clone()
    }
}

/// The value of one tensor.
pub fn tensor(graph: &Graph, input: &[f32], id: TensorId) -> Vec<f64> {
    let value = run(graph, input)[index(id)].take();
    value.expect("some node makes the tensor").data
}

pub(crate) fn index(id: TensorId) -> usize {
    usize::from(id.0)
}

fn value(shape: Shape, data: &[f32]) -> Value {
    assert_eq!(data.len(), shape.len(), "elements fit the shape");
    Value {
        shape,
        data: data.iter().map(|&v| f64::from(v)).collect(),
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { lo, hi } => x.clamp(lo.into(), hi.into()),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                f64::from(slope) * x
            }
        }
        Activation::HardSigmoid { alpha, beta } => {
            (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0)
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Sigmoid => sigmoid,
        Activation::Silu => x * sigmoid,
        Activation::Tanh => x.tanh(),
    }
}

fn bias(node: &Node, c: usize) -> f64 {
    node.bias.get(c).map_or(0.0, |&b| b.into())
}

/// Position of a tap in the input, if it lies inside.
pub(crate) fn tap(
    g: &Geometry,
    input: Shape,
    out: [usize; 2],
    tap: [usize; 2],
) -> Option<[usize; 2]> {
    let size = [input.h, input.w];
    let mut at = [0; 2];
    for d in 0..2 {
        let shifted = out[d] * usize::from(g.stride[d]) + tap[d] * usize::from(g.dilation[d]);
        at[d] = shifted
            .checked_sub(g.pad[d].into())
            .filter(|&i| i < size[d])?;
    }
    Some(at)
}

pub(crate) fn taps(g: &Geometry) -> impl Iterator<Item = [usize; 2]> {
    let [kh, kw] = g.kernel.map(usize::from);
    (0..kh).flat_map(move |y| (0..kw).map(move |x| [y, x]))
}

fn compute(node: &Node, inputs: &[&Value], shape: Shape) -> Value {
    let x = inputs[0];
    match node.op {
        Op::Conv { geometry, groups } => conv(node, &geometry, groups.into(), x, shape),
        Op::Depthwise { geometry } => depthwise(node, &geometry, x, shape),
        Op::Dense => Value::fill(shape, |[_, _, o]| {
            let n = x.data.len();
            let row = &node.weights[o * n..(o + 1) * n];
            bias(node, o)
                + x.data
                    .iter()
                    .zip(row)
                    .map(|(a, &w)| a * f64::from(w))
                    .sum::<f64>()
        }),
        Op::Activate => x.clone(),
        Op::PRelu => Value::fill(shape, |i| {
            let v = x.at(i);
            if v > 0.0 { v } else { inputs[1].at(i) * v }
        }),
        Op::Binary(a) => Value::fill(shape, |i| arithmetic(a, x.at(i), inputs[1].at(i))),
        Op::Affine => Value::fill(shape, |i| {
            x.at(i) * f64::from(node.weights[i[2]]) + bias(node, i[2])
        }),
        Op::Concat { axis } => concat(inputs, axis.into(), shape),
        Op::Slice { start, step } => Value::fill(shape, |i| {
            x.at([0, 1, 2].map(|a| usize::from(start[a]) + i[a] * usize::from(step[a])))
        }),
        Op::Shuffle { groups } => {
            let groups = usize::from(groups);
            Value::fill(shape, |[y, w, o]| {
                x.at([y, w, (o % groups) * (shape.c / groups) + o / groups])
            })
        }
        Op::Pad { before, mode } => pad(x, before, mode, shape),
        Op::MaxPool(g) => Value::fill(shape, |i| {
            let inside = window(&g, x, i).into_iter().flatten();
            inside.reduce(f64::max).expect("a tap inside the input")
        }),
        Op::AveragePool {
            geometry,
            count_padding,
            pad_end,
        } => average(&geometry, count_padding, pad_end, x, shape),
        Op::Mean { axes } => mean(x, axes, shape),
        Op::GlobalMaxPool => Value::fill(shape, |[_, _, c]| {
            let channel = x.data.iter().skip(c).step_by(x.shape.c).copied();
            channel.reduce(f64::max).expect("an element")
        }),
        Op::Lrn {
            size,
            alpha,
            beta,
            bias,
        } => Value::fill(shape, |[y, w, c]| {
            let size = usize::from(size);
            let first = c.saturating_sub((size - 1) / 2);
            let last = (c + size / 2).min(shape.c - 1);
            let sum: f64 = (first..=last).map(|k| x.at([y, w, k]).powi(2)).sum();
            x.at([y, w, c])
                / (f64::from(bias) + f64::from(alpha) / size as f64 * sum).powf(beta.into())
        }),
        Op::Softmax => softmax(x),
        Op::Quantise { .. } | Op::Dequantise => x.clone(),
    }
}

fn conv(node: &Node, g: &Geometry, groups: usize, x: &Value, shape: Shape) -> Value {
    let per_group = x.shape.c / groups;
    let [kh, kw] = g.kernel.map(usize::from);
    assert_eq!(node.weights.len(), shape.c * kh * kw * per_group);
    Value::fill(shape, |[y, w, o]| {
        let first = o / (shape.c / groups) * per_group;
        let mut sum = bias(node, o);
        for t in taps(g) {
            let Some([iy, ix]) = tap(g, x.shape, [y, w], t) else {
                continue;
            };
            for i in 0..per_group {
                let weight = node.weights[((o * kh + t[0]) * kw + t[1]) * per_group + i];
                sum += f64::from(weight) * x.at([iy, ix, first + i]);
            }
        }
        sum
    })
}

fn depthwise(node: &Node, g: &Geometry, x: &Value, shape: Shape) -> Value {
    let kw = usize::from(g.kernel[1]);
    Value::fill(shape, |[y, w, c]| {
        let products = taps(g).filter_map(|t| {
            let [iy, ix] = tap(g, x.shape, [y, w], t)?;
            Some(f64::from(node.weights[(t[0] * kw + t[1]) * shape.c + c]) * x.at([iy, ix, c]))
        });
        bias(node, c) + products.sum::<f64>()
    })
}

fn arithmetic(operation: Arithmetic, a: f64, b: f64) -> f64 {
    match operation {
        Arithmetic::Add => a + b,
        Arithmetic::Sub => a - b,
        Arithmetic::Mul => a * b,
        Arithmetic::Div => a / b,
    }
}

fn concat(inputs: &[&Value], axis: usize, shape: Shape) -> Value {
    let len = |v: &Value| [v.shape.h, v.shape.w, v.shape.c][axis];
    Value::fill(shape, |mut i| {
        let mut parts = inputs.iter();
        let mut part = parts.next().expect("an input");
        while i[axis] >= len(part) {
            i[axis] -= len(part);
            part = parts.next().expect("inputs make up the output");
        }
        part.at(i)
    })
}

fn pad(x: &Value, before: [u16; 3], mode: PadMode, shape: Shape) -> Value {
    let size = [x.shape.h, x.shape.w, x.shape.c];
    Value::fill(shape, |i| {
        let mut at = [0; 3];
        for a in 0..3 {
            let (p, n) = (i[a] as i64 - i64::from(before[a]), size[a] as i64);
            let inside = (0..n).contains(&p);
            at[a] = match mode {
                PadMode::Constant(v) if !inside => return v.into(),
                PadMode::Reflect if p < 0 => -p,
                PadMode::Reflect if p >= n => 2 * (n - 1) - p,
                _ => p.clamp(0, n - 1),
            } as usize;
        }
        x.at(at)
    })
}

/// The taps of a window: values inside the input, `None` in the padding.
fn window(g: &Geometry, x: &Value, [y, w, c]: [usize; 3]) -> Vec<Option<f64>> {
    taps(g)
        .map(|t| tap(g, x.shape, [y, w], t).map(|[iy, ix]| x.at([iy, ix, c])))
        .collect()
}

fn average(g: &Geometry, count_padding: bool, pad_end: [u16; 2], x: &Value, shape: Shape) -> Value {
    let size = [x.shape.h, x.shape.w];
    Value::fill(shape, |i| {
        let inside: Vec<f64> = window(g, x, i).into_iter().flatten().collect();
        let declared = taps(g).filter(|t| {
            (0..2).all(|d| {
                let at = i[d] * usize::from(g.stride[d]) + t[d] * usize::from(g.dilation[d]);
                at < size[d] + usize::from(g.pad[d]) + usize::from(pad_end[d])
            })
        });
        let count = if count_padding {
            declared.count()
        } else {
            inside.len()
        };
        inside.iter().sum::<f64>() / count as f64
    })
}

fn mean(x: &Value, axes: [bool; 3], shape: Shape) -> Value {
    let size = [x.shape.h, x.shape.w, x.shape.c];
    let extent = [0, 1, 2].map(|a| if axes[a] { size[a] } else { 1 });
    Value::fill(shape, |i| {
        let mut sum = 0.0;
        for y in 0..extent[0] {
            for w in 0..extent[1] {
                for c in 0..extent[2] {
                    sum += x.at([i[0] + y, i[1] + w, i[2] + c]);
                }
            }
        }
        sum / extent.iter().product::<usize>() as f64
    })
}

fn softmax(x: &Value) -> Value {
    let mut result = x.clone();
    for pixel in result.data.chunks_exact_mut(x.shape.c) {
        let max = pixel.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = pixel.iter().map(|v| (v - max).exp()).sum();
        for v in pixel {
            *v = (*v - max).exp() / sum;
        }
    }
    result
}
