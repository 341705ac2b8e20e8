// Channel `c` of an operand; an axis of size 1 is broadcast.
fn left(place: Place, c: u32) -> i32 {
    let y = select(place.y, 0u, node.in_h == 1u);
    let x = select(place.x, 0u, node.in_w == 1u);
    let own = select(c, 0u, node.in_c == 1u);
    return lane(a[pixel_at(place.picture, y, x) + own / 4u], own) - node.in_zero;
}

fn right(place: Place, c: u32) -> i32 {
    let y = select(place.y, 0u, node.b_h == 1u);
    let x = select(place.x, 0u, node.b_w == 1u);
    let own = select(c, 0u, node.b_c == 1u);
    let pixel = place.picture * node.b_step + (y * node.b_w + x) * node.b_q;
    return lane(b[pixel + own / 4u], own) - node.b_zero;
}

// `kind`: 0 sum, 1 difference, 2 product.
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
    for (var c = 0u; c < 4u; c++) {
        let x = left(place, place.quad * 4u + c);
        let y = right(place, place.quad * 4u + c);
        if node.kind == 2u {
            results[c] = store(scale(x * y, node.f0, node.s0));
            continue;
        }
        let of_x = scale(x << 20u, node.f0, node.s0);
        let of_y = scale(y << 20u, node.f1, node.s1);
        let sum = select(of_x - of_y, of_x + of_y, node.kind == 0u);
        results[c] = store(scale(sum, node.f2, node.s2));
    }
    out[i] = pack4xI8(results);
}
