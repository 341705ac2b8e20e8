//! Quantised networks: QuantizeLinear and DequantizeLinear (QDQ), QLinear
//! operators (QOperator), and their fusion into int8 nodes.
//!
//! Both forms are lowered alike: integers become tensors with a
//! [`Quant`](crate::graph::Quant), a QLinear operator becomes
//! `Dequantise`, the float operator, `Quantise`. At the end of the import
//! [`fuse`](fuse::fuse) makes one int8 node of each such group that has an
//! int8 kernel; the others stay as they are, which is correct but slower.

pub(super) mod constants;
pub(super) mod fuse;
mod kernels;
pub(super) mod operators;
pub(super) mod steps;
mod weights;

/// What cannot be done about an operator, if it is a quantised one that is not supported.
pub(super) fn refusal(op: &str) -> Option<&'static str> {
    match op {
        "DynamicQuantizeLinear"
        | "ConvInteger"
        | "MatMulInteger"
        | "MatMulIntegerToFloat"
        | "DynamicQuantizeMatMul" => Some(
            "it quantises each picture by its own range (dynamic quantisation); quantise the model statically, with calibration",
        ),
        "QLinearWhere" | "QAttention" | "QEmbedLayerNormalization" | "QOrderedMatMul" => {
            Some("this quantised operator is not supported")
        }
        _ => None,
    }
}
