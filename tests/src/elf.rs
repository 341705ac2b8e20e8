//! Who calls whom in a bare program, read from its machine code.
//!
//! Direct calls and jumps between functions are seen, on Arm (Thumb) and
//! RISC-V (32 bits, with compressed instructions). Calls through registers are
//! not followed; functions say whether they have any.

mod riscv;
mod thumb;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// A program.
#[derive(Debug)]
pub struct Program {
    /// By address.
    pub functions: Vec<Function>,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its names, mangled; several where equal functions were merged.
    pub names: Vec<String>,
    /// First address, and the one behind the last.
    range: [u64; 2],
    /// Functions that it calls or jumps to, by index.
    pub calls: BTreeSet<usize>,
    /// Whether it calls through a register.
    pub indirect: bool,
}

/// What an instruction does to the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on, or comes back to the caller.
    On,
    /// Calls an address.
    Call(u64),
    /// Jumps to an address.
    Jump(u64),
    /// Calls or jumps to where a register points.
    Register,
}

/// Whether the bytes from here on are instructions, by Arm's mapping symbols.
fn marks(file: &object::File<'_>) -> BTreeMap<u64, bool> {
    let mark = |name: &str| match name.as_bytes() {
        [b'$', b't' | b'x', ..] => Some(true),
        [b'$', b'd', ..] => Some(false),
        _ => None,
    };
    let symbols = file.symbols();
    let marks = symbols.filter_map(|s| Some((s.address(), mark(s.name().ok()?)?)));
    marks.collect()
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Panics
    /// If it is none, is for another processor, or calls what is no function.
    pub fn read(bytes: &[u8]) -> Self {
        Self::read_beside(bytes, &(0..0))
    }

    /// The same of a chip with functions of its own in ROM, which are not followed.
    ///
    /// # Panics
    /// As [`Program::read`], calls to `rom` apart.
    pub fn read_beside(bytes: &[u8], rom: &Range<u64>) -> Self {
        let file = object::File::parse(bytes).expect("an ELF file");
        let thumb = file.architecture() == Architecture::Arm;
        assert!(thumb || file.architecture() == Architecture::Riscv32);
        let mut program = Self {
            functions: functions(&file, thumb),
        };
        let marks = marks(&file);
        for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
            let code = section.data().expect("its bytes");
            program.decode(section.address(), code, &marks, (thumb, rom));
        }
        program
    }

    fn decode(
        &mut self,
        start: u64,
        code: &[u8],
        marks: &BTreeMap<u64, bool>,
        (thumb, rom): (bool, &Range<u64>),
    ) {
        let mut upper = riscv::Upper::default();
        let mut at = 0;
        while at + 2 <= code.len() {
            let address = start + at as u64;
            let mark = marks.range(..=address).next_back();
            if mark.is_some_and(|(_, is_code)| !is_code) {
                at += 2;
                continue;
            }
            let half = |i: usize| {
                code.get(at + i..at + i + 2)
                    .map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
            };
            let (length, flow) = match thumb {
                true => thumb::flow(address, half(0), half(2)),
                false => upper.flow(address, half(0), half(2)),
            };
            let leaves = matches!(flow, Flow::Call(to) | Flow::Jump(to) if rom.contains(&to));
            if !leaves {
                self.add(address, flow);
            }
            at += length;
        }
    }

    fn add(&mut self, from: u64, flow: Flow) {
        let Some(caller) = self.at(from) else {
            return;
        };
        let (address, again) = match flow {
            Flow::On => return,
            Flow::Register => {
                self.functions[caller].indirect = true;
                return;
            }
            Flow::Call(address) => (address, address == self.functions[caller].range[0]),
            // A jump to its own begin is a loop.
            Flow::Jump(address) => (address, false),
        };
        let to = self.at(address);
        let callee = to.unwrap_or_else(|| {
            let name = &self.functions[caller].names[0];
            panic!("{name}, {from:#x}, calls {address:#x}, where no function is")
        });
        if callee != caller || again {
            self.functions[caller].calls.insert(callee);
        }
    }

    /// The function at an address.
    fn at(&self, address: u64) -> Option<usize> {
        let after = self.functions.partition_point(|f| f.range[0] <= address);
        let index = after.checked_sub(1)?;
        (address < self.functions[index].range[1]).then_some(index)
    }

    /// Functions by what their names say.
    pub fn named(&self, has: impl Fn(&str) -> bool) -> BTreeSet<usize> {
        let all = self.functions.iter().enumerate();
        let named = all.filter(|(_, f)| f.names.iter().any(|name| has(name)));
        named.map(|(i, _)| i).collect()
    }

    /// A shortest chain of calls from one of `from` to one of `to`, as names,
    /// that goes through none of `without`.
    pub fn path(
        &self,
        from: &BTreeSet<usize>,
        to: &BTreeSet<usize>,
        without: &BTreeSet<usize>,
    ) -> Option<Vec<&str>> {
        let mut caller: BTreeMap<usize, Option<usize>> = from.iter().map(|i| (*i, None)).collect();
        let mut next: Vec<usize> = from.iter().copied().collect();
        while !next.is_empty() {
            if let Some(found) = next.iter().find(|i| to.contains(i)) {
                let chain = std::iter::successors(Some(*found), |i| caller[i]);
                let mut names: Vec<&str> =
                    chain.map(|i| self.functions[i].names[0].as_str()).collect();
                names.reverse();
                return Some(names);
            }
            let mut after = Vec::new();
            for i in next {
                for callee in &self.functions[i].calls {
                    if !caller.contains_key(callee) && !without.contains(callee) {
                        caller.insert(*callee, Some(i));
                        after.push(*callee);
                    }
                }
            }
            next = after;
        }
        None
    }

    /// All that these functions call, directly or not, and they themselves.
    pub fn reach(&self, from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = from.clone();
        let mut next: Vec<usize> = from.iter().copied().collect();
        while let Some(i) = next.pop() {
            let new = self.functions[i]
                .calls
                .iter()
                .filter(|callee| all.insert(**callee));
            next.extend(new);
        }
        all
    }

    /// Calls that come back to where they began, as names: the first ones found
    /// among what `from` reaches, `without` some functions that end the program.
    pub fn recursion(
        &self,
        from: &BTreeSet<usize>,
        without: &BTreeSet<usize>,
    ) -> Option<Vec<&str>> {
        let reach = self.reach(from);
        reach.difference(without).find_map(|i| {
            let callees = self.functions[*i]
                .calls
                .difference(without)
                .copied()
                .collect();
            let path = self.path(&callees, &BTreeSet::from([*i]), without)?;
            let start = self.functions[*i].names[0].as_str();
            Some([&[start], path.as_slice()].concat())
        })
    }
}

/// The functions that symbols tell of; one without a size ends where the next begins.
fn functions(file: &object::File<'_>, thumb: bool) -> Vec<Function> {
    let mut found: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    let code: Vec<[u64; 2]> = file
        .sections()
        .filter(|s| s.kind() == SectionKind::Text)
        .map(|s| [s.address(), s.address() + s.size()])
        .collect();
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default();
        let address = if thumb {
            symbol.address() & !1
        } else {
            symbol.address()
        };
        let inside = code
            .iter()
            .any(|[start, end]| (*start..*end).contains(&address));
        let kind = matches!(
            symbol.kind(),
            SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
        );
        if inside && kind && !name.is_empty() && !name.starts_with(['$', '.']) {
            let entry = found.entry(address).or_default();
            entry.0 = entry.0.max(symbol.size());
            entry.1.push(name.to_owned());
        }
    }
    let starts: Vec<u64> = found.keys().copied().collect();
    let end = |start: u64, size: u64| {
        let next = starts.get(starts.partition_point(|s| *s <= start)).copied();
        let section = code
            .iter()
            .find(|range| (range[0]..range[1]).contains(&start))
            .map_or(start, |range| range[1]);
        match size {
            0 => next.unwrap_or(section).min(section),
            size => start + size,
        }
    };
    found
        .into_iter()
        .map(|(start, (size, names))| Function {
            names,
            range: [start, end(start, size)],
            calls: BTreeSet::new(),
            indirect: false,
        })
        .collect()
}
