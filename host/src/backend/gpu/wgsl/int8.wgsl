// What every int8 kernel reads, and TFLite's integer arithmetic.
//
// Tensors lie as pictures, rows, columns, then words of four channels; the
// lanes behind the last channel may hold anything. Each thread writes whole
// words. Sums are exact in i32; 64-bit products are made of 16-bit halves.

struct Node {
    // Input and output: rows, columns, channels, words a pixel.
    in_h: u32, in_w: u32, in_c: u32, in_q: u32,
    out_h: u32, out_w: u32, out_c: u32, out_q: u32,
    kernel_h: u32, kernel_w: u32, stride_h: u32, stride_w: u32,
    dilation_h: u32, dilation_w: u32, pad_h: u32, pad_w: u32,
    in_zero: i32, out_zero: i32, low: i32, high: i32,
    weights_zero: i32, once: u32, groups: u32, kind: u32,
    // The second operand.
    b_h: u32, b_w: u32, b_c: u32, b_q: u32,
    // Words from one picture's operand to the next; 0 for a constant.
    a_step: u32, b_step: u32, b_zero: i32, numbers_at: u32,
    // Factors: multiplier and shift, up to three times.
    f0: i32, s0: i32, f1: i32, s1: i32,
    f2: i32, s2: i32, e0: i32, e1: i32,
    e2: i32, e3: i32, e4: i32, e5: i32,
}

@group(0) @binding(0) var<uniform> node: Node;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<u32>;
@group(0) @binding(4) var<storage, read> numbers: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<u32>;

struct Wide {
    low: u32,
    high: u32,
}

fn wide_product(x: u32, y: u32) -> Wide {
    let x0 = x & 0xffffu;
    let x1 = x >> 16u;
    let p0 = x0 * (y & 0xffffu);
    let p1 = x0 * (y >> 16u);
    let p2 = x1 * (y & 0xffffu);
    let middle = (p0 >> 16u) + (p1 & 0xffffu) + (p2 & 0xffffu);
    let low = (p0 & 0xffffu) | (middle << 16u);
    return Wide(low, x1 * (y >> 16u) + (p1 >> 16u) + (p2 >> 16u) + (middle >> 16u));
}

// The product of signed numbers, two's complement.
fn signed_product(x: i32, y: i32) -> Wide {
    var p = wide_product(bitcast<u32>(x), bitcast<u32>(y));
    p.high -= select(0u, bitcast<u32>(y), x < 0) + select(0u, bitcast<u32>(x), y < 0);
    return p;
}

// High half of twice the product, rounded, halves up, saturated.
fn doubling_high(x: i32, y: i32) -> i32 {
    let least = i32(-2147483647 - 1);
    if x == least && y == least {
        return 2147483647;
    }
    let p = signed_product(x, y);
    let low = p.low + 0x40000000u;
    let high = p.high + select(0u, 1u, low < p.low);
    return bitcast<i32>((high << 1u) | (low >> 31u));
}

// Rounded to nearest, halves away from 0.
fn divide_by_power(x: i32, power: u32) -> i32 {
    let mask = bitcast<i32>((1u << power) - 1u);
    let threshold = (mask >> 1u) + select(0, 1, x < 0);
    return (x >> power) + select(0, 1, (x & mask) > threshold);
}

fn scale(x: i32, multiplier: i32, shift: i32) -> i32 {
    let left = max(shift, 0);
    let raised = bitcast<i32>(bitcast<u32>(x) << u32(left));
    return divide_by_power(doubling_high(raised, multiplier), u32(left - shift));
}

// Rounded once, halves up.
fn scale_once(x: i32, multiplier: i32, shift: i32) -> i32 {
    let places = u32(clamp(31 - shift, 1, 62));
    let p = signed_product(x, multiplier);
    var half = Wide(0u, 0u);
    if places > 32u {
        half.high = 1u << (places - 33u);
    } else {
        half.low = 1u << (places - 1u);
    }
    let low = p.low + half.low;
    let high = p.high + half.high + select(0u, 1u, low < p.low);
    if places > 32u {
        return bitcast<i32>(high) >> (places - 32u);
    }
    if places == 32u {
        return bitcast<i32>(high);
    }
    return bitcast<i32>((low >> places) | (high << (32u - places)));
}

fn store(x: i32) -> i32 {
    return clamp(x + node.out_zero, node.low, node.high);
}

// Four sums of output channels 4 * quad .. as one word. Behind `numbers_at` lie
// biases, multipliers and shifts, a whole number of words each.
fn requantised(sums: vec4<i32>, quad: u32) -> u32 {
    let channels = node.out_q * 4u;
    var stored: vec4<i32>;
    for (var i = 0u; i < 4u; i++) {
        let at = node.numbers_at + quad * 4u + i;
        let sum = sums[i] + bitcast<i32>(numbers[at]);
        let multiplier = bitcast<i32>(numbers[at + channels]);
        let shift = bitcast<i32>(numbers[at + 2u * channels]);
        if node.once != 0u {
            stored[i] = store(scale_once(sum, multiplier, shift));
        } else {
            stored[i] = store(scale(sum, multiplier, shift));
        }
    }
    return pack4xI8(stored);
}

// One byte, sign extended.
fn lane(word: u32, i: u32) -> i32 {
    return extractBits(bitcast<i32>(word), 8u * (i & 3u), 8u);
}

fn quad_of(x: i32) -> u32 {
    return bitcast<u32>(x & 0xff) * 0x01010101u;
}

// Pixels and words of the output, all pictures.
fn pixels() -> u32 {
    return batch.count * node.out_h * node.out_w;
}

fn words() -> u32 {
    return pixels() * node.out_q;
}

// Where output word `i` lies.
struct Place {
    picture: u32,
    y: u32,
    x: u32,
    quad: u32,
}

fn place_of(i: u32) -> Place {
    let pixel = i / node.out_q;
    let row = pixel / node.out_w;
    let picture = row / node.out_h;
    return Place(picture, row - picture * node.out_h, pixel - row * node.out_w, i % node.out_q);
}

// The input's first word of a pixel.
fn pixel_at(picture: u32, y: u32, x: u32) -> u32 {
    return picture * node.a_step + (y * node.in_w + x) * node.in_q;
}

// Row or column under a tap; beyond the input where there is padding.
fn under(o: u32, stride: u32, k: u32, dilation: u32, pad: u32) -> u32 {
    return o * stride + k * dilation - pad;
}
