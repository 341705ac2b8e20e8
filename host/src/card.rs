//! The preprocessing card: how a photo becomes the network's input, and what
//! its output means.

/// How a picture of another size is brought to the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Both sides scaled on their own.
    Squash,
    /// The largest centred part of the right proportions, scaled.
    Crop,
    /// Scaled to fit, the rest filled with black.
    Letterbox,
}

/// Channels and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One channel of luma.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue, alpha.
    Rgba,
    /// Blue, green, red, alpha.
    Bgra,
}

/// What turns the output into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputActivation {
    /// Nothing: they are probabilities already.
    None,
    /// Softmax over the classes.
    Softmax,
    /// Sigmoid of each class.
    Sigmoid,
}

/// A preprocessing card.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// Resize rule.
    pub resize: Resize,
    /// Channels.
    pub channels: Channels,
    /// Subtracted from the pixel (0..255), one a channel in the order of `channels`.
    pub mean: Vec<f32>,
    /// Multiplied afterwards, one a channel.
    pub scale: Vec<f32>,
    /// Output activation.
    pub activation: OutputActivation,
    /// Class labels, in class order; empty if unknown.
    pub labels: Vec<String>,
}
