//! Devices, made ready: what fits into an emulated board, a program of its own
//! for one that needs the model in flash, and the lines to the others.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{CrosscheckArgs, Target};
use crate::cli::{CliError, note};
use crate::crosscheck::{
    Asked, Asking, CrosscheckError, Device, Inquiry, Memory, Place, Report, link, over_line,
    run as check, tear_apart,
};
use crate::link::{DeviceName, LinkError, Opened, Remote, open};
use crate::method_spec::MethodSpec;
use crate::photo::Photo;

/// A device that can be asked.
#[derive(Debug)]
pub struct Ready {
    /// The emulated board's, or where the device is.
    pub name: String,
    /// The methods that fit, as far as that is known.
    pub methods: Vec<MethodSpec>,
    /// The others, and why not.
    pub left_out: Vec<(String, CrosscheckError)>,
    way: Way,
    line: Line,
}

/// How a device is asked.
#[derive(Debug)]
enum Way {
    /// Through a folder of files that an emulated board reads.
    Folder {
        device: Device,
        folder: PathBuf,
        elf: Option<PathBuf>,
    },
    /// Over its line.
    Line,
}

/// A line that is opened when it is needed.
#[derive(Debug)]
struct Line {
    name: DeviceName,
    baud: u32,
    firmware: PathBuf,
    open: Mutex<Option<Opened>>,
}

/// What is the same for all devices of a command.
struct Needs<'n> {
    memory: Memory,
    bytes: &'n [u8],
    methods: &'n [MethodSpec],
    /// Whether the methods were asked for by name.
    named: bool,
}

/// Makes the devices of the command ready.
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
    let needs = Needs {
        memory: Memory::of(bytes, photo, methods)?,
        bytes,
        methods,
        named: !args.methods.is_empty(),
    };
    let targets = || {
        args.devices
            .iter()
            .flat_map(|d| d.list.iter().map(|one| (one, d.all)))
    };
    let emulated = |(target, _): (&Target, bool)| matches!(target, Target::Emulated(_));
    if targets().any(emulated) {
        note("the boards run in QEMU; their programs are built where they are not there yet");
    }
    let mut boards: Vec<Ready> = Vec::new();
    for (target, all) in targets() {
        if boards.iter().any(|board| board.name == target.name()) {
            continue;
        }
        let mut board = Ready::new(target, args, methods, folder);
        match board.prepare(&needs) {
            Ok(()) => boards.push(board),
            Err(e @ (CrosscheckError::Flash { .. } | CrosscheckError::Ram { .. })) if all => {
                note(&format!("{} is left out: {e}", board.name));
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
    fn new(target: &Target, args: &CrosscheckArgs, methods: &[MethodSpec], folder: &Path) -> Self {
        let (name, way, methods) = match target {
            Target::Emulated(device) => {
                let way = Way::Folder {
                    device: *device,
                    folder: folder.join(device.board),
                    elf: None,
                };
                (DeviceName::Qemu(*device), way, Vec::new())
            }
            Target::Line(name, _) => (name.clone(), Way::Line, methods.to_vec()),
        };
        Self {
            name: target.name().to_owned(),
            methods,
            left_out: Vec::new(),
            way,
            line: Line {
                name,
                baud: args.baud,
                firmware: args.firmware.clone(),
                open: Mutex::new(None),
            },
        }
    }

    /// Finds out what fits, for an emulated board; the others say it themselves.
    fn prepare(&mut self, needs: &Needs<'_>) -> Result<(), CrosscheckError> {
        let Way::Folder {
            device,
            folder,
            elf,
        } = &mut self.way
        else {
            return Ok(());
        };
        let Needs { memory, bytes, .. } = needs;
        let too_small = |what: &str, need| CrosscheckError::Ram {
            board: device.board,
            what: what.to_owned(),
            need,
            have: device.pool,
        };
        if memory.scores > device.pool {
            return Err(too_small("classifying", memory.scores));
        }
        for (spec, need) in needs.methods.iter().zip(&memory.methods) {
            let name = spec.to_string();
            match *need > device.pool {
                false => self.methods.push(spec.clone()),
                true if needs.named => return Err(too_small(&name, *need)),
                true => self.left_out.push((name.clone(), too_small("it", *need))),
            }
        }
        std::fs::create_dir_all(&folder).map_err(|source| CrosscheckError::File {
            path: folder.clone(),
            source,
        })?;
        if memory.place(device) == Place::Flash {
            let path = folder.join("program.elf");
            link(&self.line.firmware, device, bytes, &path)?;
            *elf = Some(path);
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

    /// Whether it is asked over its line only.
    pub const fn is_line(&self) -> bool {
        matches!(self.way, Way::Line)
    }

    /// Asks the device.
    pub fn ask(&self, asking: &Asking<'_>) -> Result<Report, CrosscheckError> {
        let asking = Asking {
            inquiry: self.inquiry(&asking.inquiry),
            ..*asking
        };
        let mut line = self
            .line
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let report = match &self.way {
            Way::Line => self.line.get(&mut line).map_err(CrosscheckError::from),
            Way::Folder {
                device,
                folder,
                elf,
            } => {
                let asked = Asked {
                    device,
                    firmware: &self.line.firmware,
                    folder,
                    elf: elf.as_deref(),
                };
                return self.ask_folder(&asking, &asked, &mut line);
            }
        }
        .and_then(|remote| over_line(remote, &asking));
        // The next picture tries it anew.
        if matches!(&report, Err(CrosscheckError::Link(e)) if e.is_line()) {
            *line = None;
        }
        report
    }

    fn ask_folder(
        &self,
        asking: &Asking<'_>,
        asked: &Asked<'_>,
        line: &mut Option<Opened>,
    ) -> Result<Report, CrosscheckError> {
        let Asking { host, photo, .. } = *asking;
        let mut report = check(asking.bytes, photo, host, &asking.inquiry, asked)?;
        report.judge(host, asking.options.tolerance);
        tear_apart(&mut report, asking, || self.line.get(line))?;
        Ok(report)
    }
}

impl Line {
    /// The device, its line opened if it is not yet.
    fn get<'l>(&self, open_line: &'l mut Option<Opened>) -> Result<&'l mut Remote, LinkError> {
        let opened = match open_line.take() {
            Some(opened) => opened,
            None => open(&self.name, self.baud, &self.firmware)?,
        };
        Ok(&mut open_line.insert(opened).remote)
    }
}
