// Source values of a convolution, one by one: any number of channels.
@group(0) @binding(2) var<storage, read> source: array<Stored>;

fn load(here: Here, first: vec3<u32>) -> vec4<f32> {
    var values = vec4<f32>(0.0);
    var at = first;
    for (var i = 0u; i < 4u; i += 1u) {
        if at.x < p.kernel_h {
            let found = tap_at(here.base, here.row, here.col, at.x, at.y);
            if found >= 0 { values[i] = f32(source[u32(found) + at.z]); }
        }
        at.z += 1u;
        at = settled(at);
    }
    return values;
}
