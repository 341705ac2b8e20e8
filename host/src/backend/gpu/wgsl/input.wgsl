// The network's input, made from the round's questions, for networks whose
// first layer does not read questions itself. One thread makes one element.
struct Params { h: u32, w: u32, c: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> questions: array<Question>;
@group(0) @binding(3) var<storage, read> sources: array<u32>;
@group(0) @binding(4) var<storage, read> masks: array<u32>;
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
    let y = i / row % p.h;
    let x = i / p.c % p.w;
    result[i] = Stored(question_value(i / (p.h * row), y, x, i % p.c, p.w, p.c));
}
