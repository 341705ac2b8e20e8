// One input of a `Concat` along axis `kind`, `e0` elements behind the axis's
// begin: all output words are visited, those of other inputs keep their bytes.
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
    let before = vec3<u32>(u32(node.e0), u32(node.e1), u32(node.e2));
    let y = place.y - before.x;
    let x = place.x - before.y;
    if y >= node.in_h || x >= node.in_w {
        return;
    }
    let pixel = pixel_at(place.picture, y, x);
    var results = unpack4xI8(out[i]);
    for (var lane_number = 0u; lane_number < 4u; lane_number++) {
        let c = place.quad * 4u + lane_number - before.z;
        if c >= node.in_c {
            continue;
        }
        let value = lane(a[pixel + c / 4u], c);
        if node.kind != 0u {
            results[lane_number] = clamp(value, node.low, node.high);
        } else {
            results[lane_number] = store(scale((value - node.in_zero) << 16u, node.f0, node.s0));
        }
    }
    out[i] = pack4xI8(results);
}
