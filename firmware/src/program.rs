//! The program of every board: a job in, an answer out ([`crate::job`]).

mod answer;
mod ask;
mod failure;
mod files;
mod meter;
mod screen;

use defmt_semihosting as _;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Error, Masked, Picture, Score};
use zerocopy::IntoBytes;

use crate::board::pool::Pool;
use crate::board::{Board, FAILED, exit};
use crate::job::{Format, Job};
use answer::Answer;
use failure::Failure;
use meter::{Cost, Meter};

/// Runs the job in the folder and ends the emulation.
pub fn main<B: Board>(mut pool: Pool<'_>, linked: &[u8]) -> ! {
    let mut meter = Meter::new(B::new());
    let answer = Answer::create();
    match answer.and_then(|mut answer| {
        let result = run(&mut meter, &mut pool, linked, &mut answer);
        result.inspect_err(|failure| answer.failed(failure))
    }) {
        Ok(()) => exit(0),
        Err(failure) => {
            defmt::error!("{}: {}", B::NAME, failure);
            screen::fail(meter.board());
            exit(FAILED)
        }
    }
}

fn run<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    answer: &mut Answer,
) -> Result<(), Failure> {
    answer.line(format_args!("board={}", B::NAME))?;
    let text = files::read_all("job.txt", pool)?;
    let text = str::from_utf8(text).map_err(|_| Failure::Text)?;
    let job = Job::parse(text)?;
    meter.limit(job.limit);
    let bytes = match job.model {
        None => linked,
        Some(name) => files::read_all(name, pool)?,
    };
    let model = Model::from_bytes(bytes)?;
    answer.model(&model)?;
    defmt::info!(
        "{}: model of {} bytes, {} nodes",
        B::NAME,
        bytes.len(),
        model.node_count()
    );
    let normalisation = model.normalisation();
    let shape = job.shape.unwrap_or(model.input());
    let picture = match job.format {
        Format::U8 => Picture::Pixels {
            shape,
            data: files::read_all(job.picture, pool)?,
            normalisation: &normalisation,
        },
        Format::F32 => Picture::Tensor {
            shape,
            data: files::read_floats(job.picture, pool)?,
        },
    };
    picture.check(model.input())?;
    let mut work = Work {
        job: &job,
        model: &model,
        picture,
        meter,
        answer,
    };
    let target = work.classify(pool)?;
    if job.layers {
        work.layers(pool)?;
    }
    for (number, method) in job.methods.iter().enumerate() {
        work.explain(pool, number, method, target)?;
    }
    answer.line(format_args!("done=1"))?;
    meter.wait(job.show);
    Ok(())
}

/// What all questions of a job share.
struct Work<'w, 'm, B> {
    job: &'w Job<'w>,
    model: &'w Model<'m>,
    picture: Picture<'w>,
    meter: &'w mut Meter<B>,
    answer: &'w mut Answer,
}

impl<B: Board> Work<'_, '_, B> {
    /// An arena for a pass: exactly what its plan needs, or what the job says.
    fn arena<'p>(&self, pool: &mut Pool<'p>, pass: Pass) -> Result<&'p mut [u8], Failure> {
        let plan = self.model.plan(pass).ok_or(Error::NoPlan)?;
        Ok(pool.take(self.job.arena.unwrap_or(plan.arena_len()), 0)?)
    }

    /// Scores of the picture; answers the class to explain.
    fn classify(&mut self, pool: &mut Pool<'_>) -> Result<usize, Failure> {
        let mut pool = pool.scope();
        let classes = self.model.classes();
        let scores = pool.take(classes, 0.0)?;
        let arena = self.arena(&mut pool, Pass::Forward)?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::portable())?;
        let x = Masked::whole(self.picture);
        self.meter.begin();
        let result = session.classify(&x, Score::Logit, scores);
        let measured = self.meter.end();
        result?;
        files::write(c"logits.bin", scores.as_bytes())?;
        session.classify(&x, Score::Probability, scores)?;
        files::write(c"probabilities.bin", scores.as_bytes())?;
        let cost = Cost::new(measured, bytes, 0, 0);
        self.answer.line(format_args!("classify={cost}"))?;
        let better = |best: (usize, f32), (class, &score): (usize, &f32)| {
            if score > best.1 { (class, score) } else { best }
        };
        let best = scores
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), better);
        let target = self.job.target.unwrap_or(best.0);
        if target >= classes {
            return Err(Error::TargetOutOfRange { target, classes }.into());
        }
        self.answer.line(format_args!("target={target}"))?;
        defmt::info!(
            "class {} of {}: {=u64} instructions, {} bytes of stack",
            best.0,
            classes,
            measured.instructions,
            measured.stack
        );
        Ok(target)
    }

    /// Writes the output of every node.
    fn layers(&mut self, pool: &mut Pool<'_>) -> Result<(), Failure> {
        let mut pool = pool.scope();
        let arena = self.arena(&mut pool, Pass::Forward)?;
        let mut session = Session::new(self.model, arena, Isa::portable())?;
        let mut failure = None;
        let mut tap = |index: usize, values: &[f32]| {
            files::write_numbered("layer", index, values.as_bytes()).map_err(|f| {
                failure = Some(f);
                Error::Stopped
            })
        };
        let result = session.forward_tapped(&Masked::whole(self.picture), &mut tap);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(result?),
        }
    }
}
