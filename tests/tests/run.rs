//! A whole data set, run by the program as a person runs it.

#[path = "cli/room.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod room;

mod run {
    pub mod scenes;

    mod anew;
    mod crowded;
    mod killed;
    mod pages;
    mod parts;
    mod refused;
    mod tables;
    mod units;
}
