//! The host's side.

use std::path::Path;
use std::sync::Arc;

use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Masked, Score};

use super::{CrosscheckError, Inquiry};
use crate::aligned::AlignedBytes;
use crate::backend::core::{CoreBackend, ModelFile};
use crate::explainer::{Explainer, Question, SaliencyMap, Target};
use crate::method_spec::MethodSpec;
use crate::model::{OpenModel, OpenOptions};
use crate::photo::Photo;

/// What the host says of a picture.
#[derive(Debug)]
pub struct Host {
    /// SHA-256 of the model file, as it states it.
    pub digest: String,
    /// The class explained.
    pub target: usize,
    pub(super) logits: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
    pub(super) layers: Vec<(String, Vec<f32>)>,
    /// Each method as it was asked, and its map.
    pub(super) maps: Vec<(MethodSpec, SaliencyMap)>,
}

impl Host {
    /// Answers the inquiry.
    ///
    /// # Errors
    /// A model, picture or method that does not fit.
    pub fn run(
        bytes: &[u8],
        photo: &Photo,
        inquiry: &Inquiry<'_>,
    ) -> Result<Self, CrosscheckError> {
        let file = Arc::new(ModelFile::new(bytes)?);
        let layers = match inquiry.layers {
            true => layers(file.model(), photo)?,
            false => Vec::new(),
        };
        let digest = digest(file.model());
        let mut backend = CoreBackend::new(file, 1)?;
        let x = Masked::whole(photo.picture());
        let mut scores = |score| -> Result<Vec<f32>, CrosscheckError> {
            let mut out = vec![0.0; backend.classes()];
            backend.classify(&x, score, &mut out)?;
            Ok(out)
        };
        let (logits, probabilities) = (scores(Score::Logit)?, scores(Score::Probability)?);
        let target = inquiry.target.unwrap_or_else(|| first_best(&logits));
        let maps = maps(bytes, photo, inquiry, target)?;
        Ok(Self {
            digest,
            target,
            logits,
            probabilities,
            layers,
            maps,
        })
    }
}

/// The digest that a model file states, in hexadecimal.
pub fn digest(model: &Model<'_>) -> String {
    model.digest().iter().map(|b| format!("{b:02x}")).collect()
}

/// The first of the largest values.
pub(super) fn first_best(values: &[f32]) -> usize {
    (0..values.len())
        .rev()
        .max_by(|&a, &b| values[a].total_cmp(&values[b]))
        .unwrap_or(0)
}

fn layers(model: &Model<'_>, photo: &Photo) -> Result<Vec<(String, Vec<f32>)>, CrosscheckError> {
    let pass = foveola_core::net::model::Pass::Forward;
    let length = model.plan(pass).map_or(0, |plan| plan.arena_len());
    let mut arena = AlignedBytes::zeros(length);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let names = (0..model.node_count()).map(|i| model.node(i).map_or("", |node| node.name));
    let mut layers: Vec<_> = names.map(|name| (name.to_owned(), Vec::new())).collect();
    session.forward_tapped(&Masked::whole(photo.picture()), &mut |index, _, values| {
        layers[index].1.extend(values.iter());
        Ok(())
    })?;
    Ok(layers)
}

fn maps(
    bytes: &[u8],
    photo: &Photo,
    inquiry: &Inquiry<'_>,
    target: usize,
) -> Result<Vec<(MethodSpec, SaliencyMap)>, CrosscheckError> {
    let model = OpenModel::from_bytes(bytes, Path::new("model.fov"), &OpenOptions::default())?;
    let question = Question {
        methods: inquiry.methods.to_vec(),
        targets: vec![Target::Named(target.to_string())],
        threshold: 0.5,
        score: None,
        seed: inquiry.seed,
    };
    let maps = Explainer::new(model, 1).explain(photo, &question)?.maps;
    Ok(inquiry.methods.iter().cloned().zip(maps).collect())
}
