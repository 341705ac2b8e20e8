// Gradient of a largest value over rows and columns: the winner's. One thread
// makes one element.
struct Params { area: u32, channels: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<Stored>;
@group(0) @binding(3) var<storage, read> winners: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= p.area * p.channels * batch.count { return; }
    let c = i % p.channels;
    let pixel = i / p.channels;
    let at = pixel / p.area * p.channels + c;
    var value = select(0.0, f32(gradient[at]), winners[at] == pixel % p.area);
    if p.accumulate != 0u { value += f32(result[i]); }
    result[i] = Stored(value);
}
