//! Which instruction sets may be used. The only module of the crate in which
//! `unsafe` is allowed: each block states why it is sound.

/// Permission to use an instruction set. `core` cannot find out by itself
/// what an operating system allows, so whoever runs a session passes it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
}

impl Isa {
    /// What every machine has.
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }
}
