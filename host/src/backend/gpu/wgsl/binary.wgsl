// Arithmetic of two tensors, and PReLU. One thread makes one element; an
// operand's step along an axis is 0 where it repeats.
struct Params {
    h: u32, w: u32, c: u32,
    // 0 add, 1 subtract, 2 multiply, 3 divide, 4 PReLU.
    arithmetic: u32,
    a_picture: u32, a_y: u32, a_x: u32, a_c: u32,
    b_picture: u32, b_y: u32, b_x: u32, b_c: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> first: array<Stored>;
@group(0) @binding(3) var<storage, read> second: array<Stored>;
@group(0) @binding(4) var<storage, read_write> result: array<Stored>;

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
    let y = i / row % p.h;
    let x = i / p.c % p.w;
    let c = i % p.c;
    let a = f32(first[image * p.a_picture + y * p.a_y + x * p.a_x + c * p.a_c]);
    let b = f32(second[image * p.b_picture + y * p.b_y + x * p.b_x + c * p.b_c]);
    var value = 0.0;
    switch p.arithmetic {
        case 0u: { value = a + b; }
        case 1u: { value = a - b; }
        case 2u: { value = a * b; }
        case 3u: { value = a / b; }
        default: { value = select(b * a, a, a > 0.0); }
    }
    result[i] = Stored(activate(p.activation, p.a, p.b, value));
}
