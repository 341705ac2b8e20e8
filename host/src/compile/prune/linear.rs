//! A `Conv`, `Depthwise` or `Dense` as filters over taps and input channels.

use foveola_core::Shape;
use foveola_core::net::op::{Geometry, Op};

use crate::graph::{Graph, Node};

/// Where the weights lie and which taps reach into the padding.
pub struct Linear<'g> {
    node: &'g Node,
    /// Taps of a filter; of a `Dense`, pixels of its input.
    pub taps: usize,
    /// Input channels of one filter.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Output channels of one group.
    group: usize,
    /// Whether a tap lies in the padding somewhere.
    padded: Vec<bool>,
}

impl<'g> Linear<'g> {
    pub fn of(graph: &'g Graph, node: &'g Node) -> Option<Self> {
        let input = graph.tensor(*node.inputs.first()?).shape;
        let output = graph.tensor(node.output).shape;
        let (geometry, groups) = match node.op {
            Op::Conv { geometry, groups } => (Some(geometry), usize::from(groups)),
            Op::Depthwise { geometry } => (Some(geometry), input.c),
            Op::Dense => (None, 1),
            _ => return None,
        };
        let padded = match geometry {
            Some(geometry) => padded(geometry, input, output),
            None => vec![false; input.area()],
        };
        Some(Self {
            node,
            taps: padded.len(),
            inputs: input.c / groups,
            outputs: output.len() / output.area(),
            group: (output.c / groups).max(1),
            padded,
        })
    }

    pub fn is_padded(&self, tap: usize) -> bool {
        self.padded[tap]
    }

    /// Channel of the input tensor that filter `o` reads as its `i`-th.
    pub const fn channel(&self, o: usize, i: usize) -> usize {
        o / self.group * self.inputs + i
    }

    /// Index among the node's weights.
    pub const fn index(&self, o: usize, tap: usize, i: usize) -> usize {
        match self.node.op {
            Op::Depthwise { .. } => tap * self.outputs + o,
            _ => (o * self.taps + tap) * self.inputs + i,
        }
    }

    /// A weight; of an int8 node, the stored one less its zero point.
    pub fn weight(&self, o: usize, tap: usize, i: usize) -> f64 {
        let index = self.index(o, tap, i);
        match &self.node.quantised {
            Some(w) => f64::from(i16::from(w.weights[index]) - i16::from(w.zero_point)),
            None => self.node.weights[index].into(),
        }
    }

    /// The bias; 0 if there is none.
    pub fn bias(&self, o: usize) -> f64 {
        match &self.node.quantised {
            Some(w) => w.bias.get(o).map_or(0.0, |&b| b.into()),
            None => self.node.bias.get(o).map_or(0.0, |&b| b.into()),
        }
    }

    /// Channels of the input tensor that a filter has a weight for other than 0.
    pub fn read(&self, o: usize) -> impl Iterator<Item = usize> {
        let reads = move |&i: &usize| (0..self.taps).any(|tap| self.weight(o, tap, i) != 0.0);
        let inputs = (0..self.inputs).filter(reads);
        inputs.map(move |i| self.channel(o, i))
    }
}

fn padded(g: Geometry, input: Shape, output: Shape) -> Vec<bool> {
    let along = |axis: usize, size: usize, outputs: usize| -> Vec<bool> {
        let of = |pair: [u16; 2]| usize::from(pair[axis]);
        let taps = (0..of(g.kernel)).map(|k| k * of(g.dilation));
        taps.map(|k| k < of(g.pad) || (outputs - 1) * of(g.stride) + k >= size + of(g.pad))
            .collect()
    };
    let rows = along(0, input.h, output.h);
    let cols = along(1, input.w, output.w);
    let taps = rows
        .iter()
        .flat_map(|&row| cols.iter().map(move |&col| row || col));
    taps.collect()
}
