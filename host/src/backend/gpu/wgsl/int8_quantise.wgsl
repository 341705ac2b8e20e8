// The least numbers that are stored as -127, -126 .. 127 lie in ascending
// order, so comparisons alone find what a number is stored as.
fn stored_as(value: f32) -> i32 {
    var below = 0u;
    for (var step = 128u; step > 0u; step >>= 1u) {
        let probe = below + step - 1u;
        if value >= bitcast<f32>(numbers[probe]) {
            below += step;
        }
    }
    return i32(below) - 128;
}

// `Quantise`; `a` is f32 in plain order.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= words() {
        return;
    }
    let pixel = i / node.out_q;
    var results: vec4<i32>;
    for (var lane_number = 0u; lane_number < 4u; lane_number++) {
        let c = i % node.out_q * 4u + lane_number;
        if c < node.in_c {
            results[lane_number] = stored_as(bitcast<f32>(a[pixel * node.in_c + c]));
        }
    }
    out[i] = pack4xI8(results);
}
