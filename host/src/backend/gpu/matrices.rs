//! Cooperative matrices: whether an adapter has those that `conv_matrix.wgsl`
//! multiplies, and whether they compute what the plain product computes.
//!
//! They are experimental in wgpu and in drivers, so they run only for f16, only
//! where the adapter lists 16 x 16 x 16 f16 to f32 in subgroups of 32 threads,
//! and only after a product of awkward sizes has come out right. Whatever fails
//! leaves the plain product.

use pollster::block_on;
use wgpu::{CooperativeScalarType, ErrorFilter, Features};

use super::device::{Gpu, GpuError, Pipeline};
use super::kernels::{Sample, Shader, ShaderKind, Storage};
use super::memory::{encode, storage_buffer};
use super::rounds::{Coming, Readback};

/// What became of an adapter's cooperative matrices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matrices {
    /// The adapter has none that fit.
    NotOffered,
    /// They did not start or did not compute what the plain product computes.
    Failed(String),
    /// They multiply where tensors are f16.
    InUse,
}

impl std::fmt::Display for Matrices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotOffered => write!(f, "not offered"),
            Self::Failed(reason) => {
                write!(f, "failed the self-check, so not in use: {reason}")
            }
            Self::InUse => write!(f, "in use where tensors are f16"),
        }
    }
}

/// Threads of a subgroup, and rows and columns of a matrix.
const THREADS: u32 = 32;
const SIDE: u32 = 16;

/// Whether an adapter lists what the kernel multiplies.
pub(super) fn offered(adapter: &wgpu::Adapter) -> bool {
    let (info, features) = (adapter.get_info(), adapter.features());
    let needed = Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16;
    let listed = adapter.cooperative_matrix_properties();
    features.contains(needed)
        && [info.subgroup_min_size, info.subgroup_max_size] == [THREADS; 2]
        && listed.iter().any(|m| {
            [m.m_size, m.n_size, m.k_size] == [SIDE; 3]
                && m.ab_type == CooperativeScalarType::F16
                && m.cr_type == CooperativeScalarType::F32
        })
}

/// The agreement to use what wgpu calls experimental.
pub(super) fn agreement(matrices: bool) -> wgpu::ExperimentalFeatures {
    if !matrices {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the caller acknowledges that the experimental calls may have
    // faults of their own. One feature is asked for; one shader uses it, whose
    // indices stay within its arrays, and nothing that it computes is used
    // before it has reproduced the plain product.
    #[allow(unsafe_code)]
    unsafe {
        wgpu::ExperimentalFeatures::enabled()
    }
}

/// Numbers k / 8, -4 <= k <= 4: their products and the sums of those are exact
/// in f32, so that in any order they are the same.
fn eighths(count: usize, step: usize) -> Vec<f32> {
    let of = |i: usize| (i * step % 9) as f32 - 4.0;
    (0..count).map(|i| of(i) / 8.0).collect()
}

impl Gpu {
    /// What became of the adapter's cooperative matrices; they are tried when
    /// this is first called.
    pub fn matrices(&self) -> &Matrices {
        self.matrices.get_or_init(|| {
            if !self.facts().matrices {
                return Matrices::NotOffered;
            }
            match self.try_product(ShaderKind::ConvMatrix) {
                Ok(()) => Matrices::InUse,
                Err(reason) => Matrices::Failed(reason),
            }
        })
    }

    /// The shader that runs instead of another, which computes the same faster.
    pub(super) fn preferred(&self, shader: Shader) -> Shader {
        let kind = match shader.kind {
            ShaderKind::ConvVector => ShaderKind::ConvMatrix,
            ShaderKind::ConvVectorAdd => ShaderKind::ConvMatrixAdd,
            _ => return shader,
        };
        match shader.storage == Storage::Half && *self.matrices() == Matrices::InUse {
            true => Shader { kind, ..shader },
            false => shader,
        }
    }

    /// Whether a shader computes the product of f16 that the plain one computes,
    /// with sizes that fill no tile. A failure leaves the device as it was.
    ///
    /// # Errors
    /// What the driver says, or the first element that differs.
    pub fn try_product(&self, kind: ShaderKind) -> Result<(), String> {
        let wanted = self.product(ShaderKind::ConvVector)?;
        let found = self.product(kind)?;
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        match found.iter().zip(&wanted).position(differs) {
            Some(i) => Err(format!("element {i} is {} and not {}", found[i], wanted[i])),
            None => Ok(()),
        }
    }

    /// What a shader makes of the sample.
    fn product(&self, kind: ShaderKind) -> Result<Vec<f32>, String> {
        if !self.facts().f16 {
            return Err(String::from("the adapter has no f16"));
        }
        let shader = Shader {
            kind,
            storage: Storage::Half,
        };
        let pipeline = self.guarded(|| self.make(&shader, &shader.name()))?;
        let made = self.guarded(|| self.run_sample(&pipeline))?;
        made.map_err(|error| error.to_string())
    }

    /// Runs `work`; what the driver says against it becomes an error and no fault.
    fn guarded<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        let filters = [
            ErrorFilter::Validation,
            ErrorFilter::Internal,
            ErrorFilter::OutOfMemory,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let done = work();
        let mut wrong = None;
        // Scopes end in the order in which they lie within each other.
        for scope in scopes.into_iter().rev() {
            if let Some(error) = block_on(scope.pop()) {
                wrong.get_or_insert(error.to_string());
            }
        }
        wrong.map_or(Ok(done), Err)
    }

    fn run_sample(&self, pipeline: &Pipeline) -> Result<Vec<f32>, GpuError> {
        let sample = Sample::product();
        let stored = |values: &[f32], storage| {
            let bytes = encode(values, storage);
            let buffer = storage_buffer(self, "sample", bytes.len() as u64);
            self.queue.write_buffer(&buffer, 0, &bytes);
            buffer
        };
        let uniform = |bytes: &[u8]| {
            let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("sample"),
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            self.queue.write_buffer(&buffer, 0, bytes);
            buffer
        };
        let [source, weights, biases, results] = sample.elements;
        let buffers = [
            uniform(&sample.words.bytes()),
            uniform(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            stored(&eighths(source, 5), Storage::Half),
            stored(&eighths(weights, 7), Storage::Half),
            stored(&eighths(biases, 4), Storage::Full),
            stored(&vec![0.0; results], Storage::Half),
        ];
        let entries = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            });
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries.collect::<Vec<_>>(),
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let [x, y, z] = sample.work.groups(1);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        let mut readback = Readback::new(self, results, Storage::Half);
        let what = (results, Storage::Half);
        Coming::submit(self, &mut readback, encoder, &buffers[5], what, 0).wait(self)
    }
}
