//! Methods by name: a [`Call`] made ready to run on a picture and a model.
//!
//! What came over the wire and what a job says in words both become a `Call`;
//! here, and nowhere else, it becomes a [`Method`] with its parameters.

#[cfg(foveola_inside)]
mod inside;

use core::cell::RefCell;

use zerocopy::FromBytes;

use crate::classifier::{At, Rule};
use crate::error::Error;
use crate::explain::hoc::{MAX_LAYERS, Mode, Storage};
use crate::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Rise,
};
use crate::mask::Fill;
use crate::net::model::{Model, Pass};
use crate::net::session;
use crate::picture::Picture;
use crate::picture::blur::{blur_pixels, blur_radius, blur_scratch, blur_tensor};
use crate::tensor::TensorId;
use crate::wire::message::{Baseline, Call, LayerCall};

/// Whether a program for this target has room for every method; else it has
/// the first seven of [`Call`].
pub const ALL_METHODS: bool = cfg!(foveola_inside);

/// Why a program without room refuses the other ones.
#[cfg(not(foveola_inside))]
const NO_ROOM: Error = Error::BadParameter("a method for which this board's program has no room");

/// Memory that is lent from the front, piece by piece.
pub trait Lend<'m> {
    /// So many bytes; their content is arbitrary.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    fn bytes(&mut self, length: usize) -> Result<&'m mut [u8], Error>;

    /// So many numbers, all of them 0.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    fn floats(&mut self, count: usize) -> Result<&'m mut [f32], Error>;

    /// The same memory, for a while.
    type Scope<'a>: Lend<'a>
    where
        Self: 'a;

    /// The same memory, for a while.
    fn scope(&mut self) -> Self::Scope<'_>;
}

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// The network.
    pub model: &'s Model<'s>,
    /// The picture, of the network's input shape.
    pub picture: Picture<'s>,
}

impl Call {
    /// How a method with gradients passes them back.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Deconvolution => Rule::Deconvolution,
            Self::GuidedBackprop => Rule::Guided,
            _ => Rule::Gradient,
        }
    }

    /// Whether its map is a gradient at the input, as it is.
    #[must_use]
    pub const fn is_gradient(&self) -> bool {
        matches!(
            self,
            Self::Gradient | Self::Deconvolution | Self::GuidedBackprop
        )
    }

    /// Bytes of arena with which the pictures that it asks about, each one
    /// with another box changed, are computed only where they changed
    /// ([`Session::set_incremental`](session::Session::set_incremental)), and
    /// in full as well. `None` if it asks about no such pictures, or where
    /// `memory` has less.
    pub fn held_len<'m>(&self, model: &Model<'_>, memory: &mut impl Lend<'m>) -> Option<usize> {
        let greedy = matches!(self, Self::Occlusion { .. } | Self::Hoc { .. });
        let by_boxes = greedy || matches!(self, Self::WideHoc { .. });
        if !(ALL_METHODS && by_boxes) {
            return None;
        }
        let slots = model.tensor_count() * size_of::<session::Slot>();
        let held = {
            let slots = memory.scope().bytes(slots).ok()?;
            session::held_len(model, <[session::Slot]>::mut_from_bytes(slots).ok()?).ok()?
        };
        let bytes = model.plan(Pass::Forward)?.arena_len().max(held);
        memory.scope().bytes(bytes).is_ok().then_some(bytes)
    }

    /// Makes the method ready and hands it to `run`, with the memory that is
    /// left and the passes whose plans it needs. `storage` is for HOC's tree.
    ///
    /// # Errors
    /// What the method's parameters, the memory or `run` say;
    /// [`Error::BadParameter`] for a method that the program has no room for.
    pub fn with<'s, 'm: 's, L: Lend<'m>, T, E: From<Error>>(
        &self,
        subject: &Subject<'s>,
        storage: Storage<'_>,
        mut memory: L,
        run: impl FnOnce(L, &[Pass], &dyn Method) -> Result<T, E>,
    ) -> Result<T, E> {
        let (input, forward) = (&[Pass::Backward(At::Input)], &[Pass::Forward]);
        let fill = fill(&subject.picture, self.baseline(), &mut memory)?;
        match *self {
            Self::Gradient => run(memory, input, &Gradient),
            Self::Deconvolution => run(memory, input, &Deconvolution),
            Self::GuidedBackprop => run(memory, input, &GuidedBackprop),
            Self::GradCam { layer, relu } => {
                let at = At::Tensor(layer_of(subject.model, layer)?);
                let layer = Some(at);
                run(memory, &[Pass::Backward(at)], &GradCam { layer, relu })
            }
            Self::Occlusion { .. } => run(memory, forward, &self.occlusion(fill)),
            Self::Rise { .. } => run(memory, forward, &self.rise(fill)),
            Self::Hoc {
                cover,
                threshold,
                windows,
                strides,
                ..
            } => {
                let [windows, strides] = [windows, strides].map(|list| list.map(usize::from));
                let hoc = Hoc {
                    mode: if cover { Mode::Cover } else { Mode::Reveal },
                    threshold,
                    windows: until_zero(&windows),
                    strides: until_zero(&strides),
                    fill,
                    ..Hoc::default()
                };
                let storage = RefCell::new(storage);
                run(memory, forward, &HocMethod { hoc, storage })
            }
            #[cfg(foveola_inside)]
            _ => self.with_other(subject, (fill, storage), memory, run),
            #[cfg(not(foveola_inside))]
            _ => Err(E::from(NO_ROOM)),
        }
    }

    /// As [`Call::with`] for the methods beyond the first seven, which are made
    /// ready in one place for all kinds of memory.
    #[cfg(foveola_inside)]
    #[inline(never)] // Its stack does not lie under the first seven.
    fn with_other<'s, 'm: 's, L: Lend<'m>, T, E: From<Error>>(
        &self,
        subject: &Subject<'s>,
        (fill, storage): (Fill<'_>, Storage<'_>),
        mut memory: L,
        run: impl FnOnce(L, &[Pass], &dyn Method) -> Result<T, E>,
    ) -> Result<T, E> {
        let cut = match *self {
            Self::Segmented {
                count,
                hiding,
                kind,
            } => {
                let pieces = inside::cut((count, hiding, kind), &subject.picture, &mut memory)?;
                Some((kind, pieces))
            }
            _ => None,
        };
        let (mut left, mut answer) = (Some((memory, run)), None);
        let mut once = |passes: &[Pass], method: &dyn Method| {
            let (memory, run) = left.take().ok_or(Error::BadOrder)?;
            answer = Some(run(memory, passes, method));
            Ok(())
        };
        match cut {
            Some((kind, cut)) => inside::segmented(kind, cut, &mut once)?,
            None => inside::simple(self, subject, (fill, storage), &mut once)?,
        }
        answer.unwrap_or(Err(E::from(Error::Internal)))
    }

    /// What hides a part of the picture, if anything does; segments are hidden
    /// in their own way.
    const fn baseline(&self) -> Option<Baseline> {
        match self {
            Self::Occlusion { baseline, .. }
            | Self::Rise { baseline, .. }
            | Self::Hoc { baseline, .. }
            | Self::IntegratedGradients { baseline, .. }
            | Self::MeaningfulPerturbation { baseline, .. }
            | Self::CentredRise { baseline, .. }
            | Self::Aise { baseline, .. }
            | Self::EvenRise { baseline, .. }
            | Self::WideHoc { baseline, .. }
            | Self::OnLayer {
                kind: LayerCall::Score { baseline, .. },
                ..
            } => Some(*baseline),
            _ => None,
        }
    }

    fn occlusion<'f>(&self, fill: Fill<'f>) -> Occlusion<'f> {
        let Self::Occlusion {
            window,
            stride,
            mindspore,
            ..
        } = *self
        else {
            return Occlusion::default();
        };
        Occlusion {
            window: window.map(|sides| sides.map(|side| side as usize)),
            stride: stride.map(|sides| sides.map(|side| side as usize)),
            fill,
            mindspore,
        }
    }

    fn rise<'f>(&self, fill: Fill<'f>) -> Rise<'f> {
        let Self::Rise {
            masks,
            grid,
            keep,
            by_coverage,
            mindspore,
            ..
        } = *self
        else {
            return Rise::default();
        };
        let usual = if mindspore {
            Rise::mindspore()
        } else {
            Rise::default()
        };
        Rise {
            masks: masks.unwrap_or(usual.masks),
            grid: grid.unwrap_or(usual.grid),
            keep,
            fill,
            by_coverage,
            ..usual
        }
    }
}

/// The tensor that Grad-CAM weighs: this one, or that of the last plan.
fn layer_of(model: &Model<'_>, id: Option<u16>) -> Result<TensorId, Error> {
    let mut planned = model.passes().filter_map(|pass| match pass {
        Pass::Backward(At::Tensor(id)) => Some(id),
        _ => None,
    });
    match id {
        Some(id) => planned.find(|planned| planned.0 == id),
        None => planned.last(),
    }
    .ok_or(Error::NoPlan)
}

/// The part of a list before its first zero.
fn until_zero(list: &[usize; MAX_LAYERS]) -> &[usize] {
    let count = list.iter().take_while(|side| **side != 0).count();
    list.get(..count).unwrap_or(list)
}

/// What hides the picture, in model space.
fn fill<'s, 'm: 's>(
    picture: &Picture<'s>,
    baseline: Option<Baseline>,
    memory: &mut impl Lend<'m>,
) -> Result<Fill<'s>, Error> {
    Ok(match baseline {
        None => Fill::Colour(picture.colour(0.0)),
        Some(Baseline::Number(number)) => Fill::Colour(picture.colour(number)),
        Some(Baseline::Blur) => Fill::Picture(blurred(picture, memory)?),
    })
}

/// The picture, blurred as far as hides what it shows.
fn blurred<'s, 'm: 's>(
    picture: &Picture<'s>,
    memory: &mut impl Lend<'m>,
) -> Result<Picture<'s>, Error> {
    let shape = picture.shape();
    let radius = blur_radius(shape.h.min(shape.w));
    if radius == 0 {
        return Err(Error::BadParameter("picture too small to be blurred"));
    }
    let sigma = radius as f32;
    let need = blur_scratch(shape, sigma);
    Ok(match *picture {
        Picture::Pixels {
            data,
            normalisation,
            ..
        } => {
            let out = memory.bytes(shape.len())?;
            let scratch = memory.scope().floats(need)?;
            blur_pixels(shape, data, sigma, scratch, out)?;
            Picture::Pixels {
                shape,
                data: out,
                normalisation,
            }
        }
        Picture::Tensor { data, .. } => {
            let out = memory.floats(shape.len())?;
            let scratch = memory.scope().floats(need)?;
            blur_tensor(shape, data, sigma, scratch, out)?;
            Picture::Tensor { shape, data: out }
        }
    })
}
