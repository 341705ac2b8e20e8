//! The boards that Foveola's firmware knows.

use super::CrosscheckError;
use crate::suggest::nearest;

/// A board in QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name, e.g. `mps2-an386`.
    pub board: &'static str,
    /// Bytes of RAM for models, pictures, maps and arenas: `POOL` in the
    /// firmware's `src/board/`.
    pub pool: usize,
    /// Bytes of flash, the program's own included.
    pub flash: usize,
    /// Whether it has a panel, which each map is drawn on.
    pub panel: bool,
}

const fn device(board: &'static str, pool: usize, flash: usize) -> Device {
    let panel = false;
    Device {
        board,
        pool,
        flash,
        panel,
    }
}

impl Device {
    /// All of them.
    pub const ALL: [Self; 7] = [
        device("mps2-an386", 3 << 20, 4 << 20),
        device("mps2-an500", 3 << 20, 4 << 20),
        device("mps2-an505", 3 << 20, 4 << 20),
        device("mps3-an547", 3 << 20, 2 << 20),
        device("netduinoplus2", 160 << 10, 1 << 20),
        Self {
            panel: true,
            ..device("lm3s6965evb", 54 << 10, 256 << 10)
        },
        device("riscv32-virt", 4 << 20, 2 << 20),
    ];

    /// Names of the boards whose flash, less `taken`, holds a model of so many bytes.
    pub(super) fn that_hold(model: usize, taken: usize) -> String {
        let large = Self::ALL.iter().filter(|d| d.flash >= model + taken);
        let names: Vec<&str> = large.map(|device| device.board).collect();
        match names.is_empty() {
            true => String::from("no board"),
            false => names.join(", "),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = CrosscheckError;

    fn from_str(text: &str) -> Result<Self, CrosscheckError> {
        let name = text.strip_prefix("qemu:");
        let known = Self::ALL.iter().find(|device| Some(device.board) == name);
        known.copied().ok_or_else(|| {
            let names = Self::ALL.map(|device| device.board);
            let near = nearest(name.unwrap_or(text), names);
            CrosscheckError::Device {
                name: text.to_owned(),
                hint: match near.first() {
                    Some(near) => format!("did you mean qemu:{near}?"),
                    None => format!("there are qemu:{}", names.join(", qemu:")),
                },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let device: Device = "qemu:lm3s6965evb".parse().unwrap();
        assert_eq!((device.pool, device.panel), (55_296, true));
        let said = |text: &str| text.parse::<Device>().unwrap_err().to_string();
        assert!(said("qemu:mps2-an368").contains("did you mean qemu:mps2-an386?"));
        assert!(said("mps2-an386").contains("did you mean qemu:mps2-an386?"));
        assert!(said("serial:/dev/tty").contains("there are qemu:mps2-an386, qemu:mps2-an500"));
    }

    #[test]
    fn flash() {
        assert_eq!(
            Device::that_hold(3 << 20, 250_000),
            "mps2-an386, mps2-an500, mps2-an505"
        );
        assert_eq!(Device::that_hold(4 << 20, 1), "no board");
    }
}
