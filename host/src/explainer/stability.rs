//! A certificate of stability: the same question with nine seeds.

use foveola_core::explain::{Outcome, Query};
use foveola_core::{Classifier, Error};
use serde::Serialize;

use super::answer::held;
use super::map::pixels;
use super::setting::Setting;
use super::{ExplainError, Explainer, SaliencyMap, Watch, wanted};
use crate::crosscheck::Agreement;
use crate::method_spec::{MethodSpec, Parameters};
use crate::photo::Photo;

/// The seeds: 1, 11, .., 81.
pub const SEEDS: [u64; 9] = [1, 11, 21, 31, 41, 51, 61, 71, 81];

/// How much of a map is its seed's doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// The map, `METHOD.TARGET`.
    pub map: String,
    /// Seeds that gave a map with differences to see.
    pub maps: usize,
    /// Mean of Spearman's correlation of two maps, over all pairs of seeds.
    pub rank_agreement: f64,
    /// The least of them.
    pub least_rank_agreement: f64,
    /// Mean share of the strongest tenth of a map's pixels that is among the
    /// strongest tenth of another's, over all pairs of seeds.
    pub overlap: f64,
    /// The least of them.
    pub least_overlap: f64,
}

impl Stability {
    /// In words.
    pub fn sentence(&self) -> String {
        format!(
            "Stability of {} over {} seeds: rank agreement {:.2} (at least {:.2}), \
             overlap of the strongest tenth {:.0} % (at least {:.0} %).",
            self.map,
            self.maps,
            self.rank_agreement,
            self.least_rank_agreement,
            100.0 * self.overlap,
            100.0 * self.least_overlap
        )
    }
}

/// Whether a method's maps depend on the seed.
pub fn is_sampled(spec: &MethodSpec) -> bool {
    match &spec.parameters {
        Parameters::Rise { file, .. } => file.is_none(),
        Parameters::Segmented(segmented) => segmented.is_sampled(),
        Parameters::Noise { .. } | Parameters::Ascent(_) => true,
        _ => false,
    }
}

impl Explainer {
    /// A certificate for each map whose method samples; `None` for the others,
    /// and where fewer than two seeds gave a map.
    ///
    /// # Errors
    /// A model that does not start, or fails on this picture.
    pub fn stability(
        &mut self,
        photo: &Photo,
        maps: &[SaliencyMap],
        watch: &mut dyn Watch,
    ) -> Result<Vec<Option<Stability>>, ExplainError> {
        let specs: Vec<_> = maps.iter().map(|map| map.spec.clone()).collect();
        let running = self.start(&wanted(&specs))?;
        let mut all = Vec::new();
        for map in maps {
            if !is_sampled(&map.spec) || watch.stopped() {
                all.push(None);
                continue;
            }
            let setting = Setting::new(&map.spec, photo, running)?;
            let mut found = Vec::new();
            for seed in SEEDS {
                let query = Query {
                    picture: photo.picture(),
                    targets: &[map.target],
                    score: Some(map.score),
                    seed,
                };
                let classifier = &mut *running.classifier;
                found.extend(once(&setting, classifier, &query, (map.against, watch))?);
            }
            all.push(certify(map, &found));
        }
        Ok(all)
    }
}

/// The map of one seed, one value a pixel; `None` without differences to see.
fn once(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    (rival, watch): (Option<usize>, &mut dyn Watch),
) -> Result<Option<Vec<f32>>, ExplainError> {
    let input = classifier.input();
    let (answer, _) = held(setting, classifier, query, (rival, &mut *watch))?;
    let none = ExplainError::Classifier(Error::Internal);
    let raw = answer.maps.into_iter().next().ok_or(none)?;
    // A map that its own limits cut short is what the method gives with them.
    let cut = matches!(raw.outcome, Outcome::Partial { .. }) && !watch.stopped();
    if raw.outcome != Outcome::Ok && !cut {
        return Ok(None);
    }
    let kind = setting.spec().row.map;
    let found = pixels(&raw.values, answer.shape, input, kind);
    found.map(Some).map_err(ExplainError::Classifier)
}

/// Compares all pairs.
fn certify(map: &SaliencyMap, found: &[Vec<f32>]) -> Option<Stability> {
    let evidence = map.evidence();
    let weigh = |pixels: &Vec<f32>| -> Vec<f32> {
        let weights = evidence.weigh(pixels).into_iter();
        weights.map(|weight| weight as f32).collect()
    };
    let weights: Vec<Vec<f32>> = found.iter().map(weigh).collect();
    let (mut ranks, mut overlaps) = (Vec::new(), Vec::new());
    for a in 0..found.len() {
        for b in 0..a {
            let ranked = Agreement::of(&found[a], &found[b], false);
            ranks.push(ranked.spearman?);
            overlaps.push(Agreement::of(&weights[a], &weights[b], false).top_tenth);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    (!ranks.is_empty()).then(|| Stability {
        map: map.stem(),
        maps: found.len(),
        rank_agreement: mean(&ranks),
        least_rank_agreement: least(&ranks),
        overlap: mean(&overlaps),
        least_overlap: least(&overlaps),
    })
}
