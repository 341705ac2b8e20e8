//! HOC as pictures: what is covered turns dark and grey, what the search
//! revealed stays as it is.

use image::{Rgb, RgbImage};

use super::canvas::{Canvas, FAINT_INK, INK, Type, shorten, wrap};
use super::overlay::{enlarge, enlargement, luma};

/// Brightness of what is covered.
const DIMMED: f32 = 0.5;
const MARGIN: u32 = 14;
const FRAME: Rgb<u8> = Rgb([255, 196, 0]);

/// One layer of an HOC result.
#[derive(Clone, Debug)]
pub struct Layer<'a> {
    /// The picture as the network sees it.
    pub picture: &'a RgbImage,
    /// Boxes of the layer: x, y, width, height.
    pub boxes: &'a [[usize; 4]],
    /// Whether the boxes show the picture (reveal) or hide it (cover).
    pub reveal: bool,
    /// Class and layer.
    pub heading: String,
    /// Probability and area, in words.
    pub sentence: String,
}

impl Layer<'_> {
    fn shown(&self, x: u32, y: u32) -> bool {
        let inside = self.boxes.iter().any(|&[bx, by, w, h]| {
            let (x, y) = (x as usize, y as usize);
            x >= bx && x < bx + w && y >= by && y < by + h
        });
        inside == self.reveal
    }

    /// Share of the picture that shows, 0 to 1.
    pub fn area(&self) -> f64 {
        let (w, h) = self.picture.dimensions();
        let shown = (0..h).flat_map(|y| (0..w).map(move |x| (x, y)));
        let shown = shown.filter(|&(x, y)| self.shown(x, y)).count();
        shown as f64 / f64::from(w * h)
    }

    /// The picture with its covered part darkened and grey, enlarged.
    pub fn panel(&self) -> RgbImage {
        let (w, h) = self.picture.dimensions();
        let mut picture = self.picture.clone();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            if !self.shown(x, y) {
                *pixel = Rgb([(f32::from(luma(*pixel)) * DIMMED) as u8; 3]);
            }
        }
        let factor = enlargement(w, h);
        let mut canvas = Canvas::from(enlarge(&picture, factor));
        for &[x, y, w, h] in self.boxes {
            let [x, y, w, h] = [x, y, w, h].map(|v| v as u32 * factor);
            canvas.outline(x, y, w, h, 2, FRAME);
        }
        canvas.into_image()
    }

    /// The panel with its words.
    pub fn draw(&self) -> RgbImage {
        let panel = self.panel();
        let width = panel.width().max(PANEL_TEXT) + 2 * MARGIN;
        let words = wrap(&self.sentence, Type::Body.fits(width - 2 * MARGIN));
        let top = MARGIN + Type::Heading.line() + 4;
        let height = top + panel.height() + 10 + words.len() as u32 * Type::Body.line() + MARGIN;
        let mut canvas = Canvas::new(width, height);
        let heading = shorten(&self.heading, Type::Heading.fits(width - 2 * MARGIN));
        canvas.text(&heading, MARGIN, MARGIN, Type::Heading, INK);
        canvas.paste(&panel, MARGIN, top);
        for (i, line) in words.iter().enumerate() {
            let y = top + panel.height() + 10 + i as u32 * Type::Body.line();
            canvas.text(line, MARGIN, y, Type::Body, FAINT_INK);
        }
        canvas.into_image()
    }
}

/// Least width of the text.
const PANEL_TEXT: u32 = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<'a>(picture: &'a RgbImage, boxes: &'a [[usize; 4]], reveal: bool) -> Layer<'a> {
        Layer {
            picture,
            boxes,
            reveal,
            heading: String::new(),
            sentence: String::new(),
        }
    }

    #[test]
    fn what_is_covered_is_dark_and_grey() {
        let red = RgbImage::from_pixel(8, 8, Rgb([200, 30, 30]));
        let boxes = [[4, 0, 4, 8]];
        let panel = layer(&red, &boxes, true).panel();
        let factor = enlargement(8, 8);
        let left = panel.get_pixel(factor, factor).0;
        assert!(left[0] == left[1] && left[1] == left[2] && left[0] < 60);
        assert_eq!(panel.get_pixel(6 * factor, 4 * factor).0, [200, 30, 30]);
        let covered = layer(&red, &boxes, false).panel();
        assert_eq!(covered.get_pixel(factor, factor).0, [200, 30, 30]);
    }

    #[test]
    fn overlapping_boxes_count_once() {
        let picture = RgbImage::new(10, 10);
        let boxes = [[0, 0, 5, 5], [0, 0, 5, 6]];
        assert!((layer(&picture, &boxes, true).area() - 0.30).abs() < 1e-12);
        assert!((layer(&picture, &boxes, false).area() - 0.70).abs() < 1e-12);
    }
}
