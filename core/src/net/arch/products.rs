//! Sums of products in f32 over a row of pixels, each product rounded before it
//! is added. Arm's scalar floating-point unit loads many numbers by one
//! instruction, which compilers do not find for loops like these; elsewhere
//! plain loops do the same.

#[cfg(target_arch = "x86_64")]
mod sse;
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod unit;
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod values;

/// Most taps of a pixel that are walked in assembly.
pub(in crate::net) const MOST_TAPS: usize = 16;

/// Pixels that see the same taps.
#[derive(Clone, Copy)]
pub(in crate::net) struct Run {
    /// How many.
    pub pixels: usize,
    /// Elements from one to the next of what is read.
    pub source_step: usize,
    /// Elements from one to the next of what is added to.
    pub target_step: usize,
}

impl Run {
    /// Whether a slice holds `each` elements of every pixel, `step` apart.
    fn fits(&self, len: usize, step: usize, each: usize) -> bool {
        let last = step.checked_mul(self.pixels.saturating_sub(1));
        let need = last.and_then(|last| last.checked_add(each));
        self.pixels > 0 && need.is_some_and(|need| need <= len)
    }
}

/// One tap: what the first pixel reads, and the weights that go with it.
pub(in crate::net) type Tap<'a> = (&'a [f32], &'a [f32]);

/// `target[p][c] += sum over taps of source[p][c] * weight[c]` for the first
/// `channels` channels, a multiple of 8, of every pixel. `None`, and nothing
/// done, where a slice is too short or this machine has no better way.
#[inline(always)]
pub(in crate::net) fn add_channelwise(
    run: Run,
    target: &mut [f32],
    taps: &[Tap<'_>],
    channels: usize,
) -> Option<()> {
    let blocks = channels / 8;
    let all = taps.iter().all(|(source, weights)| {
        run.fits(source.len(), run.source_step, blocks * 8) && weights.len() >= blocks * 8
    });
    let fits = run.fits(target.len(), run.target_step, blocks * 8);
    if !(all && fits) || blocks == 0 || taps.is_empty() || taps.len() > MOST_TAPS {
        return None;
    }
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return unit::add_channelwise(run, target, taps, blocks);
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    None
}

/// `target[p][i] += sum over taps and k of source[p][k] * weight[k][i]` for the
/// first `lanes` (at most N) of every pixel; `count` is how many k there are, at
/// least 4. Products with a source of +0 may be left out. `None`, and
/// nothing done, as [`add_channelwise`].
#[inline(always)]
pub(in crate::net) fn add_multiples<const N: usize>(
    run: Run,
    target: &mut [f32],
    taps: &[Tap<'_>],
    count: usize,
    lanes: usize,
) -> Option<()> {
    let all = taps.iter().all(|(source, weights)| {
        run.fits(source.len(), run.source_step, count) && weights.len() / N.max(1) >= count
    });
    let fits = run.fits(target.len(), run.target_step, lanes);
    let enough = count >= 4 && lanes > 0 && lanes <= N;
    if !(all && fits && enough) || taps.is_empty() || taps.len() > MOST_TAPS {
        return None;
    }
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return unit::add_multiples::<N>(run, target, taps, (count, lanes));
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    None
}

/// Sets as many values to 0 as this machine has a better way for than a loop;
/// returns how many, from the first on.
#[inline(always)]
pub(in crate::net) fn clear(values: &mut [f32]) -> usize {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return values::clear(values);
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    {
        let _ = values;
        0
    }
}

/// Sets those of the gradients to 0 whose bit is 0 and, if `only_positive`,
/// those below 0 and -0; eight gradients a byte, from the least bit on. `None`,
/// and nothing done, where this machine has no better way than a loop.
#[inline(always)]
pub(in crate::net) fn close(
    gradients: &mut [[f32; 8]],
    bits: &[u8],
    only_positive: bool,
) -> Option<()> {
    if gradients.is_empty() || bits.len() < gradients.len() {
        return None;
    }
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return values::close(gradients, bits, only_positive);
    #[cfg(target_arch = "x86_64")]
    {
        sse::close(gradients, bits, only_positive);
        Some(())
    }
    #[cfg(not(any(
        all(target_arch = "arm", target_abi = "eabihf"),
        target_arch = "x86_64"
    )))]
    {
        let _ = only_positive;
        None
    }
}

/// Writes one bit a value, eight values a byte, from the least bit on: whether
/// it lies above the first limit and below the second, as far as there are
/// any. NaN does not, if there is one. Returns for how many bytes this was
/// done, from the first on: none where this machine has no better way than a loop.
#[inline(always)]
pub(in crate::net) fn record(
    values: &[[f32; 8]],
    limits: [Option<f32>; 2],
    bits: &mut [u8],
) -> usize {
    #[cfg(target_arch = "x86_64")]
    return sse::record(values, limits, bits);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (values, limits, bits);
        0
    }
}

/// `to[i][j] = from[j][i]`. `None`, and nothing done, where this machine has no
/// better way than a loop.
#[inline(always)]
pub(in crate::net) fn transpose(from: &[[f32; 8]; 8], to: &mut [[f32; 8]; 8]) -> Option<()> {
    #[cfg(target_arch = "x86_64")]
    {
        sse::transpose(from, to);
        Some(())
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (from, to);
        None
    }
}

/// Where `x[i] > best[i]`, `best[i] = x[i]` and `won[i] = tap`. Returns for how
/// many this was done, from the first on.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(in crate::net) fn meet(best: &mut [f32], x: &[f32], won: &mut [u32], tap: u32) -> usize {
    let (best, _) = best.as_chunks_mut();
    let (won, _) = won.as_chunks_mut();
    sse::meet(best, x.as_chunks().0, won, tap)
}

/// `to[i] += from[i] * factor`. Returns for how many this was done, from the
/// first on: none where this machine has no better way than a loop.
#[inline(always)]
pub(in crate::net) fn add_multiple(from: &[f32], factor: f32, to: &mut [f32]) -> usize {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return values::add_multiple(from, factor, to);
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    {
        let _ = (from, factor, to);
        0
    }
}

/// Where rows of stored weights lie and where they go.
#[derive(Clone, Copy)]
pub(in crate::net) struct Stored<'a> {
    /// From the first weight of the first row on.
    pub weights: &'a [i8],
    /// Weights from a row to the next.
    pub step: usize,
    /// How many rows.
    pub rows: usize,
}

/// `out[r * step][i] = stored[r][i] * scale` for every row r. Rows are read N
/// wide, be they narrower. `None`, and nothing done, where a slice is too short
/// or this machine has no better way than a loop.
#[inline(always)]
pub(in crate::net) fn widen<const N: usize>(
    stored: Stored<'_>,
    scale: f32,
    out: &mut [[f32; N]],
    step: usize,
) -> Option<()> {
    let last = stored.rows.checked_sub(1)?;
    let read = last.checked_mul(stored.step)?.checked_add(N)?;
    let written = last.checked_mul(step)?.checked_add(1)?;
    if stored.weights.len() < read || out.len() < written {
        return None;
    }
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return values::widen(stored, scale, out, step);
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    {
        let _ = scale;
        None
    }
}

/// `values[i] = stored[i] * scales[i]`, or times what `values` holds where
/// there are no `scales`. Returns for how many this was done, from the first
/// on: none where this machine has no better way than a loop.
#[inline(always)]
pub(in crate::net) fn scale(stored: &[i8], scales: Option<&[f32]>, values: &mut [f32]) -> usize {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return values::scale(stored, scales, values);
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    {
        let _ = (stored, scales, values);
        0
    }
}
