//! The resize rules of a card, on the one integer resize of `core`.

use foveola_core::picture::resize::{
    Crop, premultiply, resize_bilinear, resize_scratch, unpremultiply,
};
use foveola_core::{Error, Shape};

use crate::card::Resize;

/// Brings pixels of `shape` to `target` (rows, columns) by `rule`.
pub fn fit(
    mut pixels: Vec<u8>,
    shape: Shape,
    target: [usize; 2],
    rule: Resize,
) -> Result<Vec<u8>, Error> {
    let alpha = shape.c == 4;
    if alpha {
        premultiply(&mut pixels);
    }
    let whole = Crop::whole(&pixels, shape);
    let mut out = match rule {
        Resize::Squash => scale(&whole, target)?,
        Resize::Crop => scale(&centre(whole, target), target)?,
        Resize::Letterbox => letterbox(&whole, target)?,
    };
    if alpha {
        unpremultiply(&mut out);
    }
    Ok(out)
}

fn scale(source: &Crop<'_>, target: [usize; 2]) -> Result<Vec<u8>, Error> {
    let channels = source.shape.c;
    let need = resize_scratch(source.size, channels, target);
    let mut bytes = vec![0; need.bytes];
    let mut weights = vec![0; need.weights];
    let mut out = vec![0; target[0] * target[1] * channels];
    resize_bilinear(source, target, &mut bytes, &mut weights, &mut out)?;
    Ok(out)
}

/// The largest centred part with the target's proportions.
fn centre<'a>(whole: Crop<'a>, [to_h, to_w]: [usize; 2]) -> Crop<'a> {
    let Shape { h, w, .. } = whole.shape;
    let size = match w * to_h > h * to_w {
        true => [h, (h * to_w / to_h).max(1)],
        false => [(w * to_h / to_w).max(1), w],
    };
    Crop {
        begin: [(h - size[0]) / 2, (w - size[1]) / 2],
        size,
        ..whole
    }
}

/// Scaled to fit, centred, the rest black (opaque where there is alpha).
fn letterbox(whole: &Crop<'_>, [to_h, to_w]: [usize; 2]) -> Result<Vec<u8>, Error> {
    let Shape { h, w, c } = whole.shape;
    let rounded = |a: usize, b: usize, by: usize| ((2 * a * b + by) / (2 * by)).max(1);
    let [ih, iw] = match w * to_h > h * to_w {
        true => [rounded(h, to_w, w).min(to_h), to_w],
        false => [to_h, rounded(w, to_h, h).min(to_w)],
    };
    let inner = scale(whole, [ih, iw])?;
    let mut black = [0; 4];
    black[3] = u8::MAX;
    let mut out: Vec<u8> = black[..c.min(4)]
        .iter()
        .copied()
        .cycle()
        .take(to_h * to_w * c)
        .collect();
    let (top, left) = ((to_h - ih) / 2, (to_w - iw) / 2);
    for (y, row) in inner.chunks_exact(iw * c).enumerate() {
        let at = ((top + y) * to_w + left) * c;
        out[at..at + iw * c].copy_from_slice(row);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose left half is 10 and whose right half is 200.
    fn halves(h: usize, w: usize) -> (Vec<u8>, Shape) {
        let row = |x: usize| if x < w / 2 { 10 } else { 200 };
        let pixels = (0..h * w).map(|i| row(i % w)).collect();
        (pixels, Shape::new(h, w, 1))
    }

    #[test]
    fn crop_keeps_the_middle() {
        let (pixels, shape) = halves(4, 12);
        let out = fit(pixels, shape, [4, 4], Resize::Crop).unwrap();
        assert_eq!(out[..4], [10, 10, 200, 200]);
    }

    #[test]
    fn letterbox_keeps_everything_and_fills_with_black() {
        let (pixels, shape) = halves(2, 8);
        let out = fit(pixels, shape, [8, 8], Resize::Letterbox).unwrap();
        let rows: Vec<&[u8]> = out.chunks(8).collect();
        assert_eq!(rows[2], [0; 8]);
        assert_eq!(rows[3], [10, 10, 10, 10, 200, 200, 200, 200]);
        assert_eq!(rows[4], rows[3]);
        assert_eq!(rows[5], [0; 8]);
    }

    #[test]
    fn letterbox_of_a_long_strip_keeps_one_row() {
        let (pixels, shape) = halves(1, 64);
        let out = fit(pixels, shape, [4, 8], Resize::Letterbox).unwrap();
        assert_eq!(out.iter().filter(|&&v| v > 0).count(), 8);
    }
}
