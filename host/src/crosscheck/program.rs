//! The board's program: built, given a model in flash where it has to, run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::answer::Answer;
use super::flash::{Misfit, with_model};
use super::{CrosscheckError, Device};

/// Seconds after which a board that says nothing is ended, unless
/// `FOVEOLA_SECONDS` says otherwise.
const PATIENCE: &str = "3600";

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> CrosscheckError {
    let path = path.to_owned();
    |source| CrosscheckError::File { path, source }
}

fn script(firmware: &Path, name: &str) -> Result<PathBuf, CrosscheckError> {
    let script = firmware.join(name);
    match script.is_file() {
        true => Ok(script),
        false => Err(CrosscheckError::NoFirmware(script)),
    }
}

/// Writes `elf`: the board's program, built where it is not there yet, with this
/// model in its flash.
///
/// # Errors
/// A model for which the flash is too small; a program that does not build.
pub fn link(
    firmware: &Path,
    device: &Device,
    model: &[u8],
    elf: &Path,
) -> Result<(), CrosscheckError> {
    let script = script(firmware, "build.sh")?;
    let output = Command::new("sh")
        .arg(&script)
        .arg(device.board)
        .env_remove("FOVEOLA_MODEL")
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .map_err(file_error(&script))?;
    if !output.status.success() {
        return Err(ended(&output, None));
    }
    let built = String::from_utf8_lossy(&output.stdout);
    let built = Path::new(built.trim_end());
    let program = std::fs::read(built).map_err(file_error(built))?;
    let program = with_model(&program, model).map_err(|misfit| match misfit {
        Misfit::Room(room) => CrosscheckError::Flash {
            board: device.board,
            model: model.len(),
            flash: device.flash,
            room,
            others: Device::that_hold(model.len(), device.flash.saturating_sub(room)),
        },
        Misfit::Program(reason) => CrosscheckError::Program {
            path: built.to_owned(),
            reason,
        },
    })?;
    std::fs::write(elf, program).map_err(file_error(elf))
}

/// Runs the board on the job in the folder: the usual program, built where it
/// is not there yet, or this one.
pub(super) fn start(
    firmware: &Path,
    device: &Device,
    folder: &Path,
    elf: Option<&Path>,
) -> Result<(), CrosscheckError> {
    let script = script(firmware, "run.sh")?;
    let mut command = Command::new("sh");
    command.arg(&script).arg(device.board).arg(folder).args(elf);
    if std::env::var_os("FOVEOLA_SECONDS").is_none() {
        command.env("FOVEOLA_SECONDS", PATIENCE);
    }
    let output = command
        .env_remove("FOVEOLA_MODEL")
        .stdin(Stdio::null())
        .output()
        .map_err(file_error(&script))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ended(&output, Answer::read(folder).ok())),
    }
}

/// Why a program ended: in the board's own words if it has any.
fn ended(output: &Output, answer: Option<Answer>) -> CrosscheckError {
    let log = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    let code = output.status.code().unwrap_or(-1);
    CrosscheckError::Board {
        code,
        reason: match (answer.and_then(|answer| answer.error), code) {
            (Some(said), _) => said,
            (None, 124) => String::from("it took too long; FOVEOLA_SECONDS allows more"),
            (None, _) => last.into_iter().rev().collect::<Vec<_>>().join("; "),
        },
    }
}
