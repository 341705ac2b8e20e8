// Gradient of a pool's input. One thread gathers one element from the windows
// that hold it: of a largest value where it won, of a mean its share.
struct Params {
    source_h: u32, source_w: u32,
    target_h: u32, target_w: u32,
    channels: u32,
    kernel_h: u32, kernel_w: u32,
    stride_y: u32, stride_x: u32,
    dilation_y: u32, dilation_x: u32,
    pad_y: u32, pad_x: u32,
    mean: u32, count_padding: u32, end_y: u32, end_x: u32,
    accumulate: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<Stored>;
@group(0) @binding(3) var<storage, read> winners: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<Stored>;

// Taps of one axis that a mean counts: those up to `end`, or those inside.
fn counted(place: u32, stride: u32, pad: u32, dilation: u32, kernel: u32, size: u32, end: u32) -> u32 {
    let first = i32(place * stride) - i32(pad);
    if p.count_padding != 0u {
        let room = max(i32(end) - first, 0);
        return min((u32(room) + dilation - 1u) / dilation, kernel);
    }
    var taps = 0u;
    for (var k = 0u; k < kernel; k += 1u) {
        let at = first + i32(k * dilation);
        if at >= 0 && at < i32(size) { taps += 1u; }
    }
    return taps;
}

// Window of one axis whose tap `k` lies at `place`, or -1.
fn window(place: u32, k: u32, dilation: u32, pad: u32, stride: u32, size: u32) -> i32 {
    let found = i32(place + pad) - i32(k * dilation);
    if found < 0 || u32(found) % stride != 0u { return -1; }
    let at = u32(found) / stride;
    return select(-1, i32(at), at < size);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let area = p.source_h * p.source_w;
    if i >= area * p.channels * batch.count { return; }
    let c = i % p.channels;
    let pixel = i / p.channels;
    let within = pixel % area;
    let base = pixel / area * p.target_h * p.target_w;
    let row = within / p.source_w;
    let col = within % p.source_w;
    var sum = 0.0;
    for (var ky = 0u; ky < p.kernel_h; ky += 1u) {
        let y = window(row, ky, p.dilation_y, p.pad_y, p.stride_y, p.target_h);
        if y < 0 { continue; }
        for (var kx = 0u; kx < p.kernel_w; kx += 1u) {
            let x = window(col, kx, p.dilation_x, p.pad_x, p.stride_x, p.target_w);
            if x < 0 { continue; }
            let at = (base + u32(y) * p.target_w + u32(x)) * p.channels + c;
            let g = f32(gradient[at]);
            if p.mean == 0u {
                if winners[at] == ky * p.kernel_w + kx { sum += g; }
            } else {
                let rows = counted(u32(y), p.stride_y, p.pad_y, p.dilation_y, p.kernel_h, p.source_h, p.end_y);
                let cols = counted(u32(x), p.stride_x, p.pad_x, p.dilation_x, p.kernel_w, p.source_w, p.end_x);
                sum += g / f32(rows * cols);
            }
        }
    }
    if p.accumulate != 0u { sum += f32(result[i]); }
    result[i] = Stored(sum);
}
