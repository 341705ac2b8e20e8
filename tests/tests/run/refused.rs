//! What does not fit together is said before the first picture.

use super::scenes::{question, room, words};
use crate::room::{Room, file};

fn refuse(room: &Room, change: impl FnOnce(&mut Vec<String>), part: &str) {
    let mut asked = question("run", "fresh");
    change(&mut asked);
    room.refuse(&words(&asked), part);
}

fn replace(asked: &mut [String], from: &str, to: &str) {
    let place = asked.iter_mut().find(|word| *word == from);
    *place.expect("a word") = to.to_string();
}

#[test]
fn questions_that_do_not_fit() {
    let room = room();
    let cases = [
        ("grad-cam", "gradcam", "did you mean `grad-cam`"),
        ("grad-cam", "grad-cam:layer=nowhere", "nowhere"),
        ("rise:masks=150", "grad-cam", "twice"),
        ("deletion", "pointing-game:tolerance=1", "twice"),
        ("deletion", "delition", "did you mean `deletion`"),
        ("hoc:windows=16/8,strides=8/4", "rise", "hoc"),
        ("scenes.json", "nothing.json", "nothing.json"),
    ];
    for (from, to, part) in cases {
        refuse(&room, |asked| replace(asked, from, to), part);
    }
    refuse(
        &room,
        |asked| asked.extend(["--threshold", "1.5"].map(String::from)),
        "0 to 1",
    );
    let tract = |asked: &mut Vec<String>| asked.extend(["--backend", "tract"].map(String::from));
    refuse(&room, tract, "tract");
    room.refuse(&["run", &file("host/demo/honest.onnx")], "no planned run");
    room.refuse(&["status", "nowhere"], "holds no run");
    room.refuse(&["merge", "nowhere", "-o", "there"], "holds no run");
}

#[test]
fn a_folder_keeps_its_question() {
    let room = room();
    room.succeed(&words(&question("plan", "planned")));
    let mut asked = question("run", "planned");
    replace(&mut asked, "deletion", "insertion");
    room.refuse(&words(&asked), "config.metrics[0]");
    room.refuse(
        &["run", "planned", "--seed", "3"],
        "--seed is for a new run",
    );
    // Another picture of the same name is another data set; so is another box.
    let list = std::fs::read_to_string(room.path("scenes.json")).expect("the list");
    room.put(
        "scenes.json",
        list.replacen("\"wood\"", "\"steel\"", 1).as_bytes(),
    );
    room.refuse(&["run", "planned"], "data.sha256");
    room.put("scenes.json", list.as_bytes());
    let text = std::fs::read_to_string(room.path("planned/manifest.json")).expect("a manifest");
    room.put(
        "planned/manifest.json",
        text.replace("deletion", "insertion").as_bytes(),
    );
    room.refuse(&["run", "planned"], "it was changed");
    room.put("planned/manifest.json", &text.as_bytes()[..200]);
    room.refuse(&["run", "planned"], "manifest.json");
}
