//! Weights at random, for the question whether a map depends on what was learnt.

use foveola_core::net::op::Op;
use foveola_core::rng::{Purpose, below, normals, words};

use super::{Engine, OpenModel};
use crate::graph::Graph;

/// Index of the first output channel's random numbers.
const FIRST_CHANNEL: u32 = 2;

impl OpenModel {
    /// How many layers have weights that [`randomise`] can change; 0 for `.fov`
    /// files, whose weights are packed, and for models that only tract runs.
    pub fn weight_layers(&self) -> usize {
        match &self.engine {
            Engine::Graph(imported) => weight_layers(&imported.graph).len(),
            Engine::File(_) | Engine::Tract(_) => 0,
        }
    }
}

/// Places of convolutions and dense layers, from the output on.
fn weight_layers(graph: &Graph) -> Vec<usize> {
    let nodes = graph.nodes.iter().enumerate().rev();
    let weighted = nodes
        .filter(|(_, node)| matches!(node.op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense));
    weighted.map(|(place, _)| place).collect()
}

/// Makes weights random: those of layer number `depth` from the output, from 0,
/// and those of all before it if `cascading`. f32 weights and biases become
/// normal with the mean and deviation that they had. int8 weights change
/// places within each output channel, so that no accumulator can grow; biases
/// stay. A layer has the same random weights whichever others are random.
pub fn randomise(graph: &mut Graph, depth: usize, cascading: bool, seed: u64) {
    let layers = weight_layers(graph);
    let first = if cascading { 0 } else { depth };
    let chosen = layers.get(first..=depth).unwrap_or(&[]);
    for &place in chosen {
        let channels = graph.tensor(graph.nodes[place].output).shape.c;
        let node = &mut graph.nodes[place];
        let sample = place as u32;
        match &mut node.quantised {
            Some(weights) => permute(&mut weights.weights, (node.op, channels), seed, sample),
            None => {
                redraw(&mut node.weights, seed, sample, 0);
                redraw(&mut node.bias, seed, sample, 1);
            }
        }
    }
}

/// Normals of the same mean and deviation, by Box and Muller.
fn redraw(values: &mut [f32], seed: u64, sample: u32, index: u32) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let square = |v: &f32| (f64::from(*v) - mean).powi(2);
    let deviation = (values.iter().map(square).sum::<f64>() / n).sqrt();
    for (block, values) in (0..).zip(values.chunks_mut(4)) {
        let words = words(seed, sample, index, block, Purpose::Weights);
        let four = [[words[0], words[1]], [words[2], words[3]]].map(normals);
        for (value, normal) in values.iter_mut().zip(four.as_flattened()) {
            *value = (mean + deviation * f64::from(*normal)) as f32;
        }
    }
}

/// Changes the places of each output channel's weights.
fn permute(values: &mut [i8], (op, channels): (Op, usize), seed: u64, sample: u32) {
    let len = values.len() / channels.max(1);
    // Depthwise weights lie HWC: a channel's are `channels` apart.
    let place = |channel: usize, i: usize| match op {
        Op::Depthwise { .. } => i * channels + channel,
        _ => channel * len + i,
    };
    for channel in 0..channels {
        // Fisher and Yates, from the end.
        for i in (1..len).rev() {
            let index = FIRST_CHANNEL + channel as u32;
            let four = words(seed, sample, index, i as u32 / 4, Purpose::Weights);
            let other = below(four[i % 4], i as u32 + 1) as usize;
            values.swap(place(channel, i), place(channel, other));
        }
    }
}

#[cfg(test)]
mod tests;
