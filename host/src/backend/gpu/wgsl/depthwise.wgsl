// Convolution of each channel alone, forward and towards its input. One thread
// makes one element; neighbouring threads are neighbouring channels, so that
// loads are side by side. Weights: [tap][channel].
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
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

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
    if i >= area * p.channels * batch.count { return; }
    let c = i % p.channels;
    let pixel = i / p.channels;
    let within = pixel % area;
    let base = i32(pixel / area * p.source_h * p.source_w);
    let row = i32(within / p.target_w) * p.step_y + p.start_y;
    let col = i32(within % p.target_w) * p.step_x + p.start_x;
    var sum = 0.0;
    if p.has_bias != 0u { sum = bias[c]; }
    for (var ky = 0u; ky < p.kernel_h; ky += 1u) {
        let y = whole(row + i32(ky) * p.hop_y, p.part_y, p.source_h);
        if y < 0 { continue; }
        for (var kx = 0u; kx < p.kernel_w; kx += 1u) {
            let x = whole(col + i32(kx) * p.hop_x, p.part_x, p.source_w);
            if x < 0 { continue; }
            let found = u32(base + y * i32(p.source_w) + x) * p.channels + c;
            sum += f32(source[found]) * weights[(ky * p.kernel_w + kx) * p.channels + c];
        }
    }
    var value = activate(p.activation, p.a, p.b, sum);
    if p.accumulate != 0u { value += f32(result[i]); }
    result[i] = Stored(value);
}
