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
    // 0 keep, 1 boxes, 2 weights, 3 weights in bytes, 4 ranks, 5 RISE.
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
            let word = masks[start + pixel / 4u];
            return f32(word >> (pixel % 4u * 8u) & 255u) / 255.0;
        }
        case 4u: {
            let rank = masks[start + pixel];
            let inside = rank >= questions[q].first && rank < questions[q].end;
            return select(0.0, 1.0, inside == (questions[q].reveal != 0u));
        }
        case 5u: { return rise_weight(start, y, x); }
        default: { return 1.0; }
    }
}

// Element (y, x, c) of picture `q` of the round.
fn question_value(q: u32, y: u32, x: u32, c: u32, width: u32, channels: u32) -> f32 {
    let i = (y * width + x) * channels + c;
    let weight = shown(q, y, x, c, width);
    if weight == 1.0 { return source_value(questions[q].picture, i, c); }
    let hidden = source_value(questions[q].fill, i, c);
    if weight == 0.0 { return hidden; }
    let seen = rounded(weight * source_value(questions[q].picture, i, c));
    return seen + rounded((1.0 - weight) * hidden);
}
