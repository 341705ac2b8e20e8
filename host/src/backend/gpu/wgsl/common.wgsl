// What every kernel knows: how many pictures the round holds, activations, and
// NaN, which no ReLU may hide: it must reach the scores.
struct Round { count: u32 }
@group(0) @binding(1) var<uniform> batch: Round;

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn limited(x: f32, lo: f32, hi: f32) -> f32 {
    let y = select(lo, x, x > lo || is_nan(x));
    return select(hi, y, y < hi || is_nan(y));
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

// tanh of a driver may overflow inside; beyond 10 it is 1 in f32.
fn tangent(x: f32) -> f32 {
    return select(tanh(limited(x, -10.0, 10.0)), x, is_nan(x));
}

fn activate(kind: u32, a: f32, b: f32, x: f32) -> f32 {
    switch kind {
        case 1u: { return select(0.0, x, x > 0.0 || is_nan(x)); }
        case 2u: { return limited(x, a, b); }
        case 3u: { return select(a * x, x, x > 0.0); }
        case 4u: { return limited(a * x + b, 0.0, 1.0); }
        case 5u: { return x * limited(x / 6.0 + 0.5, 0.0, 1.0); }
        case 6u: { return sigmoid(x); }
        case 7u: { return x * sigmoid(x); }
        case 8u: { return tangent(x); }
        default: { return x; }
    }
}

// ReLU of a gradient; NaN passes.
fn positive(g: f32) -> f32 {
    return select(0.0, g, g > 0.0 || is_nan(g));
}

// A gradient behind a ReLU: rule 0 gradient, 1 deconvolution, 2 guided.
fn ruled(rule: u32, g: f32, open: bool, slope: f32) -> f32 {
    switch rule {
        case 0u: { return select(slope * g, g, open); }
        case 1u: { return positive(g); }
        default: { return select(slope * positive(g), positive(g), open); }
    }
}

// Number of a thread among all, workgroups of 256 laid out in rows.
fn number(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * 256u + local;
}
