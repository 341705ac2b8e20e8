//! What quantisation changed, apart from what the device changed.

use std::path::Path;

use super::agreement::drift;
use super::host::ask;
use super::{CrosscheckError, Host, Inquiry};
use crate::explainer::{Explainer, best};
use crate::model::OpenModel;
use crate::photo::Photo;

/// A float network that the compared one was quantised from.
#[derive(Debug)]
pub struct Float(Explainer);

/// What changed between the float network and the other, both on the host.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The float network's best class.
    pub best: usize,
    /// Each method, and what the ranking of its map lacks to the float one's:
    /// one minus Spearman's correlation.
    pub methods: Vec<(String, f64)>,
}

impl Float {
    /// A network that runs with so many threads.
    pub const fn new(model: OpenModel, threads: usize) -> Self {
        Self(Explainer::new(model, threads))
    }

    /// SHA-256 of its file.
    pub fn sha256(&self) -> &str {
        &self.0.model().sha256
    }

    /// Asks it about the class that was explained, on the same picture file,
    /// prepared by its own card.
    ///
    /// # Errors
    /// A picture, class or method that it cannot be asked.
    pub fn drift(
        &mut self,
        path: &Path,
        host: &Host,
        inquiry: &Inquiry<'_>,
    ) -> Result<Drift, CrosscheckError> {
        let photo = Photo::open(path, &self.0.model().intake())?;
        let (scores, _) = self.0.classify(&photo)?;
        let maps = ask(&mut self.0, &photo, inquiry, host.target)?;
        let changed = maps.iter().filter_map(|(spec, map)| {
            let other = host.map_of(spec)?;
            Some((spec.to_string(), drift(&map.values, &other.values)))
        });
        Ok(Drift {
            best: best(&scores),
            methods: changed.collect(),
        })
    }
}
