// Largest value or mean of each window. One thread makes one element;
// neighbouring threads are neighbouring channels. The first of equal values
// wins; padding never does; NaN always does.
struct Params {
    source_h: u32, source_w: u32,
    target_h: u32, target_w: u32,
    channels: u32,
    kernel_h: u32, kernel_w: u32,
    stride_y: u32, stride_x: u32,
    dilation_y: u32, dilation_x: u32,
    pad_y: u32, pad_x: u32,
    // Mean: whether padded taps count, and where the counting ends.
    mean: u32, count_padding: u32, end_y: u32, end_x: u32,
    keep: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> result: array<Stored>;
@group(0) @binding(4) var<storage, read_write> winners: array<u32>;

// Taps of one axis that the mean counts, the first of them at `first`.
fn counted(first: i32, dilation: u32, kernel: u32, end: u32) -> u32 {
    let room = max(i32(end) - first, 0);
    return min((u32(room) + dilation - 1u) / dilation, kernel);
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
    let base = pixel / area * p.source_h * p.source_w;
    let row = i32(within / p.target_w * p.stride_y) - i32(p.pad_y);
    let col = i32(within % p.target_w * p.stride_x) - i32(p.pad_x);
    var value = 0.0;
    var winner = 0u;
    var taps = 0u;
    for (var ky = 0u; ky < p.kernel_h; ky += 1u) {
        let y = row + i32(ky * p.dilation_y);
        if y < 0 || y >= i32(p.source_h) { continue; }
        for (var kx = 0u; kx < p.kernel_w; kx += 1u) {
            let x = col + i32(kx * p.dilation_x);
            if x < 0 || x >= i32(p.source_w) { continue; }
            let tap = f32(source[(base + u32(y) * p.source_w + u32(x)) * p.channels + c]);
            if p.mean != 0u {
                value += tap;
            } else if taps == 0u || tap > value || is_nan(tap) {
                value = tap;
                winner = ky * p.kernel_w + kx;
            }
            taps += 1u;
        }
    }
    if p.mean != 0u {
        if p.count_padding != 0u {
            taps = counted(row, p.dilation_y, p.kernel_h, p.end_y)
                * counted(col, p.dilation_x, p.kernel_w, p.end_x);
        }
        value = value / f32(taps);
    }
    if p.keep != 0u { winners[i] = winner; }
    result[i] = Stored(activate(p.activation, p.a, p.b, value));
}
