// Convolution of each channel alone, forward and towards its input, where
// channels are a multiple of four: one thread makes four of a pixel, with the
// sums of `depthwise.wgsl`. Weights: [tap][channel].
struct Params {
    source_h: u32, source_w: u32,
    target_h: u32, target_w: u32,
    channels: u32,
    kernel_h: u32, kernel_w: u32,
    step_y: i32, step_x: i32,
    start_y: i32, start_x: i32,
    hop_y: i32, hop_x: i32,
    part_y: i32, part_x: i32,
    has_bias: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<vec4<Stored>>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> result: array<vec4<Stored>>;

// Source row or column, or -1 outside.
fn whole(position: i32, part: i32, size: u32) -> i32 {
    if position < 0 { return -1; }
    if part > 1 && position % part != 0 { return -1; }
    let at = position / part;
    return select(-1, at, at < i32(size));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let area = p.target_h * p.target_w;
    let quads = p.channels / 4u;
    if i >= area * quads * batch.count { return; }
    let quad = i % quads;
    let pixel = i / quads;
    let within = pixel % area;
    let base = i32(pixel / area * p.source_h * p.source_w);
    let row = i32(within / p.target_w) * p.step_y + p.start_y;
    let col = i32(within % p.target_w) * p.step_x + p.start_x;
    var sum = vec4<f32>(0.0);
    if p.has_bias != 0u { sum = bias[quad]; }
    for (var ky = 0u; ky < p.kernel_h; ky += 1u) {
        let y = whole(row + i32(ky) * p.hop_y, p.part_y, p.source_h);
        if y < 0 { continue; }
        for (var kx = 0u; kx < p.kernel_w; kx += 1u) {
            let x = whole(col + i32(kx) * p.hop_x, p.part_x, p.source_w);
            if x < 0 { continue; }
            let found = u32(base + y * i32(p.source_w) + x) * quads + quad;
            sum += vec4<f32>(source[found]) * weights[(ky * p.kernel_w + kx) * quads + quad];
        }
    }
    var value = vec4<f32>();
    for (var c = 0u; c < 4u; c += 1u) {
        value[c] = activate(p.activation, p.a, p.b, sum[c]);
    }
    if p.accumulate != 0u { value += vec4<f32>(result[i]); }
    result[i] = vec4<Stored>(value);
}
