//! The white box: the first session's, all of them where there are many questions.

use std::ops::Range;

use foveola_core::classifier::{
    Activations, BiasPieces, Derivatives, GradientPiece, Gradients, Pieces, Sink, Step, Views,
};
use foveola_core::relevance::{Balance, RelevanceRules};
use foveola_core::{At, Classifier, Error, Layers, Masked, Rule, Score, Shape, Values};

use super::{CoreBackend, Session, in_rounds, share_out};

/// A session, and room for what takes the place of a layer in it.
type Replacing<'w, 'a> = (&'w mut Session<'a, 'a>, Vec<f32>);

/// The gradients of one picture, one behind the other.
fn derived(
    session: &mut Session<'_, '_>,
    x: &Masked<'_>,
    what: &Derivatives<'_>,
    length: usize,
) -> Result<Vec<f32>, Error> {
    let mut all = vec![0.0; what.targets.len() * length];
    let mut keep = |piece: &GradientPiece<'_>| {
        let at = piece.target * length + piece.first;
        all[at..at + piece.gradient.len()].copy_from_slice(piece.gradient);
        Ok(())
    };
    session.gradients(1, &|_| *x, what, &mut keep, &mut || Ok(()))?;
    Ok(all)
}

/// Hands the gradients of one picture on.
pub fn hand_out(
    question: usize,
    gradients: &[f32],
    length: usize,
    sink: &mut Gradients<'_>,
) -> Result<(), Error> {
    let gradients = gradients.chunks_exact(length.max(1)).enumerate();
    for (target, gradient) in gradients {
        sink(&GradientPiece {
            question,
            target,
            first: 0,
            gradient,
        })?;
    }
    Ok(())
}

impl Layers for CoreBackend {
    fn shape(&self, at: At) -> Result<Shape, Error> {
        let sessions = self.sessions.borrow_dependent();
        sessions.first().ok_or(Error::Internal)?.shape(at)
    }

    fn run(&mut self, x: &Masked<'_>, at: At, rule: Rule) -> Result<(), Error> {
        self.first(|session| session.run(x, at, rule))
    }

    fn scores(&mut self, score: Score) -> Result<&[f32], Error> {
        self.sessions
            .with_dependent_mut(|_, s| s.first_mut().ok_or(Error::Internal)?.scores(score))
    }

    fn activation(&mut self) -> Result<Values<'_>, Error> {
        self.sessions
            .with_dependent_mut(|_, s| s.first_mut().ok_or(Error::Internal)?.activation())
    }

    fn backward(&mut self, seed: &[(usize, f32)], score: Score) -> Result<&[f32], Error> {
        self.sessions
            .with_dependent_mut(|_, s| s.first_mut().ok_or(Error::Internal)?.backward(seed, score))
    }

    fn backward_pieces(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
    ) -> Result<(), Error> {
        self.first(|session| session.backward_pieces(seed, score, sink))
    }

    fn gradient_batch(&self) -> usize {
        self.threads()
    }

    fn gradients(
        &mut self,
        count: usize,
        view: &Views<'_>,
        what: &Derivatives<'_>,
        sink: &mut Gradients<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let (length, round, pool) = (self.input().len(), self.threads(), &self.pool);
        let answer = |session: &mut Session<'_, '_>, own: Range<usize>| {
            own.map(|i| derived(session, &view(i), what, length))
                .collect()
        };
        self.sessions.with_dependent_mut(|_, sessions| {
            if let [only] = &mut sessions[..] {
                return only.gradients(count, view, what, sink, after);
            }
            for start in (0..count).step_by(round) {
                let here = start..count.min(start + round);
                let answers = share_out(pool, sessions, here, &answer);
                for (question, gradients) in (start..).zip(answers) {
                    hand_out(question, &gradients?, length, sink)?;
                    after()?;
                }
            }
            Ok(())
        })
    }

    fn run_relevance(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        self.first(|session| session.run_relevance(x))
    }

    fn relevance(
        &mut self,
        seed: &[(usize, f32)],
        rules: &RelevanceRules,
        balance: &mut Balance<'_>,
    ) -> Result<&[f32], Error> {
        self.sessions.with_dependent_mut(|_, sessions| {
            let session = sessions.first_mut().ok_or(Error::Internal)?;
            session.relevance(seed, rules, balance)
        })
    }

    fn bias_shape(&self, node: usize) -> Result<Option<Shape>, Error> {
        let sessions = self.sessions.borrow_dependent();
        sessions.first().ok_or(Error::Internal)?.bias_shape(node)
    }

    fn backward_biases(
        &mut self,
        seed: &[(usize, f32)],
        score: Score,
        sink: &mut Pieces<'_>,
        biases: &mut BiasPieces<'_>,
    ) -> Result<(), Error> {
        self.first(|session| session.backward_biases(seed, score, sink, biases))
    }

    fn forward_from(
        &mut self,
        x: &Masked<'_>,
        at: At,
        activation: &[f32],
        score: Score,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.first(|session| session.forward_from(x, at, activation, score, out))
    }

    fn forward_from_batch(
        &mut self,
        x: &Masked<'_>,
        at: At,
        (count, write): (usize, &Activations<'_>),
        score: Score,
        _scratch: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let (length, classes) = (Layers::shape(self, at)?.len(), self.classes());
        let (scores, pool) = (&mut self.scores, &self.pool);
        self.sessions.with_dependent_mut(|_, sessions| {
            let workers = sessions.iter_mut().map(|s| (s, vec![0.0; length]));
            let mut workers: Vec<Replacing<'_, '_>> = workers.collect();
            let ask = |(session, activation): &mut Replacing<'_, '_>, i: usize, out: &mut [f32]| {
                write(i, activation);
                session.forward_from(x, at, activation, score, out)
            };
            in_rounds(pool, &mut workers, count, (scores, classes), &ask, sink)
        })
    }
}
