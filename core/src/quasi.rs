//! Points that fill a cube more evenly than random ones: the Sobol sequence
//! (Sobol 1967; direction numbers of Joe and Kuo 2008), and Owen's scrambling
//! (Owen 1995) by hashing (Burley 2020, JCGT 9(4), "Practical hash-based Owen
//! scrambling"). A number is a pure function of its place, as in [`crate::rng`].

mod table;

use crate::rng::{self, Purpose};
use table::DIRECTIONS;

/// Dimensions that there are direction numbers for.
pub const MAX_DIMENSIONS: usize = DIRECTIONS.len() + 1;

/// Direction numbers of a dimension: bit b of the place flips these bits.
fn directions(dimension: usize) -> [u32; 32] {
    let mut v = [0; 32];
    let known = dimension.checked_sub(1).and_then(|d| DIRECTIONS.get(d));
    let Some(&(polynomial, first)) = known else {
        for (b, v) in v.iter_mut().enumerate() {
            *v = 1 << (31 - b);
        }
        return v;
    };
    let degree = first.len();
    for b in 0..32_usize {
        let back = |i: usize| b.checked_sub(i).and_then(|at| v.get(at)).copied();
        let next = match first.get(b) {
            Some(m) => u32::from(*m) << (31 - b),
            None => {
                let oldest = back(degree).unwrap_or(0);
                let taps = (1..degree).filter(|i| polynomial >> (degree - i) & 1 == 1);
                taps.fold(oldest ^ (oldest >> degree), |sum, i| {
                    sum ^ back(i).unwrap_or(0)
                })
            }
        };
        if let Some(place) = v.get_mut(b) {
            *place = next;
        }
    }
    v
}

/// Coordinate `dimension` of point `index` in Gray code order, as a 32-bit
/// fraction. From [`MAX_DIMENSIONS`] on it is that of dimension 0.
#[must_use]
pub fn sobol(index: u32, dimension: usize) -> u32 {
    let gray = index ^ (index >> 1);
    let bits = directions(dimension).into_iter().enumerate();
    let set = bits.filter(|(b, _)| gray >> b & 1 == 1);
    set.fold(0, |sum, (_, v)| sum ^ v)
}

/// Permutes the halves of every interval of 2^-k of a fraction at random:
/// nested uniform scrambling, by Laine and Karras' hash of the reversed bits.
fn scramble(fraction: u32, seed: u32) -> u32 {
    let mut x = fraction.reverse_bits();
    x = x.wrapping_add(seed);
    x ^= x.wrapping_mul(0x6c50_b47c);
    x ^= x.wrapping_mul(0xb82f_1e52);
    x ^= x.wrapping_mul(0xc7af_e638);
    x ^= x.wrapping_mul(0x8d22_f6e6);
    x.reverse_bits()
}

/// As [`sobol`], scrambled under a seed: each coordinate is uniform on 0..1 (1
/// excluded), exact in f32.
#[must_use]
pub fn scrambled_sobol(seed: u64, index: u32, dimension: usize) -> f32 {
    let [word, ..] = rng::words(seed, 0, dimension as u32, 0, Purpose::Scramble);
    rng::unit(scramble(sobol(index, dimension), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.qmc.Sobol(256, scramble=False, bits=32).
    #[test]
    fn points_of_scipy() {
        let points = [
            (1, 0, 2147483648),
            (5, 3, 1610612736),
            (5, 100, 536870912),
            (5, 200, 536870912),
            (5, 255, 3758096384),
            (63, 77, 1811939328),
            (40, 1, 335544320),
            (37, 254, 4227858432),
        ];
        for (index, dimension, fraction) in points {
            assert_eq!(sobol(index, dimension), fraction, "{index} {dimension}");
        }
    }

    /// A net of 2^m points has one in each interval of 2^-m of every axis,
    /// scrambled or not; seeds and dimensions differ.
    #[test]
    fn one_point_in_every_interval() {
        for dimension in [0, 1, 2, 17, 48, 127, 255] {
            let cell = |x: f32| (x * 64.0) as u32;
            let plain = (0..64).map(|i| cell(rng::unit(sobol(i, dimension))));
            let scrambled = (0..64).map(|i| cell(scrambled_sobol(9, i, dimension)));
            let all = |cells: u64, cell: u32| cells | 1 << cell;
            assert_eq!(plain.fold(0, all), u64::MAX, "{dimension}");
            assert_eq!(scrambled.fold(0, all), u64::MAX, "{dimension}");
        }
        assert!(scrambled_sobol(1, 5, 3) != scrambled_sobol(2, 5, 3));
        assert!(scrambled_sobol(1, 0, 3) != scrambled_sobol(1, 0, 4));
    }
}
