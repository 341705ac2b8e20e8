//! The training pictures that a network finds most alike.
//!
//! Pictures are compared by what the network's last layer with weights reads
//! (its penultimate activations), by Euclidean distance. Where that still has
//! rows and columns, their mean counts, so that a thing may stand elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::op::Op;
use foveola_core::net::session::Session;
use foveola_core::{Error, Masked, Shape, TensorId, Values};

use super::data::{DataSet, Item};
use crate::aligned::AlignedBytes;
use crate::backend::core::ModelFile;
use crate::model::{Engine, ModelError, OpenModel, Wanted};
use crate::photo::{Photo, PhotoError};

/// Pictures shown beside a doubtful one.
pub const SHOWN: usize = 5;
/// Memory that training pictures may take, in bytes.
const MAX_MEMORY: usize = 1 << 30;

/// Why pictures cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum NearestError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network fails on a picture.
    #[error("the model fails on {}: {source}", path.display())]
    Run {
        /// The picture.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// A network without inner activations.
    #[error("nearest training pictures need {0}")]
    Needs(&'static str),
    /// Too many pictures.
    #[error(
        "{pictures} training pictures of {width} activations each take more than {} MiB: give a \
         folder of at most {most}",
        MAX_MEMORY >> 20
    )]
    Memory {
        /// How many there are.
        pictures: usize,
        /// Activations of one.
        width: usize,
        /// How many there may be.
        most: usize,
    },
    /// No picture can be read.
    #[error("no training picture can be read; the first: {0}")]
    Unreadable(PhotoError),
    /// Stopped on the way.
    #[error("stopped while reading the training pictures")]
    Stopped,
}

/// Gives the penultimate activations of pictures; one a thread.
pub struct Features {
    file: Arc<ModelFile>,
    arena: AlignedBytes,
    node: usize,
    shape: Shape,
}

impl std::fmt::Debug for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Features(node {}, {} channels)", self.node, self.shape.c)
    }
}

impl Features {
    /// Prepares a model.
    ///
    /// # Errors
    /// A model that only tract runs, or with fewer than two layers with weights.
    pub fn new(model: &OpenModel) -> Result<Self, NearestError> {
        if matches!(model.engine, Engine::Tract(_)) {
            return Err(NearestError::Needs("a network that the core backend runs"));
        }
        let (file, _) = model.start_shipped(&Wanted::default(), false)?;
        let needs = NearestError::Needs("a network with two layers with weights at least");
        let (node, id) = penultimate(file.model()).ok_or(needs)?;
        let length = file.model().plan(Pass::Forward);
        Ok(Self {
            arena: AlignedBytes::zeros(length.map_or(0, |plan| plan.arena_len())),
            node,
            shape: file.model().shape(id),
            file,
        })
    }

    /// Another one of the same model, for another thread.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            arena: AlignedBytes::zeros(self.arena.len()),
            ..*self
        }
    }

    /// Activations of one picture.
    pub const fn width(&self) -> usize {
        self.shape.c
    }

    /// The activations of a picture, one a channel.
    ///
    /// # Errors
    /// What the network reports.
    pub fn of(&mut self, photo: &Photo) -> Result<Vec<f32>, Error> {
        let mut sums = vec![0.0f64; self.shape.c];
        let mut session = Session::new(self.file.model(), &mut self.arena, Isa::detect())?;
        session.forward_tapped(
            &Masked::whole(photo.picture()),
            &mut |node, first, values| {
                if node == self.node {
                    add(&mut sums, first, values);
                }
                Ok(())
            },
        )?;
        let places = self.shape.area().max(1) as f64;
        Ok(sums.iter().map(|sum| (sum / places) as f32).collect())
    }
}

/// Adds elements, HWC from number `first` on, to the sums of their channels.
fn add(sums: &mut [f64], first: usize, values: Values<'_>) {
    let channels = sums.len().max(1);
    let mut put = |i: usize, value: f64| sums[(first + i) % channels] += value;
    match values {
        Values::Real(data) => {
            for (i, &value) in data.iter().enumerate() {
                put(i, f64::from(value));
            }
        }
        Values::Stored {
            data,
            scale,
            zero_point,
        } => {
            for (i, &stored) in data.iter().enumerate() {
                let steps = f64::from(stored) - f64::from(zero_point);
                put(i, steps * f64::from(scale));
            }
        }
    }
}

/// The node whose output the last layer with weights reads, and that output.
fn penultimate(model: &Model<'_>) -> Option<(usize, TensorId)> {
    let nodes = || {
        (0..model.node_count())
            .rev()
            .filter_map(|i| Some((i, model.node(i)?)))
    };
    let weighs = |op: Op| matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
    let (_, last) = nodes().find(|(_, node)| weighs(node.op))?;
    let read = last.input(0)?;
    let (maker, _) = nodes().find(|(_, node)| node.output == read)?;
    Some((maker, read))
}

/// Training pictures with their activations.
#[derive(Debug)]
pub struct Neighbours {
    names: Vec<String>,
    features: Vec<f32>,
    width: usize,
    /// Pictures that could not be read.
    pub unreadable: usize,
}

impl Neighbours {
    /// Reads all pictures of a data set. `watch` learns how many of how many are
    /// done, and answers whether to go on.
    ///
    /// # Errors
    /// Too many pictures, none that can be read, what the network reports.
    pub fn of(
        model: &OpenModel,
        features: &mut Features,
        train: &DataSet,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Self, NearestError> {
        let (width, pictures) = (features.width(), train.items.len());
        let most = MAX_MEMORY / (width.max(1) * size_of::<f32>());
        if pictures > most {
            return Err(NearestError::Memory {
                pictures,
                width,
                most,
            });
        }
        let mut found = Self {
            names: Vec::with_capacity(pictures),
            features: Vec::with_capacity(pictures * width),
            width,
            unreadable: 0,
        };
        let mut first = None;
        for (done, item) in train.items.iter().enumerate() {
            if !watch(done, pictures) {
                return Err(NearestError::Stopped);
            }
            match Photo::open(&item.path, &model.intake()) {
                Ok(photo) => found.put(item, &photo, features)?,
                Err(error) => {
                    found.unreadable += 1;
                    first.get_or_insert(error);
                }
            }
        }
        match (found.names.is_empty(), first) {
            (true, Some(error)) => Err(NearestError::Unreadable(error)),
            _ => Ok(found),
        }
    }

    fn put(
        &mut self,
        item: &Item,
        photo: &Photo,
        features: &mut Features,
    ) -> Result<(), NearestError> {
        let activations = features.of(photo).map_err(|source| NearestError::Run {
            path: item.path.clone(),
            source,
        })?;
        self.names.push(item.name.clone());
        self.features.extend(activations);
        Ok(())
    }

    /// The `most` nearest pictures to these activations: name and distance, the
    /// nearest first, the first in the data set among equals.
    pub fn near(&self, activations: &[f32], most: usize) -> Vec<(String, f64)> {
        let distance = |(i, own): (usize, &[f32])| {
            let squares = own.iter().zip(activations).map(|(a, b)| {
                let difference = f64::from(*a) - f64::from(*b);
                difference * difference
            });
            (i, squares.sum::<f64>().sqrt())
        };
        let rows = self.features.chunks_exact(self.width.max(1));
        let mut all: Vec<(usize, f64)> = rows.enumerate().map(distance).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        all.truncate(most);
        let named = all.into_iter().map(|(i, d)| (self.names[i].clone(), d));
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn euclid_and_the_first_among_equals() {
        let neighbours = Neighbours {
            names: ["a", "b", "c", "d"].map(String::from).to_vec(),
            features: vec![3.0, 4.0, 0.0, 0.0, -3.0, 4.0, 0.0, 1.0],
            width: 2,
            unreadable: 0,
        };
        let near = neighbours.near(&[0.0, 0.0], 3);
        let expected = [("b", 0.0), ("d", 1.0), ("a", 5.0)].map(|(n, d)| (String::from(n), d));
        assert_eq!(near, expected);
        assert_eq!(neighbours.near(&[0.0, 0.0], 9).len(), 4);
    }

    /// Rows and columns are averaged, int8 as the real numbers that it stands for.
    #[test]
    fn means_of_channels() {
        let mut sums = [0.0; 2];
        add(&mut sums, 0, Values::Real(&[1.0, 2.0, 3.0]));
        add(&mut sums, 3, Values::Real(&[4.0]));
        let stored = Values::Stored {
            data: &[-8, 12],
            scale: 0.5,
            zero_point: 2,
        };
        add(&mut sums, 4, stored);
        assert_eq!(sums, [-1.0, 11.0]);
    }
}
