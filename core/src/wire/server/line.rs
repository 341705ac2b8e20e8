//! The line's end: session, sequence, and the last reply, kept to be repeated.

use super::Platform;
use crate::wire::VERSION;
use crate::wire::fault::Fault;
use crate::wire::frame::{Damage, Frame};
use crate::wire::message::{Reply, Request, frame, read, split};

/// Session and sequence number of a request.
pub type Number = (u32, u32);

/// What a byte brought.
pub enum Heard<'m> {
    /// No request, or none that is worth a reply.
    Nothing,
    /// The last request once more: its reply is in [`Line::bytes`].
    Again,
    /// A new request.
    Request(Number, Request<'m>),
    /// A request that changes nothing, not even what counts as the last one.
    Wrong(Number, Fault<'static>),
}

/// The line's end.
#[derive(Debug, Default)]
pub struct Line {
    session: Option<u32>,
    last: u32,
    reply: Frame,
    /// Frames that arrived whole.
    pub frames: u32,
    /// Frames that did not.
    pub damaged: u32,
}

impl Line {
    /// What the decoder's word means.
    pub fn hear<'m>(&mut self, found: Option<Result<&'m [u8], Damage>>) -> Heard<'m> {
        let message = match found {
            None => return Heard::Nothing,
            Some(Err(_)) => {
                self.damaged = self.damaged.wrapping_add(1);
                return Heard::Nothing;
            }
            Some(Ok(message)) => message,
        };
        self.frames = self.frames.wrapping_add(1);
        let Some((session, sequence, rest)) = split(message) else {
            return Heard::Nothing;
        };
        let number = (session, sequence);
        let request = read(rest);
        if self.session == Some(session) {
            // Ahead by less than half the numbers is new, the others are late.
            return match sequence.wrapping_sub(self.last) as i32 {
                0 => Heard::Again,
                ahead if ahead < 0 => Heard::Nothing,
                _ => request.map_or(Heard::Wrong(number, Fault::Malformed), |request| {
                    Heard::Request(number, request)
                }),
            };
        }
        match request {
            Some(Request::Hello(VERSION)) => self.welcome(number),
            Some(Request::Hello(_)) => Heard::Wrong(number, Fault::Version { device: VERSION }),
            _ => Heard::Wrong(number, Fault::Session),
        }
    }

    /// Opens a session; its first reply is ready.
    fn welcome(&mut self, number: Number) -> Heard<'static> {
        self.session = Some(number.0);
        self.reply(number, &Reply::Hello(VERSION));
        Heard::Again
    }

    /// Makes the reply to a new request, and keeps it. By itself, so that its
    /// buffer does not lie on the stack below the work.
    #[inline(never)]
    pub fn reply(&mut self, (session, sequence): Number, reply: &Reply<'_>) {
        self.last = sequence;
        if frame(session, sequence, reply, &mut self.reply).is_err() {
            // Every reply fits; if one did not, a short one still does.
            let fault = Reply::Fault(Fault::TooLarge { room: 0 });
            let _ = frame(session, sequence, &fault, &mut self.reply);
        }
    }

    /// The session that is open.
    pub const fn session(&self) -> Option<u32> {
        self.session
    }

    /// The last reply.
    pub fn bytes(&self) -> &[u8] {
        self.reply.bytes()
    }

    /// Sends a fault that is not kept. By itself as well.
    #[inline(never)]
    pub fn refuse(&self, number: Number, fault: Fault<'static>, platform: &mut dyn Platform) {
        let mut refusal = Frame::default();
        if frame(number.0, number.1, &Reply::Fault(fault), &mut refusal).is_ok() {
            platform.write(refusal.bytes());
        }
    }
}
