//! The demo's scenes as a data set: pictures, and a table of labels and boxes.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use foveola::demo::scene::{SIDE, Snow, draw};

/// Writes scenes `0..count` of a seed as PNG files, `boxes.csv` with a box
/// around each pole, and `labels.csv` without boxes.
///
/// # Errors
/// What the system says.
pub fn write(folder: &Path, seed: u64, count: u32, snow: Snow) -> io::Result<()> {
    let (mut boxes, mut labels) = (
        String::from("file,label,x,y,w,h\n"),
        String::from("file,label\n"),
    );
    for index in 0..count {
        let scene = draw(seed, index, snow);
        let name = format!("{index:05}{}.png", if scene.snow { "-snow" } else { "" });
        let side = SIDE as u32;
        let picture = image::RgbImage::from_raw(side, side, scene.pixels);
        let picture = picture.ok_or(io::ErrorKind::InvalidData)?;
        picture.save(folder.join(&name)).map_err(io::Error::other)?;
        let (label, pole) = (scene.kind.label(), scene.pole);
        let _ = writeln!(labels, "{name},{label}");
        let _ = writeln!(
            boxes,
            "{name},{label},{},{},{},{}",
            pole.x, pole.y, pole.w, pole.h
        );
    }
    std::fs::write(folder.join("labels.csv"), labels)?;
    std::fs::write(folder.join("boxes.csv"), boxes)
}
