//! The functions of `include/foveola.h`.
#![allow(
    unsafe_code,
    reason = "what C calls has an exported name and takes pointers"
)]

use foveola_core::explain::hoc::{Mode, Region, Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{Hoc, Method, Occlusion, Outcome, Rise};
use foveola_core::{Classifier, Error, Shape, Window};

use crate::abi;
use crate::answer::Refusal;
use crate::call::{Call, Pointers, answered};
use crate::memory::{Span, copied, put};

/// `FOVEOLA_ABI`.
const ABI: u32 = 1;

/// What `FOVEOLA_HOC_SCRATCH` counts for a step and its box.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Step>() + size_of::<Window>() == 76);

/// `foveola_abi`.
#[unsafe(no_mangle)]
pub const extern "C" fn foveola_abi() -> u32 {
    ABI
}

/// 0 or 1.
fn flag(number: u32, name: &'static str) -> Result<bool, Error> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::BadParameter(name)),
    }
}

/// Runs a method on all that is left of the scratch.
fn explain(call: &mut Call<'_>, method: &dyn Method) -> Result<(), Refusal> {
    let cost = method.cost(&mut call.engine, call.targets.len())?;
    let scratch = call.scratch.take(cost.scratch, 0.0)?;
    let query = call.query();
    let (engine, told) = (&mut call.engine, &mut call.told);
    method.explain(engine, &query, call.maps, &mut call.outcomes, scratch, told)?;
    Ok(())
}

/// `foveola_rise`.
///
/// # Safety
/// Pointers that are neither null nor misaligned lead to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveola_rise(
    engine: *const abi::Engine,
    question: *const abi::Question,
    parameters: *const abi::Rise,
    answer: *mut abi::Answer,
) -> i32 {
    let pointers = Pointers {
        engine,
        question,
        answer,
    };
    // SAFETY: the contract above.
    let parameters = unsafe { copied(parameters, "parameters") };
    let method = |call: &mut Call<'_>| {
        let given = parameters?;
        let grid = u16::try_from(given.grid);
        let rise = Rise {
            masks: given.masks,
            grid: grid.map_err(|_| Error::BadParameter("cells of a RISE mask"))?,
            keep: given.keep,
            fill: call.fill,
            stored: None,
            mindspore: flag(given.mindspore, "mindspore")?,
            by_coverage: flag(given.by_coverage, "by_coverage")?,
            ..Rise::default()
        };
        explain(call, &rise)
    };
    // SAFETY: the contract above.
    unsafe { answered(pointers, Ok(&[]), method) }
}

/// `foveola_occlusion`.
///
/// # Safety
/// As [`foveola_rise`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveola_occlusion(
    engine: *const abi::Engine,
    question: *const abi::Question,
    parameters: *const abi::Occlusion,
    answer: *mut abi::Answer,
) -> i32 {
    let pointers = Pointers {
        engine,
        question,
        answer,
    };
    // SAFETY: the contract above.
    let parameters = unsafe { copied(parameters, "parameters") };
    let method = |call: &mut Call<'_>| {
        let given = parameters?;
        let sides = |sides: [u32; 3]| {
            let given = sides.iter().any(|side| *side != 0);
            given.then_some(sides.map(|side| side as usize))
        };
        let occlusion = Occlusion {
            window: sides(given.window),
            stride: sides(given.stride),
            fill: call.fill,
            mindspore: flag(given.mindspore, "mindspore")?,
        };
        explain(call, &occlusion)
    };
    // SAFETY: the contract above.
    unsafe { answered(pointers, Ok(&[]), method) }
}

/// `foveola_hoc`.
///
/// # Safety
/// As [`foveola_rise`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveola_hoc(
    engine: *const abi::Engine,
    question: *const abi::Question,
    parameters: *const abi::Hoc,
    answer: *mut abi::Answer,
    region: *mut abi::Region,
) -> i32 {
    let pointers = Pointers {
        engine,
        question,
        answer,
    };
    // SAFETY: the contract above.
    let given = unsafe { copied(parameters, "parameters") };
    let tree = given.and_then(|given| Span::of(given.tree, given.tree_steps, "tree"));
    let own = tree.and_then(|tree| Ok([tree, Span::of(region, 1, "region")?]));
    let method = |call: &mut Call<'_>| {
        let given = given?;
        let steps = call.scratch.take(given.tree_steps, Step::UNUSED)?;
        let boxes = call.scratch.take(given.tree_steps, UNUSED_WINDOW)?;
        let mut storage = Storage { steps, boxes };
        let found = search(call, &given, &mut storage)?;
        for (i, step) in storage.steps.iter().take(found.steps as usize).enumerate() {
            // SAFETY: the tree has as many places as the storage has steps, and
            // lies apart from all that the call uses.
            unsafe { put(given.tree, i, tree_step(step)) };
        }
        // SAFETY: neither null nor misaligned, and the caller's.
        unsafe { put(region, 0, found) };
        Ok(())
    };
    // SAFETY: the contract above.
    unsafe {
        answered(
            pointers,
            own.as_ref().map(<[_; 2]>::as_slice).map_err(|r| *r),
            method,
        )
    }
}

/// Searches, and makes the map of what is found.
fn search(
    call: &mut Call<'_>,
    given: &abi::Hoc,
    storage: &mut Storage<'_>,
) -> Result<abi::Region, Refusal> {
    let (&[target], [outcome, ..]) = (call.targets, &mut call.outcomes) else {
        return Err(Error::BadParameter("number of targets").into());
    };
    let windows = given.windows.map(|window| window as usize);
    let strides = given.strides.map(|stride| stride as usize);
    let layers = windows.get(..given.layers as usize);
    let layers = layers.ok_or(Error::BadParameter("layers of HOC"))?;
    let hoc = Hoc {
        mode: match flag(given.mode, "mode of HOC")? {
            false => Mode::Reveal,
            true => Mode::Cover,
        },
        threshold: given.threshold,
        windows: layers,
        strides: match strides {
            [0, ..] => &[],
            _ => strides.get(..layers.len()).unwrap_or_default(),
        },
        fill: call.fill,
        ..Hoc::default()
    };
    let shape = call.engine.input();
    let shape = Shape::new(shape.h, shape.w, 1);
    let (need, have) = (shape.len(), call.maps.len());
    let map = call.maps.get_mut(..need);
    let map = map.ok_or(Error::BufferTooSmall { need, have })?;
    let question = (call.picture, target, call.score);
    let scratch = call.scratch.take(call.engine.classes(), 0.0)?;
    let told = &mut call.told;
    let found = hoc.search(&mut call.engine, question, storage, scratch, told)?;
    *outcome = match found {
        Err(none) => Outcome::Undefined(none.reason()),
        Ok(region) => {
            region.map(storage.steps, shape, map);
            judge(&region, map)
        }
    };
    Ok(region_of(found.ok().as_ref()))
}

/// As the method of `core` judges its maps.
fn judge(region: &Region, map: &[f32]) -> Outcome {
    if !region.complete {
        return Outcome::Partial {
            done: region.passes,
            total: region.passes + 1,
        };
    }
    let mut pairs = map.iter().zip(map.iter().skip(1));
    if pairs.all(|(a, b)| a == b) {
        Outcome::Flat
    } else {
        Outcome::Ok
    }
}

/// The region as C sees it; nothing where none was found.
fn region_of(found: Option<&Region>) -> abi::Region {
    let mut region = abi::Region {
        passes: 0,
        steps: 0,
        layers: 0,
        complete: 0,
        scores: [0.0; _],
    };
    if let Some(found) = found {
        region.passes = found.passes;
        region.steps = found.steps as u32;
        region.layers = found.layers as u32;
        region.complete = u32::from(found.complete);
        for (score, probability) in region.scores.iter_mut().zip(found.probabilities()) {
            *score = probability;
        }
    }
    region
}

fn tree_step(step: &Step) -> abi::TreeStep {
    let window = step.window;
    abi::TreeStep {
        layer: step.layer as u32,
        y: window.y as u32,
        x: window.x as u32,
        height: window.h as u32,
        width: window.w as u32,
        score: step.probability,
        change: step.change,
        parent: step.parent.map_or(-1, |parent| parent as i32),
    }
}
