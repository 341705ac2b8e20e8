//! What loading a masked picture repeats: the loops of `mask::row` and
//! `mask::grid`.

use foveola_core::mask::Grid;
use foveola_core::rng::{self, Purpose};
use foveola_core::{Fill, Mask, Masked, Picture, Shape, Window};

use super::counts::{Counts, Kernel};

/// Pixels by which MindSpore's masks are larger than the picture.
const MARGIN: usize = 10;

/// The first `rows` rows of a masked picture, written into the network's input,
/// which is called `name`.
pub fn load(counts: &mut Counts, name: &str, x: &Masked<'_>, rows: usize) {
    let shape = x.shape();
    let mut k = Kernel::new(counts, name);
    k.n("call", 1);
    k.n("row", rows);
    let whole = Window::whole(shape);
    match x.mask {
        Mask::Keep => write(&mut k, kind(&x.picture), rows, whole),
        Mask::Windows {
            boxes,
            extra,
            reveal,
        } => {
            let (inside, outside) = match reveal {
                true => (kind(&x.picture), fill(&x.fill)),
                false => (fill(&x.fill), kind(&x.picture)),
            };
            write(&mut k, outside, rows, whole);
            let boxes = boxes.iter().copied().chain(extra);
            for window in boxes.map(|window| window.cut(shape)) {
                k.n("box", rows);
                let touched = (0..rows).filter(|y| window.touches(*y)).count();
                write(&mut k, inside, touched, window);
            }
        }
        _ => {
            write(&mut k, kind(&x.picture), rows, whole);
            let weights = weights(&x.mask, shape, rows);
            let c = shape.c;
            let of = |f: fn(f32) -> bool| weights.iter().filter(|w| f(**w)).count();
            let hidden = of(|w| w == 0.0);
            let mixed = weights.len() - hidden - of(|w| w == 1.0);
            k.n("blend", weights.len());
            k.n(&format!("blend.hidden.{}", fill(&x.fill)), hidden * c);
            k.n(&format!("blend.mixed.{}", fill(&x.fill)), mixed * c);
        }
    }
    if let Mask::Grid(grid) = x.mask {
        self::grid(&mut Kernel::new(counts, "grid"), &grid, shape, rows);
    }
}

const fn kind(picture: &Picture<'_>) -> &'static str {
    match picture {
        Picture::Pixels { .. } => "u8",
        Picture::Tensor { .. } => "f32",
    }
}

const fn fill(fill: &Fill<'_>) -> &'static str {
    match fill {
        Fill::Colour(_) => "colour",
        Fill::Picture(picture) => kind(picture),
    }
}

fn write(k: &mut Kernel<'_>, kind: &str, rows: usize, window: Window) {
    k.n(&format!("{kind}.row"), rows);
    if kind == "colour" {
        k.each("colour", rows * window.d, window.w);
        return;
    }
    k.n(&format!("{kind}.pixel"), rows * window.w);
    k.n(&format!("{kind}.element"), rows * window.w * window.d);
}

/// Weights of the first rows of a mask.
fn weights(mask: &Mask<'_>, shape: Shape, rows: usize) -> Vec<f32> {
    let mut weights = vec![0.0; rows * shape.w];
    for (y, row) in weights.chunks_exact_mut(shape.w.max(1)).enumerate() {
        // A mask that does not fit is the method's own error.
        let _ = mask.row(shape, y, row);
    }
    weights
}

/// The rows of a RISE mask, made from random words.
pub fn grid(k: &mut Kernel<'_>, grid: &Grid, shape: Shape, rows: usize) {
    let cells = usize::from(grid.cells.max(1));
    let sloped = (0..rows).filter(|y| is_sloped(grid, shape.h, *y)).count();
    k.n("row", rows);
    k.n("sloped", sloped);
    k.n("words", (rows + sloped) * cells.div_ceil(4));
    k.n("pixel", rows * shape.w);
}

/// Whether row `y` lies between two rows of cells.
fn is_sloped(grid: &Grid, side: usize, y: usize) -> bool {
    let cells = usize::from(grid.cells.max(1));
    let [word, ..] = rng::words(grid.seed, grid.sample, 0, 0, Purpose::RiseShift);
    let (upsampled, shifts) = match grid.mindspore {
        true => (side + MARGIN, MARGIN + 1),
        false => ((cells + 1) * side.div_ceil(cells), side.div_ceil(cells)),
    };
    let shift = rng::below(word, shifts as u32) as usize;
    let place = ((y + shift) as f32 + 0.5) * (cells as f32 / upsampled as f32) - 0.5;
    place > 0.0 && place.fract() > 0.0 && (place as usize) < cells - 1
}
