//! Steps with their pipelines and buffers: what is encoded again and again.

use std::collections::HashMap;
use std::sync::Arc;

use foveola_core::TensorId;
use foveola_core::net::model::Model;

use super::device::{Gpu, GpuError, Pipeline};
use super::kernels::{ShaderKind, Storage};
use super::memory::{Sharing, Uploads, storage_buffer};
use super::question::{Inbox, Questions};
use super::steps::{Operand, Step, Work};

/// Bytes from one step's numbers to the next: what every adapter aligns to.
const STRIDE: usize = 256;

/// The tensors of a batch in the adapter's memory.
#[derive(Debug)]
pub(super) struct Room {
    pub batch: usize,
    storage: Storage,
    values: (Sharing, Vec<wgpu::Buffer>),
    gradients: (Sharing, Vec<wgpu::Buffer>),
    winners: HashMap<usize, wgpu::Buffer>,
    /// Buffers that others own.
    lent: HashMap<Operand, wgpu::Buffer>,
    inbox: Inbox,
    /// Bound where a kernel needs something that it does not touch.
    nothing: [wgpu::Buffer; 2],
    /// How many pictures the round holds.
    round: wgpu::Buffer,
}

/// A buffer for each size, of `batch` pictures.
fn buffers(gpu: &Gpu, sharing: &Sharing, batch: usize, storage: Storage) -> Vec<wgpu::Buffer> {
    let bytes = |elements: &usize| (elements * batch * storage.size()) as u64;
    let sizes = sharing.sizes.iter().map(bytes);
    sizes.map(|n| storage_buffer(gpu, "tensors", n)).collect()
}

fn full(gpu: &Gpu, sharing: &Sharing, storage: Storage) -> GpuError {
    GpuError::OutOfMemory {
        adapter: gpu.facts().name.clone(),
        wanted: (sharing.sizes.iter().sum::<usize>() * storage.size()) as u64,
    }
}

impl Room {
    /// Room for as many pictures as fit, at most `most`: while the memory is
    /// full, half as many.
    ///
    /// # Errors
    /// Not even one fits.
    pub fn new(
        gpu: &Gpu,
        sharing: Sharing,
        storage: Storage,
        most: Option<usize>,
    ) -> Result<Self, GpuError> {
        let mut batch = sharing.batch(gpu, storage)?;
        batch = batch.min(most.unwrap_or(batch)).max(1);
        let values = loop {
            match gpu.within_memory(|| buffers(gpu, &sharing, batch, storage)) {
                Some(values) => break values,
                None if batch > 1 => batch /= 2,
                None => return Err(full(gpu, &sharing, storage)),
            }
        };
        Ok(Self {
            batch,
            storage,
            values: (sharing, values),
            gradients: (Sharing::default(), Vec::new()),
            winners: HashMap::new(),
            lent: HashMap::new(),
            inbox: Inbox::new(gpu, batch),
            nothing: [0; 2].map(|n| storage_buffer(gpu, "nothing", n)),
            round: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("round"),
                size: 16,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        })
    }

    /// Makes room for gradients, cleared, in place of those before.
    ///
    /// # Errors
    /// The memory is full.
    pub fn with_gradients(&mut self, gpu: &Gpu, sharing: Sharing) -> Result<(), GpuError> {
        let made = gpu.within_memory(|| buffers(gpu, &sharing, self.batch, self.storage));
        let made = made.ok_or_else(|| full(gpu, &sharing, self.storage))?;
        self.gradients = (sharing, made);
        Ok(())
    }

    /// Bytes that the tensors of one picture take.
    pub fn bytes_of_picture(&self) -> u64 {
        let (sharing, _) = &self.values;
        (sharing.sizes.iter().sum::<usize>() * self.storage.size()) as u64
    }

    /// Where a tensor lies.
    pub fn value(&self, id: TensorId) -> Option<&wgpu::Buffer> {
        let (sharing, buffers) = &self.values;
        buffers.get((*sharing.of.get(usize::from(id.0))?)?)
    }

    /// Questions and masks of the last round.
    pub fn asked(&self) -> [&wgpu::Buffer; 2] {
        let [questions, _, masks] = self.inbox.buffers();
        [questions, masks]
    }

    /// What says how many pictures a round holds.
    pub const fn round(&self) -> &wgpu::Buffer {
        &self.round
    }

    /// Where the gradient of a tensor lies.
    pub fn gradient(&self, id: TensorId) -> Option<&wgpu::Buffer> {
        let (sharing, buffers) = &self.gradients;
        buffers.get((*sharing.of.get(usize::from(id.0))?)?)
    }

    /// Binds a buffer that someone else owns where this operand is meant.
    pub fn lend(&mut self, operand: Operand, buffer: wgpu::Buffer) {
        self.lent.insert(operand, buffer);
    }

    /// Makes room for the winners that a step keeps.
    fn prepare(&mut self, gpu: &Gpu, model: &Model<'_>, step: &Step) {
        for operand in &step.operands {
            if let Operand::Winners(node) = operand
                && let Some(view) = model.node(*node)
            {
                let bytes = model.shape(view.output).len() * self.batch * 4;
                let made = || storage_buffer(gpu, "winners", bytes as u64);
                self.winners.entry(*node).or_insert_with(made);
            }
        }
    }

    /// The buffers of a step that are made here and not uploaded.
    fn own(&self, operand: Operand) -> Option<&wgpu::Buffer> {
        match operand {
            Operand::Value(id) => self.value(id),
            Operand::Gradient(id) => self.gradient(id),
            Operand::Winners(node) => self.winners.get(&node),
            Operand::Questions => Some(self.inbox.buffers()[0]),
            Operand::Pictures => Some(self.inbox.buffers()[1]),
            Operand::Masks => Some(self.inbox.buffers()[2]),
            Operand::Nothing => self.nothing.first(),
            Operand::NothingWritten => self.nothing.last(),
            Operand::Part(slot) => self.values.1.get(slot),
            _ => self.lent.get(&operand),
        }
    }
}

#[derive(Debug)]
struct Ready {
    kind: ShaderKind,
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    work: Work,
}

/// Steps, ready to run.
#[derive(Debug)]
pub(super) struct Program {
    ready: Vec<Ready>,
    /// The numbers of all steps.
    numbers: wgpu::Buffer,
    /// Steps that read questions, whose buffers grow.
    asking: Vec<(usize, Step)>,
}

impl Program {
    /// Binds steps to a room.
    ///
    /// # Errors
    /// What making pipelines and uploading weights reports.
    pub fn new(
        gpu: &Gpu,
        model: &Model<'_>,
        steps: &[Step],
        room: &mut Room,
        uploads: &mut Uploads,
    ) -> Result<Self, GpuError> {
        let numbers = numbers(gpu, steps);
        let mut ready = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            room.prepare(gpu, model, step);
            for operand in step.operands.iter().filter(|o| room.own(**o).is_none()) {
                uploads.add(gpu, model, *operand)?;
            }
            let shader = gpu.preferred(step.shader);
            let pipeline = gpu.pipeline(&shader)?;
            let group = bound(gpu, step, (&numbers, at), &pipeline, room, uploads);
            let work = step.work;
            ready.push(Ready {
                kind: shader.kind,
                pipeline,
                group,
                work,
            });
        }
        gpu.check()?;
        let asks = |(_, step): &(usize, &Step)| step.operands.contains(&Operand::Questions);
        let asking = steps.iter().enumerate().filter(asks);
        Ok(Self {
            ready,
            numbers,
            asking: asking.map(|(at, step)| (at, step.clone())).collect(),
        })
    }

    /// The shaders, in the order in which they run.
    pub fn shaders(&self) -> impl Iterator<Item = ShaderKind> + '_ {
        self.ready.iter().map(|ready| ready.kind)
    }

    /// Sends a round of questions.
    ///
    /// # Errors
    /// Masks that are larger than a binding, or than the adapter's memory.
    pub fn send(
        &mut self,
        gpu: &Gpu,
        round: &mut Questions,
        room: &mut Room,
        uploads: &Uploads,
    ) -> Result<(), GpuError> {
        let count = (round.len() as u32).to_le_bytes();
        gpu.queue.write_buffer(&room.round, 0, &count);
        if room.inbox.send(gpu, round)? {
            for (at, step) in &self.asking {
                let ready = &mut self.ready[*at];
                let numbers = (&self.numbers, *at);
                ready.group = bound(gpu, step, numbers, &ready.pipeline, room, uploads);
            }
        }
        Ok(())
    }

    /// Encodes the steps for `count` pictures.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, count: usize) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for Ready {
            pipeline,
            group,
            work,
            ..
        } in &self.ready
        {
            let [x, y, z] = work.groups(count);
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

/// The numbers of all steps in one buffer.
fn numbers(gpu: &Gpu, steps: &[Step]) -> wgpu::Buffer {
    let mut bytes = Vec::new();
    for step in steps {
        let begin = bytes.len();
        bytes.extend(step.words.bytes());
        bytes.resize(begin + STRIDE, 0);
    }
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("numbers"),
        size: (bytes.len() as u64).max(STRIDE as u64),
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, &bytes);
    buffer
}

fn bound(
    gpu: &Gpu,
    step: &Step,
    (numbers, at): (&wgpu::Buffer, usize),
    pipeline: &Pipeline,
    room: &Room,
    uploads: &Uploads,
) -> wgpu::BindGroup {
    let own = wgpu::BufferBinding {
        buffer: numbers,
        offset: (at * STRIDE) as u64,
        size: (step.words.bytes().len() as u64).try_into().ok(),
    };
    let mut entries = vec![
        wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(own),
        },
        wgpu::BindGroupEntry {
            binding: 1,
            resource: room.round.as_entire_binding(),
        },
    ];
    debug_assert_eq!(step.operands.len(), step.shader.buffers().len());
    for (operand, binding) in step.operands.iter().zip(2..) {
        let buffer = room.own(*operand).or_else(|| uploads.get(*operand));
        entries.extend(buffer.map(|buffer| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        }));
    }
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.layout,
        entries: &entries,
    })
}
