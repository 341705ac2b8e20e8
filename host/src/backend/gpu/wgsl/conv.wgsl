// Convolution, forward and towards its input, and dense layers: one implicit
// matrix product. A workgroup makes a tile of 64 pixels x 64 channels of one
// group; 256 threads make 4 x 4 of them each. The taps and source channels run
// as one axis in steps of 16: a step's 64 x 16 source values and 16 x 64 weights
// lie in shared memory (8 KiB). Nothing is unfolded: each thread finds its
// source pixel itself. Weights: [group][tap, source channel][target channel].
// Which pixels a tile holds and where their sources lie is said by the files
// that `load` is in.
@group(0) @binding(3) var<storage, read> weights: array<vec4<Stored>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

var<workgroup> rows: array<vec4<f32>, 256>;
var<workgroup> columns: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let area = p.target_h * p.target_w;
    let pixels = area * batch.count;
    let tile = group.y * groups.x + group.x;
    if tile >= tile_count() { return; }
    let channels = group.z / p.tiles;
    let column = group.z % p.tiles * 64u;
    let total = p.kernel_h * p.kernel_w * p.inputs;

    prepare(tile, local);
    // The pixel whose source this thread loads, and the first tap and channel.
    let here = here_at(tile, local / 4u, channels);
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
        rows[local] = load(here, at);
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
        let target_pixel = pixel_of(tile, ty * 4u + i);
        if target_pixel >= pixels { continue; }
        for (var j = 0u; j < 4u; j += 1u) {
            let c = column + tx * 4u + j;
            if c < p.outputs {
                let to = target_pixel * p.target_c + channels * p.outputs + c;
                let sum = with_residual(sums[i][j], to);
                var value = activate(p.activation, p.a, p.b, sum);
                if p.accumulate != 0u { value += f32(result[to]); }
                result[to] = Stored(value);
            }
        }
    }
}
