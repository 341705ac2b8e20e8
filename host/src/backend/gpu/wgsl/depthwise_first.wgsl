// A first layer that convolves each channel alone: at most four of them, so that
// a workgroup makes a tile, each thread one element. Weights: [tap][channel].
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = group.y * groups.x + group.x;
    if tile >= tile_count() { return; }
    prepare(tile, local);
    let channels = p.source_c;
    let pixel = pixel_of(tile, min(local / channels, 63u));
    if local >= 64u * channels || pixel == 0xffffffffu { return; }
    let c = local % channels;
    let first = first_seen(local / channels);
    let width = seen_across();
    var sum = 0.0;
    if p.has_bias != 0u { sum = bias[c]; }
    for (var ky = 0u; ky < p.kernel_h; ky += 1u) {
        for (var kx = 0u; kx < p.kernel_w; kx += 1u) {
            let at = first + ky * u32(p.hop_y) * width + kx * u32(p.hop_x);
            sum += seen[at * channels + c] * weights[(ky * p.kernel_w + kx) * channels + c];
        }
    }
    result[pixel * channels + c] = Stored(activate(p.activation, p.a, p.b, sum));
}
