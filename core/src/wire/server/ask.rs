//! An explanation.

use super::Desk;
use super::attend::{Attended, Shared, Steps};
use super::lent::Lent;
use super::room::Room;
use super::work::{Left, arena, best, picture, scores};
use crate::ask::{Lend, Subject};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::hoc::Step;
use crate::explain::hoc::Storage;
use crate::explain::{Method, Outcome, Query};
use crate::mask::Window;
use crate::net::arch::Isa;
use crate::net::model::Model;
use crate::net::model::Pass;
use crate::net::session::Session;
use crate::picture::Picture;
use crate::wire::fault::Fault;
use crate::wire::message::Explain;

/// Whose network answers a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Here,
    OnHost,
    /// Here; edits compute only what they can reach.
    Edited,
}

/// What is asked of a picture that lies elsewhere.
pub struct Asked<'a, 'w> {
    pub model: &'a Model<'a>,
    pub picture: Picture<'a>,
    pub shared: &'a Shared<'w>,
}

impl Asked<'_, '_> {
    /// Its scores.
    pub fn scores(&self, score: Score, out: &mut [f32], mut room: Room<'_>) -> Result<(), Error> {
        self.picture.check(self.model.input())?;
        scores(&self.subject(), score, out, &mut room, self.shared).map(drop)
    }

    /// A map, at the place that it answers.
    pub fn map(
        &self,
        explain: &Explain,
        target: usize,
        (steps, boxes): (&mut [Step], &mut [Window]),
        room: Room<'_>,
    ) -> Result<Left, Error> {
        self.picture.check(self.model.input())?;
        let subject = self.subject();
        let question = Question {
            subject,
            network: Network::Here,
            explain,
            target,
            shared: self.shared,
        };
        let run = |room: Room<'_>, passes: &[Pass], method: &dyn Method| {
            question.ask(room, passes, method)
        };
        let storage = Storage { steps, boxes };
        explain.method.with(&subject, storage, room, run)
    }

    const fn subject(&self) -> Subject<'_> {
        Subject {
            model: self.model,
            picture: self.picture,
        }
    }
}

/// A question whose picture and target are known.
struct Question<'q, 'w> {
    subject: Subject<'q>,
    network: Network,
    explain: &'q Explain,
    target: usize,
    shared: &'q Shared<'w>,
}

impl Desk<'_> {
    pub(super) fn explain(
        &mut self,
        explain: &Explain,
        network: Network,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (steps, boxes) = (
            core::mem::take(&mut self.steps),
            core::mem::take(&mut self.boxes),
        );
        let storage = Storage {
            steps: &mut *steps,
            boxes: &mut *boxes,
        };
        let left = self.explain_with((explain, network), storage, shared);
        (self.steps, self.boxes) = (steps, boxes);
        left
    }

    fn explain_with(
        &mut self,
        (explain, network): (&Explain, Network),
        storage: Storage<'_>,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        picture.check(model.input())?;
        let subject = Subject {
            model: &model,
            picture,
        };
        let target = match explain.target {
            Some(target) => target as usize,
            None => {
                let mut room = room.scope();
                let out = room.floats(model.classes())?;
                scores(&subject, Score::Probability, out, &mut room, shared)?;
                best(out)
            }
        };
        let question = Question {
            subject,
            network,
            explain,
            target,
            shared,
        };
        let run = |room: Room<'_>, passes: &[Pass], method: &dyn Method| {
            question.ask(room, passes, method)
        };
        Ok(explain.method.with(&subject, storage, room, run)?)
    }
}

impl Question<'_, '_> {
    /// Runs the method with exactly the memory that it needs.
    fn ask(&self, mut room: Room<'_>, passes: &[Pass], method: &dyn Method) -> Result<Left, Error> {
        let Subject { model, picture } = self.subject;
        let (shape, scratch) = {
            // Shapes and costs need no arena, but an aligned one.
            let mut session = Session::new(model, room.bytes(0)?, Isa::detect())?;
            let shape = method.map_shape(&mut session)?;
            (shape, method.cost(&mut session, 1)?.scratch)
        };
        let start = room.used();
        let map = room.floats(shape.len())?;
        let buffer = room.floats(scratch)?;
        let shared = self.shared;
        let query = Query {
            picture,
            targets: &[self.target],
            score: self.explain.score,
            seed: self.explain.seed,
        };
        let mut outcome = [Outcome::Flat];
        let progress = &mut Steps(shared);
        let mut run = |classifier: &mut dyn Classifier| {
            method.explain(classifier, &query, map, &mut outcome, buffer, progress)
        };
        let bytes = match self.network {
            Network::Here | Network::Edited => {
                let held = match self.network {
                    Network::Edited => self.explain.method.held_len(model, &mut room),
                    _ => None,
                };
                let arena = match held {
                    Some(bytes) => room.bytes(bytes)?,
                    None => arena(model, passes, &mut room)?,
                };
                let bytes = arena.len();
                let mut session = Session::new(model, arena, Isa::detect())?;
                session.set_incremental(held.is_some());
                let mut attended = Attended { session, shared };
                run(&mut attended)?;
                if held.is_some() {
                    let attendant = shared.try_borrow_mut();
                    attendant.map_err(|_| Error::Internal)?.edits = attended.session.edits();
                }
                bytes
            }
            Network::OnHost => {
                run(&mut Lent::new(model, shared, &mut room)?)?;
                0
            }
        };
        let [outcome] = outcome;
        Ok(Left {
            end: outcome.into(),
            target: self.target,
            start,
            shape,
            arena: bytes,
        })
    }
}
