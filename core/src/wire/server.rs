//! A device that answers: bytes in, bytes out, work in between.
//!
//! A board calls [`Server::step`] whenever bytes may have come. What it asks of
//! the board is a [`Platform`]; it holds no state of its own that a board would
//! have to know, so the same code runs in a test without a board.
//!
//! Work never keeps the line waiting: after every node and every pass the bytes
//! that came are answered, [`Request::Poll`] with how far it is.

mod ask;
mod attend;
mod audit;
mod lent;
mod line;
mod note;
mod platform;
mod room;
mod slots;
mod uncertainty;
mod work;

use core::cell::RefCell;
use core::ops::Range;

use super::CHUNK;
use super::fault::Fault;
use super::frame::Decoder;
use super::message::{Ended, Explain, Format, Info, Reply, Request, Sides, Source, sides};
use crate::classifier::Score;
use crate::error::Error;
use crate::explain::hoc::Step;
use crate::mask::Window;
use crate::net::model::Model;
use crate::tensor::Shape;
use attend::Attendant;
pub use audit::Judged;
use line::{Heard, Line};
pub use platform::{Facts, Platform, Spent};
use room::Room;
use slots::Slots;

/// Memory of a server. What [`crate::net::format::ALIGNMENT`] says holds for
/// the first byte of the slots and of `work`.
#[derive(Debug)]
pub struct Memory<'d> {
    /// Two slots for models.
    pub slots: [&'d mut [u8]; 2],
    /// A model that is always there, in flash.
    pub linked: Option<&'d [u8]>,
    /// Picture, result, scratch and arena.
    pub work: &'d mut [u8],
    /// HOC's tree.
    pub steps: &'d mut [Step],
    /// HOC's boxes.
    pub boxes: &'d mut [Window],
}

/// A device that answers.
#[derive(Debug)]
pub struct Server<'d> {
    decoder: Decoder,
    line: Line,
    desk: Desk<'d>,
}

/// What lies on the desk: models, picture, result.
#[derive(Debug)]
struct Desk<'d> {
    slots: Slots<'d>,
    work: &'d mut [u8],
    steps: &'d mut [Step],
    boxes: &'d mut [Window],
    picture: Option<PictureState>,
    /// Where the result lies in `work`.
    result: Range<usize>,
    job: Option<Job>,
    ended: Option<Ended<'static>>,
    /// Edits that computed only what they could reach, of work that was asked so.
    edits: Option<u32>,
}

/// A picture that came or comes.
#[derive(Clone, Copy, Debug)]
struct PictureState {
    format: Format,
    shape: Shape,
    length: usize,
    have: usize,
}

/// Work that was asked for.
#[derive(Clone, Copy, Debug)]
struct Job {
    /// Sequence number of the request.
    number: u32,
    task: Task,
}

#[derive(Clone, Copy, Debug)]
enum Task {
    Classify(Score),
    Explain(Explain),
    ExplainAsking(Explain),
    ExplainEdits(Explain),
    Tensor(usize),
    SelfTest,
    Audit(bool),
    Uncertainty(u32, u64),
}

impl<'d> Server<'d> {
    /// A device without a session. The linked model, if it is sound, is active.
    pub fn new(memory: Memory<'d>) -> Self {
        Self {
            decoder: Decoder::default(),
            line: Line::default(),
            desk: Desk {
                slots: Slots::new(memory.slots, memory.linked),
                work: memory.work,
                steps: memory.steps,
                boxes: memory.boxes,
                picture: None,
                result: 0..0,
                job: None,
                ended: None,
                edits: None,
            },
        }
    }

    /// Takes the `length` bytes that lie in the first slot for a model, and makes
    /// it the active one if it is sound.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn resume(&mut self, length: usize) -> Result<(), Error> {
        self.desk.slots.resume(length)
    }

    /// The bytes of the active model.
    pub fn model(&self) -> Option<&[u8]> {
        self.desk.slots.file(self.desk.slots.active())
    }

    /// From here on no model is active.
    pub const fn retire(&mut self) {
        self.desk.slots.retire();
    }

    /// Takes a model file that states this SHA-256, as if it had come over the line.
    ///
    /// # Errors
    /// Why it does not become the active one.
    pub fn install(
        &mut self,
        file: &[u8],
        sha256: &[u8; 32],
        platform: &mut dyn Platform,
    ) -> Result<(), Fault<'static>> {
        let have = self.desk.slots.begin(small(file.len()), *sha256)?;
        let rest = file.get(have..).unwrap_or_default();
        self.desk.slots.chunk(small(have), rest)?;
        self.desk.finish_model(platform)
    }

    /// Takes a picture with the board's camera and judges it, as
    /// [`Request::Audit`] does.
    ///
    /// # Errors
    /// No camera, or no model.
    pub fn audit(
        &mut self,
        cases: bool,
        platform: &mut dyn Platform,
    ) -> Result<Ended<'static>, Fault<'static>> {
        self.desk.take_frame(platform)?;
        let task = Task::Audit(cases);
        self.perform(Job { number: 0, task }, platform);
        self.desk.ended.ok_or(Fault::from(Error::Internal))
    }

    /// Answers the bytes that came and does the work that they asked for.
    pub fn step(&mut self, platform: &mut dyn Platform) {
        platform.feed();
        while let Some(byte) = platform.read() {
            self.take(byte, platform);
            if let Some(job) = self.desk.job.take() {
                self.perform(job, platform);
            }
        }
    }

    fn take(&mut self, byte: u8, platform: &mut dyn Platform) {
        let Self {
            decoder,
            line,
            desk,
        } = self;
        let counts = (line.frames, line.damaged);
        match line.hear(decoder.push(byte)) {
            Heard::Nothing => {}
            Heard::Again => platform.write(line.bytes()),
            Heard::Request(call, request) => {
                let reply = desk.reply(call.1, &request, counts, platform);
                line.reply(call, &reply.unwrap_or_else(Reply::Fault));
                platform.write(line.bytes());
            }
            Heard::Wrong(call, fault) => line.refuse(call, fault, platform),
        }
    }

    fn perform(&mut self, job: Job, platform: &mut dyn Platform) {
        let Self {
            decoder,
            line,
            desk,
        } = self;
        platform.begin();
        let attendant = RefCell::new(Attendant::new(decoder, line, platform));
        let ended = desk.perform(&job, &attendant);
        let Attendant {
            done,
            edits,
            platform,
            ..
        } = attendant.into_inner();
        let spent = platform.end();
        let ended = desk.conclude(ended, &spent, platform);
        desk.ended = Some(Ended {
            work: job.number,
            instructions: spent.instructions,
            stack: spent.stack,
            passes: done,
            ..ended
        });
        desk.edits = matches!(job.task, Task::ExplainEdits(_)).then_some(edits);
        desk.note(&job, &ended, platform);
    }
}

/// The reply `Have`, or the largest number where more is there.
fn have(bytes: usize) -> Reply<'static> {
    Reply::Have(small(bytes))
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// As many bytes of `from` as one message takes.
fn part(from: &[u8], offset: u32) -> Result<Reply<'_>, Fault<'static>> {
    let rest = from.get(offset as usize..).ok_or(Fault::NoResult)?;
    let bytes = rest.get(..CHUNK).unwrap_or(rest);
    Ok(Reply::Part(small(from.len()), bytes))
}

/// Takes bytes at an offset into `place`, of which `have` are there: those
/// that are new. A gap or what is there already changes nothing.
fn put(place: &mut [u8], have: &mut usize, offset: u32, bytes: &[u8]) -> Option<()> {
    let offset = offset as usize;
    let Some(known) = have.checked_sub(offset) else {
        return Some(());
    };
    let Some(new) = bytes.get(known..) else {
        return Some(());
    };
    let end = *have + new.len();
    place.get_mut(*have..end)?.copy_from_slice(new);
    *have = end;
    Some(())
}

impl Desk<'_> {
    /// The reply to a request while no work runs.
    fn reply<'r>(
        &'r mut self,
        sequence: u32,
        request: &Request<'_>,
        counts: (u32, u32),
        platform: &'r mut dyn Platform,
    ) -> Result<Reply<'r>, Fault<'static>> {
        match *request {
            Request::Hello(_) => Err(Fault::Malformed),
            Request::Info => Ok(Reply::Info(self.info(counts, platform.facts()))),
            Request::BeginModel(length, sha256) => self.slots.begin(length, sha256).map(have),
            Request::ModelChunk(offset, bytes) => self.slots.chunk(offset, bytes).map(have),
            Request::FinishModel => self.finish_model(platform).map(|()| Reply::Done),
            Request::Activate(slot) => self.activate(slot, platform).map(|()| Reply::Done),
            Request::BeginPicture(format, shape) => self.begin_picture(format, shape).map(have),
            Request::PictureChunk(offset, bytes) => self.picture_chunk(offset, bytes).map(have),
            Request::TakeFrame => self.take_frame(platform).map(|()| Reply::Done),
            Request::Classify(score) => self.start(sequence, Task::Classify(score)),
            Request::Explain(explain) => self.start(sequence, Task::Explain(explain)),
            Request::ExplainAsking(explain) => self.start(sequence, Task::ExplainAsking(explain)),
            Request::ExplainEdits(explain) => self.start(sequence, Task::ExplainEdits(explain)),
            Request::Tensor(node) => self.start(sequence, Task::Tensor(node as usize)),
            Request::SelfTest => self.start(sequence, Task::SelfTest),
            Request::Poll => {
                let ended = self.ended.ok_or(Fault::NoResult)?;
                let plain = Reply::Ended(ended);
                Ok(self.edits.map_or(plain, |n| Reply::Edited(ended, n)))
            }
            Request::Cancel => Ok(Reply::Done),
            Request::Read(Source::Question, _) | Request::Scores(..) => Err(Fault::NoResult),
            Request::Read(Source::Log, offset) => self.log(offset, platform),
            Request::Read(source, offset) => part(self.source(source)?, offset),
            Request::Time(seconds) => time(seconds, platform),
            Request::Audit(cases) => self.start(sequence, Task::Audit(cases)),
            Request::Uncertainty(passes, seed) => {
                self.start(sequence, Task::Uncertainty(passes, seed))
            }
            Request::Storage => {
                let storage = platform.storage().map(Reply::Storage);
                storage.ok_or(Fault::Unsupported)
            }
            Request::Enrol(device, secret, signer) => {
                platform.enrol(device, &secret, &signer)?;
                Ok(Reply::Done)
            }
        }
    }

    fn finish_model(&mut self, platform: &mut dyn Platform) -> Result<(), Fault<'static>> {
        let slot = self.slots.finish()?;
        self.activate(slot, platform)
    }

    /// Makes a sound model the active one, if the board agrees.
    fn activate(&mut self, slot: u8, platform: &mut dyn Platform) -> Result<(), Fault<'static>> {
        let file = self.slots.file(slot).ok_or(Fault::NoModel)?;
        platform.adopt(slot, file)?;
        self.slots.activate(slot)
    }

    fn start(&mut self, number: u32, task: Task) -> Result<Reply<'static>, Fault<'static>> {
        self.job = Some(Job { number, task });
        (self.result, self.ended, self.edits) = (0..0, None, None);
        Ok(Reply::Started)
    }

    fn info<'r>(&'r self, (frames, damaged): (u32, u32), facts: Facts<'r>) -> Info<'r> {
        let model = self.slots.model().ok();
        Info {
            board: facts.board,
            firmware: facts.firmware,
            firmware_sha256: *facts.sha256,
            ram: small(self.work.len()),
            slots: self.slots.list(),
            active: self.slots.active(),
            input: model.map_or([0; 3], |m| sides(m.input())),
            classes: model.map_or(0, |m| small(m.classes())),
            nodes: model.map_or(0, |m| small(m.node_count())),
            frames,
            damaged,
            overruns: facts.overruns,
        }
    }

    fn begin_picture(&mut self, format: Format, shape: Sides) -> Result<usize, Fault<'static>> {
        let room = self.work.len();
        let [h, w, c] = shape.map(|side| side as usize);
        let product = h.checked_mul(w).and_then(|n| n.checked_mul(c));
        let length = product.and_then(|n| n.checked_mul(format.size()));
        let length = length
            .filter(|n| *n <= room)
            .ok_or(Fault::TooLarge { room: small(room) })?;
        (self.result, self.ended) = (0..0, None);
        self.picture = Some(PictureState {
            format,
            shape: Shape::new(h, w, c),
            length,
            have: 0,
        });
        Ok(0)
    }

    fn picture_chunk(&mut self, offset: u32, bytes: &[u8]) -> Result<usize, Fault<'static>> {
        let picture = self.picture.as_mut();
        let picture = picture.ok_or(Fault::Incomplete { have: 0 })?;
        // Whatever was computed belongs to the picture as it was.
        (self.result, self.ended) = (0..0, None);
        let place = self.work.get_mut(..picture.length);
        let place = place.ok_or(Fault::from(Error::Internal))?;
        let room = small(place.len());
        put(place, &mut picture.have, offset, bytes).ok_or(Fault::TooLarge { room })?;
        Ok(picture.have)
    }

    fn take_frame(&mut self, platform: &mut dyn Platform) -> Result<(), Fault<'static>> {
        let shape = self.slots.model()?.input();
        self.begin_picture(Format::Pixels, sides(shape))?;
        let place = self.work.get_mut(..shape.len()).unwrap_or(&mut []);
        if !platform.take_frame(shape, place) {
            self.picture = None;
            return Err(Fault::Unsupported);
        }
        if let Some(picture) = &mut self.picture {
            picture.have = picture.length;
        }
        Ok(())
    }

    /// The bytes of something that lies in memory.
    fn source(&self, source: Source) -> Result<&[u8], Fault<'static>> {
        let range = match source {
            Source::Picture => 0..self.picture.map_or(0, |picture| picture.have),
            _ => self.result.clone(),
        };
        let bytes = self.work.get(range);
        bytes.ok_or(Fault::from(Error::Internal))
    }

    /// A part of the log, by way of the memory behind picture and result.
    fn log<'r>(
        &'r mut self,
        offset: u32,
        platform: &mut dyn Platform,
    ) -> Result<Reply<'r>, Fault<'static>> {
        let picture = self.picture.map_or(0, |picture| picture.length);
        let rest = self.work.get_mut(picture.max(self.result.end)..);
        let rest = rest.unwrap_or_default();
        let out = rest
            .first_chunk_mut::<CHUNK>()
            .ok_or(Fault::TooLarge { room: 0 })?;
        let total = platform.log(offset, out).ok_or(Fault::Unsupported)?;
        let left = total.checked_sub(offset).ok_or(Fault::NoResult)? as usize;
        let bytes = out.get(..left).unwrap_or(out);
        Ok(Reply::Part(total, bytes))
    }

    /// Model, whole picture, and memory for a work.
    fn room(&mut self) -> Result<(Model<'_>, PictureState, Room<'_>), Fault<'static>> {
        let picture = self.picture.ok_or(Fault::Incomplete { have: 0 })?;
        if picture.have < picture.length {
            let have = small(picture.have);
            return Err(Fault::Incomplete { have });
        }
        Ok((self.slots.model()?, picture, Room::new(self.work)))
    }
}

/// Sets or tells the time.
fn time(
    seconds: Option<u64>,
    platform: &mut dyn Platform,
) -> Result<Reply<'static>, Fault<'static>> {
    if let Some(seconds) = seconds
        && !platform.set_time(seconds)
    {
        return Err(Fault::Unsupported);
    }
    Ok(Reply::Time(platform.time()))
}
