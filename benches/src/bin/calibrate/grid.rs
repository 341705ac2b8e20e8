//! Networks in int8 over a grid of what their kernels tell apart: channels in
//! all residues of what is taken at once, sides, strides, padding, both plans.

use foveola::card::OutputActivation;
use foveola::compile::Goal;
use foveola_core::Shape;
use foveola_core::net::op::{Activation, Arithmetic, Geometry, Op, PadMode};

use super::nets::{Builder, NONE, Net, RELU, card, nets, window};

/// Networks of each family; the last of each are left out of the fit.
const FAMILY: usize = 14;

/// Numbers of channels: residues of 2, 4, 8, 16 and 32, and whole ones.
const CHANNELS: [usize; 24] = [
    4, 7, 16, 10, 32, 13, 8, 19, 24, 3, 48, 22, 6, 33, 64, 9, 12, 5, 40, 17, 2, 36, 15, 28,
];

/// What is asked of some of them besides gradients.
const MASKS: [&str; 2] = ["occlusion:window=4/5,stride=5/4", "rise:masks=3"];

fn channels(i: usize) -> usize {
    CHANNELS[i % CHANNELS.len()]
}

/// A network under construction.
struct Grid {
    b: Builder,
    x: u16,
    index: usize,
}

impl Grid {
    fn new(index: usize, seed: u32, side: [usize; 2], depth: usize) -> Self {
        Self {
            b: Builder::new(Shape::new(side[0], side[1], depth), seed),
            x: 0,
            index,
        }
    }

    fn shape(&self) -> Shape {
        self.b.shape(self.x)
    }

    /// Whether a window fits.
    fn fits(&self, side: usize) -> bool {
        let Shape { h, w, .. } = self.shape();
        h >= side && w >= side
    }

    fn conv(&mut self, g: Geometry, groups: u16, c: usize, a: Activation) {
        self.x = self.b.conv(self.x, g, groups, c, a);
    }

    fn end(mut self, int8: Goal) -> Net {
        let input = self.b.shape(0);
        let classes = 2 + self.index % 9;
        let x = match self.index % 3 {
            0 if self.shape().len() < 700 => self.x,
            _ => self.b.mean(self.x, [true, true, false]),
        };
        let x = self.b.dense(x, classes);
        Net {
            graph: self.b.finish(x),
            card: card(input, OutputActivation::Softmax),
            masks: if self.index % 4 == 1 { &MASKS } else { &[] },
            tensor: self.index % 5 == 3,
            int8: Some(int8),
        }
    }
}

fn sides(index: usize) -> [usize; 2] {
    let of = |i: usize| [8, 13, 11, 16, 9, 20, 14, 10, 26, 7, 12][i % 11];
    [of(index), of(2 * index + 1)]
}

fn activation(i: usize) -> Activation {
    match i % 3 {
        0 => NONE,
        1 => Activation::Clip { lo: 0.0, hi: 6.0 },
        _ => RELU,
    }
}

/// Pointwise convolutions, some of them with a stride or groups.
pub fn points(index: usize, int8: Goal) -> Net {
    let depth = [3, 1, 3, 4][index % 4];
    let mut grid = Grid::new(index, 500 + index as u32, sides(index), depth);
    for i in 0..6 {
        let c = channels(5 * index + i);
        let strided = i == 3 && grid.fits(6);
        let g = window(1, if strided { 2 } else { 1 }, 0);
        grid.conv(g, 1, c, activation(index + i));
        if i == 4 && index.is_multiple_of(3) {
            grid.conv(window(1, 1, 0), 1, 12, RELU);
            grid.conv(window(1, 1, 0), 3, 15, RELU);
        }
    }
    grid.end(int8)
}

/// Depthwise convolutions, behind pointwise ones.
fn depthwises(index: usize, int8: Goal) -> Net {
    let mut grid = Grid::new(index, 600 + index as u32, sides(index + 3), 3);
    for i in 0..4 {
        let c = channels(7 * index + 3 * i + 1);
        grid.conv(window(1, 1, 0), 1, c, activation(index + i));
        let stride = if (index + i) % 3 == 1 && grid.fits(6) {
            2
        } else {
            1
        };
        let (kernel, pad) = match (index + 2 * i) % 7 {
            0 if grid.fits(5) => (5, 2),
            1 if grid.fits(5) => (3, 0),
            _ => (3, 1),
        };
        grid.x = grid
            .b
            .depthwise(grid.x, window(kernel, stride, pad), activation(i + 1));
    }
    grid.end(int8)
}

/// Convolutions that gather patches.
fn patches(index: usize, int8: Goal) -> Net {
    let depth = [3, 1, 4, 3][index % 4];
    let mut grid = Grid::new(index, 700 + index as u32, sides(index + 5), depth);
    for i in 0..3 {
        let c = channels(11 * index + 5 * i + 2).min(36);
        let stride = if (index + i) % 3 == 2 && grid.fits(6) {
            2
        } else {
            1
        };
        let (mut g, mut groups) = (window(3, stride, 1), 1);
        match (2 * index + 3 * i) % 8 {
            1 if grid.fits(5) => g = window(3, stride, 0),
            2 if grid.fits(5) => g = window(5, stride, 2),
            3 => {
                (g.kernel, g.pad) = ([1, 3], [0, 1]);
            }
            4 if grid.fits(6) => (g.dilation, g.pad) = ([2; 2], [2; 2]),
            5 if grid.shape().c.is_multiple_of(2) => groups = 2,
            6 if grid.fits(4) => g = window(2, stride, 0),
            _ => {}
        }
        let c = c.next_multiple_of(usize::from(groups));
        grid.conv(g, groups, c, activation(index + 2 * i));
    }
    grid.end(int8)
}

/// Everything between convolutions.
fn between(index: usize, int8: Goal) -> Net {
    let mut grid = Grid::new(index, 800 + index as u32, sides(index + 7), 3);
    for i in 0..3 {
        let c = channels(3 * index + 7 * i).clamp(4, 32);
        grid.conv(window(3, 1, 1), 1, c, activation(i));
        let x = grid.x;
        let shape = grid.shape();
        grid.x = match (2 * index + 3 * i) % 10 {
            0 | 1 => {
                let y = grid.b.conv(x, window(3, 1, 1), 1, c, NONE);
                grid.b
                    .same(Op::Binary(Arithmetic::Add), activation(index), &[x, y])
            }
            2 if grid.fits(5) => {
                let g = window(2, 2, 0);
                let to = grid.b.pooled(x, g);
                grid.b.node(Op::MaxPool(g), NONE, &[x], to)
            }
            3 if grid.fits(5) => {
                let g = window(3, 2, 1);
                let to = grid.b.pooled(x, g);
                grid.b.node(Op::MaxPool(g), RELU, &[x], to)
            }
            4 if grid.fits(5) => {
                let g = window(2, 2, 0);
                let op = Op::AveragePool {
                    geometry: g,
                    count_padding: false,
                    pad_end: [0; 2],
                };
                let to = grid.b.pooled(x, g);
                grid.b.node(op, NONE, &[x], to)
            }
            5 => {
                let y = grid.b.conv(x, window(1, 1, 0), 1, c + 3, RELU);
                let to = Shape::new(shape.h, shape.w, 2 * c + 3);
                grid.b.node(Op::Concat { axis: 2 }, NONE, &[x, y], to)
            }
            6 => {
                let op = Op::Pad {
                    before: [1, 2, 0],
                    mode: PadMode::Constant(0.0),
                };
                let to = Shape::new(shape.h + 2, shape.w + 3, c);
                grid.b.node(op, NONE, &[x], to)
            }
            7 => {
                let y = grid.b.mean(x, [true, true, false]);
                let y = grid.b.conv(y, window(1, 1, 0), 1, c.div_ceil(4), RELU);
                let y = grid.b.conv(y, window(1, 1, 0), 1, c, NONE);
                let y = grid.b.same(Op::Activate, Activation::Sigmoid, &[y]);
                grid.b.same(Op::Binary(Arithmetic::Mul), NONE, &[x, y])
            }
            8 => grid.b.same(Op::Activate, Activation::HardSwish, &[x]),
            _ => {
                let y = grid.b.same(Op::Activate, Activation::Sigmoid, &[x]);
                grid.b.same(Op::Binary(Arithmetic::Mul), NONE, &[x, y])
            }
        };
    }
    grid.end(int8)
}

/// What the extensions of instruction sets leave to plain loops: patches that
/// are longer than they hold.
fn long(index: usize, int8: Goal) -> Net {
    let sides = [[3, 4], [5, 3], [4, 6]][index % 3];
    let mut grid = Grid::new(index, 1000 + index as u32, sides, 3);
    grid.conv(window(1, 1, 0), 1, [75, 82, 74, 79][index % 4], RELU);
    let pad = u16::from(!index.is_multiple_of(4));
    let groups = 1 + (index / 3 % 2) as u16;
    let g = window(3, 1 + u16::from(index == 2), pad);
    grid.conv(g, 1, [3, 6, 1, 9, 4][index % 5], activation(index));
    if index.is_multiple_of(2) && pad > 0 {
        grid.conv(window(1, 1, 0), 1, 2, NONE);
        grid.conv(g, groups, 2, RELU);
        grid.conv(g, 1, 1, RELU);
    }
    grid.conv(window(1, 1, 0), 1, [700, 590, 640][index % 3], RELU);
    grid.conv(window(1, 1, 0), 1, [5, 2, 9, 16][index % 4], NONE);
    grid.end(int8)
}

/// Networks that are little beside their picture.
pub fn scene(index: usize, int8: Goal) -> Net {
    let sides = [[96, 96], [64, 80], [48, 100], [32, 32], [70, 33], [88, 60]][index % 6];
    let depth = [3, 1, 3, 4][index % 4];
    let mut grid = Grid::new(index, 1100 + index as u32, sides, depth);
    grid.conv(window(3, 4, 1), 1, 4 + index, RELU);
    grid.x = grid.b.depthwise(grid.x, window(3, 2, 1), RELU);
    let shape = grid.shape();
    let geometry = Geometry {
        kernel: [shape.h.min(8) as u16, shape.w.min(8) as u16],
        ..window(1, 1, 0)
    };
    if index.is_multiple_of(2) {
        grid.conv(window(1, 1, 0), 1, [64, 40, 96][index % 3], RELU);
        let op = Op::AveragePool {
            geometry,
            count_padding: false,
            pad_end: [0; 2],
        };
        let to = grid.b.pooled(grid.x, geometry);
        grid.x = grid.b.node(op, NONE, &[grid.x], to);
    }
    Net {
        tensor: false,
        ..grid.end(int8)
    }
}

/// Networks as they are built for microcontrollers, wider than the others.
fn broad(index: usize, int8: Goal) -> Net {
    let side = [32, 40, 24, 48][index % 4];
    let mut grid = Grid::new(index, 900 + index as u32, [side, side + index % 3], 3);
    let wide = [8, 16, 12, 10][index % 4];
    grid.conv(window(3, 2, 1), 1, wide, RELU);
    for i in 0..4 {
        let c = (wide << (i / 2 + 1)).min(128) + index % 2 * (2 * i + 1);
        let stride = if i % 2 == 1 { 2 } else { 1 };
        if index.is_multiple_of(2) {
            grid.x = grid.b.depthwise(grid.x, window(3, stride, 1), RELU);
            grid.conv(window(1, 1, 0), 1, c, RELU);
        } else {
            grid.conv(window(3, stride, 1), 1, c.min(40), RELU);
        }
    }
    grid.end(int8)
}

/// Makes network number so and so.
pub type Family = fn(usize, Goal) -> Net;

/// All of them, and whether the fit leaves them out.
pub fn grid() -> Vec<(String, Net, bool)> {
    let families: [(&str, Family); 7] = [
        ("scene", scene),
        ("long", long),
        ("points", points),
        ("depthwise", depthwises),
        ("patches", patches),
        ("between", between),
        ("broad", broad),
    ];
    let mut all = Vec::new();
    for (name, family) in families {
        let count = match name {
            "broad" | "scene" => 6,
            "long" => 8,
            _ => FAMILY,
        };
        for index in 0..count {
            let goal = if index % 3 == 1 {
                Goal::Small
            } else {
                Goal::Fast
            };
            let held = index >= count - 2 && !matches!(name, "long" | "scene");
            all.push((format!("{name}{index}"), family(index, goal), held));
        }
    }
    for (index, net) in nets().into_iter().enumerate() {
        let int8 = Some(if index % 2 == 1 {
            Goal::Small
        } else {
            Goal::Fast
        });
        all.push((format!("int8net{index}"), Net { int8, ..net }, false));
    }
    all
}
