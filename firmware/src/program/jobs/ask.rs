//! One method of the job.

use core::cell::RefCell;

use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise, gradient_rows,
};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::picture::MAX_CHANNELS;
use foveola_core::picture::blur::{blur_pixels, blur_radius, blur_scratch, blur_tensor};
use foveola_core::{At, Error, Fill, Picture, Rule, TensorId};
use zerocopy::IntoBytes;

use super::files::Output;
use super::screen::Answered;
use super::{Failure, Work};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::method::{Baseline, MethodText};
use crate::program::meter::Cost;

/// Most steps and most boxes of a HOC tree.
const TREE: usize = 128;

// What the host's `budget` counts for a tree, in words.
const _: () = assert!(size_of::<Step>() == 4 * 13 && size_of::<foveola_core::Window>() == 4 * 6);

/// One question, its method ready.
struct Question<'q> {
    number: usize,
    text: &'q str,
    target: usize,
    pass: Pass,
    /// How a method with gradients passes them back.
    rule: Rule,
    method: &'q dyn Method,
}

impl<B: Board> Work<'_, '_, B> {
    /// Runs method `number` of the job and writes its map.
    pub(super) fn explain(
        &mut self,
        pool: &mut Pool<'_>,
        number: usize,
        text: &str,
        target: usize,
    ) -> Result<(), Failure> {
        let mut pool = pool.scope();
        let parsed = MethodText::parse(text).ok_or(Failure::Method(number))?;
        self.answer.line(format_args!("method.{number}={text}"))?;
        let fill = match parsed.baseline() {
            None => Fill::Colour([0.0; MAX_CHANNELS]),
            Some(Baseline::Number(number)) => Fill::Colour(self.picture.colour(number)),
            Some(Baseline::Blur) => Fill::Picture(blurred(&self.picture, &mut pool)?),
        };
        let (input, forward) = (Pass::Backward(At::Input), Pass::Forward);
        let model = self.model;
        let rule = match parsed {
            MethodText::Deconvolution => Rule::Deconvolution,
            MethodText::GuidedBackprop => Rule::Guided,
            _ => Rule::Gradient,
        };
        let mut ask = |pool: Pool<'_>, pass: Pass, method: &dyn Method| {
            let question = Question {
                number,
                text,
                target,
                pass,
                rule,
                method,
            };
            self.ask(pool, &question)
        };
        match parsed {
            MethodText::Gradient => ask(pool, input, &Gradient),
            MethodText::Deconvolution => ask(pool, input, &Deconvolution),
            MethodText::GuidedBackprop => ask(pool, input, &GuidedBackprop),
            MethodText::GradCam { layer, relu } => {
                let at = At::Tensor(layer_of(model, layer)?);
                let layer = Some(at);
                ask(pool, Pass::Backward(at), &GradCam { layer, relu })
            }
            MethodText::Occlusion {
                window,
                stride,
                mindspore,
                ..
            } => ask(
                pool,
                forward,
                &Occlusion {
                    window,
                    stride,
                    fill,
                    mindspore,
                },
            ),
            MethodText::Rise { .. } => ask(pool, forward, &rise(&parsed, fill)),
            MethodText::Hoc {
                mode,
                threshold,
                windows,
                strides,
                ..
            } => {
                let storage = Storage {
                    steps: pool.take(TREE, Step::UNUSED)?,
                    boxes: pool.take(TREE, UNUSED_WINDOW)?,
                };
                let hoc = Hoc {
                    mode,
                    threshold,
                    windows: &windows,
                    strides: &strides,
                    fill,
                };
                let storage = RefCell::new(storage);
                ask(pool, forward, &HocMethod { hoc, storage })
            }
        }
    }

    fn ask(&mut self, mut pool: Pool<'_>, question: &Question<'_>) -> Result<(), Failure> {
        let number = question.number;
        if self.job.profile {
            let way = (question.pass, question.rule);
            self.profile_gradient(pool.scope(), number, way, question.target)?;
        }
        if self.job.rows && question.pass == Pass::Backward(At::Input) {
            return self.ask_rows(pool, question);
        }
        let (shape, scratch) = {
            // Shapes and costs need no arena, but an aligned one.
            let mut session = Session::new(self.model, pool.take(0, 0)?, Isa::detect())?;
            let shape = question.method.map_shape(&mut session)?;
            (shape, question.method.cost(&mut session, 1)?.scratch)
        };
        let map = pool.take(shape.len(), 0.0)?;
        let (outcome, cost) = self.measure(pool.scope(), question, map, scratch)?;
        self.folder
            .write(format_args!("map{number}.bin"), map.as_bytes())?;
        let (h, w, c) = (shape.h, shape.w, shape.c);
        let answer = &mut *self.answer;
        answer.line(format_args!("shape.{number}={h}/{w}/{c}"))?;
        answer.outcome(number, outcome)?;
        answer.line(format_args!("cost.{number}={cost}"))?;
        let answered = Answered {
            number,
            method: question.text,
            target: question.target,
            outcome,
            map,
            shape,
        };
        self.draw(pool, &answered)
    }

    /// As [`Work::ask`] for a gradient at the input, which is never held.
    fn ask_rows(&mut self, mut pool: Pool<'_>, question: &Question<'_>) -> Result<(), Failure> {
        let number = question.number;
        let arena = self.arena(&mut pool, question.pass)?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let query = Query {
            picture: self.picture,
            targets: &[question.target],
            score: self.job.score,
            seed: self.job.seed,
        };
        let name = format_args!("map{number}.bin");
        let (outcome, measured) = self.folder.create(name, |mut file| {
            let mut lost = None;
            let mut sink = |_, row: &[f32]| {
                lost = file.put(row.as_bytes()).err();
                if lost.is_some() {
                    Err(Error::Stopped)
                } else {
                    Ok(())
                }
            };
            self.meter.begin();
            let rule = question.rule;
            let result = gradient_rows(rule, &mut session, &query, &mut sink, self.meter);
            let measured = self.meter.end();
            match lost {
                Some(failure) => Err(failure),
                None => Ok((result?, measured)),
            }
        })?;
        let shape = self.model.input();
        if matches!(outcome, Outcome::Undefined(_)) {
            let zeros = |mut file: Output<'_>| (0..shape.len()).try_for_each(|_| file.put(&[0; 4]));
            self.folder.create(name, zeros)?;
        }
        let (h, w, c) = (shape.h, shape.w, shape.c);
        let answer = &mut *self.answer;
        answer.line(format_args!("shape.{number}={h}/{w}/{c}"))?;
        answer.outcome(number, outcome)?;
        let cost = Cost::new(measured, bytes, 0, 0);
        answer.line(format_args!("cost.{number}={cost}"))
    }

    /// Runs the method with exactly the memory that it needs.
    fn measure(
        &mut self,
        mut pool: Pool<'_>,
        question: &Question<'_>,
        map: &mut [f32],
        scratch: usize,
    ) -> Result<(Outcome, Cost), Failure> {
        let buffer = pool.take(scratch, 0.0)?;
        let arena = self.arena(&mut pool, question.pass)?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let query = Query {
            picture: self.picture,
            targets: &[question.target],
            score: self.job.score,
            seed: self.job.seed,
        };
        let mut outcome = [Outcome::Flat];
        self.meter.begin();
        let method = question.method;
        let result = method.explain(&mut session, &query, map, &mut outcome, buffer, self.meter);
        let measured = self.meter.end();
        result?;
        defmt::info!(
            "method {}: {=u64} instructions, {} bytes of stack",
            question.number,
            measured.instructions,
            measured.stack
        );
        Ok((outcome[0], Cost::new(measured, bytes, scratch, map.len())))
    }
}

fn rise<'f>(text: &MethodText<'_>, fill: Fill<'f>) -> Rise<'f> {
    let MethodText::Rise {
        masks,
        grid,
        keep,
        by_coverage,
        mindspore,
        ..
    } = *text
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

/// The tensor that Grad-CAM weighs: by id, by name, or that of the last plan.
fn layer_of(model: &Model<'_>, text: Option<&str>) -> Result<TensorId, Error> {
    let planned = model.passes().filter_map(|pass| match pass {
        Pass::Backward(At::Tensor(id)) => Some(id),
        _ => None,
    });
    let Some(text) = text else {
        return planned.last().ok_or(Error::NoPlan);
    };
    if let Ok(id) = text.parse() {
        return Ok(TensorId(id));
    }
    let named = |id: &TensorId| model.tensor(*id).is_some_and(|tensor| tensor.name == text);
    let mut planned = planned;
    planned.find(named).ok_or(Error::NoPlan)
}

/// The picture, blurred as far as hides what it shows.
fn blurred<'p, 'b: 'p>(picture: &Picture<'p>, pool: &mut Pool<'b>) -> Result<Picture<'p>, Error> {
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
            let out = pool.take(shape.len(), 0u8)?;
            let scratch = pool.scope().take(need, 0.0)?;
            blur_pixels(shape, data, sigma, scratch, out)?;
            Picture::Pixels {
                shape,
                data: out,
                normalisation,
            }
        }
        Picture::Tensor { data, .. } => {
            let out = pool.take(shape.len(), 0.0f32)?;
            let scratch = pool.scope().take(need, 0.0)?;
            blur_tensor(shape, data, sigma, scratch, out)?;
            Picture::Tensor { shape, data: out }
        }
    })
}
