//! Words of four channels: gathered, and taken apart.

use super::Four;
use core::arch::asm;

/// Copies `count` words of 4 bytes that lie `step` bytes apart.
///
/// # Safety
/// `count` is at least 1; all reads and writes are allowed. The DSP extension
/// exists.
#[inline(always)]
pub(super) unsafe fn words(from: *const i8, step: usize, to: *mut u32, count: usize) {
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
pub(super) unsafe fn take_apart(from: *const u32, pitch: usize, to: *mut Four, count: usize) {
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
