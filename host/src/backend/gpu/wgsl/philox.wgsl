// Philox4x32-10 (Salmon et al. 2011), as in core/src/rng.rs: a random number is
// a function of seed, sample, index, block and purpose. 64-bit products are
// made of 16-bit halves.

fn high_of_product(x: u32, y: u32) -> u32 {
    let p0 = (x & 0xffffu) * (y & 0xffffu);
    let p1 = (x & 0xffffu) * (y >> 16u);
    let p2 = (x >> 16u) * (y & 0xffffu);
    let middle = (p0 >> 16u) + (p1 & 0xffffu) + (p2 & 0xffffu);
    return (x >> 16u) * (y >> 16u) + (p1 >> 16u) + (p2 >> 16u) + (middle >> 16u);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    let m0 = 0xD2511F53u;
    let m1 = 0xCD9E8D57u;
    var c = counter;
    var key = seed;
    for (var round = 0; round < 10; round++) {
        c = vec4<u32>(
            high_of_product(m1, c.z) ^ c.y ^ key.x, m1 * c.z,
            high_of_product(m0, c.x) ^ c.w ^ key.y, m0 * c.x,
        );
        key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// In 0..n, as core's `below`.
fn below(word: u32, n: u32) -> u32 {
    return high_of_product(word, n);
}

// In 0..1 from the upper 24 bits; exact.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * 5.9604644775390625e-8;
}
