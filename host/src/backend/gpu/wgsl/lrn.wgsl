// Local response normalisation across channels: x / d^beta with
// d = bias + factor * sum of squares over the window, and its gradient. One
// thread makes one element.
struct Params {
    elements: u32, channels: u32,
    before: u32, after: u32,
    factor: f32, beta: f32, bias: f32,
    backward: u32, accumulate: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> source: array<Stored>;
@group(0) @binding(3) var<storage, read> gradient: array<Stored>;
@group(0) @binding(4) var<storage, read_write> result: array<Stored>;

// d of channel `c` of the pixel that begins at `pixel`.
fn base(pixel: u32, c: u32) -> f32 {
    var sum = 0.0;
    let first = c - min(c, p.before);
    for (var k = first; k <= min(c + p.after, p.channels - 1u); k += 1u) {
        let x = f32(source[pixel + k]);
        sum += x * x;
    }
    return p.bias + p.factor * sum;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= p.elements * batch.count { return; }
    let c = i % p.channels;
    let pixel = i - c;
    let x = f32(source[i]);
    let power = pow(base(pixel, c), p.beta);
    if p.backward == 0u {
        result[i] = Stored(activate(p.activation, p.a, p.b, x / power));
        return;
    }
    var sum = 0.0;
    let first = c - min(c, p.after);
    for (var k = first; k <= min(c + p.before, p.channels - 1u); k += 1u) {
        let d = base(pixel, k);
        sum += f32(gradient[pixel + k]) * f32(source[pixel + k]) / (pow(d, p.beta) * d);
    }
    var value = f32(gradient[i]) / power - 2.0 * p.factor * p.beta * x * sum;
    if p.accumulate != 0u { value += f32(result[i]); }
    result[i] = Stored(value);
}
