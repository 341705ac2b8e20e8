//! From the model's nodes to steps: which shader runs on which buffers with
//! which numbers, and how many threads of it.

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Activation, Op};
use foveola_core::{Rule, Score, Shape, TensorId};

use super::GpuError;
use super::first::First;
use super::kernels::{self, Shader, ShaderKind, Storage, Words};
use super::residual::Residuals;

/// A buffer that a step binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    /// A tensor, or a constant of the model.
    Value(TensorId),
    /// The gradient of a tensor.
    Gradient(TensorId),
    /// Winners of a node's pool, 4 bytes each.
    Winners(usize),
    /// Weights of a node in the order that its forward kernel reads.
    Weights(usize),
    /// Weights of a node in the order that its backward kernel reads.
    Transposed(usize),
    /// Bias of a node; something where it has none.
    Bias(usize),
    /// The round's questions.
    Questions,
    /// The pictures that they speak of.
    Pictures,
    /// The masks that they speak of.
    Masks,
    /// What an int8 node reads besides its operands.
    Integers(usize),
    /// A buffer that holds no tensor as a whole, by its place among the room's.
    Part(usize),
    /// A tensor of the base of edits.
    Held(TensorId),
    /// Where the parts of edited pictures lie.
    Places,
    /// Something that is bound and not read.
    Nothing,
    /// Something that is bound and not written.
    NothingWritten,
}

/// How many workgroups a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// 256 elements each, so many elements a picture.
    Elements(usize),
    /// 64 pixels each, so many pixels a picture, times so many tiles of channels.
    Tiles(usize, usize),
    /// One each, so many a picture.
    Rows(usize),
}

impl Work {
    /// Workgroups along the three axes for `count` pictures.
    pub fn groups(self, count: usize) -> [u32; 3] {
        let (wanted, deep) = match self {
            Self::Elements(each) => ((each * count).div_ceil(256), 1),
            Self::Tiles(pixels, tiles) => ((pixels * count).div_ceil(64), tiles),
            Self::Rows(each) => (each * count, 1),
        };
        // 65,535 along an axis is what every adapter takes.
        let rows = wanted.div_ceil(65_535).max(1);
        [wanted.div_ceil(rows), rows, deep].map(|n| n as u32)
    }
}

/// A shader with its buffers and numbers.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub shader: Shader,
    pub operands: Vec<Operand>,
    pub words: Words,
    pub work: Work,
}

/// Shapes of the parts that a node is computed on.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub inputs: Vec<Shape>,
    pub output: Shape,
}

/// Where the steps of one node go.
pub(super) struct Forward<'a, 'm> {
    pub model: &'a Model<'m>,
    pub index: usize,
    pub view: NodeView<'m>,
    pub storage: Storage,
    /// Whether winners are kept for a backward pass.
    pub keep: bool,
    /// What first layers make themselves.
    pub first: &'a First,
    /// Shapes in place of the tensors', where only a part is computed.
    pub frame: Option<&'a Frame>,
    /// Additions that convolutions do.
    pub residuals: &'a Residuals,
    pub steps: &'a mut Vec<Step>,
}

fn unsupported(view: &NodeView<'_>, reason: &'static str) -> GpuError {
    GpuError::Unsupported {
        node: view.name.to_string(),
        reason,
    }
}

/// Input number `part` of a checked model, which has it.
fn part_of(view: &NodeView<'_>, part: usize) -> TensorId {
    view.input(part).unwrap_or(view.output)
}

impl Forward<'_, '_> {
    /// Input number `part`.
    pub fn id(&self, part: usize) -> TensorId {
        part_of(&self.view, part)
    }

    /// Shape of input number `part`.
    pub fn input(&self, part: usize) -> Shape {
        let own = self.frame.and_then(|frame| frame.inputs.get(part));
        own.map_or_else(|| self.model.shape(self.id(part)), |shape| *shape)
    }

    /// Shape of the output.
    pub fn output(&self) -> Shape {
        let whole = || self.model.shape(self.view.output);
        self.frame.map_or_else(whole, |frame| frame.output)
    }

    /// Elements from one picture of a tensor to the next: none in a constant.
    pub fn picture(&self, id: TensorId) -> usize {
        let part = self.view.inputs().position(|input| input == id);
        match (self.frame, part) {
            (Some(_), Some(part)) if picture(self.model, id) > 0 => self.input(part).len(),
            _ => picture(self.model, id),
        }
    }

    /// What runs the node instead: nothing.
    pub fn unsupported(&self, reason: &'static str) -> GpuError {
        unsupported(&self.view, reason)
    }

    /// Adds a step that writes the output.
    pub fn add(&mut self, kind: ShaderKind, operands: &[Operand], words: Words, work: Work) {
        let storage = self.storage;
        self.steps.push(Step {
            shader: Shader { kind, storage },
            operands: operands.to_vec(),
            words,
            work,
        });
    }
}

fn picture(model: &Model<'_>, id: TensorId) -> usize {
    let constant = model.tensor(id).is_some_and(|t| t.constant.is_some());
    if constant { 0 } else { model.shape(id).len() }
}

/// Where the steps of the gradient of one input go.
pub(super) struct Backward<'a, 'm> {
    pub model: &'a Model<'m>,
    pub index: usize,
    pub view: NodeView<'m>,
    pub storage: Storage,
    pub rule: Rule,
    /// Which input.
    pub part: usize,
    /// Elements before this input along the axis of a `Concat`.
    pub offset: usize,
    /// Whether the input's gradient already holds something to add to.
    pub accumulate: bool,
    pub steps: &'a mut Vec<Step>,
}

impl Backward<'_, '_> {
    /// Any input.
    pub fn id(&self, part: usize) -> TensorId {
        part_of(&self.view, part)
    }

    /// Shape of the input that this is about.
    pub fn input(&self) -> Shape {
        self.model.shape(self.id(self.part))
    }

    /// Shape of the output.
    pub fn output(&self) -> Shape {
        self.model.shape(self.view.output)
    }

    /// Elements from one picture of a tensor to the next: none in a constant.
    pub fn picture(&self, id: TensorId) -> usize {
        picture(self.model, id)
    }

    /// The gradient of the output.
    pub const fn from(&self) -> Operand {
        Operand::Gradient(self.view.output)
    }

    /// The gradient of the input.
    pub fn to(&self) -> Operand {
        Operand::Gradient(self.id(self.part))
    }

    /// What runs the node instead: nothing.
    pub fn unsupported(&self, reason: &'static str) -> GpuError {
        unsupported(&self.view, reason)
    }

    /// Adds a step that writes the input's gradient.
    pub fn add(&mut self, kind: ShaderKind, operands: &[Operand], words: Words, work: Work) {
        let storage = self.storage;
        self.steps.push(Step {
            shader: Shader { kind, storage },
            operands: operands.to_vec(),
            words,
            work,
        });
    }
}

fn view<'m>(model: &Model<'m>, index: usize) -> Result<NodeView<'m>, GpuError> {
    model.node(index).ok_or_else(|| GpuError::Unsupported {
        node: index.to_string(),
        reason: "the model file does not hold it",
    })
}

/// The steps from questions to scores; `keep` all tensors, and winners, for a
/// backward pass.
pub(super) fn forward(
    model: &Model<'_>,
    storage: Storage,
    keep: bool,
) -> Result<Vec<Step>, GpuError> {
    let first = &First::where_not_kept(model, keep);
    let residuals = &Residuals::where_not_kept(model, first, keep);
    let mut steps = vec![kernels::drawn(storage)];
    if !first.makes(model.input_id()) {
        steps.push(kernels::input(model, storage));
    }
    for index in 0..model.node_count() {
        kernels::forward(&mut Forward {
            model,
            index,
            view: view(model, index)?,
            storage,
            keep,
            first,
            frame: None,
            residuals,
            steps: &mut steps,
        })?;
    }
    Ok(steps)
}

/// Whether each tensor has a gradient: it lies on a way from `to` to `seeded`.
pub(super) fn on_the_way(model: &Model<'_>, to: TensorId, seeded: TensorId) -> Vec<bool> {
    let count = model.tensor_count();
    let nodes = || (0..model.node_count()).filter_map(|i| model.node(i));
    let mut depends = vec![false; count];
    depends[usize::from(to.0)] = true;
    for node in nodes() {
        let any = node.inputs().any(|id| depends[usize::from(id.0)]);
        depends[usize::from(node.output.0)] |= any;
    }
    let mut matters = vec![false; count];
    matters[usize::from(seeded.0)] = true;
    for node in nodes().collect::<Vec<_>>().into_iter().rev() {
        if matters[usize::from(node.output.0)] {
            for id in node.inputs() {
                matters[usize::from(id.0)] = true;
            }
        }
    }
    let both = depends.into_iter().zip(matters);
    both.map(|(depends, matters)| depends && matters).collect()
}

/// The steps from the gradient of a kind of score down to that of `to`, and
/// the gradients that they write. Without any, `to` does not reach the score.
pub(super) fn backward(
    model: &Model<'_>,
    storage: Storage,
    to: TensorId,
    score: Score,
    rule: Rule,
) -> Result<(Vec<Step>, Vec<bool>), GpuError> {
    let seeded = model.score_id(score);
    let on = on_the_way(model, to, seeded);
    let mut written = vec![false; on.len()];
    written[usize::from(seeded.0)] = true;
    let mut steps = Vec::new();
    for index in (0..model.node_count()).rev() {
        let view = view(model, index)?;
        // What lies before `to` is not asked for.
        if !on[usize::from(view.output.0)] || view.output == to {
            continue;
        }
        gate(model, &view, storage, rule, &mut steps);
        let mut offset = 0;
        for (part, id) in view.inputs().enumerate() {
            let at = usize::from(id.0);
            if on[at] {
                kernels::backward(&mut Backward {
                    model,
                    index,
                    view,
                    storage,
                    rule,
                    part,
                    offset,
                    accumulate: written[at],
                    steps: &mut steps,
                })?;
                written[at] = true;
            }
            if let Op::Concat { axis } = view.op {
                let shape = model.shape(id);
                offset += [shape.h, shape.w, shape.c][usize::from(axis.min(2))];
            }
        }
    }
    Ok((steps, on))
}

/// The rule of a node's own ReLU.
fn gate(
    model: &Model<'_>,
    view: &NodeView<'_>,
    storage: Storage,
    rule: Rule,
    steps: &mut Vec<Step>,
) {
    let is_relu = matches!(
        view.activation,
        Activation::Relu | Activation::Clip { .. } | Activation::LeakyRelu { .. }
    );
    if !is_relu {
        return;
    }
    let elements = model.shape(view.output).len();
    let words = Words::default()
        .sizes([elements, kernels::rule_number(rule)])
        .activation(view.activation);
    steps.push(Step {
        shader: Shader {
            kind: ShaderKind::Gate,
            storage,
        },
        operands: vec![Operand::Value(view.output), Operand::Gradient(view.output)],
        words,
        work: Work::Elements(elements),
    });
}
