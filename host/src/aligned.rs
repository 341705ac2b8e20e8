//! Bytes at the alignment that model files and arenas need.

use std::ops::{Deref, DerefMut};

use zerocopy::IntoBytes;

/// 16 bytes at an alignment of 16. Zeros of a primitive type come from the
/// operating system: what an arena never uses takes no memory.
type Block = u128;

const _: () = assert!(align_of::<Block>() == 16);

/// Bytes that start on a multiple of 16.
pub struct AlignedBytes {
    blocks: Vec<Block>,
    length: usize,
}

impl AlignedBytes {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        Self {
            blocks: vec![0; length.div_ceil(16)],
            length,
        }
    }

    /// A copy of some bytes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut aligned = Self::zeros(bytes.len());
        aligned.copy_from_slice(bytes);
        aligned
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.blocks.as_bytes()[..self.length]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.blocks.as_mut_bytes()[..self.length]
    }
}
