// `Activate`: 256 results, index = stored + 128.
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
    var results: vec4<i32>;
    for (var c = 0u; c < 4u; c++) {
        let entry = (a[i] >> (8u * c) & 0xffu) ^ 0x80u;
        results[c] = lane(numbers[entry / 4u], entry);
    }
    out[i] = pack4xI8(results);
}
