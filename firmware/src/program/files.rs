//! The host's files, through semihosting.

use core::ffi::CStr;
use core::fmt::Write as _;

use semihosting::fs::File;
use semihosting::io::{Read, Write};
use zerocopy::IntoBytes;

use super::failure::{Failure, Name};
use crate::board::pool::Pool;

fn name_of(path: &CStr) -> Name {
    let mut name = Name::new();
    for c in path.to_str().unwrap_or("?").chars() {
        if name.push(c).is_err() {
            break;
        }
    }
    name
}

/// A name with the zero that ends it.
fn with_path<T>(name: &str, then: impl FnOnce(&CStr) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut buffer = [0u8; 64];
    for (to, from) in buffer.iter_mut().take(63).zip(name.bytes()) {
        *to = from;
    }
    match CStr::from_bytes_until_nul(&buffer) {
        Ok(path) if path.count_bytes() == name.len() => then(path),
        _ => Err(Failure::File(name_of(c"(name)"))),
    }
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

/// A whole file, in memory of the pool.
pub fn read_all<'p>(name: &str, pool: &mut Pool<'p>) -> Result<&'p [u8], Failure> {
    with_path(name, |path| {
        let (file, length) = open(path)?;
        let bytes = pool.take(length, 0)?;
        fill(path, file, bytes)?;
        Ok(&*bytes)
    })
}

/// A file of little-endian f32; every supported target is little endian.
pub fn read_floats<'p>(name: &str, pool: &mut Pool<'p>) -> Result<&'p [f32], Failure> {
    with_path(name, |path| {
        let (file, length) = open(path)?;
        if length % 4 != 0 {
            return Err(Failure::Length(name_of(path), length));
        }
        let floats = pool.take(length / 4, 0.0f32)?;
        fill(path, file, floats.as_mut_bytes())?;
        Ok(&*floats)
    })
}

/// Writes a whole file.
pub fn write(path: &CStr, bytes: &[u8]) -> Result<(), Failure> {
    let result = File::create(path).and_then(|mut file| file.write_all(bytes));
    result.map_err(|_| Failure::File(name_of(path)))
}

/// Writes `STEM NUMBER .bin`.
pub fn write_numbered(stem: &str, number: usize, bytes: &[u8]) -> Result<(), Failure> {
    with_numbered(stem, number, "bin", |file| file.put(bytes))
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

/// Writes `STEM NUMBER . END` piece by piece.
pub fn with_numbered(
    stem: &str,
    number: usize,
    end: &str,
    then: impl FnOnce(&mut Output<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut name = Name::new();
    let fits = write!(name, "{stem}{number}.{end}");
    fits.map_err(|_| Failure::File(name_of(c"(name)")))?;
    with_path(&name, |path| {
        let file = File::create(path).map_err(|_| Failure::File(name_of(path)))?;
        then(&mut Output { file, path })
    })
}
