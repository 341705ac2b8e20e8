//! The link: frames under every error, sessions under every fault, a reader
//! written from the page alone, and boards that answer what the host computes.

mod link {
    mod board;
    mod edits;
    mod faults;
    mod frames;
    mod own_files;
    mod reader;
    mod script;
    mod units;
    mod vectors;
    mod world;
}
