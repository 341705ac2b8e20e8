//! Rounds of pictures: while the adapter computes one, the next is prepared and
//! the one before is handed on.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use foveola_core::classifier::{Edits, Sink, Views};
use foveola_core::{Error, Score};

use super::GpuBackend;
use super::device::{Gpu, GpuError};
use super::kernels::Storage;
use super::memory::decode;
use super::question::Questions;

/// Rounds that are under way at once.
pub(super) const UNDER_WAY: usize = 2;

/// Buffers that scores come back through, in turn.
#[derive(Debug)]
pub(super) struct Readback {
    staging: [wgpu::Buffer; UNDER_WAY],
    next: usize,
}

impl Readback {
    /// For at most `elements`.
    pub fn new(gpu: &Gpu, elements: usize, storage: Storage) -> Self {
        let size = (elements * storage.size()).next_multiple_of(16) as u64;
        let make = |_| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read-back"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        Self {
            staging: [0, 1].map(make),
            next: 0,
        }
    }

    /// Encodes the copy of the first `elements` of `from`; the buffer they go to.
    fn copy(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) -> wgpu::Buffer {
        let to = &self.staging[self.next];
        self.next = (self.next + 1) % UNDER_WAY;
        encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
        to.clone()
    }
}

/// Longest time from the end of the work to the call that says so, which another
/// thread may make.
const PATIENCE: Duration = Duration::from_secs(30);

type Mapped = Receiver<Result<(), wgpu::BufferAsyncError>>;

/// Elements that are on their way back.
#[derive(Debug)]
pub(super) struct Coming {
    buffer: wgpu::Buffer,
    elements: usize,
    storage: Storage,
    mapped: Mapped,
    submission: wgpu::SubmissionIndex,
    /// Number of the first question.
    pub start: usize,
}

impl Coming {
    /// Submits what was encoded and asks for the first `elements` of `from`.
    pub fn submit(
        gpu: &Gpu,
        readback: &mut Readback,
        mut encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        (elements, storage): (usize, Storage),
        start: usize,
    ) -> Self {
        let bytes = (elements * storage.size()).next_multiple_of(4) as u64;
        let buffer = readback.copy(&mut encoder, from, bytes);
        let submission = gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = channel();
        buffer.map_async(wgpu::MapMode::Read, ..bytes, move |done| {
            // Nobody waits any more where the receiver is gone.
            let _ = sender.send(done);
        });
        Self {
            buffer,
            elements,
            storage,
            mapped,
            submission,
            start,
        }
    }

    /// Waits for the elements.
    pub fn wait(self, gpu: &Gpu) -> Result<Vec<f32>, GpuError> {
        let lost = |reason: String| GpuError::Lost {
            adapter: gpu.facts().name.clone(),
            reason,
        };
        let polled = gpu.device.poll(wgpu::PollType::Wait {
            submission_index: Some(self.submission),
            timeout: None,
        });
        gpu.check()?;
        polled.map_err(|error| lost(error.to_string()))?;
        if !matches!(self.mapped.recv_timeout(PATIENCE), Ok(Ok(()))) {
            return Err(lost(String::from("its memory cannot be read")));
        }
        let bytes = (self.elements * self.storage.size()).next_multiple_of(4) as u64;
        let view = self.buffer.get_mapped_range(..bytes);
        let values = view
            .map(|view| decode(&view, self.storage, self.elements))
            .map_err(|error| lost(error.to_string()))?;
        self.buffer.unmap();
        Ok(values)
    }
}

impl GpuBackend {
    /// Encodes a round; where its scores lie, and how many there are.
    pub(super) fn encode_round(
        &mut self,
        round: &mut Questions,
        score: Score,
    ) -> Result<(wgpu::CommandEncoder, wgpu::Buffer, usize), GpuError> {
        let (model, count) = (self.file.model(), round.len());
        let from = self.room.value(model.score_id(score));
        let from = from.cloned().ok_or_else(|| GpuError::Unsupported {
            node: String::from("the network itself"),
            reason: "its scores are constants",
        })?;
        let gpu = &self.gpu;
        self.program
            .send(gpu, round, &mut self.room, &self.uploads)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.program.encode(&mut encoder, count);
        Ok((encoder, from, count * model.classes()))
    }

    /// Starts a round.
    pub(super) fn submit(
        &mut self,
        round: &mut Questions,
        start: usize,
        score: Score,
    ) -> Result<Coming, GpuError> {
        let (encoder, from, count) = self.encode_round(round, score)?;
        let (readback, what) = (&mut self.readback, (count, self.storage));
        let gpu = &self.gpu;
        Ok(Coming::submit(gpu, readback, encoder, &from, what, start))
    }

    /// Waits for a round.
    pub(super) fn wait(&self, round: Result<Coming, GpuError>) -> Result<Vec<f32>, Error> {
        let scores = round.and_then(|round| round.wait(&self.gpu));
        scores.map_err(|error| self.failed(error))
    }

    /// All questions of a batch, results in order; with `edits`, those of the
    /// base that is held.
    pub(super) fn rounds(
        &mut self,
        count: usize,
        view: &Views<'_>,
        score: Score,
        edits: Option<&Edits<'_>>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let mut under_way = VecDeque::new();
        let asked = (count, view, edits);
        let done = self.rounds_under_way(asked, score, sink, &mut under_way);
        // After an error the buffers must come back all the same.
        while let Some(round) = under_way.pop_front() {
            let _ = self.wait(Ok(round));
        }
        done
    }

    fn rounds_under_way(
        &mut self,
        (count, view, edits): (usize, &Views<'_>, Option<&Edits<'_>>),
        score: Score,
        sink: &mut Sink<'_>,
        under_way: &mut VecDeque<Coming>,
    ) -> Result<(), Error> {
        let mut round = Questions::of(self.file.model().input());
        let edited = self.edited.as_ref().filter(|_| edits.is_some());
        let batch = edited.map_or(self.room.batch, |edited| edited.room.batch);
        let (mut next, mut wrong) = (0, Ok(()));
        while (next < count && wrong.is_ok()) || !under_way.is_empty() {
            round.clear();
            let start = next;
            let end = count.min(start + batch);
            while next < end && wrong.is_ok() {
                wrong = round.add(&view(next));
                next += usize::from(wrong.is_ok());
            }
            if next > start {
                let sent = match edits {
                    Some(edit) => self.submit_edits(&mut round, start, edit, score),
                    None => self.submit(&mut round, start, score),
                };
                under_way.push_back(sent.map_err(|error| self.failed(error))?);
            }
            let last = next == count || wrong.is_err();
            if under_way.len() == UNDER_WAY || last {
                self.hand_on(under_way, sink)?;
            }
        }
        wrong
    }

    /// Waits for the oldest round and hands its scores on.
    fn hand_on(&self, under_way: &mut VecDeque<Coming>, sink: &mut Sink<'_>) -> Result<(), Error> {
        let Some(round) = under_way.pop_front() else {
            return Ok(());
        };
        let start = round.start;
        let scores = self.wait(Ok(round))?;
        let classes = self.file.model().classes().max(1);
        for (i, scores) in scores.chunks_exact(classes).enumerate() {
            if let Some(class) = scores.iter().position(|s| !s.is_finite()) {
                return Err(Error::ScoreNotFinite { class });
            }
            sink(start + i, scores)?;
        }
        Ok(())
    }
}
