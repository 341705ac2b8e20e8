//! A small data set of poles with boxes, and the files of a run.

use std::collections::BTreeMap;
use std::path::Path;

use foveola::demo::scene::{SIDE, Snow, draw};
use image::RgbImage;
use serde_json::json;

use crate::room::{Room, file};

/// Pictures of the set; the last cannot be read.
pub const PICTURES: usize = 23;
/// Pictures of a shard.
pub const SHARD: usize = 5;

/// A room with `scenes/` and `scenes.json`: labels and boxes.
pub fn room() -> Room {
    let room = Room::new();
    std::fs::create_dir(room.path("scenes")).expect("a folder");
    let side = SIDE as u32;
    let mut pictures = Vec::new();
    for i in 0..PICTURES {
        let scene = draw(5, i as u32, Snow::Anywhere);
        let name = format!("scenes/{i:02}.png");
        let label = scene.kind.label();
        let pole = scene.pole;
        let boxes = [json!({"label": label, "area": [pole.x, pole.y, pole.w, pole.h]})];
        pictures.push(json!({"file": name, "labels": [label], "boxes": boxes}));
        match i + 1 == PICTURES {
            true => std::fs::write(room.path(&name), "no picture").expect("a file"),
            false => RgbImage::from_raw(side, side, scene.pixels)
                .expect("a scene")
                .save(room.path(&name))
                .expect("a file"),
        }
    }
    let text = json!({ "pictures": pictures }).to_string();
    room.put("scenes.json", text.as_bytes());
    room
}

/// What every test asks, in this folder.
pub fn question(command: &str, out: &str) -> Vec<String> {
    let (model, card) = (
        file("host/demo/honest.onnx"),
        file("host/demo/poles.card.toml"),
    );
    let words = [
        command,
        &model,
        "scenes.json",
        "--card",
        &card,
        "-o",
        out,
        "--method",
        "grad-cam",
        "--method",
        "rise:masks=150",
        "--metric",
        "deletion",
        "--metric",
        "pointing-game:tolerance=1",
        "--uncertainty",
        "--hoc",
        "hoc:windows=16/8,strides=8/4",
        "--shard-size",
        &SHARD.to_string(),
    ];
    words.map(String::from).to_vec()
}

/// The program's words as it takes them.
pub fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// Every file below a folder with its bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below it");
            let bytes = std::fs::read(&path).expect("a file");
            all.insert(name.display().to_string(), bytes);
        }
    }
    all
}

/// The run of the whole set, with one worker and no disturbance.
pub fn undisturbed(room: &Room) -> BTreeMap<String, Vec<u8>> {
    let mut asked = question("run", "whole");
    asked.extend(["--workers", "1"].map(String::from));
    room.succeed(&words(&asked));
    files(&room.path("whole"))
}

/// The same files with the same bytes.
pub fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = |all: &BTreeMap<String, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, bytes) in found {
        assert!(Some(bytes) == expected.get(name), "{name} differs");
    }
}
