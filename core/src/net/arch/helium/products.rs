//! Four patches times filters, two filters at a time.

use super::Helium;
use super::patches::{CHUNK, Chunks, Patches, Runs};
use core::mem::MaybeUninit;

/// Most output channels at once.
pub(in crate::net) const BATCH: usize = 32;

/// What output channels are made of: one element a channel, filters of `len`
/// weights one behind another. `weights` may go on behind the last filter.
#[derive(Clone, Copy)]
pub(in crate::net) struct Filters<'a> {
    pub weights: &'a [i8],
    pub len: usize,
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    pub zero_point: i8,
}

/// Bias, multiplier, shift of each channel, and in turn the zero point and
/// what a filter is less than whole chunks.
pub(in crate::net) struct Constants<'a> {
    /// The first `count` are initialised.
    each: &'a mut MaybeUninit<ConstantsRoom>,
    count: usize,
    /// Weights of a filter.
    len: usize,
}

/// Memory of constants.
#[repr(C, align(16))]
pub(in crate::net) struct ConstantsRoom([[i32; 4]; BATCH]);

/// Neighbouring output pixels: the first sees the first runs of `from`, each
/// other what is `step` elements behind.
#[derive(Clone, Copy)]
pub(in crate::net) struct Pixels<'a> {
    pub from: &'a [i8],
    pub runs: Runs,
    pub step: usize,
    pub count: usize,
    /// Elements from output to output.
    pub pitch: usize,
}

/// Arguments of [`products`] in the order in which they are loaded.
#[repr(C)]
struct Products {
    len: usize,
    constants_end: *const [i32; 4],
    patches: *const Chunks,
    patches_end: *const Chunks,
    constants: *const [i32; 4],
    out: *mut i8,
    weights: *const i8,
    /// Where both channels of each pixel go.
    places: [[u16; 2]; 4],
}

impl<'a> Constants<'a> {
    pub fn new(room: &'a mut MaybeUninit<ConstantsRoom>) -> Self {
        Self {
            each: room,
            count: 0,
            len: 0,
        }
    }
}

impl Helium {
    /// Gathers the numbers of `count` channels, an even number of at most
    /// [`BATCH`]. `None` if it is none such or a slice is too short.
    pub fn constants(
        self,
        filters: &Filters<'_>,
        count: usize,
        to: &mut Constants<'_>,
    ) -> Option<()> {
        let fits = (2..=BATCH).contains(&count)
            && count.is_multiple_of(2)
            && filters.bias.len() >= count
            && filters.multiplier.len() >= count
            && filters.shift.len() >= count;
        if !fits {
            return None;
        }
        // SAFETY: loads leave out what is behind the last of `count` channels;
        // stores go on to a multiple of 4, as which `BATCH` is.
        unsafe {
            helium!(
                "vmov q3[2], q3[0], {zero}, {zero}",
                "vmov q3[3], q3[1], {spare}, {spare}",
                "2:",
                "vctp.32 {n}",
                "subs {n}, {n}, #4",
                "vpsttt",
                "vldrwt.u32 q0, [{bias}], #16",
                "vldrwt.u32 q1, [{multiplier}], #16",
                "vldrbt.s32 q2, [r3], #4",
                "vst40.32 {{q0, q1, q2, q3}}, [{to}]",
                "vst41.32 {{q0, q1, q2, q3}}, [{to}]",
                "vst42.32 {{q0, q1, q2, q3}}, [{to}]",
                "vst43.32 {{q0, q1, q2, q3}}, [{to}]!",
                "bgt 2b",
                zero = in(reg) i32::from(filters.zero_point),
                spare = in(reg) filters.len.next_multiple_of(CHUNK) - filters.len,
                n = inout(reg) count => _,
                bias = inout(reg) filters.bias.as_ptr() => _,
                multiplier = inout(reg) filters.multiplier.as_ptr() => _,
                inout("r3") filters.shift.as_ptr() => _,
                to = inout(reg) to.each.as_mut_ptr() => _,
            );
        }
        (to.count, to.len) = (count, filters.len);
        Some(())
    }

    /// The channels of `constants`, made with `filters`, of some pixels; `out`
    /// begins with the first channel of the first. `None` if a slice is too
    /// short or something does not fit together.
    pub fn pixels(
        self,
        pixels: &Pixels<'_>,
        filters: &Filters<'_>,
        constants: &Constants<'_>,
        patches: &mut Patches<'_>,
        out: &mut [i8],
    ) -> Option<()> {
        let Pixels {
            runs,
            step,
            count,
            pitch,
            ..
        } = *pixels;
        let (len, channels) = (runs.whole()?, constants.count);
        let before = count.checked_sub(1)?;
        let chunks = len.div_ceil(CHUNK);
        let weights = channels.checked_sub(1)?.checked_mul(len)? + CHUNK * chunks;
        let seen = before.checked_mul(step)?.checked_add(runs.reach()?)?;
        let made = before.checked_mul(pitch)?.checked_add(channels)?;
        let fits = len == filters.len
            && len == constants.len
            && 3 * pitch < u16::MAX.into()
            && filters.weights.len() >= weights
            && pixels.from.len() >= seen
            && out.len() >= made;
        if !fits {
            return None;
        }
        let each = constants.each.as_ptr().cast::<[i32; 4]>();
        let mut fetch = runs.fetch(pixels.from, patches);
        let mut products = Products {
            len,
            constants_end: each.wrapping_add(channels),
            patches: patches.chunks(),
            patches_end: patches.chunks().wrapping_add(chunks),
            constants: each,
            out: out.as_mut_ptr(),
            weights: filters.weights.as_ptr(),
            places: [[0; 2]; 4],
        };
        for at in (0..count).step_by(4) {
            if at == 0 || count - at < 4 {
                // Idle places repeat the last pixel.
                let place = [0, 1, 2, 3].map(|place: usize| place.min(before - at));
                let [_, b, c, d] = place;
                fetch.offsets = [b, c, d].map(|place| place * step);
                products.places = place.map(|place| {
                    let first = (place * pitch) as u16;
                    [first, first + 1]
                });
            }
            // SAFETY: the last pixel's patch ends inside `from`, and its last
            // channel inside `out`; those of idle places do so too. There is
            // at least one chunk and one pair of channels, all of which were
            // gathered, and the last weights that are read end at `weights`.
            unsafe {
                self.fetch(&fetch, patches);
                multiply(&raw const products);
            }
            fetch.from = fetch.from.wrapping_add(4 * step);
            products.out = products.out.wrapping_add(4 * pitch);
        }
        Some(())
    }
}

/// Channels of four pixels as the arguments have them: two by two until
/// `constants_end`, chunk by chunk until `patches_end`.
///
/// # Safety
/// There are at least two channels, an even number, and one chunk; what the
/// arguments point at is there. Helium must exist.
unsafe fn multiply(arguments: *const Products) {
    // SAFETY: as the caller promises.
    unsafe {
        helium!(
            "mov r12, r0",
            "ldm r12!, {{r0, r2, r5}}",
            "push {{r0, r2, r5, r6, r7}}",
            "ldm r12!, {{r7, r9, r11}}",
            "ldr r1, [r12]",
            "vldrw.u32 q7, [r12, #4]",
            "add r3, r1, r0",
            // Two channels: products of the first 16 elements, then of others.
            "20:",
            ".macro foveola_chunk multiply",
            "vldrw.u32 q2, [r5], #64",
            "vldrb.u8 q0, [r1], #16",
            "\\multiply r0, q2, q0",
            "vldrb.u8 q1, [r3], #16",
            "\\multiply r8, q2, q1",
            "vldrw.u32 q3, [r5, #-48]",
            "\\multiply r2, q3, q0",
            "\\multiply r10, q3, q1",
            "vldrw.u32 q2, [r5, #-32]",
            "\\multiply r4, q2, q0",
            "\\multiply r12, q2, q1",
            "vldrw.u32 q3, [r5, #-16]",
            "\\multiply r6, q3, q0",
            "\\multiply lr, q3, q1",
            ".endm",
            "foveola_chunk vmladav.s8",
            "cmp r5, r7",
            "beq 22f",
            "21:",
            "foveola_chunk vmladava.s8",
            "cmp r5, r7",
            "bne 21b",
            ".purgem foveola_chunk",
            // Requantisation of four pixels of each.
            "22:",
            "vmov q0[2], q0[0], r0, r4",
            "vmov q1[2], q1[0], r8, r12",
            "vmov q0[3], q0[1], r2, r6",
            "vmov q1[3], q1[1], r10, lr",
            "ldm r9!, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
            "vadd.i32 q0, q0, r0",
            "vadd.i32 q1, q1, r8",
            "vqrdmulh.s32 q0, q0, r2",
            "vqrdmulh.s32 q1, q1, r10",
            "vshr.s32 q2, q0, #31",
            "vshr.s32 q3, q1, #31",
            "vadd.i32 q0, q0, q2",
            "vadd.i32 q1, q1, q3",
            "vrshl.s32 q0, r4",
            "vrshl.s32 q1, r12",
            "vqmovnb.s32 q2, q0",
            "vqmovnt.s32 q2, q1",
            "vqadd.s16 q2, q2, r6",
            "vqmovnb.s16 q2, q2",
            "vstrb.16 q2, [r11, q7]",
            "sub r1, r3, lr",
            "ldm sp, {{r0, r2, r5}}",
            "add r11, r11, #2",
            "add r3, r1, r0",
            "cmp r9, r2",
            "bne 20b",
            "add sp, sp, #12",
            "pop {{r6, r7}}",
            inout("r0") arguments => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
        );
    }
}
