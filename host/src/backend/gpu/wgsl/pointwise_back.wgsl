// Gradient of what concerns each element alone: times its channel's scale, or
// times the derivative at the input (of sigmoid and tanh: from the output). A
// ReLU's own rule was applied by the gate before. One thread makes one element.
struct Params {
    elements: u32, channels: u32,
    has_scale: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<Stored>;
@group(0) @binding(3) var<storage, read> value: array<Stored>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

fn derivative(v: f32) -> f32 {
    switch p.activation {
        case 4u: {
            let y = p.a * v + p.b;
            return select(0.0, p.a, y > 0.0 && y < 1.0);
        }
        case 5u: {
            let gate = limited(v / 6.0 + 0.5, 0.0, 1.0);
            return gate + select(0.0, v / 6.0, gate > 0.0 && gate < 1.0);
        }
        case 6u: { return v * (1.0 - v); }
        case 7u: {
            let s = sigmoid(v);
            return s + v * s * (1.0 - s);
        }
        case 8u: { return 1.0 - v * v; }
        default: { return 1.0; }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= p.elements * batch.count { return; }
    var g = f32(gradient[i]);
    if p.has_scale != 0u { g = g * scale[i % p.channels]; }
    if p.activation >= 4u { g = g * derivative(f32(value[i])); }
    if p.accumulate != 0u { g += f32(result[i]); }
    result[i] = Stored(g);
}
