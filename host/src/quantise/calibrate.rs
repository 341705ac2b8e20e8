//! The float network, watched on pictures.

use std::sync::atomic::{AtomicUsize, Ordering};

use foveola_core::Masked;
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use rayon::prelude::*;

use super::histogram::Histogram;
use super::pictures::{Album, Skipped};
use super::range::RangeRule;
use super::{FloatNetwork, QuantiseError};
use crate::aligned::AlignedBytes;
use crate::backend::core::ModelFile;
use crate::compile::{Goal, as_it_is};
use crate::graph::Graph;
use crate::model::OpenModel;
use crate::photo::Photo;

/// What was seen of every tensor.
#[derive(Clone, Debug)]
pub struct Calibration {
    tensors: Vec<Histogram>,
    /// Pictures that were read.
    pub pictures: usize,
    /// Pictures that were not.
    pub skipped: Vec<Skipped>,
}

/// Told after each picture how many are done; `false` stops.
pub type Progress<'a> = dyn Fn(usize) -> bool + Sync + 'a;

impl FloatNetwork {
    /// Runs the network on every picture of an album. The result depends
    /// neither on their order nor on the number of threads.
    ///
    /// # Errors
    /// No picture that can be read; a network that fails; a stop.
    pub fn calibrate(
        &self,
        model: &OpenModel,
        album: &Album,
        threads: usize,
        progress: &Progress<'_>,
    ) -> Result<Calibration, QuantiseError> {
        let compiled = as_it_is(
            self.graph.clone(),
            self.report.clone(),
            &model.card,
            &[],
            Goal::Fast,
        )?;
        let file = ModelFile::new(&compiled.bytes)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let each = album.pictures.len().div_ceil(threads.max(1)).max(1);
        let done = AtomicUsize::new(0);
        let step = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        let watch = |part: &[_]| self.watch(file.model(), model, part, &step);
        let join = |a: Calibration, b| Ok(a.join(b));
        let seen = pool.build()?.install(|| {
            album
                .pictures
                .par_chunks(each)
                .map(watch)
                .try_reduce_with(join)
        });
        let seen = seen.ok_or_else(|| QuantiseError::NoPictures(album.folder.clone()))??;
        album.check(seen.pictures, &seen.skipped)?;
        Ok(seen)
    }

    /// One thread's pictures.
    fn watch(
        &self,
        network: &Model<'_>,
        model: &OpenModel,
        pictures: &[std::path::PathBuf],
        step: &dyn Fn() -> bool,
    ) -> Result<Calibration, QuantiseError> {
        let plan = network.plan(Pass::Forward);
        let mut arena = AlignedBytes::zeros(plan.map_or(0, |p| p.arena_len()));
        let mut session = Session::new(network, &mut arena, Isa::detect())?;
        let mut seen = Calibration {
            tensors: vec![Histogram::default(); self.graph.tensors.len()],
            pictures: 0,
            skipped: Vec::new(),
        };
        for path in pictures {
            match Photo::open(path, &model.intake()) {
                Ok(photo) => seen.add(network, &mut session, &photo)?,
                Err(error) => seen.skipped.push(Skipped::new(path, &error)),
            }
            if !step() {
                return Err(QuantiseError::Stopped);
            }
        }
        Ok(seen)
    }
}

impl Calibration {
    fn add(
        &mut self,
        network: &Model<'_>,
        session: &mut Session<'_, '_>,
        photo: &Photo,
    ) -> Result<(), QuantiseError> {
        let x = Masked::whole(photo.picture());
        let shape = photo.shape();
        let mut row = vec![0.0; shape.row()];
        for y in 0..shape.h {
            x.row(y, &mut row)?;
            if let Some(seen) = self.tensors.get_mut(usize::from(network.input_id().0)) {
                seen.add(row.iter().copied());
            }
        }
        session.forward_tapped(&x, &mut |node, _, values| {
            let output = network.node(node).map(|n| usize::from(n.output.0));
            // Probabilities that the card asks for are not in the graph.
            if let Some(seen) = output.and_then(|id| self.tensors.get_mut(id)) {
                seen.add(values.iter());
            }
            Ok(())
        })?;
        self.pictures += 1;
        Ok(())
    }

    fn join(mut self, other: Self) -> Self {
        for (to, from) in self.tensors.iter_mut().zip(other.tensors) {
            to.merge(from);
        }
        self.pictures += other.pictures;
        self.skipped.extend(other.skipped);
        self
    }

    /// The range of every tensor; that of the input holds `input` too, and
    /// whatever was seen. So does that of the logits: their few largest values
    /// are the answers, and a rule that gives up rare values would give up these.
    pub(super) fn ranges(
        &self,
        graph: &Graph,
        rule: RangeRule,
        input: [f32; 2],
    ) -> Result<Vec<[f32; 2]>, QuantiseError> {
        let range = |(id, seen): (usize, &Histogram)| {
            let tensor = &graph.tensors[id];
            if seen.is_broken() {
                return Err(QuantiseError::NotFinite(tensor.name.clone()));
            }
            if id == usize::from(graph.input.0) {
                let [low, high] = seen.extent();
                return Ok([low.min(input[0]), high.max(input[1])]);
            }
            Ok(match &tensor.constant {
                Some(values) => values
                    .iter()
                    .fold([0.0, 0.0], |[low, high], &v| [v.min(low), v.max(high)]),
                None if id == usize::from(graph.logits.0) => seen.extent(),
                None => rule.range(seen),
            })
        };
        self.tensors.par_iter().enumerate().map(range).collect()
    }
}
