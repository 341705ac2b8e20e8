// `Dequantise`; `out` is f32 in plain order, e0 the scale's bits.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= pixels() * node.in_c {
        return;
    }
    let pixel = i / node.in_c;
    let c = i - pixel * node.in_c;
    let steps = lane(a[pixel * node.in_q + c / 4u], c) - node.in_zero;
    out[i] = bitcast<u32>(f32(steps) * bitcast<f32>(node.e0));
}
