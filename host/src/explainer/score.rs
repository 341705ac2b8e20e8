//! What metrics say of finished maps.

use std::collections::BTreeMap;

use foveola_core::explain::{Cost, Outcome, Progress};
use foveola_core::metric::{Attribution, Explain, Finished, Needs, Scored, Subject, Witness};
use foveola_core::{Classifier, Error, Fill};

use super::{Again, ExplainError, Explainer, SaliencyMap, Watch, wanted};
use crate::metric_spec::MetricSpec;
use crate::photo::{Hidden, Photo};
use crate::run::view::Curve;

/// What one metric says of one map.
#[derive(Clone, Debug)]
pub struct MapScore {
    /// The metric.
    pub metric: MetricSpec,
    /// The score, or why there is none.
    pub score: Result<f64, String>,
    /// Numbers that went into it, by name.
    pub parts: BTreeMap<&'static str, f64>,
    /// Curves that it integrates, by name.
    pub curves: Vec<Curve>,
}

impl Explainer {
    /// The scores of maps of one picture: for each map one a metric, in order.
    /// Nothing is known about where objects are, or of other pictures: metrics
    /// that need this say so, as those do that were stopped.
    ///
    /// # Errors
    /// A model that does not start, or fails on this picture.
    pub fn score(
        &mut self,
        photo: &Photo,
        maps: &[SaliencyMap],
        metrics: &[MetricSpec],
        (seed, watch): (u64, &mut dyn Watch),
    ) -> Result<Vec<Vec<MapScore>>, ExplainError> {
        if metrics.is_empty() {
            return Ok(maps.iter().map(|_| Vec::new()).collect());
        }
        let specs: Vec<_> = maps.iter().map(|map| map.spec.clone()).collect();
        self.start(&wanted(&specs))?;
        let Self {
            model,
            threads,
            running,
        } = self;
        let Some((_, running)) = running else {
            return Err(ExplainError::Classifier(Error::BadOrder));
        };
        let classifier = &mut *running.classifier;
        let anew = |m: &MetricSpec| matches!(m.row.needs, Needs::Maps | Needs::Weights);
        let anew = metrics.iter().any(anew);
        let mut all = Vec::new();
        for map in maps {
            let asked = (Some(map.score), seed);
            let mut again = match anew {
                true => Some(Again::new(model, &map.spec, *threads, asked)?),
                false => None,
            };
            again = again.map(|again| {
                let again = again.of_tensors(photo.is_tensor());
                again.held_against(map.against)
            });
            let mut finished = Finished;
            let explain: &mut dyn Explain = match &mut again {
                Some(again) => again,
                None => &mut finished,
            };
            let mut scores = Vec::new();
            for metric in metrics {
                let judge = Judge::new((photo, map), metric, seed);
                scores.push(judge.score(classifier, explain, watch)?);
            }
            all.push(scores);
        }
        Ok(all)
    }
}

/// One metric for one map.
struct Judge<'a> {
    photo: &'a Photo,
    map: &'a SaliencyMap,
    metric: &'a MetricSpec,
    seed: u64,
}

impl<'a> Judge<'a> {
    const fn new(
        (photo, map): (&'a Photo, &'a SaliencyMap),
        metric: &'a MetricSpec,
        seed: u64,
    ) -> Self {
        Self {
            photo,
            map,
            metric,
            seed,
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        explain: &mut dyn Explain,
        watch: &mut dyn Watch,
    ) -> Result<MapScore, ExplainError> {
        let mut notes = Notes::new(watch);
        let score = match self.map.outcome {
            Outcome::Undefined(reason) => Err(format!("there is no map, because {reason}")),
            _ => self.ask(classifier, explain, &mut notes)?,
        };
        Ok(MapScore {
            metric: self.metric.clone(),
            score,
            parts: notes.parts,
            curves: notes.curves,
        })
    }

    /// The score; the inner error says why there is none.
    fn ask(
        &self,
        classifier: &mut dyn Classifier,
        explain: &mut dyn Explain,
        notes: &mut Notes<'_>,
    ) -> Result<Result<f64, String>, ExplainError> {
        if let Err(reason) = self.metric.suits(Some(self.map.spec.row)) {
            return Ok(Err(String::from(reason)));
        }
        let hidden = self.metric.baseline.map(|b| self.photo.hidden(b));
        let hidden = match hidden.transpose() {
            Err(reason) => return Ok(Err(reason)),
            Ok(hidden) => hidden,
        };
        let weights = self.map.weights();
        let subject = Subject {
            picture: self.photo.picture(),
            fill: hidden.as_ref().map_or(Fill::Colour([0.0; 4]), Hidden::fill),
            target: self.map.target,
            evidence: &weights,
            attribution: Attribution {
                shape: self.map.shape,
                values: &self.map.values,
                score: self.map.score,
            },
            region: None,
            backgrounds: &[],
            seed: self.seed,
        };
        match self.run(classifier, &subject, explain, notes) {
            Ok(Scored::Value(value)) => Ok(Ok(value)),
            Ok(Scored::Undefined(reason)) => Ok(Err(String::from(reason))),
            // These do not depend on the picture: the next metric may do.
            Err(error @ (Error::Stopped | Error::NotWhiteBox | Error::BadParameter(_))) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(ExplainError::Classifier(error)),
        }
    }

    fn run(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        explain: &mut dyn Explain,
        notes: &mut Notes<'_>,
    ) -> Result<Scored, Error> {
        let explanation = Cost {
            forward: self.map.passes.forward,
            backward: self.map.passes.backward,
            scratch: 0,
        };
        let (input, classes) = (classifier.input(), classifier.classes());
        let scored = self.metric.with_metric(|metric| {
            let cost = metric.cost(input, classes, explanation);
            notes.watch.begin(&self.map.spec, &cost);
            let mut scratch = vec![0.0; cost.scratch];
            metric.score(classifier, subject, explain, &mut scratch, notes)
        });
        notes.watch.end();
        scored
    }
}

/// Keeps what a metric tells on its way.
struct Notes<'w> {
    watch: &'w mut dyn Watch,
    parts: BTreeMap<&'static str, f64>,
    curves: Vec<Curve>,
}

impl<'w> Notes<'w> {
    const fn new(watch: &'w mut dyn Watch) -> Self {
        Self {
            watch,
            parts: BTreeMap::new(),
            curves: Vec::new(),
        }
    }
}

impl Progress for Notes<'_> {
    fn step(&mut self, done: u64, total: u64) -> bool {
        self.watch.step(done, total)
    }
}

impl Witness for Notes<'_> {
    fn point(&mut self, curve: &'static str, share: f64, score: f64) {
        let point = [share, score];
        match self.curves.iter_mut().find(|known| known.name == curve) {
            Some(known) => known.points.push(point),
            None => self.curves.push(Curve {
                name: String::from(curve),
                points: vec![point],
            }),
        }
    }

    fn part(&mut self, name: &'static str, value: f64) {
        self.parts.insert(name, value);
    }
}
