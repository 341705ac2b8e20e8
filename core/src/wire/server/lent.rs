//! A network that the host lends: a method runs here, and the host answers
//! its questions. So the method's code is checked apart from the network's.

use crate::ask::Lend;
use zerocopy::IntoBytes;

use super::attend::{Shared, wait};
use super::room::Room;
use super::{have, part, put, small};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::net::model::Model;
use crate::tensor::Shape;
use crate::wire::fault::Fault;
use crate::wire::message::{Question, Reply, Request, Source};

/// A black box whose scores come over the line.
pub struct Lent<'l, 's, 'w> {
    input: Shape,
    question: &'l mut [f32],
    scores: &'l mut [f32],
    asked: u32,
    shared: &'s Shared<'w>,
}

impl<'l, 's, 'w> Lent<'l, 's, 'w> {
    /// The host's network; the model here only tells its shapes.
    pub fn new(
        model: &Model<'_>,
        shared: &'s Shared<'w>,
        room: &mut Room<'l>,
    ) -> Result<Self, Error> {
        Ok(Self {
            input: model.input(),
            question: room.floats(model.input().len())?,
            scores: room.floats(model.classes())?,
            asked: 0,
            shared,
        })
    }
}

impl Classifier for Lent<'_, '_, '_> {
    fn input(&self) -> Shape {
        self.input
    }

    fn classes(&self) -> usize {
        self.scores.len()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        x.check(self.input)?;
        let rows = self.question.chunks_exact_mut(self.input.row().max(1));
        for (y, row) in rows.enumerate() {
            x.row(y, row)?;
        }
        self.asked = self.asked.wrapping_add(1);
        let mut posed = Posed {
            number: self.asked,
            score,
            input: self.question.as_bytes(),
            scores: self.scores.as_mut_bytes(),
            have: 0,
        };
        wait(self.shared, &mut posed)?;
        let (need, have) = (self.scores.len(), out.len());
        let out = out.get_mut(..need);
        let out = out.ok_or(Error::BufferTooSmall { need, have })?;
        out.copy_from_slice(self.scores);
        match out.iter().position(|score| !score.is_finite()) {
            Some(class) => Err(Error::ScoreNotFinite { class }),
            None => Ok(()),
        }
    }
}

/// A question that waits for its scores.
pub struct Posed<'q> {
    number: u32,
    score: Score,
    input: &'q [u8],
    scores: &'q mut [u8],
    /// Bytes of scores that are there.
    have: usize,
}

impl Posed<'_> {
    /// Whether all scores are there.
    pub const fn is_answered(&self) -> bool {
        self.have == self.scores.len()
    }

    /// The reply to a request that is about the question.
    pub fn reply(
        &mut self,
        request: &Request<'_>,
        (done, total): (u64, u64),
    ) -> Option<Result<Reply<'_>, Fault<'static>>> {
        match *request {
            Request::Poll if !self.is_answered() => Some(Ok(Reply::Asking(Question {
                number: self.number,
                score: self.score,
                done,
                total,
            }))),
            Request::Read(Source::Question, offset) => Some(part(self.input, offset)),
            Request::Scores(number, offset, bytes) if number == self.number => {
                let room = small(self.scores.len());
                let kept = put(self.scores, &mut self.have, offset, bytes);
                let kept = kept.ok_or(Fault::TooLarge { room });
                Some(kept.map(|()| have(self.have)))
            }
            _ => None,
        }
    }
}
