// What concerns each element alone: an activation, or scale and shift of its
// channel. One thread makes one element.
struct Params {
    elements: u32, channels: u32,
    has_scale: u32, has_shift: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= p.elements * batch.count { return; }
    var value = f32(source[i]);
    if p.has_scale != 0u { value = value * scale[i % p.channels]; }
    if p.has_shift != 0u { value = value + shift[i % p.channels]; }
    result[i] = Stored(activate(p.activation, p.a, p.b, value));
}
