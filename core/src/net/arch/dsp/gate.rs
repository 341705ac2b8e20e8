//! Which of many int8 lie inside a range.

use super::Dsp;
use core::arch::asm;

impl Dsp {
    /// One bit a value, from the least on: whether it is less than `steps`
    /// above `least`, in the numbers modulo 256. There must be a byte for
    /// every eight values.
    pub fn inside(
        self,
        values: &[[i8; 8]],
        [least, steps]: [u8; 2],
        bits: &mut [u8],
    ) -> Option<()> {
        let bits = bits.get_mut(..values.len())?.as_mut_ptr_range();
        if values.is_empty() {
            return Some(());
        }
        let four = |byte: u8| u32::from_ne_bytes([byte; 4]);
        // SAFETY: each of the bytes, at least one, goes with eight values.
        // USUB8 says in GE which bytes do not fall below 0; SEL takes nothing
        // for these and the place of the others' bits, which USADA8 adds up.
        unsafe {
            asm!(
                cpu!(),
                "2:",
                "ldr {a}, [{from}], #4",
                "ldr {b}, [{from}], #4",
                "usub8 {a}, {a}, {least}",
                "usub8 {b}, {b}, {least}",
                "usub8 {a}, {a}, {steps}",
                "sel {a}, {zero}, {low}",
                "usub8 {b}, {b}, {steps}",
                "sel {b}, {zero}, {high}",
                "usad8 {a}, {a}, {zero}",
                "usada8 {a}, {b}, {zero}, {a}",
                "strb {a}, [{to}], #1",
                "cmp {to}, {end}",
                "bne 2b",
                a = out(reg) _,
                b = out(reg) _,
                from = inout(reg) values.as_ptr() => _,
                to = inout(reg) bits.start => _,
                end = in(reg) bits.end,
                least = in(reg) four(least),
                steps = in(reg) four(steps),
                zero = in(reg) 0,
                low = in(reg) 0x0804_0201,
                high = in(reg) 0x8040_2010_u32,
            );
        }
        Some(())
    }
}
