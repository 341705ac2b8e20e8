// Operators that move elements: concatenation, slice, shuffle, padding, and
// their gradients; with a factor also the gradient of a mean. One thread makes
// one element of a box of the target. Along each axis the source lies at
// (place * step + start) / part, where that is whole and inside.
struct Params {
    // The box, where it lies in the target, and the target's shape.
    box_h: u32, box_w: u32, box_c: u32,
    to_y: u32, to_x: u32, to_c: u32,
    target_h: u32, target_w: u32, target_c: u32,
    source_h: u32, source_w: u32, source_c: u32,
    step_y: i32, step_x: i32, step_c: i32,
    start_y: i32, start_x: i32, start_c: i32,
    part_y: i32, part_x: i32, part_c: i32,
    // Groups of a channel shuffle (1 for none).
    shuffle: u32,
    // Outside: 0 a constant, 1 the nearest element, 2 the mirror's.
    outside: u32, constant: f32,
    factor: f32, accumulate: u32,
    // 0 where the source is one for all pictures.
    source_picture: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> result: array<Stored>;

fn origin(place: u32, step: i32, start: i32, part: i32, size: u32) -> i32 {
    let found = i32(place) * step + start;
    let last = i32(size) - 1;
    if p.outside == 1u { return clamp(found, 0, last); }
    if p.outside == 2u {
        let mirrored = select(found, -found, found < 0);
        return select(mirrored, 2 * last - mirrored, mirrored > last);
    }
    if found < 0 || found % part != 0 { return -1; }
    let at = found / part;
    return select(-1, at, at <= last);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let row = p.box_w * p.box_c;
    if i >= p.box_h * row * batch.count { return; }
    let image = i / (p.box_h * row);
    let y = i / row % p.box_h;
    let x = i / p.box_c % p.box_w;
    let c = i % p.box_c;
    let from_y = origin(y, p.step_y, p.start_y, p.part_y, p.source_h);
    let from_x = origin(x, p.step_x, p.start_x, p.part_x, p.source_w);
    let shuffled = c % p.shuffle * (p.source_c / p.shuffle) + c / p.shuffle;
    let from_c = origin(select(shuffled, c, p.shuffle == 1u), p.step_c, p.start_c, p.part_c, p.source_c);
    var value = p.constant;
    if from_y >= 0 && from_x >= 0 && from_c >= 0 {
        let at = (u32(from_y) * p.source_w + u32(from_x)) * p.source_c + u32(from_c);
        value = f32(source[image * p.source_picture + at]) * p.factor;
    }
    value = activate(p.activation, p.a, p.b, value);
    let pixel = (image * p.target_h + y + p.to_y) * p.target_w + x + p.to_x;
    let to = pixel * p.target_c + c + p.to_c;
    if p.accumulate != 0u { value += f32(result[to]); }
    result[to] = Stored(value);
}
