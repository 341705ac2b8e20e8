// Source values of a convolution, four channels at once: where a pixel's and a
// group's channels are multiples of four.
@group(0) @binding(2) var<storage, read> source: array<vec4<Stored>>;

fn load(here: Here, at: vec3<u32>) -> vec4<f32> {
    if at.x >= p.kernel_h { return vec4<f32>(0.0); }
    let found = tap_at(here.base, here.row, here.col, at.x, at.y);
    if found < 0 { return vec4<f32>(0.0); }
    return vec4<f32>(source[(u32(found) + at.z) / 4u]);
}
