//! Convolutions: the loops of `net::ops::{conv, depthwise, conv_backward}`.

use foveola_core::net::ops::packing::LANES;
use foveola_core::net::ops::spans::Axis;

use super::super::counts::Kernel;

/// Pixels of a tile on boards.
const TILE: usize = 2;

/// Input channels whose gradient is summed at once.
const CHUNK: usize = 32;

/// How often each source pixel of an axis is read.
fn visits(axis: &Axis, source: usize) -> Vec<usize> {
    let mut visits = vec![0; source];
    for span in axis.spans() {
        for i in 0..span.count as isize {
            for j in 0..span.taps as isize {
                let at = span.from + i * span.from_step + j * span.hop;
                if let Some(visit) = usize::try_from(at).ok().and_then(|at| visits.get_mut(at)) {
                    *visit += 1;
                }
            }
        }
    }
    visits
}

/// What is read: its sizes, its values, and how often each pixel is.
pub struct Source<'a> {
    pub channels: usize,
    pub values: &'a [f32],
    rows: Vec<usize>,
    cols: Vec<usize>,
}

impl<'a> Source<'a> {
    pub fn new(values: &'a [f32], [h, w, channels]: [usize; 3], [rows, cols]: [&Axis; 2]) -> Self {
        Self {
            channels,
            values,
            rows: visits(rows, h),
            cols: visits(cols, w),
        }
    }

    /// Pixels and how often each is read.
    pub fn pixels(&self) -> impl Iterator<Item = (usize, &'a [f32])> + '_ {
        let places = self
            .rows
            .iter()
            .flat_map(|y| self.cols.iter().map(move |x| x * y));
        places.zip(self.values.chunks_exact(self.channels.max(1)))
    }

    /// Reads of any element and of zeros.
    fn reads(&self) -> [usize; 2] {
        let mut reads = [0; 2];
        for (visits, pixel) in self.pixels() {
            reads[0] += visits * pixel.len();
            reads[1] += visits * pixel.iter().filter(|v| **v == 0.0).count();
        }
        reads
    }
}

/// A convolution or a product with a matrix.
pub struct Conv {
    pub groups: usize,
    /// Of one group.
    pub inputs: usize,
    /// Of one group.
    pub outputs: usize,
    /// Rows that the source holds at once.
    pub modulo: usize,
    pub activation: &'static str,
}

impl Conv {
    /// One run over the pixels of `rows` and `cols`.
    pub fn run(&self, k: &mut Kernel<'_>, rows: &Axis, cols: &Axis) {
        let groups = self.groups;
        let blocks = groups * self.outputs.div_ceil(LANES);
        k.n("call", 1);
        k.n("block", blocks);
        for rows in rows.spans() {
            k.n("row_span", blocks);
            for cols in cols.spans() {
                let pixels = rows.count * cols.count;
                k.n("region", blocks);
                k.n("walk", blocks * rows.count);
                let merged = cols.hop == 1 && groups == 1;
                let (runs, len) = match merged {
                    true => (1, cols.taps * self.inputs),
                    false => (cols.taps, self.inputs),
                };
                for (p, tiles) in [(2, pixels / TILE), (1, pixels % TILE)] {
                    let lines = tiles * blocks * rows.taps;
                    k.n(&format!("tile{p}"), tiles * blocks);
                    k.n(&format!("line{p}"), lines);
                    k.n(&format!("run{p}"), lines * runs);
                    k.n(&format!("step{p}"), lines * runs * len);
                    if !self.outputs.is_multiple_of(LANES) {
                        k.n(&format!("narrow{p}"), tiles * groups);
                    }
                }
                let wrapped = (0..rows.count * rows.taps).filter(|i| {
                    let (row, tap) = (i / rows.taps.max(1), i % rows.taps.max(1));
                    let y = rows.from + row as isize * rows.from_step + tap as isize * rows.hop;
                    y >= self.modulo as isize
                });
                k.n("wrap", wrapped.count() * cols.count * blocks);
                self.store(k, pixels * groups);
            }
        }
    }

    fn store(&self, k: &mut Kernel<'_>, pixels: usize) {
        let (whole, rest) = (self.outputs / LANES, self.outputs % LANES);
        k.n(&format!("store.{}", self.activation), pixels * whole);
        if rest > 0 {
            k.n(&format!("end.{}", self.activation), pixels);
            k.n("end_lane", pixels * rest);
        }
    }

    /// Products by what they multiply: without floating point in hardware,
    /// zeros take fewer instructions.
    pub fn products(&self, k: &mut Kernel<'_>, source: &Source<'_>) {
        let [all, zeros] = source.reads();
        let idle = self.outputs.next_multiple_of(LANES) - self.outputs;
        k.n("soft.live", (all - zeros) * self.outputs);
        k.n("soft.zero", zeros * self.outputs);
        k.n("soft.idle", all * idle);
    }
}

/// One run of a depthwise convolution, either way.
pub fn depthwise(
    k: &mut Kernel<'_>,
    channels: usize,
    [rows, cols]: [&Axis; 2],
    finish: &'static str,
) {
    let (whole, rest) = (channels / LANES, channels % LANES);
    let narrow = usize::from(rest > 0);
    let adds = finish == "add";
    k.n("call", 1);
    for rows in rows.spans() {
        k.n("row_span", 1);
        for cols in cols.spans() {
            k.n("region", 1);
            if adds && (rows.taps == 0 || cols.taps == 0) {
                continue;
            }
            let pixels = rows.count * cols.count;
            let taps = rows.taps * cols.taps;
            k.n("walk", rows.count);
            for (p, tiles) in [(2, pixels / TILE), (1, pixels % TILE)] {
                k.n(&format!("tile{p}"), tiles);
                k.n(&format!("block{p}"), tiles * whole);
                k.n(&format!("line{p}"), tiles * whole * rows.taps);
                k.n(&format!("tap{p}"), tiles * whole * taps);
                k.n(&format!("narrow{p}"), tiles * narrow);
                k.n(&format!("narrow_line{p}"), tiles * narrow * rows.taps);
                k.n(&format!("narrow_tap{p}"), tiles * narrow * taps);
                k.n(&format!("narrow_lane{p}"), tiles * rest * taps);
            }
            k.n(&format!("store.{finish}"), pixels * whole);
            k.n(&format!("end.{finish}"), pixels * narrow);
            k.n("end_lane", pixels * rest);
        }
    }
}

/// As [`Conv::products`], for a depthwise convolution.
pub fn depthwise_products(k: &mut Kernel<'_>, source: &Source<'_>) {
    let [all, zeros] = source.reads();
    let channels = source.channels.max(1);
    k.n("soft.live", all - zeros);
    k.n("soft.zero", zeros);
    k.n(
        "soft.idle",
        all / channels * (channels.next_multiple_of(LANES) - channels),
    );
}

/// The gradient of a convolution's input, read straight from packed weights:
/// what boards do, whose arenas have no scratch.
pub fn in_place(k: &mut Kernel<'_>, conv: &Conv, [rows, cols]: [&Axis; 2], gradient: &Source<'_>) {
    let chunks = conv.inputs.div_ceil(CHUNK);
    k.n("call", 1);
    for rows in rows.spans() {
        k.n("row_span", 1);
        for cols in cols.spans() {
            k.n("region", 1);
            if rows.taps == 0 || cols.taps == 0 {
                continue;
            }
            let pixels = rows.count * cols.count;
            let sums = pixels * conv.groups;
            k.n("walk", rows.count);
            k.n("pixel", pixels);
            k.n("group", sums);
            k.each("chunk", sums * (conv.inputs / CHUNK), CHUNK);
            if !conv.inputs.is_multiple_of(CHUNK) {
                k.each("chunk", sums, conv.inputs % CHUNK);
            }
            k.n("line", sums * chunks * rows.taps);
            k.n("tap", sums * chunks * rows.taps * cols.taps);
        }
    }
    for (visits, pixel) in gradient.pixels() {
        for group in pixel.chunks(conv.outputs.max(1)) {
            for block in group.chunks(LANES) {
                block_back(k, conv, visits, chunks, block);
            }
        }
    }
}

/// Eight gradients, read `visits` times by each chunk of input channels.
fn block_back(k: &mut Kernel<'_>, conv: &Conv, visits: usize, chunks: usize, block: &[f32]) {
    let first = block.iter().position(|g| *g != 0.0);
    k.n(
        "test",
        visits * chunks * first.map_or(block.len(), |i| i + 1),
    );
    if first.is_none() {
        k.n("skip", visits * chunks);
        return;
    }
    let rows = visits * conv.inputs;
    k.n("block", visits * chunks);
    match block.len() {
        LANES => k.n("row8", rows),
        len => k.each("row", rows, len),
    }
    let zeros = block.iter().filter(|g| **g == 0.0).count();
    k.n("soft.zero", rows * zeros);
    k.n("soft.live", rows * (block.len() - zeros));
}
