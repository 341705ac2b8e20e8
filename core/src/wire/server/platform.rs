//! What a server stands on.

use super::Judged;
use crate::audit::record::Event;
use crate::tensor::Shape;
use crate::wire::fault::Fault;
#[cfg(doc)]
use crate::wire::message::Request;
use crate::wire::message::Storage;

/// What a server stands on.
pub trait Platform {
    /// The next byte that came, if one did.
    fn read(&mut self) -> Option<u8>;

    /// Sends bytes; returns when all of them are on their way.
    fn write(&mut self, bytes: &[u8]);

    /// Tells the watchdog that the program is alive.
    fn feed(&mut self);

    /// What the board is.
    fn facts(&self) -> Facts<'_>;

    /// Work begins: counters start here.
    fn begin(&mut self);

    /// What was spent since [`Platform::begin`].
    fn end(&mut self) -> Spent;

    /// Seconds since 1970, if the board knows.
    fn time(&mut self) -> Option<u64>;

    /// Sets the clock; whether there is one.
    fn set_time(&mut self, seconds: u64) -> bool;

    /// Takes a picture of this shape with the camera, as pixels; whether there is one.
    fn take_frame(&mut self, _shape: Shape, _out: &mut [u8]) -> bool {
        false
    }

    /// Copies bytes of the log from an offset; answers how many the log has in
    /// all, `None` without one.
    fn log(&mut self, _offset: u32, _out: &mut [u8]) -> Option<u32> {
        None
    }

    /// Writes into the log what happened, with the bytes that it is about.
    fn note(&mut self, _event: &Event<'_>, _input: &[u8], _output: &[u8]) {}

    /// Shows what a picture was judged to be.
    fn judged(&mut self, _judged: &Judged<'_>) {}

    /// What the board keeps; `None` without storage.
    fn storage(&mut self) -> Option<Storage<'_>> {
        None
    }

    /// Names a device that has no name yet, as [`Request::Enrol`] says.
    ///
    /// # Errors
    /// [`Fault::Denied`], [`Fault::Unsupported`].
    fn enrol(
        &mut self,
        _device: &str,
        _secret: &[u8; 32],
        _signer: &[u8; 32],
    ) -> Result<(), Fault<'static>> {
        Err(Fault::Unsupported)
    }

    /// A model that was checked is about to run: a board with storage looks at
    /// its signature, keeps it if it lies in slot 0 or 1, and notes it.
    ///
    /// # Errors
    /// [`Fault::Denied`]: it must not run, and what runs stays.
    fn adopt(&mut self, _slot: u8, _file: &[u8]) -> Result<(), Fault<'static>> {
        Ok(())
    }
}

/// What a board is.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its name.
    pub board: &'a str,
    /// Version of its firmware.
    pub firmware: &'a str,
    /// SHA-256 of the program.
    pub sha256: &'a [u8; 32],
    /// Bytes that came faster than they were taken.
    pub overruns: u32,
}

/// What work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Executed instructions, or what a board can count instead.
    pub instructions: u64,
    /// Deepest stack, in bytes.
    pub stack: u32,
    /// Milliseconds; 0 where a board has no clock.
    pub milliseconds: u64,
}
