//! Where an object is: boxes and polygons as a mask of the input's pixels.

use crate::error::Error;

/// The outline of an object or of a part of it, in pixels of the input: x to
/// the right, y down, the upper left pixel's centre at (0.5, 0.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outline<'a> {
    /// x, y, width, height.
    Box([f32; 4]),
    /// Corners, x and y each, closed by itself. Where it crosses itself,
    /// the even-odd rule holds.
    Polygon(&'a [[f32; 2]]),
}

/// Writes 1 for each pixel whose centre lies inside one of the outlines, else
/// 0, into `mask`: `rows` times `columns` bytes, row by row. What lies outside
/// the picture is cut off. A centre on an outline belongs to what lies to the
/// right of it or below. Answers how many pixels lie inside: 0 for an object that
/// holds no centre.
///
/// # Errors
/// [`Error::BufferTooSmall`] for `mask`; [`Error::BadParameter`] for an outline
/// with NaN or infinity, or a box of negative size.
pub fn rasterise(
    outlines: &[Outline<'_>],
    [rows, columns]: [usize; 2],
    mask: &mut [u8],
) -> Result<usize, Error> {
    let (need, have) = (rows * columns, mask.len());
    let mask = mask
        .get_mut(..need)
        .ok_or(Error::BufferTooSmall { need, have })?;
    if !outlines.iter().all(is_sound) {
        return Err(Error::BadParameter("outline of a region"));
    }
    for (y, row) in mask.chunks_exact_mut(columns.max(1)).enumerate() {
        let y = y as f32 + 0.5;
        for (x, pixel) in row.iter_mut().enumerate() {
            let x = x as f32 + 0.5;
            let inside = outlines.iter().any(|outline| contains(outline, x, y));
            *pixel = u8::from(inside);
        }
    }
    Ok(mask.iter().filter(|&&pixel| pixel != 0).count())
}

fn is_sound(outline: &Outline<'_>) -> bool {
    match outline {
        Outline::Box([x, y, w, h]) => {
            let finite = [x, y, w, h].into_iter().all(|v| v.is_finite());
            finite && *w >= 0.0 && *h >= 0.0
        }
        Outline::Polygon(corners) => corners.as_flattened().iter().all(|v| v.is_finite()),
    }
}

fn contains(outline: &Outline<'_>, x: f32, y: f32) -> bool {
    match *outline {
        Outline::Box([left, top, w, h]) => x >= left && x < left + w && y >= top && y < top + h,
        Outline::Polygon(corners) => is_odd(corners, x, y),
    }
}

/// Whether a ray to the right crosses an odd number of sides.
fn is_odd(corners: &[[f32; 2]], x: f32, y: f32) -> bool {
    let before = corners.iter().cycle().skip(corners.len().saturating_sub(1));
    let mut odd = false;
    for (&[x0, y0], &[x1, y1]) in before.zip(corners) {
        if (y0 > y) != (y1 > y) && x < x0 + (y - y0) / (y1 - y0) * (x1 - x0) {
            odd = !odd;
        }
    }
    odd
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;

    /// scikit-image 0.26.0: `draw.polygon` of a star that crosses itself
    /// (corners shifted by half a pixel, as its centres are whole numbers),
    /// each row as the bits of a number.
    #[test]
    fn a_star_is_hollow() {
        let star = [
            [1.2, 9.0],
            [19.0, 13.4],
            [3.7, 18.1],
            [8.3, 2.2],
            [14.9, 19.3],
        ];
        let expected = [
            0, 0, 0, 4096, 4096, 14336, 14336, 14336, 31744, 293_888, 245_248, 33280, 33216, 49404,
            61632, 129_280, 127_872, 98432, 64, 0,
        ];
        let mut mask = [9; 20 * 21];
        let inside = rasterise(&[Outline::Polygon(&star)], [20, 21], &mut mask);
        assert_eq!(inside, Ok(69));
        let rows = mask.chunks_exact(21);
        for (row, expected) in rows.zip(expected) {
            let bits = row
                .iter()
                .fold(0, |bits, &pixel| 2 * bits + u32::from(pixel));
            assert_eq!(bits, expected);
        }
    }

    #[test]
    fn boxes_and_polygons_together() {
        let triangle = [[4.0, 0.0], [8.0, 0.0], [8.0, 4.0]];
        let outlines = [
            Outline::Box([0.0, 0.0, 2.0, 1.0]),
            Outline::Box([1.0, 0.0, 1.4, 2.0]),
            Outline::Polygon(&triangle),
        ];
        let mut mask = [9; 32];
        assert_eq!(rasterise(&outlines, [4, 8], &mut mask), Ok(13));
        let rows = mask.as_chunks::<8>().0;
        assert_eq!(
            rows,
            [
                [1, 1, 0, 0, 1, 1, 1, 1],
                [0, 1, 0, 0, 0, 1, 1, 1],
                [0, 0, 0, 0, 0, 0, 1, 1],
                [0, 0, 0, 0, 0, 0, 0, 1],
            ]
        );
    }

    #[test]
    fn what_is_outside_is_cut_off() {
        let mut mask = [9; 6];
        let around = [Outline::Box([-5.0, -5.0, 50.0, 50.0])];
        assert_eq!(rasterise(&around, [2, 3], &mut mask), Ok(6));
        let thin = [Outline::Box([1.6, 0.0, 0.3, 2.0]), Outline::Polygon(&[])];
        assert_eq!(rasterise(&thin, [2, 3], &mut mask), Ok(0));
        assert_eq!(mask, [0; 6]);
    }

    #[test]
    fn bad_outlines_are_errors() {
        let bad = Err(Error::BadParameter("outline of a region"));
        let mut mask = [0; 4];
        for side in [-1.0, f32::NAN, f32::INFINITY] {
            let outline = [Outline::Box([0.0, 0.0, side, 1.0])];
            assert_eq!(rasterise(&outline, [2, 2], &mut mask), bad);
        }
        let corners = [[0.0, f32::NAN]];
        assert_eq!(
            rasterise(&[Outline::Polygon(&corners)], [2, 2], &mut mask),
            bad
        );
        let short = Err(Error::BufferTooSmall { need: 6, have: 4 });
        assert_eq!(rasterise(&[], [2, 3], &mut mask), short);
    }
}
