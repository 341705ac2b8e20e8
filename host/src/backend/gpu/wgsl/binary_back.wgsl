// Gradient of one operand of an arithmetic or PReLU. One thread gathers one
// element of the operand, over the axes along which it repeats.
struct Params {
    h: u32, w: u32, c: u32,
    // The operand's own sizes: the output's, or 1.
    own_h: u32, own_w: u32, own_c: u32,
    arithmetic: u32, part: u32, rule: u32, accumulate: u32,
    a_picture: u32, a_y: u32, a_x: u32, a_c: u32,
    b_picture: u32, b_y: u32, b_x: u32, b_c: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<Stored>;
@group(0) @binding(3) var<storage, read> first: array<Stored>;
@group(0) @binding(4) var<storage, read> second: array<Stored>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

fn share(image: u32, y: u32, x: u32, c: u32) -> f32 {
    let g = f32(gradient[((image * p.h + y) * p.w + x) * p.c + c]);
    let a = f32(first[image * p.a_picture + y * p.a_y + x * p.a_x + c * p.a_c]);
    let b = f32(second[image * p.b_picture + y * p.b_y + x * p.b_x + c * p.b_c]);
    switch p.arithmetic * 2u + p.part {
        case 3u: { return -g; }
        case 4u: { return g * b; }
        case 5u: { return g * a; }
        case 6u: { return g / b; }
        case 7u: { return -(g * (a / b)) / b; }
        case 8u: { return ruled(p.rule, g, a > 0.0, b); }
        case 9u: { return select(g * a, 0.0, a > 0.0); }
        default: { return g; }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let own = p.own_h * p.own_w * p.own_c;
    if i >= own * batch.count { return; }
    let image = i / own;
    let y0 = i / (p.own_w * p.own_c) % p.own_h;
    let x0 = i / p.own_c % p.own_w;
    let c0 = i % p.own_c;
    // As many elements as fall onto this one, along each axis.
    let rows = p.h / p.own_h;
    let cols = p.w / p.own_w;
    let channels = p.c / p.own_c;
    var sum = 0.0;
    for (var y = 0u; y < rows; y += 1u) {
        for (var x = 0u; x < cols; x += 1u) {
            for (var c = 0u; c < channels; c += 1u) {
                sum += share(image, y0 + y, x0 + x, c0 + c);
            }
        }
    }
    if p.accumulate != 0u { sum += f32(result[i]); }
    result[i] = Stored(sum);
}
