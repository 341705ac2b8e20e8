//! Work on a picture: scores, a layer, the self-test.

use zerocopy::FromBytes;

use super::ask::Network;
use super::attend::{Attended, Shared, attend, copy};
use super::room::Room;
use super::{Desk, Job, PictureState, Task, small};
use crate::ask::{Lend, Subject};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::arch::Isa;
use crate::net::model::{Model, Pass};
use crate::net::session::Session;
use crate::picture::{Normalisation, Picture};
use crate::tensor::Shape;
use crate::wire::fault::Fault;
use crate::wire::message::{End, Ended, Format, sides};

/// An end without a result.
const NOTHING: Ended<'static> = Ended {
    work: 0,
    end: End::Ok,
    target: 0,
    shape: [0; 3],
    instructions: 0,
    stack: 0,
    arena: 0,
    passes: 0,
};

/// What a work left behind.
pub struct Left {
    pub end: End<'static>,
    pub target: usize,
    /// First byte of the result.
    pub start: usize,
    /// Its shape.
    pub shape: Shape,
    pub arena: usize,
}

impl Desk<'_> {
    /// Does the work; a failure is an end as well.
    pub fn perform(&mut self, job: &Job, shared: &Shared<'_>) -> Ended<'static> {
        let left = match job.task {
            Task::Classify(score) => self.classify(score, shared),
            Task::Explain(explain) => self.explain(&explain, Network::Here, shared),
            Task::ExplainAsking(explain) => self.explain(&explain, Network::OnHost, shared),
            Task::ExplainEdits(explain) => self.explain(&explain, Network::Edited, shared),
            Task::Tensor(node) => self.tensor(node, shared),
            Task::SelfTest => self.self_test(shared),
            Task::Audit(cases) => self.audit(cases, shared),
            Task::Uncertainty(passes, seed) => self.uncertainty(passes, seed, shared),
        };
        match left {
            Ok(left) => {
                self.result = left.start..left.start + 4 * left.shape.len();
                Ended {
                    end: left.end,
                    target: small(left.target),
                    shape: sides(left.shape),
                    arena: small(left.arena),
                    ..NOTHING
                }
            }
            Err(fault) => Ended {
                end: End::Failed(fault),
                ..NOTHING
            },
        }
    }

    pub(super) fn classify(
        &mut self,
        score: Score,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        let model = &model;
        let start = room.used();
        let out = room.floats(model.classes())?;
        let mut other = room.scope();
        let arena = scores(&Subject { model, picture }, score, out, &mut other, shared)?;
        Ok(Left {
            end: End::Ok,
            target: best(out),
            start,
            shape: Shape::new(1, 1, out.len()),
            arena,
        })
    }

    fn tensor(&mut self, index: usize, shared: &Shared<'_>) -> Result<Left, Fault<'static>> {
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        let node = model.node(index).ok_or(Error::BadNode { index })?;
        let shape = model.shape(node.output);
        let start = room.used();
        let out = room.floats(shape.len())?;
        let arena = arena(&model, &[Pass::Forward], &mut room)?;
        let bytes = arena.len();
        let mut session = Session::new(&model, arena, Isa::detect())?;
        session.forward_tapped(&Masked::whole(picture), &mut |node, first, values| {
            attend(shared)?;
            match node == index {
                true => copy(values, first, out),
                false => Ok(()),
            }
        })?;
        Ok(Left {
            end: End::Ok,
            target: 0,
            start,
            shape,
            arena: bytes,
        })
    }

    /// Whether the model's hashes still hold, and whether what an arena held
    /// before shows in the scores: then something reads what nobody wrote.
    fn self_test(&mut self, shared: &Shared<'_>) -> Result<Left, Fault<'static>> {
        self.slots.check()?;
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        let classes = model.classes();
        let start = room.used();
        let (out, again) = (room.floats(classes)?, room.floats(classes)?);
        let subject = Subject {
            model: &model,
            picture,
        };
        let mut bytes = 0;
        for (paint, out) in [(0x55, &mut *out), (0xaa, &mut *again)] {
            let mut whole = room.scope();
            arena(&model, &[Pass::Forward], &mut whole.scope())?.fill(paint);
            bytes = scores(&subject, Score::Probability, out, &mut whole, shared)?;
        }
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        match out.iter().zip(&*again).any(differs) {
            true => Err(Fault::SelfTest),
            false => Ok(Left {
                end: End::Ok,
                target: best(out),
                start,
                shape: Shape::new(1, 1, classes),
                arena: bytes,
            }),
        }
    }
}

/// The picture at the front of the memory.
pub fn picture<'r>(
    state: &PictureState,
    room: &mut Room<'r>,
    normalisation: &'r Normalisation,
) -> Result<Picture<'r>, Error> {
    let (shape, bytes) = (state.shape, &*room.bytes(state.length)?);
    Ok(match state.format {
        Format::Pixels => Picture::Pixels {
            shape,
            data: bytes,
            normalisation,
        },
        Format::Tensor => Picture::Tensor {
            shape,
            data: <[f32]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)?,
        },
    })
}

/// An arena for any of the passes.
pub fn arena<'r>(
    model: &Model<'_>,
    passes: &[Pass],
    room: &mut Room<'r>,
) -> Result<&'r mut [u8], Error> {
    let mut bytes = 0;
    for pass in passes {
        let plan = model.plan(*pass).ok_or(Error::NoPlan)?;
        bytes = plan.arena_len().max(bytes);
    }
    room.bytes(bytes)
}

/// Writes the scores of a picture; answers the bytes of arena.
pub fn scores(
    subject: &Subject<'_>,
    score: Score,
    out: &mut [f32],
    room: &mut Room<'_>,
    shared: &Shared<'_>,
) -> Result<usize, Error> {
    let arena = arena(subject.model, &[Pass::Forward], room)?;
    let bytes = arena.len();
    let session = Session::new(subject.model, arena, Isa::detect())?;
    let mut attended = Attended { session, shared };
    attended.classify(&Masked::whole(subject.picture), score, out)?;
    Ok(bytes)
}

/// The first of the best scores.
pub fn best(scores: &[f32]) -> usize {
    let better = |best: (usize, f32), (class, &score): (usize, &f32)| {
        if score > best.1 { (class, score) } else { best }
    };
    let start = (0, f32::NEG_INFINITY);
    scores.iter().enumerate().fold(start, better).0
}
