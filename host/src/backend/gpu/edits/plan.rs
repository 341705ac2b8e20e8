//! Which tensors are computed in part and which as a whole, and the steps.

use foveola_core::mask::Window;
use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::Op;
use foveola_core::{Score, Shape, TensorId};

use super::area::{Area, Reach, reach, reached};
use crate::backend::gpu::GpuError;
use crate::backend::gpu::first::First;
use crate::backend::gpu::kernels::{self, Shader, ShaderKind, Storage, Words};
use crate::backend::gpu::memory::Sharing;
use crate::backend::gpu::residual::Residuals;
use crate::backend::gpu::steps::{Forward, Frame, Operand, Step, Work};

/// Share of a tensor, in percent, from which on all of it is computed: what is
/// left saves less than putting the parts together costs.
const DENSE: usize = 60;

/// How a tensor of an edited picture is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// As a whole: one for each picture.
    Whole,
    /// So many rows and columns of it, at a place of their own for each picture.
    Part([usize; 2]),
    /// A constant.
    Never,
}

/// What is computed for edits whose parts are at most so large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    kept: Vec<Kept>,
    /// Whether inputs change where the output does, in every edit, by node.
    aligned: Vec<bool>,
}

/// The places that a picture needs: of the whole (0, 0), and of what a node
/// reads of an input, or a tensor's part.
#[derive(Clone, Copy, Debug)]
enum Place {
    Origin,
    Part(usize),
    Read(usize, Reach),
}

/// The steps of a plan, and what they need to know of every picture.
#[derive(Debug)]
pub struct Steps {
    pub steps: Vec<Step>,
    places: Vec<Place>,
}

fn at(id: TensorId) -> usize {
    usize::from(id.0)
}

fn nodes<'m>(model: &Model<'m>) -> impl Iterator<Item = (usize, NodeView<'m>)> {
    let all = (0..model.node_count()).map(|i| (i, model.node(i)));
    all.filter_map(|(i, view)| Some((i, view?)))
}

impl Plan {
    /// For these edits; `None` where nothing would be computed in part.
    pub fn of(model: &Model<'_>, windows: impl Iterator<Item = Window>) -> Option<Self> {
        let mut sizes = vec![[0; 2]; model.tensor_count()];
        let mut aligned = vec![true; model.node_count()];
        for window in windows {
            let areas = reached(model, &window);
            for (size, area) in sizes.iter_mut().zip(&areas) {
                let [h, w] = area.size();
                *size = [size[0].max(h), size[1].max(w)];
            }
            for (i, view) in nodes(model) {
                let own = areas[at(view.output)];
                aligned[i] &= variable(model, &view).all(|id| areas[at(id)] == own);
            }
        }
        let plan = Self {
            kept: kept(model, &sizes),
            aligned,
        };
        let scores = [Score::Logit, Score::Probability].map(|score| model.score_id(score));
        let parts = plan.kept.iter().any(|kept| matches!(kept, Kept::Part(_)));
        let whole = scores.iter().all(|id| plan.kept[at(*id)] == Kept::Whole);
        (parts && whole).then_some(plan)
    }

    /// Share of the elements of all layers that are computed.
    pub fn share(&self, model: &Model<'_>) -> f64 {
        let (mut computed, mut all) = (0, 0);
        for (_, view) in nodes(model) {
            let shape = model.shape(view.output);
            all += shape.len();
            computed += match self.kept[at(view.output)] {
                Kept::Part([h, w]) => h * w * shape.c,
                _ => shape.len(),
            };
        }
        computed as f64 / all.max(1) as f64
    }

    /// Buffers: of whole tensors, parts, and what nodes read.
    pub fn sharing(&self, model: &Model<'_>) -> Layout {
        let mut whole: Vec<bool> = self.kept.iter().map(|k| *k == Kept::Whole).collect();
        whole[at(model.input_id())] = true;
        for (_, view) in nodes(model) {
            if self.kept[at(view.output)] == Kept::Whole {
                for id in variable(model, &view) {
                    whole[at(id)] = true;
                }
            }
        }
        let mut sharing = Sharing::alone(model, &whole);
        let mut parts = vec![None; self.kept.len()];
        for (id, kept) in self.kept.iter().enumerate() {
            if let Kept::Part([h, w]) = kept {
                parts[id] = Some(sharing.sizes.len());
                let c = model.shape(TensorId(id as u16)).c;
                sharing.sizes.push(h * w * c);
            }
        }
        let patches = sharing.sizes.len();
        for (_, view) in nodes(model) {
            let (Kept::Part(size), Some(reach)) = (self.kept[at(view.output)], reach(model, &view))
            else {
                continue;
            };
            for (part, id) in view.inputs().enumerate() {
                let [h, w] = reach.read(size);
                sharing
                    .sizes
                    .resize(sharing.sizes.len().max(patches + part + 1), 0);
                let room = &mut sharing.sizes[patches + part];
                *room = (*room).max(h * w * model.shape(id).c);
            }
        }
        Layout {
            sharing,
            parts,
            patches,
        }
    }

    /// The steps.
    ///
    /// # Errors
    /// A node that does not run here.
    pub fn steps(
        &self,
        model: &Model<'_>,
        storage: Storage,
        layout: &Layout,
    ) -> Result<Steps, GpuError> {
        let mut writer = Writer {
            plan: self,
            model,
            storage,
            layout,
            steps: vec![kernels::input(model, storage)],
            places: vec![Place::Origin],
            whole: vec![false; self.kept.len()],
        };
        writer.whole[at(model.input_id())] = true;
        for (index, view) in nodes(model) {
            match self.kept[at(view.output)] {
                Kept::Part(size) => writer.part(index, view, size)?,
                _ => writer.whole(index, view)?,
            }
        }
        let places = writer.places;
        // How many places a picture has shows at the end.
        for step in &mut writer.steps {
            if step.shader.kind == ShaderKind::Patch {
                step.words.set(LISTS, places.len());
            }
        }
        Ok(Steps {
            steps: writer.steps,
            places,
        })
    }
}

/// Inputs of a node that are no constants.
fn variable<'a>(
    model: &'a Model<'_>,
    view: &'a NodeView<'_>,
) -> impl Iterator<Item = TensorId> + 'a {
    let constant = |id: &TensorId| model.tensor(*id).is_some_and(|t| t.constant.is_some());
    view.inputs().filter(move |id| !constant(id))
}

/// A node is computed in part where its inputs are, down from the picture, and
/// where the part is not most of it.
fn kept(model: &Model<'_>, sizes: &[[usize; 2]]) -> Vec<Kept> {
    let mut kept = vec![Kept::Never; sizes.len()];
    kept[at(model.input_id())] = Kept::Whole;
    for (_, view) in nodes(model) {
        let (shape, [h, w]) = (model.shape(view.output), sizes[at(view.output)]);
        let is_input = |id: TensorId| id == model.input_id();
        let parts =
            variable(model, &view).all(|id| is_input(id) || matches!(kept[at(id)], Kept::Part(_)));
        let small = h * w > 0 && h * w * 100 < shape.area() * DENSE;
        let plain = match view.op {
            Op::Pad { .. } => view.activation == foveola_core::net::op::Activation::None,
            _ => true,
        };
        let part = parts && small && plain && reach(model, &view).is_some();
        kept[at(view.output)] = match part {
            true => Kept::Part([h, w]),
            false => Kept::Whole,
        };
    }
    kept
}

/// Which buffer holds what.
#[derive(Debug)]
pub struct Layout {
    pub sharing: Sharing,
    parts: Vec<Option<usize>>,
    /// The first buffer of what nodes read, one for each of their inputs.
    patches: usize,
}

/// Which of a patch's numbers says how many places a picture has.
const LISTS: usize = 8;

struct Writer<'a, 'm> {
    plan: &'a Plan,
    model: &'a Model<'m>,
    storage: Storage,
    layout: &'a Layout,
    steps: Vec<Step>,
    places: Vec<Place>,
    /// Tensors that are there as a whole by now.
    whole: Vec<bool>,
}

impl<'m> Writer<'_, 'm> {
    fn place(&mut self, place: Place) -> usize {
        self.places.push(place);
        self.places.len() - 1
    }

    /// Adds the step that brings `size` pixels of a tensor, from a place on, to `to`.
    fn patch(&mut self, id: TensorId, size: [usize; 2], place: usize, outside: f32, to: Operand) {
        let (shape, [h, w]) = (self.model.shape(id), size);
        let input = id == self.model.input_id();
        let (crop, changed, crop_at) = match (self.plan.kept[at(id)], self.layout.parts[at(id)]) {
            (Kept::Part(crop), Some(slot)) => {
                let place = self.place(Place::Part(at(id)));
                (crop, Operand::Part(slot), place)
            }
            _ => ([0; 2], Operand::Nothing, 0),
        };
        let held = match input {
            true => Operand::Value(id),
            false => Operand::Held(id),
        };
        let picture = if input { shape.len() } else { 0 };
        let words = Words::default()
            .sizes([h, w, shape.c, shape.h, shape.w])
            .sizes(crop)
            .sizes([picture, 0, place, crop_at])
            .reals([outside]);
        self.steps.push(Step {
            shader: Shader {
                kind: ShaderKind::Patch,
                storage: self.storage,
            },
            operands: vec![held, changed, Operand::Places, to],
            words,
            work: Work::Elements(h * w * shape.c),
        });
    }

    /// A node in part: what it reads, then the node on it.
    fn part(&mut self, index: usize, view: NodeView<'m>, size: [usize; 2]) -> Result<(), GpuError> {
        let output = at(view.output);
        let (Some(reach), Some(slot)) = (reach(self.model, &view), self.layout.parts[output])
        else {
            return Ok(());
        };
        let to = Operand::Part(slot);
        let read = reach.read(size);
        let padded = matches!(view.op, Op::Pad { .. });
        let direct = reach.is_same() && self.plan.aligned[index] && !padded;
        let mut operands = vec![(view.output, to)];
        let mut frame = Frame {
            inputs: Vec::new(),
            output: Shape::new(size[0], size[1], self.model.shape(view.output).c),
        };
        for (part, id) in view.inputs().enumerate() {
            let shape = self.model.shape(id);
            if self.model.tensor(id).is_some_and(|t| t.constant.is_some()) {
                frame.inputs.push(shape);
                continue;
            }
            frame.inputs.push(Shape::new(read[0], read[1], shape.c));
            // Parts begin at the same place only in tensors of one size.
            let whole = self.model.shape(view.output);
            let alike = direct && (shape.h, shape.w) == (whole.h, whole.w);
            let own = self.layout.parts[at(id)].filter(|_| alike);
            let from = match own {
                Some(slot) => Operand::Part(slot),
                None => {
                    let place = self.place(Place::Read(output, reach));
                    let patch = Operand::Part(self.layout.patches + part);
                    let goal = if padded { to } else { patch };
                    self.patch(id, read, place, reach.outside, goal);
                    patch
                }
            };
            operands.push((id, from));
        }
        if !padded {
            let view = without_padding(view);
            self.node(index, view, Some(&frame), &operands)?;
        }
        Ok(())
    }

    /// A node as a whole, on inputs that are brought together first.
    fn whole(&mut self, index: usize, view: NodeView<'m>) -> Result<(), GpuError> {
        let model = self.model;
        for id in view.inputs() {
            let constant = model.tensor(id).is_some_and(|t| t.constant.is_some());
            if !constant && !self.whole[at(id)] {
                let shape = model.shape(id);
                self.patch(id, [shape.h, shape.w], 0, 0.0, Operand::Value(id));
                self.whole[at(id)] = true;
            }
        }
        self.whole[at(view.output)] = true;
        self.node(index, view, None, &[])
    }

    /// The steps of a node, on these buffers instead of the tensors'.
    fn node(
        &mut self,
        index: usize,
        view: NodeView<'m>,
        frame: Option<&Frame>,
        buffers: &[(TensorId, Operand)],
    ) -> Result<(), GpuError> {
        let mut steps = Vec::new();
        kernels::forward(&mut Forward {
            model: self.model,
            index,
            view,
            storage: self.storage,
            keep: false,
            first: &First::default(),
            residuals: &Residuals::default(),
            frame,
            steps: &mut steps,
        })?;
        for step in &mut steps {
            for operand in &mut step.operands {
                let own = buffers
                    .iter()
                    .find(|(id, _)| *operand == Operand::Value(*id));
                *operand = own.map_or(*operand, |(_, buffer)| *buffer);
            }
        }
        self.steps.append(&mut steps);
        Ok(())
    }
}

/// The node on what it reads: padding is there already.
fn without_padding(mut view: NodeView<'_>) -> NodeView<'_> {
    match &mut view.op {
        Op::Conv { geometry, .. }
        | Op::Depthwise { geometry }
        | Op::MaxPool(geometry)
        | Op::AveragePool { geometry, .. } => geometry.pad = [0; 2],
        _ => {}
    }
    view
}

impl Steps {
    /// Rows and columns of the places of one picture, 2 numbers each.
    pub fn places(&self, plan: &Plan, model: &Model<'_>, window: &Window) -> Vec<i32> {
        let areas = reached(model, window);
        let begin = |id: usize| begin(&plan.kept, &areas, model, id);
        let numbers = self.places.iter().flat_map(|place| match *place {
            Place::Origin => [0; 2],
            Place::Part(id) => begin(id).map(|n| n as i32),
            Place::Read(output, reach) => reach.begin(begin(output)),
        });
        numbers.collect()
    }

    /// Places of one picture.
    pub fn lists(&self) -> usize {
        self.places.len()
    }
}

/// Where the part of a tensor begins: it holds what changed and lies inside.
fn begin(kept: &[Kept], areas: &[Area], model: &Model<'_>, id: usize) -> [usize; 2] {
    let Kept::Part([h, w]) = kept[id] else {
        return [0; 2];
    };
    let shape = model.shape(TensorId(id as u16));
    let [y, x] = areas[id].from;
    [y.min(shape.h - h), x.min(shape.w - w)]
}
