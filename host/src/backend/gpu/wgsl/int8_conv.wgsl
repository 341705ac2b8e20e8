// Conv without groups, and Dense, on int8: an implicit matrix product of pixels (of all pictures) and
// filters. A workgroup of 16 x 16 threads makes 64 pixels x 64 channels, each
// thread 4 x 4; 16 words (64 input channels) of both sides at a time pass
// through 8 KB of workgroup memory. Weights lie as blocks of 4 channels:
// [channel / 4][tap][word][channel % 4]. A Dense is a 1 x 1 convolution of a
// 1 x 1 picture. Which pixels a tile holds and what they see is said by the
// files that `patch_word` is in.

const DEPTH: u32 = 16u;
// One more than the pixels, so that threads that store lie in different banks.
const PITCH: u32 = 65u;

var<workgroup> seen: array<u32, 1040>;
var<workgroup> filters: array<vec4<u32>, 256>;

fn filter_word(block: u32, k: u32, depth: u32) -> vec4<u32> {
    if block >= node.out_q || k >= depth {
        return vec4<u32>();
    }
    let at = (block * depth + k) * 4u;
    return vec4<u32>(numbers[at], numbers[at + 1u], numbers[at + 2u], numbers[at + 3u]);
}

fn products(x: u32, w: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(x, w.x), dot4I8Packed(x, w.y),
        dot4I8Packed(x, w.z), dot4I8Packed(x, w.w),
    );
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group.y * groups.x + group.x;
    if tile >= tile_count() {
        return;
    }
    prepare(tile, index);
    let block = group.z * 16u;
    let depth = node.kernel_h * node.kernel_w * node.in_q;
    let line = index / DEPTH;
    let word = index % DEPTH;
    var patches: array<Patch, 4>;
    for (var i = 0u; i < 4u; i++) {
        patches[i] = patch_of(tile, line + 16u * i);
    }
    var sums: array<vec4<i32>, 4>;
    var totals: vec4<i32>;
    for (var k = 0u; k < depth; k += DEPTH) {
        for (var i = 0u; i < 4u; i++) {
            seen[word * PITCH + line + 16u * i] = patch_word(patches[i], k + word, depth);
        }
        filters[line * 16u + word] = filter_word(block + word, k + line, depth);
        workgroupBarrier();
        for (var j = 0u; j < DEPTH; j++) {
            let w = filters[j * 16u + local.x];
            for (var i = 0u; i < 4u; i++) {
                let x = seen[j * PITCH + local.y * 4u + i];
                sums[i] += products(x, w);
                totals[i] += dot4I8Packed(x, 0x01010101u);
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let pixel = pixel_of(tile, local.y * 4u + i);
        if block + local.x < node.out_q && pixel < pixels() {
            out[pixel * node.out_q + block + local.x] = requantised(sums[i] - totals[i] * node.weights_zero, block + local.x);
        }
    }
}
