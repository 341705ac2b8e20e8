//! The board's program: built, given a model in flash where it has to, run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::answer::Answer;
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

/// Builds the board's program with this model in its flash, as `elf`. Runs at
/// the same time, of other processes as well, take turns.
///
/// # Errors
/// A model for which the flash is too small; a program that does not build.
pub fn link(
    firmware: &Path,
    device: &Device,
    model: &[u8],
    elf: &Path,
) -> Result<(), CrosscheckError> {
    let script = script(firmware, "link.sh")?;
    let linked = firmware.join("target/linked");
    std::fs::create_dir_all(&linked).map_err(file_error(&linked))?;
    let turn = linked.join("turn");
    let lock = File::create(&turn).map_err(file_error(&turn))?;
    lock.lock().map_err(file_error(&turn))?;
    // Under the same name as last time, an unchanged model is not linked again.
    let path = linked.join(format!("{}.fov", crate::model::sha256(model)));
    if !std::fs::read(&path).is_ok_and(|old| old == model) {
        std::fs::write(&path, model).map_err(file_error(&path))?;
    }
    let output = Command::new("sh")
        .arg(&script)
        .arg(device.board)
        .args([&path, elf])
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .map_err(file_error(&script))?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr);
    Err(match overflow(&log) {
        Some(over) => CrosscheckError::Flash {
            board: device.board,
            model: model.len(),
            flash: device.flash,
            room: model.len().saturating_sub(over),
            others: Device::that_hold(
                model.len(),
                (device.flash + over).saturating_sub(model.len()),
            ),
        },
        None => ended(&output, None),
    })
}

/// Bytes too many, in the linker's words.
fn overflow(log: &str) -> Option<usize> {
    let numbers = log.split("overflowed by ").skip(1);
    let number = |text: &str| text.split(' ').next().and_then(|n| n.parse().ok());
    numbers.filter_map(number).max()
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_linker_says_how_much_is_too_much() {
        let log = "rust-lld: error: section '.rodata' will not fit in region 'FLASH': overflowed by 28 bytes\n\
                   rust-lld: error: section '.data' will not fit in region 'FLASH': overflowed by 1040 bytes\n";
        assert_eq!(super::overflow(log), Some(1040));
        assert_eq!(super::overflow("error: no such command"), None);
    }
}
