//! Sums and products of two tensors that broadcast against each other.
//!
//! Source: TFLite `reference/integer_ops/add.h`, `mul.h`, `reference/sub.h`.

use super::{Node8, Operand8};
use crate::net::op::{Arithmetic, Op};
use crate::net::ops::binary::zip_into;

/// Bits by which the inputs of a sum are raised before they are scaled.
pub(super) const LEFT_SHIFT: u32 = 20;

pub(super) fn forward(node: &Node8<'_>, inputs: &[Operand8<'_>], out: &mut [i8]) -> Option<()> {
    let (a, b) = (inputs.first()?, inputs.get(1)?);
    let (zero_a, zero_b) = (i32::from(a.quant.zero_point), i32::from(b.quant.zero_point));
    let (x, y) = (a.values(), b.values());
    let sign = match node.op {
        Op::Binary(Arithmetic::Mul) => {
            let factor = node.factor(0)?;
            return zip_into(node.output, out, &x, &y, |a, b| {
                let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
                node.store(factor.apply(product))
            });
        }
        Op::Binary(Arithmetic::Add) => 1,
        Op::Binary(Arithmetic::Sub) => -1,
        _ => return None,
    };
    let [of_a, of_b, of_sum] = [node.factor(0)?, node.factor(1)?, node.factor(2)?];
    zip_into(node.output, out, &x, &y, |a, b| {
        let a = of_a.apply((i32::from(a) - zero_a) << LEFT_SHIFT);
        let b = of_b.apply((i32::from(b) - zero_b) << LEFT_SHIFT);
        node.store(of_sum.apply(a.wrapping_add(b.wrapping_mul(sign))))
    })
}
