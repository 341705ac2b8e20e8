// Tiles of 64 pixels in order, of all pictures, and the tensor that they see.
struct Here {
    base: i32,
    row: i32,
    col: i32,
}

fn tile_count() -> u32 {
    return (p.target_h * p.target_w * batch.count + 63u) / 64u;
}

fn pixel_of(tile: u32, i: u32) -> u32 {
    return tile * 64u + i;
}

fn prepare(tile: u32, local: u32) {}

// Behind the last pixel the last is seen again.
fn here_at(tile: u32, i: u32, channels: u32) -> Here {
    let area = p.target_h * p.target_w;
    let pixel = min(pixel_of(tile, i), area * batch.count - 1u);
    let image = pixel / area;
    let within = pixel % area;
    return Here(
        i32(image * p.source_h * p.source_w * p.source_c + channels * p.inputs),
        i32(within / p.target_w) * p.step_y + p.start_y,
        i32(within % p.target_w) * p.step_x + p.start_x,
    );
}

// First source element of a tap for a pixel, or -1 outside the source.
fn tap_at(base: i32, row: i32, col: i32, ky: u32, kx: u32) -> i32 {
    var y = row + i32(ky) * p.hop_y;
    var x = col + i32(kx) * p.hop_x;
    if y < 0 || x < 0 { return -1; }
    if p.part_y > 1 || p.part_x > 1 {
        if y % p.part_y != 0 || x % p.part_x != 0 { return -1; }
        y = y / p.part_y;
        x = x / p.part_x;
    }
    if y >= i32(p.source_h) || x >= i32(p.source_w) { return -1; }
    return base + (y * i32(p.source_w) + x) * i32(p.source_c);
}
