// A convolution in groups on int8: a word of output channels a thread. Weights lie as
// bytes, OHWI.
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
    for (var c = 0u; c < 4u; c++) {
        sums[c] = group_sum(place, place.quad * 4u + c);
    }
    out[i] = requantised(sums, place.quad);
}

fn group_sum(place: Place, channel: u32) -> i32 {
    if channel >= node.out_c {
        return 0;
    }
    let inputs = node.in_c / node.groups;
    let first = channel / (node.out_c / node.groups) * inputs;
    var weight = channel * node.kernel_h * node.kernel_w * inputs;
    var sum = 0;
    for (var ky = 0u; ky < node.kernel_h; ky++) {
        let y = under(place.y, node.stride_h, ky, node.dilation_h, node.pad_h);
        for (var kx = 0u; kx < node.kernel_w; kx++) {
            let x = under(place.x, node.stride_w, kx, node.dilation_w, node.pad_w);
            let outside = y >= node.in_h || x >= node.in_w;
            let pixel = pixel_at(place.picture, y, x);
            for (var c = first; c < first + inputs; c++) {
                let w = lane(numbers[weight / 4u], weight) - node.weights_zero;
                var value = node.in_zero;
                if !outside {
                    value = lane(a[pixel + c / 4u], c);
                }
                sum += value * w;
                weight++;
            }
        }
    }
    return sum;
}
