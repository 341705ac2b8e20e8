// exp(x - max) over its sum, across the channels of a pixel, and its gradient
// y * (g - sum g y). A workgroup of 256 threads makes one pixel: each thread
// goes through every 256th channel, then the sums meet in shared memory.
struct Params {
    area: u32, channels: u32,
    backward: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
// The input; backward the output.
@group(0) @binding(2) var<storage, read> value: array<Stored>;
@group(0) @binding(3) var<storage, read> gradient: array<Stored>;
@group(0) @binding(4) var<storage, read_write> result: array<Stored>;

var<workgroup> shared_values: array<f32, 256>;

fn together(local: u32, own: f32, largest: bool) -> f32 {
    shared_values[local] = own;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if local < half {
            let a = shared_values[local];
            let b = shared_values[local + half];
            if largest {
                shared_values[local] = select(a, b, b > a || is_nan(b));
            } else {
                shared_values[local] = a + b;
            }
        }
        workgroupBarrier();
    }
    let all = shared_values[0];
    workgroupBarrier();
    return all;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pixel = group.y * groups.x + group.x;
    if pixel >= p.area * batch.count { return; }
    let first = pixel * p.channels;
    if p.backward != 0u {
        var dot = 0.0;
        for (var c = local; c < p.channels; c += 256u) {
            dot += f32(value[first + c]) * f32(gradient[first + c]);
        }
        dot = together(local, dot, false);
        for (var c = local; c < p.channels; c += 256u) {
            var g = f32(value[first + c]) * (f32(gradient[first + c]) - dot);
            if p.accumulate != 0u { g += f32(result[first + c]); }
            result[first + c] = Stored(g);
        }
        return;
    }
    var top = f32(value[first]);
    for (var c = local; c < p.channels; c += 256u) {
        let x = f32(value[first + c]);
        top = select(top, x, x > top || is_nan(x));
    }
    top = together(local, top, true);
    var sum = 0.0;
    for (var c = local; c < p.channels; c += 256u) {
        sum += exp(f32(value[first + c]) - top);
    }
    sum = together(local, sum, false);
    for (var c = local; c < p.channels; c += 256u) {
        let y = exp(f32(value[first + c]) - top) / sum;
        result[first + c] = Stored(activate(p.activation, p.a, p.b, y));
    }
}
