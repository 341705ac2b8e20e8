//! The pictures of the demo: what each network looks at in a few scenes.

use image::{Rgb, RgbImage};

use super::audit::{SceneSet, photo};
use super::evidence::{Part, shares};
use super::scene::{Kind, Scene};
use super::{COSTLY_METHODS, NETWORKS, QUICK_METHODS};
use crate::explainer::{ExplainError, Explainer, Question, SaliencyMap};
use crate::photo::Photo;
use crate::report::canvas::Canvas;
use crate::report::files::png;
use crate::report::overlay::{enlarge, enlargement};
use crate::report::sheet::{Cell, draw, panel};

/// The scene that all methods are shown on: the first with a concrete pole.
const SHOWN: usize = Kind::Concrete as usize;
/// Columns of the contact sheet: a scene and seven methods fill two rows.
const COLUMNS: u32 = 4;
/// The pole's box.
const BOX: Rgb<u8> = Rgb([255, 64, 64]);

/// All pictures.
#[derive(Clone, Debug)]
pub struct Gallery {
    /// All methods on one scene, two rows a network.
    pub sheet: RgbImage,
    /// What the sheet shows, in words.
    pub sheet_heading: String,
    /// The overlays of that scene: file name and PNG.
    pub overlays: Vec<(String, Vec<u8>)>,
}

impl Gallery {
    /// Draws them.
    ///
    /// # Errors
    /// A network or method that fails.
    pub fn new(set: &SceneSet) -> Result<Self, ExplainError> {
        let mut explainers = Vec::new();
        for network in &NETWORKS {
            explainers.push(network.explainer()?);
        }
        let mut gallery = Self {
            sheet: RgbImage::new(1, 1),
            sheet_heading: String::from(
                "Seven methods on one scene with a concrete pole, two rows a network; the box is the pole's",
            ),
            overlays: Vec::new(),
        };
        if let Some(scene) = set.scenes.get(SHOWN) {
            gallery.show_methods(&mut explainers, scene)?;
        }
        Ok(gallery)
    }

    /// All methods on one scene: the contact sheet, and every overlay as a file.
    fn show_methods(
        &mut self,
        explainers: &mut [Explainer],
        scene: &Scene,
    ) -> Result<(), ExplainError> {
        let question = Question::of(QUICK_METHODS.into_iter().chain(COSTLY_METHODS))?;
        let mut cells = Vec::new();
        for (network, explainer) in NETWORKS.iter().zip(explainers) {
            let photo = photo(explainer, scene)?;
            let explanation = explainer.explain(&photo, &question)?;
            let heading = explanation.maps.first().map(SaliencyMap::heading);
            cells.push(Cell {
                panel: boxed(plain(&photo), scene),
                title: format!("{} says", network.name),
                caption: heading.unwrap_or_default(),
            });
            for map in &explanation.maps {
                cells.push(Cell {
                    panel: boxed(panel(map, &photo, false), scene),
                    title: format!("{}: {}", network.name, map.spec.title()),
                    caption: caption(map, scene),
                });
                let name = format!("{}.{}.png", network.name, map.spec.row.name);
                self.overlays.push((name, png(&map.overlay(&photo))));
            }
        }
        self.sheet = draw(&self.sheet_heading, &cells, COLUMNS);
        Ok(())
    }
}

fn caption(map: &SaliencyMap, scene: &Scene) -> String {
    if let Some(reason) = map.reason() {
        return reason;
    }
    let found = shares(&map.evidence().weigh(&map.pixels), scene);
    format!(
        "evidence: {:.0} % on the pole, {:.0} % on the ground",
        100.0 * found[Part::Pole as usize],
        100.0 * found[Part::Ground as usize]
    )
}

fn plain(photo: &Photo) -> RgbImage {
    let (w, h) = photo.display().dimensions();
    enlarge(photo.display(), enlargement(w, h))
}

/// The panel with the pole's box.
fn boxed(panel: RgbImage, scene: &Scene) -> RgbImage {
    let factor = panel.width() / super::scene::SIDE as u32;
    let sides = [scene.pole.x, scene.pole.y, scene.pole.w, scene.pole.h];
    let [x, y, w, h] = sides.map(|v| v as u32 * factor);
    let mut canvas = Canvas::from(panel);
    canvas.outline(x, y, w, h, factor.div_ceil(3), BOX);
    canvas.into_image()
}
