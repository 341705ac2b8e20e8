//! What a board's server stands on: the line, the clock, the camera, and what
//! the board keeps.

use core::cell::RefCell;

use foveola_core::audit::record::Event;
use foveola_core::audit::signature::{Enrolled, PublicKey};
use foveola_core::explain::hoc::{Step, UNUSED_WINDOW};
use foveola_core::net::model::Model;
use foveola_core::wire::fault::Fault;
use foveola_core::wire::message::Storage;
use foveola_core::wire::server::{Facts, Judged, Memory, Platform, Server, Spent};
use foveola_core::{Error, Shape};
use sha2::{Digest, Sha256};

use super::meter::Meter;
use super::verdict;
use super::{Failure, Pool};
use crate::board::uart as line;
use crate::board::{Board, image};
use crate::log::Occurrence;
use crate::store::StoreError;
use crate::witness::{EnrolError, KeepError, Witness};

/// Steps and boxes of HOC's tree.
const TREE: usize = 128;

/// Bytes of records that flash does not take.
const RING: usize = 4096;

/// Shows what a picture was judged to be.
pub type Shows<'s> = dyn FnMut(&Judged<'_>) + 's;

/// See the module.
pub struct Station<'s, B: Board, C> {
    pub meter: &'s mut Meter<B>,
    camera: C,
    sha256: [u8; 32],
    witness: Witness<'s, B::Flash>,
    /// The clock when it was set, less the seconds since the start.
    clock: Option<u64>,
    /// Also shows what is judged.
    pub shows: Option<&'s mut Shows<'s>>,
}

/// Fills a picture of a shape with pixels, if it can.
pub trait Camera<B>: FnMut(&mut B, Shape, &mut [u8]) -> bool {}

impl<B, C: FnMut(&mut B, Shape, &mut [u8]) -> bool> Camera<B> for C {}

/// A server in the rest of the pool; the model that the board keeps is active,
/// else the one in the program.
pub fn server<'p, B: Board, C>(
    station: &mut Station<'_, B, C>,
    pool: &mut Pool<'p>,
    linked: &'p [u8],
) -> Result<Server<'p>, Failure> {
    let slot = B::POOL / 4 / 16 * 16;
    let (first, second) = (pool.take(slot, 0)?, pool.take(slot, 0)?);
    let kept = station.witness.load(first);
    let mut server = Server::new(Memory {
        slots: [first, second],
        linked: Some(linked),
        steps: pool.take(TREE, Step::UNUSED)?,
        boxes: pool.take(TREE, UNUSED_WINDOW)?,
        work: pool.take(pool.left() / 16 * 16, 0)?,
    });
    station.boot(&mut server, kept);
    Ok(server)
}

impl<'s, B: Board, C> Station<'s, B, C> {
    pub fn new(
        meter: &'s mut Meter<B>,
        pool: &mut Pool<'s>,
        flash: Option<&'s RefCell<B::Flash>>,
        camera: C,
    ) -> Result<Self, Failure> {
        let sha256 = image::digest();
        Ok(Self {
            meter,
            camera,
            sha256,
            witness: Witness::new(flash, pool.take(RING, 0)?, sha256),
            clock: None,
            shows: None,
        })
    }

    /// Begins the log, and says in it which model runs, or that it was refused.
    /// A model that was refused has no stand-in: an older one might be what
    /// somebody wants to come back.
    fn boot(&mut self, server: &mut Server<'_>, kept: Kept<B>) {
        let taken = match kept {
            Ok(None) => Ok(()),
            Ok(Some(length)) => server.resume(length).map_err(Fault::from),
            Err(error) => Err(fault(error)),
        };
        let checked = taken.and_then(|()| self.admit(server.model().ok_or(Fault::NoModel)?));
        match checked {
            Ok((model, version)) => {
                self.witness.begin(model);
                self.tell(Event::Model { version, code: 0 });
            }
            Err(refusal) => {
                server.retire();
                self.witness.begin([0; 32]);
                self.refused(&refusal);
            }
        }
    }

    /// Whether a model may run here: its hash, as the file states it, and its
    /// release.
    fn admit(&self, file: &[u8]) -> Result<([u8; 32], u32), Fault<'static>> {
        let model = Model::from_bytes_unhashed(file)?;
        let (signer, least) = (self.witness.signer(), self.witness.release());
        let release = match signer {
            [0, ..] if signer.iter().all(|byte| *byte == 0) => match model.release() {
                found if found < least => return Err(Error::OldRelease { found, least }.into()),
                found => found,
            },
            _ => Enrolled {
                keys: &[PublicKey(*signer)],
                revoked: &[],
                release: least,
            }
            .admit(&model)?,
        };
        Ok((*model.digest(), release))
    }

    /// Offers a file as the model that runs from now on, as if it had come over
    /// the line.
    ///
    /// # Errors
    /// Why it was refused, which the log tells as well.
    pub fn offer(&mut self, server: &mut Server<'_>, file: &[u8]) -> Result<(), Fault<'static>>
    where
        C: Camera<B>,
    {
        let model = Model::from_bytes(file).map_err(Fault::from);
        let model = model.inspect_err(|fault| self.refused(fault))?;
        server.install(file, model.digest(), self)
    }

    fn refused(&mut self, refusal: &Fault<'_>) {
        let version = self.witness.release();
        let code = code(refusal);
        self.tell(Event::Model { version, code });
    }

    /// Seconds since 1970, if the clock was set.
    fn seconds(&mut self) -> Option<u64> {
        let clock = self.clock?;
        Some(clock.saturating_add(self.meter.seconds()))
    }

    fn tell(&mut self, event: Event<'_>) {
        let occurrence = self.occurrence(event);
        self.witness.note(&occurrence);
    }

    fn occurrence<'e>(&mut self, event: Event<'e>) -> Occurrence<'e> {
        let time = self.seconds().map(|seconds| seconds.saturating_mul(1000));
        Occurrence {
            time,
            ..Occurrence::of(event)
        }
    }
}

/// What came of loading the model that is kept.
type Kept<B> = Result<Option<usize>, KeepError<<B as Board>::Flash>>;

/// Why a model cannot be kept or loaded, as the line tells it.
fn fault<E>(error: StoreError<E>) -> Fault<'static> {
    match error {
        StoreError::TooLarge => Fault::TooLarge { room: 0 },
        StoreError::NoModel => Fault::Denied("the flash does not hold the model that was kept"),
        _ => Fault::Denied("the flash does not work"),
    }
}

/// The number of a refusal in the log: 1 and core's number, or one of its own.
const fn code(refusal: &Fault<'_>) -> u16 {
    match refusal {
        Fault::Core { number, .. } => 1 + *number as u16,
        Fault::NoModel => 100,
        Fault::Denied(_) => 101,
        _ => 102,
    }
}

/// SHA-256, zeros for nothing.
fn hash_of(bytes: &[u8]) -> [u8; 32] {
    match bytes {
        [] => [0; 32],
        _ => Sha256::digest(bytes).into(),
    }
}

impl<B: Board, C: Camera<B>> Platform for Station<'_, B, C> {
    fn read(&mut self) -> Option<u8> {
        line::read()
    }

    fn write(&mut self, bytes: &[u8]) {
        line::write(bytes);
    }

    fn feed(&mut self) {
        self.meter.board().feed();
        self.meter.keep_up();
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: B::NAME,
            firmware: env!("CARGO_PKG_VERSION"),
            sha256: &self.sha256,
            overruns: line::lost(),
        }
    }

    fn begin(&mut self) {
        self.meter.begin();
    }

    fn end(&mut self) -> Spent {
        let milliseconds = self.meter.milliseconds();
        let measured = self.meter.end();
        Spent {
            milliseconds,
            instructions: measured.instructions,
            stack: measured.stack as u32,
        }
    }

    fn time(&mut self) -> Option<u64> {
        self.seconds()
    }

    fn set_time(&mut self, seconds: u64) -> bool {
        self.clock = Some(seconds.saturating_sub(self.meter.seconds()));
        true
    }

    fn take_frame(&mut self, shape: Shape, out: &mut [u8]) -> bool {
        (self.camera)(self.meter.board(), shape, out)
    }

    fn log(&mut self, offset: u32, out: &mut [u8]) -> Option<u32> {
        Some(self.witness.export(offset, out))
    }

    fn note(&mut self, event: &Event<'_>, input: &[u8], output: &[u8]) {
        let occurrence = Occurrence {
            input: hash_of(input),
            output: hash_of(output),
            ..self.occurrence(*event)
        };
        self.witness.note(&occurrence);
    }

    fn judged(&mut self, judged: &Judged<'_>) {
        verdict::on_panel(self.meter.board(), judged);
        if let Some(shows) = &mut self.shows {
            shows(judged);
        }
    }

    fn storage(&mut self) -> Option<Storage<'_>> {
        Some(self.witness.storage())
    }

    fn enrol(
        &mut self,
        device: &str,
        secret: &[u8; 32],
        signer: &[u8; 32],
    ) -> Result<(), Fault<'static>> {
        let enrolled = self.witness.enrol(device, *secret, *signer);
        enrolled.map_err(|error| match error {
            EnrolError::Flash => Fault::Denied("its flash does not work"),
            EnrolError::Already => Fault::Denied("it has a name and a key already"),
            EnrolError::Name => Fault::Denied("a name has 1 to 64 bytes"),
        })
    }

    fn adopt(&mut self, slot: u8, file: &[u8]) -> Result<(), Fault<'static>> {
        let admitted = self.admit(file);
        let kept = admitted.and_then(|(model, release)| {
            let kept = match slot {
                0 | 1 => self.witness.keep(file, model, release),
                _ => self.witness.keep_none(model),
            };
            kept.map_err(fault)
        });
        kept.inspect_err(|refusal| self.refused(refusal))
    }
}
