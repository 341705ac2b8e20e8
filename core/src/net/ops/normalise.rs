//! Operators within one pixel: softmax, local response normalisation, affine.

use super::one_by_one;
use crate::net::op::Op;

/// `x * scale + shift`, channel by channel; no shift where `bias` is empty.
pub(super) fn affine(data: &[f32], scale: &[f32], bias: &[f32], out: &mut [f32]) {
    let c = scale.len().max(1);
    for (out, x) in out
        .chunks_exact_mut(c)
        .zip(one_by_one(data.chunks_exact(c)))
    {
        for ((out, x), scale) in out.iter_mut().zip(x).zip(scale) {
            *out = x * scale;
        }
        for (out, bias) in out.iter_mut().zip(bias) {
            *out += bias;
        }
    }
}

/// Adds `gradient * scale`.
pub(super) fn affine_backward(gradient: &[f32], scale: &[f32], grad_in: &mut [f32]) {
    let c = scale.len().max(1);
    for (to, g) in grad_in
        .chunks_exact_mut(c)
        .zip(one_by_one(gradient.chunks_exact(c)))
    {
        for ((to, g), scale) in to.iter_mut().zip(g).zip(scale) {
            *to += g * scale;
        }
    }
}

/// `exp(x - max)` over its sum, across the `c` channels of each pixel.
pub(super) fn softmax(c: usize, data: &[f32], out: &mut [f32]) {
    let c = c.max(1);
    for (out, x) in out
        .chunks_exact_mut(c)
        .zip(one_by_one(data.chunks_exact(c)))
    {
        let max = x
            .iter()
            .fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        let mut sum = 0.0;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = libm::expf(x - max);
            sum += *out;
        }
        for out in out {
            *out /= sum;
        }
    }
}

/// Adds `y * (g - sum g y)`, from the softmax's output `y`.
pub(super) fn softmax_backward(c: usize, y: &[f32], gradient: &[f32], grad_in: &mut [f32]) {
    let c = c.max(1);
    let pixels = y.chunks_exact(c).zip(one_by_one(gradient.chunks_exact(c)));
    for (to, (y, g)) in grad_in.chunks_exact_mut(c).zip(pixels) {
        let mut dot = 0.0;
        for (y, g) in y.iter().zip(g) {
            dot += y * g;
        }
        for ((to, y), g) in to.iter_mut().zip(y).zip(g) {
            *to += y * (g - dot);
        }
    }
}

/// Local response normalisation (Krizhevsky et al. 2012, section 3.3, in the
/// form of ONNX LRN): `x / d^beta` with `d = bias + alpha / size * sum of
/// squares` over the window of channels.
#[derive(Clone, Copy)]
pub(super) struct Lrn {
    before: usize,
    after: usize,
    scale: f32,
    beta: f32,
    bias: f32,
}

impl Lrn {
    pub fn of(op: Op) -> Option<Self> {
        let Op::Lrn {
            size,
            alpha,
            beta,
            bias,
        } = op
        else {
            return None;
        };
        let around = usize::from(size).saturating_sub(1);
        Some(Self {
            before: around / 2,
            after: around - around / 2,
            scale: alpha / f32::from(size),
            beta,
            bias,
        })
    }

    /// `d^beta`. For the usual 3/4, two square roots: exactly rounded on every
    /// machine, and faster than `powf`.
    fn power(&self, d: f32) -> f32 {
        if self.beta == 0.75 {
            let root = libm::sqrtf(d);
            root * libm::sqrtf(root)
        } else {
            libm::powf(d, self.beta)
        }
    }

    /// `d` of channel `c`.
    fn base(&self, x: &[f32], c: usize) -> f32 {
        let first = c.saturating_sub(self.before);
        let count = c - first + self.after + 1;
        let mut sum = 0.0;
        for x in x.iter().skip(first).take(count) {
            sum += x * x;
        }
        self.bias + self.scale * sum
    }

    pub fn forward(&self, channels: usize, data: &[f32], out: &mut [f32]) {
        let channels = channels.max(1);
        for (out, x) in out
            .chunks_exact_mut(channels)
            .zip(one_by_one(data.chunks_exact(channels)))
        {
            for (c, (out, &v)) in out.iter_mut().zip(x).enumerate() {
                *out = v / self.power(self.base(x, c));
            }
        }
    }

    /// Adds the gradient. With a scratch of `channels` elements, each power is
    /// computed once or twice instead of once for every channel that it touches.
    pub fn backward(
        &self,
        channels: usize,
        data: &[f32],
        gradient: &[f32],
        grad_in: &mut [f32],
        scratch: &mut [f32],
    ) {
        let channels = channels.max(1);
        let pixels = data
            .chunks_exact(channels)
            .zip(one_by_one(gradient.chunks_exact(channels)));
        for (to, (x, g)) in grad_in.chunks_exact_mut(channels).zip(pixels) {
            let cached = scratch.get_mut(..channels);
            let cache = cached.map(|cache| {
                for ((c, slot), (&x_c, &g_c)) in cache.iter_mut().enumerate().zip(x.iter().zip(g)) {
                    *slot = self.share(x, c, x_c, g_c);
                }
                &*cache
            });
            for (c, ((to, &x_c), &g_c)) in to.iter_mut().zip(x).zip(g).enumerate() {
                let sum = self.shares(x, g, c, cache);
                let own = g_c / self.power(self.base(x, c));
                *to += own - 2.0 * self.scale * self.beta * x_c * sum;
            }
        }
    }

    /// `g x / d^(beta + 1)` of channel `c`: its part in the gradients around it.
    fn share(&self, x: &[f32], c: usize, x_c: f32, g_c: f32) -> f32 {
        let base = self.base(x, c);
        g_c * x_c / (self.power(base) * base)
    }

    /// Sum of the shares of the channels whose window holds `c`.
    fn shares(&self, x: &[f32], g: &[f32], c: usize, cache: Option<&[f32]>) -> f32 {
        let first = c.saturating_sub(self.after);
        let count = c - first + self.before + 1;
        let mut sum = 0.0;
        let around = x.iter().zip(g).enumerate().skip(first).take(count);
        for (i, (&x_i, &g_i)) in around {
            let cached = cache.and_then(|cache| cache.get(i).copied());
            sum += cached.unwrap_or_else(|| self.share(x, i, x_i, g_i));
        }
        sum
    }
}
