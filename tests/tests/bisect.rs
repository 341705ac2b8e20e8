//! `foveola bisect`: dumps of other engines without a fault, dumps and devices
//! with one that was planted, and what the command prints.

mod bisect {
    mod command;
    mod dumps;
    mod engine;
    mod faults;
    mod link;
    mod networks;
    mod pictures;
    mod planted;
}
