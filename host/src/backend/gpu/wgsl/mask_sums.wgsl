// Sums of a round's masks (RISE's or stored), each weighted by a target's score, in the order
// of the questions. One thread makes one pixel of one map; behind the targets'
// maps lies that of the masks alone, if it is wanted.
struct Params { h: u32, w: u32, views: u32, classes: u32, targets: u32, maps: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> questions: array<u32>;
@group(0) @binding(3) var<storage, read> masks: array<u32>;
@group(0) @binding(4) var<storage, read> scores: array<Stored>;
@group(0) @binding(5) var<storage, read> class_of: array<u32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let area = p.h * p.w;
    if i >= area * p.maps { return; }
    let map = i / area;
    let pixel = i % area;
    var sum = sums[i];
    for (var view = 0u; view < p.views; view += 1u) {
        // Words 24 and 25 of the 32 of a question: the mask's kind, and where it lies.
        let start = questions[32u * view + 25u];
        var mask = 0.0;
        switch questions[32u * view + 24u] {
            case 2u: { mask = bitcast<f32>(masks[start + pixel]); }
            case 3u: { mask = byte_weight(start, pixel); }
            default: { mask = rise_weight(start, pixel / p.w, pixel % p.w); }
        }
        if map == p.targets {
            sum += mask;
        } else {
            sum += rounded(f32(scores[view * p.classes + class_of[map]]) * mask);
        }
    }
    sums[i] = sum;
}
