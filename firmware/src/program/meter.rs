//! What a question costs: instructions and stack.

use core::fmt;

use foveola_core::explain::Progress;

use crate::board::{Board, stack};

/// Measures one question after the other. The board's counter wraps, so the
/// meter reads it whenever a pass is done, and whoever serves a line whenever
/// it looks at the line.
pub struct Meter<B> {
    board: B,
    last: u32,
    ticks: u64,
    /// Ticks of everything before `ticks`.
    before: u64,
    passes: u64,
    empty: u64,
    limit: u64,
}

/// What a question took.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Executed instructions.
    pub instructions: u64,
    /// Deepest stack, in bytes from its top.
    pub stack: usize,
    /// Passes that a method told of.
    pub passes: u64,
}

impl<B: Board> Meter<B> {
    /// A meter that knows what it costs itself.
    pub fn new(mut board: B) -> Self {
        let mut meter = Self {
            last: board.ticks(),
            board,
            ticks: 0,
            before: 0,
            passes: 0,
            empty: 0,
            limit: u64::MAX,
        };
        meter.begin();
        meter.empty = meter.end().instructions;
        meter
    }

    /// The board.
    pub const fn board(&mut self) -> &mut B {
        &mut self.board
    }

    /// Lets a number of instructions pass.
    pub fn wait(&mut self, millions: u64) {
        self.begin();
        while self.read() / 1_000_000 < millions {}
    }

    /// Instructions in millions after which a method is stopped.
    pub fn limit(&mut self, millions: Option<u64>) {
        let limit = millions.map(|m| m.saturating_mul(1_000_000));
        self.limit = limit.unwrap_or(u64::MAX);
    }

    /// Instructions since the program started.
    pub fn since_start(&mut self) -> u64 {
        self.read();
        B::instructions(self.before + self.ticks)
    }

    /// Seconds since the program started.
    pub fn seconds(&mut self) -> u64 {
        self.read();
        (self.before + self.ticks) / B::HZ
    }

    /// Milliseconds since [`Meter::begin`].
    pub fn milliseconds(&mut self) -> u64 {
        self.read();
        self.ticks.saturating_mul(1000) / B::HZ
    }

    pub fn begin(&mut self) {
        self.read();
        self.before += self.ticks;
        stack::paint();
        (self.ticks, self.passes) = (0, 0);
        self.last = self.board.ticks();
    }

    /// Counts on, before the counter wraps.
    pub fn keep_up(&mut self) {
        let now = self.board.ticks();
        self.ticks += u64::from(now.wrapping_sub(self.last));
        self.last = now;
    }

    /// Instructions since [`Meter::begin`].
    pub fn read(&mut self) -> u64 {
        self.keep_up();
        B::instructions(self.ticks)
    }

    pub fn end(&mut self) -> Measured {
        let instructions = self.read().saturating_sub(self.empty);
        Measured {
            instructions,
            stack: stack::depth(),
            passes: self.passes,
        }
    }
}

impl<B: Board> Progress for Meter<B> {
    fn step(&mut self, _done: u64, _total: u64) -> bool {
        self.passes += 1;
        self.read() < self.limit
    }
}

/// A cost as the answer states it.
pub struct Cost {
    measured: Measured,
    arena: usize,
    scratch: usize,
    map: usize,
}

impl Cost {
    /// Bytes of arena; scratch and map in f32 elements.
    pub const fn new(measured: Measured, arena: usize, scratch: usize, map: usize) -> Self {
        Self {
            measured,
            arena,
            scratch: 4 * scratch,
            map: 4 * map,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            instructions,
            stack,
            passes,
        } = self.measured;
        let (arena, scratch, map) = (self.arena, self.scratch, self.map);
        write!(
            f,
            "instructions={instructions} stack={stack} arena={arena} "
        )?;
        write!(f, "scratch={scratch} map={map} passes={passes}")
    }
}
