//! The other side: what it holds at each stage.

use foveola_core::net::model::Model;
use image::RgbImage;

use super::BisectError;
use super::network::Data;

/// What somebody else's engine holds, stage by stage.
pub trait Witness {
    /// Whether it runs another model file, in words.
    ///
    /// # Errors
    /// A side that does not answer.
    fn other_model(&mut self) -> Result<Option<String>, BisectError>;

    /// Bytes of the picture's file.
    ///
    /// # Errors
    /// A side that does not answer.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, BisectError>;

    /// The decoded photo.
    ///
    /// # Errors
    /// A side that does not answer.
    fn decoded(&mut self) -> Result<Option<RgbImage>, BisectError>;

    /// The input in model space, HWC; `expected` tells layouts apart.
    ///
    /// # Errors
    /// A side that does not answer, or an input of another shape.
    fn input(&mut self, expected: &[f32]) -> Result<Option<Vec<f32>>, BisectError>;

    /// What the output of a node holds, each copy of it; `expected` tells
    /// layouts apart.
    ///
    /// # Errors
    /// A side that does not answer, or values of another shape.
    fn layer(
        &mut self,
        model: &Model<'_>,
        node: usize,
        expected: &Data,
    ) -> Result<Vec<Layer>, BisectError>;

    /// Whether it costs nothing to go on after the first difference.
    fn is_patient(&self) -> bool;

    /// What else a person should know.
    fn remarks(&self) -> Vec<String>;
}

/// One copy of a node's output.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What the other side calls it.
    pub name: String,
    /// Its values, HWC.
    pub data: Data,
}
