//! How far two maps of one size agree.
//!
//! Every measure gives a number in its range or says why there is none. None of
//! them depends on how either map is scaled by a positive factor.

use super::Scored;
use super::order::{each_rank, strongest_first, two};
use crate::error::Error;

/// Maps of different sizes.
pub const OTHER_SIZE: &str = "the maps have different sizes";
/// A map without elements.
pub const EMPTY: &str = "the maps are empty";
/// A map with NaN or infinity.
pub const NOT_FINITE: &str = "a map is not finite";
/// A map that is the same everywhere.
pub const FLAT: &str = "a map is the same everywhere";
/// A map of zeros.
pub const ALL_ZERO: &str = "a map is all zero";

/// Side of the window of [`ssim`].
pub const SSIM_WINDOW: usize = 7;

/// Whether two maps can be compared.
fn comparable(a: &[f32], b: &[f32]) -> Result<(), &'static str> {
    let finite = |map: &[f32]| map.iter().all(|v| v.is_finite());
    if a.len() != b.len() {
        Err(OTHER_SIZE)
    } else if a.is_empty() {
        Err(EMPTY)
    } else if !finite(a) || !finite(b) {
        Err(NOT_FINITE)
    } else {
        Ok(())
    }
}

/// As [`comparable`], and neither is flat.
fn varied(a: &[f32], b: &[f32]) -> Result<(), &'static str> {
    comparable(a, b)?;
    if is_flat(a) || is_flat(b) {
        return Err(FLAT);
    }
    Ok(())
}

/// Whether a map is the same everywhere.
pub(super) fn is_flat(map: &[f32]) -> bool {
    let first = map.first();
    map.iter().all(|v| Some(v) == first)
}

/// A correlation that rounding may have led out of -1..1.
fn correlation(value: f64) -> Scored {
    if value > 1.0 {
        Scored::Value(1.0)
    } else if value < -1.0 {
        Scored::Value(-1.0)
    } else {
        Scored::finite(value)
    }
}

fn mean(map: &[f32]) -> f64 {
    map.iter().map(|&v| f64::from(v)).sum::<f64>() / map.len() as f64
}

/// Pearson's correlation coefficient, -1..1.
#[must_use]
pub fn pearson(a: &[f32], b: &[f32]) -> Scored {
    match varied(a, b) {
        Err(reason) => Scored::Undefined(reason),
        Ok(()) => cosine_about(a, mean(a), b, mean(b)),
    }
}

/// Cosine of the angle between the maps as vectors, -1..1.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> Scored {
    let zero = |map: &[f32]| map.iter().all(|v| *v == 0.0);
    match comparable(a, b) {
        Err(reason) => Scored::Undefined(reason),
        Ok(()) if zero(a) || zero(b) => Scored::Undefined(ALL_ZERO),
        Ok(()) => cosine_about(a, 0.0, b, 0.0),
    }
}

fn cosine_about(a: &[f32], middle_a: f64, b: &[f32], middle_b: f64) -> Scored {
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - middle_a, f64::from(*y) - middle_b);
        both += x * y;
        first += x * x;
        second += y * y;
    }
    // One root of the product: a map agrees with itself by exactly 1.
    correlation(both / libm::sqrt(first * second))
}

/// Spearman's rank correlation (C. Spearman, American Journal of Psychology 15,
/// 1904), -1..1, equal values sharing their mean rank: sums of whole numbers,
/// so exact until the last division. Infinite values have ranks like others.
/// `scratch` holds two words an element.
///
/// # Errors
/// [`Error::BufferTooSmall`] for `scratch`.
pub fn spearman(a: &[f32], b: &[f32], scratch: &mut [u32]) -> Result<Scored, Error> {
    if let Err(reason) = ranked(a, b) {
        return Ok(Scored::Undefined(reason));
    }
    let n = a.len();
    let (order, ranks) = two(scratch, n)?;
    let centred = |doubled: u32| i64::from(doubled) - (n as i64 - 1);
    let mut first = 0_i128;
    each_rank(a, order, |group, doubled| {
        for &place in group {
            if let Some(rank) = ranks.get_mut(place as usize) {
                *rank = doubled;
            }
        }
        first += i128::from(centred(doubled).pow(2)) * group.len() as i128;
    })?;
    let (mut both, mut second) = (0_i128, 0_i128);
    each_rank(b, order, |group, doubled| {
        let own = centred(doubled);
        for &place in group {
            let other = ranks.get(place as usize).copied().unwrap_or(0);
            both += i128::from(centred(other) * own);
        }
        second += i128::from(own.pow(2)) * group.len() as i128;
    })?;
    let spread = libm::sqrt(first as f64 * second as f64);
    Ok(correlation(both as f64 / spread))
}

/// Whether two maps have ranks.
fn ranked(a: &[f32], b: &[f32]) -> Result<(), &'static str> {
    let nan = |map: &[f32]| map.iter().any(|v| v.is_nan());
    if a.len() != b.len() {
        Err(OTHER_SIZE)
    } else if a.is_empty() {
        Err(EMPTY)
    } else if nan(a) || nan(b) {
        Err(NOT_FINITE)
    } else if is_flat(a) || is_flat(b) {
        Err(FLAT)
    } else {
        Ok(())
    }
}

/// Structural similarity (Wang et al. 2004, IEEE TIP 13), -1..1, of two maps of
/// `h` rows and `w` columns, each first brought to 0..1 by its least and
/// greatest value. As scikit-image computes it by default: the mean over all
/// windows of 7 x 7 that lie inside, each pixel weighing the same, sample
/// variances, K1 = 0.01, K2 = 0.03. Maps with a shorter side have windows of
/// the largest odd side that fits; below 3 there is none.
#[must_use]
pub fn ssim(a: &[f32], b: &[f32], [h, w]: [usize; 2]) -> Scored {
    if let Err(reason) = varied(a, b) {
        return Scored::Undefined(reason);
    }
    if a.len() != h * w {
        return Scored::Undefined(OTHER_SIZE);
    }
    let least = h.min(w).min(SSIM_WINDOW);
    let side = least - (least + 1) % 2;
    if side < 3 {
        return Scored::Undefined("a map is smaller than 3 x 3");
    }
    let (a, b) = (Stretched::new(a), Stretched::new(b));
    let mut sum = 0.0;
    for y in 0..=h - side {
        for x in 0..=w - side {
            let rows = (y..y + side).map(|row| row * w + x);
            sum += window(&a, &b, rows, side);
        }
    }
    let windows = (h - side + 1) * (w - side + 1);
    correlation(sum / windows as f64)
}

/// A map brought to 0..1.
struct Stretched<'a> {
    map: &'a [f32],
    least: f64,
    factor: f64,
}

impl<'a> Stretched<'a> {
    fn new(map: &'a [f32]) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in map.iter().map(|&v| f64::from(v)) {
            least = if value < least { value } else { least };
            most = if value > most { value } else { most };
        }
        let factor = 1.0 / (most - least);
        Self { map, least, factor }
    }

    fn run(&self, begin: usize, len: usize) -> impl Iterator<Item = f64> {
        let values = self.map.get(begin..begin + len).unwrap_or(&[]);
        values
            .iter()
            .map(|&v| (f64::from(v) - self.least) * self.factor)
    }
}

/// SSIM of one window: `side` values from each of the places `rows` on.
fn window(
    a: &Stretched<'_>,
    b: &Stretched<'_>,
    rows: impl Iterator<Item = usize>,
    side: usize,
) -> f64 {
    const C1: f64 = 0.01 * 0.01;
    const C2: f64 = 0.03 * 0.03;
    let mut sums = [0.0; 5];
    for begin in rows {
        for (x, y) in a.run(begin, side).zip(b.run(begin, side)) {
            for (sum, term) in sums.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                *sum += term;
            }
        }
    }
    let n = (side * side) as f64;
    let [ux, uy, uxx, uyy, uxy] = sums.map(|sum| sum / n);
    let sample = n / (n - 1.0);
    let (vx, vy) = (sample * (uxx - ux * ux), sample * (uyy - uy * uy));
    let vxy = sample * (uxy - ux * uy);
    (2.0 * ux * uy + C1) * (2.0 * vxy + C2) / ((ux * ux + uy * uy + C1) * (vx + vy + C2))
}

/// What the strongest parts of two maps have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Elements that both have, by those that either has: 0..1.
    pub iou: f64,
    /// Share of the one's elements that the other has too: 0..1.
    pub share: f64,
}

/// Overlap of the strongest elements of both maps, `share` (above 0, up to 1)
/// of all, rounded up, the first ones first among equals; the inner error says
/// why there is none. `scratch` holds two words an element.
///
/// # Errors
/// [`Error::BadParameter`] for `share`, [`Error::BufferTooSmall`] for `scratch`.
pub fn overlap(
    a: &[f32],
    b: &[f32],
    share: f64,
    scratch: &mut [u32],
) -> Result<Result<Overlap, &'static str>, Error> {
    let count = strongest(a.len(), share)?;
    if let Err(reason) = ranked(a, b) {
        return Ok(Err(reason));
    }
    let common = common(a, b, count, scratch)?;
    Ok(Ok(Overlap {
        iou: common as f64 / (2 * count - common) as f64,
        share: common as f64 / count as f64,
    }))
}

/// How many elements are the strongest `share` of `n`: rounded up, so at least
/// one where there is one. A millionth of an element is rounding.
///
/// # Errors
/// [`Error::BadParameter`] unless 0 < `share` <= 1.
pub fn strongest(n: usize, share: f64) -> Result<usize, Error> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::BadParameter("share of the strongest elements"));
    }
    let count = libm::ceil(share * n as f64 - 1e-6) as usize;
    Ok(count.max(1).min(n))
}

/// How many of the `count` strongest elements two maps of the same size have in
/// common, also of flat ones, the first ones first among equals. `scratch`
/// holds two words an element.
///
/// # Errors
/// [`Error::BufferTooSmall`] for `scratch`.
pub fn common(a: &[f32], b: &[f32], count: usize, scratch: &mut [u32]) -> Result<usize, Error> {
    let (first, second) = two(scratch, a.len().max(b.len()))?;
    let (mut first, mut second) = (places(a, count, first)?, places(b, count, second)?);
    let mut common = 0;
    while let (Some((i, after_i)), Some((j, after_j))) = (first.split_first(), second.split_first())
    {
        common += usize::from(i == j);
        if i <= j {
            first = after_i;
        }
        if j <= i {
            second = after_j;
        }
    }
    Ok(common)
}

/// The places of the strongest elements, in ascending order.
fn places<'o>(map: &[f32], count: usize, order: &'o mut [u32]) -> Result<&'o [u32], Error> {
    let order = strongest_first(map, order)?;
    let count = count.min(order.len());
    let strongest = order.get_mut(..count).ok_or(Error::Internal)?;
    super::order::sort(strongest, &|i, j| i < j);
    Ok(strongest)
}

/// Where two maps first differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Place of the element.
    pub place: usize,
    /// Its values; `None` where a map has ended.
    pub values: [Option<f32>; 2],
}

/// The first element whose bits differ; `None` if all are the same.
#[must_use]
pub fn first_difference(a: &[f32], b: &[f32]) -> Option<Difference> {
    let same = |(x, y): &(&f32, &f32)| x.to_bits() == y.to_bits();
    let place = a.iter().zip(b).take_while(same).count();
    let values = [a.get(place).copied(), b.get(place).copied()];
    (values != [None, None]).then_some(Difference { place, values })
}

#[cfg(test)]
mod tests;
