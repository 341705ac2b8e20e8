//! Random numbers that are a function of their place: Philox4x32-10
//! (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
//!
//! The key is the seed, the counter says which number is meant: (sample, index,
//! block, purpose). So masks are the same in any order, batch, thread or shard,
//! on host and device.

/// Seed where nobody chose one.
pub const DEFAULT_SEED: u64 = 0;

/// What a random number is for; the last word of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Whether a cell of a RISE mask is kept: sample = mask, index = row of
    /// cells, block = column / 4.
    RiseCells = 0,
    /// The shift of a RISE mask: sample = mask, words 0 and 1 for rows and columns.
    RiseShift = 1,
    /// Whether an element is kept by a dropout: sample = pass, index = element
    /// (HWC) / 4, block = which dropout of the network.
    Dropout = 2,
    /// Evidence at random: sample = map, block = pixel / 4.
    RandomMap = 16,
    /// Noise on a picture: sample = picture, index = draw, block = element (HWC) / 4.
    Perturbation = 17,
    /// New weights: sample = node, index = 0 for weights, 1 for the bias, from 2
    /// on output channels to permute; block = number / 4.
    Weights = 18,
    /// Which cells of muFidelity's grid go: sample = subset, index = cell / 4.
    FidelityCells = 32,
    /// Noise of ROAD's fill: sample = step, index = pixel, block = channel / 4.
    FillNoise = 33,
    /// Infidelity's noise: sample = perturbation, index = element / 4.
    PerturbationNoise = 34,
    /// Infidelity's squares: sample = perturbation, words 0 and 1 for row and column.
    PerturbationSquare = 35,
    /// Noise under a gradient: sample = picture, block = element (HWC) / 4.
    GradientNoise = 48,
    /// Start of a power iteration: block = channel / 4.
    PowerStart = 49,
    /// Whether a segment is kept, a coin each: sample = mask, block = segment / 128,
    /// one bit a segment.
    SegmentCoins = 64,
    /// The size of a coalition of segments: sample = pair of coalitions, word 0.
    CoalitionSize = 65,
    /// The members of a coalition: sample = pair of coalitions, block = segment / 4.
    Coalition = 66,
    /// Key of the scrambling of a Sobol sequence: index = dimension, word 0.
    Scramble = 67,
    /// Directions in which a mask is tried: sample = step, index = pair, block = cell / 32,
    /// one bit of word 0 a cell.
    MaskDirection = 68,
    /// The picture that an ascent starts from: block = element (HWC) / 4.
    StartNoise = 69,
    /// How far a picture is rolled: sample = step, words 0 and 1 for rows and columns.
    Jitter = 70,
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Philox4x32 with 10 rounds: 128 random bits for each `counter` under `key`.
#[must_use]
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k0, mut k1] = key;
    let [m0, m1] = MULTIPLIERS;
    let [w0, w1] = WEYL;
    let mut round = 0;
    while round < ROUNDS {
        let p0 = m0 as u64 * a as u64;
        let p1 = m1 as u64 * c as u64;
        a = (p1 >> 32) as u32 ^ b ^ k0;
        b = p1 as u32;
        c = (p0 >> 32) as u32 ^ d ^ k1;
        d = p0 as u32;
        k0 = k0.wrapping_add(w0);
        k1 = k1.wrapping_add(w1);
        round += 1;
    }
    [a, b, c, d]
}

/// Four random words for one place of one purpose.
#[must_use]
pub const fn words(seed: u64, sample: u32, index: u32, block: u32, purpose: Purpose) -> [u32; 4] {
    let key = [seed as u32, (seed >> 32) as u32];
    philox4x32_10([sample, index, block, purpose as u32], key)
}

/// A number in 0..1 (1 excluded) from the upper 24 bits of a random word, so
/// that every value is exact in f32.
#[must_use]
pub const fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / 16_777_216.0
}

/// Four numbers of [`normals`].
#[must_use]
pub fn four_normals([a, b, c, d]: [u32; 4]) -> [f32; 4] {
    let ([first, second], [third, fourth]) = (normals([a, b]), normals([c, d]));
    [first, second, third, fourth]
}

/// An integer in 0..n from a random word; 0 if `n` is 0. No value is favoured
/// by more than n / 2^32.
#[must_use]
pub const fn below(word: u32, n: u32) -> u32 {
    ((word as u64 * n as u64) >> 32) as u32
}

/// Two normal numbers of mean 0 and deviation 1 from two random words (Box and
/// Muller, Annals of Mathematical Statistics 29, 1958), within 4e-6 of the exact ones:
/// in f32, because f64 has no hardware on a microcontroller.
#[must_use]
pub fn normals([a, b]: [u32; 2]) -> [f32; 2] {
    const WORDS: f32 = 4_294_967_296.0;
    // Above 0, up to 1: the logarithm is finite.
    let radius = libm::sqrtf(-2.0 * libm::logf((a as f32 + 1.0) / WORDS));
    let (sine, cosine) = libm::sincosf(core::f32::consts::TAU * (b as f32 / WORDS));
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123 1.14, tests/kat_vectors, "philox 4x32 10".
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                pi,
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(philox4x32_10(counter, key), answer);
        }
    }

    #[test]
    fn seed_is_the_key_and_place_the_counter() {
        assert_eq!(
            words(0x299f_31d0_a409_3822, 5, 6, 7, Purpose::RiseShift),
            philox4x32_10([5, 6, 7, 1], [0xa409_3822, 0x299f_31d0])
        );
    }

    /// Moments of the normal distribution: 0, 1, 0, 3.
    /// The formula in f64, also where the logarithm's argument is least and most.
    #[test]
    fn normals_are_within_their_error() {
        let check = |[a, b]: [u32; 2]| {
            let words = 4_294_967_296.0;
            let radius = libm::sqrt(-2.0 * libm::log((f64::from(a) + 1.0) / words));
            let angle = core::f64::consts::TAU * f64::from(b) / words;
            let exact = [radius * libm::cos(angle), radius * libm::sin(angle)];
            for (found, exact) in normals([a, b]).into_iter().zip(exact) {
                let off = (f64::from(found) - exact).abs();
                assert!(off < 4e-6, "{a} {b}: {found} {exact}");
            }
        };
        for i in 0..20_000 {
            let [a, b, c, d] = words(3, i, 0, 0, Purpose::Weights);
            check([a, b]);
            check([c, d]);
        }
        for a in [0, 1, 1 << 8, 1 << 31] {
            (0..=64).for_each(|k: u32| check([a, k.wrapping_mul(1 << 26).wrapping_sub(k & 1)]));
        }
    }

    #[test]
    fn normals_have_their_moments() {
        let mut sums = [0.0; 4];
        for i in 0..5000 {
            let [a, b, c, d] = words(1, i, 0, 0, Purpose::Weights);
            for x in [normals([a, b]), normals([c, d])].concat() {
                for (sum, power) in sums.iter_mut().zip(1..) {
                    *sum += libm::pow(f64::from(x), f64::from(power)) / 20_000.0;
                }
            }
        }
        for (sum, moment) in sums.into_iter().zip([0.0, 1.0, 0.0, 3.0]) {
            assert!((sum - moment).abs() < 0.15, "{sum} for {moment}");
        }
        let [x, y] = normals([u32::MAX, 5]);
        assert_eq!([x.abs(), y.abs()], [0.0; 2]);
        assert!(normals([0, 0])[0].is_finite());
    }

    #[test]
    fn unit_and_below_stay_in_range() {
        assert_eq!(unit(0), 0.0);
        assert_eq!(unit(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
        assert_eq!(unit(1 << 31), 0.5);
        assert_eq!([below(0, 7), below(u32::MAX, 7), below(9, 0)], [0, 6, 0]);
        assert_eq!(below(1 << 31, 32), 16);
    }
}
