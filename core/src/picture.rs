//! A picture as the network's input: u8 pixels or a tensor in model space.

use crate::tensor::Shape;

/// Most channels a picture may have.
pub const MAX_CHANNELS: usize = 4;

/// From pixel to model space, channel by channel: `(pixel - mean) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Subtracted first, in pixel units (0..255).
    pub mean: [f32; MAX_CHANNELS],
    /// Multiplied afterwards.
    pub scale: [f32; MAX_CHANNELS],
}

impl Normalisation {
    /// Model space is pixel space.
    pub const IDENTITY: Self = Self {
        mean: [0.0; MAX_CHANNELS],
        scale: [1.0; MAX_CHANNELS],
    };
}

/// The network's input before masking, HWC, channels in the model's order.
#[derive(Clone, Copy, Debug)]
pub enum Picture<'a> {
    /// u8 pixels, normalised when they are read.
    Pixels {
        /// Height, width, channels (1 to [`MAX_CHANNELS`]).
        shape: Shape,
        /// `shape.len()` bytes.
        data: &'a [u8],
        /// How a pixel becomes the model's number.
        normalisation: &'a Normalisation,
    },
    /// Values in model space, any number of channels.
    Tensor {
        /// Height, width, channels.
        shape: Shape,
        /// `shape.len()` values.
        data: &'a [f32],
    },
}
