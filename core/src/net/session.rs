//! Runs a model in an arena of the caller.

mod backward;
mod dropout;
mod forward;
mod held;
mod in_place;
mod pixels;
mod pour;
#[cfg(foveola_relevance)]
mod relevance;
#[cfg(foveola_inside)]
mod replace;
mod stream;
mod stream_back;

pub use forward::Tap;
pub use held::{Held, Slot, Watched, held_len};
pub use stream_back::gap_part;

use core::ops::Range;

use zerocopy::FromBytes;

use self::backward::Watch;
use self::dropout::Dropping;
use super::arch::Isa;
use super::format::ALIGNMENT;
use super::int8::Operand8;
use super::model::{Buffer, Model, NodeView, Pass, Plan};
use super::op::Activation;
use super::ops::{Node, Operand};
use super::quant::Quantisation;
use crate::classifier::{
    At, Classifier, Dropout, DroppedSink, Edits, Layers, Pieces, Rule, Score, Sink,
};
#[cfg(foveola_inside)]
use crate::classifier::{BiasPiece, BiasPieces};
use crate::error::Error;
use crate::mask::Masked;
#[cfg(foveola_inside)]
use crate::picture::Picture;
#[cfg(foveola_relevance)]
use crate::relevance::{Balance, RelevanceRules};
use crate::tensor::{Shape, TensorId, Values};

/// A model, an arena, and what the last run left there. Arithmetic is Strict:
/// the same bits on every machine.
#[derive(Debug)]
pub struct Session<'m, 'a> {
    model: &'m Model<'m>,
    arena: &'a mut [u8],
    isa: Isa,
    last: Option<Run>,
    dropping: Option<Dropping>,
    /// Whether nodes run without the activation that is merged into them.
    bare: bool,
    /// Whether edits compute only what they can reach.
    incremental: bool,
    /// Edits that did so.
    edits: u32,
}

/// What the arena holds.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: At,
    rule: Rule,
    /// Whether it kept the values that relevance needs, and no gates.
    relevance: bool,
}

impl<'m, 'a> Session<'m, 'a> {
    /// A session in `arena`, which starts on a multiple of 16 and holds at
    /// least [`Plan::arena_len`] of every pass that will be asked for. What
    /// it has beyond that serves faster kernels as scratch.
    ///
    /// # Errors
    /// [`Error::Misaligned`].
    pub fn new(model: &'m Model<'m>, arena: &'a mut [u8], isa: Isa) -> Result<Self, Error> {
        let offset = arena.as_ptr().addr() % ALIGNMENT;
        if offset != 0 {
            return Err(Error::Misaligned { offset });
        }
        Ok(Self {
            model,
            arena,
            isa,
            last: None,
            dropping: None,
            bare: false,
            incremental: false,
            edits: 0,
        })
    }

    /// The model.
    pub const fn model(&self) -> &'m Model<'m> {
        self.model
    }

    /// Runs a plain forward pass; [`Classifier::classify`] does so and copies the scores.
    ///
    /// # Errors
    /// A picture of the wrong shape, a small arena, NaN.
    pub fn forward(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Forward)?;
        self.run_forward(&plan, x, None, None)
    }

    fn plan(&self, pass: Pass) -> Result<Plan<'m>, Error> {
        let plan = self.model.plan(pass).ok_or(Error::NoPlan)?;
        let (need, have) = (plan.arena_len(), self.arena.len());
        if have < need {
            return Err(Error::ArenaTooSmall { need, have });
        }
        Ok(plan)
    }

    fn backward_plan(&self) -> Result<(Plan<'m>, Run), Error> {
        let run = self.last.filter(|run| !run.relevance);
        let run = run.ok_or(Error::BadOrder)?;
        Ok((self.plan(Pass::Backward(run.at))?, run))
    }

    /// The plan of the last run.
    fn last_plan(&self) -> Result<Plan<'m>, Error> {
        let run = self.last.ok_or(Error::BadOrder)?;
        self.plan(match run.relevance {
            true => Pass::Relevance,
            false => Pass::Backward(run.at),
        })
    }

    /// Tensor id of a point.
    fn id(&self, at: At) -> TensorId {
        match at {
            At::Input => self.model.input_id(),
            At::Tensor(id) => id,
        }
    }

    /// The values in a buffer.
    fn values(&self, buffer: &Buffer) -> Result<&[f32], Error> {
        let bytes = self.arena.get(buffer.range()).ok_or(Error::Internal)?;
        <[f32]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)
    }

    /// The node as its kernels see it, for input number `part`.
    fn kernel_node(&self, view: &NodeView<'m>, part: usize) -> Result<Node<'m>, Error> {
        let input = view.input(part).ok_or(Error::Internal)?;
        Ok(Node {
            op: view.op,
            activation: match self.bare {
                true => Activation::None,
                false => view.activation,
            },
            input: self.model.shape(input),
            output: self.model.shape(view.output),
            weights: view.weights,
            bias: view.bias,
        })
    }

    /// What bytes of the arena hold, which belong to a tensor.
    fn typed(&self, id: TensorId, range: Range<usize>) -> Result<Values<'_>, Error> {
        let tensor = self.model.tensor(id).ok_or(Error::Internal)?;
        let bytes = self.arena.get(range).ok_or(Error::Internal)?;
        Ok(match tensor.quant {
            None => Values::Real(floats(bytes)?),
            Some(Quantisation { scale, zero_point }) => Values::Stored {
                data: integers(bytes)?,
                scale,
                zero_point,
            },
        })
    }

    /// What lies behind the plan's part of the arena.
    fn scratch_range(&self, plan: &Plan<'_>) -> Range<usize> {
        let start = plan.arena_len().min(self.arena.len());
        let bytes = (self.arena.len() - start) & !3;
        start..start + bytes
    }
}

/// Where a node finds an operand.
#[derive(Clone, Debug)]
enum Place<'m> {
    Constant(Shape, Values<'m>),
    Arena(Shape, Option<Quantisation>, Range<usize>),
}

impl<'m> Place<'m> {
    fn of(model: &Model<'m>, plan: &Plan<'_>, id: TensorId) -> Result<Self, Error> {
        let tensor = model.tensor(id).ok_or(Error::Internal)?;
        Ok(match tensor.constant {
            Some(values) => Self::Constant(tensor.shape, values),
            None => Self::Arena(tensor.shape, tensor.quant, plan.value(id).range()),
        })
    }

    /// The bytes of the arena to borrow for it.
    fn range(&self) -> Range<usize> {
        match self {
            Self::Constant(..) => 0..0,
            Self::Arena(_, _, range) => range.clone(),
        }
    }

    /// The f32 operand, `bytes` being what [`Place::range`] gave.
    fn operand<'b>(&self, bytes: &'b [u8]) -> Result<Operand<'b>, Error>
    where
        'm: 'b,
    {
        match *self {
            Self::Constant(shape, Values::Real(data)) => Ok(Operand { shape, data }),
            Self::Arena(shape, None, _) => Ok(Operand {
                shape,
                data: floats(bytes)?,
            }),
            _ => Err(Error::Internal),
        }
    }

    /// The int8 operand, `bytes` being what [`Place::range`] gave.
    fn operand8<'b>(&self, bytes: &'b [u8]) -> Result<Operand8<'b>, Error>
    where
        'm: 'b,
    {
        match *self {
            Self::Constant(
                shape,
                Values::Stored {
                    data,
                    scale,
                    zero_point,
                },
            ) => Ok(Operand8 {
                shape,
                data,
                quant: Quantisation { scale, zero_point },
            }),
            Self::Arena(shape, Some(quant), _) => Ok(Operand8 {
                shape,
                data: integers(bytes)?,
                quant,
            }),
            _ => Err(Error::Internal),
        }
    }

    /// The values, `bytes` being what [`Place::range`] gave.
    #[cfg(foveola_relevance)]
    fn values<'b>(&self, bytes: &'b [u8]) -> Result<Values<'b>, Error>
    where
        'm: 'b,
    {
        Ok(match *self {
            Self::Constant(_, values) => values,
            Self::Arena(_, None, _) => Values::Real(floats(bytes)?),
            Self::Arena(_, Some(Quantisation { scale, zero_point }), _) => Values::Stored {
                data: integers(bytes)?,
                scale,
                zero_point,
            },
        })
    }

    /// Row `y` of the f32 operand; `bytes` are that row's.
    fn row<'b>(&self, bytes: &'b [u8], y: usize) -> Result<Operand<'b>, Error>
    where
        'm: 'b,
    {
        let Operand { shape, data } = self.operand(bytes)?;
        Ok(Operand {
            shape: Shape { h: 1, ..shape },
            data: self.row_of(data, shape, y)?,
        })
    }

    /// Row `y` of the int8 operand; `bytes` are that row's.
    fn row8<'b>(&self, bytes: &'b [u8], y: usize) -> Result<Operand8<'b>, Error>
    where
        'm: 'b,
    {
        let Operand8 { shape, data, quant } = self.operand8(bytes)?;
        Ok(Operand8 {
            shape: Shape { h: 1, ..shape },
            data: self.row_of(data, shape, y)?,
            quant,
        })
    }

    /// A constant's data are all rows, the arena's are the row already.
    fn row_of<'b, T>(&self, data: &'b [T], shape: Shape, y: usize) -> Result<&'b [T], Error> {
        let start = match self {
            Self::Constant(..) => y * shape.row(),
            Self::Arena(..) => 0,
        };
        let row = start..start + shape.row();
        data.get(row).ok_or(Error::Internal)
    }
}

fn integers(bytes: &[u8]) -> Result<&[i8], Error> {
    <[i8]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)
}

fn integers_mut(bytes: &mut [u8]) -> Result<&mut [i8], Error> {
    <[i8]>::mut_from_bytes(bytes).map_err(|_| Error::Internal)
}

fn floats(bytes: &[u8]) -> Result<&[f32], Error> {
    <[f32]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)
}

fn floats_mut(bytes: &mut [u8]) -> Result<&mut [f32], Error> {
    <[f32]>::mut_from_bytes(bytes).map_err(|_| Error::Internal)
}

/// Takes several ranges out of the arena at once; a checked plan keeps them apart.
fn carve<const N: usize>(
    arena: &mut [u8],
    ranges: [Range<usize>; N],
) -> Result<[&mut [u8]; N], Error> {
    arena.get_disjoint_mut(ranges).map_err(|_| Error::Internal)
}

fn copy_scores(scores: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let have = out.len();
    let out = out.get_mut(..scores.len()).ok_or(Error::BufferTooSmall {
        need: scores.len(),
        have,
    })?;
    if let Some(class) = scores.iter().position(|s| !s.is_finite()) {
        return Err(Error::ScoreNotFinite { class });
    }
    out.copy_from_slice(scores);
    Ok(())
}

impl Classifier for Session<'_, '_> {
    fn input(&self) -> Shape {
        self.model.input()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.forward(x)?;
        let plan = self.plan(Pass::Forward)?;
        copy_scores(self.values(&plan.value(self.model.score_id(score)))?, out)
    }

    fn classify_edits(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        base.editable()?;
        let mut watch = || Ok(());
        let sinks: (&mut Sink<'_>, &mut Watched<'_>) = (&mut *sink, &mut watch);
        if self.classify_held(base, (count, edit), score, scores, sinks)? {
            return Ok(());
        }
        let base = *base;
        self.classify_batch(count, &|i| base.edited(edit(i).window), score, scores, sink)
    }

    fn classify_dropped(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        passes: usize,
        score: Score,
        scores: &mut [f32],
        sink: &mut DroppedSink<'_>,
    ) -> Result<(), Error> {
        let (need, have) = (self.classes(), scores.len());
        let scores = scores.get_mut(..need);
        let scores = scores.ok_or(Error::BufferTooSmall { need, have })?;
        for pass in 0..passes {
            let seen = self.classify_pass(x, dropout, pass, score, scores)?;
            sink(pass, scores, seen)?;
        }
        Ok(())
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        Some(self)
    }
}

impl Layers for Session<'_, '_> {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        let tensor = self.model.tensor(self.id(at)).ok_or(Error::NoPlan)?;
        Ok(tensor.shape)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Backward(at))?;
        self.run_forward(&plan, x, Some(rule), None)?;
        self.last = Some(Run {
            at,
            rule,
            relevance: false,
        });
        Ok(())
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        let plan = self.last_plan()?;
        self.values(&plan.value(self.model.score_id(score)))
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        let (plan, run) = self.backward_plan()?;
        match run.at {
            At::Input => Err(Error::BadOrder),
            At::Tensor(id) => self.typed(id, plan.value(id).range()),
        }
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        let (plan, run) = self.backward_plan()?;
        let id = self.id(run.at);
        if self.model.is_short_gradient(&plan, id) {
            return Err(Error::NoPlan);
        }
        self.seed(&plan, seed, score)?;
        self.run_backward(&plan, score, run.rule, &mut Watch::default())?;
        self.values(&plan.gradient(id))
    }

    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        let (plan, run) = self.backward_plan()?;
        if !self.model.is_short_gradient(&plan, self.id(run.at)) {
            return sink(0, self.backward(seed, score)?);
        }
        self.seed(&plan, seed, score)?;
        let mut watch = Watch {
            tap: None,
            sink: Some(sink),
        };
        self.run_backward(&plan, score, run.rule, &mut watch)
    }

    #[cfg(foveola_inside)]
    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        let nodes = (0..self.model.node_count()).filter_map(|i| self.model.node(i));
        if nodes.clone().any(|view| view.integers.is_some()) {
            return Err(Error::NotWhiteBox);
        }
        let mut biased = nodes.filter(|view| !view.bias.is_empty());
        Ok(biased.nth(node).map(|view| self.model.shape(view.output)))
    }

    #[cfg(foveola_inside)]
    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        self.bias_shape(0)?;
        let (plan, run) = self.backward_plan()?;
        let (model, id) = (self.model, self.id(run.at));
        let mut tap = |index: usize, first: usize, values: Values<'_>| {
            let view = model.node(index).ok_or(Error::Internal)?;
            let Values::Real(gradient) = values else {
                return Err(Error::Internal);
            };
            if view.bias.is_empty() {
                return Ok(());
            }
            let before = (0..index).filter_map(|i| model.node(i));
            biases(&BiasPiece {
                node: before.filter(|view| !view.bias.is_empty()).count(),
                shape: model.shape(view.output),
                first,
                gradient,
                bias: view.bias,
            })
        };
        self.seed(&plan, seed, score)?;
        let short = model.is_short_gradient(&plan, id);
        let mut watch = Watch {
            tap: Some(&mut tap),
            sink: match short {
                true => Some(&mut *sink),
                false => None,
            },
        };
        self.run_backward(&plan, score, run.rule, &mut watch)?;
        match short {
            true => Ok(()),
            false => sink(0, self.values(&plan.gradient(id))?),
        }
    }

    #[cfg(foveola_inside)]
    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        match at {
            At::Input => {
                let shape = self.model.input();
                let data = activation;
                self.classify(&Masked::whole(Picture::Tensor { shape, data }), score, out)
            }
            At::Tensor(id) => {
                self.run_replaced(x, id, activation)?;
                let plan = self.plan(Pass::Backward(at))?;
                copy_scores(self.values(&plan.value(self.model.score_id(score)))?, out)
            }
        }
    }

    #[cfg(foveola_relevance)]
    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.keep_for_relevance(x)
    }

    #[cfg(foveola_relevance)]
    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        self.propagate(seed, rules, balance)
    }
}
