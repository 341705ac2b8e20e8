// A part of a tensor, at a place of its own for each picture: what an edit
// changed where that lies, the held base elsewhere, a constant outside. One
// thread makes one element.
struct Params {
    // The part.
    h: u32, w: u32, c: u32,
    // The tensor.
    source_h: u32, source_w: u32,
    // What was changed of it; 0 where that is in the base.
    crop_h: u32, crop_w: u32,
    // 0 where the base is one for all pictures.
    base_picture: u32,
    // Places of a picture; which is the part's, and which the change's.
    lists: u32, at: u32, crop_at: u32,
    outside: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> held: array<Stored>;
@group(0) @binding(3) var<storage, read> crop: array<Stored>;
@group(0) @binding(4) var<storage, read> places: array<vec2<i32>>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let row = p.w * p.c;
    if i >= p.h * row * batch.count { return; }
    let image = i / (p.h * row);
    let c = i % p.c;
    let place = places[image * p.lists + p.at];
    let y = i32(i / row % p.h) + place.x;
    let x = i32(i / p.c % p.w) + place.y;
    if y < 0 || x < 0 || y >= i32(p.source_h) || x >= i32(p.source_w) {
        result[i] = Stored(p.outside);
        return;
    }
    let begin = places[image * p.lists + p.crop_at];
    let near_y = y - begin.x;
    let near_x = x - begin.y;
    if near_y >= 0 && near_x >= 0 && near_y < i32(p.crop_h) && near_x < i32(p.crop_w) {
        let pixel = (image * p.crop_h + u32(near_y)) * p.crop_w + u32(near_x);
        result[i] = crop[pixel * p.c + c];
        return;
    }
    let pixel = u32(y) * p.source_w + u32(x);
    result[i] = held[image * p.base_picture + pixel * p.c + c];
}
