//! The boards: what they have, and what was measured on them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::suggest::hint;

const BOARDS: &str = include_str!("boards.toml");
const MEASURED: &str = include_str!("measured.toml");

/// Memory in one piece.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Region {
    /// Its name in the chip's manual.
    pub name: String,
    /// Its size.
    pub bytes: usize,
}

/// A board.
#[derive(Clone, Debug, Deserialize)]
pub struct Board {
    /// QEMU's name for it, or the chip's.
    pub name: String,
    /// Its processor.
    pub core: String,
    /// Where its sizes come from.
    pub note: String,
    /// The emulated board that [`Board::measured`] is from.
    measured: String,
    /// Whether its program has the first seven methods only.
    #[serde(default)]
    pub seven_methods: bool,
    /// Bytes of flash.
    pub flash: usize,
    /// RAM, piece by piece.
    pub ram: Vec<Region>,
}

/// What the firmware takes on a board, as `foveola-benches`' program
/// `calibrate` measured it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Bytes of flash of the program, without a model.
    pub program: usize,
    /// Bytes of static memory, without the pool of buffers.
    pub statics: usize,
    /// Deepest stack in bytes, by method, and of `classify`, on networks that
    /// use every operator, with a margin: a bound, because the depth depends on the operators.
    pub stack: BTreeMap<String, usize>,
    /// Instructions for each thing that the program does, see [`super::Counts`].
    #[serde(default)]
    pub instructions: BTreeMap<String, f64>,
    /// How far predicted instructions of networks in int8 are from what the
    /// board executes, on networks that no price was fitted on.
    #[serde(default)]
    pub int8: Accuracy,
    /// The same of methods beyond the first seven, by the name under which their
    /// own work is priced: with an `8` behind it in networks of integers.
    #[serde(default)]
    pub methods: BTreeMap<String, Errors>,
}

/// Relative errors of predicted instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Networks.
    pub networks: usize,
    /// Of a plain pass.
    pub inference: Errors,
    /// Of all methods.
    pub methods: Errors,
}

/// Errors, 0 for none and 1 for as much again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Root of the mean square.
    pub rms: f64,
    /// The largest.
    pub worst: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurements {
    /// What measured it: QEMU, rustc, date.
    pub origin: BTreeMap<String, String>,
    /// By emulated board.
    pub boards: BTreeMap<String, Measured>,
}

#[derive(Deserialize)]
struct Table {
    board: Vec<Board>,
}

/// All boards.
pub fn boards() -> &'static [Board] {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| toml::from_str(BOARDS).expect("the table of boards is TOML"));
    &table.board
}

/// What was measured on the emulated boards.
pub fn measurements() -> &'static Measurements {
    static TABLE: OnceLock<Measurements> = OnceLock::new();
    TABLE.get_or_init(|| toml::from_str(MEASURED).expect("the measurements are TOML"))
}

/// The board of this name.
///
/// # Errors
/// The nearest names, in words.
pub fn board(name: &str) -> Result<&'static Board, String> {
    let names = boards().iter().map(|board| board.name.as_str());
    let found = boards().iter().find(|board| board.name == name);
    found.ok_or_else(|| format!("there is no board `{name}`: {}", hint(name, names)))
}

impl Board {
    /// What was measured there.
    pub fn measured(&self) -> &'static Measured {
        static NOTHING: OnceLock<Measured> = OnceLock::new();
        let measured = measurements().boards.get(&self.measured);
        measured.unwrap_or_else(|| NOTHING.get_or_init(Measured::default))
    }

    /// Whether its program has every method: flashes of 256 KB have room for seven.
    pub const fn has_all_methods(&self) -> bool {
        !self.seven_methods
    }

    /// All its RAM.
    pub fn ram_bytes(&self) -> usize {
        self.ram.iter().map(|region| region.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_was_measured() {
        for board in boards() {
            let measured = board.measured();
            assert!(measured.program > 10_000, "{}", board.name);
            for row in foveola_core::explain::METHODS {
                let spec = row.name.parse().expect("a method");
                // The first seven are measured one by one.
                let spec: crate::method_spec::MethodSpec = spec;
                if spec.runs_on_every_board() {
                    assert!(measured.stack[row.name] > 1000, "{}", board.name);
                }
                assert!(
                    crate::budget::stack(board, row.name) > 1000,
                    "{}",
                    board.name
                );
            }
        }
    }

    #[test]
    fn names() {
        assert_eq!(board("stm32f405").expect("it is there").ram.len(), 2);
        let error = board("stm32f415").expect_err("it is not there");
        assert!(error.contains("did you mean `stm32f405`?"), "{error}");
    }
}
