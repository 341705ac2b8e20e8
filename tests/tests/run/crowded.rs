//! Several processes in one folder, and a disk that is full.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::scenes::{assert_same, files, question, room, undisturbed, words};
use crate::room::{Room, Said};

/// Starts the program with its words kept.
fn start(room: &Room, asked: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
        .args(asked)
        .current_dir(room.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().expect("its end");
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[test]
fn processes_that_begin_at_once_share_the_work() {
    let room = room();
    let whole = undisturbed(&room);
    for round in 0..4 {
        let folder = format!("shared-{round}");
        let children = [1, 2, 1].map(|workers| {
            let mut asked = question("run", &folder);
            asked.extend([String::from("--workers"), workers.to_string()]);
            start(&room, &asked)
        });
        for child in children {
            let said = said(child);
            assert_eq!(said.code, Some(0), "round {round}: {said:?}");
        }
        assert_same(&files(&room.path(&folder)), &whole);
    }
}

/// Manifests of two questions are never mixed: one is first, the other is told.
#[test]
fn of_two_questions_at_once_one_is_refused() {
    let room = room();
    for round in 0..12 {
        let folder = format!("torn-{round}");
        let children = ["0.25", "0.75"].map(|threshold| {
            let mut asked = question("plan", &folder);
            asked.extend(["--threshold", threshold].map(String::from));
            start(&room, &asked)
        });
        let mut said = children.map(said);
        said.sort_by_key(|s| s.code);
        let [first, second] = &said;
        assert_eq!([first.code, second.code], [Some(0), Some(2)], "{said:?}");
        let advice = "holds another run: `config.threshold`";
        assert!(second.err.contains(advice), "{second:?}");
        assert!(second.err.contains("give another folder"), "{second:?}");
        assert_eq!(files(&room.path(&folder)).len(), 1, "the manifest alone");
    }
}

/// Runs the program where no file may be longer than so many bytes: what a full
/// disk does, without one.
#[cfg(unix)]
fn cramped(room: &Room, bytes: u64, asked: &[&str]) -> Said {
    // What the signal would end is told by the system call instead.
    let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
    let child = Command::new("sh")
        .args(["-c", script, "sh", &(bytes / 512).to_string()])
        .arg(env!("CARGO_BIN_EXE_foveola-under-test"))
        .args(asked)
        .current_dir(room.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    said(child.expect("the program starts"))
}

/// The longest file of a folder, in bytes.
fn longest(folder: &Path) -> u64 {
    let lengths = files(folder).into_values().map(|bytes| bytes.len() as u64);
    lengths.max().expect("a file")
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_is_finished() {
    let room = room();
    let whole = undisturbed(&room);
    let pictures = whole.keys().map(|name| room.path("whole").join(name));
    let longest = pictures
        .map(|p| longest(p.parent().expect("a folder")))
        .max();
    let limit = longest.expect("a file") / 2;
    room.succeed(&words(&question("plan", "full")));
    room.succeed(&["run", "full", "--shard", "2/3"]);
    let before = files(&room.path("full"));
    assert!(before.len() > 1);
    let said = cramped(&room, limit, &["run", "full", "--workers", "2"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("cannot write"), "{said:?}");
    assert!(said.err.contains("parquet"), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    // What was finished before is there, and all that is there is whole.
    let after = files(&room.path("full"));
    for (name, bytes) in &after {
        assert!(whole.get(name) == Some(bytes), "{name}");
    }
    assert!(before.keys().all(|name| after.contains_key(name)));
    assert!(after.len() < whole.len(), "the limit was too wide");
    room.succeed(&["run", "full"]);
    assert_same(&files(&room.path("full")), &whole);
}

/// Pages are there whole, or not at all.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_page() {
    let room = room();
    undisturbed(&room);
    let before = room.names();
    for more in [&[][..], &["--split"]] {
        let mut asked = vec!["report", "whole", "-o", "page/report.html"];
        asked.extend(more);
        let said = cramped(&room, 8 << 10, &asked);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("cannot write"), "{said:?}");
        assert_eq!(room.names(), before, "{more:?}");
    }
}
