//! Metrics of faithfulness, made, and what asks HOC.

use foveola_core::metric::{
    AverageDrop, AverageGain, AverageIncrease, BackgroundSwap, Deletion, Faithfulness, Foreground,
    Infidelity, Insertion, KeepOnly, Measure, MuFidelity, Perturbation, Pic, RemoveOnly, Road,
};

use super::{Made, count, mindspore, score};
use crate::method_spec::{Given, SpecError};

pub fn naive(given: &Given<'_>) -> Result<Made, SpecError> {
    let groups: Option<u32> = given.count("groups", "a whole number from 1")?;
    Ok(Made::plain(Faithfulness {
        groups: groups.map(|n| n as usize),
        score: score(given)?,
        mindspore: mindspore(given)?,
    }))
}

pub fn deletion(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Deletion {
        steps: count(given, "steps", Deletion::default().steps)?,
        score: score(given)?,
        mindspore: mindspore(given)?,
    }))
}

pub fn insertion(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Insertion {
        steps: count(given, "steps", Insertion::default().steps)?,
        score: score(given)?,
        mindspore: mindspore(given)?,
    }))
}

pub fn mu_fidelity(given: &Given<'_>) -> Result<Made, SpecError> {
    let usual = MuFidelity::default();
    let samples = count(given, "samples", usual.samples)?;
    if samples < 2 {
        return Err(given.wrong("samples", "it takes a whole number from 2"));
    }
    Ok(Made::plain(MuFidelity {
        samples,
        grid: count(given, "grid", usual.grid)?,
        share: part(given, usual.share)?,
        score: score(given)?,
    }))
}

pub fn road(given: &Given<'_>) -> Result<Made, SpecError> {
    let usual = Road::default();
    Ok(Made::plain(Road {
        steps: count(given, "steps", usual.steps)?,
        noise: given.share("noise", usual.noise, false)?,
        score: score(given)?,
    }))
}

pub fn average_drop(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(AverageDrop))
}

pub fn average_increase(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(AverageIncrease))
}

pub fn average_gain(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(AverageGain))
}

pub fn infidelity(given: &Given<'_>) -> Result<Made, SpecError> {
    let usual = Infidelity::default();
    let size = given.share("size", 0.2, true)?;
    let perturbation = match given.choice("perturbation", &["square", "gaussian"])? {
        0 => Perturbation::Square(size),
        _ => Perturbation::Gaussian(size),
    };
    Ok(Made::plain(Infidelity {
        samples: count(given, "samples", usual.samples)?,
        perturbation,
        scale: given.choice("scale", &["true", "false"])? == 0,
        score: score(given)?,
    }))
}

pub fn pic(given: &Given<'_>) -> Result<Made, SpecError> {
    let measure = match given.choice("measure", &["softmax", "accuracy"])? {
        0 => Measure::Softmax,
        _ => Measure::Accuracy,
    };
    Ok(Made::plain(Pic { measure }))
}

pub fn keep_only(given: &Given<'_>) -> Result<Made, SpecError> {
    let share = part(given, KeepOnly::default().share)?;
    Ok(Made::plain(KeepOnly { share }))
}

pub fn remove_only(given: &Given<'_>) -> Result<Made, SpecError> {
    let share = part(given, RemoveOnly::default().share)?;
    Ok(Made::plain(RemoveOnly { share }))
}

pub fn background_swap(given: &Given<'_>) -> Result<Made, SpecError> {
    let usual = BackgroundSwap::default();
    let keep = match given.choice("keep", &["evidence", "region"])? {
        0 => Foreground::Evidence,
        _ => Foreground::Region,
    };
    Ok(Made::plain(BackgroundSwap {
        keep,
        share: part(given, usual.share)?,
        backgrounds: count(given, "backgrounds", usual.backgrounds)?,
    }))
}

pub fn sufficient_region(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::SufficientRegion {
        threshold: given.share("threshold", 0.5, false)?,
        windows: given.lengths("windows", "sides with /, descending")?,
        strides: given.lengths("strides", "distances with /")?,
    })
}

/// A share of the picture that is neither nothing nor all of it.
fn part(given: &Given<'_>, usual: f32) -> Result<f32, SpecError> {
    let share = given.share("share", usual, true)?;
    match share < 1.0 {
        true => Ok(share),
        false => Err(given.wrong("share", "it takes a share above 0, below 1")),
    }
}
