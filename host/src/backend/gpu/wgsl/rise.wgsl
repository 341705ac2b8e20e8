// RISE masks as core/src/mask/grid.rs makes them, each a record of words: what
// it is a function of, then its shift and its cells, which `rise_cells.wgsl`
// fills in. Products are kept from being fused into the sum behind them, so
// that they round as they do on the processor.
//
// 0, 1 seed; 2 sample; 3 cells along a side; 4 share of kept cells; 5, 6 shifts
// of rows and columns; 7, 8 cells a pixel; 9, 10 the shift; then two words of
// bits for each row of cells.
const RISE_SHIFT: u32 = 9u;
const RISE_ROWS: u32 = 11u;

// The same number, rounded to f32. No compiler knows that a count has no sign.
fn rounded(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ (batch.count & 0x80000000u));
}

fn between(x: f32, y: f32, share: f32) -> f32 {
    return x + rounded((y - x) * share);
}

fn kept(row: u32, cell: u32) -> f32 {
    if cell >= 64u { return 0.0; }
    return f32(masks[row + cell / 32u] >> (cell & 31u) & 1u);
}

// A cell, and how far a pixel lies towards the next.
struct Spot {
    cell: u32,
    share: f32,
}

fn locate(at: u32, ratio: f32, cells: u32) -> Spot {
    let place = max(rounded((f32(at) + 0.5) * ratio) - 0.5, 0.0);
    let cell = min(u32(place), cells - 1u);
    return Spot(cell, select(place - f32(cell), 0.0, cell + 1u == cells));
}

// Weight of a pixel by the mask whose record begins at `record`.
fn rise_weight(record: u32, y: u32, x: u32) -> f32 {
    let cells = masks[record + 3u];
    let row = locate(y + masks[record + RISE_SHIFT], bitcast<f32>(masks[record + 7u]), cells);
    let column = locate(x + masks[record + RISE_SHIFT + 1u], bitcast<f32>(masks[record + 8u]), cells);
    let upper = record + RISE_ROWS + 2u * row.cell;
    let lower = select(upper, upper + 2u, row.share > 0.0);
    let next = column.cell + 1u;
    let near = between(kept(upper, column.cell), kept(lower, column.cell), row.share);
    let far = between(kept(upper, next), kept(lower, next), row.share);
    return between(near, far, column.share);
}

// Weight of a pixel by a mask of bytes: byte / 255, rounded to nearest. 1 / 255
// is 0.000000010000000100.. in bits, so that a byte repeats in its quotient.
fn byte_weight(first: u32, pixel: u32) -> f32 {
    let byte = masks[first + pixel / 4u] >> (pixel % 4u * 8u) & 255u;
    if byte == 0u { return 0.0; }
    let zeros = countLeadingZeros(byte) - 24u;
    // The repeated byte from its first 1 on.
    let bits = (byte << 8u | byte) >> (8u - zeros) & 255u;
    let fraction = bits * 0x01010101u;
    let significand = (fraction >> 8u) + (fraction >> 7u & 1u);
    return f32(significand) * bitcast<f32>((103u - zeros) << 23u);
}
