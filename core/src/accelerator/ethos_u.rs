//! The driver of Arm's Ethos-U55 and Ethos-U65.
//!
//! Sources: Arm Ethos-U55 NPU Technical Reference Manual (102420), "Programmers
//! model"; bits of the registers also in the Python package ethos-u-vela,
//! `ethos_u55_regs.py`. One run is: wake up, set how memory is reached, point at
//! the command stream and the regions, start, wait for the interrupt, look at
//! what it says, acknowledge it, sleep. After a fault the NPU is reset.

use super::program::{ALIGNMENT, Program};

/// Offsets of the registers that are used.
pub mod register {
    /// Version of the product and of the architecture.
    pub const ID: u32 = 0x00;
    /// State, faults, interrupt.
    pub const STATUS: u32 = 0x04;
    /// Start, acknowledge, sleep.
    pub const CMD: u32 = 0x08;
    /// Writing resets, and sets the level of protection afterwards.
    pub const RESET: u32 = 0x0C;
    /// Address of the command stream, lower half.
    pub const QBASE0: u32 = 0x10;
    /// Upper half.
    pub const QBASE1: u32 = 0x14;
    /// Bytes of the command stream that have been read.
    pub const QREAD: u32 = 0x18;
    /// Port that reads the command stream.
    pub const QCONFIG: u32 = 0x1C;
    /// Bytes of the command stream.
    pub const QSIZE: u32 = 0x20;
    /// Level of protection.
    pub const PROT: u32 = 0x24;
    /// Multipliers, memory, product.
    pub const CONFIG: u32 = 0x28;
    /// Port of each region, two bits a region.
    pub const REGIONCFG: u32 = 0x3C;
    /// Transfers of each of the four counters of the ports.
    pub const AXI_LIMIT: [u32; 4] = [0x40, 0x44, 0x48, 0x4C];
    /// Address of region 0, lower half; the upper half and the other regions follow.
    pub const BASEP: u32 = 0x80;
}

/// Bits of [`register::STATUS`].
pub mod status {
    /// The NPU is running.
    pub const RUNNING: u32 = 1;
    /// It raised its interrupt.
    pub const IRQ: u32 = 1 << 1;
    /// A transfer failed; which, say bits 11 to 15.
    pub const BUS: u32 = 1 << 2;
    /// A reset is going on.
    pub const RESETTING: u32 = 1 << 3;
    /// A command is malformed.
    pub const PARSE: u32 = 1 << 4;
    /// The command stream came to its end.
    pub const END: u32 = 1 << 5;
    /// The watchdog found no progress.
    pub const WATCHDOG: u32 = 1 << 7;
    /// A bit of the NPU's memory is wrong.
    pub const ECC: u32 = 1 << 8;
}

/// Bits of [`register::CMD`].
pub mod command {
    /// Run.
    pub const RUN: u32 = 1;
    /// Acknowledge the interrupt.
    pub const CLEAR_IRQ: u32 = 1 << 1;
    /// The clock may stop while nothing runs.
    pub const CLOCK_Q: u32 = 1 << 2;
    /// The power may go off while nothing runs.
    pub const POWER_Q: u32 = 1 << 3;
}

/// Memory that the NPU reads and writes during a run. Nobody else does.
#[derive(Debug)]
pub struct Lent<'l> {
    /// Region 1.
    pub scratch: &'l mut [u8],
    /// Region 2; empty where it is region 1.
    pub fast: &'l mut [u8],
}

/// How registers are reached.
pub trait Registers {
    /// Reads the register at an offset.
    fn read(&mut self, offset: u32) -> u32;

    /// Writes the register at an offset.
    fn write(&mut self, offset: u32, value: u32);

    /// Lets the running NPU go on for a while: until it interrupts, or less.
    /// The memory is the NPU's before this returns; what it wrote must be
    /// visible afterwards (caches and barriers are this function's business).
    fn wait(&mut self, lent: &mut Lent<'_>);

    /// The address under which the NPU finds what the processor finds at `address`.
    fn address(&self, address: usize) -> u64 {
        address as u64
    }
}

/// What can go wrong with an NPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another architecture than the program's, or none at all.
    Architecture {
        /// Its ID register.
        device: u32,
        /// That of the program.
        program: u32,
    },
    /// Another size or product than the program's.
    Configuration {
        /// Its CONFIG register.
        device: u32,
        /// That of the program.
        program: u32,
    },
    /// The reset does not end.
    Reset,
    /// The level of protection is not the one that was asked for.
    Protection {
        /// Its PROT register.
        found: u32,
    },
    /// Memory on no multiple of 16, or above 48 bits.
    Address {
        /// The address.
        address: u64,
    },
    /// Less scratch than the program needs.
    Scratch {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// No interrupt came.
    Timeout,
    /// A transfer failed.
    Bus {
        /// Port, 0 or 1.
        interface: u8,
        /// Channel of the port, 0 to 15.
        channel: u8,
    },
    /// The NPU does not understand a command.
    Parse {
        /// Bytes of the stream that it had read.
        read: u32,
    },
    /// The NPU's watchdog.
    Watchdog,
    /// The NPU's memory.
    Ecc,
    /// An interrupt before the end of the stream.
    Unfinished {
        /// Bytes that it had read.
        read: u32,
        /// Bytes of the stream.
        size: u32,
    },
    /// The interrupt stays after it was acknowledged.
    Interrupt,
}

/// How the NPU is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// It runs privileged transfers.
    pub privileged: bool,
    /// It runs secure transfers.
    pub secure: bool,
    /// Calls of [`Registers::wait`] until a run counts as hung, and readings of
    /// the status until a reset does.
    pub patience: u32,
    /// REGIONCFG: which counter (0, 1: the port AXI0, 2, 3: AXI1) each region's
    /// transfers take, two bits a region from region 0 on.
    pub regions: u32,
    /// QCONFIG: the counter of the command stream.
    pub stream: u32,
    /// AXI_LIMIT of all counters: bits 0, 1 largest burst (0: 64 bytes), 4 to 7
    /// type of memory, 16 to 23 reads at once less 1, 24 to 31 writes at once less 1.
    pub limits: [u32; 4],
}

impl Default for Settings {
    /// Privileged, secure, weights and commands through AXI1, the scratch
    /// through AXI0; 32 reads and 16 writes at once (the most of an Ethos-U55).
    fn default() -> Self {
        Self {
            privileged: true,
            secure: true,
            patience: 1_000_000,
            regions: 3,
            stream: 2,
            limits: [31 << 16 | 15 << 24; 4],
        }
    }
}

impl Settings {
    /// The level of protection as RESET takes and PROT shows it.
    fn protection(&self) -> u32 {
        u32::from(self.privileged) | u32::from(!self.secure) << 1
    }
}

/// An NPU.
#[derive(Debug)]
pub struct EthosU<R> {
    registers: R,
    settings: Settings,
}

/// Above the addresses of the NPU.
const ADDRESSES: u64 = 1 << 48;

impl<R: Registers> EthosU<R> {
    /// Wakes the NPU up, asks whether it is the one that `program` is compiled
    /// for, and resets it.
    ///
    /// # Errors
    /// [`Fault::Architecture`], [`Fault::Configuration`], [`Fault::Reset`],
    /// [`Fault::Protection`].
    pub fn new(registers: R, settings: Settings, program: &Program<'_>) -> Result<Self, Fault> {
        let mut npu = Self {
            registers,
            settings,
        };
        npu.registers.write(register::CMD, 0);
        npu.identify(program)?;
        npu.reset()?;
        npu.sleep();
        Ok(npu)
    }

    /// The registers.
    pub const fn registers(&mut self) -> &mut R {
        &mut self.registers
    }

    /// Architectures agree if the major revision is the same and the device's
    /// minor one not older; all of CONFIG must be the same.
    fn identify(&mut self, program: &Program<'_>) -> Result<(), Fault> {
        let facts = program.facts();
        let device = self.registers.read(register::ID);
        let minor = |id: u32| id >> 20 & 0xFF;
        if device >> 28 != facts.id >> 28 || minor(device) < minor(facts.id) {
            let program = facts.id;
            return Err(Fault::Architecture { device, program });
        }
        let device = self.registers.read(register::CONFIG);
        // Bits 16 to 27 do not concern the program.
        let counts = |config: u32| config & 0xF000_FFFF;
        if counts(device) != counts(facts.config) {
            let program = facts.config;
            return Err(Fault::Configuration { device, program });
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Fault> {
        let level = self.settings.protection();
        self.registers.write(register::RESET, level);
        let resetting = |npu: &mut Self| {
            let status = npu.registers.read(register::STATUS);
            status & status::RESETTING != 0
        };
        let mut patience = self.settings.patience;
        while resetting(self) {
            patience = patience.checked_sub(1).ok_or(Fault::Reset)?;
        }
        let found = self.registers.read(register::PROT) & 3;
        if found == level {
            Ok(())
        } else {
            Err(Fault::Protection { found })
        }
    }

    /// Clock and power may go off.
    fn sleep(&mut self) {
        let asleep = command::CLOCK_Q | command::POWER_Q;
        self.registers.write(register::CMD, asleep);
    }

    /// Runs the program once on what lies in the scratch.
    ///
    /// # Errors
    /// Memory that the NPU cannot use; what it reports. Then it has been reset.
    pub fn run(&mut self, program: &Program<'_>, lent: &mut Lent<'_>) -> Result<(), Fault> {
        let regions = self.regions(program, lent)?;
        let stream = self.address(program.commands())?;
        let size = program.commands().len() as u32;
        self.registers.write(register::CMD, command::CLOCK_Q);
        // What lost its power has lost its level of protection.
        if self.registers.read(register::PROT) & 3 != self.settings.protection() {
            self.reset()?;
        }
        self.ports();
        self.write_address(register::QBASE0, stream);
        self.registers.write(register::QSIZE, size);
        for (base, region) in (register::BASEP..).step_by(8).zip(regions) {
            self.write_address(base, region);
        }
        let run = command::RUN | command::CLOCK_Q;
        self.registers.write(register::CMD, run);
        let result = self.finish(size, lent);
        if result.is_err() {
            // The fault counts, whatever comes of the reset.
            let _ = self.reset();
        }
        self.sleep();
        result
    }

    /// Addresses of the three regions.
    fn regions(&self, program: &Program<'_>, lent: &Lent<'_>) -> Result<[u64; 3], Fault> {
        let facts = program.facts();
        let enough = |need: usize, have: usize| {
            let fault = Fault::Scratch { need, have };
            (have >= need).then_some(()).ok_or(fault)
        };
        enough(facts.scratch, lent.scratch.len())?;
        enough(facts.fast, lent.fast.len())?;
        let scratch = self.address(lent.scratch)?;
        let fast = match facts.fast {
            0 => scratch,
            _ => self.address(lent.fast)?,
        };
        Ok([self.address(program.weights())?, scratch, fast])
    }

    fn address(&self, bytes: &[u8]) -> Result<u64, Fault> {
        let address = self.registers.address(bytes.as_ptr().addr());
        if address.is_multiple_of(ALIGNMENT as u64) && address < ADDRESSES {
            Ok(address)
        } else {
            Err(Fault::Address { address })
        }
    }

    fn write_address(&mut self, offset: u32, address: u64) {
        self.registers.write(offset, address as u32);
        self.registers.write(offset + 4, (address >> 32) as u32);
    }

    /// How memory is reached.
    fn ports(&mut self) {
        let settings = self.settings;
        let registers = &mut self.registers;
        registers.write(register::QCONFIG, settings.stream);
        registers.write(register::REGIONCFG, settings.regions);
        for (offset, limit) in register::AXI_LIMIT.into_iter().zip(settings.limits) {
            registers.write(offset, limit);
        }
    }

    /// Waits for the interrupt, acknowledges it, and looks at what it says.
    fn finish(&mut self, size: u32, lent: &mut Lent<'_>) -> Result<(), Fault> {
        let mut patience = self.settings.patience;
        let status = loop {
            self.registers.wait(lent);
            let status = self.registers.read(register::STATUS);
            if status & status::IRQ != 0 {
                break status;
            }
            patience = patience.checked_sub(1).ok_or(Fault::Timeout)?;
        };
        let clear = command::CLEAR_IRQ | command::CLOCK_Q;
        self.registers.write(register::CMD, clear);
        if self.registers.read(register::STATUS) & status::IRQ != 0 {
            return Err(Fault::Interrupt);
        }
        let read = self.registers.read(register::QREAD);
        let is = |bit: u32| status & bit != 0;
        if is(status::BUS) {
            let interface = (status >> 11 & 1) as u8;
            let channel = (status >> 12 & 0xF) as u8;
            return Err(Fault::Bus { interface, channel });
        }
        if is(status::PARSE) {
            return Err(Fault::Parse { read });
        }
        if is(status::WATCHDOG) {
            return Err(Fault::Watchdog);
        }
        if is(status::ECC) {
            return Err(Fault::Ecc);
        }
        if !is(status::END) || read != size {
            return Err(Fault::Unfinished { read, size });
        }
        Ok(())
    }
}
