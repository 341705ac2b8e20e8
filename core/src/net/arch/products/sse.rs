//! Gates, winners and transposed weights on x86-64, whose every processor has SSE2.
//! Gates have no branches, as neighbouring gradients pass or not by chance.

use core::arch::x86_64::{
    __m128, _mm_and_ps, _mm_andnot_ps, _mm_cmpgt_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_movemask_ps,
    _mm_or_ps, _mm_set_ps, _mm_set1_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps,
};

/// The bits of a byte, from the least on.
const BITS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// -infinity as an integer with sign: -0 to -infinity are the least integers,
/// behind which lie NaN and then all that is positive.
const MINUS_INFINITY: i32 = f32::NEG_INFINITY.to_bits().cast_signed();

/// As the function of this name around.
pub fn close(gradients: &mut [[f32; 8]], bits: &[u8], only_positive: bool) {
    if only_positive {
        keep(gradients, bits, |g| g > MINUS_INFINITY);
    } else {
        keep(gradients, bits, |_| true);
    }
}

/// Keeps the gradients whose bit is 1 and that `pass`; the others become 0.
#[inline(always)]
fn keep(gradients: &mut [[f32; 8]], bits: &[u8], pass: impl Fn(i32) -> bool) {
    for (gradients, &byte) in gradients.iter_mut().zip(bits) {
        for (g, bit) in gradients.iter_mut().zip(BITS) {
            let open = (u32::from(byte) & bit != 0) & pass(g.to_bits().cast_signed());
            let mask = u32::from(open).wrapping_neg();
            *g = f32::from_bits(g.to_bits() & mask);
        }
    }
}

/// As the function of this name around.
pub fn record(values: &[[f32; 8]], limits: [Option<f32>; 2], bits: &mut [u8]) -> usize {
    // SAFETY: x86-64 has SSE2.
    unsafe { compare(values, limits, bits) }
}

#[target_feature(enable = "sse2")]
fn compare(values: &[[f32; 8]], [above, below]: [Option<f32>; 2], bits: &mut [u8]) -> usize {
    let done = bits.len().min(values.len());
    let bytes = bits.iter_mut().zip(values);
    match (above.map(|v| _mm_set1_ps(v)), below.map(|v| _mm_set1_ps(v))) {
        (Some(above), None) => {
            bytes.for_each(|(byte, v)| *byte = byte_of(halves(v).map(|v| _mm_cmpgt_ps(v, above))));
        }
        (None, Some(below)) => {
            bytes.for_each(|(byte, v)| *byte = byte_of(halves(v).map(|v| _mm_cmpgt_ps(below, v))));
        }
        (Some(above), Some(below)) => bytes.for_each(|(byte, v)| {
            let inside = |v| _mm_and_ps(_mm_cmpgt_ps(v, above), _mm_cmpgt_ps(below, v));
            *byte = byte_of(halves(v).map(inside));
        }),
        (None, None) => return 0,
    }
    done
}

#[target_feature(enable = "sse2")]
#[inline]
fn halves(&[a, b, c, d, e, f, g, h]: &[f32; 8]) -> [__m128; 2] {
    [_mm_set_ps(d, c, b, a), _mm_set_ps(h, g, f, e)]
}

#[target_feature(enable = "sse2")]
#[inline]
fn byte_of([low, high]: [__m128; 2]) -> u8 {
    (_mm_movemask_ps(low) | _mm_movemask_ps(high) << 4) as u8
}

/// As the function of this name around, by fours.
pub fn meet(best: &mut [[f32; 4]], x: &[[f32; 4]], won: &mut [[u32; 4]], tap: u32) -> usize {
    let mut done = 0;
    for ((best, x), won) in best.iter_mut().zip(x).zip(won) {
        // SAFETY: x86-64 has SSE2.
        unsafe { outdo(best, x, won, tap) };
        done += 4;
    }
    done
}

#[target_feature(enable = "sse2")]
#[inline]
fn outdo(best: &mut [f32; 4], x: &[f32; 4], won: &mut [u32; 4], tap: u32) {
    let quad = |&[a, b, c, d]: &[f32; 4]| _mm_set_ps(d, c, b, a);
    let (old, new) = (quad(best), quad(x));
    let wins = _mm_cmpgt_ps(new, old);
    let either = |new, old| _mm_or_ps(_mm_and_ps(wins, new), _mm_andnot_ps(wins, old));
    // Numbers of taps are kept as they are: nothing is computed with them.
    let (number, winner) = (f32::from_bits(tap), won.map(f32::from_bits));
    let winner = either(_mm_set1_ps(number), quad(&winner));
    let mut numbers = [0.0; 4];
    // SAFETY: each is 4 writable f32, in any alignment.
    unsafe {
        _mm_storeu_ps(best.as_mut_ptr(), either(new, old));
        _mm_storeu_ps(numbers.as_mut_ptr(), winner);
    }
    *won = numbers.map(f32::to_bits);
}

/// As the function of this name around.
pub fn transpose(from: &[[f32; 8]; 8], to: &mut [[f32; 8]; 8]) {
    // SAFETY: x86-64 has SSE2.
    unsafe { quarters(from, to) }
}

/// Four squares of 4 rows and columns, each to its place.
#[target_feature(enable = "sse2")]
fn quarters(from: &[[f32; 8]; 8], to: &mut [[f32; 8]; 8]) {
    let [a, b, c, d, e, f, g, h] = from.each_ref().map(|row| halves(row));
    let [[a, i], [b, j], [c, k], [d, l]] = [a, b, c, d];
    let [[e, m], [f, n], [g, o], [h, p]] = [e, f, g, h];
    let upper = [turned([a, b, c, d]), turned([i, j, k, l])];
    let lower = [turned([e, f, g, h]), turned([m, n, o, p])];
    let columns = upper.as_flattened().iter().zip(lower.as_flattened());
    for (row, (&first, &last)) in to.iter_mut().zip(columns) {
        let (low, high) = row.split_at_mut(4);
        // SAFETY: each half is 4 writable f32, in any alignment.
        unsafe {
            _mm_storeu_ps(low.as_mut_ptr(), first);
            _mm_storeu_ps(high.as_mut_ptr(), last);
        }
    }
}

#[target_feature(enable = "sse2")]
#[inline]
fn turned([a, b, c, d]: [__m128; 4]) -> [__m128; 4] {
    let (low, more_low) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
    let (high, more_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
    [
        _mm_movelh_ps(low, more_low),
        _mm_movehl_ps(more_low, low),
        _mm_movelh_ps(high, more_high),
        _mm_movehl_ps(more_high, high),
    ]
}
