//! What a job takes of a board's RAM: whether the model can lie there as well,
//! or only in flash, and which methods fit.

use std::path::Path;

use foveola_core::net::model::{Model, Pass};
use foveola_core::{At, Picture, Shape};

use super::{CrosscheckError, Device};
use crate::backend::core::ModelFile;
use crate::budget::{Lent, lent};
use crate::explainer::Explainer;
use crate::method_spec::{MethodSpec, Parameters};
use crate::model::{OpenModel, OpenOptions};
use crate::photo::Photo;

/// Whatever the firmware borrows begins on a multiple of this.
const ALIGNMENT: usize = 16;
/// HOC's tree on 32 bits: 128 steps of 13 words and 128 boxes of 6.
const TREE: usize = 128 * 4 * (13 + 6);
/// The job's text, at most.
const JOB: usize = 1024;

/// Where a board finds its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beside the picture, read from a file: one program serves all models.
    Ram,
    /// In a program that is built for this model.
    Flash,
}

/// What a job takes of a board's RAM, in bytes.
#[derive(Debug)]
pub struct Memory {
    /// The model, where it lies in RAM.
    pub model: usize,
    /// Everything but the model while scores are computed.
    pub scores: usize,
    /// Everything but the model while each method runs.
    pub methods: Vec<usize>,
}

impl Memory {
    /// What a job with these methods takes.
    ///
    /// # Errors
    /// A model that `core` cannot run, or a method that this model cannot be asked.
    pub fn of(
        bytes: &[u8],
        photo: &Photo,
        methods: &[MethodSpec],
    ) -> Result<Self, CrosscheckError> {
        let file = ModelFile::new(bytes)?;
        let model = file.model();
        let open = OpenModel::from_bytes(bytes, Path::new("model.fov"), &OpenOptions::default())?;
        let costs = Explainer::new(open, 1).costs(methods, 1)?;
        let picture = picture_bytes(photo);
        let one = |(spec, cost): (&MethodSpec, Result<(_, Shape), String>)| {
            let (cost, map): (foveola_core::explain::Cost, Shape) =
                cost.map_err(|reason| CrosscheckError::Method {
                    method: spec.to_string(),
                    reason,
                })?;
            let arena = lent::arena(model, &lent::passes(spec, layer(model, spec)));
            let running = up(4 * cost.scratch) + up(arena);
            // The strongest channel of a map is drawn, when the method has ended.
            let drawing = if map.c > 1 { up(4 * map.area()) } else { 0 };
            let rest = up(4 * map.len()) + running.max(drawing);
            let lent = Lent::of(spec, &photo.picture());
            let asking = lent.asking() + tree(spec) + rest;
            Ok(JOB + picture + asking.max(lent.preparing()))
        };
        Ok(Self {
            model: up(bytes.len()),
            scores: JOB
                + picture
                + up(4 * model.classes())
                + up(lent::arena(model, &[Pass::Forward])),
            methods: methods
                .iter()
                .zip(costs)
                .map(one)
                .collect::<Result<_, CrosscheckError>>()?,
        })
    }

    /// In RAM if all that fits with the model in flash fits there as well:
    /// then the board's usual program can be run.
    pub fn place(&self, device: &Device) -> Place {
        let fit = self.methods.iter().filter(|need| **need <= device.pool);
        let most = fit.chain([&self.scores]).max().copied().unwrap_or(0);
        match self.model + most <= device.pool {
            true => Place::Ram,
            false => Place::Flash,
        }
    }
}

const fn up(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

fn picture_bytes(photo: &Photo) -> usize {
    match photo.picture() {
        Picture::Pixels { data, .. } => up(data.len()),
        Picture::Tensor { data, .. } => up(4 * data.len()),
    }
}

fn tree(spec: &MethodSpec) -> usize {
    match spec.parameters {
        Parameters::Hoc { .. } => TREE,
        _ => 0,
    }
}

/// The layer that a method looks at: the one that it names, or the last planned.
fn layer(model: &Model<'_>, spec: &MethodSpec) -> Option<At> {
    let named = |id| {
        let tensor = || model.tensor(id);
        spec.layer()
            .is_none_or(|name| tensor().is_some_and(|t| t.name == name))
    };
    let planned = model.passes().filter_map(|pass| match pass {
        Pass::Backward(At::Tensor(id)) if named(id) => Some(At::Tensor(id)),
        _ => None,
    });
    planned.last().filter(|_| spec.takes_layer())
}
