//! What the adapter itself reaches: f32 products added up in registers, and
//! copies, by kernels that do nothing else.

use std::time::Instant;

use super::Result;

const SHADER: &str = "
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;

// 16 sums of four numbers a thread, as a tile of a matrix product has them.
@compute @workgroup_size(256)
fn products(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = group.x * 256u + local;
    var a = array<vec4<f32>, 4>(source[0], source[1], source[2], source[3]);
    let b = array<vec4<f32>, 4>(source[4], source[5], source[6], source[7]);
    var sums: array<vec4<f32>, 16>;
    for (var k = 0u; k < ROUNDSu; k += 1u) {
        for (var r = 0u; r < 4u; r += 1u) {
            for (var c = 0u; c < 4u; c += 1u) {
                sums[r * 4u + c] = fma(a[r], b[c], sums[r * 4u + c]);
            }
        }
    }
    var all = vec4<f32>();
    for (var s = 0u; s < 16u; s += 1u) { all += sums[s]; }
    result[i] = all;
}

@compute @workgroup_size(256)
fn copies(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let all = arrayLength(&result);
    for (var i = group.x * 256u + local; i < all; i += groups.x * 256u) {
        result[i] = source[i];
    }
}
";

/// Rounds of 64 fused products and sums of a thread.
const ROUNDS: u32 = 512;
/// Operations of a thread.
const EACH: f64 = 16.0 * 4.0 * 2.0 * ROUNDS as f64;

/// TFLOP/s and GB/s (bytes read and bytes written both count).
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    pub tera: f64,
    pub giga: f64,
}

struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    layout: wgpu::PipelineLayout,
    module: wgpu::ShaderModule,
    group: wgpu::BindGroup,
}

fn entry(binding: u32, read_only: bool) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}

impl Bench {
    fn new(index: usize, bytes: u64) -> Result<Self> {
        let mut asked = wgpu::InstanceDescriptor::new_without_display_handle();
        asked.backends = wgpu::Backends::PRIMARY;
        let instance = wgpu::Instance::new(asked);
        let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY);
        let mut adapters = pollster::block_on(adapters).into_iter();
        let adapter = adapters.nth(index).ok_or("no such adapter")?;
        let opened = adapter.request_device(&wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(opened)?;
        let buffers = [0, 1].map(|_| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        });
        let binding = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, true), entry(1, false)],
        });
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &binding,
            entries: &[0, 1].map(|i| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: buffers[i].as_entire_binding(),
            }),
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&binding)],
            immediate_size: 0,
        });
        let text = SHADER.replace("ROUNDS", &ROUNDS.to_string());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        Ok(Self {
            device,
            queue,
            layout,
            module,
            group,
        })
    }

    /// Seconds of a kernel at its best of five.
    fn seconds(&self, entry: &str, groups: u32) -> Result<f64> {
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&self.layout),
                module: &self.module,
                entry_point: Some(entry),
                compilation_options: Default::default(),
                cache: None,
            });
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let begin = Instant::now();
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
            drop(pass);
            self.queue.submit([encoder.finish()]);
            self.device.poll(wgpu::PollType::wait_indefinitely())?;
            best = best.min(begin.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}

/// Measures the adapter of this number.
pub fn measure(index: usize, quick: bool) -> Result<Ceiling> {
    let (bytes, groups) = match quick {
        true => (8_u64 << 20, 16),
        false => (512 << 20, 16_384),
    };
    let bench = Bench::new(index, bytes)?;
    let threads = f64::from(groups) * 256.0;
    let tera = threads * EACH / bench.seconds("products", groups)? / 1e12;
    let copies = (bytes / 16 / 256).min(4096) as u32;
    let giga = 2.0 * bytes as f64 / bench.seconds("copies", copies)? / 1e9;
    Ok(Ceiling { tera, giga })
}
