//! Adapters, and the device that one of them lends: its limits, its pipelines,
//! and what goes wrong on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use wgpu::{Backends, DeviceType, ErrorFilter, Features};

use super::cache::DiskCache;
use super::kernels::{Access, Shader};
use super::matrices::{self, Matrices};

/// Most bytes of one binding, whatever the adapter says: drivers count them in
/// signed 32-bit words.
const MOST_BINDING: u64 = (1 << 31) - 4;

/// Why the backend cannot start or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// There is nothing to run on.
    #[error(
        "no GPU is within reach. Install the vendor's Vulkan driver (Linux: `vulkaninfo` lists what is there), or the software adapter lavapipe to try things out (Debian and Ubuntu: apt-get install mesa-vulkan-drivers); `--backend core` runs on the processor"
    )]
    NoAdapter,
    /// No adapter has this name or number.
    #[error("there is no adapter `{wanted}`; there are: {have}")]
    NoSuchAdapter {
        /// What was asked for.
        wanted: String,
        /// What there is.
        have: String,
    },
    /// The adapter lends no device.
    #[error("{adapter} does not start: {reason}")]
    Start {
        /// Its name.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// The memory of the adapter is full, with the smallest batch too.
    #[error(
        "the memory of {adapter} is full ({wanted} bytes were wanted for one picture at a time): close other programs, take a smaller network, or use `--backend core`"
    )]
    OutOfMemory {
        /// Its name.
        adapter: String,
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// One tensor is larger than the adapter binds.
    #[error(
        "a buffer of {bytes} bytes is larger than the {most} that {adapter} binds: use `--backend core`"
    )]
    TooLarge {
        /// Its name.
        adapter: String,
        /// Bytes of the buffer.
        bytes: u64,
        /// What it binds.
        most: u64,
    },
    /// The device went away: a reset, a sleeping machine, a driver that gave up.
    #[error("{adapter} was lost: {reason}. Run again, or use `--backend core`")]
    Lost {
        /// Its name.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// The driver refuses what it was given.
    #[error("{adapter} refuses a step of the network: {reason}")]
    Refused {
        /// Its name.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// The network has a node that does not run here.
    #[error("node `{node}` does not run on the GPU: {reason}; `--backend core` runs it")]
    Unsupported {
        /// The node.
        node: String,
        /// Why not.
        reason: &'static str,
    },
}

/// What an adapter is and can do.
#[derive(Clone, Debug)]
pub struct AdapterFacts {
    /// Its place in the list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Discrete, integrated, virtual or software.
    pub kind: &'static str,
    /// Vulkan, Metal, Dx12 or Gl.
    pub api: String,
    /// Driver and its version.
    pub driver: String,
    /// Whether the processor does the work.
    pub software: bool,
    /// Largest binding in bytes, as far as it is used.
    pub binding: u64,
    /// Bytes of memory that a workgroup shares.
    pub shared: u32,
    /// Most threads of a workgroup.
    pub threads: u32,
    /// Whether it computes in f16.
    pub f16: bool,
    /// Least and greatest size of a subgroup, if shaders may speak of them.
    pub subgroups: Option<[u32; 2]>,
    /// Cooperative matrices, e.g. `16x16x16 f16 to f32`.
    pub cooperative: Vec<String>,
    /// Whether those that the kernels multiply are among them, and may be tried.
    pub matrices: bool,
}

fn instance() -> wgpu::Instance {
    let mut asked = wgpu::InstanceDescriptor::new_without_display_handle();
    asked.backends = Backends::PRIMARY;
    wgpu::Instance::new(asked)
}

fn adapters() -> Vec<wgpu::Adapter> {
    pollster::block_on(instance().enumerate_adapters(Backends::PRIMARY))
}

impl AdapterFacts {
    fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => "discrete",
            DeviceType::IntegratedGpu => "integrated",
            DeviceType::VirtualGpu => "virtual",
            DeviceType::Cpu => "software",
            DeviceType::Other => "other",
        };
        let features = adapter.features();
        let cooperative = adapter.cooperative_matrix_properties();
        let binding = limits.max_storage_buffer_binding_size;
        Self {
            index,
            name: info.name,
            kind,
            api: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info),
            software: info.device_type == DeviceType::Cpu,
            binding: binding.min(limits.max_buffer_size).min(MOST_BINDING),
            shared: limits.max_compute_workgroup_storage_size,
            threads: limits.max_compute_invocations_per_workgroup,
            f16: features.contains(Features::SHADER_F16),
            subgroups: features
                .contains(Features::SUBGROUP)
                .then_some([info.subgroup_min_size, info.subgroup_max_size]),
            matrices: matrices::offered(adapter),
            cooperative: cooperative
                .iter()
                .map(|m| {
                    let (from, to) = (m.ab_type, m.cr_type);
                    format!("{}x{}x{} {from:?} to {to:?}", m.m_size, m.n_size, m.k_size)
                })
                .collect(),
        }
    }
}

/// Every adapter, in the order of their numbers.
pub fn list() -> Vec<AdapterFacts> {
    let adapters = adapters();
    let numbered = adapters.iter().enumerate();
    numbered.map(|(i, a)| AdapterFacts::of(i, a)).collect()
}

/// The place of the adapter that is meant: a number, a part of a name, or
/// without a wish the first that is hardware, discrete ones before others.
fn chosen(wanted: Option<&str>, have: &[AdapterFacts]) -> Result<usize, GpuError> {
    let rank = |a: &&AdapterFacts| match a.kind {
        "discrete" => 0,
        "integrated" => 1,
        "virtual" | "other" => 2,
        _ => 3,
    };
    let Some(wanted) = wanted else {
        let best = have.iter().min_by_key(rank);
        return best.map(|a| a.index).ok_or(GpuError::NoAdapter);
    };
    if have.is_empty() {
        return Err(GpuError::NoAdapter);
    }
    let lower = wanted.to_lowercase();
    let number = wanted.parse().ok().filter(|i| *i < have.len());
    let named = have.iter().find(|a| a.name.to_lowercase().contains(&lower));
    number.or(named.map(|a| a.index)).ok_or_else(|| {
        let names = have.iter().map(|a| format!("{} {}", a.index, a.name));
        GpuError::NoSuchAdapter {
            wanted: wanted.to_string(),
            have: names.collect::<Vec<_>>().join(", "),
        }
    })
}

/// A kernel, ready to run.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// What making pipelines has cost since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// Pipelines made.
    pub pipelines: usize,
    /// Time that it took.
    pub time: Duration,
    /// Whether the driver had what an earlier run had kept on disk.
    pub kept: bool,
}

/// A device. It may serve several networks.
#[derive(Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    facts: AdapterFacts,
    pub(super) matrices: OnceLock<Matrices>,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    preparation: Mutex<Preparation>,
    cache: Option<DiskCache>,
    /// What went wrong on the device; nothing that it computes is used afterwards.
    fault: Arc<Mutex<Option<GpuError>>>,
    /// Why the last call failed, also where the device is sound.
    failure: Mutex<Option<GpuError>>,
}

impl std::fmt::Display for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AdapterFacts {
            name, api, kind, ..
        } = &self.facts;
        write!(f, "{name} ({kind}, {api})")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first fault stays: those behind it follow from it.
fn note(slot: &Mutex<Option<GpuError>>, error: GpuError) {
    lock(slot).get_or_insert(error);
}

impl Gpu {
    /// Opens an adapter: by number, by a part of its name, or the best one.
    ///
    /// # Errors
    /// No adapter, none of this name, or one that does not start.
    pub fn open(wanted: Option<&str>) -> Result<Arc<Self>, GpuError> {
        let adapters = adapters();
        let facts = adapters.iter().enumerate();
        let facts: Vec<_> = facts.map(|(i, a)| AdapterFacts::of(i, a)).collect();
        let index = chosen(wanted, &facts)?;
        let adapter = adapters.get(index).ok_or(GpuError::NoAdapter)?;
        Self::start(adapter, facts[index].clone()).map(Arc::new)
    }

    fn start(adapter: &wgpu::Adapter, mut facts: AdapterFacts) -> Result<Self, GpuError> {
        let mut opened = request(adapter, &facts);
        if opened.is_err() && facts.matrices {
            facts.matrices = false;
            opened = request(adapter, &facts);
        }
        let (device, queue) = opened.map_err(|error| GpuError::Start {
            adapter: facts.name.clone(),
            reason: error.to_string(),
        })?;
        let fault = Arc::new(Mutex::new(None));
        watch(&device, &facts.name, &fault);
        let cache = DiskCache::open(&device, &adapter.get_info());
        Ok(Self {
            preparation: Mutex::new(Preparation {
                kept: cache.as_ref().is_some_and(DiskCache::was_kept),
                ..Preparation::default()
            }),
            device,
            queue,
            facts,
            matrices: OnceLock::new(),
            pipelines: Mutex::new(HashMap::new()),
            cache,
            fault,
            failure: Mutex::new(None),
        })
    }

    /// Why the last call that ended with [`foveola_core::Error::Backend`] failed.
    pub fn failure(&self) -> Option<GpuError> {
        lock(&self.failure).clone()
    }

    pub(super) fn failed(&self, error: GpuError) {
        if matches!(error, GpuError::Lost { .. }) {
            note(&self.fault, error.clone());
        }
        *lock(&self.failure) = Some(error);
    }

    /// Gives the device back at once: whatever still runs on it fails.
    pub fn destroy(&self) {
        self.device.destroy();
        // What hears of the loss is called when the queue is found empty.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// The adapter.
    pub const fn facts(&self) -> &AdapterFacts {
        &self.facts
    }

    /// What making pipelines has cost so far.
    pub fn preparation(&self) -> Preparation {
        *lock(&self.preparation)
    }

    /// Fails if anything went wrong on the device since it was opened; what it
    /// computed is then worth nothing.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), GpuError> {
        match &*lock(&self.fault) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs `work` and tells whether the memory was full.
    pub(super) fn within_memory<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let done = work();
        match pollster::block_on(scope.pop()) {
            None => Some(done),
            Some(_) => None,
        }
    }

    /// The pipeline of a shader, made when it is first asked for.
    pub(super) fn pipeline(&self, shader: &Shader) -> Result<Arc<Pipeline>, GpuError> {
        let name = shader.name();
        if let Some(pipeline) = lock(&self.pipelines).get(&name) {
            return Ok(Arc::clone(pipeline));
        }
        let begin = Instant::now();
        let pipeline = Arc::new(self.make(shader, &name));
        self.check()?;
        lock(&self.pipelines).insert(name, Arc::clone(&pipeline));
        let mut preparation = lock(&self.preparation);
        preparation.pipelines += 1;
        preparation.time += begin.elapsed();
        Ok(pipeline)
    }

    pub(super) fn make(&self, shader: &Shader, name: &str) -> Pipeline {
        let device = &self.device;
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(name),
            entries: &entries(shader.buffers()),
        });
        let module = module(device, shader, name);
        let of = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&of),
            module: &module,
            entry_point: Some("main"),
            // Every kernel writes what it shares before it reads it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.cache.as_ref().map(DiskCache::pipelines),
        });
        Pipeline { pipeline, layout }
    }

    /// Writes the pipelines that were made to the user's cache folder. A folder
    /// that cannot be written costs the next run time, and nothing else.
    pub(super) fn keep_pipelines(&self) {
        if let Some(cache) = &self.cache {
            cache.save();
        }
    }
}

/// A shader, without the checks of the driver where they are proven needless.
fn module(device: &wgpu::Device, shader: &Shader, name: &str) -> wgpu::ShaderModule {
    let text = wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(shader.source().into()),
    };
    if !shader.kind.is_proven() {
        return device.create_shader_module(text);
    }
    // SAFETY: no index may be out of bounds and no loop endless. These shaders
    // return before they index for a pixel or element at or beyond those of the
    // round, which holds no more pictures than the tensors' buffers; source
    // places outside the picture are left out; channels, weights and biases are
    // compared with their counts, which are those of the buffers that the host
    // made, of a model that was checked; indices into shared memory are sums of
    // thread numbers and constants below its size. Every loop counts up to such
    // a number by a positive step, and `settled` lowers its channel by at least
    // one. Divisors are sizes, at least one.
    #[allow(unsafe_code)]
    unsafe {
        device.create_shader_module_trusted(text, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

/// A device of an adapter, with what its facts say that it has.
fn request(
    adapter: &wgpu::Adapter,
    facts: &AdapterFacts,
) -> Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
    let mut useful = Features::SHADER_F16 | Features::PIPELINE_CACHE | Features::TIMESTAMP_QUERY;
    useful.set(Features::EXPERIMENTAL_COOPERATIVE_MATRIX, facts.matrices);
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: facts.binding,
        ..adapter.limits()
    };
    let asked = wgpu::DeviceDescriptor {
        label: Some("foveola"),
        required_features: adapter.features() & useful,
        required_limits: limits,
        experimental_features: matrices::agreement(facts.matrices),
        ..wgpu::DeviceDescriptor::default()
    };
    pollster::block_on(adapter.request_device(&asked))
}

/// What a kernel binds: its numbers, the round, then its buffers.
fn entries(buffers: &[Access]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let uniform = [wgpu::BufferBindingType::Uniform; 2];
    let storage = buffers
        .iter()
        .map(|access| wgpu::BufferBindingType::Storage {
            read_only: *access == Access::Read,
        });
    let numbered = uniform.into_iter().chain(storage).zip(0..);
    numbered
        .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect()
}

/// Errors that no scope catches, and the loss of the device, are kept as faults.
fn watch(device: &wgpu::Device, name: &str, fault: &Arc<Mutex<Option<GpuError>>>) {
    let (slot, adapter) = (Arc::clone(fault), name.to_string());
    device.on_uncaptured_error(Arc::new(move |error| {
        let adapter = adapter.clone();
        let error = match error {
            wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory { adapter, wanted: 0 },
            other => GpuError::Refused {
                adapter,
                reason: other.to_string(),
            },
        };
        note(&slot, error);
    }));
    let (slot, adapter) = (Arc::clone(fault), name.to_string());
    device.set_device_lost_callback(move |why, message| {
        let reason = match why {
            wgpu::DeviceLostReason::Destroyed => String::from("it was given back"),
            wgpu::DeviceLostReason::Unknown => message,
        };
        let adapter = adapter.clone();
        note(&slot, GpuError::Lost { adapter, reason });
    });
}
