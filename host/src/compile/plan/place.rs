//! Where buffers lie: offsets such that no two that live together overlap,
//! but for values that are written over others.

use std::cmp::Reverse;

use foveola_core::net::format::ALIGNMENT;

use super::Buffer;

/// Bytes that one or more values share, each written over the one before.
#[derive(Clone, Copy, Debug)]
struct Block {
    buffer: Buffer,
    /// The first value.
    first: usize,
}

/// Gives each buffer its offset; returns the bytes of the arena. `over` holds
/// pairs of buffers, the first of them written over the second.
///
/// Blocks are placed one after the other, each at the lowest offset at which
/// nothing lies that lives at the same time: the largest first or, if
/// `thorough`, in the best of several orders.
pub fn place(buffers: &mut [Buffer], over: &[(usize, usize)], thorough: bool) -> usize {
    let first = firsts(buffers.len(), over);
    let blocks = blocks(buffers, &first);
    let mut best: Option<(usize, Vec<Block>)> = None;
    let orders = if thorough { KEYS.len() } else { 1 };
    for key in KEYS.into_iter().take(orders) {
        let mut blocks = blocks.clone();
        blocks.sort_by_key(|block| (key(&block.buffer), block.first));
        let arena = lay(&mut blocks);
        if best.as_ref().is_none_or(|(least, _)| arena < *least) {
            best = Some((arena, blocks));
        }
    }
    let (arena, blocks) = best.unwrap_or_default();
    for block in &blocks {
        buffers[block.first].offset = block.buffer.offset;
    }
    for i in 0..buffers.len() {
        buffers[i].offset = buffers[first[i]].offset;
    }
    arena.next_multiple_of(ALIGNMENT)
}

type Key = fn(&Buffer) -> (Reverse<usize>, Reverse<usize>);

/// What comes first: the largest, what lives longest, what is largest and
/// lives longest, and whatever is born first.
const KEYS: [Key; 4] = [
    |b| (Reverse(b.length), Reverse(0)),
    |b| (Reverse(life(b)), Reverse(b.length)),
    |b| (Reverse(life(b) * b.length), Reverse(0)),
    |b| {
        (
            Reverse(usize::MAX - usize::from(b.birth)),
            Reverse(b.length),
        )
    },
];

fn life(buffer: &Buffer) -> usize {
    usize::from(buffer.death - buffer.birth) + 1
}

/// For each buffer the first of those that share its bytes.
fn firsts(count: usize, over: &[(usize, usize)]) -> Vec<usize> {
    let mut under: Vec<Option<usize>> = vec![None; count];
    for &(upper, lower) in over {
        under[upper] = Some(lower);
    }
    let first = |mut i: usize| {
        while let Some(lower) = under[i] {
            i = lower;
        }
        i
    };
    (0..count).map(first).collect()
}

fn blocks(buffers: &[Buffer], first: &[usize]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut index = vec![None; buffers.len()];
    let stored = (0..buffers.len()).filter(|&i| buffers[i].length > 0);
    for i in stored {
        let at = *index[first[i]].get_or_insert_with(|| {
            blocks.push(Block {
                buffer: buffers[i],
                first: first[i],
            });
            blocks.len() - 1
        });
        let whole = &mut blocks[at].buffer;
        whole.birth = whole.birth.min(buffers[i].birth);
        whole.death = whole.death.max(buffers[i].death);
    }
    blocks
}

/// Places the blocks in this order.
fn lay(blocks: &mut [Block]) -> usize {
    let mut placed: Vec<Buffer> = Vec::new();
    let mut arena = 0;
    for block in blocks {
        let buffer = &mut block.buffer;
        buffer.offset = lowest_gap(&placed, buffer);
        arena = arena.max(buffer.offset + buffer.length);
        let at = placed.partition_point(|p| p.offset <= buffer.offset);
        placed.insert(at, *buffer);
    }
    arena
}

/// `placed` is sorted by offset.
fn lowest_gap(placed: &[Buffer], buffer: &Buffer) -> usize {
    let mut offset = 0;
    for other in placed {
        let together = buffer.birth <= other.death && other.birth <= buffer.death;
        if together && other.offset < offset + buffer.length {
            offset = offset.max((other.offset + other.length).next_multiple_of(ALIGNMENT));
        }
    }
    offset
}
