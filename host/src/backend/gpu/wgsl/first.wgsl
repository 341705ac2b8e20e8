// Tiles of a first layer: 8 x 8 pixels of one picture. What they see of the
// masked picture is made once from the round's questions, in shared memory
// (8 KiB): the picture is never stored. Outside lie zeros.
@group(0) @binding(2) var<storage, read> questions: array<Question>;
@group(0) @binding(6) var<storage, read> sources: array<u32>;
@group(0) @binding(7) var<storage, read> masks: array<u32>;

const SIDE: u32 = 8u;
var<workgroup> seen: array<f32, 2048>;

fn across() -> u32 {
    return (p.target_w + SIDE - 1u) / SIDE;
}

fn of_picture() -> u32 {
    return (p.target_h + SIDE - 1u) / SIDE * across();
}

fn tile_count() -> u32 {
    return of_picture() * batch.count;
}

// Pixel `i` of a tile among all; beyond all where the picture ends before.
fn pixel_of(tile: u32, i: u32) -> u32 {
    let place = tile % of_picture();
    let y = place / across() * SIDE + i / SIDE;
    let x = place % across() * SIDE + i % SIDE;
    let pixel = (tile / of_picture() * p.target_h + y) * p.target_w + x;
    return select(0xffffffffu, pixel, y < p.target_h && x < p.target_w);
}

// Pixels in a row of what a tile sees, and rows of it.
fn seen_across() -> u32 {
    return (SIDE - 1u) * u32(p.step_x) + (p.kernel_w - 1u) * u32(p.hop_x) + 1u;
}

fn seen_down() -> u32 {
    return (SIDE - 1u) * u32(p.step_y) + (p.kernel_h - 1u) * u32(p.hop_y) + 1u;
}

fn prepare(tile: u32, local: u32) {
    let question = tile / of_picture();
    let place = tile % of_picture();
    let top = i32(place / across() * SIDE) * p.step_y + p.start_y;
    let left = i32(place % across() * SIDE) * p.step_x + p.start_x;
    let width = seen_across();
    for (var i = local; i < width * seen_down(); i += 256u) {
        let y = u32(top + i32(i / width));
        let x = u32(left + i32(i % width));
        let inside = y < p.source_h && x < p.source_w;
        var weight = 0.0;
        if inside { weight = shown(question, y, x, 0u, p.source_w); }
        for (var c = 0u; c < p.source_c; c += 1u) {
            var value = 0.0;
            if inside {
                if by_channel(question) { weight = shown(question, y, x, c, p.source_w); }
                let element = (y * p.source_w + x) * p.source_c + c;
                // As it would be stored.
                value = f32(Stored(blended(question, weight, element, c)));
            }
            seen[i * p.source_c + c] = value;
        }
    }
    workgroupBarrier();
}

// Where pixel `i` of a tile begins in what the tile sees.
fn first_seen(i: u32) -> u32 {
    return i / SIDE * u32(p.step_y) * seen_across() + i % SIDE * u32(p.step_x);
}
