//! Bytes limited, four at a time.

use super::Dsp;
use core::arch::asm;

impl Dsp {
    /// Limits values to `low..=high`.
    pub fn limit(self, [low, high]: [i8; 2], values: &mut [i8]) {
        let (words, rest) = values.as_chunks_mut::<4>();
        let four = |v: i8| u32::from_ne_bytes([v as u8; 4]);
        if !words.is_empty() {
            // SAFETY: as many words as there are, at least one, in any
            // alignment. SSUB8 sets a flag for each byte whose difference is
            // not negative, SEL takes the first operand's byte where it is set.
            unsafe {
                asm!(
                    cpu!(),
                    "2:",
                    "ldr {v}, [{at}]",
                    "subs {n}, {n}, #1",
                    "ssub8 {t}, {v}, {low}",
                    "sel {v}, {v}, {low}",
                    "ssub8 {t}, {high}, {v}",
                    "sel {v}, {v}, {high}",
                    "str {v}, [{at}], #4",
                    "bne 2b",
                    at = inout(reg) words.as_mut_ptr() => _,
                    n = inout(reg) words.len() => _,
                    low = in(reg) four(low),
                    high = in(reg) four(high),
                    v = out(reg) _,
                    t = out(reg) _,
                    options(nostack),
                );
            }
        }
        for v in rest {
            *v = if *v > low { *v } else { low };
            *v = if *v < high { *v } else { high };
        }
    }
}
