//! One question at a time, repeated until it is answered.

use std::time::Duration;

use foveola_core::wire::VERSION;
use foveola_core::wire::frame::{Decoder, Frame};
use foveola_core::wire::message::{Reply, Request, frame, read, split};

use super::{Cable, LinkError};

/// How long a device may be silent.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// After which silence a question is repeated.
pub const REPEAT: Duration = Duration::from_millis(300);

/// A conversation with a device.
pub struct Session<C = Box<dyn Cable + Send>> {
    cable: C,
    decoder: Decoder,
    number: u32,
    sequence: u32,
    patience: Duration,
    /// The message of the last reply.
    heard: Vec<u8>,
    /// Bytes that were received and not looked at.
    waiting: Vec<u8>,
}

impl<C> std::fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:#x}, {} asked)", self.number, self.sequence)
    }
}

impl<C: Cable> Session<C> {
    /// Begins a session; `number` is one that the device has not seen lately.
    ///
    /// # Errors
    /// Silence, or a device of another version.
    pub fn open(cable: C, number: u32) -> Result<Self, LinkError> {
        let mut session = Self {
            cable,
            decoder: Decoder::default(),
            number,
            sequence: 0,
            patience: PATIENCE,
            heard: Vec::new(),
            waiting: Vec::new(),
        };
        match session.ask(&Request::Hello(VERSION))? {
            Reply::Hello(VERSION) => Ok(session),
            Reply::Hello(device) => Err(LinkError::Version {
                device,
                host: VERSION,
            }),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// How long a device may be silent, instead of [`PATIENCE`].
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Asks, repeats itself after [`REPEAT`], and gives up after the patience.
    ///
    /// # Errors
    /// A line that is gone, silence, or the device's refusal.
    pub fn ask(&mut self, request: &Request<'_>) -> Result<Reply<'_>, LinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut question = Frame::default();
        frame(self.number, self.sequence, request, &mut question).map_err(LinkError::Core)?;
        let begun = self.cable.now();
        loop {
            self.cable.send(question.bytes())?;
            let asked = self.cable.now();
            let left = self.patience.saturating_sub(asked.saturating_sub(begun));
            if self.listen(asked + REPEAT.min(left))? {
                break;
            }
            if self.cable.now().saturating_sub(begun) >= self.patience {
                let seconds = self.patience.as_secs_f32();
                return Err(LinkError::Silent { seconds });
            }
        }
        match read(&self.heard) {
            Some(Reply::Fault(fault)) => Err(fault.into()),
            Some(reply) => Ok(reply),
            None => Err(LinkError::Unexpected),
        }
    }

    /// Waits for the reply to the last question; whether it came.
    fn listen(&mut self, until: Duration) -> Result<bool, LinkError> {
        loop {
            for at in 0..self.waiting.len() {
                if self.take(self.waiting[at]) {
                    self.waiting.drain(..=at);
                    return Ok(true);
                }
            }
            self.waiting.clear();
            let left = until.saturating_sub(self.cable.now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut bytes = [0; 1024];
            let count = self.cable.receive(&mut bytes, left)?;
            self.waiting.extend_from_slice(&bytes[..count]);
        }
    }

    /// Takes a byte; whether it completes the reply. Damaged frames and replies
    /// to earlier questions are passed over.
    fn take(&mut self, byte: u8) -> bool {
        let Some(Ok(message)) = self.decoder.push(byte) else {
            return false;
        };
        match split(message) {
            Some((number, sequence, rest))
                if (number, sequence) == (self.number, self.sequence) =>
            {
                self.heard = rest.to_vec();
                true
            }
            _ => false,
        }
    }
}
