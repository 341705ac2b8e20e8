//! A model that runs: a classifier, and the names of its layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use foveola_core::net::model::{Model, Pass};
use foveola_core::{At, Classifier, TensorId};

use super::{Engine, ModelError, OpenModel, gpu};
use crate::backend::core::{CoreBackend, ModelFile};
use crate::backend::tract::TractBackend;
use crate::compile::{CompileOptions, compile};
use crate::graph::Graph;
use crate::suggest::hint;

/// A model that runs.
pub struct Running {
    /// It answers the questions.
    pub classifier: Box<dyn Classifier>,
    layers: Layers,
}

/// What a model is to be started for, besides scores and gradients down to the
/// input and the default layer of CAM methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Gradients down to these ONNX nodes or tensors.
    pub layers: Vec<String>,
    /// Relevance down to the input (LRP).
    pub relevance: bool,
}

impl Wanted {
    /// Whether a model that was started for this serves `other` as well.
    pub fn serves(&self, other: &Self) -> bool {
        let has = |layer| self.layers.contains(layer);
        other.layers.iter().all(has) && (self.relevance || !other.relevance)
    }
}

/// What the layers are called.
#[derive(Clone, Debug, Default)]
struct Layers {
    names: BTreeMap<String, At>,
    /// Each node by its place in the run order.
    nodes: Vec<String>,
    cam: Option<(String, At)>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({:?})", self.layers.cam)
    }
}

impl OpenModel {
    /// Starts the model so that gradients down to `layers` (ONNX nodes or
    /// tensors) can be asked for.
    ///
    /// # Errors
    /// An unknown layer, a network that does not compile, no threads.
    pub fn start(&self, layers: &[String], threads: usize) -> Result<Running, ModelError> {
        let layers = layers.to_vec();
        let wanted = Wanted {
            layers,
            relevance: false,
        };
        self.start_for(&wanted, threads)
    }

    /// As [`OpenModel::start`], for whatever methods want.
    ///
    /// # Errors
    /// As [`OpenModel::start`].
    pub fn start_for(&self, wanted: &Wanted, threads: usize) -> Result<Running, ModelError> {
        if let Some(board) = &self.board {
            return Ok(Running::new(board.start(self)?));
        }
        match &self.engine {
            Engine::Tract(model) => {
                let backend = TractBackend::new(Arc::clone(model), self.card.activation, threads)?;
                Ok(Running::new(Box::new(backend)))
            }
            Engine::File(file) => {
                if wanted.relevance && file.model().plan(Pass::Relevance).is_none() {
                    return Err(ModelError::NoRelevance);
                }
                let layers = file_layers(file.model(), &wanted.layers)?;
                let classifier = self.classifier(Arc::clone(file), threads)?;
                Ok(Running { classifier, layers })
            }
            Engine::Graph(_) => {
                let (file, layers) = self.compile_for(&as_trained(wanted))?;
                let classifier = self.classifier(Arc::new(file), threads)?;
                Ok(Running { classifier, layers })
            }
        }
    }

    /// What runs a file: the device that was chosen, or `core`.
    fn classifier(
        &self,
        file: Arc<ModelFile>,
        threads: usize,
    ) -> Result<Box<dyn Classifier>, ModelError> {
        match &self.gpu {
            Some(device) => gpu::start(device, file, self.precision, self.editing),
            None => {
                let isa = self.arithmetic.isa();
                let backend = CoreBackend::with_isa(file, threads, isa)?;
                Ok(Box::new(backend.editing(self.editing)))
            }
        }
    }

    /// The `.fov` file that boards run (the model's own, or the compiled ONNX
    /// model with folded weights and, if `prune`, without constant channels),
    /// and that file running on one thread.
    ///
    /// # Errors
    /// As [`OpenModel::start`]; a model that only tract runs.
    pub fn start_shipped(
        &self,
        wanted: &Wanted,
        prune: bool,
    ) -> Result<(Arc<ModelFile>, Running), ModelError> {
        let layers = &wanted.layers;
        let (file, layers) = match &self.engine {
            Engine::File(file) => (Arc::clone(file), file_layers(file.model(), layers)?),
            _ => {
                let options = CompileOptions {
                    relevance: wanted.relevance,
                    ..CompileOptions::shipped(layers, prune).planned(self.goal)
                };
                let (file, layers) = self.compile_for(&options)?;
                (Arc::new(file), layers)
            }
        };
        let classifier = Box::new(CoreBackend::new(Arc::clone(&file), 1)?);
        Ok((file, Running { classifier, layers }))
    }

    /// Compiles an imported network.
    fn compile_for(&self, options: &CompileOptions) -> Result<(ModelFile, Layers), ModelError> {
        let compiled = self.compile(options)?;
        let file = self.read_back(&compiled.bytes)?;
        let model = file.model();
        let at = |id: TensorId| match id == model.input_id() {
            true => At::Input,
            false => At::Tensor(id),
        };
        let name = |id: TensorId| model.tensor(id).map_or("", |t| t.name).to_string();
        let layers = Layers {
            names: compiled
                .names
                .iter()
                .map(|(n, id)| (n.clone(), at(*id)))
                .collect(),
            nodes: node_names(model),
            cam: compiled.cam_layer.map(|id| (name(id), at(id))),
        };
        Ok((file, layers))
    }

    /// The file that [`OpenModel::start`] runs, of a changed network. What the
    /// change leaves alone, tensors and their names, is the same in both.
    ///
    /// # Errors
    /// As [`OpenModel::start`]; a model that is not an imported ONNX or TFLite file.
    pub fn changed_file(
        &self,
        wanted: &Wanted,
        change: impl FnOnce(&mut Graph),
    ) -> Result<ModelFile, ModelError> {
        let Engine::Graph(imported) = &self.engine else {
            return Err(ModelError::NeedsOnnx(self.path.clone()));
        };
        let mut graph = imported.graph.clone();
        change(&mut graph);
        let compiled = self.compile_graph(graph, &as_trained(wanted))?;
        self.read_back(&compiled.bytes)
    }

    fn read_back(&self, bytes: &[u8]) -> Result<ModelFile, ModelError> {
        ModelFile::new(bytes).map_err(|source| ModelError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// The `.fov` file.
    ///
    /// # Errors
    /// As [`OpenModel::start`]; a model that is not an imported ONNX file.
    pub fn compile(
        &self,
        options: &CompileOptions,
    ) -> Result<crate::compile::Compiled, ModelError> {
        let Engine::Graph(imported) = &self.engine else {
            return Err(ModelError::NeedsOnnx(self.path.clone()));
        };
        self.compile_graph(imported.graph.clone(), options)
    }

    fn compile_graph(
        &self,
        graph: Graph,
        options: &CompileOptions,
    ) -> Result<crate::compile::Compiled, ModelError> {
        for layer in &options.layers {
            if !graph.names.contains_key(layer) {
                return Err(unknown(layer, graph.names.keys()));
            }
        }
        compile(graph, &self.card, options).map_err(|source| ModelError::Compile {
            path: self.path.clone(),
            source,
        })
    }
}

/// The network with every channel, as it was trained, and plans for what is wanted.
fn as_trained(wanted: &Wanted) -> CompileOptions {
    CompileOptions {
        layers: wanted.layers.clone(),
        relevance: wanted.relevance,
        ..CompileOptions::default()
    }
}

pub(super) fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> ModelError {
    ModelError::Layer {
        name: name.to_string(),
        hint: hint(name, names.map(String::as_str)),
    }
}

/// Names and plans of a `.fov` file.
fn file_layers(model: &Model<'_>, wanted: &[String]) -> Result<Layers, ModelError> {
    let mut names = BTreeMap::new();
    let ids = (0..model.tensor_count()).filter_map(|i| u16::try_from(i).ok().map(TensorId));
    for id in ids {
        if let Some(tensor) = model.tensor(id).filter(|t| !t.name.is_empty()) {
            names
                .entry(tensor.name.to_string())
                .or_insert(At::Tensor(id));
        }
    }
    for node in (0..model.node_count()).filter_map(|i| model.node(i)) {
        let at = At::Tensor(node.output);
        names.entry(node.name.to_string()).or_insert(at);
    }
    if let Some(input) = model.tensor(model.input_id()) {
        names.insert(input.name.to_string(), At::Input);
    }
    for name in wanted {
        let at = names.get(name).ok_or_else(|| unknown(name, names.keys()))?;
        if model.plan(Pass::Backward(*at)).is_none() {
            let name = name.clone();
            return Err(ModelError::NoPlan { name });
        }
    }
    let cam = default_layer(model);
    let nodes = node_names(model);
    Ok(Layers { names, nodes, cam })
}

/// Every node by the name of the tensor that it makes.
fn node_names(model: &Model<'_>) -> Vec<String> {
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let made = nodes.map(|node| model.tensor(node.output).map_or(node.name, |t| t.name));
    made.map(String::from).collect()
}

/// The last layer with rows and columns that the file has a plan for.
fn default_layer(model: &Model<'_>) -> Option<(String, At)> {
    let nodes = (0..model.node_count()).rev();
    nodes.filter_map(|i| model.node(i)).find_map(|node| {
        let tensor = model.tensor(node.output)?;
        let at = At::Tensor(node.output);
        let wide = tensor.shape.h > 1 && tensor.shape.w > 1;
        let planned = model.plan(Pass::Backward(at)).is_some();
        (wide && planned).then(|| (tensor.name.to_string(), at))
    })
}

impl Running {
    /// A classifier of your own. Its layers have no names, so Grad-CAM does
    /// not apply; gradient methods do if it is a white box.
    pub fn new(classifier: Box<dyn Classifier>) -> Self {
        Self {
            classifier,
            layers: Layers::default(),
        }
    }

    /// Whether gradients can be asked for.
    pub fn is_white_box(&mut self) -> bool {
        self.classifier.layers().is_some()
    }

    /// Where a layer is.
    ///
    /// # Errors
    /// An unknown layer, with the nearest names.
    pub fn layer(&self, name: &str) -> Result<At, ModelError> {
        let known = self.layers.names.get(name).copied();
        known.ok_or_else(|| unknown(name, self.layers.names.keys()))
    }

    /// The layer that Grad-CAM reads by default: the last with rows and columns.
    pub fn default_layer(&self) -> Option<(&str, At)> {
        self.layers
            .cam
            .as_ref()
            .map(|(name, at)| (name.as_str(), *at))
    }

    /// What each node makes, by name, in the order of the run.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.layers.nodes.iter().map(String::as_str)
    }

    /// Every name that a layer may be called by.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.layers.names.keys().map(String::as_str)
    }
}
