//! 3x3 depthwise convolutions, four channels at once.
//!
//! What four channels of a tile of output pixels see, its padding included, is
//! copied into words, one a pixel. These are taken apart for each output row:
//! a triplet holds, of one channel at two neighbouring columns, pairs of the
//! first two rows' elements, then the pair of the third row's two elements. So
//! a sum of nine products takes five multiplications.

use super::Dsp;
use core::arch::asm;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// Words of a tile.
pub(in crate::net) const WORDS: usize = 160;

/// Triplets of each channel of a tile.
pub(in crate::net) const TRIPLETS: usize = 28;

/// Lines of a tile.
pub(in crate::net) const LINES: usize = 24;

/// Triplets of four channels.
type Four = [[u32; 3]; 4];

/// Which output pixels a tile is about and what they see.
#[derive(Clone, Copy)]
pub(in crate::net) struct View {
    /// Output pixels: rows and columns.
    pub rows: usize,
    pub width: usize,
    /// How far apart what neighbours see is; to the right, 1 or 2.
    pub down: usize,
    pub right: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Columns before and inside the input.
    pub before: usize,
    pub inside: usize,
    /// Four elements of padding.
    pub padding: u32,
}

impl View {
    /// Triplets that a row of pixels sees.
    pub const fn triplets(&self) -> usize {
        self.width.div_ceil(2) * self.right + 1
    }

    /// Words from line to line.
    pub const fn pitch(&self) -> usize {
        2 * self.triplets()
    }

    /// Lines.
    pub const fn seen(&self) -> usize {
        self.rows.saturating_sub(1) * self.down + 3
    }

    /// Whether a tile may have this view.
    const fn fits(&self) -> bool {
        (self.right == 1 || self.right == 2)
            && self.rows > 0
            && self.width > 0
            && self.rows <= TRIPLETS
            && self.width <= TRIPLETS * 2
            && self.down <= LINES
            && self.seen() <= LINES
            && self.seen() * self.pitch() <= WORDS
            && self.rows * self.triplets() <= TRIPLETS
            && self.before + self.inside <= self.pitch()
    }
}

/// A tile of output pixels, four channels at a time.
pub(in crate::net) struct Tile<'a> {
    view: View,
    /// Where lines inside come from, and at which byte of `words` they lie.
    lines: [(*const i8, usize); LINES],
    /// How many of them there are.
    count: usize,
    words: MaybeUninit<[u32; WORDS]>,
    triplets: MaybeUninit<[Four; TRIPLETS]>,
    from: PhantomData<&'a [i8]>,
}

/// Filters of all channels: nine taps, each with one weight a channel.
#[derive(Clone, Copy)]
pub(in crate::net) struct DepthwiseFilters<'a> {
    pub weights: &'a [i8],
    /// What a weight of 0 is stored as.
    pub zero: i8,
    pub bias: &'a [i32],
    pub multiplier: &'a [i32],
    pub shift: &'a [i8],
    /// Of the output.
    pub zero_point: i8,
}

impl DepthwiseFilters<'_> {
    /// Whether there are so many channels.
    const fn serve(&self, channels: usize) -> bool {
        self.weights.len() / 9 >= channels
            && self.bias.len() >= channels
            && self.multiplier.len() >= channels
            && self.shift.len() >= channels
    }
}

impl<'a> Tile<'a> {
    pub const fn new() -> Self {
        Self {
            view: View {
                rows: 0,
                width: 0,
                down: 0,
                right: 0,
                channels: 0,
                before: 0,
                inside: 0,
                padding: 0,
            },
            lines: [(core::ptr::null(), 0); LINES],
            count: 0,
            words: MaybeUninit::uninit(),
            triplets: MaybeUninit::uninit(),
            from: PhantomData,
        }
    }

    /// Moves to what `view` says. `line` gives the input from the first column
    /// inside on, all channels, `&[]` where a line is padding. `None` if it
    /// says so or something does not fit.
    pub fn look(
        &mut self,
        view: View,
        mut line: impl FnMut(usize) -> Option<&'a [i8]>,
    ) -> Option<()> {
        // What is not looked at any more must not be used.
        self.view.rows = 0;
        self.count = 0;
        if !view.fits() {
            return None;
        }
        let (pitch, to) = (view.pitch(), self.words.as_mut_ptr().cast::<u32>());
        for row in 0..view.seen() {
            let from = line(row)?;
            let inside = if from.is_empty() { 0 } else { view.inside };
            if inside > 0 {
                if from.len() < inside.checked_mul(view.channels)? {
                    return None;
                }
                let at = row * pitch + view.before;
                *self.lines.get_mut(self.count)? = (from.as_ptr(), 4 * at);
                self.count += 1;
            }
            let behind = if inside > 0 { view.before + inside } else { 0 };
            let before = if inside > 0 { view.before } else { 0 };
            // SAFETY: `fits` says that all `seen` lines of `pitch` words lie
            // in `words` and that `before + inside` is at most `pitch`.
            unsafe {
                let to = to.add(row * pitch);
                for i in (0..before).chain(behind..pitch) {
                    to.add(i).write(view.padding);
                }
            }
        }
        self.view = view;
        Some(())
    }

    /// Makes the channels from `first + skip` to `first + 4` of its pixels, of
    /// which the first begins at `out`'s begin; rows are `row` bytes apart.
    /// Requantised in the short way. `None` if something does not fit.
    pub fn make(
        &mut self,
        dsp: Dsp,
        filters: &DepthwiseFilters<'_>,
        first: usize,
        skip: usize,
        out: &mut [i8],
        row: usize,
    ) -> Option<()> {
        let View {
            rows,
            width,
            channels,
            ..
        } = self.view;
        let last = rows.checked_sub(1)?.checked_mul(row)?;
        let written = last.checked_add(width.checked_mul(channels)?)?;
        let fits =
            first + 4 <= channels && skip < 4 && filters.serve(channels) && out.len() >= written;
        if !fits {
            return None;
        }
        // SAFETY: nine taps have as many weights as channels each, and four of
        // them from `first` on are there. `out` takes all channels of the last
        // pixel.
        unsafe {
            self.take_in(first);
            // One word more than nine: columns are taken apart by twos.
            let mut nine = MaybeUninit::<[u32; 10]>::uninit();
            let mut taps = MaybeUninit::<[Four; 2]>::uninit();
            let weights = filters.weights.as_ptr().add(first);
            let nine = nine.as_mut_ptr().cast::<u32>();
            nine.add(9).write(0);
            words(weights, channels, nine, 9);
            take_apart(nine, 3, taps.as_mut_ptr().cast(), 2);
            let from = first + skip;
            let zero = u32::from(i16::from(filters.zero) as u16);
            let mut arguments = Channels {
                triplets: self.triplets.as_ptr().cast::<[u32; 3]>().add(skip),
                weights: taps.as_ptr().cast::<[u32; 3]>().add(skip),
                bias: filters.bias.as_ptr().add(from),
                multiplier: filters.multiplier.as_ptr().add(from),
                shift: filters.shift.as_ptr().add(from),
                zero: zero << 16 | zero,
                half: 2 * i32::from(filters.zero_point) + 1,
                out: out.as_mut_ptr().add(from),
                row,
                step: channels,
                pairs: width / 2,
                odd: width % 2,
                rows,
                channels: 4 - skip,
                saved: MaybeUninit::uninit(),
            };
            match self.view.right {
                1 => dsp.adjacent(&mut arguments),
                _ => dsp.every_other(&mut arguments),
            }
        }
        Some(())
    }

    /// Copies what four channels see and takes it apart.
    ///
    /// # Safety
    /// `first + 4` is at most the number of channels, and the tile has a view.
    #[inline(always)]
    unsafe fn take_in(&mut self, first: usize) {
        let View {
            rows,
            down,
            channels,
            inside,
            ..
        } = self.view;
        let (pitch, triplets) = (self.view.pitch(), self.view.triplets());
        let to = self.words.as_mut_ptr().cast::<u32>();
        let apart = self.triplets.as_mut_ptr().cast::<Four>();
        // SAFETY: `look` has seen that each line has `inside` pixels of all
        // channels and that everything lies in `words` and `triplets`. What is
        // no pixel it has filled with padding.
        unsafe {
            for &(from, at) in self.lines.get_unchecked(..self.count) {
                words(from.add(first), channels, to.byte_add(at), inside);
            }
            if down == 1 {
                take_apart(to, pitch, apart, rows * triplets);
            } else {
                for row in 0..rows {
                    let to = to.add(row * down * pitch);
                    take_apart(to, pitch, apart.add(row * triplets), triplets);
                }
            }
        }
    }
}

/// Copies `count` words of 4 bytes that lie `step` bytes apart.
///
/// # Safety
/// `count` is at least 1; all reads and writes are allowed. The DSP extension
/// exists.
#[inline(always)]
unsafe fn words(from: *const i8, step: usize, to: *mut u32, count: usize) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            cpu!(),
            "lsrs {n}, {n}, #1",
            "bcc 3f",
            "ldr {v}, [{from}]",
            "add {from}, {from}, {step}",
            "str {v}, [{to}], #4",
            "beq 4f",
            "3:",
            "2:",
            "ldr {v}, [{from}]",
            "ldr {w}, [{from}, {step}]",
            "subs {n}, {n}, #1",
            "add {from}, {from}, {step}, lsl #1",
            "strd {v}, {w}, [{to}], #8",
            "bne 2b",
            "4:",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            n = inout(reg) count => _,
            step = in(reg) step,
            v = out(reg) _,
            w = out(reg) _,
            options(nostack),
        );
    }
}

/// Takes `count` pairs of columns of three lines apart, which lie `pitch` words
/// apart.
///
/// # Safety
/// `count` is at least 1, each line has twice as many readable words, `to`
/// takes all. The DSP extension exists.
unsafe fn take_apart(from: *const u32, pitch: usize, to: *mut Four, count: usize) {
    // SAFETY: the caller's. r6 and r7 are restored.
    unsafe {
        asm!(
            cpu!(),
            "push {{r6, r7}}",
            "add r1, r0, r1, lsl #2",
            "rsb r2, r0, r1, lsl #1",
            "2:",
            "ldrd r5, r6, [r0], #8",
            "ldrd r8, r9, [r1], #8",
            "ldrd r10, r11, [r2], #8",
            // Channels 0 and 1 of r5, r6 and r10, channels 2 and 3 of r8, r9 and r11.
            "pkhbt r12, r5, r8, lsl #16",
            "pkhtb r8, r8, r5, asr #16",
            "pkhbt r5, r6, r9, lsl #16",
            "pkhtb r9, r9, r6, asr #16",
            "pkhbt r6, r10, r11, lsl #16",
            "pkhtb r11, r11, r10, asr #16",
            "sxtb16 r7, r12",
            "sxtb16 r10, r5",
            "sxtb16 lr, r6",
            "stm r3!, {{r7, r10, lr}}",
            "sxtb16 r7, r12, ror #8",
            "sxtb16 r10, r5, ror #8",
            "sxtb16 lr, r6, ror #8",
            "stm r3!, {{r7, r10, lr}}",
            "sxtb16 r7, r8",
            "sxtb16 r10, r9",
            "sxtb16 lr, r11",
            "stm r3!, {{r7, r10, lr}}",
            "subs r4, r4, #1",
            "sxtb16 r7, r8, ror #8",
            "sxtb16 r10, r9, ror #8",
            "sxtb16 lr, r11, ror #8",
            "stm r3!, {{r7, r10, lr}}",
            "bne 2b",
            "pop {{r6, r7}}",
            inout("r0") from => _,
            inout("r1") pitch => _,
            out("r2") _,
            inout("r3") to => _,
            inout("r4") count => _,
            out("r5") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("lr") _,
        );
    }
}

/// Arguments of [`Dsp::adjacent`] and [`Dsp::every_other`].
#[repr(C)]
struct Channels {
    triplets: *const [u32; 3],
    weights: *const [u32; 3],
    bias: *const i32,
    multiplier: *const i32,
    shift: *const i8,
    zero: u32,
    half: i32,
    out: *mut i8,
    row: usize,
    step: usize,
    /// Of pixels in a row.
    pairs: usize,
    /// Whether there is one more.
    odd: usize,
    rows: usize,
    channels: usize,
    /// Where the current channel and row begin, and rows to go.
    saved: MaybeUninit<[usize; 2]>,
}

/// All channels of all rows; `$body` makes two pixels. It has the weights in r0
/// to r4, the bias in sp[3] and the triplets at r5, and leaves two sums in r8
/// and r9 and r5 at the next triplets.
macro_rules! channels {
    ($arguments:expr, $($body:literal),*) => {
        asm!(
            cpu!(),
            "push {{r0, r6, r7}}",
            "sub sp, sp, #16",
            // Channel: weights, without their zero point, and what sums are
            // requantised by, at the stack's end.
            "20:",
            "ldr lr, [sp, #16]",
            "ldrd r5, r12, [lr]",
            "ldm r12, {{r0, r1, r3}}",
            "add r10, r12, #48",
            "ldm r10, {{r2, r4, r6}}",
            "ldr r10, [lr, #20]",
            "lsr r4, r3, #16",
            "pkhbt r4, r4, r6, lsl #16",
            "ssub16 r0, r0, r10",
            "ssub16 r1, r1, r10",
            "ssub16 r2, r2, r10",
            "ssub16 r3, r3, r10",
            "ssub16 r4, r4, r10",
            "ldrd r6, r7, [lr, #8]",
            "ldr r8, [lr, #16]",
            "ldr r9, [lr, #24]",
            "ldr r10, [r6], #4",
            "str r10, [sp, #12]",
            "ldr r10, [r7], #4",
            "ldrsb r11, [r8], #1",
            "lsl r10, r10, #1",
            "mvn r11, r11",
            "str r10, [sp]",
            "str r11, [sp, #4]",
            "str r9, [sp, #8]",
            "add r12, r12, #12",
            "add r10, r5, #12",
            "strd r10, r12, [lr]",
            "strd r6, r7, [lr, #8]",
            "str r8, [lr, #16]",
            "ldr r6, [lr, #28]",
            "ldr r10, [lr, #48]",
            "add r7, r6, #1",
            "str r7, [lr, #28]",
            "str r10, [lr, #56]",
            // Row.
            "21:",
            "str r6, [lr, #60]",
            "ldrd r10, r11, [lr, #36]",
            "mov lr, r11",
            "cmp lr, #0",
            "beq 23f",
            "22:",
            $($body,)*
            "ldm sp, {{r7, r11, r12}}",
            "smmlar r8, r8, r7, r8",
            "smmlar r9, r9, r7, r9",
            "add r8, r8, r8, asr #31",
            "add r9, r9, r9, asr #31",
            "asr r8, r8, r11",
            "asr r9, r9, r11",
            "add r8, r8, r12",
            "add r9, r9, r12",
            "ssat r8, #8, r8, asr #1",
            "ssat r9, #8, r9, asr #1",
            "subs lr, lr, #1",
            "strb r9, [r6, r10]",
            "strb r8, [r6]",
            "add r6, r6, r10, lsl #1",
            "bne 22b",
            // One more pixel: a pair that is written to one place.
            "cmp r10, #0",
            "beq 24f",
            "23:",
            "ldr lr, [sp, #16]",
            "ldr lr, [lr, #44]",
            "mov r10, #0",
            "cmp lr, #0",
            "bne 22b",
            "24:",
            "ldr lr, [sp, #16]",
            "ldr r6, [lr, #60]",
            "ldr r7, [lr, #32]",
            "ldr r10, [lr, #56]",
            "add r5, r5, #48",
            "add r6, r6, r7",
            "subs r10, r10, #1",
            "str r10, [lr, #56]",
            "bne 21b",
            "ldr r10, [lr, #52]",
            "subs r10, r10, #1",
            "str r10, [lr, #52]",
            "bne 20b",
            "add sp, sp, #16",
            "pop {{r0, r6, r7}}",
            inout("r0") $arguments => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("lr") _,
        )
    };
}

impl Dsp {
    /// Where neighbouring pixels see neighbouring columns: two of them share
    /// the two triplets that they see.
    ///
    /// # Safety
    /// At least one channel, row and pixel. Weights, biases, multipliers and
    /// shifts are there for all channels; triplets for all rows, one more than
    /// there are pairs of pixels in each; `out` takes all.
    #[inline(never)]
    unsafe fn adjacent(self, arguments: &mut Channels) {
        // SAFETY: the caller's. r6 and r7 are restored.
        unsafe {
            channels!(
                &raw mut *arguments,
                "ldr r8, [sp, #12]",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "smlad r9, r11, r0, r8",
                "smlad r8, r7, r0, r8",
                "smlad r8, r11, r1, r8",
                "smlad r8, r12, r3, r8",
                "smlatb r9, r12, r3, r9",
                "ldm r5, {{r7, r11, r12}}",
                "smlad r9, r7, r1, r9",
                "smlad r8, r7, r2, r8",
                "smlad r9, r11, r2, r9",
                "smlabt r8, r12, r4, r8",
                "smlad r9, r12, r4, r9"
            );
        }
    }

    /// Where neighbouring pixels see every other column.
    ///
    /// # Safety
    /// As [`Self::adjacent`], with one more triplet than twice the pairs.
    #[inline(never)]
    unsafe fn every_other(self, arguments: &mut Channels) {
        // SAFETY: the caller's. r6 and r7 are restored.
        unsafe {
            channels!(
                &raw mut *arguments,
                "ldr r8, [sp, #12]",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "mov r9, r8",
                "smlad r8, r7, r0, r8",
                "smlad r8, r11, r1, r8",
                "smlad r8, r12, r3, r8",
                "ldm r5, {{r7, r11, r12}}",
                "add r5, r5, #48",
                "smlad r8, r7, r2, r8",
                "smlabt r8, r12, r4, r8",
                "smlad r9, r7, r0, r9",
                "smlad r9, r11, r1, r9",
                "smlad r9, r12, r3, r9",
                "ldr r7, [r5]",
                "ldr r12, [r5, #8]",
                "smlad r9, r7, r2, r9",
                "smlabt r9, r12, r4, r9"
            );
        }
    }
}
