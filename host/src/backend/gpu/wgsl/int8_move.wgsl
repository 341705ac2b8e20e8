// Where padded index `i` of an axis takes its element from; beyond the axis
// for the constant. `kind`: 2 constant, 3 edge, 4 reflect.
fn origin(i: u32, before: u32, size: u32) -> u32 {
    let at = i - before;
    if at < size || node.kind == 2u {
        return at;
    }
    let is_before = i < before;
    if node.kind == 3u {
        return select(size - 1u, 0u, is_before);
    }
    let behind = size - 1u - min(at - (size - 1u), size - 1u);
    return select(behind, min(before - i, size - 1u), is_before);
}

// The input element of an output element along one axis.
fn source(o: u32, start: u32, step: u32, size: u32) -> u32 {
    if node.kind >= 2u {
        return origin(o, start, size);
    }
    return start + o * step;
}

// `Slice` (`kind` 0; e0..2 start, e3..5 step), `Shuffle` (1; `groups`), `Pad`
// (2..4; e0..2 before, in_zero the stored constant).
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
    let y = source(place.y, u32(node.e0), u32(node.e3), node.in_h);
    let x = source(place.x, u32(node.e1), u32(node.e4), node.in_w);
    var results: vec4<i32>;
    for (var lane_number = 0u; lane_number < 4u; lane_number++) {
        let o = place.quad * 4u + lane_number;
        var c = source(o, u32(node.e2), u32(node.e5), node.in_c);
        if node.kind == 1u {
            c = o % node.groups * (node.in_c / node.groups) + o / node.groups;
        }
        var value = node.in_zero;
        if y < node.in_h && x < node.in_w && c < node.in_c {
            value = lane(a[pixel_at(place.picture, y, x) + c / 4u], c);
        }
        results[lane_number] = clamp(value, node.low, node.high);
    }
    out[i] = pack4xI8(results);
}
