//! The contact sheet: every panel of a run on one page.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::canvas::{Canvas, FAINT_INK, INK, Type, shorten, wrap};
use super::colour::ColourScale;
use super::files::layer_picture;
use super::overlay::{blend, enlarge, enlargement};
use crate::explainer::SaliencyMap;
use crate::photo::Photo;

/// Side that a panel fits into.
const CELL: u32 = 256;
const MARGIN: u32 = 14;
const CAPTION_LINES: u32 = 4;

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The panel.
    pub panel: RgbImage,
    /// Its name.
    pub title: String,
    /// What it says.
    pub caption: String,
}

/// Whether one of the maps has both signs.
pub fn has_both_signs<'m>(maps: impl IntoIterator<Item = &'m SaliencyMap>) -> bool {
    let mut scales = maps.into_iter().filter_map(scale);
    scales.any(|scale| scale.diverging)
}

/// The scale of a map, unless there is nothing to see.
fn scale(map: &SaliencyMap) -> Option<ColourScale> {
    ColourScale::of(&map.pixels).filter(|_| map.reason().is_none())
}

/// A map on its picture, without scale or text; of HOC the finest layer.
/// `around_zero`: in the colours of maps with both signs, whether it has both or not.
pub fn panel(map: &SaliencyMap, photo: &Photo, around_zero: bool) -> RgbImage {
    match map.region.as_ref().filter(|r| !r.layers.is_empty()) {
        Some(region) => layer_picture(map, region, region.layers.len() - 1, photo).panel(),
        None => match map.painting(photo) {
            Some(painting) => {
                let (w, h) = painting.dimensions();
                enlarge(&painting, enlargement(w, h))
            }
            None => {
                let own = scale(map);
                let scale = if around_zero {
                    own.map(ColourScale::around_zero)
                } else {
                    own
                };
                blend(photo.display(), &map.pixels, scale.as_ref())
            }
        },
    }
}

/// Draws the cells in rows of `columns`, under a heading.
pub fn draw(heading: &str, cells: &[Cell], columns: u32) -> RgbImage {
    let columns = columns.max(1);
    let rows = (cells.len() as u32).div_ceil(columns);
    let caption = Type::Body.line() * (CAPTION_LINES + 1);
    let top = 2 * MARGIN + Type::Heading.line();
    let width = MARGIN + columns * (CELL + MARGIN);
    let height = top + rows * (CELL + caption + MARGIN);
    let mut canvas = Canvas::new(width, height);
    let heading = shorten(heading, Type::Heading.fits(width - 2 * MARGIN));
    canvas.text(&heading, MARGIN, MARGIN, Type::Heading, INK);
    for (i, cell) in (0u32..).zip(cells) {
        let x = MARGIN + (i % columns) * (CELL + MARGIN);
        let y = top + (i / columns) * (CELL + caption + MARGIN);
        let panel = fit(&cell.panel);
        let (dx, dy) = ((CELL - panel.width()) / 2, (CELL - panel.height()) / 2);
        canvas.paste(&panel, x + dx, y + dy);
        let fits = Type::Body.fits(CELL);
        let y = y + CELL + 4;
        canvas.text(&shorten(&cell.title, fits), x, y, Type::Body, INK);
        let lines = wrap(&cell.caption, fits);
        for (n, line) in (1u32..).zip(lines.iter().take(CAPTION_LINES as usize)) {
            canvas.text(line, x, y + n * Type::Body.line(), Type::Body, FAINT_INK);
        }
    }
    canvas.into_image()
}

/// A panel scaled to fit its cell.
fn fit(panel: &RgbImage) -> RgbImage {
    let (w, h) = panel.dimensions();
    let side = w.max(h).max(1);
    let scaled = |v: u32| (v * CELL / side).max(1);
    resize(panel, scaled(w), scaled(h), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn every_cell_is_on_the_page() {
        let inks = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let cells: Vec<Cell> = inks
            .iter()
            .map(|&ink| Cell {
                panel: RgbImage::from_pixel(30, 20, Rgb(ink)),
                title: String::from("method"),
                caption: String::from("a sentence that is longer than one line of the cell is"),
            })
            .collect();
        let page = draw("demo", &cells, 2);
        for ink in inks {
            assert!(page.pixels().any(|p| p.0 == ink));
        }
    }
}
