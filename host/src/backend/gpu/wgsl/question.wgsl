// Masked pictures as they are described: an element in model space, made where
// it is read. A source is a colour, a tensor, or pixels, four to a word.
struct Source {
    // 0 a colour, 1 a tensor, 2 pixels, 3 a tensor beside the masks.
    kind: u32,
    // First word.
    start: u32,
    // 1 where every channel takes the first colour.
    grey: u32,
    padding: u32,
    // Of pixels; the colour is in `mean`.
    mean: vec4<f32>,
    scale: vec4<f32>,
}
struct Question {
    picture: Source,
    fill: Source,
    // 0 keep, 1 boxes, 2 weights, 3 weights in bytes, 4 ranks, 5 RISE, 6 one
    // weight (its bits in `start`), 7 a bit a segment, 8 a weight a segment,
    // 9 an enlarged channel. Segments begin at word `first` of the sources.
    mask: u32,
    start: u32,
    count: u32,
    reveal: u32,
    first: u32,
    end: u32,
    padding0: u32,
    padding1: u32,
}

fn source_value(which: Source, i: u32, c: u32) -> f32 {
    switch which.kind {
        case 0u: { return which.mean[select(c, 0u, which.grey != 0u)]; }
        case 1u: { return bitcast<f32>(sources[which.start + i]); }
        case 2u: {
            let word = sources[which.start + i / 4u];
            let pixel = f32(word >> (i % 4u * 8u) & 255u);
            return (pixel - which.mean[c]) * which.scale[c];
        }
        default: { return bitcast<f32>(masks[which.start + i]); }
    }
}

// Whether a box holds the element: six words each, begin and length of rows,
// columns and channels.
fn in_a_box(q: u32, y: u32, x: u32, c: u32) -> bool {
    for (var k = 0u; k < questions[q].count; k += 1u) {
        let at = questions[q].start + k * 6u;
        if y - masks[at] < masks[at + 1u] && x - masks[at + 2u] < masks[at + 3u]
            && c - masks[at + 4u] < masks[at + 5u] {
            return true;
        }
    }
    return false;
}

// The segment of a pixel: 16 bits each, two to a word.
fn segment_of(first: u32, pixel: u32) -> u32 {
    return sources[first + pixel / 2u] >> (pixel % 2u * 16u) & 0xffffu;
}

// The significand of a number above 0, 2^23 to 2^24.
fn significand(x: f32) -> u32 {
    return bitcast<u32>(x) & 0x7fffffu | 0x800000u;
}

// a / b rounded to nearest, 0 <= a <= b: adapters divide with an error of a few
// units in the last place. The quotient's significand is guessed and put right
// by its remainder, which is small, so that its lower 32 bits are all of it.
// Subnormal numbers count as 0.
fn quotient(a: f32, b: f32) -> f32 {
    if (bitcast<u32>(a) >> 23u) == 0u { return 0.0; }
    let x = significand(a);
    let y = significand(b);
    let shift = select(24u, 23u, x >= y);
    var q = u32(f32(x) / f32(y) * f32(1u << shift));
    var rest = bitcast<i32>((x << shift) - q * y);
    while rest < 0 {
        q -= 1u;
        rest += i32(y);
    }
    while rest >= i32(y) {
        q += 1u;
        rest -= i32(y);
    }
    q += select(0u, 1u, 2 * rest > i32(y));
    let exponent = i32(bitcast<u32>(a) >> 23u) - i32(bitcast<u32>(b) >> 23u) - i32(shift);
    // Two powers of two: one alone may lie below the normal numbers.
    let half = exponent / 2;
    let power = bitcast<f32>(u32(exponent - half + 127) << 23u);
    return f32(q) * power * bitcast<f32>(u32(half + 127) << 23u);
}

// A channel of a layer, as core/src/mask/enlarged.rs enlarges it, from a record:
// 0 first word among the sources; 1, 2, 3 shape; 4 channel; 5, 6 places a row
// and column of the picture; 7 how far inside a pixel's centre lies; 8, 9 least
// value and greatest minus least.
fn enlarged_weight(record: u32, y: u32, x: u32) -> f32 {
    let down = enlarged_place(y, bitcast<f32>(masks[record + 5u]), record, masks[record + 1u]);
    let along = enlarged_place(x, bitcast<f32>(masks[record + 6u]), record, masks[record + 2u]);
    let upper = enlarged_row(record, down.cell, along);
    let below = min(down.cell + 1u, masks[record + 1u] - 1u);
    let value = between(upper, enlarged_row(record, below, along), down.share);
    let spread = bitcast<f32>(masks[record + 9u]);
    if !(spread > 0.0) { return 0.0; }
    return quotient(value - bitcast<f32>(masks[record + 8u]), spread);
}

fn enlarged_place(at: u32, ratio: f32, record: u32, cells: u32) -> Spot {
    let centre = bitcast<f32>(masks[record + 7u]);
    let place = max(rounded((f32(at) + centre) * ratio) - centre, 0.0);
    let cell = min(u32(place), cells - 1u);
    return Spot(cell, place - f32(cell));
}

fn enlarged_row(record: u32, y: u32, along: Spot) -> f32 {
    let columns = masks[record + 2u];
    let channels = masks[record + 3u];
    let next = min(along.cell + 1u, columns - 1u);
    let first = masks[record] + y * columns * channels + masks[record + 4u];
    let left = bitcast<f32>(sources[first + along.cell * channels]);
    return between(left, bitcast<f32>(sources[first + next * channels]), along.share);
}

// How much of the picture shows at an element, 0 to 1.
fn shown(q: u32, y: u32, x: u32, c: u32, width: u32) -> f32 {
    let pixel = y * width + x;
    let start = questions[q].start;
    switch questions[q].mask {
        case 1u: {
            let inside = in_a_box(q, y, x, c);
            return select(0.0, 1.0, inside == (questions[q].reveal != 0u));
        }
        case 2u: { return bitcast<f32>(masks[start + pixel]); }
        case 3u: {
            return byte_weight(start, pixel);
        }
        case 4u: {
            let rank = sources[start + pixel];
            let inside = rank >= questions[q].first && rank < questions[q].end;
            return select(0.0, 1.0, inside == (questions[q].reveal != 0u));
        }
        case 5u: { return rise_weight(start, y, x); }
        case 6u: { return bitcast<f32>(start); }
        case 7u: {
            let segment = segment_of(questions[q].first, pixel);
            return f32(masks[start + segment / 32u] >> (segment & 31u) & 1u);
        }
        case 8u: { return bitcast<f32>(masks[start + segment_of(questions[q].first, pixel)]); }
        case 9u: { return enlarged_weight(start, y, x); }
        default: { return 1.0; }
    }
}

// Whether a question's mask may differ from channel to channel.
fn by_channel(q: u32) -> bool {
    return questions[q].mask == 1u;
}

// Element `i`, of channel `c`, where so much of the picture shows.
fn blended(q: u32, weight: f32, i: u32, c: u32) -> f32 {
    if weight == 1.0 { return source_value(questions[q].picture, i, c); }
    let hidden = source_value(questions[q].fill, i, c);
    if weight == 0.0 { return hidden; }
    let lit = rounded(weight * source_value(questions[q].picture, i, c));
    return lit + rounded((1.0 - weight) * hidden);
}

// Element (y, x, c) of picture `q` of the round.
fn question_value(q: u32, y: u32, x: u32, c: u32, width: u32, channels: u32) -> f32 {
    let i = (y * width + x) * channels + c;
    return blended(q, shown(q, y, x, c, width), i, c);
}
