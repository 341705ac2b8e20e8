//! Metrics that ask for other maps, and those that look at one, made.

use foveola_core::metric::{
    AverageSensitivity, ClassSensitivity, Completeness, Complexity, Lipschitz, MaxSensitivity,
    Noise, Randomisation, Robustness, Similarity, Sparseness,
};

use super::{Made, count, mindspore, positive};
use crate::method_spec::{Given, SpecError};

pub fn class_sensitivity(given: &Given<'_>) -> Result<Made, SpecError> {
    let mindspore = mindspore(given)?;
    Ok(Made::plain(ClassSensitivity { mindspore }))
}

pub fn randomisation(given: &Given<'_>) -> Result<Made, SpecError> {
    let usual = Randomisation::default();
    let similarity = match given.choice("similarity", &["spearman", "ssim"])? {
        0 => Similarity::Spearman,
        _ => Similarity::Ssim,
    };
    Ok(Made::plain(Randomisation {
        cascading: given.choice("order", &["cascading", "independent"])? == 0,
        similarity,
        layers: count(given, "layers", usual.layers as usize)? as u32,
    }))
}

/// What changes the picture.
fn noise(given: &Given<'_>, usual: Noise<'static>) -> Result<Noise<'static>, SpecError> {
    let radius = positive(given, "radius", usual.radius)?;
    let samples = count(given, "samples", usual.samples as usize)?;
    Ok(Noise::random(radius, samples as u32))
}

pub fn robustness(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Robustness {
        noise: noise(given, Robustness::default().noise)?,
        mindspore: mindspore(given)?,
    }))
}

pub fn max_sensitivity(given: &Given<'_>) -> Result<Made, SpecError> {
    let noise = noise(given, MaxSensitivity::default().noise)?;
    Ok(Made::plain(MaxSensitivity { noise }))
}

pub fn average_sensitivity(given: &Given<'_>) -> Result<Made, SpecError> {
    let noise = noise(given, AverageSensitivity::default().noise)?;
    Ok(Made::plain(AverageSensitivity { noise }))
}

pub fn lipschitz(given: &Given<'_>) -> Result<Made, SpecError> {
    let noise = noise(given, Lipschitz::default().noise)?;
    Ok(Made::plain(Lipschitz { noise }))
}

pub fn complexity(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Complexity))
}

pub fn sparseness(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Sparseness))
}

pub fn completeness(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Completeness))
}
