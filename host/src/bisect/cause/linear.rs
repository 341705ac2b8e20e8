//! Convolutions and dense layers: the sum of each output as the model states
//! it, and what it would be with one thing wrong.

use foveola_core::Shape;
use foveola_core::net::op::Op;
use foveola_core::net::quant::Factor;

use super::rounding::Rounding;
use super::window::{Taps, confused};
use super::{Cause, Kind, Ranking, Scene, finishing};

/// The sums of a layer.
pub(super) struct Linear<'a> {
    x: &'a [i8],
    input: Shape,
    output: Shape,
    pub(super) taps: Taps,
    /// Input channels that a filter reads, and output channels that read them.
    group: [usize; 2],
    depthwise: bool,
    weights: &'a [i8],
    weights_zero: i32,
    bias: &'a [i32],
    multipliers: &'a [i32],
    shifts: &'a [i8],
    input_zero: i32,
    /// Which rule the layer's sums are scaled by.
    pub(super) rounding: Rounding,
}

/// Where a weight lies and what it meets.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    /// Index of the weight.
    pub weight: usize,
    /// Index of the input element; `None` in the padding.
    pub input: Option<usize>,
}

impl<'a> Linear<'a> {
    pub(super) fn new(scene: &Scene<'a>) -> Option<Self> {
        let node = scene.node;
        let (input, output) = match node.op {
            Op::Dense => {
                let flat = |shape: Shape| Shape::new(1, 1, shape.len());
                (flat(node.input), flat(node.output))
            }
            _ => (node.input, node.output),
        };
        let (taps, groups) = match node.op {
            Op::Conv { geometry, groups } => (geometry.into(), usize::from(groups).max(1)),
            Op::Depthwise { geometry } => (geometry.into(), output.c),
            Op::Dense => (Taps::ONE, 1),
            _ => return None,
        };
        let depthwise = matches!(node.op, Op::Depthwise { .. });
        let split = node.bytes.len().checked_sub(output.c)?;
        let (weights, shifts) = node.bytes.split_at_checked(split)?;
        let (bias, multipliers) = node.words.split_at_checked(output.c)?;
        Some(Self {
            x: scene.inputs.first()?,
            input,
            output,
            taps,
            group: match depthwise {
                true => [1, 1],
                false => [input.c / groups, output.c / groups],
            },
            depthwise,
            weights,
            weights_zero: node.weights_zero_point.into(),
            bias,
            multipliers,
            shifts,
            input_zero: scene.input_zero(),
            rounding: match node.op {
                Op::Dense => Rounding::OnceUp,
                _ => Rounding::Twice,
            },
        })
    }

    pub(super) fn channel(&self, index: usize) -> usize {
        index % self.output.c
    }

    /// Weights of a filter.
    pub(super) fn filter_len(&self) -> usize {
        self.taps.kernel[0] * self.taps.kernel[1] * self.group[0]
    }

    /// Every tap of an output element.
    pub(super) fn each(&self, taps: Taps, index: usize, mut visit: impl FnMut(Tap)) {
        let (oc, column) = (index % self.output.c, index / self.output.c);
        let (oy, ox) = (column / self.output.w, column % self.output.w);
        let [kernel_h, kernel_w] = taps.kernel;
        let [inputs, outputs] = self.group;
        let first = match self.depthwise {
            true => oc,
            false => oc / outputs.max(1) * inputs,
        };
        for ky in 0..kernel_h {
            let y = taps.under(0, oy, ky, self.input.h);
            for kx in 0..kernel_w {
                let x = taps.under(1, ox, kx, self.input.w);
                let at = y
                    .zip(x)
                    .map(|(y, x)| (y * self.input.w + x) * self.input.c + first);
                for channel in 0..inputs {
                    let weight = match self.depthwise {
                        true => (ky * kernel_w + kx) * self.output.c + oc,
                        false => ((oc * kernel_h + ky) * kernel_w + kx) * inputs + channel,
                    };
                    let input = at.map(|at| at + channel);
                    visit(Tap { weight, input });
                }
            }
        }
    }

    pub(super) fn weight(&self, index: usize) -> i32 {
        i32::from(self.weights[index]) - self.weights_zero
    }

    /// A weight as it is stored.
    pub(super) fn stored_weight(&self, index: usize) -> i8 {
        self.weights[index]
    }

    /// What lies under a tap, less the zero point.
    pub(super) fn under(&self, tap: Tap) -> i32 {
        tap.input
            .map_or(0, |i| i32::from(self.x[i]) - self.input_zero)
    }

    /// The model's own bias and the sum of a filter's weights: the stored bias
    /// has the input's zero point folded in.
    fn bias(&self, channel: usize, all: i32) -> i32 {
        self.bias[channel].wrapping_add(self.input_zero.wrapping_mul(all))
    }

    /// The sum of an output element, windows as given.
    fn sum(&self, taps: Taps, index: usize) -> i32 {
        self.sum_of(taps, index, |weight| weight)
    }

    /// The same with the weights in another order.
    fn sum_of(&self, taps: Taps, index: usize, place: impl Fn(usize) -> usize) -> i32 {
        let (mut sum, mut all) = (0_i32, 0_i32);
        self.each(taps, index, |tap| {
            let weight = self.weight(place(tap.weight));
            all = all.wrapping_add(weight);
            sum = sum.wrapping_add(weight.wrapping_mul(self.under(tap)));
        });
        sum.wrapping_add(self.bias(self.channel(index), all))
    }

    /// The sum with the windows of the model.
    pub(super) fn plain_sum(&self, index: usize) -> i32 {
        self.sum(self.taps, index)
    }

    /// Sums of the weights that meet the input, and of those that meet padding.
    fn weight_sums(&self, index: usize) -> [i32; 2] {
        let mut sums = [0; 2];
        self.each(self.taps, index, |tap| {
            sums[usize::from(tap.input.is_none())] += self.weight(tap.weight);
        });
        sums
    }

    pub(super) fn factor(&self, channel: usize) -> Factor {
        Factor {
            multiplier: self.multipliers[channel],
            shift: self.shifts[channel],
        }
    }
}

/// Tries everything that can go wrong with such a layer, one weight bit aside.
pub(super) fn try_all(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    let Some(linear) = Linear::new(scene) else {
        return;
    };
    let length = scene.expected.len();
    let sums: Vec<i32> = (0..length).map(|i| linear.plain_sum(i)).collect();
    let scale = |i: usize, sum: i32| {
        let factor = linear.factor(linear.channel(i));
        linear.rounding.scale(factor, sum)
    };
    let scaled: Vec<i32> = sums.iter().enumerate().map(|(i, &s)| scale(i, s)).collect();
    let finish = |x: i32| finished(scene, x);
    for rule in Rounding::ALL {
        if rule != linear.rounding {
            let text = || {
                let words = (rule.words(), linear.rounding.words());
                Cause::new(
                    Kind::Rounding,
                    format!("sums are {}, not {}", words.0, words.1),
                )
            };
            ranking.consider(text, |i| {
                finish(rule.scale(linear.factor(linear.channel(i)), sums[i]))
            });
        }
    }
    finishing(scene, ranking, &|i| scaled[i]);
    zero_points(scene, ranking, &linear, &sums);
    windows(scene, ranking, &linear);
    orders(scene, ranking, &linear);
    let text = || {
        Cause::new(
            Kind::Scale,
            "every channel is scaled by the factor of the first",
        )
    };
    ranking.consider(text, |i| {
        finish(linear.rounding.scale(linear.factor(0), sums[i]))
    });
}

/// Zero point and bounds of the output.
pub(super) fn finished(scene: &Scene<'_>, scaled: i32) -> i8 {
    let [low, high] = scene.node.range;
    let x = scaled.saturating_add(scene.output_zero());
    x.max(low.into()).min(high.into()) as i8
}

/// Zero points of the input that are not the model's: in padding alone, in the
/// input alone, in both.
fn zero_points(scene: &Scene<'_>, ranking: &mut Ranking<'_>, linear: &Linear<'_>, sums: &[i32]) {
    let weights: Vec<[i32; 2]> = (0..sums.len()).map(|i| linear.weight_sums(i)).collect();
    let zero = linear.input_zero;
    let padded = weights.iter().any(|w| w[1] != 0);
    let mut consider = |kind, words: String, of_weights: &dyn Fn([i32; 2]) -> i32, by: i32| {
        ranking.consider(
            || Cause::new(kind, words),
            |i| {
                let more = of_weights(weights[i]).wrapping_mul(by);
                let factor = linear.factor(linear.channel(i));
                finished(
                    scene,
                    linear.rounding.scale(factor, sums[i].wrapping_add(more)),
                )
            },
        );
    };
    let others = || (-128..128).filter(|&z| z != zero);
    for other in others().filter(|_| padded) {
        let words = format!("padding holds {other}, not the zero point {zero}");
        consider(Kind::Padding, words, &|w| w[1], other - zero);
    }
    for other in others() {
        let words = format!("the input's zero point is {other}, not {zero}");
        consider(Kind::ZeroPoint, words.clone(), &|w| w[0], zero - other);
        if padded {
            let words = words + ", padding holds the right one";
            consider(Kind::ZeroPoint, words, &|w| w[0] + w[1], zero - other);
        }
    }
}

fn windows(scene: &Scene<'_>, ranking: &mut Ranking<'_>, linear: &Linear<'_>) {
    if scene.node.op == Op::Dense {
        return;
    }
    for (taps, kind, words) in confused(linear.taps, linear.input, linear.output) {
        ranking.consider(
            || Cause::new(kind, words),
            |i| {
                let factor = linear.factor(linear.channel(i));
                finished(scene, linear.rounding.scale(factor, linear.sum(taps, i)))
            },
        );
    }
}

/// From row and column of a tap to the tap that is read instead.
type Move<'f> = dyn Fn(usize, usize) -> usize + 'f;

/// Weights in another order than the kernel reads.
fn orders(scene: &Scene<'_>, ranking: &mut Ranking<'_>, linear: &Linear<'_>) {
    let [kernel_h, kernel_w] = linear.taps.kernel;
    if kernel_h * kernel_w == 1 {
        return;
    }
    // Elements between neighbouring taps.
    let step = match linear.depthwise {
        true => linear.output.c,
        false => linear.group[0],
    };
    let taps = kernel_h * kernel_w;
    let moved = |weight: usize, to: &Move<'_>| {
        let (rest, tap) = (weight / (step * taps), weight / step % taps);
        (rest * taps + to(tap / kernel_w, tap % kernel_w)) * step + weight % step
    };
    let turned = |y: usize, x: usize| (kernel_h - 1 - y) * kernel_w + kernel_w - 1 - x;
    let transposed = |y: usize, x: usize| x * kernel_w + y;
    let mut ways: Vec<(&str, &Move<'_>)> = vec![("the kernel is turned by 180 degrees", &turned)];
    if kernel_h == kernel_w {
        ways.push(("rows and columns of the kernel are swapped", &transposed));
    }
    for (words, to) in ways {
        ranking.consider(
            || Cause::new(Kind::WeightOrder, words),
            |i| {
                let sum = linear.sum_of(linear.taps, i, |weight| moved(weight, to));
                let factor = linear.factor(linear.channel(i));
                finished(scene, linear.rounding.scale(factor, sum))
            },
        );
    }
}
