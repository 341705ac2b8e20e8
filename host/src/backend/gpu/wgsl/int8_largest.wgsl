// `MaxPool` and `GlobalMaxPool`, whose window is the whole input.
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
    var best = vec4<i32>(-128);
    for (var ky = 0u; ky < node.kernel_h; ky++) {
        let y = under(place.y, node.stride_h, ky, node.dilation_h, node.pad_h);
        for (var kx = 0u; kx < node.kernel_w; kx++) {
            let x = under(place.x, node.stride_w, kx, node.dilation_w, node.pad_w);
            if y < node.in_h && x < node.in_w {
                best = max(best, unpack4xI8(a[pixel_at(place.picture, y, x) + place.quad]));
            }
        }
    }
    out[i] = pack4xI8(clamp(best, vec4<i32>(node.low), vec4<i32>(node.high)));
}
