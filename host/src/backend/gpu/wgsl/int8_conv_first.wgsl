// Tiles of a first layer on int8: 8 x 8 pixels of one picture. What they see of
// the masked picture is made once from the round's questions, quantised, in
// shared memory (6 KiB), a word of at most four channels a pixel. `a` holds the
// thresholds of `Quantise`.
const SIDE: u32 = 8u;
var<workgroup> picture: array<u32, 1536>;

fn threshold(i: u32) -> u32 {
    return a[i];
}

fn across() -> u32 {
    return (node.out_w + SIDE - 1u) / SIDE;
}

fn of_picture() -> u32 {
    return (node.out_h + SIDE - 1u) / SIDE * across();
}

fn tile_count() -> u32 {
    return of_picture() * batch.count;
}

// Pixel `i` of a tile among all; beyond all where the picture ends before.
fn pixel_of(tile: u32, i: u32) -> u32 {
    let place = tile % of_picture();
    let y = place / across() * SIDE + i / SIDE;
    let x = place % across() * SIDE + i % SIDE;
    let pixel = (tile / of_picture() * node.out_h + y) * node.out_w + x;
    return select(0xffffffffu, pixel, y < node.out_h && x < node.out_w);
}

// Pixels in a row of what a tile sees, and rows of it.
fn seen_across() -> u32 {
    return (SIDE - 1u) * node.stride_w + (node.kernel_w - 1u) * node.dilation_w + 1u;
}

fn seen_down() -> u32 {
    return (SIDE - 1u) * node.stride_h + (node.kernel_h - 1u) * node.dilation_h + 1u;
}

fn quantised(question: u32, y: u32, x: u32) -> u32 {
    var weight = shown(question, y, x, 0u, node.in_w);
    var results: vec4<i32>;
    for (var c = 0u; c < node.in_c; c++) {
        if by_channel(question) {
            weight = shown(question, y, x, c, node.in_w);
        }
        let element = (y * node.in_w + x) * node.in_c + c;
        results[c] = stored_as(blended(question, weight, element, c));
    }
    return pack4xI8(results);
}

fn prepare(tile: u32, local: u32) {
    let place = tile % of_picture();
    let top = place / across() * SIDE * node.stride_h - node.pad_h;
    let left = place % across() * SIDE * node.stride_w - node.pad_w;
    let width = seen_across();
    for (var i = local; i < width * seen_down(); i += 256u) {
        let y = top + i / width;
        let x = left + i % width;
        var word = quad_of(node.in_zero);
        if y < node.in_h && x < node.in_w {
            word = quantised(tile / of_picture(), y, x);
        }
        picture[i] = word;
    }
    workgroupBarrier();
}

// Where the words under one output pixel begin.
struct Patch {
    first: u32,
}

fn patch_of(tile: u32, i: u32) -> Patch {
    return Patch(i / SIDE * node.stride_h * seen_across() + i % SIDE * node.stride_w);
}

// Word `k` of a patch: 0 behind the end.
fn patch_word(seen_by: Patch, k: u32, depth: u32) -> u32 {
    if k >= depth {
        return 0u;
    }
    let down = k / node.kernel_w * node.dilation_h;
    return picture[seen_by.first + down * seen_across() + k % node.kernel_w * node.dilation_w];
}
