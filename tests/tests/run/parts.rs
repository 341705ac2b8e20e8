//! A run in several places, put together.

use std::path::Path;

use super::scenes::{PICTURES, assert_same, files, question, room, undisturbed, words};

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
}

#[test]
fn parts_are_the_whole() {
    let room = room();
    let whole = undisturbed(&room);
    room.succeed(&words(&question("plan", "a")));
    assert_eq!(files(&room.path("a")).len(), 1, "the manifest alone");
    copy(&room.path("a"), &room.path("b"));
    room.succeed(&["run", "a", "--shard", "1/2", "--workers", "3"]);
    let status = room.run(&["status", "a"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.out.contains("3 of 5 shards"), "{status:?}");
    let half = files(&room.path("a"));
    room.succeed(&["run", "a", "--shard", "1/2", "--workers", "1"]);
    assert_same(&files(&room.path("a")), &half);
    room.succeed(&["run", "b", "--shard", "2/2"]);
    let missing = room.run(&["merge", "a", "-o", "c"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.out.contains("2 still missing"), "{missing:?}");
    room.succeed(&["merge", "b", "a", "-o", "c"]);
    assert_same(&files(&room.path("c")), &whole);
    let status = room.succeed(&["status", "c"]);
    let pictures = format!("{PICTURES} of {PICTURES} pictures, 1 failures");
    assert!(status.contains(&pictures), "{status}");
}

#[test]
fn what_differs_is_refused_with_its_reason() {
    let room = room();
    undisturbed(&room);
    // The same run with a shard that was tampered with, seal and all.
    copy(&room.path("whole"), &room.path("other"));
    let seal = room.path("other/shards/00001/shard.json");
    let text = std::fs::read_to_string(&seal).expect("a seal");
    std::fs::write(&seal, text.replace("\"failures\": 0", "\"failures\": 2")).expect("a seal");
    room.refuse(&["merge", "whole", "other", "-o", "whole"], "shard 1");
    // A byte of a table.
    let table = room.path("other/shards/00002/scores.parquet");
    let mut bytes = std::fs::read(&table).expect("a table");
    bytes[40] ^= 1;
    std::fs::write(&table, bytes).expect("a table");
    room.refuse(&["merge", "other", "-o", "other"], "scores.parquet");
    let status = room.run(&["status", "other"]);
    assert_eq!(status.code, Some(1));
    assert!(status.out.contains("scores.parquet"), "{status:?}");
    // Another question.
    let mut asked = question("plan", "third");
    asked.extend(["--threshold", "0.25"].map(String::from));
    room.succeed(&words(&asked));
    room.refuse(
        &["merge", "whole", "third", "-o", "whole"],
        "config.threshold",
    );
}
