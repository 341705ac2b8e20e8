//! An Ethos-U as its manual describes it from outside: registers, states, an
//! interrupt. It panics where a driver breaks a rule, and computes by a
//! reference that the test gives.

use foveola::accelerate::file;
use foveola::aligned::AlignedBytes;
use foveola_core::accelerator::ethos_u::{Lent, Registers, Settings};
use foveola_core::accelerator::program::{Facts, Scores};
use foveola_core::net::quant::Quantisation;
use foveola_core::{Normalisation, Shape};

/// CONFIG of an Ethos-U55 with 128 multipliers, and its ID: architecture 1.0.6,
/// product 4 (`ethos_u55_regs.py` of vela 5.2.0).
pub const CONFIG: u32 = 0x1807;
pub const ID: u32 = 0x1006_4000;
/// An operation, a register with its 32-bit value, the stop.
pub const COMMANDS: [u32; 4] = [0x0007_0105, 0x4030, 0x1234, 0xFFFF_0000];

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    Bus,
    Parse,
    Watchdog,
    Ecc,
    /// An interrupt in the middle of the stream.
    Early,
    /// No interrupt ever.
    Hangs,
    /// The interrupt cannot be acknowledged.
    Sticks,
    /// The reset goes on for ever.
    Resets,
    /// The level of protection does not change.
    Open,
    /// The power goes off while nothing runs, and registers with it.
    Forgets,
}

/// The network: stored input to stored output.
pub type Reference<'r> = Box<dyn FnMut(&[u8]) -> Vec<u8> + 'r>;

pub struct Mock<'r> {
    pub config: u32,
    pub id: u32,
    pub plant: Plant,
    /// Every write: offset, value.
    pub written: Vec<(u32, u32)>,
    /// Runs that ended well.
    pub runs: usize,
    facts: Facts,
    stream: usize,
    reference: Reference<'r>,
    registers: [u32; 64],
    status: u32,
    resets_for: u32,
    runs_for: Option<u32>,
    /// Written since the last reset: what a run needs.
    set: Vec<u32>,
}

fn word(offset: u32) -> usize {
    assert!(
        offset.is_multiple_of(4) && offset < 0x100,
        "register {offset:#x}"
    );
    offset as usize / 4
}

impl<'r> Mock<'r> {
    pub fn new(facts: Facts, stream: usize, reference: Reference<'r>) -> Self {
        Self {
            config: CONFIG,
            id: ID,
            plant: Plant::Nothing,
            written: Vec::new(),
            runs: 0,
            facts,
            stream,
            reference,
            registers: [0; 64],
            status: 0,
            resets_for: 0,
            runs_for: None,
            set: Vec::new(),
        }
    }

    fn get(&self, offset: u32) -> u32 {
        self.registers[word(offset)]
    }

    fn address(&self, offset: u32) -> u64 {
        u64::from(self.get(offset)) | u64::from(self.get(offset + 4)) << 32
    }

    fn asleep(&self) -> bool {
        self.get(0x08) & 8 != 0
    }

    fn forget(&mut self, protection: u32) {
        let command = self.get(0x08);
        self.registers = [0; 64];
        self.registers[word(0x08)] = command;
        self.registers[word(0x24)] = protection;
        self.set.clear();
    }

    fn command(&mut self, value: u32) {
        assert_eq!(value & !0xF, 0, "reserved bits of CMD");
        if value & 2 != 0 {
            assert_ne!(self.status & 2, 0, "there is no interrupt to acknowledge");
            if self.plant != Plant::Sticks {
                self.status &= !2;
            }
        }
        if value & 1 != 0 {
            self.start(value);
        }
        if value & 8 != 0 {
            assert!(self.runs_for.is_none(), "asleep while it runs");
            if self.plant == Plant::Forgets {
                self.forget(2);
            }
        }
    }

    /// Everything that a run needs must be there.
    fn start(&mut self, value: u32) {
        assert_eq!(value & 8, 0, "the power may go off during a run");
        assert!(self.runs_for.is_none(), "it runs already");
        assert_eq!(self.status & (2 | 8), 0, "interrupt or reset pending");
        for offset in [0x10, 0x14, 0x1C, 0x20, 0x3C, 0x40, 0x44, 0x48, 0x4C] {
            assert!(self.set.contains(&offset), "{offset:#x} not set");
        }
        for offset in (0x80..0x98).step_by(4) {
            assert!(self.set.contains(&offset), "{offset:#x} not set");
        }
        let aligned = |offset| self.address(offset).is_multiple_of(16) && self.address(offset) > 0;
        assert!(aligned(0x10) && aligned(0x80) && aligned(0x88) && aligned(0x90));
        assert!(
            [0x14, 0x84, 0x8C, 0x94]
                .iter()
                .all(|o| self.get(*o) < 1 << 16)
        );
        assert_eq!(self.get(0x20) as usize, self.stream, "QSIZE");
        for limit in [0x40, 0x44, 0x48, 0x4C].map(|offset| self.get(offset)) {
            assert_eq!(limit & 0xFF0C, 0, "reserved bits of AXI_LIMIT");
            assert!(limit >> 16 & 0xFF < 32 && limit >> 24 < 16);
        }
        self.status = 1;
        self.runs_for = Some(3);
    }

    fn compute(&mut self, lent: &mut Lent<'_>) {
        assert_eq!(self.address(0x88), lent.scratch.as_ptr().addr() as u64);
        let fast = if self.facts.fast > 0 {
            &*lent.fast
        } else {
            &*lent.scratch
        };
        assert_eq!(self.address(0x90), fast.as_ptr().addr() as u64);
        let input = self.facts.input_at..self.facts.input_at + self.facts.input.len();
        let output = (self.reference)(&lent.scratch[input]);
        // Whatever else the scratch held is lost.
        lent.scratch.fill(0xA5);
        lent.scratch[self.facts.output_at..][..output.len()].copy_from_slice(&output);
    }

    /// What STATUS says after a run, and how much of the stream was read.
    fn end(&mut self) {
        let (faults, read) = match self.plant {
            Plant::Bus => (1 << 2 | 1 << 11 | 9 << 12, 8),
            Plant::Parse => (1 << 4, 12),
            Plant::Watchdog => (1 << 7, 4),
            Plant::Ecc => (1 << 8, 4),
            Plant::Early => (0, 4),
            _ => (1 << 5, self.stream as u32),
        };
        self.registers[word(0x18)] = read;
        self.status = 2 | faults;
        self.runs += usize::from(faults == 1 << 5);
    }
}

impl Registers for Mock<'_> {
    fn read(&mut self, offset: u32) -> u32 {
        assert!(!self.asleep(), "{offset:#x} read while asleep");
        match offset {
            0x00 => self.id,
            0x04 => {
                let resetting = u32::from(self.resets_for > 0) << 3;
                self.resets_for = self.resets_for.saturating_sub(1);
                self.status | resetting
            }
            0x28 => self.config,
            _ => {
                assert_eq!(self.resets_for, 0, "{offset:#x} read during a reset");
                self.get(offset)
            }
        }
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.written.push((offset, value));
        let rest = offset != 0x08 && offset != 0x0C;
        assert!(!(rest && self.asleep()), "{offset:#x} written while asleep");
        assert!(
            !(rest && self.runs_for.is_some()),
            "{offset:#x} written while it runs"
        );
        assert_eq!(self.resets_for, 0, "{offset:#x} written during a reset");
        match offset {
            0x08 => {
                self.registers[word(0x08)] = value & !3;
                self.command(value);
            }
            0x0C => {
                assert_eq!(value & !3, 0, "reserved bits of RESET");
                let level = if self.plant == Plant::Open {
                    value ^ 1
                } else {
                    value
                };
                self.forget(level);
                (self.status, self.runs_for) = (0, None);
                self.resets_for = if self.plant == Plant::Resets {
                    u32::MAX
                } else {
                    3
                };
            }
            0x10 | 0x14 | 0x1C | 0x20 | 0x3C | 0x40 | 0x44 | 0x48 | 0x4C | 0x80..0xC0 => {
                self.registers[word(offset)] = value;
                self.set.push(offset);
            }
            _ => panic!("{offset:#x} is not to be written"),
        }
    }

    fn wait(&mut self, lent: &mut Lent<'_>) {
        match self.runs_for {
            Some(0) => {
                self.runs_for = None;
                self.compute(lent);
                self.end();
            }
            Some(left) if self.plant != Plant::Hangs => self.runs_for = Some(left - 1),
            _ => {}
        }
    }
}

/// A patience that a hung mock exhausts soon.
pub fn settings() -> Settings {
    Settings {
        patience: 20,
        ..Settings::default()
    }
}

pub const SHAPE: Shape = Shape::new(24, 20, 3);
pub const CLASSES: usize = 3;

/// A small network's numbers.
pub fn facts(scores: Scores) -> Facts {
    Facts {
        config: CONFIG,
        id: 0x1006_6001,
        scratch: 2048,
        fast: 256,
        input_at: 32,
        output_at: 16,
        input: SHAPE,
        classes: CLASSES,
        input_as: Quantisation {
            scale: 1.0 / 64.0,
            zero_point: -3,
        },
        output_as: Quantisation {
            scale: 1.0 / 16.0,
            zero_point: 5,
        },
        normalisation: Normalisation {
            mean: [100.0, 110.0, 120.0, 0.0],
            scale: [0.0125, 0.0125, 0.0125, 1.0],
        },
        scores,
    }
}

/// A program of these numbers, with weights that nobody reads.
pub fn program(facts: &Facts) -> AlignedBytes {
    let commands: Vec<u8> = COMMANDS.iter().flat_map(|w| w.to_le_bytes()).collect();
    AlignedBytes::copy_of(&file(facts, &commands, &[7; 40]))
}

/// The small network: each class likes one box.
pub fn network(stored: &[u8]) -> Vec<u8> {
    let class = |k: usize| {
        let terms = stored.iter().enumerate().map(|(i, q)| {
            let (y, x) = (i / 60, i / 3 % 20);
            let inside = y / 8 == k && x / 6 == k;
            i32::from(q.cast_signed()) * (if inside { 5 } else { 0 } + ((i * 7 + k) % 5) as i32 - 2)
        });
        (terms.sum::<i32>() / 128).clamp(-128, 127) as i8 as u8
    };
    (0..CLASSES).map(class).collect()
}
