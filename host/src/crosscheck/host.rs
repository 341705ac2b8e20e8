//! The host's side.

use std::path::Path;
use std::sync::Arc;

use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Masked, Picture, Score, TensorId};
use zerocopy::IntoBytes;

use super::{CrosscheckError, Inquiry};
use crate::aligned::AlignedBytes;
use crate::backend::core::{CoreBackend, ModelFile};
use crate::explainer::{Explainer, Question, SaliencyMap, Target};
use crate::method_spec::MethodSpec;
use crate::model::{OpenModel, OpenOptions, sha256};
use crate::photo::Photo;

/// What the host says of a picture.
#[derive(Debug)]
pub struct Host {
    /// SHA-256 of the model file, as it states it.
    pub digest: String,
    /// SHA-256 of the picture as it travels: pixels, or f32 in model space.
    pub input: String,
    /// The class explained.
    pub target: usize,
    /// What one step of the integers behind logits and probabilities is.
    pub(super) steps: [Option<f32>; 2],
    pub(super) logits: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    /// Each method as it was asked, and its map.
    pub(super) maps: Vec<(MethodSpec, SaliencyMap)>,
}

/// The output of a node.
#[derive(Debug)]
pub(super) struct Layer {
    pub name: String,
    pub op: String,
    /// One step of the integers behind the values, if there are any.
    pub step: Option<f32>,
    pub values: Vec<f32>,
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
        let model = file.model();
        let layers = match inquiry.layers {
            true => layers(model, photo)?,
            false => Vec::new(),
        };
        let digest = digest(model);
        let steps = [Score::Logit, Score::Probability].map(|s| step(model, model.score_id(s)));
        let mut backend = CoreBackend::new(Arc::clone(&file), 1)?;
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
            input: picture_digest(photo),
            target,
            steps,
            logits,
            probabilities,
            layers,
            maps,
        })
    }

    /// The map of a method.
    pub fn map_of(&self, spec: &MethodSpec) -> Option<&SaliencyMap> {
        let found = self.maps.iter().find(|(asked, _)| asked == spec);
        found.map(|(_, map)| map)
    }

    /// The first of the classes with the largest logit.
    pub fn best(&self) -> usize {
        first_best(&self.logits)
    }
}

/// SHA-256 of a picture as it travels, in hexadecimal.
pub fn picture_digest(photo: &Photo) -> String {
    match photo.picture() {
        Picture::Pixels { data, .. } => sha256(data),
        Picture::Tensor { data, .. } => sha256(data.as_bytes()),
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

/// What one step of the integers is that a tensor holds or is made of.
fn step(model: &Model<'_>, id: TensorId) -> Option<f32> {
    let own = model.tensor(id)?.quant;
    let stored = || {
        let mut nodes = (0..model.node_count()).filter_map(|i| model.node(i));
        let node = nodes.find(|n| n.output == id && n.op == Op::Dequantise)?;
        model.tensor(node.input(0)?)?.quant
    };
    own.or_else(stored).map(|quant| quant.scale)
}

/// The operator's name without its parameters.
fn op_name(op: &Op) -> String {
    let text = format!("{op:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_owned()
}

fn layers(model: &Model<'_>, photo: &Photo) -> Result<Vec<Layer>, CrosscheckError> {
    let length = model.plan(Pass::Forward).map_or(0, |p| p.arena_len());
    let mut arena = AlignedBytes::zeros(length);
    let mut session = Session::new(model, &mut arena, Isa::detect())?;
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let empty = nodes.map(|node| Layer {
        name: node.name.to_owned(),
        op: op_name(&node.op),
        step: step(model, node.output),
        values: Vec::new(),
    });
    let mut layers: Vec<_> = empty.collect();
    session.forward_tapped(&Masked::whole(photo.picture()), &mut |index, _, values| {
        layers[index].values.extend(values.iter());
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
    ask(&mut Explainer::new(model, 1), photo, inquiry, target)
}

/// The maps of all methods for one class.
pub(super) fn ask(
    explainer: &mut Explainer,
    photo: &Photo,
    inquiry: &Inquiry<'_>,
    target: usize,
) -> Result<Vec<(MethodSpec, SaliencyMap)>, CrosscheckError> {
    let question = Question {
        methods: inquiry.methods.to_vec(),
        targets: vec![Target::Named(target.to_string())],
        threshold: 0.5,
        against: None,
        score: None,
        seed: inquiry.seed,
        units: false,
    };
    let maps = explainer.explain(photo, &question)?.maps;
    Ok(inquiry.methods.iter().cloned().zip(maps).collect())
}
