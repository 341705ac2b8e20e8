//! Metrics of localization, made.

use foveola_core::metric::{
    Energy, Iosr, PointingGame, Pooling, RelevanceMass, RelevanceRank, TopK,
};

use super::{Made, mindspore, positive};
use crate::method_spec::{Given, SpecError};

pub fn pointing_game(given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(PointingGame {
        tolerance: positive(given, "tolerance", PointingGame::default().tolerance)?,
    }))
}

pub fn iosr(given: &Given<'_>) -> Result<Made, SpecError> {
    let threshold = given.share("threshold", Iosr::default().threshold, false)?;
    if threshold >= 1.0 {
        return Err(given.wrong("threshold", "it takes a share from 0 to below 1"));
    }
    Ok(Made::plain(Iosr {
        threshold,
        mindspore: mindspore(given)?,
    }))
}

pub fn energy(_given: &Given<'_>) -> Result<Made, SpecError> {
    Ok(Made::plain(Energy))
}

pub fn relevance_mass(given: &Given<'_>) -> Result<Made, SpecError> {
    let pooling = pooling(given)?;
    Ok(Made::plain(RelevanceMass { pooling }))
}

pub fn relevance_rank(given: &Given<'_>) -> Result<Made, SpecError> {
    let pooling = pooling(given)?;
    Ok(Made::plain(RelevanceRank { pooling }))
}

fn pooling(given: &Given<'_>) -> Result<Pooling, SpecError> {
    Ok(
        match given.choice("pooling", &["positive-sum", "squares"])? {
            0 => Pooling::PositiveSum,
            _ => Pooling::Squares,
        },
    )
}

pub fn top_k(given: &Given<'_>) -> Result<Made, SpecError> {
    let takes = "a share above 0, up to 1";
    let share = given.number("share", takes)?;
    match share.unwrap_or(TopK::default().share) {
        share if share > 0.0 && share <= 1.0 => Ok(Made::plain(TopK { share })),
        _ => Err(given.wrong("share", format!("it takes {takes}"))),
    }
}
