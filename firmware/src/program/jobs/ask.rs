//! One method of the job.

use foveola_core::ask::{ALL_METHODS, Lend, Subject};
use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{Method, Outcome, Query, gradient_rows};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::wire::message::Call;
use foveola_core::{At, Error, Rule, Shape, TensorId};
use zerocopy::IntoBytes;

use super::files::Output;
use super::screen::Answered;
use super::{Failure, Work};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::method;
use crate::program::meter::Cost;

/// Most steps and most boxes of a HOC tree.
const TREE: usize = 128;
/// No tensor has this id: what the model has no plan for is not found.
const NOWHERE: u16 = u16::MAX;

// What the host's `budget` counts for a tree, in words.
const _: () = assert!(size_of::<Step>() == 4 * 13 && size_of::<foveola_core::Window>() == 4 * 6);

/// One question, its method ready.
struct Question<'q> {
    number: usize,
    text: &'q str,
    target: usize,
    passes: &'q [Pass],
    /// What is asked.
    call: &'q Call,
    /// How a method with gradients passes them back.
    rule: Rule,
    /// Whether its map is such a gradient, as it is.
    is_gradient: bool,
    method: &'q dyn Method,
}

impl<B: Board> Work<'_, '_, B> {
    /// Runs method `number` of the job and writes its map. Its stack does not lie
    /// under a classification.
    #[inline(never)]
    pub(super) fn explain(
        &mut self,
        pool: &mut Pool<'_>,
        number: usize,
        text: &str,
        target: usize,
    ) -> Result<(), Failure> {
        let mut pool = pool.scope();
        let (model, picture) = (self.model, self.picture);
        let layer = |text: &str| Some(layer_of(model, text).unwrap_or(NOWHERE));
        if method::is_sent(text) && !ALL_METHODS {
            return Err(Failure::NoRoom(number));
        }
        let call = method::parse(text, &layer).ok_or(Failure::Method(number))?;
        self.answer.line(format_args!("method.{number}={text}"))?;
        let tree = match call {
            Call::Hoc { .. } | Call::WideHoc { .. } => TREE,
            _ => 0,
        };
        let storage = Storage {
            steps: pool.take(tree, Step::UNUSED)?,
            boxes: pool.take(tree, UNUSED_WINDOW)?,
        };
        let subject = Subject { model, picture };
        let (rule, is_gradient) = (call.rule(), call.is_gradient());
        call.with(&subject, storage, pool, |pool, passes, method| {
            let question = Question {
                number,
                text,
                target,
                passes,
                call: &call,
                rule,
                is_gradient,
                method,
            };
            self.ask(pool, &question)
        })
    }

    fn ask(&mut self, mut pool: Pool<'_>, question: &Question<'_>) -> Result<(), Failure> {
        let number = question.number;
        if self.job.profile {
            for pass in question.passes.iter().take(1) {
                let way = (*pass, question.rule);
                self.profile_gradient(pool.scope(), number, way, question.target)?;
            }
        }
        if self.job.rows && question.is_gradient {
            return self.ask_rows(pool, question);
        }
        let (shape, scratch) = {
            // Shapes and costs need no arena, but an aligned one.
            let mut session = Session::new(self.model, pool.take(0, 0)?, Isa::detect())?;
            let shape = question.method.map_shape(&mut session)?;
            (shape, question.method.cost(&mut session, 1)?.scratch)
        };
        let map = pool.take(shape.len(), 0.0)?;
        let (outcome, cost, edits) = self.measure(pool.scope(), question, map, scratch)?;
        self.folder
            .write(format_args!("map{number}.bin"), map.as_bytes())?;
        self.tell(number, shape, outcome, &cost)?;
        match edits {
            Some(count) => self
                .answer
                .line(format_args!("edits.{number}=incremental {count}"))?,
            None if ALL_METHODS && self.job.edits => {
                self.answer.line(format_args!("edits.{number}=full"))?
            }
            None => {}
        }
        let answered = Answered {
            number,
            method: question.text,
            target: question.target,
            outcome,
            map,
            shape,
        };
        self.draw(pool, &answered)
    }

    /// As [`Work::ask`] for a gradient at the input, which is never held.
    fn ask_rows(&mut self, mut pool: Pool<'_>, question: &Question<'_>) -> Result<(), Failure> {
        let number = question.number;
        let arena = self.arena(&mut pool, question.passes)?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let query = self.query(&question.target);
        let name = format_args!("map{number}.bin");
        let (outcome, measured) = self.folder.create(name, |mut file| {
            let mut lost = None;
            let mut sink = |_, row: &[f32]| {
                lost = file.put(row.as_bytes()).err();
                if lost.is_some() {
                    Err(Error::Stopped)
                } else {
                    Ok(())
                }
            };
            self.meter.begin();
            let rule = question.rule;
            let result = gradient_rows(rule, &mut session, &query, &mut sink, self.meter);
            let measured = self.meter.end();
            match lost {
                Some(failure) => Err(failure),
                None => Ok((result?, measured)),
            }
        })?;
        let shape = self.model.input();
        if matches!(outcome, Outcome::Undefined(_)) {
            let zeros = |mut file: Output<'_>| (0..shape.len()).try_for_each(|_| file.put(&[0; 4]));
            self.folder.create(name, zeros)?;
        }
        self.tell(number, shape, outcome, &Cost::new(measured, bytes, 0, 0))
    }

    /// Shape, outcome and cost of a method's map.
    fn tell(
        &mut self,
        number: usize,
        shape: Shape,
        outcome: Outcome,
        cost: &Cost,
    ) -> Result<(), Failure> {
        let Shape { h, w, c } = shape;
        let answer = &mut *self.answer;
        answer.line(format_args!("shape.{number}={h}/{w}/{c}"))?;
        answer.outcome(number, outcome)?;
        answer.line(format_args!("cost.{number}={cost}"))
    }

    /// Runs the method with exactly the memory that it needs; answers how many
    /// pictures were computed only where they changed, if any could be.
    fn measure(
        &mut self,
        mut pool: Pool<'_>,
        question: &Question<'_>,
        map: &mut [f32],
        scratch: usize,
    ) -> Result<(Outcome, Cost, Option<u32>), Failure> {
        let buffer = pool.take(scratch, 0.0)?;
        let held = match ALL_METHODS && self.job.edits {
            true => question.call.held_len(self.model, &mut pool),
            false => None,
        };
        let arena = match held {
            Some(bytes) => pool.take(bytes, 0)?,
            None => self.arena(&mut pool, question.passes)?,
        };
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        session.set_incremental(held.is_some());
        let query = self.query(&question.target);
        let mut outcome = [Outcome::Flat];
        self.meter.begin();
        let method = question.method;
        let result = method.explain(&mut session, &query, map, &mut outcome, buffer, self.meter);
        let measured = self.meter.end();
        result?;
        defmt::info!(
            "method {}: {=u64} instructions, {} bytes of stack",
            question.number,
            measured.instructions,
            measured.stack
        );
        let cost = Cost::new(measured, bytes, scratch, map.len());
        Ok((outcome[0], cost, held.map(|_| session.edits())))
    }
}

impl<'w, B: Board> Work<'w, '_, B> {
    /// What the job asks about one class.
    fn query<'q>(&self, target: &'q usize) -> Query<'q>
    where
        'w: 'q,
    {
        Query {
            picture: self.picture,
            targets: core::slice::from_ref(target),
            score: self.job.score,
            seed: self.job.seed,
        }
    }
}

impl<'p> Lend<'p> for Pool<'p> {
    type Scope<'a>
        = Pool<'a>
    where
        Self: 'a;

    fn bytes(&mut self, length: usize) -> Result<&'p mut [u8], Error> {
        self.take(length, 0)
    }

    fn floats(&mut self, count: usize) -> Result<&'p mut [f32], Error> {
        self.take(count, 0.0)
    }

    fn scope(&mut self) -> Pool<'_> {
        Self::scope(self)
    }
}

/// The tensor of a layer, by its id or, if it has a plan, by its name.
fn layer_of(model: &Model<'_>, text: &str) -> Option<u16> {
    let named = |id: &TensorId| model.tensor(*id).is_some_and(|tensor| tensor.name == text);
    let mut planned = model.passes().filter_map(|pass| match pass {
        Pass::Backward(At::Tensor(id)) => Some(id),
        _ => None,
    });
    let by_name = || planned.find(named).map(|id| id.0);
    text.parse().ok().or_else(by_name)
}
