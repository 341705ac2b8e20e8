//! The flags that have a device run the network while the method runs here.

use std::path::PathBuf;

use clap::Args;

use super::progress::{bar, catch_interrupts, interrupted};
use super::{CliError, note};
use crate::link::{DeviceName, open};
use crate::model::{BackendKind, Board, OpenModel};

/// Heading of these flags.
const DEVICE: &str = "The network on a device";

#[derive(Clone, Debug, Args)]
pub struct BoardArgs {
    /// Have this device run the network, and the method run here: any that needs only scores, with files
    /// of your own. qemu:BOARD, a serial port such as /dev/ttyACM0, tcp:HOST:PORT, or unix:PATH
    #[arg(help_heading = DEVICE, long, value_name = "DEVICE",
        conflicts_with_all = ["backend", "arithmetic"])]
    pub device: Option<DeviceName>,

    /// Bits a second of a serial port
    #[arg(help_heading = DEVICE, long, value_name = "N", default_value_t = 115_200, requires = "device")]
    pub baud: u32,

    /// Folder of the firmware's sources, for emulated boards
    #[arg(help_heading = DEVICE, long, value_name = "DIR", default_value = "firmware", requires = "device")]
    pub firmware: PathBuf,
}

impl BoardArgs {
    /// Opens the device, if there is one, and brings the model there.
    ///
    /// # Errors
    /// A device that does not answer or has no room, a model that boards do
    /// not run.
    pub fn of(&self, mut model: OpenModel) -> Result<OpenModel, CliError> {
        let Some(device) = &self.device else {
            return Ok(model);
        };
        if model.backend() != BackendKind::Core {
            return Err(CliError::Usage(String::from(
                "a device runs what the backend core runs, and this model has an operator that core lacks",
            )));
        }
        if matches!(device, DeviceName::Qemu(_)) {
            note("the board runs in QEMU; its program is built if it is not there yet");
        }
        catch_interrupts();
        let board = Board::new(open(device, self.baud, &self.firmware)?);
        let shown = bar("model", 0, "bytes");
        let sent = board.send(&model, &mut |done, total| {
            shown.set_length(total.max(done));
            shown.set_position(done);
            !interrupted()
        });
        shown.finish_and_clear();
        sent?;
        model.board = Some(board);
        Ok(model)
    }
}
