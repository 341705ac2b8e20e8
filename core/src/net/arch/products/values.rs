//! Clearing, gating and widening on Arm with a floating-point unit; see
//! [`super::unit`] for the registers.

use super::Stored;
use core::arch::asm;

/// Sets sixteen at a time to 0.
pub fn clear(values: &mut [f32]) -> usize {
    let (sixteens, _) = values.as_chunks_mut::<16>();
    if sixteens.is_empty() {
        return 0;
    }
    // SAFETY: `sixteens` times 16 f32 are written from its first on, at least one.
    unsafe {
        asm!(
            "vpush {{s0-s15}}",
            "vmov s0, s1, {zero}, {zero}",
            "vmov s2, s3, {zero}, {zero}",
            "vmov s4, s5, {zero}, {zero}",
            "vmov s6, s7, {zero}, {zero}",
            "vmov s8, s9, {zero}, {zero}",
            "vmov s10, s11, {zero}, {zero}",
            "vmov s12, s13, {zero}, {zero}",
            "vmov s14, s15, {zero}, {zero}",
            "2:",
            "vstmia {to}!, {{s0-s15}}",
            "subs {left}, {left}, #1",
            "bne 2b",
            "vpop {{s0-s15}}",
            zero = in(reg) 0,
            to = inout(reg) sixteens.as_mut_ptr() => _,
            left = inout(reg) sixteens.len() => _,
        );
    }
    sixteens.len() * 16
}

/// Text for each of some registers, between two parts of it. Written out: the
/// compiler counts lines to know how long a block is.
macro_rules! each {
    ($before:literal, $after:literal: $($register:literal)*) => {
        concat!($($before, $register, $after),*)
    };
    ($before:literal, $between:literal, $after:literal: $($register:literal)*) => {
        concat!($($before, $register, $between, $register, $after),*)
    };
}

/// Eight gradients a byte of `bits`, each with its own body.
macro_rules! gates {
    ($name:ident, $each:expr) => {
        /// # Safety
        /// There are 8 gradients from `to` on for each of the bytes from
        /// `bits` to `end`, at least one.
        unsafe fn $name(to: *mut [f32; 8], bits: *const u8, end: *const u8) {
            // SAFETY: as stated. Bits lie, inverted, at the upper end of
            // lr; doubled, it is positive where the upper one is 0: a bit
            // that never leaves keeps it from being 0.
            unsafe {
                asm!(
                    "2:",
                    "ldrb lr, [r11], #1",
                    "cmp lr, #0",
                    "beq 3f",
                    "ldm r10, {{r0-r5, r8, r9}}",
                    "mvn lr, lr",
                    "lsl lr, lr, #24",
                    "orr lr, lr, #1",
                    $each,
                    "stmia r10!, {{r0-r5, r8, r9}}",
                    "cmp r11, r12",
                    "bne 2b",
                    "b 4f",
                    "3:",
                    each!("mov ", ", #0\n": "r0" "r1" "r2" "r3" "r4" "r5" "r8" "r9"),
                    "stmia r10!, {{r0-r5, r8, r9}}",
                    "cmp r11, r12",
                    "bne 2b",
                    "4:",
                    inout("r10") to => _,
                    inout("r11") bits => _,
                    in("r12") end,
                    out("r0") _, out("r1") _, out("r2") _, out("r3") _,
                    out("r4") _, out("r5") _, out("r8") _, out("r9") _,
                    out("lr") _,
                );
            }
        }
    };
}

gates!(
    of_gradients,
    each!("adds lr, lr, lr\nit le\nmovle ", ", #0\n": "r9" "r8" "r5" "r4" "r3" "r2" "r1" "r0")
);
// As integers, -infinity to -0 and all that lies above are told apart by one
// comparison with signs: the former are least.
gates!(
    of_positive_gradients,
    each!(
        "adds lr, lr, lr\nite gt\ncmngt ", ", #0x800000\nmovle ", ", #0\n":
        "r9" "r8" "r5" "r4" "r3" "r2" "r1" "r0"
    )
);

pub fn close(gradients: &mut [[f32; 8]], bits: &[u8], only_positive: bool) -> Option<()> {
    let range = bits.get(..gradients.len())?.as_ptr_range();
    let to = gradients.as_mut_ptr();
    // SAFETY: there is a byte for every eight gradients; the function around
    // has seen that there are some.
    unsafe {
        if only_positive {
            of_positive_gradients(to, range.start, range.end);
        } else {
            of_gradients(to, range.start, range.end);
        }
    }
    Some(())
}

/// Eight at a time.
pub fn add_multiple(from: &[f32], factor: f32, to: &mut [f32]) -> usize {
    let eights = from.len().min(to.len()) / 8;
    if eights == 0 {
        return 0;
    }
    // SAFETY: both slices have 8 elements for every one of `eights`, which is
    // not 0.
    unsafe {
        asm!(
            "vpush {{s0-s16}}",
            "vmov s16, {factor}",
            "2:",
            "vldmia {from}!, {{s0-s7}}",
            "vldm {to}, {{s8-s15}}",
            each!("vmul.f32 ", ", ", ", s16\n": "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"),
            "vadd.f32 s8, s8, s0",
            "vadd.f32 s9, s9, s1",
            "vadd.f32 s10, s10, s2",
            "vadd.f32 s11, s11, s3",
            "vadd.f32 s12, s12, s4",
            "vadd.f32 s13, s13, s5",
            "vadd.f32 s14, s14, s6",
            "vadd.f32 s15, s15, s7",
            "vstmia {to}!, {{s8-s15}}",
            "subs {left}, {left}, #1",
            "bne 2b",
            "vpop {{s0-s16}}",
            factor = in(reg) factor.to_bits(),
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            left = inout(reg) eights => _,
        );
    }
    eights * 8
}

/// Four stored weights from `$at` on, as integers in four registers.
macro_rules! four {
    ($at:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ldrsb {x}, [{from}, #",
            $at,
            "]\n",
            "ldrsb {y}, [{from}, #",
            $at,
            "+1]\n",
            "ldrsb {z}, [{from}, #",
            $at,
            "+2]\n",
            "ldrsb {t}, [{from}, #",
            $at,
            "+3]\n",
            "vmov ",
            $a,
            ", ",
            $b,
            ", {x}, {y}\n",
            "vmov ",
            $c,
            ", ",
            $d,
            ", {z}, {t}\n",
        )
    };
}

/// A function that widens rows of so many weights.
macro_rules! rows {
    ($name:ident, $registers:literal, $load:expr, $($all:literal)*) => {
        /// # Safety
        /// All rows that `stored` and the steps say can be read from its weights
        /// and written from `out` on; there is at least one.
        unsafe fn $name(stored: Stored<'_>, scale: f32, out: *mut f32, step: usize) {
            // SAFETY: as stated.
            unsafe {
                asm!(
                    "vpush {{s0-s16}}",
                    "vmov s16, {x}",
                    "2:",
                    $load,
                    each!("vcvt.f32.s32 ", ", ", "\n": $($all)*),
                    each!("vmul.f32 ", ", ", ", s16\n": $($all)*),
                    concat!("vstm {out}, ", $registers),
                    "add {from}, {from}, {from_step}",
                    "add {out}, {out}, {out_step}",
                    "subs {rows}, {rows}, #1",
                    "bne 2b",
                    "vpop {{s0-s16}}",
                    from = inout(reg) stored.weights.as_ptr() => _,
                    from_step = in(reg) stored.step,
                    out = inout(reg) out => _,
                    out_step = in(reg) step * 4,
                    rows = inout(reg) stored.rows => _,
                    x = inout(reg) scale.to_bits() => _,
                    y = out(reg) _,
                    z = out(reg) _,
                    t = out(reg) _,
                );
            }
        }
    };
}

rows!(
    sixteen,
    "{{s0-s15}}",
    concat!(
        four!("0", "s0", "s1", "s2", "s3"),
        four!("4", "s4", "s5", "s6", "s7"),
        four!("8", "s8", "s9", "s10", "s11"),
        four!("12", "s12", "s13", "s14", "s15"),
    ),
    "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7" "s8" "s9" "s10" "s11" "s12" "s13" "s14" "s15"
);
rows!(
    eight,
    "{{s0-s7}}",
    concat!(
        four!("0", "s0", "s1", "s2", "s3"),
        four!("4", "s4", "s5", "s6", "s7"),
    ),
    "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"
);
rows!(
    four,
    "{{s0-s3}}",
    four!("0", "s0", "s1", "s2", "s3"),
    "s0" "s1" "s2" "s3"
);

pub fn widen<const N: usize>(
    stored: Stored<'_>,
    scale: f32,
    out: &mut [[f32; N]],
    step: usize,
) -> Option<()> {
    let out = out.as_mut_ptr().cast::<f32>();
    // SAFETY: the function around has seen that all rows of N fit.
    unsafe {
        match N {
            16 => sixteen(stored, scale, out, step * N),
            8 => eight(stored, scale, out, step * N),
            4 => four(stored, scale, out, step * N),
            _ => return None,
        }
    }
    Some(())
}

/// Eight at a time.
pub fn scale(stored: &[i8], scales: Option<&[f32]>, values: &mut [f32]) -> usize {
    let most = scales.map_or(values.len(), <[f32]>::len);
    let eights = stored.len().min(values.len()).min(most) / 8;
    if eights == 0 {
        return 0;
    }
    let to = values.as_mut_ptr();
    let scales = scales.map_or(to.cast_const(), <[f32]>::as_ptr);
    // SAFETY: each slice has 8 elements for every one of `eights`, which is not
    // 0; where scales are the values themselves, they are read before they are
    // written over.
    unsafe {
        asm!(
            "vpush {{s0-s15}}",
            "2:",
            four!("0", "s0", "s1", "s2", "s3"),
            four!("4", "s4", "s5", "s6", "s7"),
            "vldmia {scales}!, {{s8-s15}}",
            each!("vcvt.f32.s32 ", ", ", "\n": "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"),
            "vmul.f32 s0, s0, s8",
            "vmul.f32 s1, s1, s9",
            "vmul.f32 s2, s2, s10",
            "vmul.f32 s3, s3, s11",
            "vmul.f32 s4, s4, s12",
            "vmul.f32 s5, s5, s13",
            "vmul.f32 s6, s6, s14",
            "vmul.f32 s7, s7, s15",
            "vstmia {to}!, {{s0-s7}}",
            "add {from}, {from}, #8",
            "subs {left}, {left}, #1",
            "bne 2b",
            "vpop {{s0-s15}}",
            from = inout(reg) stored.as_ptr() => _,
            scales = inout(reg) scales => _,
            to = inout(reg) to => _,
            left = inout(reg) eights => _,
            x = out(reg) _,
            y = out(reg) _,
            z = out(reg) _,
            t = out(reg) _,
        );
    }
    eights * 8
}
