//! What several methods agree on, for one class, and where they do not.

use std::collections::BTreeSet;

use foveola_core::explain::Outcome;
use foveola_core::metric::consensus as of_ranks;
use image::RgbImage;

use super::SaliencyMap;
use crate::photo::Photo;
use crate::report::overlay::{Figure, draw};

/// Mean and spread of the ranks that maps of one class give each pixel.
#[derive(Clone, Debug)]
pub struct Consensus {
    /// The class.
    pub target: usize,
    /// Class and probability, as its maps are headed.
    heading: String,
    /// The maps that count, `METHOD.TARGET` each.
    pub maps: Vec<String>,
    /// The maps without evidence, which do not count.
    pub without: Vec<String>,
    /// Height and width.
    pub size: [usize; 2],
    /// Mean rank of each pixel's evidence: 0 the weakest of the picture, 1 the strongest.
    pub mean: Vec<f32>,
    /// Standard deviation of the ranks, 0 (all agree) to 0.5.
    pub deviation: Vec<f32>,
}

/// One for each class of which at least two maps have evidence.
pub fn consensus(maps: &[SaliencyMap]) -> Vec<Consensus> {
    let targets: BTreeSet<usize> = maps.iter().map(|map| map.target).collect();
    let all = targets.into_iter();
    all.filter_map(|target| of_target(maps, target)).collect()
}

fn of_target(maps: &[SaliencyMap], target: usize) -> Option<Consensus> {
    let of_target = maps.iter().filter(|map| map.target == target);
    let (with, without): (Vec<_>, Vec<_>) = of_target.partition(|map| map.outcome == Outcome::Ok);
    let first = with.first().filter(|_| with.len() > 1)?;
    let weights: Vec<Vec<f32>> = with.iter().map(|map| map.weights()).collect();
    let weights: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
    let area = first.pixels.len();
    let (mut mean, mut deviation) = (vec![0.0; area], vec![0.0; area]);
    let ranked = of_ranks(&weights, &mut mean, &mut deviation, &mut vec![0; area]);
    ranked.ok()?.ok()?;
    let names = |maps: &[&SaliencyMap]| maps.iter().map(|map| map.stem()).collect();
    Some(Consensus {
        target,
        heading: first.heading(),
        maps: names(&with),
        without: names(&without),
        size: first.size,
        mean,
        deviation,
    })
}

impl Consensus {
    /// The strongest disagreement in words.
    pub fn sentence(&self) -> String {
        let most = self.deviation.iter().copied().fold(0.0, f32::max);
        let mean = self.deviation.iter().sum::<f32>() / self.deviation.len().max(1) as f32;
        let mut text = format!(
            "Consensus of {}: ranks differ by {mean:.2} on average, by {most:.2} where methods disagree most.",
            self.maps.join(", ")
        );
        if !self.without.is_empty() {
            text += &format!(" Without evidence: {}.", self.without.join(", "));
        }
        text
    }

    /// Mean ranks over the picture.
    pub fn overlay(&self, photo: &Photo) -> RgbImage {
        self.draw(&self.mean, "mean rank of the evidence, 0 to 1", photo)
    }

    /// Where methods disagree, over the picture.
    pub fn disagreement(&self, photo: &Photo) -> RgbImage {
        let line = "disagreement: standard deviation of the ranks, 0 to 0.5";
        self.draw(&self.deviation, line, photo)
    }

    fn draw(&self, map: &[f32], line: &str, photo: &Photo) -> RgbImage {
        draw(&Figure {
            picture: photo.display(),
            map,
            heading: self.heading.clone(),
            lines: vec![line.to_owned(), self.maps.join(", ")],
            sentence: self.sentence(),
            reason: None,
        })
    }
}
