// Convolution, forward and towards its input, and dense layers: one implicit
// matrix product. A workgroup makes a tile of 64 pixels x 64 channels of one
// group; 256 threads make 4 x 4 of them each. The taps and source channels run
// as one axis in steps of 16: a step's 64 x 16 source values and 16 x 64 weights
// lie in shared memory (8 KiB). Nothing is unfolded: each thread finds its
// source pixel itself. Weights: [group][tap, source channel][target channel].
struct Params {
    source_h: u32, source_w: u32, source_c: u32,
    target_h: u32, target_w: u32, target_c: u32,
    kernel_h: u32, kernel_w: u32,
    // Source row of a tap: (row * step + start + tap * hop) / part, if whole.
    step_y: i32, step_x: i32,
    start_y: i32, start_x: i32,
    hop_y: i32, hop_x: i32,
    part_y: i32, part_x: i32,
    // Channels of a group.
    inputs: u32, outputs: u32,
    // Vectors of four weights in a row, and tiles of 64 channels of a group.
    quads: u32, tiles: u32,
    has_bias: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> weights: array<vec4<Stored>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

var<workgroup> rows: array<vec4<f32>, 256>;
var<workgroup> columns: array<vec4<f32>, 256>;

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

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let area = p.target_h * p.target_w;
    let pixels = area * batch.count;
    let first = (group.y * groups.x + group.x) * 64u;
    if first >= pixels { return; }
    let channels = group.z / p.tiles;
    let column = group.z % p.tiles * 64u;
    let total = p.kernel_h * p.kernel_w * p.inputs;

    // The pixel whose source this thread loads, and the first tap and channel.
    let pixel = min(first + local / 4u, pixels - 1u);
    let image = pixel / area;
    let within = pixel % area;
    let row = i32(within / p.target_w) * p.step_y + p.start_y;
    let col = i32(within % p.target_w) * p.step_x + p.start_x;
    let base = i32(image * p.source_h * p.source_w * p.source_c + channels * p.inputs);
    var at = vec3<u32>(0u, 0u, local % 4u * 4u);
    at = settled(at);

    let ty = local / 16u;
    let tx = local % 16u;
    var sums: array<vec4<f32>, 4>;
    var begin = vec4<f32>(0.0);
    if p.has_bias != 0u {
        for (var j = 0u; j < 4u; j += 1u) {
            let c = column + tx * 4u + j;
            if c < p.outputs { begin[j] = bias[channels * p.outputs + c]; }
        }
    }
    for (var i = 0u; i < 4u; i += 1u) { sums[i] = begin; }

    for (var k = 0u; k < total; k += 16u) {
        rows[local] = load(base, row, col, at);
        at.z += 16u;
        at = settled(at);
        let weight_row = k + local / 16u;
        let quad = column / 4u + tx;
        var weight = vec4<f32>(0.0);
        if weight_row < total && quad < p.quads {
            weight = vec4<f32>(weights[(channels * total + weight_row) * p.quads + quad]);
        }
        columns[local] = weight;
        workgroupBarrier();
        for (var q = 0u; q < 4u; q += 1u) {
            let w0 = columns[q * 64u + tx];
            let w1 = columns[q * 64u + 16u + tx];
            let w2 = columns[q * 64u + 32u + tx];
            let w3 = columns[q * 64u + 48u + tx];
            for (var i = 0u; i < 4u; i += 1u) {
                let x = rows[(ty * 4u + i) * 4u + q];
                sums[i] += x.x * w0;
                sums[i] += x.y * w1;
                sums[i] += x.z * w2;
                sums[i] += x.w * w3;
            }
        }
        workgroupBarrier();
    }

    for (var i = 0u; i < 4u; i += 1u) {
        let target_pixel = first + ty * 4u + i;
        if target_pixel >= pixels { break; }
        for (var j = 0u; j < 4u; j += 1u) {
            let c = column + tx * 4u + j;
            if c < p.outputs {
                let to = target_pixel * p.target_c + channels * p.outputs + c;
                var value = activate(p.activation, p.a, p.b, sums[i][j]);
                if p.accumulate != 0u { value += f32(result[to]); }
                result[to] = Stored(value);
            }
        }
    }
}

// Tap row, tap column and channel, where the channel has run past the last.
fn settled(begin: vec3<u32>) -> vec3<u32> {
    var at = begin;
    while at.z >= p.inputs {
        at.z -= p.inputs;
        at.y += 1u;
        if at.y == p.kernel_w {
            at.y = 0u;
            at.x += 1u;
        }
    }
    return at;
}
