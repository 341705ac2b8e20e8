//! int8 by its definition: sums of stored numbers, TFLite's requantisation
//! with a factor that is divided by the share of kept elements.

use foveola::aligned::AlignedBytes;
use foveola::compile::CompileOptions;
use foveola::graph::{Graph, Node};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::op::{Activation, Geometry, Op};
use foveola_core::net::session::Session;
use foveola_core::{Dropout, Masked, Picture, Saturation, Shape, TensorId, Values};
use foveola_tests::onnx::Attribute::Float;
use foveola_tests::onnx::{Onnx, floats, integers, numbers};
use foveola_tests::random::{Drawn, Numbers};
use tract_onnx::pb::tensor_proto::DataType;

use super::{file, import, kept};

/// The stored numbers of every tensor of a pass, and what saturated.
fn tensors(
    graph: &Graph,
    numbers: &Numbers,
    dropout: Option<(&Dropout, usize)>,
) -> Option<(Vec<Vec<i8>>, Saturation)> {
    let options = CompileOptions {
        fold: false,
        ..CompileOptions::default()
    };
    let file = file(graph, &options);
    let model = file.model();
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, Isa::detect()).expect("a session");
    let normalisation = model.normalisation();
    let shape = model.input();
    let picture = match numbers {
        Numbers::Pixels(data) => Picture::Pixels {
            shape,
            data,
            normalisation: &normalisation,
        },
        Numbers::Tensor(data) => Picture::Tensor { shape, data },
    };
    let mut tensors = vec![Vec::new(); model.node_count()];
    let mut tap = |node: usize, _: usize, values: Values<'_>| {
        if let Values::Stored { data, .. } = values {
            tensors[node].extend(data);
        }
        Ok(())
    };
    let x = Masked::whole(picture);
    let seen = match dropout {
        None => session
            .forward_tapped(&x, &mut tap)
            .map(|()| Saturation::default()),
        Some((dropout, pass)) => session.forward_dropped(&x, dropout, pass, Some(&mut tap)),
    };
    Some((tensors, seen.ok()?))
}

/// TFLite's `QuantizeMultiplier`.
fn multiplier(real: f64) -> (i64, i32) {
    if real == 0.0 {
        return (0, 0);
    }
    let mut shift = 0;
    let mut significand = real;
    while significand >= 1.0 {
        significand /= 2.0;
        shift += 1;
    }
    while significand < 0.5 {
        significand *= 2.0;
        shift -= 1;
    }
    let q = (significand * f64::from(1_u32 << 31)).round() as i64;
    match q {
        q if q == 1 << 31 => (q / 2, shift + 1),
        q => (q, shift),
    }
}

/// TFLite's `MultiplyByQuantizedMultiplier`, in exact integers; `once` is
/// ruy's, which rounds a matrix product.
fn requantise(sum: i64, real: f64, once: bool) -> i64 {
    let (q, shift) = multiplier(real);
    if shift < -31 {
        return 0;
    }
    let divide = |x: i128, bits: u32| -> i128 {
        let half = 1_i128 << bits >> 1;
        if x >= 0 {
            (x + half) >> bits
        } else {
            -((-x + half) >> bits)
        }
    };
    if once {
        let bits = (31 - shift) as u32;
        let product = i128::from(sum) * i128::from(q);
        return ((product + (1 << (bits - 1))) >> bits) as i64;
    }
    let (left, right) = (shift.max(0), (-shift).max(0));
    let raised = i128::from(sum) << left;
    // Saturating rounding doubling high multiply: ties upwards.
    let high = (raised * i128::from(q) + (1 << 30)) >> 31;
    divide(high, right as u32) as i64
}

/// The first node with weights, if it is int8 and stands alone.
fn first(graph: &Graph) -> Option<(usize, &Node)> {
    let weights = |n: &Node| matches!(n.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
    let (index, node) = graph.nodes.iter().enumerate().find(|(_, n)| weights(n))?;
    let quant = graph.tensor(node.output).quant?;
    (node.quantised.is_some() && !quant.unsigned).then_some((index, node))
}

/// One sum from its definition.
fn sum(graph: &Graph, node: &Node, x: &[i8], [y, col, c]: [usize; 3]) -> i64 {
    let weights = node.quantised.as_ref().expect("weights");
    let input = graph.tensor(node.inputs[0]);
    let zero = i64::from(input.quant.expect("int8").zero_point);
    let output = graph.tensor(node.output).shape;
    let bias = weights.bias.get(c).copied().map_or(0, i64::from);
    let Shape { h, w, c: inputs } = input.shape;
    let product = |place: usize, weight: usize| {
        let weight = i64::from(weights.weights[weight]) - i64::from(weights.zero_point);
        (i64::from(x[place]) - zero) * weight
    };
    let taps = |g: Geometry, visit: &mut dyn FnMut(usize, usize)| {
        let [kh, kw] = g.kernel.map(usize::from);
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            let at = |axis: usize, o: usize, k: usize, size: usize| {
                let step = o * usize::from(g.stride[axis]) + k * usize::from(g.dilation[axis]);
                let place = step.checked_sub(usize::from(g.pad[axis]))?;
                (place < size).then_some(place)
            };
            if let (Some(iy), Some(ix)) = (at(0, y, ky, h), at(1, col, kx, w)) {
                visit((iy * w + ix) * inputs, ky * kw + kx);
            }
        }
    };
    let mut sum = bias;
    match node.op {
        Op::Dense => {
            sum += (0..x.len())
                .map(|i| product(i, c * x.len() + i))
                .sum::<i64>()
        }
        Op::Depthwise { geometry } => {
            taps(geometry, &mut |at, tap| {
                sum += product(at + c, tap * inputs + c)
            });
        }
        Op::Conv { geometry, groups } => {
            let groups = usize::from(groups);
            let own = inputs / groups;
            let group = c / (output.c / groups);
            let [kh, kw] = geometry.kernel.map(usize::from);
            taps(geometry, &mut |at, tap| {
                let weight = (c * kh * kw + tap) * own;
                sum += (0..own)
                    .map(|i| product(at + group * own + i, weight + i))
                    .sum::<i64>();
            });
        }
        _ => unreachable!("a node with weights"),
    }
    sum
}

/// Least and greatest stored number by the activation alone.
fn limits(node: &Node, scale: f32, zero: i64) -> [i64; 2] {
    let place = |real: f32| (f64::from(real / scale).round().clamp(-1e6, 1e6)) as i64 + zero;
    match node.activation {
        Activation::Relu => [zero, i64::MAX],
        Activation::Clip { lo, hi } => [place(lo), place(hi)],
        _ => [i64::MIN, i64::MAX],
    }
}

/// Every element of the first layer, and how many saturated.
fn wanted(
    graph: &Graph,
    node: &Node,
    x: &[i8],
    dropout: (&Dropout, usize),
) -> (Vec<i8>, Saturation) {
    let (Dropout { seed, keep }, pass) = dropout;
    let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
    let [from, to] = [input, output].map(|t| t.quant.expect("int8"));
    let weights = node.quantised.as_ref().expect("weights");
    let zero = i64::from(to.zero_point);
    let [least, most] = limits(node, to.scale, zero);
    let Shape { h, w, c } = output.shape;
    let (channels, width) = match node.op {
        Op::Dense => (h * w * c, 1),
        _ => (c, w),
    };
    let (mut values, mut seen) = (Vec::new(), Saturation::default());
    let limit = |v: i64| v.clamp(least, most).clamp(-128, 127) as i8;
    for i in 0..output.shape.len() {
        if !kept(*seed, pass as u32, 0, i, *keep) {
            values.push(limit(zero));
            continue;
        }
        let (pixel, channel) = (i / channels, i % channels);
        let sum = sum(graph, node, x, [pixel / width, pixel % width, channel]);
        let scale = weights.scales[channel % weights.scales.len()];
        let real = f64::from(from.scale) * f64::from(scale) / f64::from(to.scale);
        let once = node.op == Op::Dense;
        let usual = requantise(sum, real, once) + zero;
        let raised = requantise(sum, real / f64::from(*keep), once) + zero;
        let out = |v: i64| v.clamp(least, most);
        let beyond = |v: i64| out(v) > 127 || out(v) < -128;
        seen.of += 1;
        seen.saturated += u64::from(beyond(raised) && !beyond(usual));
        values.push(limit(raised));
    }
    (values, seen)
}

/// Random int8 networks: every byte of the first layer, the count of saturated
/// ones; with one half kept the factor is exact, else a step may differ.
#[test]
fn the_first_layer_by_its_definition() {
    let (mut compared, mut saturated, mut ops) = (0, 0, [0; 3]);
    for seed in 0..400 {
        let drawn = Drawn::int8(seed, 0);
        let graph = &drawn.graph;
        let Some((index, node)) = first(graph) else {
            continue;
        };
        if foveola::compile::compile(graph.clone(), &drawn.card, &drawn.options).is_err() {
            continue;
        }
        let Some((usual, _)) = tensors(graph, &drawn.picture, None) else {
            continue;
        };
        let maker = |id: TensorId| graph.nodes.iter().position(|n| n.output == id);
        let Some(before) = maker(node.inputs[0]) else {
            continue;
        };
        let x = &usual[before];
        for (keep, most) in [(0.5, 0), (0.3, 1)] {
            let dropout = Dropout { seed: 77, keep };
            let asked = (&dropout, seed as usize % 5);
            let Some((found, seen)) = tensors(graph, &drawn.picture, Some(asked)) else {
                continue;
            };
            let (values, counted) = wanted(graph, node, x, asked);
            // Rows that nobody reads are not made.
            let made = found[index].len();
            let near = |(a, b): (&i8, &i8)| a.abs_diff(*b) <= most;
            let same = found[index].iter().zip(&values).all(near);
            assert!(same && made <= values.len(), "{seed} {keep}: {node:?}");
            if made == values.len() {
                assert_eq!(seen.of, counted.of, "{seed}");
                let off = seen.saturated.abs_diff(counted.saturated);
                assert!(off <= u64::from(most) * 2, "{seed}: {seen:?} {counted:?}");
                saturated += seen.saturated;
            }
            compared += 1;
            ops[match node.op {
                Op::Conv { .. } => 0,
                Op::Depthwise { .. } => 1,
                _ => 2,
            }] += 1;
        }
    }
    assert!(compared > 150 && saturated > 100, "{compared} {saturated}");
    assert!(ops.iter().all(|&count| count > 10), "{ops:?}");
}

/// What a dropout makes of stored numbers, and how many saturated.
fn dropped(stored: &[i8], zero: i8, dropout: (&Dropout, usize)) -> (Vec<i8>, Saturation) {
    let (Dropout { seed, keep }, pass) = dropout;
    let zero = f64::from(zero);
    let mut seen = Saturation::default();
    let mut one = |(i, &q): (usize, &i8)| {
        if !kept(*seed, pass as u32, 0, i, *keep) {
            return zero as i8;
        }
        let raised = ((f64::from(q) - zero) / f64::from(*keep)).round() + zero;
        let inside = q > -128 && q < 127;
        seen.of += 1;
        seen.saturated += u64::from(inside && !(-128.0..=127.0).contains(&raised));
        raised.clamp(-128.0, 127.0) as i8
    };
    let values = stored.iter().enumerate().map(&mut one).collect();
    (values, seen)
}

/// Dropouts of the network's own behind any operator: the first node that is no
/// sum of weights, or one whose limit comes before the dropout.
#[test]
fn stored_numbers_by_their_definition() {
    let (mut compared, mut saturated, mut limited) = (0, 0, 0);
    for seed in 0..300 {
        let mut drawn = Drawn::int8(seed, 0);
        let graph = &mut drawn.graph;
        let weights = |n: &Node| matches!(n.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
        let limits = |n: &Node| matches!(n.activation, Activation::Clip { .. });
        let stored = |n: &Node| graph.tensor(n.output).quant.is_some();
        let fits = |n: &Node| stored(n) && (!weights(n) || limits(n));
        let skip = seed as usize % 3;
        let mut nodes = graph.nodes.iter().enumerate().filter(|(_, n)| fits(n));
        let Some(index) = nodes.nth(skip).map(|(index, _)| index) else {
            continue;
        };
        let zero = graph
            .tensor(graph.nodes[index].output)
            .quant
            .expect("int8")
            .zero_point;
        if foveola::compile::compile(graph.clone(), &drawn.card, &drawn.options).is_err() {
            continue;
        }
        let Some((usual, _)) = tensors(&drawn.graph, &drawn.picture, None) else {
            continue;
        };
        drawn.graph.nodes[index].dropout = Some(0.3);
        let dropout = Dropout { seed: 5, keep: 0.9 };
        let Some((found, seen)) = tensors(&drawn.graph, &drawn.picture, Some((&dropout, 3))) else {
            continue;
        };
        let own = Dropout {
            keep: 1.0 - 0.3,
            ..dropout
        };
        let (values, counted) = dropped(&usual[index], zero, (&own, 3));
        assert_eq!(
            found[index], values,
            "{seed}: {:?}",
            drawn.graph.nodes[index]
        );
        assert_eq!(seen, counted, "{seed}");
        compared += 1;
        saturated += seen.saturated;
        limited += usize::from(weights(&drawn.graph.nodes[index]));
    }
    assert!(compared > 100 && saturated > 100, "{compared} {saturated}");
    assert!(limited > 0, "{limited}");
}

/// Steps of `scale` from zero point `zero`: `from` becomes `to`.
fn between(m: &mut Onnx, from: &str, to: &str, scale: f32, zero: i32) {
    let (s, z) = (format!("{to}.s"), format!("{to}.z"));
    m.tensor(floats(&s, &[], &[scale]))
        .tensor(integers(&z, DataType::Int8, &[], &[zero]));
    let stored = format!("{to}.stored");
    m.node("QuantizeLinear", &format!("{from} {s} {z}"), &stored, &[])
        .node("DequantizeLinear", &format!("{stored} {s} {z}"), to, &[]);
}

/// Weights of made-up integers.
fn weights(m: &mut Onnx, name: &str, dims: &[i64]) {
    let count = dims.iter().product::<i64>() as usize;
    let values: Vec<i32> = numbers(count, 3)
        .iter()
        .map(|v| (v * 127.0) as i32)
        .collect();
    m.tensor(integers(
        &format!("{name}.stored"),
        DataType::Int8,
        dims,
        &values,
    ))
    .tensor(floats(&format!("{name}.s"), &[], &[0.01]))
    .tensor(integers(&format!("{name}.z"), DataType::Int8, &[], &[0]));
    let stored = format!("{name}.stored {name}.s {name}.z");
    m.node("DequantizeLinear", &stored, name, &[]);
}

/// A quantised file with dropouts before a quantiser and behind a
/// dequantiser: both stand behind the int8 node that is left.
#[test]
fn dropouts_of_a_quantised_file() {
    let mut m = Onnx::new(7, &[1, 3, 6, 5]);
    m.proto.opset_import[0].version = 10;
    between(&mut m, "x", "q", 0.008, 3);
    weights(&mut m, "w", &[4, 3, 1, 1]);
    weights(&mut m, "v", &[4, 3]);
    m.node("Conv", "q w", "c", &[])
        .node("Relu", "c", "r", &[])
        .node("Dropout", "r", "d", &[("ratio", Float(0.25))]);
    between(&mut m, "d", "a", 0.01, -128);
    m.node("GlobalAveragePool", "a", "g", &[]);
    between(&mut m, "g", "b", 0.01, -128);
    m.node("Dropout", "b", "e", &[("ratio", Float(0.4))])
        .node("Flatten", "e", "f", &[])
        .node("MatMul", "f v", "h", &[]);
    between(&mut m, "h", "y", 0.02, 5);
    m.output("y");
    let graph = import(&m);
    let nodes = graph.nodes.iter().filter(|n| n.dropout.is_some());
    let nodes: Vec<(Op, Option<f32>, bool)> = nodes
        .map(|n| (n.op, n.dropout, graph.tensor(n.output).quant.is_some()))
        .collect();
    assert!(
        matches!(nodes[0], (Op::Conv { .. }, Some(0.25), true)),
        "{nodes:?}"
    );
    assert!(
        matches!(nodes[1], (Op::Mean { .. }, Some(0.4), true)),
        "{nodes:?}"
    );
    assert_eq!(nodes.len(), 2);
    let picture = Numbers::Tensor(numbers(90, 99));
    let (usual, _) = tensors(&graph, &picture, None).expect("it runs");
    let dropout = Dropout { seed: 8, keep: 0.9 };
    let asked = (&dropout, 1);
    let (found, _) = tensors(&graph, &picture, Some(asked)).expect("it runs");
    let (index, node) = first(&graph).expect("a convolution");
    let before = graph.nodes.iter().position(|n| n.output == node.inputs[0]);
    let x = &usual[before.expect("a quantiser")];
    let own = Dropout {
        keep: 0.75,
        ..dropout
    };
    let (values, _) = wanted(&graph, node, x, (&own, 1));
    let near = |(a, b): (&i8, &i8)| a.abs_diff(*b) <= 1;
    assert!(found[index].iter().zip(&values).all(near));
    assert_ne!(found[index], usual[index]);
}
