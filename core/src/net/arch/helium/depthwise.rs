//! 3x3 depthwise convolutions, 16 channels at once, or two pixels of 8.
//!
//! Products of two int8 and the sum of two of them fit in 16 bits unless both
//! weights are -128. Two taps are summed there, then widened to 32 bits.

use super::Helium;

/// Channels of a block.
pub(in crate::net) const LANES: usize = 16;

/// Lanes of 16 channels.
const EACH: [u8; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Numbers of a block. Lane l is lane l / 4 of vector l % 4, as widening twice
/// leaves it.
#[repr(C, align(16))]
pub(in crate::net) struct Block {
    bias: [[i32; 4]; 4],
    multiplier: [[i32; 4]; 4],
    shift: [[i32; 4]; 4],
    weights: [[i8; LANES]; 9],
    /// Where each lane's output goes.
    places: [u8; LANES],
    zero_point: i32,
    /// One bit a lane whose output is stored.
    stored: u32,
    /// Channels, and elements from one pixel's to the other's if there are two.
    live: usize,
    second: Option<usize>,
}

/// Where a block's numbers come from: nine taps of `pitch` channels, of which
/// the first `live` are taken, by two pixels if `second` says how far one's
/// outputs are from the other's.
#[derive(Clone, Copy)]
pub(in crate::net) struct Source<'a> {
    pub weights: &'a [i8],
    pub pitch: usize,
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    /// 1 to 16, or to 8 for two pixels.
    pub live: usize,
    /// At most 128.
    pub second: Option<usize>,
    pub zero_point: i8,
}

/// What one row of outputs sees: rows of elements `pitch` apart, from the first
/// tap of the first output on.
#[derive(Clone, Copy)]
pub(in crate::net) struct Line<'a> {
    pub strip: &'a [i8],
    pub pitch: usize,
    /// Pixels to the right from output to output: 1 or 2.
    pub stride: usize,
    /// Whether a pixel is 8 elements, and two outputs are made at once; the
    /// stride is then 1.
    pub twos: bool,
}

/// Arguments of [`line`] in the order in which they are loaded.
#[repr(C)]
struct Arguments {
    rows: [*const i8; 3],
    block: *const Block,
    out: *mut i8,
    step: usize,
    count: usize,
}

impl Block {
    pub const fn new() -> Self {
        Self {
            bias: [[0; 4]; 4],
            multiplier: [[0; 4]; 4],
            shift: [[0; 4]; 4],
            weights: [[0; LANES]; 9],
            places: EACH,
            zero_point: 0,
            stored: 0,
            live: 0,
            second: None,
        }
    }

    /// Sets whether the second pixel's outputs are stored.
    pub fn store(&mut self, second: bool) {
        let one = (1_u32 << self.live) - 1;
        let both = second && self.second.is_some();
        self.stored = if both { one | one << 8 } else { one };
    }

    /// Elements from the first output to behind the last.
    fn reach(&self) -> usize {
        let second = self.second.filter(|_| self.stored >> 8 != 0);
        second.unwrap_or(0) + self.live
    }
}

impl Helium {
    /// Gathers the numbers of a block; it stores both pixels if it has two.
    /// `None` if a slice is too short.
    pub fn block(self, from: &Source<'_>, block: &mut Block) -> Option<()> {
        let most = from.live.checked_sub(1)?;
        let last = from.pitch.checked_mul(8)?.checked_add(most)?;
        let size = if from.second.is_some() { 8 } else { LANES };
        let fits = most < size
            && from.second.is_none_or(|second| second <= 128)
            && from.weights.len() > last
            && from.bias.len() > most
            && from.multiplier.len() > most
            && from.shift.len() > most;
        if !fits {
            return None;
        }
        // Each lane's channel; idle lanes repeat the last one.
        let mut channels = EACH;
        block.places = EACH;
        if from.live < LANES {
            let mask = size as u8 - 1;
            channels = EACH.map(|lane| (lane & mask).min(most as u8));
        }
        if let Some(second) = from.second {
            let second = second as u8;
            block.places = EACH.map(|lane| if lane < 8 { lane } else { lane - 8 + second });
        }
        block.zero_point = from.zero_point.into();
        (block.live, block.second) = (from.live, from.second);
        block.store(true);
        // SAFETY: all elements that are loaded lie at an offset of at most
        // `most`, of weights behind at most 8 times `pitch` others. The first
        // four fields of the block are written in their order.
        unsafe {
            helium!(
                "mov r2, #0",
                "vidup.u32 q7, r2, #4",
                "mov r2, #4",
                "mov r0, {channels}",
                "2:",
                "vldrb.u32 q6, [r0, q7]",
                "add r0, r0, #1",
                "vldrw.u32 q0, [{bias}, q6, uxtw #2]",
                "vldrw.u32 q1, [{multiplier}, q6, uxtw #2]",
                "vldrb.s32 q2, [{shift}, q6]",
                "subs r2, r2, #1",
                "vstrw.32 q1, [{to}, #64]",
                "vstrw.32 q2, [{to}, #128]",
                "vstrw.32 q0, [{to}], #16",
                "bne 2b",
                "vldrb.u8 q6, [{channels}]",
                "add {to}, {to}, #128",
                "mov r2, #9",
                "3:",
                "vldrb.u8 q0, [{weights}, q6]",
                "add {weights}, {weights}, {pitch}",
                "subs r2, r2, #1",
                "vstrw.32 q0, [{to}], #16",
                "bne 3b",
                channels = in(reg) channels.as_ptr(),
                bias = in(reg) from.bias.as_ptr(),
                multiplier = in(reg) from.multiplier.as_ptr(),
                shift = in(reg) from.shift.as_ptr(),
                weights = inout(reg) from.weights.as_ptr() => _,
                pitch = in(reg) from.pitch,
                to = inout(reg) &raw mut *block => _,
                out("r0") _, out("r2") _,
            );
        }
        Some(())
    }

    /// `count` outputs, or pairs of them, of a block, `step` elements apart.
    /// `None` if a slice is too short.
    pub fn depthwise(
        self,
        from: &Line<'_>,
        block: &Block,
        out: &mut [i8],
        step: usize,
        count: usize,
    ) -> Option<()> {
        let before = count.checked_sub(1)?;
        let (tap, over) = match (from.twos, from.stride) {
            (true, 1) => (8, LANES),
            (false, 1) => (LANES, LANES),
            (false, 2) => (LANES, 2 * LANES),
            _ => return None,
        };
        let seen = 2 * from.pitch + before.checked_mul(over)? + 2 * tap + LANES;
        let made = before.checked_mul(step)? + block.reach();
        if block.live == 0 || from.strip.len() < seen || out.len() < made {
            return None;
        }
        let first = from.strip.as_ptr();
        // SAFETY: the third row begins inside the strip, as `seen` says.
        let rows = unsafe { [first, first.add(from.pitch), first.add(2 * from.pitch)] };
        let arguments = Arguments {
            rows,
            block,
            out: out.as_mut_ptr(),
            step,
            count,
        };
        let arguments = &raw const arguments;
        // SAFETY: the last output's taps end inside the strip, and the lanes
        // that it stores inside `out`; both were just checked. `count` is at
        // least 1, and two pixels are stored only if there are two.
        unsafe {
            match (from.twos, from.stride) {
                (true, _) => line::<8, 0>(arguments),
                (false, 1) => line::<16, -16>(arguments),
                (false, _) => line::<16, 0>(arguments),
            }
        }
        Some(())
    }
}

/// Outputs as the arguments have them. Taps lie `TAP` bytes apart; from the
/// third tap to the first of the next output it is `ON`.
///
/// # Safety
/// The arguments are as [`Helium::depthwise`] makes them.
#[inline(never)]
unsafe fn line<const TAP: i32, const ON: i32>(arguments: *const Arguments) {
    // SAFETY: as the caller promises.
    unsafe {
        helium!(
            "mov r12, r0",
            "ldm r12, {{r0, r1, r2, r3, r4, r5, r8}}",
            "add r9, r3, #352",
            "ldrd r10, r11, [r9]",
            "dls lr, r8",
            "vmsr p0, r11",
            // Products of 16 bits of even lanes in q6, of odd ones in q4.
            ".macro foveola_widen",
            "vmovlb.s16 q5, q6",
            "vmovlt.s16 q6, q6",
            "vadd.i32 q0, q0, q5",
            "vadd.i32 q2, q2, q6",
            "vmovlb.s16 q5, q4",
            "vmovlt.s16 q4, q4",
            "vadd.i32 q1, q1, q5",
            "vadd.i32 q3, q3, q4",
            ".endm",
            ".macro foveola_pair at, row, on, next, over",
            "vldrb.u8 q4, [\\row], #\\on",
            "vldrw.u32 q5, [r3, #\\at]",
            "vmullb.s8 q6, q4, q5",
            "vmullt.s8 q4, q4, q5",
            "vldrb.u8 q5, [\\next], #\\over",
            "vldrw.u32 q7, [r3, #\\at + 16]",
            "vmullt.s8 q7, q5, q7",
            "vadd.i16 q4, q4, q7",
            "vldrw.u32 q7, [r3, #\\at + 16]",
            "vmullb.s8 q5, q5, q7",
            "vadd.i16 q6, q6, q5",
            "foveola_widen",
            ".endm",
            ".macro foveola_round sum, at",
            "vldrw.u32 q4, [r3, #\\at + 64]",
            "vqrdmulh.s32 \\sum, \\sum, q4",
            "vldrw.u32 q5, [r3, #\\at + 128]",
            "vshr.s32 q4, \\sum, #31",
            "vadd.i32 \\sum, \\sum, q4",
            "vrshl.s32 \\sum, \\sum, q5",
            ".endm",
            "2:",
            "vldrw.u32 q0, [r3]",
            "vldrw.u32 q1, [r3, #16]",
            "vldrw.u32 q2, [r3, #32]",
            "vldrw.u32 q3, [r3, #48]",
            "foveola_pair 192, r0, {tap}, r0, {tap}",
            "foveola_pair 224, r0, {on}, r1, {tap}",
            "foveola_pair 256, r1, {tap}, r1, {on}",
            "foveola_pair 288, r2, {tap}, r2, {tap}",
            "vldrb.u8 q4, [r2], #{on}",
            "vldrw.u32 q5, [r3, #320]",
            "vmullb.s8 q6, q4, q5",
            "vmullt.s8 q4, q4, q5",
            "foveola_widen",
            "foveola_round q0, 0",
            "foveola_round q1, 16",
            "foveola_round q2, 32",
            "foveola_round q3, 48",
            ".purgem foveola_widen",
            ".purgem foveola_pair",
            ".purgem foveola_round",
            "vqmovnb.s32 q4, q0",
            "vqmovnt.s32 q4, q2",
            "vqmovnb.s32 q5, q1",
            "vqmovnt.s32 q5, q3",
            "vqadd.s16 q4, q4, r10",
            "vqadd.s16 q5, q5, r10",
            "vldrw.u32 q7, [r3, #336]",
            "vqmovnb.s16 q6, q4",
            "vqmovnt.s16 q6, q5",
            "vpst",
            "vstrbt.8 q6, [r4, q7]",
            "add r4, r4, r5",
            "le lr, 2b",
            tap = const TAP,
            on = const ON,
            inout("r0") arguments => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
        );
    }
}
