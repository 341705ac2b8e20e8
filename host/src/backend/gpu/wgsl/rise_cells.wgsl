// The shifts and cells of the round's RISE masks from seed and sample alone. 64
// threads a question; each makes a row of cells, the first also the shift.
@group(0) @binding(2) var<storage, read> questions: array<u32>;
@group(0) @binding(3) var<storage, read_write> masks: array<u32>;

// Of a question: its words, the kind of its mask and its record, a RISE mask.
const QUESTION: u32 = 32u;
const KIND: u32 = 24u;
const RISE: u32 = 5u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= 64u * batch.count { return; }
    let question = i / 64u * QUESTION;
    if questions[question + KIND] != RISE { return; }
    let record = questions[question + KIND + 1u];
    let row = i % 64u;
    let cells = masks[record + 3u];
    if row >= cells { return; }
    let seed = vec2<u32>(masks[record], masks[record + 1u]);
    let sample = masks[record + 2u];
    if row == 0u {
        let words = philox(vec4<u32>(sample, 0u, 0u, 1u), seed);
        masks[record + 9u] = below(words.x, masks[record + 5u]);
        masks[record + 10u] = below(words.y, masks[record + 6u]);
    }
    let keep = bitcast<f32>(masks[record + 4u]);
    var bits = vec2<u32>();
    for (var block = 0u; 4u * block < cells; block += 1u) {
        let words = philox(vec4<u32>(sample, row, block, 0u), seed);
        for (var j = 0u; j < 4u; j += 1u) {
            let cell = 4u * block + j;
            bits[cell / 32u] |= select(0u, 1u, unit(words[j]) < keep) << (cell & 31u);
        }
    }
    masks[record + 11u + 2u * row] = bits.x;
    masks[record + 12u + 2u * row] = bits.y;
}
