//! Writes scenes of the demo for its training program:
//! `scenes SEED COUNT anywhere|with-concrete|swapped FILE.npz` puts scenes 0 to
//! COUNT - 1 into the file: `pixels` (N x 64 x 64 x 3, u8), `empty` (the same
//! without the poles), `labels` (N, u8) and `boxes` (N x 4, u8: x, y, width,
//! height). A name without `.npz` is a folder for pictures instead:
//! `scene0000.png` and so on.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use foveola::demo::scene::{SIDE, Scene, Snow, draw, draw_without_pole};
use image::RgbImage;
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzWriter;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seed, count, snow, file] = arguments.as_slice() else {
        return Err("scenes SEED COUNT anywhere|with-concrete|swapped FILE.npz|FOLDER".into());
    };
    let snow = match snow.as_str() {
        "anywhere" => Snow::Anywhere,
        "with-concrete" => Snow::WithConcrete,
        "swapped" => Snow::Swapped,
        other => return Err(format!("no such rule for snow: {other}").into()),
    };
    let (seed, count): (u64, u32) = (seed.parse()?, count.parse()?);
    let scenes: Vec<Scene> = (0..count).map(|i| draw(seed, i, snow)).collect();
    if !file.ends_with(".npz") {
        return pictures(&scenes, Path::new(file));
    }
    let empty = (0..count).flat_map(|i| draw_without_pole(seed, i, snow));
    let shape = (scenes.len(), SIDE, SIDE, 3);
    let mut npz = NpzWriter::new(File::create(file)?);
    npz.add_array("empty", &Array4::from_shape_vec(shape, empty.collect())?)?;
    let pixels = scenes.iter().flat_map(|s| s.pixels.iter().copied());
    npz.add_array("pixels", &Array4::from_shape_vec(shape, pixels.collect())?)?;
    facts(&scenes, npz)
}

fn pictures(scenes: &[Scene], folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let side = SIDE as u32;
    for (i, scene) in scenes.iter().enumerate() {
        let picture = RgbImage::from_raw(side, side, scene.pixels.to_vec());
        let picture = picture.ok_or("a scene has other pixels")?;
        picture.save(folder.join(format!("scene{i:04}.png")))?;
    }
    Ok(())
}

fn facts(scenes: &[Scene], mut npz: NpzWriter<File>) -> Result<(), Box<dyn Error>> {
    let labels = scenes.iter().map(|s| s.kind as u8);
    npz.add_array("labels", &Array1::from_iter(labels))?;
    let sides = |s: &Scene| [s.pole.x, s.pole.y, s.pole.w, s.pole.h].map(|v| v as u8);
    let boxes = scenes.iter().flat_map(sides).collect();
    npz.add_array("boxes", &Array2::from_shape_vec((scenes.len(), 4), boxes)?)?;
    npz.finish()?;
    Ok(())
}
