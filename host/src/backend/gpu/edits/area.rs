//! Which part of every tensor an edit reaches.

use foveola_core::mask::Window;
use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Geometry, Op, PadMode};
use foveola_core::{Shape, TensorId};

/// Positions `from..to` of rows and of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub from: [usize; 2],
    pub to: [usize; 2],
}

impl Area {
    fn of(window: &Window) -> Self {
        let Window { y, x, h, w, d, .. } = *window;
        match d {
            0 => Self::default(),
            _ => Self {
                from: [y, x],
                to: [y + h, x + w],
            },
        }
    }

    const fn whole(shape: Shape) -> Self {
        Self {
            from: [0; 2],
            to: [shape.h, shape.w],
        }
    }

    fn is_empty(&self) -> bool {
        (0..2).any(|axis| self.from[axis] >= self.to[axis])
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.to[axis].saturating_sub(self.from[axis]))
    }

    /// The least area that holds both.
    fn around(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self {
                from: [0, 1].map(|axis| self.from[axis].min(other.from[axis])),
                to: [0, 1].map(|axis| self.to[axis].max(other.to[axis])),
            },
        }
    }
}

/// How the pixels of a part of an output lie over those of its inputs: position
/// `i` reads `reach` ones from `i * stride - pad` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    pub reach: [usize; 2],
    pub stride: [usize; 2],
    pub pad: [usize; 2],
    /// What lies outside the input.
    pub outside: f32,
}

impl Reach {
    const SAME: Self = Self {
        reach: [1; 2],
        stride: [1; 2],
        pad: [0; 2],
        outside: 0.0,
    };

    fn window(geometry: Geometry, outside: f32) -> Self {
        let Geometry {
            kernel,
            stride,
            dilation,
            pad,
        } = geometry;
        let of = |axis: usize| {
            usize::from(kernel[axis]).saturating_sub(1) * usize::from(dilation[axis]) + 1
        };
        Self {
            reach: [of(0), of(1)],
            stride: stride.map(|n| usize::from(n).max(1)),
            pad: pad.map(usize::from),
            outside,
        }
    }

    /// Whether every pixel reads its own.
    pub fn is_same(&self) -> bool {
        (self.reach, self.stride, self.pad) == ([1; 2], [1; 2], [0; 2])
    }

    /// Pixels that a part of this size reads.
    pub fn read(&self, [h, w]: [usize; 2]) -> [usize; 2] {
        let of = |axis: usize, size: usize| {
            size.saturating_sub(1) * self.stride[axis] + self.reach[axis]
        };
        [of(0, h), of(1, w)]
    }

    /// Where the pixels that a part at `place` reads begin.
    pub fn begin(&self, place: [usize; 2]) -> [i32; 2] {
        [0, 1].map(|axis| (place[axis] * self.stride[axis]) as i32 - self.pad[axis] as i32)
    }

    /// The pixels that read `changed`.
    fn reached(&self, changed: Area, shape: Shape) -> Area {
        if changed.is_empty() {
            return changed;
        }
        let sizes = [shape.h, shape.w];
        let before = |axis: usize| {
            let first = changed.from[axis] + self.pad[axis] + 1;
            let from = first.saturating_sub(self.reach[axis]);
            from.div_ceil(self.stride[axis]).min(sizes[axis])
        };
        let behind = |axis: usize| {
            let last = changed.to[axis] + self.pad[axis];
            last.div_ceil(self.stride[axis]).min(sizes[axis])
        };
        Area {
            from: [0, 1].map(before),
            to: [0, 1].map(behind),
        }
    }
}

/// How a node's output lies over its inputs; `None` for a node that is computed
/// as a whole: it mixes all pixels, or what lies outside counts otherwise.
pub fn reach(model: &Model<'_>, view: &NodeView<'_>) -> Option<Reach> {
    let output = model.shape(view.output);
    let same = view.inputs().all(|id| {
        let shape = model.shape(id);
        let constant = model.tensor(id).is_some_and(|t| t.constant.is_some());
        let aligned = (shape.h, shape.w) == (output.h, output.w);
        if constant { shape.area() == 1 } else { aligned }
    });
    let input = view.input(0).map(|id| model.shape(id))?;
    match view.op {
        Op::Conv { geometry, .. } | Op::Depthwise { geometry } => {
            Some(Reach::window(geometry, 0.0))
        }
        Op::MaxPool(geometry) => Some(Reach::window(geometry, f32::NEG_INFINITY)),
        Op::AveragePool { geometry, .. } => {
            let reach = Reach::window(geometry, 0.0);
            let [h, w] = reach.read([output.h, output.w]);
            let inside = reach.pad == [0; 2] && h <= input.h && w <= input.w;
            inside.then_some(reach)
        }
        Op::Pad {
            before: [top, left, front],
            mode: PadMode::Constant(outside),
        } if front == 0 && input.c == output.c => Some(Reach {
            pad: [top, left].map(usize::from),
            outside,
            ..Reach::SAME
        }),
        Op::Activate
        | Op::PRelu
        | Op::Binary(_)
        | Op::Affine
        | Op::Concat { axis: 2 }
        | Op::Shuffle { .. }
        | Op::Lrn { .. }
        | Op::Softmax
            if same =>
        {
            Some(Reach::SAME)
        }
        _ => None,
    }
}

/// What an edit of `window` reaches of each tensor; constants have no part.
pub fn reached(model: &Model<'_>, window: &Window) -> Vec<Area> {
    let mut areas = vec![Area::default(); model.tensor_count()];
    let at = |id: TensorId| usize::from(id.0);
    areas[at(model.input_id())] = Area::of(&window.cut(model.input()));
    for view in (0..model.node_count()).filter_map(|i| model.node(i)) {
        let shape = model.shape(view.output);
        let reach = reach(model, &view);
        let mut area = Area::default();
        for id in view.inputs() {
            let changed = areas[at(id)];
            let part = match &reach {
                _ if changed.is_empty() => changed,
                Some(reach) => reach.reached(changed, shape),
                None => Area::whole(shape),
            };
            area = area.around(part);
        }
        areas[at(view.output)] = area;
    }
    areas
}
