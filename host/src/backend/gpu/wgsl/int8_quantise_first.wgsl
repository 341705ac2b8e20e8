// `Quantise` of the masked picture, made from the round's questions.
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
    let place = place_of(i);
    var results: vec4<i32>;
    for (var lane_number = 0u; lane_number < 4u; lane_number++) {
        let c = place.quad * 4u + lane_number;
        if c < node.in_c {
            let value = question_value(place.picture, place.y, place.x, c, node.in_w, node.in_c);
            results[lane_number] = stored_as(value);
        }
    }
    out[i] = pack4xI8(results);
}
