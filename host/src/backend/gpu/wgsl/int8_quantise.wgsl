// `Quantise`; `a` is f32 in plain order.
fn threshold(i: u32) -> u32 {
    return numbers[i];
}

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
