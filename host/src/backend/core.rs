//! The backend `core`: Foveola's own network code, one session a thread.

mod edits;
mod layers;

use std::ops::Range;
use std::sync::Arc;

use foveola_core::classifier::{Dropout, DroppedSink, Edits, Saturation, Sink, Views};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::ops;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Error, Layers, Masked, Score, Shape};
pub(super) use layers::hand_out;
use rayon::prelude::*;
use self_cell::{MutBorrow, self_cell};

use crate::aligned::AlignedBytes;

/// Questions that each thread answers before the results are handed on.
const QUESTIONS_A_ROUND: usize = 4;

self_cell!(
    struct ModelCell {
        owner: AlignedBytes,
        #[covariant]
        dependent: Model,
    }
);

/// A model file in memory, checked.
pub struct ModelFile(ModelCell);

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelFile({} bytes)", self.0.borrow_owner().len())
    }
}

impl ModelFile {
    /// Copies and checks the bytes of a `.fov` file.
    ///
    /// # Errors
    /// What [`Model::from_bytes`] reports.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        ModelCell::try_new(AlignedBytes::copy_of(bytes), |bytes| {
            Model::from_bytes(bytes)
        })
        .map(Self)
    }

    /// Bytes of the file.
    pub fn size(&self) -> usize {
        self.0.borrow_owner().len()
    }

    /// The model.
    pub fn model(&self) -> &Model<'_> {
        self.0.borrow_dependent()
    }
}

type Sessions<'a> = Vec<Session<'a, 'a>>;

struct Room {
    file: Arc<ModelFile>,
    arenas: Vec<MutBorrow<AlignedBytes>>,
}

self_cell!(
    struct SessionsCell {
        owner: Room,
        #[covariant]
        dependent: Sessions,
    }
);

/// How f32 is multiplied and added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Arithmetic {
    /// Each product rounded, then added: the same bits on every machine
    #[default]
    Strict,
    /// Products added unrounded, where the processor can: faster, within rounding errors
    Fused,
}

impl Arithmetic {
    /// The best instruction set of this processor for it.
    pub fn isa(self) -> Isa {
        match self {
            Self::Strict => Isa::detect(),
            Self::Fused => Isa::detect().fused(),
        }
    }

    /// What this processor makes of it: without fused products it stays Strict.
    pub fn here(self) -> Self {
        match self.isa().is_strict() {
            true => Self::Strict,
            false => Self::Fused,
        }
    }
}

/// How pictures are evaluated that differ from a base in one box each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Editing {
    /// Only what the box can reach in each layer
    #[default]
    Incremental,
    /// Each picture in full
    Full,
}

/// Runs a model file on the processor. Results are the same bits for any
/// number of threads.
pub struct CoreBackend {
    file: Arc<ModelFile>,
    sessions: SessionsCell,
    pool: rayon::ThreadPool,
    scores: Vec<f32>,
    editing: Editing,
}

impl std::fmt::Debug for CoreBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CoreBackend({:?}, {} threads)",
            self.file,
            self.threads()
        )
    }
}

/// Why the backend could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gave no threads.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// Threads wanted.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// A session could not be made.
    #[error(transparent)]
    Session(#[from] Error),
}

impl CoreBackend {
    /// A backend with `threads` threads (at least one), each with an arena of
    /// its own, and Strict arithmetic.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(file: Arc<ModelFile>, threads: usize) -> Result<Self, StartError> {
        Self::with_isa(file, threads, Isa::detect())
    }

    /// As [`CoreBackend::new`], with an instruction set of the caller.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn with_isa(file: Arc<ModelFile>, threads: usize, isa: Isa) -> Result<Self, StartError> {
        let threads = threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|source| StartError::Threads { threads, source })?;
        let length = arena_len(file.model(), isa);
        let arenas = (0..threads)
            .map(|_| MutBorrow::new(AlignedBytes::zeros(length)))
            .collect();
        let room = Room {
            file: Arc::clone(&file),
            arenas,
        };
        let sessions = SessionsCell::try_new(room, |room| {
            let arenas = room.arenas.iter().map(|arena| &mut arena.borrow_mut()[..]);
            arenas
                .map(|arena| Session::new(room.file.model(), arena, isa))
                .collect::<Result<_, _>>()
        })?;
        Ok(Self {
            file,
            sessions,
            pool,
            scores: Vec::new(),
            editing: Editing::default(),
        })
    }

    /// Whether edits are evaluated incrementally (they are from the start): the
    /// scores are the same bits.
    #[must_use]
    pub const fn editing(mut self, editing: Editing) -> Self {
        self.editing = editing;
        self
    }

    /// The model file.
    pub const fn file(&self) -> &Arc<ModelFile> {
        &self.file
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.sessions.borrow_dependent().len()
    }

    fn first<R>(
        &mut self,
        work: impl FnOnce(&mut Session<'_, '_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.sessions.with_dependent_mut(|_, sessions| {
            sessions.first_mut().ok_or(Error::Internal).and_then(work)
        })
    }
}

/// The largest plan or a held base, and room for the fastest kernels.
fn arena_len(model: &Model<'_>, isa: Isa) -> usize {
    let plans = model.passes().filter_map(|pass| model.plan(pass));
    let arena = plans.map(|plan| plan.arena_len()).max().unwrap_or(0);
    let arena = arena.max(edits::held_bytes(model).unwrap_or(0));
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let scratch = nodes.map(|view| {
        let input = view
            .input(0)
            .map_or(Shape::new(0, 0, 0), |id| model.shape(id));
        let node = ops::Node {
            op: view.op,
            activation: view.activation,
            input,
            output: model.shape(view.output),
            weights: view.weights,
            bias: view.bias,
        };
        ops::scratch_len(&node, isa) * size_of::<f32>()
    });
    arena + scratch.max().unwrap_or(0)
}

impl Classifier for CoreBackend {
    fn input(&self) -> Shape {
        self.file.model().input()
    }

    fn classes(&self) -> usize {
        self.file.model().classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.first(|session| session.classify(x, score, out))
    }

    fn classify_batch(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        _scores: &mut [f32],
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let classes = self.classes();
        let (scores, pool) = (&mut self.scores, &self.pool);
        let ask = |session: &mut Session<'_, '_>, i: usize, out: &mut [f32]| {
            session.classify(&view(i), score, out)
        };
        self.sessions.with_dependent_mut(|_, sessions| {
            let room = (scores, classes);
            in_rounds(pool, sessions, count, room, &ask, sink)
        })
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
        let threads = self.threads();
        if self.editing == Editing::Full || count < edits::FEWEST * threads {
            let view = |i| base.edited(edit(i).window);
            return self.classify_batch(count, &view, score, scores, sink);
        }
        self.incremental(base, count, edit, score, sink)
    }

    fn classify_dropped(
        &mut self,
        x: &Masked<'_>,
        dropout: &Dropout,
        passes: usize,
        score: Score,
        _scores: &mut [f32],
        sink: &mut DroppedSink<'_>,
    ) -> Result<(), Error> {
        let round = self.threads() * QUESTIONS_A_ROUND;
        let pool = &self.pool;
        self.sessions.with_dependent_mut(|_, sessions| {
            for start in (0..passes).step_by(round) {
                let here = start..passes.min(start + round);
                let answers = drop_out(pool, sessions, x, dropout, here, score);
                for (pass, answer) in (start..).zip(answers) {
                    let (scores, seen) = answer?;
                    sink(pass, &scores, seen)?;
                }
            }
            Ok(())
        })
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        Some(self)
    }
}

/// Answers questions in rounds that all workers share, and hands the answers
/// on in order. `room` are scores and the number of classes.
fn in_rounds<W: Send>(
    pool: &rayon::ThreadPool,
    workers: &mut [W],
    count: usize,
    (scores, classes): (&mut Vec<f32>, usize),
    ask: &(impl Fn(&mut W, usize, &mut [f32]) -> Result<(), Error> + Sync),
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let round = workers.len() * QUESTIONS_A_ROUND;
    scores.resize(round * classes, 0.0);
    for start in (0..count).step_by(round) {
        let here = round.min(count - start);
        let part = &mut scores[..here * classes];
        let failed = answer(pool, workers, (part, classes), start, ask);
        for (i, scores) in scores.chunks_exact(classes).take(here).enumerate() {
            if let Some((at, error)) = failed
                && at == start + i
            {
                return Err(error);
            }
            sink(start + i, scores)?;
        }
    }
    Ok(())
}

/// Answers the questions `start..` in parallel, one chunk of `scores` each;
/// returns the first that failed.
fn answer<W: Send>(
    pool: &rayon::ThreadPool,
    workers: &mut [W],
    (scores, classes): (&mut [f32], usize),
    start: usize,
    ask: &(impl Fn(&mut W, usize, &mut [f32]) -> Result<(), Error> + Sync),
) -> Option<(usize, Error)> {
    let each = (scores.len() / classes).div_ceil(workers.len()).max(1);
    let work = |((j, worker), part): ((usize, &mut W), &mut [f32])| {
        let first = start + j * each;
        part.chunks_exact_mut(classes)
            .enumerate()
            .find_map(|(i, out)| {
                let failed = ask(worker, first + i, out).err();
                failed.map(|error| (first + i, error))
            })
    };
    // Alone there is nothing to share, and no queue to wake a thread through.
    if let [worker] = workers {
        return work(((0, worker), scores));
    }
    pool.install(|| {
        workers
            .par_iter_mut()
            .enumerate()
            .zip(scores.par_chunks_mut(each * classes))
            .filter_map(work)
            .min_by_key(|(at, _)| *at)
    })
}

/// Gives each session its part of the questions; the answers of all, in order.
fn share_out<T: Send>(
    pool: &rayon::ThreadPool,
    sessions: &mut Sessions<'_>,
    questions: Range<usize>,
    answer: &(dyn Fn(&mut Session<'_, '_>, Range<usize>) -> Vec<T> + Sync),
) -> Vec<T> {
    let each = questions.len().div_ceil(sessions.len().max(1));
    let work = |(j, session): (usize, &mut Session<'_, '_>)| {
        let first = questions.end.min(questions.start + j * each);
        answer(session, first..questions.end.min(first + each))
    };
    pool.install(|| {
        let sessions = sessions.par_iter_mut().enumerate();
        sessions.flat_map_iter(work).collect()
    })
}

/// Answers dropout passes in parallel: scores and saturation of each, in order.
fn drop_out(
    pool: &rayon::ThreadPool,
    sessions: &mut Sessions<'_>,
    x: &Masked<'_>,
    dropout: &Dropout,
    passes: Range<usize>,
    score: Score,
) -> Vec<Result<(Vec<f32>, Saturation), Error>> {
    share_out(pool, sessions, passes, &|session, own| {
        let mut scores = vec![0.0; session.classes()];
        let answer = |pass| {
            let seen = session.classify_pass(x, dropout, pass, score, &mut scores)?;
            Ok((scores.clone(), seen))
        };
        own.map(answer).collect()
    })
}
