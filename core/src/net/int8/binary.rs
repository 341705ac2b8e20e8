//! Sums and products of two tensors that broadcast against each other.
//!
//! Source: TFLite `reference/integer_ops/add.h`, `mul.h`, `reference/sub.h`.

#[cfg(foveola_dsp)]
use super::limit;
use super::{Node8, Operand8};
use crate::net::arch::Isa;
#[cfg(foveola_dsp)]
use crate::net::arch::dsp::{Addition, Dsp};
#[cfg(foveola_helium)]
use crate::net::arch::helium::{self, Helium};
use crate::net::arch::int8::{IntegerKernel, Integers, Requantise};
use crate::net::op::{Arithmetic, Op};
use crate::net::ops::binary::zip_into;
use crate::net::quant::Factor;

/// Bits by which the inputs of a sum are raised before they are scaled.
pub(super) const LEFT_SHIFT: u32 = 20;

pub(super) fn forward(
    node: &Node8<'_>,
    inputs: &[Operand8<'_>],
    out: &mut [i8],
    isa: Isa,
) -> Option<()> {
    let (a, b) = (inputs.first()?, inputs.get(1)?);
    let zeros = [a, b].map(|x| i32::from(x.quant.zero_point));
    let less = match node.op {
        Op::Binary(Arithmetic::Mul) => return product(node, zeros, [a, b], out),
        Op::Binary(Arithmetic::Add) => false,
        Op::Binary(Arithmetic::Sub) => true,
        _ => return None,
    };
    let sum = Sum {
        node,
        zeros,
        factors: [node.factor(0)?, node.factor(1)?],
        of_sum: node.factor(2)?,
        less,
    };
    #[cfg(foveola_helium)]
    if let Some(helium) = isa.helium()
        && a.shape == b.shape
        && let Some(by) = sum.for_helium()
    {
        return sum.with_helium(helium, &by, [a.data, b.data], out);
    }
    #[cfg(foveola_dsp)]
    if let Some(dsp) = isa.dsp()
        && a.shape == b.shape
        && let Some(done) = sum.with_dsp(dsp, [a.data, b.data], out)
    {
        return done;
    }
    if isa.has_vectors() && a.shape == b.shape {
        return sum.flat([a.data, b.data], out, isa);
    }
    zip_into(node.output, out, &a.values(), &b.values(), |a, b| {
        sum.of(a, b)
    })
}

fn product(
    node: &Node8<'_>,
    [zero_a, zero_b]: [i32; 2],
    [a, b]: [&Operand8<'_>; 2],
    out: &mut [i8],
) -> Option<()> {
    let factor = node.factor(0)?;
    zip_into(node.output, out, &a.values(), &b.values(), |a, b| {
        let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
        node.store(factor.apply(product))
    })
}

/// `a + b`, or `a - b` if `less`.
struct Sum<'a> {
    node: &'a Node8<'a>,
    zeros: [i32; 2],
    factors: [Factor; 2],
    of_sum: Factor,
    less: bool,
}

impl Sum<'_> {
    /// One element.
    #[inline(always)]
    fn of(&self, a: i8, b: i8) -> i8 {
        let ([zero_a, zero_b], [of_a, of_b]) = (self.zeros, self.factors);
        let a = of_a.apply((i32::from(a) - zero_a) << LEFT_SHIFT);
        let b = of_b.apply((i32::from(b) - zero_b) << LEFT_SHIFT);
        let sum = if self.less {
            a.wrapping_sub(b)
        } else {
            a.wrapping_add(b)
        };
        self.node.store(self.of_sum.apply(sum))
    }

    /// The sum as Helium takes it, if its factors are for that.
    #[cfg(foveola_helium)]
    fn for_helium(&self) -> Option<helium::Addition> {
        let by = helium::Addition {
            zeros: self.zeros,
            factors: self.factors,
            of_sum: self.of_sum,
            zero_point: self.node.output_quant.zero_point,
        };
        (!self.less && by.is_right()).then_some(by)
    }

    /// All elements of a sum, where nothing is broadcast.
    #[cfg(foveola_helium)]
    fn with_helium(
        &self,
        helium: Helium,
        by: &helium::Addition,
        [a, b]: [&[i8]; 2],
        out: &mut [i8],
    ) -> Option<()> {
        helium.sum(a, b, by, out)?;
        limit(self.node.range, out);
        Some(())
    }

    /// All elements of a sum, where nothing is broadcast; `None` if its
    /// factors are none for the DSP extension.
    #[cfg(foveola_dsp)]
    fn with_dsp(&self, dsp: Dsp, [a, b]: [&[i8]; 2], out: &mut [i8]) -> Option<Option<()>> {
        let by = Addition {
            zeros: self.zeros,
            factors: self.factors,
            of_sum: self.of_sum,
            zero_point: self.node.output_quant.zero_point,
        };
        let even = out.len() & !1;
        if self.less || !by.is_short() || even == 0 {
            return None;
        }
        let (pairs, last) = out.split_at_mut_checked(even)?;
        let done = dsp.sum(a, b, &by, pairs);
        limit(self.node.range, pairs);
        let rest = a.get(even..)?.iter().zip(b.get(even..)?);
        for (out, (&a, &b)) in last.iter_mut().zip(rest) {
            *out = self.of(a, b);
        }
        Some(done)
    }

    /// All elements, where nothing is broadcast.
    fn flat(&self, [a, b]: [&[i8]; 2], out: &mut [i8], isa: Isa) -> Option<()> {
        let whole = out.len() / 8 * 8;
        let (eights, out) = out.split_at_mut_checked(whole)?;
        isa.run_integers(Eights {
            sum: self,
            a,
            b,
            out: eights,
        });
        let rest = a.get(whole..)?.iter().zip(b.get(whole..)?);
        for (out, (&a, &b)) in out.iter_mut().zip(rest) {
            *out = self.of(a, b);
        }
        Some(())
    }

    /// What eight elements are scaled by; `zero` is taken from raised inputs.
    fn by(&self, factor: Factor, zero: i32) -> Requantise {
        let [low, high] = self.node.range;
        Requantise {
            bias: [-(zero << LEFT_SHIFT); 8],
            multiplier: [factor.multiplier; 8],
            shift: [factor.shift.into(); 8],
            zero_point: self.node.output_quant.zero_point.into(),
            range: [low.into(), high.into()],
        }
    }
}

/// Eight elements at once.
struct Eights<'a> {
    sum: &'a Sum<'a>,
    a: &'a [i8],
    b: &'a [i8],
    out: &'a mut [i8],
}

impl IntegerKernel for Eights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Integers, const P: usize>(self, integers: I) {
        let ([zero_a, zero_b], [of_a, of_b]) = (self.sum.zeros, self.sum.factors);
        let (by_a, by_b) = (self.sum.by(of_a, zero_a), self.sum.by(of_b, zero_b));
        let by = self.sum.by(self.sum.of_sum, 0);
        let out = self.out.as_chunks_mut::<8>().0.iter_mut();
        let (a, b) = (self.a.as_chunks::<8>().0, self.b.as_chunks::<8>().0);
        for (out, (a, b)) in out.zip(a.iter().zip(b)) {
            let a = integers.scale(integers.raise(a), &by_a);
            let b = integers.scale(integers.raise(b), &by_b);
            let sum = integers.combine(a, b, self.sum.less);
            *out = integers.requantise(sum, &by);
        }
    }
}
