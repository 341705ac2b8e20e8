// x * 2^power, saturated; `power` is below 32.
fn raise(x: i32, power: u32) -> i32 {
    let raised = bitcast<i32>(bitcast<u32>(x) << power);
    if (raised >> power) == x {
        return raised;
    }
    return select(2147483647, i32(-2147483647 - 1), x < 0);
}

// 1 / (1 + x) in Q0.31 by three steps of Newton and Raphson.
fn reciprocal_of_one_plus(x: i32) -> i32 {
    // (x + 2^31) / 2 for x at least 0: no bit of the sum is lost.
    let half = bitcast<i32>((bitcast<u32>(x) + 0x80000000u) >> 1u);
    var estimate = 1515870810 + doubling_high(half, -1010580540);
    for (var i = 0; i < 3; i++) {
        let error = (1 << 29u) - doubling_high(half, estimate);
        estimate += raise(doubling_high(estimate, error), 2u);
    }
    return raise(estimate, 1u);
}

// `Softmax`: entry d of the table is exp of a number d steps below the largest.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pixel = number(group, groups, local);
    if pixel >= pixels() {
        return;
    }
    let first = pixel * node.in_q;
    var most = -128;
    for (var c = 0u; c < node.in_c; c++) {
        most = max(most, lane(a[first + c / 4u], c));
    }
    var sum = 0;
    for (var c = 0u; c < node.in_c; c++) {
        let e = numbers[most - lane(a[first + c / 4u], c)];
        sum += divide_by_power(bitcast<i32>(e), 12u);
    }
    let headroom = countLeadingZeros(bitcast<u32>(sum));
    let rest = bitcast<i32>((bitcast<u32>(sum) << (headroom & 31u)) ^ 0x80000000u);
    let factor = reciprocal_of_one_plus(rest);
    let power = min(35u - min(headroom, 35u), 31u);
    for (var quad = 0u; quad < node.in_q; quad++) {
        let values = unpack4xI8(a[first + quad]);
        var results: vec4<i32>;
        for (var c = 0u; c < 4u; c++) {
            // Lanes behind the last channel may lie above the largest.
            let e = numbers[max(most - values[c], 0)];
            let share = divide_by_power(doubling_high(factor, bitcast<i32>(e)), power);
            results[c] = clamp(share - 128, node.low, node.high);
        }
        out[first + quad] = pack4xI8(results);
    }
}
