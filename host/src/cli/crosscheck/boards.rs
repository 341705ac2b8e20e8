//! Boards, made ready: what fits into each, and a program of their own for
//! those that need the model in flash.

use std::path::{Path, PathBuf};

use super::CrosscheckArgs;
use crate::cli::{CliError, note};
use crate::crosscheck::{
    Asked, CrosscheckError, Device, Host, Inquiry, Memory, Place, Report, link, run as check,
};
use crate::method_spec::MethodSpec;
use crate::photo::Photo;

/// A board that can be asked.
#[derive(Debug)]
pub struct Ready {
    pub device: Device,
    /// The methods that fit.
    pub methods: Vec<MethodSpec>,
    /// The others, and why not.
    pub left_out: Vec<(String, CrosscheckError)>,
    firmware: PathBuf,
    folder: PathBuf,
    elf: Option<PathBuf>,
}

/// Makes the boards of the command ready.
///
/// # Errors
/// A board that was named and is too small for the model or a method that was
/// named; firmware that does not build.
pub fn ready(
    args: &CrosscheckArgs,
    bytes: &[u8],
    photo: &Photo,
    methods: &[MethodSpec],
    folder: &Path,
) -> Result<Vec<Ready>, CliError> {
    let memory = Memory::of(bytes, photo, methods)?;
    let mut boards: Vec<Ready> = Vec::new();
    note("the boards run in QEMU; their programs are built where they are not there yet");
    for (device, all) in args
        .devices
        .iter()
        .flat_map(|d| d.list.iter().map(|one| (one, d.all)))
    {
        if boards.iter().any(|board| board.device == *device) {
            continue;
        }
        let mut board = Ready {
            device: *device,
            methods: Vec::new(),
            left_out: Vec::new(),
            firmware: args.firmware.clone(),
            folder: folder.join(device.board),
            elf: None,
        };
        match board.prepare(&memory, bytes, methods, !args.methods.is_empty()) {
            Ok(()) => boards.push(board),
            Err(e @ (CrosscheckError::Flash { .. } | CrosscheckError::Ram { .. })) if all => {
                note(&format!("{} is left out: {e}", device.board));
            }
            Err(other) => return Err(other.into()),
        }
    }
    match boards.is_empty() {
        true => Err(CliError::Usage(String::from(
            "no board can hold this model",
        ))),
        false => Ok(boards),
    }
}

impl Ready {
    fn prepare(
        &mut self,
        memory: &Memory,
        bytes: &[u8],
        methods: &[MethodSpec],
        named: bool,
    ) -> Result<(), CrosscheckError> {
        let device = self.device;
        let too_small = |what: &str, need| CrosscheckError::Ram {
            board: device.board,
            what: what.to_owned(),
            need,
            have: device.pool,
        };
        if memory.scores > device.pool {
            return Err(too_small("classifying", memory.scores));
        }
        for (spec, need) in methods.iter().zip(&memory.methods) {
            let name = spec.to_string();
            match *need > device.pool {
                false => self.methods.push(spec.clone()),
                true if named => return Err(too_small(&name, *need)),
                true => self.left_out.push((name.clone(), too_small("it", *need))),
            }
        }
        std::fs::create_dir_all(&self.folder).map_err(|source| CrosscheckError::File {
            path: self.folder.clone(),
            source,
        })?;
        if memory.place(&device) == Place::Flash {
            let elf = self.folder.join("program.elf");
            link(&self.firmware, &device, bytes, &elf)?;
            self.elf = Some(elf);
        }
        Ok(())
    }

    /// The methods, of those that are asked, that fit.
    pub fn inquiry<'a>(&'a self, inquiry: &Inquiry<'a>) -> Inquiry<'a> {
        Inquiry {
            methods: &self.methods,
            ..*inquiry
        }
    }

    /// Asks the board.
    pub fn ask(
        &self,
        bytes: &[u8],
        photo: &Photo,
        host: &Host,
        inquiry: &Inquiry<'_>,
    ) -> Result<Report, CrosscheckError> {
        let asked = Asked {
            device: &self.device,
            firmware: &self.firmware,
            folder: &self.folder,
            elf: self.elf.as_deref(),
        };
        check(bytes, photo, host, &self.inquiry(inquiry), &asked)
    }
}
