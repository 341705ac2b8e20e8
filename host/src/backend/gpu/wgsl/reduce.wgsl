// Mean over whole axes, or the largest value over rows and columns. One thread
// makes one element; neighbouring threads are neighbouring channels.
struct Params {
    source_h: u32, source_w: u32, source_c: u32,
    target_h: u32, target_w: u32, target_c: u32,
    largest: u32, keep: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read_write> result: array<Stored>;
@group(0) @binding(4) var<storage, read_write> winners: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    let each = p.target_h * p.target_w * p.target_c;
    if i >= each * batch.count { return; }
    let image = i / each;
    let y0 = i / (p.target_w * p.target_c) % p.target_h;
    let x0 = i / p.target_c % p.target_w;
    let c0 = i % p.target_c;
    let rows = p.source_h / p.target_h;
    let cols = p.source_w / p.target_w;
    let channels = p.source_c / p.target_c;
    var value = 0.0;
    var winner = 0u;
    for (var y = 0u; y < rows; y += 1u) {
        for (var x = 0u; x < cols; x += 1u) {
            for (var c = 0u; c < channels; c += 1u) {
                let pixel = (image * p.source_h + y0 + y) * p.source_w + x0 + x;
                let v = f32(source[pixel * p.source_c + c0 + c]);
                if p.largest == 0u {
                    value += v;
                } else if (y == 0u && x == 0u) || v > value || is_nan(v) {
                    value = v;
                    winner = y * cols + x;
                }
            }
        }
    }
    if p.largest == 0u { value = value / f32(rows * cols * channels); }
    if p.keep != 0u { winners[i] = winner; }
    result[i] = Stored(activate(p.activation, p.a, p.b, value));
}
