// `Mean` over the axes e0, e1, e2.
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
    let rows = select(1u, node.in_h, node.e0 != 0);
    let columns = select(1u, node.in_w, node.e1 != 0);
    var sums: vec4<i32>;
    for (var y = 0u; y < rows; y++) {
        for (var x = 0u; x < columns; x++) {
            let pixel = pixel_at(place.picture, place.y + y, place.x + x);
            if node.e2 == 0 {
                sums += unpack4xI8(a[pixel + place.quad]);
                continue;
            }
            for (var c = 0u; c < node.in_c; c++) {
                sums.x += lane(a[pixel + c / 4u], c);
            }
        }
    }
    let terms = rows * columns * select(1u, node.in_c, node.e2 != 0);
    sums -= node.in_zero * i32(terms);
    var results: vec4<i32>;
    for (var c = 0u; c < 4u; c++) {
        results[c] = store(scale(sums[c], node.f0, node.s0));
    }
    out[i] = pack4xI8(results);
}
