//! The line while work runs: polls and cancellations between passes.

use core::cell::RefCell;

use super::lent::Posed;
use super::line::{Heard, Line};
use super::{Platform, time};
use crate::classifier::{
    At, BiasPiece, BiasPieces, Classifier, Dropout, DroppedSink, Layers, Pieces, Rule, Saturation,
    Score,
};
#[cfg(foveola_edits)]
use crate::classifier::{Edits, Sink};
use crate::error::Error;
use crate::explain::Progress;
use crate::mask::Masked;
use crate::net::session::Session;
#[cfg(foveola_edits)]
use crate::net::session::Watched;
use crate::relevance::{Balance, LayerRelevance, RelevanceRules};
use crate::tensor::{Shape, Values};
use crate::wire::fault::Fault;
use crate::wire::frame::Decoder;
use crate::wire::message::{Reply, Request};

/// Attends to the line while work runs.
pub struct Attendant<'w> {
    decoder: &'w mut Decoder,
    line: &'w mut Line,
    pub platform: &'w mut dyn Platform,
    /// Passes done.
    pub done: u64,
    /// Edits that computed only what they could reach.
    pub edits: u32,
    total: u64,
    cancelled: bool,
    /// The session that asked for the work.
    session: Option<u32>,
}

impl<'w> Attendant<'w> {
    pub fn new(
        decoder: &'w mut Decoder,
        line: &'w mut Line,
        platform: &'w mut dyn Platform,
    ) -> Self {
        let session = line.session();
        Self {
            decoder,
            line,
            platform,
            done: 0,
            edits: 0,
            total: 0,
            cancelled: false,
            session,
        }
    }

    /// Answers what came.
    fn attend(&mut self) {
        self.hear(None);
    }

    /// Whether nobody waits for the work any more.
    fn is_left(&self) -> bool {
        self.cancelled || self.line.session() != self.session
    }

    /// Answers what came, also about a question that is posed.
    fn hear(&mut self, mut posed: Option<&mut Posed<'_>>) {
        self.platform.feed();
        while let Some(byte) = self.platform.read() {
            match self.line.hear(self.decoder.push(byte)) {
                Heard::Nothing => {}
                Heard::Again => self.platform.write(self.line.bytes()),
                Heard::Wrong(number, fault) => self.line.refuse(number, fault, self.platform),
                Heard::Request(number, request) => {
                    let passes = (self.done, self.total);
                    let about = posed.as_mut().and_then(|p| p.reply(&request, passes));
                    let reply = match (about, request) {
                        (Some(reply), _) => reply,
                        (None, Request::Poll) => Ok(Reply::Running(self.done, self.total)),
                        (None, Request::Cancel) => {
                            self.cancelled = true;
                            Ok(Reply::Done)
                        }
                        (None, Request::Time(seconds)) => time(seconds, self.platform),
                        _ => Err(Fault::Busy),
                    };
                    self.line.reply(number, &reply.unwrap_or_else(Reply::Fault));
                    self.platform.write(self.line.bytes());
                }
            }
            // What another session says next is no longer about the question.
            if posed.is_some() && self.is_left() {
                break;
            }
        }
    }
}

/// An attendant that a classifier and a method share.
pub type Shared<'w> = RefCell<Attendant<'w>>;

/// Answers what came. Nobody holds the attendant across calls.
pub fn attend(shared: &Shared<'_>) -> Result<(), Error> {
    let mut attendant = shared.try_borrow_mut().map_err(|_| Error::Internal)?;
    attendant.attend();
    Ok(())
}

/// Waits until the scores of a question are there.
///
/// # Errors
/// [`Error::Stopped`] if the host does not want to know any more.
pub fn wait(shared: &Shared<'_>, posed: &mut Posed<'_>) -> Result<(), Error> {
    let mut attendant = shared.try_borrow_mut().map_err(|_| Error::Internal)?;
    while !posed.is_answered() {
        if attendant.is_left() {
            return Err(Error::Stopped);
        }
        attendant.hear(Some(posed));
    }
    Ok(())
}

/// The method's word on how far it is.
pub struct Steps<'s, 'w>(pub &'s Shared<'w>);

impl Progress for Steps<'_, '_> {
    fn step(&mut self, done: u64, total: u64) -> bool {
        let Ok(mut attendant) = self.0.try_borrow_mut() else {
            return false;
        };
        (attendant.done, attendant.total) = (done, total);
        attendant.attend();
        !attendant.cancelled
    }
}

/// A session that attends to the line after every node of a forward pass.
pub struct Attended<'s, 'w, 'm, 'a> {
    pub session: Session<'m, 'a>,
    pub shared: &'s Shared<'w>,
}

impl Attended<'_, '_, '_, '_> {
    /// Scores of a pass, with dropout or without, and what saturated.
    fn pass(
        &mut self,
        x: &Masked<'_>,
        dropped: Option<(&Dropout, usize)>,
        score: Score,
        out: &mut [f32],
    ) -> Result<Saturation, Error> {
        let model = self.session.model();
        let (id, need, have) = (model.score_id(score), model.classes(), out.len());
        let out = out.get_mut(..need);
        let out = out.ok_or(Error::BufferTooSmall { need, have })?;
        let shared = self.shared;
        let mut tap = |node: usize, first: usize, values: Values<'_>| {
            attend(shared)?;
            match model.node(node) {
                Some(view) if view.output == id => copy(values, first, out),
                _ => Ok(()),
            }
        };
        let session = &mut self.session;
        let seen = match dropped {
            None => session
                .forward_tapped(x, &mut tap)
                .map(|()| Saturation::default()),
            Some((dropout, pass)) => session.forward_dropped(x, dropout, pass, Some(&mut tap)),
        }?;
        match out.iter().position(|score| !score.is_finite()) {
            Some(class) => Err(Error::ScoreNotFinite { class }),
            None => Ok(seen),
        }
    }
}

impl Classifier for Attended<'_, '_, '_, '_> {
    fn input(&self) -> Shape {
        self.session.input()
    }

    fn classes(&self) -> usize {
        self.session.classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.pass(x, None, score, out).map(drop)
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
        let mut steps = Steps(self.shared);
        let (need, have) = (self.classes(), scores.len());
        let scores = scores.get_mut(..need);
        let scores = scores.ok_or(Error::BufferTooSmall { need, have })?;
        for pass in 0..passes {
            if !steps.step(pass as u64, passes as u64) {
                return Err(Error::Stopped);
            }
            let seen = self.pass(x, Some((dropout, pass)), score, scores)?;
            sink(pass, scores, seen)?;
        }
        steps.step(passes as u64, passes as u64);
        Ok(())
    }

    #[cfg(foveola_edits)]
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
        let shared = self.shared;
        let sinks: (&mut Sink<'_>, &mut Watched<'_>) = (&mut *sink, &mut || attend(shared));
        let session = &mut self.session;
        if session.classify_held(base, (count, edit), score, scores, sinks)? {
            return Ok(());
        }
        let base = *base;
        self.classify_batch(count, &|i| base.edited(edit(i).window), score, scores, sink)
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        Some(self)
    }
}

/// Writes values, the first of them to place `first`.
pub fn copy(values: Values<'_>, first: usize, out: &mut [f32]) -> Result<(), Error> {
    let places = out.get_mut(first..).ok_or(Error::Internal)?;
    for (place, value) in places.iter_mut().zip(values.iter()) {
        *place = value;
    }
    Ok(())
}

impl Layers for Attended<'_, '_, '_, '_> {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        Layers::shape(&self.session, at)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        let shared = self.shared;
        let mut tap = |_: usize, _: usize, _: Values<'_>| attend(shared);
        self.session.run_tapped(x, at, rule, &mut tap)
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        self.session.scores(score)
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        self.session.activation()
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        attend(self.shared)?;
        self.session.backward(seed, score)
    }

    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        let shared = self.shared;
        self.session
            .backward_pieces(seed, score, &mut |first, piece| {
                attend(shared)?;
                sink(first, piece)
            })
    }

    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        self.session.bias_shape(node)
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        let shared = self.shared;
        let mut biases = |piece: &BiasPiece<'_>| {
            attend(shared)?;
            biases(piece)
        };
        self.session.backward_biases(seed, score, sink, &mut biases)
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        attend(self.shared)?;
        self.session.forward_from(x, at, activation, score, out)
    }

    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        attend(self.shared)?;
        self.session.run_relevance(x)
    }

    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        let shared = self.shared;
        let mut balance = |layer: &LayerRelevance| {
            attend(shared)?;
            balance(layer)
        };
        self.session.relevance(seed, rules, &mut balance)
    }
}
