//! A host and a device with a line between them that a test can hurt. Time is
//! virtual: it only goes on when both sides wait.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use foveola::aligned::AlignedBytes;
use foveola::link::Cable;
use foveola_core::Shape;
use foveola_core::explain::hoc::{Step, UNUSED_WINDOW};
use foveola_core::mask::Window;
use foveola_core::wire::server::{Facts, Memory, Platform, Server, Spent};

/// Memory of a device.
pub struct Ram {
    slots: [AlignedBytes; 2],
    work: AlignedBytes,
    steps: Vec<Step>,
    boxes: Vec<Window>,
}

impl Ram {
    pub fn new() -> Self {
        Self::with(16_384)
    }

    /// Memory with so many bytes for work.
    pub fn with(work: usize) -> Self {
        Self {
            slots: [AlignedBytes::zeros(8192), AlignedBytes::zeros(8192)],
            work: AlignedBytes::zeros(work),
            steps: vec![Step::UNUSED; 32],
            boxes: vec![UNUSED_WINDOW; 32],
        }
    }

    /// A device that was just switched on.
    fn server<'r>(&'r mut self, linked: Option<&'r [u8]>) -> Server<'r> {
        let [first, second] = &mut self.slots;
        Server::new(Memory {
            slots: [first, second],
            linked,
            work: &mut self.work,
            steps: &mut self.steps,
            boxes: &mut self.boxes,
        })
    }
}

/// What the device stands on.
#[derive(Default)]
pub struct Station {
    incoming: VecDeque<u8>,
    outgoing: Vec<Vec<u8>>,
    /// Works that were begun.
    pub begun: u32,
    clock: Option<u64>,
}

impl Platform for Station {
    fn read(&mut self) -> Option<u8> {
        self.incoming.pop_front()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.outgoing.push(bytes.to_vec());
    }

    fn feed(&mut self) {}

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: "bench",
            firmware: "0",
            sha256: &[7; 32],
            overruns: 0,
        }
    }

    fn begin(&mut self) {
        self.begun += 1;
    }

    fn end(&mut self) -> Spent {
        Spent::default()
    }

    fn time(&mut self) -> Option<u64> {
        self.clock
    }

    fn set_time(&mut self, seconds: u64) -> bool {
        self.clock = Some(seconds);
        true
    }

    fn take_frame(&mut self, _shape: Shape, out: &mut [u8]) -> bool {
        out.fill(99);
        true
    }
}

/// Where bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToDevice,
    ToHost,
}

/// What happens to the line at one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The byte is lost.
    Drop,
    /// The byte comes twice.
    Twice,
    /// The byte changes places with the next one.
    Swap,
    /// One bit of it is wrong.
    Flip,
    /// The rest of this frame is lost.
    Half,
    /// The rest of this frame comes 0.7 s later, amid others.
    Delay,
    /// The whole frame comes once more, 0.4 s later.
    Again,
    /// The device is switched off and on; the rest of this frame finds it empty.
    Device,
    /// The host's program ends, half its frame sent.
    Host,
}

pub const KINDS: [Kind; 9] = [
    Kind::Drop,
    Kind::Twice,
    Kind::Swap,
    Kind::Flip,
    Kind::Half,
    Kind::Delay,
    Kind::Again,
    Kind::Device,
    Kind::Host,
];

/// A fault at a byte.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub way: Way,
    pub at: usize,
    pub kind: Kind,
}

type Due = BTreeMap<(Duration, u64), u8>;

struct Parts<'w> {
    now: Duration,
    server: Option<Server<'w>>,
    station: Station,
    to_device: Due,
    to_host: Due,
    /// Bytes sent both ways.
    sent: [usize; 2],
    fault: Option<Fault>,
    /// The device is to be switched off.
    reset: bool,
    order: u64,
}

/// Host, device and line.
pub struct World<'w>(
    RefCell<Parts<'w>>,
    RefCell<Vec<&'w mut Ram>>,
    Option<&'w [u8]>,
);

impl<'w> World<'w> {
    /// A device with memory for now, and for each time that it is switched on again.
    pub fn new(rams: Vec<&'w mut Ram>, linked: Option<&'w [u8]>, fault: Option<Fault>) -> Self {
        let world = Self(
            RefCell::new(Parts {
                now: Duration::ZERO,
                server: None,
                station: Station::default(),
                to_device: Due::new(),
                to_host: Due::new(),
                sent: [0; 2],
                fault,
                reset: true,
                order: 0,
            }),
            RefCell::new(rams),
            linked,
        );
        world.reset();
        world
    }

    /// Switches the device off and on, if that is to happen.
    fn reset(&self) {
        let mut parts = self.0.borrow_mut();
        if !std::mem::take(&mut parts.reset) {
            return;
        }
        let ram = self.1.borrow_mut().pop().expect("memory for each start");
        parts.server = Some(ram.server(self.2));
        parts.station.incoming.clear();
    }

    /// The device is not there any more.
    pub fn hush(&self) {
        self.0.borrow_mut().server = None;
    }

    pub fn now(&self) -> Duration {
        self.0.borrow().now
    }

    pub fn begun(&self) -> u32 {
        self.0.borrow().station.begun
    }

    pub fn sent(&self) -> [usize; 2] {
        self.0.borrow().sent
    }

    /// Lets the device work off what has come.
    fn serve(&self) {
        loop {
            self.reset();
            let parts = &mut *self.0.borrow_mut();
            let Some(entry) = parts.to_device.first_entry() else {
                break;
            };
            if entry.key().0 > parts.now {
                break;
            }
            parts.station.incoming.push_back(entry.remove());
            if let Some(server) = &mut parts.server {
                server.step(&mut parts.station);
            }
            for bytes in std::mem::take(&mut parts.station.outgoing) {
                // A reply cannot end the host's program.
                let _ = parts.carry(Way::ToHost, &bytes);
            }
        }
    }
}

impl Parts<'_> {
    fn put(&mut self, way: Way, after: Duration, byte: u8) {
        self.order += 1;
        let key = (self.now + after, self.order);
        match way {
            Way::ToDevice => self.to_device.insert(key, byte),
            Way::ToHost => self.to_host.insert(key, byte),
        };
    }

    /// Sends bytes over the line, hurt where the fault says so.
    fn carry(&mut self, way: Way, bytes: &[u8]) -> io::Result<()> {
        let begin = self.sent[way as usize];
        self.sent[way as usize] += bytes.len();
        let hit = self.fault.filter(|fault| fault.way == way);
        let hit = hit.and_then(|f| {
            Some((
                f.kind,
                f.at.checked_sub(begin).filter(|i| *i < bytes.len())?,
            ))
        });
        let millisecond = Duration::from_millis(1);
        let Some((kind, at)) = hit else {
            bytes
                .iter()
                .for_each(|byte| self.put(way, millisecond, *byte));
            return Ok(());
        };
        let mut hurt = bytes.to_vec();
        let mut rest = Vec::new();
        let mut late = Duration::from_millis(700);
        match kind {
            Kind::Drop => drop(hurt.remove(at)),
            Kind::Twice => hurt.insert(at, bytes[at]),
            Kind::Swap => hurt.swap(at, (at + 1).min(bytes.len() - 1)),
            Kind::Flip => hurt[at] ^= 1 << (at % 8),
            Kind::Half | Kind::Host => hurt.truncate(at),
            Kind::Delay => rest = hurt.split_off(at),
            Kind::Again => (rest, late) = (bytes.to_vec(), Duration::from_millis(400)),
            Kind::Device => {
                match way {
                    Way::ToDevice => drop(hurt.drain(..at)),
                    Way::ToHost => hurt.truncate(at),
                }
                self.to_device.clear();
                self.reset = true;
            }
        }
        hurt.iter()
            .for_each(|byte| self.put(way, millisecond, *byte));
        rest.iter().for_each(|byte| self.put(way, late, *byte));
        match kind {
            Kind::Host => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }
}

/// The host's end of the line.
pub struct End<'e, 'w>(pub &'e World<'w>);

impl Cable for End<'_, '_> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.0.borrow_mut().carry(Way::ToDevice, bytes)
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let until = self.now() + patience;
        loop {
            self.0.serve();
            let parts = &mut *self.0.0.borrow_mut();
            let mut count = 0;
            while let Some(entry) = parts.to_host.first_entry() {
                if entry.key().0 > parts.now || count == into.len() {
                    break;
                }
                into[count] = entry.remove();
                count += 1;
            }
            if count > 0 || parts.now >= until {
                return Ok(count);
            }
            let next = [&parts.to_device, &parts.to_host];
            let next = next
                .iter()
                .filter_map(|due| due.keys().next())
                .map(|key| key.0)
                .min();
            parts.now = next.unwrap_or(until).min(until);
        }
    }

    fn now(&mut self) -> Duration {
        self.0.now()
    }
}
