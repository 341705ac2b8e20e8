// Each channel by its own filter, on int8: a word of channels a thread. Weights lie as
// the input does, taps instead of pixels.
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
    for (var ky = 0u; ky < node.kernel_h; ky++) {
        let y = under(place.y, node.stride_h, ky, node.dilation_h, node.pad_h);
        for (var kx = 0u; kx < node.kernel_w; kx++) {
            let x = under(place.x, node.stride_w, kx, node.dilation_w, node.pad_w);
            var values = vec4<i32>(node.in_zero);
            if y < node.in_h && x < node.in_w {
                values = unpack4xI8(a[pixel_at(place.picture, y, x) + place.quad]);
            }
            let w = unpack4xI8(numbers[(ky * node.kernel_w + kx) * node.in_q + place.quad]);
            sums += values * (w - node.weights_zero);
        }
    }
    out[i] = requantised(sums, place.quad);
}
