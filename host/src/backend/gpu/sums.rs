//! Sums of masks that stay on the adapter: of RISE masks only their numbers go
//! there, of stored ones their bytes; the scores come back round by round, the maps once.

use std::collections::VecDeque;

use foveola_core::classifier::{Step, Views};
use foveola_core::mask::MaskSums;
use foveola_core::{Classifier, Error, Score, Shape};

use super::GpuBackend;
use super::device::{Gpu, GpuError};
use super::kernels::{Shader, ShaderKind, Storage, Words};
use super::memory::{bytes_of, encode, storage_buffer};
use super::question::Questions;
use super::rounds::{Coming, Readback, UNDER_WAY};
use super::steps::Work;

/// All questions: how many, which, and which score.
type Asked<'a, 'v> = (usize, &'a Views<'v>, Score);

/// What a round's sums are made of, out of the way of the next round.
#[derive(Debug)]
struct Kept {
    questions: wgpu::Buffer,
    masks: wgpu::Buffer,
    scores: wgpu::Buffer,
}

/// What is summed, where.
#[derive(Debug)]
struct Sums {
    maps: wgpu::Buffer,
    elements: usize,
    /// Elements of the weighted maps; behind them lies the sum of masks alone.
    weighted: usize,
    targets: wgpu::Buffer,
    numbers: wgpu::Buffer,
    kept: [Option<Kept>; UNDER_WAY],
}

fn full(gpu: &Gpu, wanted: usize) -> GpuError {
    GpuError::OutOfMemory {
        adapter: gpu.facts().name.clone(),
        wanted: wanted as u64,
    }
}

/// A copy of the first bytes of a buffer, encoded.
fn copy(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    from: &wgpu::Buffer,
    to: Option<wgpu::Buffer>,
) -> wgpu::Buffer {
    let fits = to.filter(|to| to.size() >= from.size());
    let to = fits.unwrap_or_else(|| storage_buffer(gpu, "kept", from.size()));
    encoder.copy_buffer_to_buffer(from, 0, &to, 0, from.size());
    to
}

impl GpuBackend {
    /// [`Classifier::weigh_masks`], on the adapter where it can read all masks.
    pub(super) fn weigh(
        &mut self,
        (count, view, score): Asked<'_, '_>,
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        // What the adapter cannot make by itself is made and added here.
        let mut probe = Questions::of(self.input());
        if count > 0 && (0..count).all(|i| probe.weighs(&view(i))) {
            return self.weigh_there((count, view, score), sums, after);
        }
        self.weigh_here((count, view, score), sums, after)
    }

    /// On the processor.
    fn weigh_here(
        &mut self,
        (count, view, score): Asked<'_, '_>,
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let shape = self.input();
        let mut sink = |i: usize, scores: &[f32]| {
            sums.add(&view(i).mask, shape, scores)?;
            after()
        };
        self.rounds(count, view, score, None, &mut sink)
    }

    fn weigh_there(
        &mut self,
        asked: Asked<'_, '_>,
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
    ) -> Result<(), Error> {
        let there = Sums::new(&self.gpu, sums);
        let mut there = there.map_err(|error| self.failed(error))?;
        let mut under_way = VecDeque::new();
        let ended = self.weigh_rounds(asked, sums, after, &mut there, &mut under_way);
        while let Some(round) = under_way.pop_front() {
            let _ = self.wait(Ok(round));
        }
        let back = there.bring_back(&self.gpu, sums);
        back.map_err(|error| self.failed(error))?;
        ended
    }

    /// All rounds, as `rounds_under_way`.
    fn weigh_rounds(
        &mut self,
        (count, view, score): Asked<'_, '_>,
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
        there: &mut Sums,
        under_way: &mut VecDeque<Coming>,
    ) -> Result<(), Error> {
        let mut round = Questions::of(self.input());
        let (mut next, mut taken, mut wrong) = (0, 0, Ok(()));
        while (next < count && wrong.is_ok()) || !under_way.is_empty() {
            round.clear();
            let start = next;
            let end = count.min(start + self.room.batch);
            while next < end && wrong.is_ok() {
                wrong = round.add(&view(next));
                next += usize::from(wrong.is_ok());
            }
            if next > start {
                let sent = self.keep_round(&mut round, start, score, there);
                under_way.push_back(sent.map_err(|error| self.failed(error))?);
            }
            let last = next == count || wrong.is_err();
            if under_way.len() == UNDER_WAY || last {
                let Some(oldest) = under_way.pop_front() else {
                    continue;
                };
                self.take(oldest, taken, sums, after, there)?;
                taken += 1;
            }
        }
        wrong
    }

    /// Starts a round and keeps what its sums are made of.
    fn keep_round(
        &mut self,
        round: &mut Questions,
        start: usize,
        score: Score,
        there: &mut Sums,
    ) -> Result<Coming, GpuError> {
        let (mut encoder, scores, count) = self.encode_round(round, score)?;
        let gpu = &self.gpu;
        let slot = &mut there.kept[start / self.room.batch % UNDER_WAY];
        let [questions, masks] = self.room.asked();
        let old = slot.take();
        let [old_questions, old_masks, old_scores] = match old {
            Some(old) => [Some(old.questions), Some(old.masks), Some(old.scores)],
            None => [None, None, None],
        };
        let kept = gpu.within_memory(|| Kept {
            questions: copy(gpu, &mut encoder, questions, old_questions),
            masks: copy(gpu, &mut encoder, masks, old_masks),
            scores: copy(gpu, &mut encoder, &scores, old_scores),
        });
        let bytes = questions.size() + masks.size() + scores.size();
        *slot = Some(kept.ok_or_else(|| full(gpu, bytes as usize))?);
        let (readback, what) = (&mut self.readback, (count, self.storage));
        Ok(Coming::submit(gpu, readback, encoder, &scores, what, start))
    }

    /// Waits for the scores of round number `number`, tells the caller of each,
    /// and adds the masks that count.
    fn take(
        &mut self,
        round: Coming,
        number: usize,
        sums: &mut MaskSums<'_>,
        after: &mut Step<'_>,
        there: &Sums,
    ) -> Result<(), Error> {
        let scores = self.wait(Ok(round))?;
        let (mut views, mut ended) = (0, Ok(()));
        for scores in scores.chunks_exact(self.classes().max(1)) {
            ended = seen(scores, sums);
            if ended.is_err() {
                break;
            }
            views += 1;
            ended = after();
            if ended.is_err() {
                break;
            }
        }
        let shape = self.input();
        let (round, classes) = (self.room.round(), self.classes());
        let slot = &there.kept[number % UNDER_WAY];
        let added = there.add(
            &self.gpu,
            self.storage,
            round,
            slot,
            (shape, views, classes),
        );
        added.map_err(|error| self.failed(error))?;
        ended
    }
}

/// Widens the ranges by one view's scores, which must be finite.
fn seen(scores: &[f32], sums: &mut MaskSums<'_>) -> Result<(), Error> {
    if let Some(class) = scores.iter().position(|s| !s.is_finite()) {
        return Err(Error::ScoreNotFinite { class });
    }
    for (i, &target) in sums.targets.iter().enumerate() {
        sums.see(i, *scores.get(target).ok_or(Error::Internal)?)?;
    }
    Ok(())
}

impl Sums {
    /// Where the sums so far go.
    fn new(gpu: &Gpu, sums: &MaskSums<'_>) -> Result<Self, GpuError> {
        let so_far = [&*sums.maps, &*sums.coverage].concat();
        let targets: Vec<u32> = sums.targets.iter().map(|&t| t as u32).collect();
        let made = gpu.within_memory(|| Self {
            maps: storage_buffer(gpu, "maps", so_far.len() as u64 * 4),
            elements: so_far.len(),
            weighted: sums.maps.len(),
            targets: storage_buffer(gpu, "targets", targets.len() as u64 * 4),
            numbers: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("sums"),
                size: 32,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            kept: [None, None],
        });
        let made = made.ok_or_else(|| full(gpu, so_far.len() * 4))?;
        gpu.queue
            .write_buffer(&made.targets, 0, &bytes_of(&targets));
        gpu.queue
            .write_buffer(&made.maps, 0, &encode(&so_far, Storage::Full));
        Ok(made)
    }

    /// Adds the masks of the first `views` of a round.
    fn add(
        &self,
        gpu: &Gpu,
        storage: Storage,
        round: &wgpu::Buffer,
        kept: &Option<Kept>,
        (shape, views, classes): (Shape, usize, usize),
    ) -> Result<(), GpuError> {
        let area = shape.area().max(1);
        let (maps, targets) = (self.elements / area, self.weighted / area);
        let Some(kept) = kept.as_ref().filter(|_| maps > 0) else {
            return Ok(());
        };
        let words = Words::default().sizes([shape.h, shape.w, views, classes, targets, maps]);
        gpu.queue.write_buffer(&self.numbers, 0, &words.bytes());
        let kind = ShaderKind::MaskSums;
        let pipeline = gpu.pipeline(&Shader { kind, storage })?;
        let Kept {
            questions,
            masks,
            scores,
        } = kept;
        let buffers = [
            &self.numbers,
            round,
            questions,
            masks,
            scores,
            &self.targets,
            &self.maps,
        ];
        let entries = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            });
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries.collect::<Vec<_>>(),
        });
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let [x, y, z] = Work::Elements(area).groups(maps);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Brings the sums back.
    fn bring_back(&self, gpu: &Gpu, sums: &mut MaskSums<'_>) -> Result<(), GpuError> {
        let mut readback = Readback::new(gpu, self.elements, Storage::Full);
        let encoder = gpu.device.create_command_encoder(&Default::default());
        let what = (self.elements, Storage::Full);
        let coming = Coming::submit(gpu, &mut readback, encoder, &self.maps, what, 0);
        let values = coming.wait(gpu)?;
        let (maps, coverage) = values.split_at(sums.maps.len());
        sums.maps.copy_from_slice(maps);
        sums.coverage.copy_from_slice(coverage);
        Ok(())
    }
}
