//! How sure the model is of a picture.

use zerocopy::FromBytes;

use super::Desk;
use super::attend::{Attended, Shared};
use super::room::Room;
use super::work::{Left, arena, best, picture};
use crate::ask::Lend;
use crate::classifier::Dropout;
use crate::error::Error;
use crate::mask::Masked;
use crate::net::arch::Isa;
use crate::net::model::Pass;
use crate::net::session::Session;
use crate::tensor::Shape;
use crate::uncertainty::{Setting, measure};
use crate::wire::fault::Fault;
use crate::wire::message::End;

impl Desk<'_> {
    /// Means and variances of the classes, as f32.
    pub(super) fn uncertainty(
        &mut self,
        passes: u32,
        seed: u64,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        let classes = model.classes();
        let start = room.used();
        let out = room.floats(2 * classes)?;
        let (mean, variance) = (reals(&mut room, classes)?, reals(&mut room, classes)?);
        let scores = room.floats(classes)?;
        let arena = arena(&model, &[Pass::Forward], &mut room)?;
        let bytes = arena.len();
        let session = Session::new(&model, arena, Isa::detect())?;
        let usual = Setting::default();
        let setting = Setting {
            passes: passes as usize,
            dropout: Dropout {
                seed,
                ..usual.dropout
            },
        };
        let x = Masked::whole(picture);
        let mut attended = Attended { session, shared };
        let seen = measure(&mut attended, &x, &setting, mean, variance, scores)?;
        for (to, from) in out.iter_mut().zip(mean.iter().chain(&*variance)) {
            *to = *from as f32;
        }
        Ok(Left {
            end: End::Measured(seen.saturated, seen.of),
            target: best(out.get(..classes).unwrap_or_default()),
            start,
            shape: Shape::new(2, 1, classes),
            arena: bytes,
        })
    }
}

fn reals<'r>(room: &mut Room<'r>, count: usize) -> Result<&'r mut [f64], Error> {
    <[f64]>::mut_from_bytes(room.bytes(count * 8)?).map_err(|_| Error::Internal)
}
