//! RISE with its estimators.

use std::cell::RefCell;

use foveola_core::explain::{AdjustedRise, CentredRise, Method, Rise, StoredMasks};
use foveola_core::mask::Sequence;
use foveola_core::quasi::scrambled_sobol;

use super::Setting;
use crate::method_spec::{Estimator, Parameters};

impl Setting {
    /// The masks of RISE, if this is RISE.
    pub(super) fn rise(&self) -> Option<Rise<'_>> {
        let Parameters::Rise {
            masks,
            grid,
            keep,
            by_coverage,
            even,
            mindspore,
            ..
        } = &self.spec.parameters
        else {
            return None;
        };
        let usual = if *mindspore {
            Rise::mindspore()
        } else {
            Rise::default()
        };
        Some(Rise {
            masks: masks.unwrap_or(usual.masks),
            grid: grid.unwrap_or(usual.grid),
            keep: *keep,
            fill: self.fill(),
            stored: self.masks.as_deref().map(StoredMasks::Floats),
            mindspore: *mindspore,
            by_coverage: *by_coverage,
            sequence: match even {
                true => Sequence::Even(scrambled_sobol),
                false => Sequence::Random,
            },
        })
    }

    /// Hands RISE with its estimator to `work`.
    pub(super) fn with_estimator<R>(
        &self,
        rise: Rise<'_>,
        work: impl FnOnce(&dyn Method) -> R,
    ) -> R {
        let Parameters::Rise {
            estimator,
            tolerance,
            ..
        } = self.spec.parameters
        else {
            return work(&rise);
        };
        match estimator {
            Estimator::Raw => work(&rise),
            Estimator::Centred => work(&CentredRise { rise, tolerance }),
            Estimator::Adjusted => {
                let need = AdjustedRise::storage(rise.grid, self.shape, self.targets.get());
                work(&AdjustedRise {
                    rise,
                    tolerance,
                    storage: RefCell::new(&mut vec![0.0; need]),
                })
            }
        }
    }
}
