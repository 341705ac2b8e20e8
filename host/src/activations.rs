//! What a network computes on the way: every tensor for a picture, and the sum
//! behind one number of it.

mod sum;

use std::sync::Arc;

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::{Activation, Op};
use foveola_core::{At, Error, Masked, Shape, TensorId};

use crate::backend::core::ModelFile;
use crate::bisect::network::{self, Data, Tensors};
use crate::model::{ModelError, OpenModel, Running, Wanted};
use crate::photo::Photo;

pub use sum::{Sum, Term};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network.
    #[error("the network cannot be run on this picture: {0}")]
    Network(#[from] Error),
    /// The input was named.
    #[error("`{0}` is the network's input: the picture itself")]
    Input(String),
    /// A place outside the layer.
    #[error("`{name}` has {} channels of {} x {}; there is no {c},{y},{x}", shape.c, shape.h, shape.w)]
    Place {
        /// The layer.
        name: String,
        /// Its shape.
        shape: Shape,
        /// Channel asked for.
        c: usize,
        /// Row asked for.
        y: usize,
        /// Column asked for.
        x: usize,
    },
    /// An operator whose values are no sums.
    #[error(
        "`{name}` is made by {op}, whose values are not sums of their inputs; \
         convolutions, dense layers, pools, means, sums and products are shown"
    )]
    NoSum {
        /// The layer.
        name: String,
        /// Its operator.
        op: String,
    },
}

/// One layer's values for a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerValues {
    /// Its name.
    pub name: String,
    /// Operator that makes it.
    pub op: String,
    /// Height, width, channels.
    pub shape: Shape,
    /// The values, HWC; of int8 layers what the stored numbers stand for.
    pub values: Vec<f32>,
}

impl LayerValues {
    /// Channel `c`, row by row.
    pub fn channel(&self, c: usize) -> Vec<f32> {
        let step = self.shape.c.max(1);
        self.values.iter().skip(c).step_by(step).copied().collect()
    }

    /// Share of values that are 0, from 0 to 1.
    pub fn zeros(&self) -> f64 {
        let zeros = self.values.iter().filter(|v| **v == 0.0).count();
        zeros as f64 / self.values.len().max(1) as f64
    }
}

/// Every tensor of a network for one picture.
pub struct Activations {
    file: Arc<ModelFile>,
    running: Running,
    tensors: Tensors,
}

impl Activations {
    /// Runs the network, batch normalisation folded as on a device, with every
    /// channel. A layer in `layers` stays readable where an activation would
    /// otherwise be merged into it.
    ///
    /// # Errors
    /// An unknown layer, a model that only tract runs, NaN.
    pub fn of(
        model: &OpenModel,
        photo: &Photo,
        layers: &[String],
    ) -> Result<Self, ActivationError> {
        let (file, running) = {
            let layers = layers.to_vec();
            let wanted = Wanted {
                layers,
                relevance: false,
            };
            model.start_shipped(&wanted, false)?
        };
        let network = file.model();
        let mut tensors = Tensors::new(network);
        let input = photo.values(model.intake().input_type)?;
        tensors.set(network.input_id(), Data::Real(input));
        let outputs = network::run(network, &Masked::whole(photo.picture()))?;
        for (node, output) in nodes(network).zip(outputs) {
            tensors.set(node.output, output);
        }
        Ok(Self {
            file,
            running,
            tensors,
        })
    }

    /// Every layer, in run order.
    pub fn all(&self) -> Vec<LayerValues> {
        let nodes = nodes(self.file.model());
        nodes.filter_map(|node| self.activation(&node)).collect()
    }

    /// One layer, by the name of its node or tensor.
    ///
    /// # Errors
    /// An unknown name, or the input's.
    pub fn layer(&self, name: &str) -> Result<LayerValues, ActivationError> {
        let node = self.node(name)?;
        let found = self.activation(&node);
        found.ok_or(ActivationError::Network(Error::Internal))
    }

    /// The sum behind the value of layer `name` at channel, row and column.
    ///
    /// # Errors
    /// An unknown name, a place outside, an operator whose values are no sums.
    pub fn sum(&self, name: &str, place: [usize; 3]) -> Result<Sum, ActivationError> {
        let node = self.node(name)?;
        let shape = self.file.model().shape(node.output);
        let [c, y, x] = place;
        if c >= shape.c || y >= shape.h || x >= shape.w {
            let name = name.to_owned();
            return Err(ActivationError::Place {
                name,
                shape,
                c,
                y,
                x,
            });
        }
        let sum = sum::of(self.file.model(), &node, &self.tensors, place);
        sum.ok_or_else(|| ActivationError::NoSum {
            name: name.to_owned(),
            op: operator(&node.op, &node.activation),
        })
    }

    fn node(&self, name: &str) -> Result<NodeView<'_>, ActivationError> {
        let model = self.file.model();
        // Tensors that compiling made have names that the model does not know.
        let called = |id: TensorId| model.tensor(id).is_some_and(|t| t.name == name);
        if let Some(node) = nodes(model).find(|node| called(node.output)) {
            return Ok(node);
        }
        let id = match self.running.layer(name)? {
            At::Tensor(id) if id != model.input_id() => id,
            _ => return Err(ActivationError::Input(name.to_owned())),
        };
        let found = nodes(model).find(|node| node.output == id);
        found.ok_or(ActivationError::Network(Error::Internal))
    }

    fn activation(&self, node: &NodeView<'_>) -> Option<LayerValues> {
        let tensor = self.file.model().tensor(node.output)?;
        Some(LayerValues {
            name: tensor.name.to_owned(),
            op: operator(&node.op, &node.activation),
            shape: tensor.shape,
            values: reals(self.file.model(), &self.tensors, node.output)?,
        })
    }
}

fn nodes<'m>(model: &Model<'m>) -> impl Iterator<Item = NodeView<'m>> {
    (0..model.node_count()).filter_map(|i| model.node(i))
}

/// What the values of a tensor stand for.
fn reals(model: &Model<'_>, tensors: &Tensors, id: TensorId) -> Option<Vec<f32>> {
    Some(match (tensors.get(id)?, model.tensor(id)?.quant) {
        (Data::Real(values), _) => values.clone(),
        (Data::Stored(values), Some(quant)) => values.iter().map(|&q| quant.real(q)).collect(),
        (Data::Stored(_), None) => return None,
    })
}

/// The operator's name, with the activation that is merged into it.
pub fn operator(op: &Op, activation: &Activation) -> String {
    let follows = match activation {
        Activation::None => None,
        other => Some(first_word(&format!("{other:?}"))),
    };
    match (op, follows) {
        (Op::Activate, Some(name)) => name,
        (_, Some(name)) => format!("{}+{name}", first_word(&format!("{op:?}"))),
        (_, None) => first_word(&format!("{op:?}")),
    }
}

fn first_word(text: &str) -> String {
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_string()
}
