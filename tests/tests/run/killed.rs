//! Killed anywhere and run again: the same bytes as undisturbed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use foveola_core::rng::philox4x32_10;

use super::scenes::{assert_same, files, question, room, undisturbed, words};
use crate::room::Room;

/// Kills that must hit a process that still runs.
const KILLS: u32 = 6;

#[test]
fn killed_anywhere_and_run_again() {
    let room = room();
    let begun = Instant::now();
    let whole = undisturbed(&room);
    let most = begun.elapsed().as_secs_f64();
    let (mut kills, mut tries) = (0, 0);
    // From run to run more is there already: a folder that is finished begins anew.
    while kills < KILLS {
        tries += 1;
        assert!(tries < 60, "only {kills} kills hit a running process");
        let mut asked = question("run", "killed");
        asked.extend([String::from("--workers"), (1 + tries % 3).to_string()]);
        let mut child = room.start(&words(&asked));
        let [word, ..] = philox4x32_10([tries, 0, 0, 0], [11, 0]);
        let share = f64::from(word) / f64::from(u32::MAX);
        std::thread::sleep(Duration::from_secs_f64(share * most / 2.0));
        match child.try_wait().expect("a state") {
            None => {
                child.kill().expect("a process to kill");
                child.wait().expect("its end");
                kills += 1;
            }
            Some(status) => {
                assert!(status.success());
                assert_same(&files(&room.path("killed")), &whole);
                std::fs::remove_dir_all(room.path("killed")).expect("a folder");
            }
        }
    }
    let mut asked = question("run", "killed");
    asked.extend(["--workers", "2"].map(String::from));
    room.succeed(&words(&asked));
    assert_same(&files(&room.path("killed")), &whole);
}

/// Finished shards of a run that is being stopped.
fn shards(room: &Room) -> usize {
    let shards = std::fs::read_dir(room.path("stopped/shards"));
    shards.map_or(0, Iterator::count)
}

#[test]
fn interrupted_it_ends_cleanly_and_goes_on() {
    let room = room();
    let whole = undisturbed(&room);
    let asked = question("run", "stopped");
    let mut child = room.start(&words(&asked));
    let begun = Instant::now();
    while shards(&room) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no shard");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &pid])
        .stderr(Stdio::null())
        .status();
    assert!(sent.expect("the program `kill`").success());
    let status = child.wait().expect("its end");
    if shards(&room) < 5 {
        assert_eq!(status.code(), Some(130));
    }
    assert!(shards(&room) > 0);
    assert!(!room.path("stopped/unfinished").exists());
    room.succeed(&words(&asked));
    assert_same(&files(&room.path("stopped")), &whole);
}
