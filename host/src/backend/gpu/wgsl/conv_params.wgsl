// Numbers of a convolution as a matrix product.
struct Params {
    source_h: u32, source_w: u32, source_c: u32,
    target_h: u32, target_w: u32, target_c: u32,
    kernel_h: u32, kernel_w: u32,
    // Source row of a tap: (row * step + start + tap * hop) / part, if whole.
    step_y: i32, step_x: i32,
    start_y: i32, start_x: i32,
    hop_y: i32, hop_x: i32,
    part_y: i32, part_x: i32,
    // Channels of a group.
    inputs: u32, outputs: u32,
    // Vectors of four weights in a row, and tiles of 64 channels of a group.
    quads: u32, tiles: u32,
    has_bias: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

// Tap row, tap column and channel, where the channel has run past the last.
fn settled(begin: vec3<u32>) -> vec3<u32> {
    var at = begin;
    while at.z >= p.inputs {
        at.z -= p.inputs;
        at.y += 1u;
        if at.y == p.kernel_w {
            at.y = 0u;
            at.x += 1u;
        }
    }
    return at;
}
