// Source values of a first layer's convolution, from what its tile sees.
struct Here {
    first: u32,
    channel: u32,
}

fn here_at(tile: u32, i: u32, channels: u32) -> Here {
    return Here(first_seen(i), channels * p.inputs);
}

fn load(here: Here, begin: vec3<u32>) -> vec4<f32> {
    let width = seen_across();
    var values = vec4<f32>(0.0);
    var at = begin;
    for (var i = 0u; i < 4u; i += 1u) {
        if at.x < p.kernel_h {
            let pixel = here.first + at.x * u32(p.hop_y) * width + at.y * u32(p.hop_x);
            values[i] = seen[pixel * p.source_c + here.channel + at.z];
        }
        at.z += 1u;
        at = settled(at);
    }
    return values;
}
