//! Jobs in, answers out ([`crate::job`]): what an emulated board does, whose
//! host lends it files.

mod answer;
mod ask;
mod audit;
mod files;
mod profile;
mod screen;

use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Error, Masked, Picture, Score, Values};
use zerocopy::IntoBytes;

use super::failure::Failure;
use super::meter::{Cost, Meter};
use super::{link, notice};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::job::{self, Format, Job};
use answer::Answer;
use files::{Folder, Output};

/// Runs the job in the folder, or the jobs of a batch; whether all came to their end.
pub(super) fn run_all<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
) -> Result<bool, Failure> {
    let Some(folders) = batch(pool)? else {
        return Ok(one(meter, pool, linked, Folder::default()));
    };
    let mut done = |name: &&str| one(meter, &mut pool.scope(), linked, Folder::named(name));
    Ok(folders.filter(|name| !done(name)).count() == 0)
}

/// The folders of the batch, if there is one.
fn batch<'p>(
    pool: &mut Pool<'p>,
) -> Result<Option<impl Iterator<Item = &'p str> + use<'p>>, Failure> {
    let here = Folder::default();
    if !here.has("batch.txt") {
        return Ok(None);
    }
    let text = here.read_text("batch.txt", pool)?;
    Ok(Some(job::folders(text)))
}

/// What a job says of displays, known as soon as it is read.
#[derive(Clone, Copy, Default)]
struct Shown {
    /// Whether what a display would show is drawn into files.
    screen: bool,
    /// Instructions for which a panel keeps its last picture, in millions.
    millions: u64,
}

/// Runs the job in a folder; whether it came to its end.
#[inline(never)]
fn one<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    folder: Folder<'_>,
) -> bool {
    let mut shown = Shown::default();
    let result = Answer::create(folder).and_then(|mut answer| {
        let mut job = || {
            run(
                meter,
                &mut pool.scope(),
                linked,
                folder,
                &mut answer,
                &mut shown,
            )
        };
        let result = job();
        result.inspect_err(|failure| answer.failed(failure, meter.since_start()))
    });
    if let Err(failure) = &result {
        let instructions = meter.since_start();
        defmt::error!(
            "{}: {} after {=u64} instructions",
            B::NAME,
            failure,
            instructions
        );
        notice::fail_on_panel(meter.board(), failure);
        if shown.screen && screen::fail_to_file(pool, folder, failure).is_err() {
            defmt::error!("{}: fail.ppm cannot be written", B::NAME);
        }
    }
    meter.wait(shown.millions);
    result.is_ok()
}

/// Every byte that this keeps on the stack lies under every question.
#[inline(never)]
fn run<B: Board>(
    meter: &mut Meter<B>,
    pool: &mut Pool<'_>,
    linked: &[u8],
    folder: Folder<'_>,
    answer: &mut Answer,
    shown: &mut Shown,
) -> Result<(), Failure> {
    answer.line(format_args!("board={}", B::NAME))?;
    let job = Job::parse(folder.read_text("job.txt", pool)?)?;
    if job.link {
        return link::serve(meter, pool, linked, folder.camera()).map(|never| match never {});
    }
    if job.audit {
        return audit::run(meter, pool, linked, folder, &job, answer);
    }
    meter.limit(job.limit);
    *shown = Shown {
        screen: job.screen,
        millions: job.show,
    };
    let bytes = match job.model {
        None => linked,
        Some(name) => folder.read_all(name, pool)?,
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
            data: folder.read_all(job.picture, pool)?,
            normalisation: &normalisation,
        },
        Format::F32 => Picture::Tensor {
            shape,
            data: folder.read_floats(job.picture, pool)?,
        },
    };
    picture.check(model.input())?;
    answer.program()?;
    answer.picture(&picture)?;
    let mut work = Work {
        job: &job,
        folder,
        model: &model,
        picture,
        meter,
        answer,
    };
    // Layers come first, so that those before a NaN are there to be looked at.
    if job.layers {
        work.layers(pool)?;
    }
    let target = work.classify(pool)?;
    if job.profile {
        work.profile(pool)?;
    }
    for (number, method) in job.methods.iter().enumerate() {
        work.explain(pool, number, method, target)?;
    }
    answer.line(format_args!("done=1"))
}

/// What all questions of a job share.
struct Work<'w, 'm, B> {
    job: &'w Job<'w>,
    folder: Folder<'w>,
    model: &'w Model<'m>,
    picture: Picture<'w>,
    meter: &'w mut Meter<B>,
    answer: &'w mut Answer,
}

impl<B: Board> Work<'_, '_, B> {
    /// An arena for any of the passes: exactly what their plans need, or what the
    /// job says.
    fn arena<'p>(&self, pool: &mut Pool<'p>, passes: &[Pass]) -> Result<&'p mut [u8], Failure> {
        let mut bytes = 0;
        for pass in passes {
            let plan = self.model.plan(*pass).ok_or(Error::NoPlan)?;
            bytes = plan.arena_len().max(bytes);
        }
        Ok(pool.take(self.job.arena.unwrap_or(bytes), 0)?)
    }

    /// Scores of the picture; answers the class to explain.
    fn classify(&mut self, pool: &mut Pool<'_>) -> Result<usize, Failure> {
        let mut pool = pool.scope();
        let classes = self.model.classes();
        let scores = pool.take(classes, 0.0)?;
        let arena = self.arena(&mut pool, &[Pass::Forward])?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let x = Masked::whole(self.picture);
        self.meter.begin();
        let result = session.classify(&x, Score::Logit, scores);
        let measured = self.meter.end();
        result?;
        let folder = self.folder;
        folder.write(format_args!("logits.bin"), scores.as_bytes())?;
        session.classify(&x, Score::Probability, scores)?;
        folder.write(format_args!("probabilities.bin"), scores.as_bytes())?;
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
        let arena = self.arena(&mut pool, &[Pass::Forward])?;
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let folder = self.folder;
        let mut failure = None;
        let mut tap = |index: usize, first: usize, values: Values<'_>| {
            let name = format_args!("layer{index}.bin");
            let written = folder.extend(name, first == 0, |file| put(file, values));
            written.map_err(|f| {
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

/// Writes values as f32.
fn put(file: &mut Output<'_>, values: Values<'_>) -> Result<(), Failure> {
    if let Values::Real(values) = values {
        return file.put(values.as_bytes());
    }
    let mut reals = values.iter();
    let mut chunk = heapless::Vec::<f32, 64>::new();
    loop {
        chunk.clear();
        chunk.extend(reals.by_ref().take(64));
        if chunk.is_empty() {
            return Ok(());
        }
        file.put(chunk.as_bytes())?;
    }
}
