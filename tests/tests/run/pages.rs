//! Pages of a run, as a person asks for them.

use foveola::run::read::RunFolder;
use foveola::run::view::Pictures;
use foveola_tests::browser::Browser;
use serde_json::{Value, json};

use super::scenes::{question, room, words};
use crate::room::Room;

/// A run among whose training pictures are its own scenes.
fn trained(room: &Room) {
    std::fs::create_dir(room.path("train")).expect("a folder");
    for i in 0..8 {
        let (from, to) = (format!("scenes/{i:02}.png"), format!("train/{i:02}.png"));
        std::fs::copy(room.path(&from), room.path(&to)).expect("a copy");
    }
    // Everything is doubtful at this threshold, so that all have neighbours.
    let mut asked = question("run", "near");
    asked.extend(["--train", "train", "--threshold", "0.999"].map(String::from));
    room.succeed(&words(&asked));
}

/// The data of a page.
fn data(room: &Room, page: &str) -> Value {
    let html = String::from_utf8(room.bytes(page)).expect("UTF-8");
    let from = "<script type=\"application/json\" id=\"run-0\">";
    let rest = html.split_once(from).expect("a run").1;
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
}

/// Names and addresses of all training pictures of a page.
fn neighbours(page: &Value) -> Vec<(String, Value)> {
    let samples = page["samples"].as_array().expect("samples").iter();
    let answers = samples.flat_map(|s| s["answers"].as_array().expect("answers"));
    let near = answers.flat_map(|a| a["nearest"].as_array().expect("a list"));
    near.map(|n| (n[0].as_str().expect("a name").to_string(), n[2].clone()))
        .collect()
}

/// What an address shows.
fn picture(address: &str) -> image::RgbImage {
    let coded = address.strip_prefix("data:image/").expect("a picture");
    let coded = coded.split_once(";base64,").expect("base64").1;
    let bytes = foveola_tests::browser::decode(coded);
    image::load_from_memory(&bytes)
        .expect("a picture")
        .to_rgb8()
}

#[test]
fn neighbours_are_seen_while_they_are_there() {
    let room = room();
    trained(&room);
    room.succeed(&["report", "near", "-o", "near.html"]);
    let found = neighbours(&data(&room, "near.html"));
    assert!(found.len() >= 25, "{}", found.len());
    for (name, seen) in &found {
        let shown = picture(seen.as_str().expect("an address"));
        // Of all training pictures it is nearest to the one with its name.
        let off = |i: &u32| {
            let file = image::open(room.path(&format!("train/{i:02}.png"))).expect("a file");
            let pairs = file.to_rgb8().into_raw();
            let pairs = pairs.iter().zip(shown.as_raw());
            pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
        };
        let nearest = (0..8).min_by_key(off).expect("a picture");
        assert_eq!(format!("{nearest:02}.png"), *name);
    }
    look(&room);
    // Without a picture its name stays; another set of names is not trusted.
    let run = RunFolder::open(&room.path("near")).expect("a run");
    for name in ["../scenes.json", "/etc/hostname", "../scenes/09.png"] {
        assert!(run.training(name).is_err(), "{name}");
    }
    std::fs::write(room.path("train/03.png"), "no picture").expect("a file");
    room.succeed(&["report", "near", "-o", "one.html"]);
    for (name, seen) in neighbours(&data(&room, "one.html")) {
        assert_eq!(seen.is_null(), name == "03.png", "{name}");
    }
    std::fs::remove_dir_all(room.path("train")).expect("a folder");
    room.succeed(&["report", "near", "-o", "none.html"]);
    let gone = neighbours(&data(&room, "none.html"));
    assert_eq!(gone.len(), found.len());
    assert!(gone.iter().all(|(_, seen)| seen.is_null()));
}

/// A browser shows them on the sample page.
fn look(room: &Room) {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.size(1400, 2400);
    browser.open(&room.path("near.html"), "#page=sample&sample=2");
    browser.settle();
    let shown =
        "[...document.querySelectorAll('.nearest img')].map(i => i.complete && i.naturalWidth)";
    assert_eq!(browser.evaluate(shown), json!([64, 64, 64, 64, 64]));
    assert_eq!(browser.complaints(), [""; 0]);
    let folder = foveola_tests::root().join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    browser.screenshot(&folder.join("nearest.png"));
}

#[test]
fn a_split_page_overwrites_nothing() {
    let room = room();
    let mut asked = question("run", "whole");
    asked.extend(["--workers", "2"].map(String::from));
    room.succeed(&words(&asked));
    let said = room.succeed(&["report", "whole", "--split", "-o", "page/report.html"]);
    assert!(said.contains("page/data"), "{said}");
    assert!(room.path("page/data/0-0.js").is_file());
    room.refuse(
        &["report", "whole", "--split", "-o", "page/report.html"],
        "page/report.html: it is there already",
    );
    std::fs::remove_file(room.path("page/report.html")).expect("a file");
    room.refuse(
        &["report", "whole", "--split", "-o", "page/report.html"],
        "page/data: it is there already",
    );
    room.refuse(
        &[
            "report",
            "whole",
            "--split",
            "-o",
            "scenes.json/report.html",
        ],
        "scenes.json",
    );
    room.refuse(
        &["report", "whole", "--split", "--megabytes", "3"],
        "--megabytes",
    );
    // The same run, the same bytes.
    room.succeed(&["report", "whole", "--split", "-o", "again/report.html"]);
    assert_eq!(
        room.bytes("again/data/0-0.js"),
        room.bytes("page/data/0-0.js")
    );
}
