
// A convolution whose sums nothing is added to.
fn with_residual(sum: f32, to: u32) -> f32 {
    return sum;
}
