// The least numbers that are stored as -127, -126 .. 127 lie in ascending
// order, so comparisons alone find what a number is stored as.
fn stored_as(value: f32) -> i32 {
    var below = 0u;
    for (var step = 128u; step > 0u; step >>= 1u) {
        let probe = below + step - 1u;
        if value >= bitcast<f32>(threshold(probe)) {
            below += step;
        }
    }
    return i32(below) - 128;
}
