//! A method over segments with what it borrows: labels, fill, design, storage.

mod design;

use std::cell::{Cell, RefCell};

use foveola_core::Fill;
use foveola_core::explain::anchors::Arm;
use foveola_core::explain::{Anchors, FeatureAblation, Hsic, KernelShap, Lime, Method, Sobol};
use foveola_core::segment::Segments;

use super::ExplainError;
use crate::method_spec::{Asking, Hiding, Segmented as Parameters};
use crate::photo::{Hidden, Photo};
use design::Design;

/// Ready to run on one picture.
pub struct Segmented {
    parameters: Parameters,
    labels: Vec<u16>,
    hidden: Hidden,
    design: Option<Design>,
    /// Most targets that were asked for, which storage is made for.
    targets: Cell<usize>,
}

impl Segmented {
    /// Cuts the picture; the inner error says what does not fit it.
    pub fn new(
        parameters: &Parameters,
        photo: &Photo,
    ) -> Result<Result<Self, String>, ExplainError> {
        let labels = match photo.cut(&parameters.cutting)? {
            Ok(labels) => labels,
            Err(reason) => return Ok(Err(reason)),
        };
        let hidden = match parameters.hiding {
            Hiding::Mean => Ok(photo.flattened(&labels)),
            Hiding::Baseline(baseline) => photo.hidden(baseline),
        };
        let hidden = match hidden {
            Ok(hidden) => hidden,
            Err(reason) => return Ok(Err(reason)),
        };
        let count = Segments::new(&labels).count();
        let design = match Design::of(parameters, count)? {
            Ok(design) => design,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(Self {
            parameters: parameters.clone(),
            labels,
            hidden,
            design,
            targets: Cell::new(1),
        }))
    }

    /// Number of segments.
    pub fn count(&self) -> usize {
        Segments::new(&self.labels).count()
    }

    /// What hides a segment.
    pub fn fill(&self) -> Fill<'_> {
        self.hidden.fill()
    }

    /// So many targets will be asked for.
    pub fn expect(&self, targets: usize) {
        self.targets.set(self.targets.get().max(targets));
    }

    /// Hands the method of `core` to `work`.
    pub fn with_method<R>(&self, work: impl FnOnce(&dyn Method) -> R) -> R {
        let (segments, fill) = (Segments::new(&self.labels), self.hidden.fill());
        let (count, targets) = (segments.count(), self.targets.get());
        let (masks, points) = match &self.design {
            Some(Design::Masks(masks)) => (Some(masks.as_slice()), None),
            Some(Design::Points(points)) => (None, Some(points.as_slice())),
            None => (None, None),
        };
        match self.parameters.asking {
            Asking::FeatureAblation => work(&FeatureAblation { segments, fill }),
            Asking::Hsic { samples, .. } => work(&Hsic {
                segments,
                fill,
                samples,
                design: masks,
            }),
            Asking::Lime {
                samples,
                kernel,
                alpha,
                ..
            } => work(&Lime {
                segments,
                fill,
                samples,
                kernel,
                alpha,
                design: masks,
                storage: RefCell::new(&mut vec![0.0; Lime::storage(count, targets)]),
            }),
            Asking::KernelShap { samples, .. } => work(&KernelShap {
                segments,
                fill,
                samples,
                design: masks,
                storage: RefCell::new(&mut vec![0.0; KernelShap::storage(count, targets)]),
            }),
            Asking::Sobol { designs, .. } => work(&Sobol {
                segments,
                fill,
                designs,
                design: points,
                storage: RefCell::new(&mut vec![0.0; 2 * targets]),
            }),
            Asking::Anchors { .. } => self.with_anchors(segments, fill, work),
        }
    }

    fn with_anchors<R>(
        &self,
        segments: Segments<'_>,
        fill: Fill<'_>,
        work: impl FnOnce(&dyn Method) -> R,
    ) -> R {
        let mut arms = Vec::new();
        let mut anchors = Anchors::new(segments, fill, &mut arms);
        if let Asking::Anchors {
            threshold,
            delta,
            tau,
            batch,
            beam,
            passes,
        } = self.parameters.asking
        {
            (anchors.threshold, anchors.delta, anchors.tau) = (threshold, delta, tau);
            (anchors.batch, anchors.beam, anchors.most) = (batch, beam, passes);
        }
        let mut arms = vec![Arm::default(); Anchors::arms(segments.count(), anchors.beam)];
        anchors.storage = RefCell::new(&mut arms);
        work(&anchors)
    }
}
