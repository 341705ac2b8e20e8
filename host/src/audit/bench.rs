//! A compiled model on the host, asked as a device is: one arena, painted.

use std::cell::RefCell;
use std::sync::Arc;

use foveola_core::audit::policy::{Case, Rule};
use foveola_core::audit::self_test::Subject;
use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{HocMethod, Method, Outcome, Query, Silent};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::wire::message::{Call, Explain, Format};
use foveola_core::{At, Classifier, Error, Masked, Score, Shape, TensorId};

use super::policy::PolicyError;
use crate::aligned::AlignedBytes;
use crate::backend::core::ModelFile;
use crate::explainer::ExplainError;
use crate::explainer::setting::Setting;
use crate::method_spec::MethodSpec;
use crate::model::{Engine, OpenModel, Running};
use crate::photo::Photo;

/// Steps that a tree of HOC may have.
const MOST_STEPS: usize = 1 << 15;

/// See the module.
#[derive(Debug)]
pub struct Bench {
    /// The model.
    pub model: OpenModel,
    file: Arc<ModelFile>,
    running: Running,
}

/// A map as the method made it.
#[derive(Clone, Debug)]
pub struct RawMap {
    /// Its shape.
    pub shape: Shape,
    /// Its values, HWC.
    pub values: Vec<f32>,
    /// What became of it.
    pub outcome: Outcome,
    /// Bytes of arena, map and scratch.
    pub memory: usize,
}

impl Bench {
    /// For a model that was opened from a `.fov` file.
    ///
    /// # Errors
    /// Another model, or one that does not start.
    pub fn new(model: OpenModel) -> Result<Self, PolicyError> {
        let Engine::File(file) = &model.engine else {
            return Err(PolicyError::NotCompiled(model.path));
        };
        let file = Arc::clone(file);
        let running = model.start(&[], 1).map_err(ExplainError::Model)?;
        Ok(Self {
            model,
            file,
            running,
        })
    }

    /// The checked file.
    pub fn file(&self) -> &Model<'_> {
        self.file.model()
    }

    /// Its handle, which outlives borrows of the bench.
    pub fn handle(&self) -> Arc<ModelFile> {
        Arc::clone(&self.file)
    }

    /// The layer that Grad-CAM reads by default.
    pub fn default_layer(&self) -> Option<String> {
        self.running
            .default_layer()
            .map(|(name, _)| name.to_string())
    }

    /// Where a layer is that the file has a plan for.
    pub fn layer(&self, name: &str) -> Option<At> {
        let at = self.running.layer(name).ok()?;
        self.file.model().plan(Pass::Backward(at)).map(|_| at)
    }

    /// One score a class.
    ///
    /// # Errors
    /// A network that fails.
    pub fn scores(&self, photo: &Photo, score: Score, paint: u8) -> Result<Vec<f32>, Error> {
        let model = self.file.model();
        let plan = model.plan(Pass::Forward).ok_or(Error::NoPlan)?;
        let mut arena = AlignedBytes::zeros(plan.arena_len());
        arena.fill(paint);
        let mut out = vec![0.0; model.classes()];
        let mut session = Session::new(model, &mut arena, Isa::detect())?;
        session.classify(&Masked::whole(photo.picture()), score, &mut out)?;
        Ok(out)
    }

    /// The method as people write it.
    ///
    /// # Errors
    /// A layer that the model does not have.
    pub fn spec(&self, call: &Call) -> Result<MethodSpec, ExplainError> {
        if let Some(id) = call.layer() {
            let spec: MethodSpec = call.without_layer().to_string().parse()?;
            let tensor = self.file.model().tensor(TensorId(id));
            let name = tensor.map_or_else(|| id.to_string(), |t| t.name.to_string());
            return Ok(spec.with_layer(&name));
        }
        Ok(call.to_string().parse()?)
    }

    /// What a method answers, in memory that holds `paint` before.
    ///
    /// # Errors
    /// A method that does not run on this model and picture.
    pub fn map(
        &mut self,
        photo: &Photo,
        asked: &Explain,
        paint: u8,
    ) -> Result<RawMap, ExplainError> {
        let spec = self.spec(&asked.method)?;
        let setting = Setting::new(&spec, photo, &mut self.running)?;
        let cost = setting.check(&mut *self.running.classifier, 1)?;
        let pass = setting.depth().map_or(Pass::Forward, Pass::Backward);
        let model = self.file.model();
        let plan = model.plan(pass).ok_or(Error::NoPlan);
        let plan = plan.map_err(ExplainError::Classifier)?;
        let mut arena = AlignedBytes::zeros(plan.arena_len());
        arena.fill(paint);
        let stale = f32::from_ne_bytes([paint; 4]);
        let query = Query {
            picture: photo.picture(),
            targets: &[asked.target.unwrap_or(0) as usize],
            score: asked.score,
            seed: asked.seed,
        };
        let mut ask = |method: &dyn Method| -> Result<RawMap, Error> {
            let mut session = Session::new(model, &mut arena, Isa::detect())?;
            let shape = method.map_shape(&mut session)?;
            let mut values = vec![stale; shape.len()];
            let mut scratch = vec![stale; cost.scratch];
            let mut outcome = [Outcome::Flat];
            let (map, out, room) = (&mut values, &mut outcome, &mut scratch);
            method.explain(&mut session, &query, map, out, room, &mut Silent)?;
            let [outcome] = outcome;
            Ok(RawMap {
                shape,
                memory: plan.arena_len() + 4 * (values.len() + scratch.len()),
                values,
                outcome,
            })
        };
        let answer = match setting.hoc() {
            None => setting.with_method(ask),
            Some(hoc) => {
                let mut steps = vec![Step::UNUSED; MOST_STEPS];
                let mut boxes = vec![UNUSED_WINDOW; MOST_STEPS];
                let storage = RefCell::new(Storage {
                    steps: &mut steps,
                    boxes: &mut boxes,
                });
                ask(&HocMethod { hoc, storage })
            }
        };
        answer.map_err(ExplainError::Classifier)
    }

    /// The picture of a self-test case.
    pub fn photo(&self, case: &Case<'_>) -> Option<Photo> {
        let intake = self.model.intake();
        match case.format {
            Format::Pixels => Photo::from_pixels(case.bytes.to_vec(), &intake),
            Format::Tensor => {
                let (floats, _) = case.bytes.as_chunks();
                let values: Vec<f32> = floats.iter().map(|b| f32::from_le_bytes(*b)).collect();
                (values.len() == intake.shape.len()).then(|| Photo::from_tensor(values, &intake))
            }
        }
    }
}

impl Subject for Bench {
    fn scores(&mut self, case: &Case<'_>, paint: u8, out: &mut [f32]) -> Result<(), Error> {
        let photo = self.photo(case).ok_or(Error::Backend)?;
        out.copy_from_slice(&Bench::scores(self, &photo, case.score, paint)?);
        Ok(())
    }

    fn map(
        &mut self,
        case: &Case<'_>,
        rule: &Rule<'_>,
        target: usize,
        paint: u8,
        sink: &mut dyn FnMut(&[f32]),
    ) -> Result<(), Error> {
        let photo = self.photo(case).ok_or(Error::Backend)?;
        let map = Bench::map(self, &photo, &rule.explain(target), paint);
        sink(&map.map_err(|_| Error::Backend)?.values);
        Ok(())
    }
}
