//! From a question to the manifest that fixes it.

use std::path::PathBuf;

use foveola_core::explain::{Cost, MapKind};
use foveola_core::metric::Needs;

use super::inquiry::Nothing;
use super::manifest::{
    Config, DataRecord, FORMAT, HALF, Manifest, MethodRecord, ModelRecord, Shards, TrainRecord,
    UnitRecord,
};
use super::{RunError, Runner};
use crate::backend::core::Arithmetic;
use crate::explainer::{ExplainError, Priced, priced};
use crate::method_spec::{Estimator, LayerMethod, MethodSpec, Parameters};
use crate::metric_spec::MetricSpec;
use crate::model::{BackendKind, Precision};

/// A shard takes about so many passes, so that little is lost with it.
const PASSES_OF_A_SHARD: u64 = 10_000;
/// Least and most pictures of a shard, if nobody chose.
const USUAL_SIZE: [u64; 2] = [4, 64];

impl Runner {
    /// The manifest of this run. Names the layers that methods left open.
    ///
    /// # Errors
    /// A method that cannot run on this model, or that was asked for twice;
    /// uncertainty of a model that has no dropout.
    pub fn plan(&mut self) -> Result<Manifest, RunError> {
        self.check()?;
        let priced = priced(&self.inquiry.model, &self.inquiry.asked(), 1)?;
        let mut priced = priced
            .into_iter()
            .collect::<Result<Vec<_>, ExplainError>>()?;
        let passes: u64 = priced.iter().map(passes_of).sum();
        let passes = passes + self.passes_of_metrics(&priced);
        if self.inquiry.hoc.is_some() {
            self.inquiry.hoc = priced.pop().map(|p| p.spec);
        }
        self.inquiry.methods = priced.iter().map(|p| p.spec.clone()).collect();
        let mut methods: Vec<MethodRecord> = priced.iter().map(record).collect();
        methods.extend(self.inquiry.nothings().iter().map(|n| nothing(*n)));
        for (i, method) in methods.iter().enumerate() {
            if methods[..i].iter().any(|m| m.spec == method.spec) {
                let text = format!("`{}` is asked for twice", method.spec);
                return Err(RunError::Question(text));
            }
        }
        let size = self.shard_size.unwrap_or_else(|| usual_size(passes));
        let pictures = self.inquiry.data.items.len() as u64;
        let mut manifest = Manifest {
            format: FORMAT,
            tool: String::from(env!("CARGO_PKG_VERSION")),
            config_hash: String::new(),
            model: self.model_record(),
            data: self.data_record(),
            config: self.config(methods),
            shards: Shards::of(pictures, size),
            command: Vec::new(),
        };
        let unhashed = |e: serde_json::Error| RunError::Question(e.to_string());
        manifest.config_hash = manifest.hash().map_err(unhashed)?;
        manifest.command = command(&manifest);
        Ok(manifest)
    }

    fn check(&self) -> Result<(), RunError> {
        let wrong = |text: &str| Err(RunError::Question(String::from(text)));
        let inquiry = &self.inquiry;
        for (i, metric) in inquiry.metrics.iter().enumerate() {
            let text = metric.to_string();
            if inquiry.metrics[..i].iter().any(|m| m.to_string() == text) {
                return wrong(&format!("`{text}` is asked for twice"));
            }
        }
        if !(0.0..=1.0).contains(&inquiry.threshold) {
            return wrong("the threshold is a probability from 0 to 1");
        }
        if inquiry.uncertainty.is_some() && inquiry.model.backend() != BackendKind::Core {
            return wrong("uncertainty is for the backend core; others have no dropout");
        }
        if inquiry.unit.is_some() {
            self.check_unit()?;
        }
        let is_hoc = |m: &MethodSpec| matches!(m.parameters, Parameters::Hoc { .. });
        match inquiry.hoc.as_ref().is_none_or(is_hoc) {
            true => Ok(()),
            false => wrong("regions are searched by the method `hoc`"),
        }
    }

    /// What only a class has is not asked of a unit.
    fn check_unit(&self) -> Result<(), RunError> {
        let inquiry = &self.inquiry;
        let placed = |m: &&MetricSpec| m.row.needs == Needs::Region;
        let text = match inquiry.metrics.iter().find(placed) {
            Some(metric) => format!(
                "`{metric}` asks whether a map lies on its class, and no boxes say where a unit \
                 of the network is"
            ),
            None if inquiry.uncertainty.is_some() => String::from(
                "uncertainty is of probabilities of classes; a unit of the network has a value",
            ),
            None if inquiry.hoc.is_some() => String::from(
                "a region is searched for predicted classes; no unit of a network is predicted",
            ),
            None if self.train.is_some() => String::from(
                "training pictures stand beside doubtful classes; no unit of a network is one",
            ),
            None => return Ok(()),
        };
        Err(RunError::Question(text))
    }

    /// Passes that the metrics take for one answer.
    fn passes_of_metrics(&self, methods: &[Priced]) -> u64 {
        let facts = &self.inquiry.model.facts;
        let none = Cost {
            forward: 0,
            backward: 0,
            scratch: 0,
        };
        let maps = methods.iter().map(|p| p.cost);
        let maps = maps.chain(self.inquiry.nothings().iter().map(|_| none));
        let each = |explanation: Cost| {
            let metrics = self.inquiry.metrics.iter();
            let cost =
                metrics.map(|m| m.with_metric(|m| m.cost(facts.input, facts.classes, explanation)));
            cost.map(|c| c.forward + c.backward).sum::<u64>()
        };
        maps.map(each).sum()
    }

    fn model_record(&self) -> ModelRecord {
        let model = &self.inquiry.model;
        let input = model.facts.input;
        ModelRecord {
            path: model.path.clone(),
            sha256: model.sha256.clone(),
            input: [input.h, input.w, input.c],
            classes: model.facts.classes,
            card: model.card.clone(),
        }
    }

    fn data_record(&self) -> DataRecord {
        let (data, options) = (&self.inquiry.data, &self.data_options);
        DataRecord {
            path: data.path.clone(),
            labels: options.labels_file.clone(),
            boxes: options.boxes_file.clone(),
            pictures_in: options.pictures.clone(),
            column: options.column.clone(),
            first_class: options.first_class,
            source: data.source.clone(),
            sha256: data.hash.clone(),
            pictures: data.items.len() as u64,
        }
    }

    fn config(&self, methods: Vec<MethodRecord>) -> Config {
        let inquiry = &self.inquiry;
        let arithmetic = match (inquiry.model.backend(), inquiry.model.arithmetic.here()) {
            (BackendKind::Gpu, _) => match inquiry.model.precision {
                Precision::Full => "gpu",
                Precision::Half => HALF,
            },
            (_, Arithmetic::Strict) => "strict",
            (_, Arithmetic::Fused) => "fused",
        };
        Config {
            backend: inquiry.model.backend(),
            arithmetic: String::from(arithmetic),
            allow_external: self.allow_external,
            input_size: self.input_size,
            methods,
            metrics: inquiry.metrics.iter().map(ToString::to_string).collect(),
            uncertainty: inquiry.uncertainty.map(|s| s.passes),
            hoc: inquiry.hoc.as_ref().map(ToString::to_string),
            threshold: inquiry.threshold,
            seed: inquiry.seed,
            pictures: inquiry.pictures,
            train: self.train.as_ref().map(|train| TrainRecord {
                path: train.path.clone(),
                sha256: train.hash.clone(),
            }),
            unit: inquiry.unit.as_ref().map(|asked| UnitRecord {
                name: asked.unit.to_string(),
                card: asked.card.clone(),
            }),
        }
    }
}

/// Pictures of a shard where one takes so many passes.
fn usual_size(passes: u64) -> u64 {
    let [least, most] = USUAL_SIZE;
    (PASSES_OF_A_SHARD / passes.max(1)).clamp(least, most)
}

/// Passes of a method at most.
fn passes_of(priced: &Priced) -> u64 {
    let most = priced.spec.limits.passes.unwrap_or(u64::MAX);
    most.min(priced.cost.forward + priced.cost.backward)
}

fn record(priced: &Priced) -> MethodRecord {
    let Priced { spec, .. } = priced;
    MethodRecord {
        spec: spec.to_string(),
        title: spec.title().to_string(),
        passes: passes_of(priced),
        signed: is_signed(spec),
        baseline: false,
    }
}

/// Whether negative values of the method's maps speak against the class.
fn is_signed(spec: &MethodSpec) -> bool {
    match &spec.parameters {
        Parameters::Rise { estimator, .. } => *estimator != Estimator::Raw,
        Parameters::GradCam { relu, .. } => !relu,
        Parameters::Segmented(segmented) => segmented.is_signed(),
        Parameters::OnLayer { kind, .. } => is_signed_layer(kind),
        Parameters::Noise { .. } => spec.row.name == "smooth-grad",
        _ => spec.row.map == MapKind::Elements,
    }
}

const fn is_signed_layer(kind: &LayerMethod) -> bool {
    match *kind {
        LayerMethod::PlusPlus { relu, .. }
        | LayerMethod::HiRes { relu }
        | LayerMethod::XGrad { relu }
        | LayerMethod::Layer { relu }
        | LayerMethod::Score { relu, .. }
        | LayerMethod::Ablation { relu } => !relu,
        LayerMethod::Recipro => false,
        LayerMethod::Cam | LayerMethod::Eigen { .. } | LayerMethod::Guided { .. } => true,
    }
}

fn nothing(nothing: Nothing) -> MethodRecord {
    MethodRecord {
        spec: nothing.spec().to_string(),
        title: nothing.title().to_string(),
        passes: 0,
        signed: false,
        baseline: true,
    }
}

/// The command line that makes the same bytes from the same files. Cards and
/// labels are left to the files that they came from.
fn command(manifest: &Manifest) -> Vec<String> {
    let Manifest {
        model,
        data,
        config,
        ..
    } = manifest;
    let path = |path: &PathBuf| path.display().to_string();
    let mut words = vec![String::from("foveola"), String::from("run")];
    words.extend([path(&model.path), path(&data.path)]);
    let mut flag = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    let asked = config.methods.iter().filter(|m| !m.baseline);
    asked.for_each(|m| flag("method", m.spec.clone()));
    config
        .metrics
        .iter()
        .for_each(|m| flag("metric", m.clone()));
    flag("threshold", config.threshold.to_string());
    flag("seed", config.seed.to_string());
    flag("shard-size", manifest.shards.size.to_string());
    flag("backend", manifest.backend_name().to_string());
    if config.arithmetic == HALF {
        flag("precision", String::from("half"));
    }
    if config.backend != BackendKind::Gpu {
        flag("arithmetic", config.arithmetic.clone());
    }
    let named = [
        ("truth", &data.labels),
        ("boxes", &data.boxes),
        ("pictures-in", &data.pictures_in),
    ];
    for (name, value) in named {
        value.iter().for_each(|p| flag(name, path(p)));
    }
    config
        .train
        .iter()
        .for_each(|t| flag("train", path(&t.path)));
    data.column.iter().for_each(|c| flag("column", c.clone()));
    if data.first_class > 0 {
        flag("first-class", data.first_class.to_string());
    }
    config
        .uncertainty
        .iter()
        .for_each(|n| flag("passes", n.to_string()));
    config.hoc.iter().for_each(|h| flag("hoc", h.clone()));
    let unit = config.unit.iter();
    unit.for_each(|u| flag("unit", u.name.clone()));
    if let Some([h, w]) = config.input_size {
        flag("input-size", format!("{h},{w}"));
    }
    let switches = [
        ("--uncertainty", config.uncertainty.is_some()),
        (
            "--no-baselines",
            !config.methods.iter().any(|m| m.baseline) && !config.metrics.is_empty(),
        ),
        ("--no-pictures", !config.pictures),
        ("--allow-external", config.allow_external),
    ];
    let set = switches.into_iter().filter(|(_, set)| *set);
    words.extend(set.map(|(name, _)| String::from(name)));
    words
}
