//! LRP, layer by layer. Every rule of a layer with weights is the epsilon rule
//! of a few layers like it, with changed weights on a part of the input, that
//! share one denominator (`linear`): so the kernels of the forward and the
//! backward pass do the work. int8 layers run as the real-valued layers that
//! they stand for, on the dequantised activations of the real int8 network.

mod layer;
mod linear;
mod other;
mod roles;
mod room;
#[cfg(test)]
mod tests;

pub(super) use layer::{Layer, Norm, Weights};
pub(super) use linear::{Setting, linear};
pub(super) use other::{Flow, Pair, maximum, moved, passed, product, sum};
pub(super) use room::Room;
pub use room::scratch_bytes;

/// Least and greatest value of a pixel, channel by channel.
pub(super) type Range = [[f32; 4]; 2];
