// Gradient of what padding repeats or mirrors. One thread gathers one element
// over all places that show it; along each axis they are up to three runs.
struct Params {
    // The padded tensor's input, its output, and the padding before.
    h: u32, w: u32, c: u32,
    out_h: u32, out_w: u32, out_c: u32,
    before_y: u32, before_x: u32, before_c: u32,
    // 1 the nearest element, 2 the mirror's.
    outside: u32, accumulate: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<Stored>;
@group(0) @binding(3) var<storage, read_write> result: array<Stored>;

// Place number `i` that shows element `at` of an axis, or -1 behind the last.
fn shown(i: u32, at: u32, before: u32, size: u32, out: u32) -> i32 {
    if p.outside == 1u {
        let begin = select(at + before, 0u, at == 0u);
        let end = select(at + before + 1u, out, at + 1u == size);
        return select(-1, i32(begin + i), begin + i < end);
    }
    var found = 0u;
    var places = vec3<i32>(-1);
    places[0] = i32(at + before);
    if at > 0u && at <= before { places[1] = i32(before - at); }
    let mirrored = 2u * (size - 1u) - at + before;
    if at + 1u < size && mirrored < out { places[2] = i32(mirrored); }
    for (var k = 0u; k < 3u; k += 1u) {
        if places[k] >= 0 {
            if found == i { return places[k]; }
            found += 1u;
        }
    }
    return -1;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let row = p.w * p.c;
    if i >= p.h * row * batch.count { return; }
    let image = i / (p.h * row);
    var sum = 0.0;
    for (var j = 0u; j < p.out_h; j += 1u) {
        let y = shown(j, i / row % p.h, p.before_y, p.h, p.out_h);
        if y < 0 { break; }
        for (var k = 0u; k < p.out_w; k += 1u) {
            let x = shown(k, i / p.c % p.w, p.before_x, p.w, p.out_w);
            if x < 0 { break; }
            for (var l = 0u; l < p.out_c; l += 1u) {
                let c = shown(l, i % p.c, p.before_c, p.c, p.out_c);
                if c < 0 { break; }
                let pixel = (image * p.out_h + u32(y)) * p.out_w + u32(x);
                sum += f32(gradient[pixel * p.out_c + u32(c)]);
            }
        }
    }
    if p.accumulate != 0u { sum += f32(result[i]); }
    result[i] = Stored(sum);
}
