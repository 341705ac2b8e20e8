// The product of `conv.wgsl` on cooperative matrices: f16 products, sums in f32.
// A workgroup makes a tile of 64 pixels x 64 channels of one group; each of its
// four subgroups of 32 threads a quarter of it as 2 x 2 matrices of 16 x 16. 32
// taps and channels at a time pass through shared memory (9.5 KiB), rows padded
// so that subgroups read from different banks; the sums leave through 4 KiB.
@group(0) @binding(3) var<storage, read> weights: array<vec4<Stored>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

const DEPTH: u32 = 32u;
// Vectors of four from row to row.
const ROW: u32 = 10u;
const COLUMN: u32 = 18u;
var<workgroup> rows: array<vec4<f16>, 640>;
var<workgroup> columns: array<vec4<f16>, 576>;
var<workgroup> made: array<f32, 1024>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = group.y * groups.x + group.x;
    if tile >= tile_count() { return; }
    let channels = group.z / p.tiles;
    let column = group.z % p.tiles * 64u;
    let total = p.kernel_h * p.kernel_w * p.inputs;

    prepare(tile, local);
    // Four pixels whose sources this thread loads, from one tap and channel.
    var heres: array<Here, 4>;
    for (var i = 0u; i < 4u; i += 1u) {
        heres[i] = here_at(tile, local / 8u + 16u * i, channels);
    }
    var at = settled(vec3<u32>(0u, 0u, local % 8u * 4u));

    for (var i = local; i < 1024u; i += 128u) { made[i] = 0.0; }
    workgroupBarrier();
    let subgroup = local / 32u;
    let down = subgroup / 2u * 32u;
    let along = subgroup % 2u * 32u;
    var sum00 = coopLoadT<coop_mat16x16<f32, C>>(&made[0], 16u);
    var sum01 = coopLoadT<coop_mat16x16<f32, C>>(&made[0], 16u);
    var sum10 = coopLoadT<coop_mat16x16<f32, C>>(&made[0], 16u);
    var sum11 = coopLoadT<coop_mat16x16<f32, C>>(&made[0], 16u);

    for (var k = 0u; k < total; k += DEPTH) {
        for (var i = 0u; i < 4u; i += 1u) {
            let pixel = local / 8u + 16u * i;
            rows[pixel * ROW + local % 8u] = vec4<f16>(load(heres[i], at));
        }
        at = settled(vec3<u32>(at.xy, at.z + DEPTH));
        for (var i = 0u; i < 4u; i += 1u) {
            let line = local / 16u + 8u * i;
            let quad = column / 4u + local % 16u;
            var weight = vec4<f16>();
            if k + line < total && quad < p.quads {
                weight = vec4<f16>(weights[(channels * total + k + line) * p.quads + quad]);
            }
            columns[line * COLUMN + local % 16u] = weight;
        }
        workgroupBarrier();
        for (var half = 0u; half < 2u; half += 1u) {
            let row = down * ROW + half * 4u;
            let line = half * 16u * COLUMN + along / 4u;
            let left0 = coopLoadT<coop_mat16x16<f16, A>>(&rows[row], ROW);
            let left1 = coopLoadT<coop_mat16x16<f16, A>>(&rows[row + 16u * ROW], ROW);
            let right0 = coopLoadT<coop_mat16x16<f16, B>>(&columns[line], COLUMN);
            let right1 = coopLoadT<coop_mat16x16<f16, B>>(&columns[line + 4u], COLUMN);
            sum00 = coopMultiplyAdd(left0, right0, sum00);
            sum01 = coopMultiplyAdd(left0, right1, sum01);
            sum10 = coopMultiplyAdd(left1, right0, sum10);
            sum11 = coopMultiplyAdd(left1, right1, sum11);
        }
        workgroupBarrier();
    }

    let own = subgroup * 256u;
    let begin = vec2<u32>(down, column + along);
    coopStoreT(sum00, &made[own], 16u);
    workgroupBarrier();
    finish(tile, channels, local, begin);
    workgroupBarrier();
    coopStoreT(sum01, &made[own], 16u);
    workgroupBarrier();
    finish(tile, channels, local, begin + vec2<u32>(0u, 16u));
    workgroupBarrier();
    coopStoreT(sum10, &made[own], 16u);
    workgroupBarrier();
    finish(tile, channels, local, begin + vec2<u32>(16u, 0u));
    workgroupBarrier();
    coopStoreT(sum11, &made[own], 16u);
    workgroupBarrier();
    finish(tile, channels, local, begin + vec2<u32>(16u, 16u));
}

// Bias, activation and store of a subgroup's 16 x 16 sums; `begin` is their
// first pixel and channel.
fn finish(tile: u32, channels: u32, local: u32, begin: vec2<u32>) {
    let pixels = p.target_h * p.target_w * batch.count;
    for (var i = local % 32u; i < 256u; i += 32u) {
        let pixel = pixel_of(tile, begin.x + i / 16u);
        let c = begin.y + i % 16u;
        if pixel >= pixels || c >= p.outputs { continue; }
        var value = made[local / 32u * 256u + i];
        if p.has_bias != 0u { value += bias[channels * p.outputs + c]; }
        let to = pixel * p.target_c + channels * p.outputs + c;
        value = activate(p.activation, p.a, p.b, with_residual(value, to));
        if p.accumulate != 0u { value += f32(result[to]); }
        result[to] = Stored(value);
    }
}
