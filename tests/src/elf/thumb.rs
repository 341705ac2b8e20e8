//! Thumb branches: Armv7-M Architecture Reference Manual, A5.2, A5.3 and A7.7.

use super::Flow;

/// Length and flow of the instruction that begins with `first`.
pub fn flow(at: u64, first: u16, second: u16) -> (usize, Flow) {
    match first >> 11 {
        0b11101..=0b11111 => (4, long(at, u64::from(first), u64::from(second))),
        _ => (2, short(at, u64::from(first))),
    }
}

/// `value`, whose bit `bits - 1` is the sign, added to the program counter.
fn target(at: u64, value: u64, bits: u32) -> u64 {
    let shift = 64 - bits;
    let offset = ((value << shift) as i64) >> shift;
    at.wrapping_add(4).wrapping_add_signed(offset) & 0xffff_ffff
}

fn short(at: u64, word: u64) -> Flow {
    match word {
        // B, conditional; 14 and 15 are UDF and SVC.
        _ if word >> 12 == 0b1101 && (word >> 8 & 15) < 14 => {
            Flow::Jump(target(at, (word & 0xff) << 1, 9))
        }
        _ if word >> 11 == 0b11100 => Flow::Jump(target(at, (word & 0x7ff) << 1, 12)),
        // CBZ, CBNZ: forward only.
        _ if word & 0xf500 == 0xb100 => {
            let offset = (word >> 9 & 1) << 6 | (word >> 3 & 31) << 1;
            Flow::Jump(at + 4 + offset)
        }
        // BX LR returns.
        0x4770 => Flow::On,
        _ if word & 0xff00 == 0x4700 => Flow::Register,
        _ => Flow::On,
    }
}

fn long(at: u64, first: u64, second: u64) -> Flow {
    if first >> 11 != 0b11110 || second >> 15 == 0 {
        return Flow::On;
    }
    let (sign, j1, j2) = (first >> 10 & 1, second >> 13 & 1, second >> 11 & 1);
    let low = (second & 0x7ff) << 1;
    let far = || {
        let (i1, i2) = (1 ^ j1 ^ sign, 1 ^ j2 ^ sign);
        target(
            at,
            sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | low,
            25,
        )
    };
    match (second >> 14 & 1, second >> 12 & 1) {
        (1, 1) => Flow::Call(far()),
        (0, 1) => Flow::Jump(far()),
        // Conditional B; 14 and 15 are other instructions.
        (0, 0) if (first >> 6 & 15) < 14 => {
            let offset = sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3f) << 12 | low;
            Flow::Jump(target(at, offset, 21))
        }
        _ => Flow::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes and targets as LLVM's assembler and disassembler have them.
    #[test]
    fn branches() {
        // 8040: bl 0x8000 / 8040: b.w 0x9000 / 8040: bne.w 0x8000
        assert_eq!(flow(0x8040, 0xf7ff, 0xffde), (4, Flow::Call(0x8000)));
        assert_eq!(flow(0x8040, 0xf000, 0xbfde), (4, Flow::Jump(0x9000)));
        assert_eq!(flow(0x8040, 0xf47f, 0xafde), (4, Flow::Jump(0x8000)));
        // b 0x8040 (to itself), beq 0x8046, cbz r0, 0x8048, bx lr, blx r3
        assert_eq!(flow(0x8040, 0xe7fe, 0), (2, Flow::Jump(0x8040)));
        assert_eq!(flow(0x8040, 0xd001, 0), (2, Flow::Jump(0x8046)));
        assert_eq!(flow(0x8040, 0xb110, 0), (2, Flow::Jump(0x8048)));
        assert_eq!(flow(0x8040, 0x4770, 0), (2, Flow::On));
        assert_eq!(flow(0x8040, 0x4798, 0), (2, Flow::Register));
        // mrs r0, primask and movw r0, #1 do not branch.
        assert_eq!(flow(0x8040, 0xf3ef, 0x8010), (4, Flow::On));
        assert_eq!(flow(0x8040, 0xf240, 0x0001), (4, Flow::On));
    }
}
