//! An explanation.

use core::cell::RefCell;

use super::Desk;
use super::attend::{Attended, Shared, Steps};
use super::lent::Lent;
use super::room::Room;
use super::work::{Left, Subject, arena, best, picture, scores};
use crate::classifier::{At, Classifier, Score};
use crate::error::Error;
use crate::explain::hoc::{MAX_LAYERS, Mode, Storage};
use crate::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise,
};
use crate::mask::Fill;
use crate::net::arch::Isa;
use crate::net::model::{Model, Pass};
use crate::net::session::Session;
use crate::picture::Picture;
use crate::picture::blur::{blur_pixels, blur_radius, blur_scratch, blur_tensor};
use crate::tensor::TensorId;
use crate::wire::fault::Fault;
use crate::wire::message::{Baseline, Call, Explain};

/// Whose network answers a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Here,
    OnHost,
}

/// A question whose picture and target are known.
struct Question<'q, 'w> {
    subject: Subject<'q>,
    network: Network,
    explain: &'q Explain,
    target: usize,
    shared: &'q Shared<'w>,
}

impl Desk<'_> {
    pub(super) fn explain(
        &mut self,
        explain: &Explain,
        network: Network,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (steps, boxes) = (
            core::mem::take(&mut self.steps),
            core::mem::take(&mut self.boxes),
        );
        let storage = RefCell::new(Storage {
            steps: &mut *steps,
            boxes: &mut *boxes,
        });
        let left = self.explain_with((explain, network), storage, shared);
        (self.steps, self.boxes) = (steps, boxes);
        left
    }

    fn explain_with(
        &mut self,
        (explain, network): (&Explain, Network),
        storage: RefCell<Storage<'_>>,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let (model, state, mut room) = self.room()?;
        let normalisation = model.normalisation();
        let picture = picture(&state, &mut room, &normalisation)?;
        picture.check(model.input())?;
        let subject = Subject {
            model: &model,
            picture,
        };
        let target = match explain.target {
            Some(target) => target as usize,
            None => {
                let mut room = room.scope();
                let out = room.floats(model.classes())?;
                scores(&subject, Score::Probability, out, &mut room, shared)?;
                best(out)
            }
        };
        let question = Question {
            subject,
            network,
            explain,
            target,
            shared,
        };
        Ok(question.dispatch(storage, room)?)
    }
}

impl Question<'_, '_> {
    fn dispatch(&self, storage: RefCell<Storage<'_>>, mut room: Room<'_>) -> Result<Left, Error> {
        let picture = self.subject.picture;
        let (input, forward) = (Pass::Backward(At::Input), Pass::Forward);
        match self.explain.method {
            Call::Gradient => self.ask(room, input, &Gradient),
            Call::Deconvolution => self.ask(room, input, &Deconvolution),
            Call::GuidedBackprop => self.ask(room, input, &GuidedBackprop),
            Call::GradCam { layer, relu } => {
                let at = At::Tensor(layer_of(self.subject.model, layer)?);
                let layer = Some(at);
                self.ask(room, Pass::Backward(at), &GradCam { layer, relu })
            }
            Call::Occlusion {
                window,
                stride,
                baseline,
                mindspore,
            } => {
                let occlusion = Occlusion {
                    window: window.map(|sides| sides.map(|side| side as usize)),
                    stride: stride.map(|sides| sides.map(|side| side as usize)),
                    fill: fill(&picture, baseline, &mut room)?,
                    mindspore,
                };
                self.ask(room, forward, &occlusion)
            }
            Call::Rise { baseline, .. } => {
                let fill = fill(&picture, baseline, &mut room)?;
                self.ask(room, forward, &rise(&self.explain.method, fill))
            }
            Call::Hoc { baseline, .. } => {
                let fill = fill(&picture, baseline, &mut room)?;
                self.hoc(room, storage, fill)
            }
        }
    }

    fn hoc(
        &self,
        room: Room<'_>,
        storage: RefCell<Storage<'_>>,
        fill: Fill<'_>,
    ) -> Result<Left, Error> {
        let Call::Hoc {
            cover,
            threshold,
            windows,
            strides,
            ..
        } = self.explain.method
        else {
            return Err(Error::Internal);
        };
        let [windows, strides] = [windows, strides].map(|list| list.map(usize::from));
        let hoc = Hoc {
            mode: if cover { Mode::Cover } else { Mode::Reveal },
            threshold,
            windows: until_zero(&windows),
            strides: until_zero(&strides),
            fill,
        };
        self.ask(room, Pass::Forward, &HocMethod { hoc, storage })
    }

    /// Runs the method with exactly the memory that it needs.
    fn ask(&self, mut room: Room<'_>, pass: Pass, method: &dyn Method) -> Result<Left, Error> {
        let Subject { model, picture } = self.subject;
        let (shape, scratch) = {
            // Shapes and costs need no arena, but an aligned one.
            let mut session = Session::new(model, room.bytes(0)?, Isa::detect())?;
            let shape = method.map_shape(&mut session)?;
            (shape, method.cost(&mut session, 1)?.scratch)
        };
        let start = room.used();
        let map = room.floats(shape.len())?;
        let buffer = room.floats(scratch)?;
        let shared = self.shared;
        let query = Query {
            picture,
            targets: &[self.target],
            score: self.explain.score,
            seed: self.explain.seed,
        };
        let mut outcome = [Outcome::Flat];
        let progress = &mut Steps(shared);
        let mut run = |classifier: &mut dyn Classifier| {
            method.explain(classifier, &query, map, &mut outcome, buffer, progress)
        };
        let bytes = match self.network {
            Network::Here => {
                let arena = arena(model, pass, &mut room)?;
                let bytes = arena.len();
                let session = Session::new(model, arena, Isa::detect())?;
                run(&mut Attended { session, shared })?;
                bytes
            }
            Network::OnHost => {
                run(&mut Lent::new(model, shared, &mut room)?)?;
                0
            }
        };
        let [outcome] = outcome;
        Ok(Left {
            end: outcome.into(),
            target: self.target,
            start,
            shape,
            arena: bytes,
        })
    }
}

fn rise<'f>(call: &Call, fill: Fill<'f>) -> Rise<'f> {
    let Call::Rise {
        masks,
        grid,
        keep,
        by_coverage,
        mindspore,
        ..
    } = *call
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
fn fill<'p, 'r: 'p>(
    picture: &Picture<'p>,
    baseline: Baseline,
    room: &mut Room<'r>,
) -> Result<Fill<'p>, Error> {
    Ok(match baseline {
        Baseline::Number(number) => Fill::Colour(picture.colour(number)),
        Baseline::Blur => Fill::Picture(blurred(picture, room)?),
    })
}

/// The picture, blurred as far as hides what it shows.
fn blurred<'p, 'r: 'p>(picture: &Picture<'p>, room: &mut Room<'r>) -> Result<Picture<'p>, Error> {
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
            let out = room.bytes(shape.len())?;
            let scratch = room.scope().floats(need)?;
            blur_pixels(shape, data, sigma, scratch, out)?;
            Picture::Pixels {
                shape,
                data: out,
                normalisation,
            }
        }
        Picture::Tensor { data, .. } => {
            let out = room.floats(shape.len())?;
            let scratch = room.scope().floats(need)?;
            blur_tensor(shape, data, sigma, scratch, out)?;
            Picture::Tensor { shape, data: out }
        }
    })
}
