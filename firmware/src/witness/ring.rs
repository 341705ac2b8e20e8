//! Records in memory: the latest ones, chained like those in flash, unsigned.

use foveola_core::audit::anchor::Link;
use foveola_core::audit::record::{Encoded, Entry, length, origin};

use crate::log::{Identity, Occurrence};

/// Records one behind another, the oldest one first.
pub struct Ring<'r> {
    bytes: &'r mut [u8],
    used: usize,
    last: Link,
    next: u64,
    boot: u32,
}

impl<'r> Ring<'r> {
    pub const fn new(bytes: &'r mut [u8]) -> Self {
        Self {
            bytes,
            used: 0,
            last: Link {
                number: 0,
                hash: [0; 32],
            },
            next: 0,
            boot: 0,
        }
    }

    /// Begins the log of a device.
    pub fn begin(&mut self, device: &str) {
        self.last = Link {
            number: 0,
            hash: origin(device),
        };
        (self.used, self.next) = (0, 0);
    }

    /// Goes on behind a record.
    pub const fn follow(&mut self, last: Link, boot: u32) {
        self.last = last;
        self.next = last.number.wrapping_add(1);
        self.boot = boot;
    }

    pub const fn last(&self) -> Link {
        self.last
    }

    /// Writes a record; the oldest ones make room.
    pub fn push(&mut self, occurrence: &Occurrence<'_>, identity: Identity) {
        let entry = Entry {
            boot: self.boot,
            time: occurrence.time,
            model: identity.model,
            firmware: identity.firmware,
            input: occurrence.input,
            output: occurrence.output,
            event: occurrence.event,
        };
        let record = Encoded::new(self.next, &self.last.hash, &entry);
        let need = record.bytes().len();
        while self.used > 0 && self.used + need > self.bytes.len() {
            self.drop_oldest();
        }
        if let Some(place) = self.bytes.get_mut(self.used..self.used + need) {
            place.copy_from_slice(record.bytes());
            self.used += need;
        }
        self.last = Link {
            number: self.next,
            hash: *record.hash(),
        };
        self.next = self.next.wrapping_add(1);
    }

    fn drop_oldest(&mut self) {
        let used = self.bytes.get(..self.used).unwrap_or_default();
        let oldest = length(used).unwrap_or(self.used).min(self.used);
        self.bytes.copy_within(oldest..self.used, 0);
        self.used -= oldest;
    }

    pub fn read(&self, mut show: impl FnMut(&[u8]) -> bool) {
        let mut rest = self.bytes.get(..self.used).unwrap_or_default();
        while let Some(end) = length(rest).filter(|end| *end <= rest.len()) {
            let (record, behind) = rest.split_at(end);
            if !show(record) {
                break;
            }
            rest = behind;
        }
    }
}
