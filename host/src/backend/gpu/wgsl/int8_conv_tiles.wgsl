// Tiles of 64 pixels in order, of all pictures, and the tensor that they see.
fn tile_count() -> u32 {
    return (pixels() + 63u) / 64u;
}

fn pixel_of(tile: u32, i: u32) -> u32 {
    return tile * 64u + i;
}

fn prepare(tile: u32, local: u32) {}

// The words under one output pixel.
struct Patch {
    inside: bool,
    first: u32,
    y: u32,
    x: u32,
}

fn patch_of(tile: u32, i: u32) -> Patch {
    let pixel = pixel_of(tile, i);
    let row = pixel / node.out_w;
    let picture = row / node.out_h;
    let y = (row - picture * node.out_h) * node.stride_h - node.pad_h;
    let x = (pixel - row * node.out_w) * node.stride_w - node.pad_w;
    return Patch(pixel < pixels(), picture * node.a_step, y, x);
}

// Word `k` of a patch: the zero point in the padding, 0 behind the end.
fn patch_word(seen_by: Patch, k: u32, depth: u32) -> u32 {
    if !seen_by.inside || k >= depth {
        return 0u;
    }
    let tap = k / node.in_q;
    let y = seen_by.y + tap / node.kernel_w * node.dilation_h;
    let x = seen_by.x + tap % node.kernel_w * node.dilation_w;
    if y >= node.in_h || x >= node.in_w {
        return quad_of(node.in_zero);
    }
    return a[seen_by.first + (y * node.in_w + x) * node.in_q + k % node.in_q];
}
