//! Edits of a base that every thread holds.

use foveola_core::classifier::Edits;
use foveola_core::net::model::Model;
use foveola_core::net::session::{Held, Slot, held_len};
use foveola_core::{Classifier, Error, Masked, Score};
use rayon::prelude::*;

use super::{CoreBackend, Session, Sink, in_rounds};

/// Fewest edits of each thread for which holding the base pays.
pub const FEWEST: usize = 3;

/// Bytes of arena with which a session holds a base.
///
/// # Errors
/// [`Error::Internal`] for a network that needs more than 4 GiB.
pub fn held_bytes(model: &Model<'_>) -> Result<usize, Error> {
    held_len(model, &mut vec![Slot::default(); model.tensor_count()])
}

impl CoreBackend {
    /// Every thread holds the base, then they share the edits. A base that
    /// cannot be held, as one with NaN that every edit covers, is no reason to
    /// fail: then pictures are evaluated in full.
    pub(super) fn incremental(
        &mut self,
        base: &Masked<'_>,
        count: usize,
        edit: &Edits<'_>,
        score: Score,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let classes = self.file.model().classes();
        let (scores, pool) = (&mut self.scores, &self.pool);
        self.sessions.with_dependent_mut(|_, sessions| {
            let room = (scores, classes);
            let held: Result<Vec<Held<'_, '_, '_, '_>>, _> = pool.install(|| {
                let sessions = sessions.par_iter_mut();
                sessions.map(|session| session.hold(base)).collect()
            });
            if let Ok(mut held) = held {
                let ask = |held: &mut Held<'_, '_, '_, '_>, i, out: &mut [f32]| {
                    held.classify(&edit(i), score, out)
                };
                return in_rounds(pool, &mut held, count, room, &ask, sink);
            }
            let ask = |session: &mut Session<'_, '_>, i, out: &mut [f32]| {
                session.classify(&base.edited(edit(i).window), score, out)
            };
            in_rounds(pool, sessions, count, room, &ask, sink)
        })
    }
}
