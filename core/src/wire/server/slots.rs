//! Models: two slots that are written in turns, and one in flash.

use super::{put, small};
use crate::error::Error;
use crate::net::model::Model;
use crate::wire::fault::Fault;
use crate::wire::message::Slot;

/// Number of the model in flash.
const LINKED: u8 = 2;
/// No model at all.
const NONE: u8 = 3;

/// All models of a device.
#[derive(Debug)]
pub struct Slots<'d> {
    places: [Place<'d>; 2],
    linked: Option<&'d [u8]>,
    active: u8,
    /// The slot that a model comes into.
    filling: Option<u8>,
}

#[derive(Debug)]
struct Place<'d> {
    bytes: &'d mut [u8],
    length: usize,
    have: usize,
    sound: bool,
    sha256: [u8; 32],
}

impl Place<'_> {
    /// The model's bytes, if it is sound.
    fn file(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length).filter(|_| self.sound)
    }

    fn slot(&self) -> Slot {
        Slot {
            room: small(self.bytes.len()),
            length: small(self.length),
            have: small(self.have),
            sound: self.sound,
            sha256: self.sha256,
        }
    }
}

impl<'d> Slots<'d> {
    pub fn new(places: [&'d mut [u8]; 2], linked: Option<&'d [u8]>) -> Self {
        let linked = linked.filter(|bytes| Model::from_bytes(bytes).is_ok());
        Self {
            places: places.map(|bytes| Place {
                bytes,
                length: 0,
                have: 0,
                sound: false,
                sha256: [0; 32],
            }),
            active: if linked.is_some() { LINKED } else { NONE },
            linked,
            filling: None,
        }
    }

    pub const fn active(&self) -> u8 {
        self.active
    }

    /// No model is active.
    pub const fn retire(&mut self) {
        self.active = NONE;
    }

    /// What is where.
    pub fn list(&self) -> [Slot; 3] {
        let [first, second] = &self.places;
        let linked = self.linked.map_or_else(Slot::default, |bytes| {
            let length = small(bytes.len());
            let sha256 = Model::from_bytes_unhashed(bytes).map_or([0; 32], |m| *m.digest());
            Slot {
                room: length,
                length,
                have: length,
                sound: true,
                sha256,
            }
        });
        [first.slot(), second.slot(), linked]
    }

    /// The bytes of a sound model.
    pub fn file(&self, slot: u8) -> Option<&[u8]> {
        match slot {
            LINKED => self.linked,
            _ => self.places.get(usize::from(slot))?.file(),
        }
    }

    /// The active model. Its hashes were checked when it came; a self-test
    /// checks them again.
    pub fn model(&self) -> Result<Model<'_>, Fault<'static>> {
        let file = self.file(self.active).ok_or(Fault::NoModel)?;
        Ok(Model::from_bytes_unhashed(file)?)
    }

    /// Announces a model; answers how many of its bytes are there.
    pub fn begin(&mut self, length: u32, sha256: [u8; 32]) -> Result<usize, Fault<'static>> {
        let slot = u8::from(self.active == 0);
        let place = self.places.get_mut(usize::from(slot));
        let place = place.ok_or(Fault::from(Error::Internal))?;
        let (length, room) = (length as usize, place.bytes.len());
        if length > room {
            return Err(Fault::TooLarge { room: small(room) });
        }
        self.filling = Some(slot);
        if (place.length, place.sha256) != (length, sha256) {
            (place.length, place.sha256) = (length, sha256);
            (place.have, place.sound) = (0, false);
        }
        Ok(place.have)
    }

    fn filled(&mut self) -> Option<&mut Place<'d>> {
        self.places.get_mut(usize::from(self.filling?))
    }

    /// Takes bytes of the model; answers how many are there.
    pub fn chunk(&mut self, offset: u32, bytes: &[u8]) -> Result<usize, Fault<'static>> {
        let place = self.filled().ok_or(Fault::Incomplete { have: 0 })?;
        let room = place.bytes.get_mut(..place.length);
        let room = room.ok_or(Fault::from(Error::Internal))?;
        let length = small(room.len());
        put(room, &mut place.have, offset, bytes).ok_or(Fault::TooLarge { room: length })?;
        Ok(place.have)
    }

    /// A model that lies in the first slot, whole and checked or forgotten.
    pub fn resume(&mut self, length: usize) -> Result<(), Error> {
        let [place, _] = &mut self.places;
        let need = length;
        let have = place.bytes.len();
        let bytes = place.bytes.get(..length);
        let bytes = bytes.ok_or(Error::BufferTooSmall { need, have })?;
        place.sha256 = *Model::from_bytes(bytes)?.digest();
        (place.length, place.have, place.sound) = (length, length, true);
        self.active = 0;
        Ok(())
    }

    /// Checks the model that came; answers its slot. One that is not sound is
    /// forgotten.
    pub fn finish(&mut self) -> Result<u8, Fault<'static>> {
        let place = self.filled().ok_or(Fault::Incomplete { have: 0 })?;
        if place.have < place.length {
            let have = small(place.have);
            return Err(Fault::Incomplete { have });
        }
        if let Err(fault) = place.check() {
            (place.have, place.sound) = (0, false);
            return Err(fault);
        }
        place.sound = true;
        self.filling.take().ok_or(Fault::from(Error::Internal))
    }

    /// Makes another sound model the active one.
    pub fn activate(&mut self, slot: u8) -> Result<(), Fault<'static>> {
        self.file(slot).ok_or(Fault::NoModel)?;
        self.active = slot;
        // The other slot is the free one now.
        self.filling = None;
        Ok(())
    }

    /// Checks everything of the active model, hashes included.
    pub fn check(&self) -> Result<(), Fault<'static>> {
        let file = self.file(self.active).ok_or(Fault::NoModel)?;
        Model::from_bytes(file)?;
        Ok(())
    }
}

impl Place<'_> {
    fn check(&self) -> Result<(), Fault<'static>> {
        let bytes = self.bytes.get(..self.length);
        let model = Model::from_bytes(bytes.ok_or(Fault::from(Error::Internal))?)?;
        match *model.digest() == self.sha256 {
            true => Ok(()),
            false => Err(Fault::OtherModel),
        }
    }
}
