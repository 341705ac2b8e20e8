//! The host's files, through semihosting: those of one job's folder.

use core::ffi::CStr;
use core::fmt::{self, Write as _};

use foveola_core::Shape;
use semihosting::fs::{File, OpenOptions};
use semihosting::io::{Read, Seek, SeekFrom, Write};
use zerocopy::IntoBytes;

use crate::board::pool::Pool;
use crate::job::MAX_PATH;
use crate::program::failure::{Failure, Name};

fn name_of(path: &CStr) -> Name {
    let mut name = Name::new();
    for c in path.to_str().unwrap_or("?").chars() {
        if name.push(c).is_err() {
            break;
        }
    }
    name
}

/// The zero that ends a path included.
type Path = heapless::String<{ MAX_PATH + 1 }>;

/// The folder of a job: a folder of a batch, or where the program started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folder<'f>(Option<&'f str>);

/// The path of a file, with the zero that ends it.
fn path_of(folder: Folder<'_>, name: fmt::Arguments<'_>) -> Result<Path, fmt::Error> {
    let mut path = Path::new();
    if let Some(folder) = folder.0 {
        write!(path, "{folder}/")?;
    }
    path.write_fmt(name)?;
    path.write_char('\0')?;
    Ok(path)
}

fn open(path: &CStr) -> Result<(File, usize), Failure> {
    let failed = |_| Failure::File(name_of(path));
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((file, usize::try_from(length).unwrap_or(usize::MAX)))
}

fn fill(path: &CStr, mut file: File, bytes: &mut [u8]) -> Result<(), Failure> {
    file.read_exact(bytes)
        .map_err(|_| Failure::File(name_of(path)))
}

/// A file under work.
pub struct Output<'n> {
    file: File,
    path: &'n CStr,
}

impl Output<'_> {
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let result = self.file.write_all(bytes);
        result.map_err(|_| Failure::File(name_of(self.path)))
    }
}

impl From<Output<'_>> for File {
    fn from(output: Output<'_>) -> Self {
        output.file
    }
}

impl<'f> Folder<'f> {
    /// A folder beside the batch.
    pub const fn named(name: &'f str) -> Self {
        Self(Some(name))
    }

    fn with_path<T>(
        self,
        name: fmt::Arguments<'_>,
        then: impl FnOnce(&CStr) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let path = path_of(self, name).unwrap_or_default();
        match CStr::from_bytes_with_nul(path.as_bytes()) {
            Ok(path) => then(path),
            Err(_) => Err(Failure::File(name_of(c"(name)"))),
        }
    }

    /// Whether a file can be read.
    pub fn has(self, name: &str) -> bool {
        self.with_path(format_args!("{name}"), open).is_ok()
    }

    /// A whole file, in memory of the pool.
    pub fn read_all<'p>(self, name: &str, pool: &mut Pool<'p>) -> Result<&'p [u8], Failure> {
        self.with_path(format_args!("{name}"), |path| {
            let (file, length) = open(path)?;
            let bytes = pool.take(length, 0)?;
            fill(path, file, bytes)?;
            Ok(&*bytes)
        })
    }

    /// A file of UTF-8.
    pub fn read_text<'p>(self, name: &str, pool: &mut Pool<'p>) -> Result<&'p str, Failure> {
        str::from_utf8(self.read_all(name, pool)?).map_err(|_| Failure::Text)
    }

    /// A file of little-endian f32; every supported target is little endian.
    pub fn read_floats<'p>(self, name: &str, pool: &mut Pool<'p>) -> Result<&'p [f32], Failure> {
        self.with_path(format_args!("{name}"), |path| {
            let (file, length) = open(path)?;
            if length % 4 != 0 {
                return Err(Failure::Length(name_of(path), length));
            }
            let floats = pool.take(length / 4, 0.0f32)?;
            fill(path, file, floats.as_mut_bytes())?;
            Ok(&*floats)
        })
    }

    /// A file of exactly so many bytes.
    pub fn read_into(self, name: &str, bytes: &mut [u8]) -> Result<(), Failure> {
        self.with_path(format_args!("{name}"), |path| {
            let (file, length) = open(path)?;
            match length == bytes.len() {
                true => fill(path, file, bytes),
                false => Err(Failure::Length(name_of(path), length)),
            }
        })
    }

    /// Files stand for the camera: `frame.0.bin`, `frame.1.bin` and so on, one a
    /// call.
    pub fn frames<B>(self) -> impl FnMut(&mut B, Shape, &mut [u8]) -> bool {
        let mut number = 0u32;
        move |_, _, out| {
            let mut name = Name::new();
            let named = write!(name, "frame.{number}.bin").is_ok();
            let there = named && self.read_into(&name, out).is_ok();
            number = number.wrapping_add(u32::from(there));
            there
        }
    }

    /// As [`Folder::frames`], then `frame.bin` again and again.
    pub fn camera<B>(self) -> impl FnMut(&mut B, Shape, &mut [u8]) -> bool {
        let mut frames = self.frames();
        move |board, shape, out| {
            frames(board, shape, out) || self.read_into("frame.bin", out).is_ok()
        }
    }

    /// Makes a file, to be written piece by piece.
    pub fn create<T>(
        self,
        name: fmt::Arguments<'_>,
        then: impl FnOnce(Output<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.with_path(name, |path| {
            let file = File::create(path).map_err(|_| Failure::File(name_of(path)))?;
            then(Output { file, path })
        })
    }

    /// Makes a file anew, or goes on behind its end.
    pub fn extend<T>(
        self,
        name: fmt::Arguments<'_>,
        anew: bool,
        then: impl FnOnce(&mut Output<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.with_path(name, |path| {
            let mut options = OpenOptions::new();
            let options = match anew {
                true => options.write(true).create(true).truncate(true),
                false => options.write(true).append(true).create(true),
            };
            let failed = |_| Failure::File(name_of(path));
            let mut file = options.open(path).map_err(failed)?;
            // QEMU opens a file to be appended to at its beginning.
            file.seek(SeekFrom::End(0)).map_err(failed)?;
            then(&mut Output { file, path })
        })
    }

    /// Writes a whole file.
    pub fn write(self, name: fmt::Arguments<'_>, bytes: &[u8]) -> Result<(), Failure> {
        self.create(name, |mut file| file.put(bytes))
    }
}
