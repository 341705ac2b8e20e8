//! The device as a classifier, and as one that explains by itself.

mod answer;

use std::time::Duration;

use foveola_core::wire::CHUNK;
use foveola_core::wire::message::{Explain, Format, Question, Reply, Request, Slot, Source, sides};
use foveola_core::{Classifier, Error, Masked, Picture, Score, Shape};
use zerocopy::IntoBytes;

pub use answer::{Facts, Finding, Keeps};
use answer::{facts, finding, floats};

use super::{Cable, LinkError, Session};
use crate::backend::core::ModelFile;

/// Between two questions how far the work is, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// Told how far something is, in bytes or passes; answers whether to go on.
pub type Watch<'w> = dyn FnMut(u64, u64) -> bool + 'w;

/// A device.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    facts: Facts,
    /// Why the last question of a method failed, which only learns
    /// [`Error::Backend`].
    pub failure: Option<LinkError>,
}

impl Remote {
    /// Begins a session with the device at the other end of a cable.
    ///
    /// # Errors
    /// Silence, or a device of another version.
    pub fn open(cable: Box<dyn Cable + Send>) -> Result<Self, LinkError> {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let number = since.as_nanos() as u32 ^ std::process::id().rotate_left(16);
        let mut session = Session::open(cable, number)?;
        let facts = facts(&mut session)?;
        Ok(Self {
            session,
            facts,
            failure: None,
        })
    }

    /// What the device is, as it was last asked.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The conversation, for other questions.
    pub const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Asks what the device is.
    ///
    /// # Errors
    /// A device that does not answer.
    pub fn refresh(&mut self) -> Result<&Facts, LinkError> {
        self.facts = facts(&mut self.session)?;
        Ok(&self.facts)
    }

    /// Makes a model the active one, and brings it there first if it has to.
    /// What a broken attempt left there is not sent again.
    ///
    /// # Errors
    /// A file that is no model or too large, a line that fails, or
    /// [`LinkError::Stopped`].
    pub fn put_model(&mut self, file: &[u8], watch: &mut Watch<'_>) -> Result<(), LinkError> {
        let sha256 = *ModelFile::new(file)
            .map_err(LinkError::Core)?
            .model()
            .digest();
        let is_it = |slot: &Slot| slot.sound && slot.sha256 == sha256;
        if let Some(slot) = self.refresh()?.slots.iter().position(is_it) {
            if usize::from(self.facts.active) == slot {
                return Ok(());
            }
            self.done(&Request::Activate(slot as u8))?;
        } else {
            let length = u32::try_from(file.len()).unwrap_or(u32::MAX);
            let have = self.have(&Request::BeginModel(length, sha256))?;
            self.chunks(file, have, |at, part| Request::ModelChunk(at, part), watch)?;
            self.done(&Request::FinishModel)?;
        }
        self.refresh().map(drop)
    }

    /// Brings a picture there.
    ///
    /// # Errors
    /// A picture that is too large, a line that fails.
    pub fn put_picture(&mut self, picture: &Picture<'_>) -> Result<(), LinkError> {
        let (format, bytes) = match picture {
            Picture::Pixels { data, .. } => (Format::Pixels, *data),
            Picture::Tensor { data, .. } => (Format::Tensor, data.as_bytes()),
        };
        self.put(format, picture.shape(), bytes)
    }

    fn put(&mut self, format: Format, shape: Shape, bytes: &[u8]) -> Result<(), LinkError> {
        self.have(&Request::BeginPicture(format, sides(shape)))?;
        self.chunks(
            bytes,
            0,
            |at, part| Request::PictureChunk(at, part),
            &mut |_, _| true,
        )
    }

    /// Takes a picture with the device's camera, and brings it here: pixels,
    /// channels in the model's order.
    ///
    /// # Errors
    /// A board without a camera, a line that fails.
    pub fn take_frame(&mut self) -> Result<Vec<u8>, LinkError> {
        self.done(&Request::TakeFrame)?;
        self.read(Source::Picture)
    }

    /// The picture that is there: pixels, or a tensor's little-endian f32, HWC.
    ///
    /// # Errors
    /// A device without a picture, a line that fails.
    pub fn picture(&mut self) -> Result<Vec<u8>, LinkError> {
        self.read(Source::Picture)
    }

    /// Scores of the picture that is there.
    ///
    /// # Errors
    /// What the device says, or a line that fails.
    pub fn scores(&mut self, score: Score) -> Result<Finding, LinkError> {
        self.work(&Request::Classify(score), &mut |_, _| true)
    }

    /// Runs a whole method there, on the picture that is there.
    ///
    /// # Errors
    /// What the device says, or a line that fails.
    pub fn explain(
        &mut self,
        explain: &Explain,
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        self.work(&Request::Explain(*explain), watch)
    }

    /// As [`Remote::explain`]; pictures that differ from one in a box are
    /// computed only where the box can reach, if the method asks about such
    /// and the device has room. The map has the same bits.
    ///
    /// # Errors
    /// As [`Remote::explain`].
    pub fn explain_edits(
        &mut self,
        explain: &Explain,
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        self.work(&Request::ExplainEdits(*explain), watch)
    }

    /// Runs a method there that needs only scores, and gives it those of a
    /// network on this side: the method's code without the device's network.
    ///
    /// # Errors
    /// What the device or the network says, a line that fails, or
    /// [`LinkError::Stopped`].
    pub fn explain_asking(
        &mut self,
        explain: &Explain,
        network: &mut dyn Classifier,
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        let request = Request::ExplainAsking(*explain);
        match self.work_with(&request, Some(network), watch) {
            Err(LinkError::Core(Error::Stopped)) => Err(LinkError::Stopped),
            other => other,
        }
    }

    /// Output of a node.
    ///
    /// # Errors
    /// What the device says, or a line that fails.
    pub fn tensor(&mut self, node: u32) -> Result<Finding, LinkError> {
        self.work(&Request::Tensor(node), &mut |_, _| true)
    }

    /// Has the device check its model and its memory, on the picture that is there.
    ///
    /// # Errors
    /// What it found, or a line that fails.
    pub fn self_test(&mut self) -> Result<Finding, LinkError> {
        self.work(&Request::SelfTest, &mut |_, _| true)
    }

    /// Has the device judge the picture that is there by its model's policy, the
    /// policy's own pictures first if so. The outcome is `pass INSIDE`, the share
    /// of the evidence inside the region, or `fail RULE REASON`.
    ///
    /// # Errors
    /// A model without a policy, a line that fails.
    pub fn audit(&mut self, cases: bool) -> Result<Finding, LinkError> {
        self.work(&Request::Audit(cases), &mut |_, _| true)
    }

    /// Has the device measure how sure its model is of the picture that is
    /// there: a row of means, a row of variances.
    ///
    /// # Errors
    /// A board without dropout, a line that fails, or
    /// [`Error::Stopped`] if the watch says so.
    pub fn uncertainty(
        &mut self,
        (passes, seed): (u32, u64),
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        self.work(&Request::Uncertainty(passes, seed), watch)
    }

    /// The device's log, as its board keeps it.
    ///
    /// # Errors
    /// A board without one, a line that fails.
    pub fn log(&mut self) -> Result<Vec<u8>, LinkError> {
        self.read(Source::Log)
    }

    /// The device's clock, in seconds since 1970, if it was ever set; sets it
    /// if seconds are given.
    ///
    /// # Errors
    /// A board without a clock, a line that fails.
    pub fn time(&mut self, set: Option<u64>) -> Result<Option<u64>, LinkError> {
        match self.session.ask(&Request::Time(set))? {
            Reply::Time(seconds) => Ok(seconds),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// What the device keeps when it is switched off.
    ///
    /// # Errors
    /// A board without storage, a line that fails.
    pub fn storage(&mut self) -> Result<Keeps, LinkError> {
        let Reply::Storage(found) = self.session.ask(&Request::Storage)? else {
            return Err(LinkError::Unexpected);
        };
        Ok(Keeps {
            device: found.device.to_owned(),
            keeping: found.keeping,
            sound: found.sound,
            last: found.last,
            release: found.release,
            room: found.room,
            slots: found.slots,
            active: found.active,
        })
    }

    /// Gives the device its name, the secret of its log, and the Ed25519 key of
    /// those who release models for it (zeros: anybody may). Once only.
    ///
    /// # Errors
    /// A device that has a name, a flash that fails, a line that fails.
    pub fn enrol(
        &mut self,
        device: &str,
        secret: [u8; 32],
        signer: [u8; 32],
    ) -> Result<(), LinkError> {
        self.done(&Request::Enrol(device, secret, signer))
    }

    fn done(&mut self, request: &Request<'_>) -> Result<(), LinkError> {
        match self.session.ask(request)? {
            Reply::Done => Ok(()),
            _ => Err(LinkError::Unexpected),
        }
    }

    fn have(&mut self, request: &Request<'_>) -> Result<usize, LinkError> {
        match self.session.ask(request)? {
            Reply::Have(bytes) => Ok(bytes as usize),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Sends what is missing, from where the device says that it is.
    fn chunks(
        &mut self,
        bytes: &[u8],
        mut have: usize,
        request: fn(u32, &[u8]) -> Request<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(), LinkError> {
        while have < bytes.len() {
            if !watch(have as u64, bytes.len() as u64) {
                return Err(LinkError::Stopped);
            }
            let end = bytes.len().min(have + CHUNK);
            let now = self.have(&request(have as u32, &bytes[have..end]))?;
            if now <= have {
                return Err(LinkError::Unexpected);
            }
            have = now;
        }
        Ok(())
    }

    fn read(&mut self, source: Source) -> Result<Vec<u8>, LinkError> {
        let mut all = Vec::new();
        loop {
            let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let Reply::Part(total, bytes) = self.session.ask(&Request::Read(source, offset))?
            else {
                return Err(LinkError::Unexpected);
            };
            all.extend_from_slice(bytes);
            if all.len() >= total as usize || bytes.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Starts a work, waits for its end, reads its result.
    fn work(&mut self, request: &Request<'_>, watch: &mut Watch<'_>) -> Result<Finding, LinkError> {
        self.work_with(request, None, watch)
    }

    fn work_with(
        &mut self,
        request: &Request<'_>,
        network: Option<&mut dyn Classifier>,
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        match self.session.ask(request)? {
            Reply::Started => {}
            _ => return Err(LinkError::Unexpected),
        }
        let finding = self.wait(network, watch)?;
        let bytes = self.read(Source::Result)?;
        let values = floats(&bytes);
        match values.len() == finding.shape.len() {
            true => Ok(Finding { values, ..finding }),
            false => Err(LinkError::Unexpected),
        }
    }

    /// Asks how the work is until it has ended; answers its questions with
    /// the network, if there is one.
    fn wait(
        &mut self,
        mut network: Option<&mut dyn Classifier>,
        watch: &mut Watch<'_>,
    ) -> Result<Finding, LinkError> {
        let (mut cancelled, [mut pause, longest]) = (false, PAUSES);
        loop {
            let (done, total, question) = match self.session.ask(&Request::Poll)? {
                Reply::Running(done, total) => (done, total, None),
                Reply::Asking(question) => (question.done, question.total, Some(question)),
                Reply::Ended(ended) => return finding(&ended),
                Reply::Edited(ended, count) => {
                    let edits = Some(count);
                    return finding(&ended).map(|found| Finding { edits, ..found });
                }
                _ => return Err(LinkError::Unexpected),
            };
            if !watch(done, total) && !cancelled {
                self.done(&Request::Cancel)?;
                cancelled = true;
            } else if let Some(question) = question {
                let network = network.as_deref_mut().ok_or(LinkError::Unexpected)?;
                self.answer(question, network)?;
                pause = PAUSES[0];
            } else {
                std::thread::sleep(pause);
                pause = longest.min(2 * pause);
            }
        }
    }

    /// Answers a question of the device's method with a network of this side.
    fn answer(
        &mut self,
        question: Question,
        network: &mut dyn Classifier,
    ) -> Result<(), LinkError> {
        let bytes = self.read(Source::Question)?;
        let values = floats(&bytes);
        let picture = Picture::Tensor {
            shape: self.facts.input,
            data: &values,
        };
        let mut scores = vec![0.0; network.classes()];
        let asked = network.classify(&Masked::whole(picture), question.score, &mut scores);
        asked.map_err(LinkError::Core)?;
        let (bytes, mut have) = (scores.as_bytes(), 0);
        while have < bytes.len() {
            let part = &bytes[have..bytes.len().min(have + CHUNK)];
            let now = self.have(&Request::Scores(question.number, have as u32, part))?;
            if now <= have {
                return Err(LinkError::Unexpected);
            }
            have = now;
        }
        Ok(())
    }

    fn classify_masked(&mut self, x: &Masked<'_>, score: Score) -> Result<Vec<f32>, LinkError> {
        x.check(self.facts.input).map_err(LinkError::Core)?;
        let shape = x.picture.shape();
        let mut values = vec![0.0; shape.len()];
        for (y, row) in values.chunks_mut(shape.row().max(1)).enumerate() {
            x.row(y, row).map_err(LinkError::Core)?;
        }
        self.put(Format::Tensor, shape, values.as_bytes())?;
        Ok(self.scores(score)?.values)
    }
}

impl Classifier for Remote {
    fn input(&self) -> Shape {
        self.facts.input
    }

    fn classes(&self) -> usize {
        self.facts.classes
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let (need, have) = (self.facts.classes, out.len());
        let out = out.get_mut(..need);
        let out = out.ok_or(Error::BufferTooSmall { need, have })?;
        match self.classify_masked(x, score) {
            Ok(scores) if scores.len() == need => out.copy_from_slice(&scores),
            Ok(_) => return Err(Error::Backend),
            Err(LinkError::Core(error)) => return Err(error),
            Err(other) => {
                self.failure = Some(other);
                return Err(Error::Backend);
            }
        }
        Ok(())
    }
}
