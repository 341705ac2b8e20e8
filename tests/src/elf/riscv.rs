//! RV32IC branches: The RISC-V Instruction Set Manual, volume I, chapters
//! "RV32I" and "C".

use super::Flow;

/// Return address.
const RA: u32 = 1;

/// The last `auipc`: its register and what it held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper(Option<(u32, u64)>);

/// Bits `from..from + count` of `word`, moved to `to`.
const fn bits(word: u32, from: u32, count: u32, to: u32) -> u32 {
    (word >> from & ((1 << count) - 1)) << to
}

/// `value`, whose bit `size - 1` is the sign, added to an address.
fn target(at: u64, value: u32, size: u32) -> u64 {
    let shift = 32 - size;
    let offset = ((value << shift) as i32) >> shift;
    u64::from((at as u32).wrapping_add_signed(offset))
}

impl Upper {
    /// Length and flow of the instruction that begins with `first`.
    pub fn flow(&mut self, at: u64, first: u16, second: u16) -> (usize, Flow) {
        let before = self.0.take();
        if first & 3 != 3 {
            return (2, short(at, u32::from(first)));
        }
        let word = u32::from(second) << 16 | u32::from(first);
        let (register, source) = (bits(word, 7, 5, 0), bits(word, 15, 5, 0));
        let flow = match word & 0x7f {
            // AUIPC
            0b001_0111 => {
                self.0 = Some((
                    register,
                    u64::from((at as u32).wrapping_add(word & 0xffff_f000)),
                ));
                Flow::On
            }
            // JAL
            0b110_1111 => {
                let offset = bits(word, 21, 10, 1)
                    | bits(word, 20, 1, 11)
                    | bits(word, 12, 8, 12)
                    | bits(word, 31, 1, 20);
                go(register, target(at, offset, 21))
            }
            // JALR
            0b110_0111 => match before {
                Some((held, base)) if held == source => go(register, target(base, word >> 20, 12)),
                _ if register == 0 && source == RA => Flow::On,
                _ => Flow::Register,
            },
            // BEQ and its like
            0b110_0011 => {
                let offset = bits(word, 8, 4, 1)
                    | bits(word, 25, 6, 5)
                    | bits(word, 7, 1, 11)
                    | bits(word, 31, 1, 12);
                Flow::Jump(target(at, offset, 13))
            }
            _ => Flow::On,
        };
        (4, flow)
    }
}

/// A jump that leaves a way back is a call.
const fn go(register: u32, address: u64) -> Flow {
    match register {
        0 => Flow::Jump(address),
        _ => Flow::Call(address),
    }
}

fn short(at: u64, word: u32) -> Flow {
    let far = bits(word, 3, 3, 1)
        | bits(word, 11, 1, 4)
        | bits(word, 2, 1, 5)
        | bits(word, 7, 1, 6)
        | bits(word, 6, 1, 7)
        | bits(word, 9, 2, 8)
        | bits(word, 8, 1, 10)
        | bits(word, 12, 1, 11);
    let near = bits(word, 3, 2, 1)
        | bits(word, 10, 2, 3)
        | bits(word, 2, 1, 5)
        | bits(word, 5, 2, 6)
        | bits(word, 12, 1, 8);
    let register = bits(word, 7, 5, 0);
    match (word & 3, word >> 13) {
        (1, 0b001) => Flow::Call(target(at, far, 12)),
        (1, 0b101) => Flow::Jump(target(at, far, 12)),
        (1, 0b110 | 0b111) => Flow::Jump(target(at, near, 9)),
        // C.JR and C.JALR; C.JR ra returns, C.EBREAK has no register.
        (2, 0b100) if word & 0x7c == 0 && register != 0 => match (word >> 12 & 1, register) {
            (0, RA) => Flow::On,
            _ => Flow::Register,
        },
        _ => Flow::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: u32) -> (usize, Flow) {
        Upper::default().flow(0x8000_1000, word as u16, (word >> 16) as u16)
    }

    /// Words and targets as LLVM's assembler and disassembler have them.
    #[test]
    fn branches() {
        // jal 0x80000ff0, j 0x80001800, beq a0, a1, 0x80000f00, ret, jalr a0
        assert_eq!(one(0xff1f_f0ef), (4, Flow::Call(0x8000_0ff0)));
        assert_eq!(one(0x0010_006f), (4, Flow::Jump(0x8000_1800)));
        assert_eq!(one(0xf0b5_00e3), (4, Flow::Jump(0x8000_0f00)));
        assert_eq!(one(0x0000_8067), (4, Flow::On));
        assert_eq!(one(0x0005_00e7), (4, Flow::Register));
        // c.jal 0x80001010, c.j 0x80000ff0, c.beqz a0, 0x80001010, c.jr ra, c.jalr a0, c.ebreak
        assert_eq!(one(0x2801), (2, Flow::Call(0x8000_1010)));
        assert_eq!(one(0xbfc5), (2, Flow::Jump(0x8000_0ff0)));
        assert_eq!(one(0xc901), (2, Flow::Jump(0x8000_1010)));
        assert_eq!(one(0x8082), (2, Flow::On));
        assert_eq!(one(0x9502), (2, Flow::Register));
        assert_eq!(one(0x9002), (2, Flow::On));
        let mut upper = Upper::default();
        // auipc ra, 0x2; jalr ra, -0x10(ra)
        assert_eq!(upper.flow(0x8000_1000, 0x2097, 0x0000), (4, Flow::On));
        assert_eq!(
            upper.flow(0x8000_1004, 0x80e7, 0xff00),
            (4, Flow::Call(0x8000_2ff0))
        );
    }
}
