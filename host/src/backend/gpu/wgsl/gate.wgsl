// The rule of a node's own ReLU, applied in place to the gradient of its
// output; the gate is read off the output. One thread makes one element.
struct Params {
    elements: u32, rule: u32,
    activation: u32, a: f32, b: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> value: array<Stored>;
@group(0) @binding(3) var<storage, read_write> gradient: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = number(group, groups, local);
    if i >= p.elements * batch.count { return; }
    let y = f32(value[i]);
    let g = f32(gradient[i]);
    var open = y > 0.0;
    var slope = 0.0;
    var rule = p.rule;
    if p.activation == 3u { slope = p.a; }
    if p.activation == 2u {
        open = y > p.a && y < p.b;
        // The upper bound of a clipped ReLU keeps its gate under every rule.
        if p.rule == 1u {
            open = y < p.b;
            rule = 2u;
        }
    }
    gradient[i] = Stored(ruled(rule, g, open, slope));
}
