//! Maps made anew, for metrics that ask for them: of changed pictures, of
//! other classes, of the network with random weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use foveola_core::explain::{Contrast, Outcome, Query};
use foveola_core::metric::Explain;
use foveola_core::{Classifier, Error, Picture, Score};

use super::answer::answer;
use super::map::{evidence_of, pixels};
use super::setting::Setting;
use super::{ExplainError, Unwatched, wanted};
use crate::backend::core::{CoreBackend, ModelFile};
use crate::method_spec::MethodSpec;
use crate::model::{OpenModel, Running, randomise};
use crate::photo::Photo;

/// Most bytes of model files with random weights that are kept.
const KEPT_BYTES: usize = 256 << 20;

/// Which weights are random: depth, whether all layers down to there, seed.
type Change = (usize, bool, u64);

/// Runs one method again, on any picture and class of an opened model.
#[derive(Debug)]
pub struct Again<'m> {
    model: &'m OpenModel,
    spec: MethodSpec,
    /// Names the layers, and says what the method needs.
    running: Running,
    threads: usize,
    score: Option<Score>,
    seed: u64,
    tensors: bool,
    against: Option<usize>,
    /// Networks with random weights, which are the same for every picture.
    changed: BTreeMap<Change, Arc<ModelFile>>,
    bytes: usize,
    failure: Option<ExplainError>,
}

impl<'m> Again<'m> {
    /// A method on a model, with so many threads for networks with random
    /// weights; explains `score` (`None`: the method's own) with random numbers
    /// of `seed`.
    ///
    /// # Errors
    /// A model that does not start, an unknown layer.
    pub fn new(
        model: &'m OpenModel,
        spec: &MethodSpec,
        threads: usize,
        (score, seed): (Option<Score>, u64),
    ) -> Result<Self, ExplainError> {
        let wanted = wanted(std::slice::from_ref(spec));
        Ok(Self {
            model,
            spec: spec.clone(),
            running: model.start_for(&wanted, 1)?,
            threads,
            score,
            seed,
            tensors: false,
            against: None,
            changed: BTreeMap::new(),
            bytes: 0,
            failure: None,
        })
    }

    /// Says whether the pictures come as tensors in model space: then a
    /// baseline in numbers is meant in model units, else in those of pixels.
    #[must_use]
    pub const fn of_tensors(mut self, tensors: bool) -> Self {
        self.tensors = tensors;
        self
    }

    /// Holds every class against this one, if there is one.
    #[must_use]
    pub const fn held_against(mut self, rival: Option<usize>) -> Self {
        self.against = rival;
        self
    }

    /// What failed last, in full: a metric hands on only a short error.
    pub const fn failure(&self) -> Option<&ExplainError> {
        self.failure.as_ref()
    }

    /// Weight layers that can become random; 0 where weights cannot be changed.
    pub fn layers(&self) -> usize {
        self.model.weight_layers()
    }

    /// The picture as a photo.
    fn photo(&self, picture: Picture<'_>) -> Result<Photo, Error> {
        let intake = self.model.intake();
        match picture {
            Picture::Pixels { data, .. } => {
                Photo::from_pixels(data.to_vec(), &intake).ok_or(Error::Internal)
            }
            Picture::Tensor { data, .. } => {
                let photo = Photo::from_tensor(data.to_vec(), &intake);
                Ok(match self.tensors {
                    true => photo,
                    false => photo.in_pixel_units(),
                })
            }
        }
    }

    /// Asks `classifier`; keeps what failed.
    fn ask(
        &mut self,
        classifier: &mut dyn Classifier,
        (picture, target): (Picture<'_>, usize),
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        picture.check(classifier.input())?;
        let photo = self.photo(picture)?;
        let setting = match Setting::new(&self.spec, &photo, &mut self.running) {
            Ok(setting) => setting,
            Err(error) => return Err(self.fail(error)),
        };
        let query = Query {
            picture: photo.picture(),
            targets: &[target],
            score: self.score,
            seed: self.seed,
        };
        let Some(rival) = self.against.filter(|_| !setting.is_held()) else {
            return weigh(&setting, classifier, &query, evidence);
        };
        let mut scores = vec![0.0; classifier.classes()];
        let mut contrast = Contrast::new(classifier, rival, &mut scores)?;
        weigh(&setting, &mut contrast, &query, evidence)
    }

    fn fail(&mut self, error: ExplainError) -> Error {
        let short = match &error {
            ExplainError::Classifier(error) => *error,
            _ => Error::Backend,
        };
        self.failure = Some(error);
        short
    }

    /// The network with random weights, compiled.
    fn change(&mut self, change: Change) -> Result<Arc<ModelFile>, ExplainError> {
        if let Some(file) = self.changed.get(&change) {
            return Ok(Arc::clone(file));
        }
        let (depth, cascading, seed) = change;
        let wanted = wanted(std::slice::from_ref(&self.spec));
        let random = |graph: &mut _| randomise(graph, depth, cascading, seed);
        let file = Arc::new(self.model.changed_file(&wanted, random)?);
        let bytes = file.size();
        if self.bytes + bytes <= KEPT_BYTES {
            self.bytes += bytes;
            self.changed.insert(change, Arc::clone(&file));
        }
        Ok(file)
    }

    fn start(&mut self, change: Change) -> Result<CoreBackend, ExplainError> {
        let file = self.change(change)?;
        let isa = self.model.arithmetic.isa();
        let backend = CoreBackend::with_isa(file, self.threads, isa);
        Ok(backend.map_err(crate::model::ModelError::from)?)
    }
}

impl Explain for Again<'_> {
    fn evidence(
        &mut self,
        classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        self.ask(classifier, (picture, target), evidence)
    }

    fn randomised(
        &mut self,
        depth: usize,
        cascading: bool,
        seed: u64,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        match self.layers() {
            0 => return Err(Error::NotWhiteBox),
            layers if depth >= layers => return Ok(None),
            _ => {}
        }
        match self.start((depth, cascading, seed)) {
            Ok(mut backend) => self
                .ask(&mut backend, (picture, target), evidence)
                .map(Some),
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// Runs the method and brings its map to evidence, one weight a pixel.
fn weigh(
    setting: &Setting,
    classifier: &mut dyn Classifier,
    query: &Query<'_>,
    evidence: &mut [f32],
) -> Result<bool, Error> {
    let input = classifier.input();
    let cost = setting.with_method(|method| method.cost(classifier, 1))?;
    let answer = answer(setting, classifier, query, &cost, &mut Unwatched)?;
    let raw = answer.maps.into_iter().next().ok_or(Error::Internal)?;
    if !matches!(raw.outcome, Outcome::Ok | Outcome::Partial { .. }) {
        return Ok(false);
    }
    let row = setting.spec().row;
    let pixels = pixels(&raw.values, answer.shape, input, row.map)?;
    let weights = evidence_of(row.name).weigh(&pixels);
    let have = evidence.len();
    let need = weights.len();
    let evidence = evidence.get_mut(..need);
    let evidence = evidence.ok_or(Error::BufferTooSmall { need, have })?;
    for (to, weight) in evidence.iter_mut().zip(weights) {
        *to = weight as f32;
    }
    Ok(evidence.iter().any(|weight| *weight > 0.0))
}
