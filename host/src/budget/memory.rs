//! RAM: the buffers of a question, and where they lie on a board.

use foveola_core::Shape;
use foveola_core::picture::blur::{blur_radius, blur_scratch};

use super::board::Board;
use super::lent::Lent;

/// The firmware lends buffers in multiples of this.
pub(super) const ALIGNMENT: usize = 16;

/// Most steps and most boxes of a HOC tree in the firmware.
pub(super) const TREE: usize = 128;

/// A `usize` of a board.
const WORD: usize = 4;

/// Bytes of the buffers that one question takes. The firmware states
/// `arena`, `scratch` and `map` as it runs, and they are these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The network's arena.
    pub arena: usize,
    /// The method's scratch.
    pub scratch: usize,
    /// The map, or the scores of a plain classification.
    pub map: usize,
    /// The picture, u8.
    pub picture: usize,
    /// HOC's tree.
    pub tree: usize,
    /// What else the method borrows.
    pub lent: Lent,
}

/// A buffer and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub what: &'static str,
    /// Its size.
    pub bytes: usize,
    /// Name of its region.
    pub region: String,
}

/// Bytes of HOC's tree on a board.
pub(super) const fn tree_bytes() -> usize {
    // Words of `hoc::Step` (layer, box, two scores, parent with its tag, two
    // numbers of children) and of `Window`.
    const STEP: usize = 13;
    const WINDOW: usize = 6;
    TREE * (STEP + WINDOW) * WORD
}

/// What blurring a picture needs besides the result.
pub(super) fn blurring_bytes(shape: Shape) -> usize {
    let sigma = blur_radius(shape.h.min(shape.w)) as f32;
    4 * blur_scratch(shape, sigma)
}

impl Memory {
    /// Everything that lives while the question is asked, besides the stack
    /// and static memory, each rounded as the firmware rounds it.
    fn asking(&self) -> [(&'static str, usize); 8] {
        [
            ("arena", self.arena),
            ("scratch", self.scratch),
            ("map", self.map),
            ("picture", self.picture),
            ("tree", self.tree),
            ("second picture", self.lent.other),
            ("segments", self.lent.labels),
            ("sums over segments", self.lent.sums),
        ]
        .map(|(what, bytes)| (what, bytes.next_multiple_of(ALIGNMENT)))
    }

    /// The same while the second picture is made.
    fn preparing(&self) -> [(&'static str, usize); 4] {
        [
            ("picture", self.picture),
            ("second picture", self.lent.other),
            ("segments", self.lent.labels),
            ("making of the second picture", self.lent.making),
        ]
        .map(|(what, bytes)| (what, bytes.next_multiple_of(ALIGNMENT)))
    }

    /// All of it with `stack` and `statics`, in bytes.
    pub fn total(&self, stack: usize, statics: usize) -> usize {
        let sum = |buffers: &[(&str, usize)]| buffers.iter().map(|(_, b)| b).sum::<usize>();
        sum(&self.asking()).max(sum(&self.preparing())) + stack + statics
    }

    /// Where the buffers lie on a board with `stack` bytes of stack and
    /// `statics` of static memory; `None` if there is no such place for all.
    pub fn place(&self, board: &Board, stack: usize, statics: usize) -> Option<Vec<Placed>> {
        let with = |buffers: &[(&'static str, usize)]| {
            let mut all = vec![("stack", stack), ("static memory", statics)];
            all.extend(buffers.iter().filter(|(_, bytes)| *bytes > 0));
            place(board, all)
        };
        with(&self.preparing())?;
        with(&self.asking())
    }
}

/// Puts each buffer into one region, the largest first; tries every way.
fn place(board: &Board, mut buffers: Vec<(&'static str, usize)>) -> Option<Vec<Placed>> {
    buffers.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mut left: Vec<usize> = board.ram.iter().map(|region| region.bytes).collect();
    let mut choice = Vec::new();
    if !search(&buffers, &mut left, &mut choice) {
        return None;
    }
    let placed = buffers.iter().zip(choice);
    let placed = placed.map(|(&(what, bytes), region)| Placed {
        what,
        bytes,
        region: board.ram[region].name.clone(),
    });
    Some(placed.collect())
}

fn search(buffers: &[(&str, usize)], left: &mut [usize], choice: &mut Vec<usize>) -> bool {
    let Some(&(_, bytes)) = buffers.get(choice.len()) else {
        return true;
    };
    for region in 0..left.len() {
        if left[region] < bytes {
            continue;
        }
        left[region] -= bytes;
        choice.push(region);
        if search(buffers, left, choice) {
            return true;
        }
        choice.pop();
        left[region] += bytes;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::board::board;

    fn memory(arena: usize, map: usize) -> Memory {
        Memory {
            arena,
            map,
            ..Memory::default()
        }
    }

    /// 150 KB in one buffer fit 192 KB in one piece, but not 128 + 64 KB.
    #[test]
    fn a_buffer_does_not_cross_regions() {
        let [whole, split] = ["netduinoplus2", "stm32f405"].map(|name| board(name).expect("it"));
        assert_eq!(whole.ram_bytes(), split.ram_bytes());
        let large = memory(150 << 10, 0);
        assert!(large.place(whole, 6000, 20).is_some());
        assert!(large.place(split, 6000, 20).is_none());
        let two = memory(120 << 10, 60 << 10);
        let placed = two.place(split, 6000, 20).expect("there is room");
        let region = |what: &str| {
            let found = placed.iter().find(|p| p.what == what).expect("placed");
            found.region.as_str()
        };
        assert_eq!([region("arena"), region("map")], ["SRAM", "CCM"]);
    }

    /// 64 KB must leave the larger region to the other three; the first place that
    /// each of them fits leads nowhere.
    #[test]
    fn every_way_is_tried() {
        let split = board("stm32f405").expect("it");
        let kilobytes = |parts: [usize; 4]| Memory {
            arena: parts[0] << 10,
            scratch: parts[1] << 10,
            map: parts[2] << 10,
            picture: parts[3] << 10,
            ..Memory::default()
        };
        assert!(kilobytes([64, 60, 40, 28]).place(split, 0, 0).is_some());
        assert!(kilobytes([66, 66, 30, 30]).place(split, 0, 0).is_none());
    }

    /// Making a second picture may need more than asking.
    #[test]
    fn blurring_comes_first() {
        let board = board("lm3s6965evb").expect("it");
        let memory = Memory {
            picture: 20 << 10,
            lent: Lent {
                other: 20 << 10,
                making: 30 << 10,
                ..Lent::default()
            },
            ..Memory::default()
        };
        assert!(memory.place(board, 0, 0).is_none());
        assert_eq!(memory.total(1, 1), (70 << 10) + 2);
    }
}
