//! The program as a person runs it: what it takes, writes and refuses.

mod cli {
    pub mod anytime;
    pub mod bad_input;
    pub mod files;
    pub mod own_files;
    pub mod room;
    pub mod white_box;
}
