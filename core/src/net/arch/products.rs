//! Sums of products in f32 over a row of pixels, each product rounded before it
//! is added. Arm's scalar floating-point unit loads many numbers by one
//! instruction, which compilers do not find for loops like these; elsewhere
//! plain loops do the same.

#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod unit;

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
/// first `lanes` (at most N) of every pixel; `count` is how many k there are, a
/// multiple of 4. Products with a source of +0 may be left out. `None`, and
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
    let even = count > 0 && count.is_multiple_of(4) && lanes > 0 && lanes <= N;
    if !(all && fits && even) || taps.is_empty() || taps.len() > MOST_TAPS {
        return None;
    }
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    return unit::add_multiples::<N>(run, target, taps, (count / 4, lanes));
    #[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
    None
}
