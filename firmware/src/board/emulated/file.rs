//! Flash of an emulated board: the file `flash.bin` in QEMU's working
//! directory, a chip of 1 MiB with pages of 4 KiB and words of 4 bytes. Every
//! operation goes through to the file, and bits only ever go from 1 to 0, as on
//! a chip.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use semihosting::fs::{File, OpenOptions};
use semihosting::io::{Read, Seek, SeekFrom, Write};

const NAME: &core::ffi::CStr = c"flash.bin";
const PAGE: usize = 4096;
const PAGES: usize = 256;
const WORD: usize = 4;
/// Bytes that are written at a time.
const PIECE: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct FileFlash(File);

/// Why the flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFlashError {
    /// The host's file.
    File,
    /// Outside the chip, or not a whole page or word.
    Place,
}

impl NorFlashError for FileFlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::File => NorFlashErrorKind::Other,
            Self::Place => NorFlashErrorKind::OutOfBounds,
        }
    }
}

fn lost(_: semihosting::io::Error) -> FileFlashError {
    FileFlashError::File
}

fn existing() -> Option<FileFlash> {
    let file = OpenOptions::new().read(true).write(true).open(NAME).ok()?;
    let length = file.metadata().ok()?.len();
    (length == (PAGE * PAGES) as u64).then_some(FileFlash(file))
}

impl FileFlash {
    /// The chip as an earlier run left it, or a new one, all ones. One of
    /// another size stays as it is, and is none.
    pub fn open() -> Option<Self> {
        if File::open(NAME).is_err() {
            let mut file = File::create(NAME).ok()?;
            for _ in 0..PAGE * PAGES / PIECE {
                file.write_all(&[0xff; PIECE]).ok()?;
            }
        }
        existing()
    }

    fn seek(&mut self, offset: u32) -> Result<(), FileFlashError> {
        let place = SeekFrom::Start(offset.into());
        self.0.seek(place).map_err(lost).map(drop)
    }

    /// Whether so many bytes lie in the chip and are whole units.
    fn is_place(offset: u32, length: usize, unit: usize) -> bool {
        let offset = offset as usize;
        offset.is_multiple_of(unit)
            && length.is_multiple_of(unit)
            && offset
                .checked_add(length)
                .is_some_and(|end| end <= PAGE * PAGES)
    }
}

impl ErrorType for FileFlash {
    type Error = FileFlashError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FileFlashError> {
        if !Self::is_place(offset, bytes.len(), 1) {
            return Err(FileFlashError::Place);
        }
        self.seek(offset)?;
        self.0.read_exact(bytes).map_err(lost)
    }

    fn capacity(&self) -> usize {
        PAGE * PAGES
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FileFlashError> {
        let length = to.checked_sub(from).ok_or(FileFlashError::Place)? as usize;
        if !Self::is_place(from, length, PAGE) {
            return Err(FileFlashError::Place);
        }
        self.seek(from)?;
        for _ in 0..length / PIECE {
            self.0.write_all(&[0xff; PIECE]).map_err(lost)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FileFlashError> {
        if !Self::is_place(offset, bytes.len(), WORD) {
            return Err(FileFlashError::Place);
        }
        for (at, piece) in (offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            let mut both = [0xff; PIECE];
            let both = both.get_mut(..piece.len()).unwrap_or_default();
            self.read(at, both).await?;
            both.iter_mut()
                .zip(piece)
                .for_each(|(old, new)| *old &= new);
            self.seek(at)?;
            self.0.write_all(both).map_err(lost)?;
        }
        Ok(())
    }
}
