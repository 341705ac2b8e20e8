//! Runs what the reader accepts, twice, and compares.

use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, NodeView, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{At, Error, Layers, Masked, Picture, Rule, Score, Shape, Values};

use crate::aligned::Aligned;
use crate::number::Random;

/// Largest arena that is run, in bytes.
pub const MOST_ARENA: usize = 1 << 16;
/// Most multiplications, roughly, of a network that is run.
pub const MOST_WORK: usize = 1 << 21;

/// What must not happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Code panicked; what it said.
    Panic(String),
    /// An accepted file fails in a way that the check should exclude.
    Fails(Pass, Error),
    /// The answer depends on the instruction set or on what lay in the arena.
    Differs(Pass),
    /// The reader accepts bytes that its hashes do not belong to.
    Unnoticed,
}

/// What became of an accepted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It is sound, and was not run: too large, or not chosen.
    OnlyChecked,
    /// Every pass ran, so many of them.
    Passes(usize),
    /// A pass met NaN, and said so.
    NotFinite,
}

/// One way to run.
#[derive(Clone, Copy)]
struct Way {
    isa: Isa,
    /// What lies in the arena before.
    fill: u8,
    /// Bytes behind the plan's arena, for kernels that use them.
    scratch: usize,
}

/// Memory that is used again and again, and how much of it may be.
#[derive(Debug)]
pub struct Runner {
    arena: Aligned,
    picture: Vec<f32>,
    most_arena: usize,
    most_work: usize,
}

impl Default for Runner {
    fn default() -> Self {
        Self::with_limits(MOST_ARENA, MOST_WORK)
    }
}

impl Runner {
    /// A runner that leaves out networks with a larger arena (bytes) or more
    /// work (multiplications, roughly).
    pub fn with_limits(most_arena: usize, most_work: usize) -> Self {
        Self {
            arena: Aligned::default(),
            picture: Vec::new(),
            most_arena,
            most_work,
        }
    }

    /// Runs every pass of an accepted file.
    ///
    /// # Errors
    /// What must not happen.
    pub fn run(&mut self, model: &Model<'_>, random: &mut Random) -> Result<Ran, Finding> {
        let shape = model.input();
        if work(model) > self.most_work || shape.len() > self.most_work {
            return Ok(Ran::OnlyChecked);
        }
        self.picture.clear();
        self.picture
            .extend((0..shape.len()).map(|_| 3.0 * random.real()));
        let mut ran = Ran::OnlyChecked;
        for pass in model.passes() {
            let arena = model.plan(pass).map_or(usize::MAX, |p| p.arena_len());
            if arena > self.most_arena {
                continue;
            }
            // An exact arena full of NaN and -1, then one with room to spare.
            let scratch = random.pick(&[0, 64, 4096]);
            // An interpreter has no other instruction sets.
            let best = if cfg!(miri) {
                Isa::portable()
            } else {
                Isa::detect()
            };
            let ways = [(Isa::portable(), 0xff, 0), (best, 0x41, scratch)];
            let rule = random.pick(&[Rule::Gradient, Rule::Guided, Rule::Deconvolution]);
            let target = random.below(model.classes());
            let answers = ways.map(|(isa, fill, scratch)| {
                let way = Way { isa, fill, scratch };
                self.answer(model, pass, way, rule, target)
            });
            ran = judge(pass, answers, ran)?;
        }
        Ok(ran)
    }

    /// A number that depends on every value of a pass.
    fn answer(
        &mut self,
        model: &Model<'_>,
        pass: Pass,
        way: Way,
        rule: Rule,
        target: usize,
    ) -> Result<u64, Error> {
        let need = model.plan(pass).ok_or(Error::NoPlan)?.arena_len();
        let arena = self.arena.first(need + way.scratch);
        arena.fill(way.fill);
        let mut session = Session::new(model, arena, way.isa)?;
        let (shape, data) = (model.input(), &self.picture[..]);
        let picture = Masked::whole(Picture::Tensor { shape, data });
        let mut sum = Sum::default();
        let mut tap = |_: usize, _: usize, values: Values<'_>| {
            sum.add(values);
            Ok(())
        };
        match pass {
            Pass::Forward => session.forward_tapped(&picture, &mut tap)?,
            Pass::Backward(at) => {
                session.run_tapped(&picture, at, rule, &mut tap)?;
                if at != At::Input {
                    sum.add(session.activation()?);
                }
                for score in [Score::Logit, Score::Probability] {
                    let mut add = |_: usize, piece: &[f32]| {
                        sum.add(Values::Real(piece));
                        Ok(())
                    };
                    session.backward_pieces(&[(target, 1.0)], score, &mut add)?;
                }
            }
            _ => {}
        }
        Ok(sum.0)
    }
}

/// Both answers must be one, and an error only that a number is not finite.
fn judge(pass: Pass, answers: [Result<u64, Error>; 2], ran: Ran) -> Result<Ran, Finding> {
    if answers[0] != answers[1] {
        let mut errors = answers.iter().filter_map(|a| a.err());
        return Err(match errors.find(|e| *e == Error::Internal) {
            Some(error) => Finding::Fails(pass, error),
            None => Finding::Differs(pass),
        });
    }
    match (answers[0], ran) {
        (Ok(_), Ran::Passes(n)) => Ok(Ran::Passes(n + 1)),
        (Ok(_), Ran::OnlyChecked) => Ok(Ran::Passes(1)),
        (Ok(_), Ran::NotFinite) | (Err(Error::NotFinite { .. }), _) => Ok(Ran::NotFinite),
        (Err(error), _) => Err(Finding::Fails(pass, error)),
    }
}

/// FNV-1a over 32 bits at a time; every NaN counts as one.
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn add(&mut self, values: Values<'_>) {
        let mut word = |bits: u32| {
            self.0 = (self.0 ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
        };
        match values {
            Values::Real(data) => data.iter().for_each(|v| {
                word(if v.is_nan() { u32::MAX } else { v.to_bits() });
            }),
            Values::Stored { data, .. } => data.iter().for_each(|&v| word(v as u32)),
        }
    }
}

/// Roughly the multiplications of a forward pass.
fn work(model: &Model<'_>) -> usize {
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let works = nodes.map(|node| {
        let output = model.shape(node.output).len();
        output.saturating_mul(taps(model, &node))
    });
    works.fold(0, usize::saturating_add)
}

/// Elements that one element of a node's output is made of.
fn taps(model: &Model<'_>, node: &NodeView<'_>) -> usize {
    let input = node
        .input(0)
        .map_or(Shape::new(0, 0, 0), |id| model.shape(id));
    match node.op {
        // No more taps than the input has elements: padding costs nothing.
        Op::Conv { geometry, .. }
        | Op::Depthwise { geometry }
        | Op::MaxPool(geometry)
        | Op::AveragePool { geometry, .. } => {
            let [kh, kw] = geometry.kernel.map(usize::from);
            let channels = if matches!(node.op, Op::Conv { .. }) {
                input.c
            } else {
                1
            };
            kh.min(input.h) * kw.min(input.w) * channels
        }
        Op::Dense | Op::Mean { .. } | Op::GlobalMaxPool => input.len(),
        Op::Lrn { .. } | Op::Softmax => input.c,
        _ => 1,
    }
}
