//! From a method as it was asked for to the method of `core`, with what it borrows.

mod rise;
mod white_box;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use foveola_core::explain::hoc::{Mode, Storage};
use foveola_core::explain::{
    Aise, Cost, CounterfactualGradCam, Deconvolution, FullGrad, GradCam, Gradient, GuidedBackprop,
    Hoc, HocMethod, InputXGradient, IntegratedGradients, Lrp, MeaningfulPerturbation, Method,
    Occlusion, Rise,
};
use foveola_core::relevance::LayerRelevance;
use foveola_core::{At, Classifier, Error, Fill, Score, Shape};
use serde_json::Value;

use super::balance::{self, Books};
use super::segmented::Segmented;
use super::{ExplainError, LayerBalance};
use crate::method_spec::{Baseline, LayerMethod, MethodSpec, Parameters, sides};
use crate::model::Running;
use crate::photo::{Hidden, Photo, PhotoError, read, read_masks};

/// A method ready to run on one picture.
pub struct Setting {
    spec: MethodSpec,
    layer: Option<At>,
    hidden: Option<Hidden>,
    masks: Option<Vec<f32>>,
    segmented: Option<Segmented>,
    /// The picture's, and most targets that were asked for: a regression's storage
    /// is made for them.
    shape: Shape,
    targets: Cell<usize>,
    /// Where paths of integrated gradients begin.
    starts: Vec<Hidden>,
    /// Stored noise, pictures one after the other, HWC.
    noise: Option<Vec<f32>>,
    /// What the layers did with relevance, and what they are called.
    books: Books,
    nodes: Vec<String>,
}

impl Setting {
    /// Resolves layer, baseline and masks.
    pub fn new(
        spec: &MethodSpec,
        photo: &Photo,
        running: &mut Running,
    ) -> Result<Self, ExplainError> {
        let fail = |reason: String| ExplainError::Method {
            method: spec.to_string(),
            reason,
        };
        if spec.needs_gradients() && !running.is_white_box() {
            return Err(fail(String::from(
                "it looks inside the network, and this backend gives only scores; \
                 occlusion, rise and hoc work",
            )));
        }
        let mut setting = Self {
            spec: spec.clone(),
            layer: None,
            hidden: None,
            masks: None,
            segmented: None,
            shape: photo.shape(),
            targets: Cell::new(1),
            starts: Vec::new(),
            noise: None,
            books: Books::default(),
            nodes: Vec::new(),
        };
        match &spec.parameters {
            Parameters::GradCam { layer, .. } | Parameters::OnLayer { layer, .. } => {
                setting.take_layer(layer.as_deref(), running)?;
            }
            Parameters::Path { baselines, .. } => {
                let starts = baselines.iter().map(|baseline| photo.hidden(*baseline));
                setting.starts = starts.collect::<Result<_, _>>().map_err(fail)?;
            }
            Parameters::Noise {
                file: Some(path), ..
            } => setting.noise = Some(white_box::noise(path, photo.shape())?.map_err(fail)?),
            Parameters::Rise {
                file: Some(path), ..
            } => setting.masks = Some(masks(path, photo.shape())?.map_err(fail)?),
            Parameters::Relevance(_) => setting.nodes = balance::names(running),
            Parameters::Segmented(parameters) => {
                let segmented = Segmented::new(parameters, photo)?.map_err(fail)?;
                setting.segmented = Some(segmented);
            }
            _ => {}
        }
        if let Some(baseline) = baseline(&spec.parameters) {
            setting.hidden = Some(photo.hidden(baseline).map_err(fail)?);
        }
        setting.check(&mut *running.classifier, 1)?;
        Ok(setting)
    }

    fn take_layer(&mut self, name: Option<&str>, running: &Running) -> Result<(), ExplainError> {
        let (name, at) = match name {
            Some(name) => (name, running.layer(name)?),
            None => running
                .default_layer()
                .ok_or_else(|| ExplainError::Method {
                    method: self.spec.to_string(),
                    reason: String::from("the network has no layer with rows and columns"),
                })?,
        };
        self.layer = Some(at);
        self.spec = self.spec.clone().with_layer(name);
        Ok(())
    }

    /// The point down to which gradients go, if the method has any.
    pub fn depth(&self) -> Option<At> {
        // Guided Grad-CAM goes down to the input as well as to its layer.
        let input = self.spec.needs_gradients().then_some(At::Input);
        self.layer.or(input)
    }

    /// Segments that the picture is cut into; 0 if it is not.
    pub fn segments(&self) -> usize {
        self.segmented.as_ref().map_or(0, Segmented::count)
    }

    /// The method, its layer named.
    pub const fn spec(&self) -> &MethodSpec {
        &self.spec
    }

    /// The score that the method explains, if `asked` leaves it open.
    pub fn score(&self, asked: Option<Score>) -> Score {
        let own = match self.spec.needs_gradients() {
            true => Score::Logit,
            false => Score::Probability,
        };
        asked.unwrap_or(own)
    }

    /// What the method costs; whether it can run at all.
    pub fn check(
        &self,
        classifier: &mut dyn Classifier,
        targets: usize,
    ) -> Result<Cost, ExplainError> {
        let input = classifier.input();
        self.targets.set(self.targets.get().max(targets));
        if let Some(segmented) = &self.segmented {
            segmented.expect(targets);
        }
        let cost = self.with_method(|method| {
            method.map_shape(classifier)?;
            method.cost(classifier, targets)
        });
        cost.map_err(|error| ExplainError::Method {
            method: self.spec.to_string(),
            reason: reason(error, input),
        })
    }

    /// The parameters as they were used.
    pub fn parameters(&self, classifier: &dyn Classifier) -> BTreeMap<&'static str, Value> {
        let mut all = self.spec.to_json();
        if let Some(segmented) = &self.segmented {
            all.insert("pieces", Value::from(segmented.count()));
        }
        let input = classifier.input();
        if let Parameters::Occlusion {
            window,
            stride,
            mindspore: false,
            ..
        } = &self.spec.parameters
        {
            let window = window.unwrap_or([0, input.h.div_ceil(7), input.w.div_ceil(7)]);
            let half = [0, window[1].div_ceil(2), window[2].div_ceil(2)];
            let stride = stride.unwrap_or(half);
            all.insert("window", Value::from(sides(window)));
            all.insert("stride", Value::from(sides(stride)));
        }
        if let (Parameters::Rise { mindspore, .. }, None) = (&self.spec.parameters, &self.masks) {
            let usual = if *mindspore {
                Rise::mindspore()
            } else {
                Rise::default()
            };
            all.entry("masks")
                .or_insert_with(|| Value::from(usual.masks));
            all.entry("grid").or_insert_with(|| Value::from(usual.grid));
        }
        all
    }

    /// Whether the method itself holds classes against another one.
    pub fn is_held(&self) -> bool {
        self.spec.against().is_some()
    }

    /// What the layers did with relevance since this was last asked, target by
    /// target; empty for every method but LRP.
    pub fn balances(&self, targets: usize) -> Vec<Vec<LayerBalance>> {
        let entries = self.books.close();
        let of = |target| balance::named(&entries, target, &self.nodes);
        (0..targets).map(of).collect()
    }

    /// What hides a segment.
    pub fn fill_of_segments(&self) -> Fill<'_> {
        let none = Fill::Colour(Default::default());
        self.segmented.as_ref().map_or(none, Segmented::fill)
    }

    fn fill(&self) -> Fill<'_> {
        let none = Fill::Colour(Default::default());
        self.hidden.as_ref().map_or(none, Hidden::fill)
    }

    /// The parameters of HOC, if this is HOC.
    pub fn hoc(&self) -> Option<Hoc<'_>> {
        let Parameters::Hoc {
            cover,
            threshold,
            windows,
            strides,
            beam,
            minimal,
            ..
        } = &self.spec.parameters
        else {
            return None;
        };
        Some(Hoc {
            mode: if *cover { Mode::Cover } else { Mode::Reveal },
            threshold: *threshold,
            windows,
            strides,
            fill: self.fill(),
            beam: *beam as usize,
            minimal: *minimal,
        })
    }

    /// Hands the method of `core` to `work`.
    pub fn with_method<R>(&self, work: impl FnOnce(&dyn Method) -> R) -> R {
        if let Some(hoc) = self.hoc() {
            let storage = Storage {
                steps: &mut [],
                boxes: &mut [],
            };
            let storage = RefCell::new(storage);
            return work(&HocMethod { hoc, storage });
        }
        if let Some(rise) = self.rise() {
            return self.with_estimator(rise, work);
        }
        if let Some(segmented) = &self.segmented {
            return segmented.with_method(work);
        }
        match &self.spec.parameters {
            &Parameters::MeaningfulPerturbation {
                grid,
                steps,
                rate,
                sparsity,
                smoothness,
                pairs,
                ref against,
                ..
            } => work(&MeaningfulPerturbation {
                fill: self.fill(),
                grid: grid.map(|cells| [usize::from(cells); 2]),
                steps,
                rate,
                sparsity,
                smoothness,
                pairs,
                // A label that is not resolved yet, where only costs are asked:
                // they are the same for every class.
                against: against.as_ref().map(|class| class.parse().unwrap_or(0)),
            }),
            Parameters::GradCam {
                relu,
                counterfactual,
                ..
            } => {
                let grad_cam = GradCam {
                    layer: self.layer,
                    relu: *relu,
                };
                match counterfactual {
                    true => work(&CounterfactualGradCam(grad_cam)),
                    false => work(&grad_cam),
                }
            }
            Parameters::Noise { samples, noise, .. } => self.with_noise(*samples, *noise, work),
            Parameters::Path {
                quadrature,
                steps,
                tolerance,
                ..
            } => {
                let baselines: Vec<Fill<'_>> = self.starts.iter().map(Hidden::fill).collect();
                work(&IntegratedGradients {
                    quadrature: *quadrature,
                    steps: *steps,
                    baselines: &baselines,
                    tolerance: *tolerance,
                })
            }
            Parameters::Ascent(ascent) => work(ascent),
            Parameters::Aise {
                widths,
                samples,
                epsilon,
                ..
            } => work(&Aise {
                widths,
                samples: *samples,
                epsilon: *epsilon,
                fill: self.fill(),
            }),
            Parameters::Relevance(rules) => {
                let mut told = |target: usize, layer: &LayerRelevance| {
                    self.books.enter(target, layer);
                };
                work(&Lrp {
                    rules: *rules,
                    told: Some(RefCell::new(&mut told)),
                })
            }
            Parameters::OnLayer { kind, .. } => self.with_layer_method(*kind, work),
            Parameters::Occlusion {
                window,
                stride,
                mindspore,
                ..
            } => work(&Occlusion {
                window: *window,
                stride: *stride,
                fill: self.fill(),
                mindspore: *mindspore,
            }),
            _ => match self.spec.row.name {
                "deconvolution" => work(&Deconvolution),
                "guided-backprop" => work(&GuidedBackprop),
                "input-x-gradient" => work(&InputXGradient),
                "full-grad" => work(&FullGrad),
                _ => work(&Gradient),
            },
        }
    }
}

/// Stored masks; the inner error says why they do not fit the picture.
fn masks(path: &Path, shape: Shape) -> Result<Result<Vec<f32>, String>, PhotoError> {
    let masks = read_masks(&read(path)?).map_err(|reason| PhotoError::Decode {
        path: path.to_path_buf(),
        reason,
    })?;
    let (_, h, w) = masks.dim();
    Ok(match (h, w) == (shape.h, shape.w) {
        true => Ok(masks.into_iter().collect()),
        false => Err(format!(
            "its masks are {h}x{w}, the picture is {}x{}",
            shape.h, shape.w
        )),
    })
}

const fn baseline(parameters: &Parameters) -> Option<Baseline> {
    match parameters {
        Parameters::Occlusion { baseline, .. }
        | Parameters::Rise { baseline, .. }
        | Parameters::Hoc { baseline, .. }
        | Parameters::MeaningfulPerturbation { baseline, .. }
        | Parameters::Aise { baseline, .. }
        | Parameters::OnLayer {
            kind: LayerMethod::Score { baseline, .. },
            ..
        } => Some(*baseline),
        _ => None,
    }
}

/// A reason with the numbers that matter.
fn reason(error: Error, input: Shape) -> String {
    match error {
        Error::BadParameter(what) => format!(
            "{what} is out of range for a picture of {}x{} pixels and {} channels",
            input.h, input.w, input.c
        ),
        other => other.to_string(),
    }
}
