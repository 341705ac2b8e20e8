//! Sums of multiples of rows of weights.

use super::{Arguments, EMPTY, Run, Tap, arguments, table};
use core::arch::asm;

pub fn add_multiples<const N: usize>(
    run: Run,
    target: &mut [f32],
    taps: &[Tap<'_>],
    (count, lanes): (usize, usize),
) -> Option<()> {
    let mut room = EMPTY;
    let mut of = arguments(run, target, table(&mut room, taps)?, (count / 4, lanes));
    of.rest = count % 4;
    // SAFETY: the function around found room for all factors of every
    // pixel, at least one, in every source, for as many rows of N weights,
    // and for `lanes` elements of every pixel in the target.
    unsafe {
        match (N, lanes) {
            (16, _) => sixteen(&mut of),
            (8, _) => eight(&mut of),
            (4, 3) => three(&mut of),
            (4, _) => four(&mut of),
            _ => return None,
        }
    }
    Some(())
}

/// Goes on behind a row of weights if its factor is +0. CBZ is shorter but
/// does not reach over sixteen sums.
macro_rules! skip {
    (near $factor:literal $label:literal) => {
        concat!("cbz ", $factor, ", ", $label, "f\n")
    };
    (far $factor:literal $label:literal) => {
        concat!("cmp ", $factor, ", #0\nbeq ", $label, "f\n")
    };
}

/// Four rows of weights, each left out if its factor is +0.
macro_rules! rows {
    ($far:ident, $bytes:literal, $body:expr) => {
        concat!(
            skip!($far "r0" "71"),
            "vmov s31, r0\nmov r12, r5\n",
            $body,
            "71:\n",
            skip!($far "r1" "72"),
            "vmov s31, r1\nadd r12, r5, #", $bytes, "\n",
            $body,
            "72:\n",
            skip!($far "r2" "73"),
            "vmov s31, r2\nadd r12, r5, #2*", $bytes, "\n",
            $body,
            "73:\n",
            skip!($far "r3" "74"),
            "vmov s31, r3\nadd r12, r5, #3*", $bytes, "\n",
            $body,
            "74:\n",
        )
    };
}

/// Goes on behind four rows of weights if all their factors are +0.
macro_rules! skip_four {
    (near) => {
        ""
    };
    (far) => {
        "orr r12, r0, r1
        orr r12, r12, r2
        orrs r12, r12, r3
        beq 74f"
    };
}

/// A function that adds multiples of rows of so many f32 to as many sums.
macro_rules! multiples {
    ($name:ident, $far:ident, $lanes:literal, $bytes:literal, $sums:literal, $body:expr, $whole:expr) => {
        /// # Safety
        /// As [`Arguments`] say, every pixel reads 4 * `count` + `rest` factors
        /// of each tap and adds to `lanes` elements; there is at least one four
        /// and one of all others.
        unsafe fn $name(of: &mut Arguments) {
            // SAFETY: as stated. f32 lie on multiples of 4; LDRD needs no more.
            unsafe {
                asm!(
                    "vpush {{s0-s31}}",
                    "2:",
                    "ldr r0, [r10, #36]",
                    concat!("vldm r0, ", $sums),
                    "ldrd r9, r11, [r10]",
                    "ldr lr, [r10, #40]",
                    "3:",
                    "ldrd r4, r5, [r9], #8",
                    "ldr r0, [r10, #12]",
                    "add r4, r4, r0",
                    "ldr r8, [r10, #20]",
                    "4:",
                    "ldrd r0, r1, [r4], #8",
                    "ldrd r2, r3, [r4], #8",
                    skip_four!($far),
                    rows!($far, $bytes, $body),
                    concat!("add r5, r5, #4*", $bytes),
                    "subs r8, r8, #1",
                    "bne 4b",
                    "cmp lr, #0",
                    "bne 10f",
                    "6:",
                    "cmp r9, r11",
                    "bne 3b",
                    "ldr r12, [r10, #8]",
                    "ldr r8, [r10, #32]",
                    concat!("cmp r8, #", $lanes),
                    "bne 7f",
                    $whole,
                    "b 9f",
                    "7:",
                    "add r0, r10, #44",
                    concat!("vstm r0, ", $sums),
                    "mov r1, r12",
                    "8:",
                    "vldmia r0!, {{s16}}",
                    "vldr s17, [r1]",
                    "vadd.f32 s17, s17, s16",
                    "vstmia r1!, {{s17}}",
                    "subs r8, r8, #1",
                    "bne 8b",
                    "9:",
                    "ldr r0, [r10, #28]",
                    "add r12, r12, r0",
                    "str r12, [r10, #8]",
                    "ldr r0, [r10, #12]",
                    "ldr r1, [r10, #24]",
                    "add r0, r0, r1",
                    "str r0, [r10, #12]",
                    "ldr r8, [r10, #16]",
                    "subs r8, r8, #1",
                    "str r8, [r10, #16]",
                    "bne 2b",
                    "b 13f",
                    "10:",
                    "mov r8, lr",
                    "11:",
                    "ldr r0, [r4], #4",
                    "cmp r0, #0",
                    "beq 12f",
                    "vmov s31, r0",
                    "mov r12, r5",
                    $body,
                    "12:",
                    concat!("add r5, r5, #", $bytes),
                    "subs r8, r8, #1",
                    "bne 11b",
                    "b 6b",
                    "13:",
                    "vpop {{s0-s31}}",
                    in("r10") of,
                    out("r0") _,
                    out("r1") _,
                    out("r2") _,
                    out("r3") _,
                    out("r4") _,
                    out("r5") _,
                    out("r8") _,
                    out("r9") _,
                    out("r11") _,
                    out("r12") _,
                    out("lr") _,
                );
            }
        }
    };
}

/// Eight sums.
macro_rules! eight {
    ($a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal) => {
        concat!(
            "vldmia r12!, {{s16-s23}}\n",
            "vmul.f32 s16, s16, s31\n",
            "vmul.f32 s17, s17, s31\n",
            "vmul.f32 s18, s18, s31\n",
            "vmul.f32 s19, s19, s31\n",
            "vmul.f32 s20, s20, s31\n",
            "vmul.f32 s21, s21, s31\n",
            "vmul.f32 s22, s22, s31\n",
            "vmul.f32 s23, s23, s31\n",
            "vadd.f32 ",
            $a,
            ", ",
            $a,
            ", s16\n",
            "vadd.f32 ",
            $b,
            ", ",
            $b,
            ", s17\n",
            "vadd.f32 ",
            $c,
            ", ",
            $c,
            ", s18\n",
            "vadd.f32 ",
            $d,
            ", ",
            $d,
            ", s19\n",
            "vadd.f32 ",
            $e,
            ", ",
            $e,
            ", s20\n",
            "vadd.f32 ",
            $f,
            ", ",
            $f,
            ", s21\n",
            "vadd.f32 ",
            $g,
            ", ",
            $g,
            ", s22\n",
            "vadd.f32 ",
            $h,
            ", ",
            $h,
            ", s23\n"
        )
    };
}

multiples!(
    sixteen,
    far,
    "16",
    "64",
    "{{s0-s15}}",
    concat!(
        eight!("s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"),
        eight!("s8" "s9" "s10" "s11" "s12" "s13" "s14" "s15")
    ),
    concat!(
        whole!("r0" "r12" "0": "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"),
        whole!("r0" "r12" "32": "s8" "s9" "s10" "s11" "s12" "s13" "s14" "s15")
    )
);
multiples!(
    eight,
    near,
    "8",
    "32",
    "{{s0-s7}}",
    eight!("s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"),
    whole!("r0" "r12" "0": "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7")
);
multiples!(
    four,
    near,
    "4",
    "16",
    "{{s0-s3}}",
    concat!(
        "vldm r12, {{s16-s19}}\n",
        "vmul.f32 s16, s16, s31\n",
        "vmul.f32 s17, s17, s31\n",
        "vmul.f32 s18, s18, s31\n",
        "vmul.f32 s19, s19, s31\n",
        "vadd.f32 s0, s0, s16\n",
        "vadd.f32 s1, s1, s17\n",
        "vadd.f32 s2, s2, s18\n",
        "vadd.f32 s3, s3, s19\n"
    ),
    concat!(
        "vldm r12, {{s16-s19}}\n",
        "vadd.f32 s16, s16, s0\n",
        "vadd.f32 s17, s17, s1\n",
        "vadd.f32 s18, s18, s2\n",
        "vadd.f32 s19, s19, s3\n",
        "vstm r12, {{s16-s19}}\n"
    )
);
// Of four weights, the last is none.
multiples!(
    three,
    near,
    "3",
    "16",
    "{{s0-s2}}",
    concat!(
        "vldm r12, {{s16-s18}}\n",
        "vmul.f32 s16, s16, s31\n",
        "vmul.f32 s17, s17, s31\n",
        "vmul.f32 s18, s18, s31\n",
        "vadd.f32 s0, s0, s16\n",
        "vadd.f32 s1, s1, s17\n",
        "vadd.f32 s2, s2, s18\n"
    ),
    concat!(
        "vldm r12, {{s16-s18}}\n",
        "vadd.f32 s16, s16, s0\n",
        "vadd.f32 s17, s17, s1\n",
        "vadd.f32 s18, s18, s2\n",
        "vstm r12, {{s16-s18}}\n"
    )
);
