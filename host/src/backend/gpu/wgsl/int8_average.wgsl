fn mean_of(sum: i32, count: i32) -> i32 {
    let half = count / 2;
    return select(sum - half, sum + half, sum > 0) / count;
}

// Taps of an axis that count: those inside `before + size + behind`, if
// padding counts, else those inside the axis.
fn counted(o: u32, stride: u32, taps: u32, dilation: u32, pad: u32, behind: u32, size: u32) -> i32 {
    var count = 0;
    for (var k = 0u; k < taps; k++) {
        let at = o * stride + k * dilation;
        count += select(0, 1, at < pad + size + behind);
    }
    return count;
}

// `AveragePool`: e0 what is subtracted before the mean is rounded, e1 whether
// padding counts, e2 and e3 declared padding below and right.
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
    var sums: vec4<i32>;
    var inside = 0;
    for (var ky = 0u; ky < node.kernel_h; ky++) {
        let y = under(place.y, node.stride_h, ky, node.dilation_h, node.pad_h);
        for (var kx = 0u; kx < node.kernel_w; kx++) {
            let x = under(place.x, node.stride_w, kx, node.dilation_w, node.pad_w);
            if y < node.in_h && x < node.in_w {
                sums += unpack4xI8(a[pixel_at(place.picture, y, x) + place.quad]);
                inside++;
            }
        }
    }
    var count = inside;
    if node.e1 != 0 {
        count = counted(place.y, node.stride_h, node.kernel_h, node.dilation_h, node.pad_h, u32(node.e2), node.in_h)
            * counted(place.x, node.stride_w, node.kernel_w, node.dilation_w, node.pad_w, u32(node.e3), node.in_w);
    }
    sums += (count - inside) * node.in_zero;
    var results: vec4<i32>;
    for (var c = 0u; c < 4u; c++) {
        let mean = mean_of(sums[c] - node.e0 * count, count) + node.e0;
        results[c] = clamp(mean, node.low, node.high);
    }
    out[i] = pack4xI8(results);
}
