//! Bytes at the alignment that model files and arenas need.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// 16 bytes at an alignment of 16.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(16))]
struct Block([u8; 16]);

/// A buffer that grows and is used again and again.
#[derive(Clone, Debug, Default)]
pub struct Aligned {
    blocks: Vec<Block>,
}

impl Aligned {
    /// Its first `length` bytes; what they hold is left from before.
    pub fn first(&mut self, length: usize) -> &mut [u8] {
        let blocks = length.div_ceil(16);
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, Block([0; 16]));
        }
        &mut self.blocks.as_mut_bytes()[..length]
    }

    /// A copy of some bytes.
    pub fn copy(&mut self, bytes: &[u8]) -> &mut [u8] {
        let first = self.first(bytes.len());
        first.copy_from_slice(bytes);
        first
    }
}
