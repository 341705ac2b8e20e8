//! What is done to a file: numbers of records, records, sections, bytes.

use foveola_core::net::format::{NodeRecord, section};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::aligned::Aligned;
use crate::file::{File, Width, fields};
use crate::number::Random;
use crate::repair;

/// Sections, those more often that hold more structure.
const OFTEN: [u16; 24] = [
    section::NODES,
    section::NODES,
    section::NODES,
    section::NODES,
    section::NODES,
    section::TENSORS,
    section::TENSORS,
    section::TENSORS,
    section::TENSORS,
    section::BUFFERS,
    section::BUFFERS,
    section::BUFFERS,
    section::BUFFERS,
    section::EDGES,
    section::EDGES,
    section::PLANS,
    section::PLANS,
    section::NETWORK,
    section::QUANTISATION,
    section::WEIGHTS,
    section::LABELS,
    section::NAMES,
    section::BYTES,
    section::WORDS,
];

/// Numbers at which something changes: lengths of blocks, limits of types and of the format.
const NUMBERS: [u32; 40] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    12,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    129,
    255,
    256,
    0x0fff,
    0x7fff,
    0x8000,
    0xfff0,
    0xfffe,
    0xffff,
    0x1_0000,
    0x10_0000,
    1 << 26,
    (1 << 26) + 1,
    0x3fff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_fffe,
    0xffff_ffff,
];

const REALS: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    6.0,
    1e-20,
    1e20,
    1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::EPSILON,
];

/// Most bytes of a section: mutations that add stop there.
const MOST: usize = 1 << 14;

/// Makes input number `index` of a seed; `true` if it must be read with its
/// hashes on and is not what they were made of.
pub fn input<'b>(
    corpus: &[File],
    seed: u64,
    index: u64,
    file: &mut File,
    buffer: &'b mut Aligned,
) -> (&'b mut [u8], bool) {
    let mut random = Random::new(seed, index);
    let base = &corpus[random.below(corpus.len())];
    file.copy(base);
    if random.chance(32) {
        let bytes = file.write(buffer, true);
        return (damage(bytes, &mut random), true);
    }
    let steps = 1 + random.below(2) * random.below(2) * random.below(6);
    for _ in 0..steps {
        let other = &corpus[random.below(corpus.len())];
        step(file, other, &mut random);
    }
    if random.chance(3) {
        repair::repair(file, &mut random);
        if random.chance(2) {
            let kind = random.pick(&[section::BUFFERS, section::BUFFERS, section::PLANS]);
            number(file, kind, &mut random);
        }
    }
    let bytes = file.write(buffer, false);
    match random.chance(24) {
        true => (damage(bytes, &mut random), false),
        false => (bytes, false),
    }
}

fn step(file: &mut File, other: &File, random: &mut Random) {
    let kind = random.pick(&OFTEN);
    match random.below(20) {
        0..=8 => number(file, kind, random),
        9 => flip(file.section_mut(kind), random),
        10 | 11 => exchange(file.section_mut(kind), fields(kind).1, random),
        12 => overwrite(file, other, kind, random),
        13 => insert(file.section_mut(kind), fields(kind).1, random),
        14 => remove(file.section_mut(kind), fields(kind).1, random),
        15 => file.section_mut(kind).clone_from(other.section(kind)),
        16 => resize(file.section_mut(kind), random),
        17 => graft(file, other, random),
        18 => shape(file, random),
        _ => operator(file, random),
    }
}

/// Changes one number of one record.
fn number(file: &mut File, kind: u16, random: &mut Random) {
    let (widths, length) = fields(kind);
    let section = file.section_mut(kind);
    let records = section.len() / length;
    let field = random.below(widths.len());
    let inside: usize = widths[..field].iter().map(|w| w.bytes()).sum();
    let width = widths[field];
    let place = |record: usize| record * length + inside..record * length + inside + width.bytes();
    let (this, that) = (place(random.below(records)), place(random.below(records)));
    let Some(old) = section.get(this.clone()).map(read) else {
        return;
    };
    let new = match (random.below(8), width) {
        (0 | 1, Width::Real) => random.pick(&REALS).to_bits(),
        (0 | 1, _) => random.pick(&NUMBERS),
        (2 | 3, _) => old.wrapping_add(random.below(9) as u32).wrapping_sub(4),
        (4, _) => old
            .wrapping_add(16 * random.below(9) as u32)
            .wrapping_sub(64),
        (5, _) => section.get(that).map_or(0, read),
        (6, _) => old ^ (1 << random.below(32)),
        _ => random.word() as u32,
    };
    section[this].copy_from_slice(&new.to_le_bytes()[..width.bytes()]);
}

fn read(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[..bytes.len()].copy_from_slice(bytes);
    u32::from_le_bytes(word)
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let bit = 1 << random.below(8);
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= bit;
    }
}

fn exchange(section: &mut [u8], length: usize, random: &mut Random) {
    let records = section.len() / length;
    let (a, b) = (random.below(records), random.below(records));
    for i in 0..length.min(section.len()) {
        section.swap(a * length + i, b * length + i);
    }
}

/// Puts a record of another file in the place of one.
fn overwrite(file: &mut File, other: &File, kind: u16, random: &mut Random) {
    let length = fields(kind).1;
    let (to, from) = (file.section_mut(kind), other.section(kind));
    let a = random.below(to.len() / length) * length;
    let b = random.below(from.len() / length) * length;
    if let (Some(to), Some(from)) = (to.get_mut(a..a + length), from.get(b..b + length)) {
        to.copy_from_slice(from);
    }
}

fn insert(section: &mut Vec<u8>, length: usize, random: &mut Random) {
    let records = section.len() / length;
    let from = random.below(records) * length;
    let to = random.below(records + 1) * length;
    if section.len() < MOST && from + length <= section.len() {
        let record = section[from..from + length].to_vec();
        section.splice(to..to, record);
    }
}

fn remove(section: &mut Vec<u8>, length: usize, random: &mut Random) {
    let at = random.below(section.len() / length) * length;
    if at + length <= section.len() {
        section.drain(at..at + length);
    }
}

fn resize(section: &mut Vec<u8>, random: &mut Random) {
    let length = match random.chance(2) {
        true => random.below(section.len() + 1),
        false => (section.len() + random.below(40)).min(MOST),
    };
    section.resize(length, random.word() as u8);
}

fn nodes(file: &mut File) -> &mut [NodeRecord] {
    let nodes = file.section_mut(section::NODES).as_mut_slice();
    let whole = nodes.len() / size_of::<NodeRecord>() * size_of::<NodeRecord>();
    <[NodeRecord]>::mut_from_bytes(&mut nodes[..whole]).unwrap_or_default()
}

/// Puts a node of another file in the place of one, with its weights; inputs
/// and output stay.
fn graft(file: &mut File, other: &File, random: &mut Random) {
    let from = other.section(section::NODES);
    let Ok(from) = <[NodeRecord]>::ref_from_bytes(from) else {
        return;
    };
    let Some(&donor) = from.get(random.below(from.len())) else {
        return;
    };
    let at = random.below(nodes(file).len());
    let Some(&old) = nodes(file).get(at) else {
        return;
    };
    let mut new = donor;
    (new.first_input, new.inputs, new.output) = (old.first_input, old.inputs, old.output);
    (new.name, new.name_length) = (old.name, old.name_length);
    // Whether the node is one of integers follows from its output's type.
    for (weights, bias) in [
        (section::WEIGHTS, section::WEIGHTS),
        (section::BYTES, section::WORDS),
    ] {
        let mut move_over = |kind: u16, start: U32, length: U32| {
            let width = fields(kind).1;
            let start = start.get() as usize * width;
            let end = start.saturating_add(length.get() as usize * width);
            let content = other.section(kind).get(start..end)?;
            let to = file.section_mut(kind);
            let place = to.len() / width;
            to.truncate(place * width);
            (to.len() < MOST).then(|| to.extend_from_slice(content))?;
            Some(U32::new(place as u32))
        };
        if donor.weights_length.get() > 0 {
            new.weights =
                move_over(weights, donor.weights, donor.weights_length).unwrap_or(new.weights);
        }
        if donor.bias_length.get() > 0 {
            new.bias = move_over(bias, donor.bias, donor.bias_length).unwrap_or(new.bias);
        }
    }
    nodes(file)[at] = new;
}

/// Gives a tensor other small sizes.
fn shape(file: &mut File, random: &mut Random) {
    let tensors = file.section_mut(section::TENSORS);
    let at = random.below(tensors.len() / 32) * 32 + 4 * random.below(3);
    if let Some(size) = tensors.get_mut(at..at + 4) {
        size.copy_from_slice(&(1 + random.below(20) as u32).to_le_bytes());
    }
}

/// Gives a node another operator, activation or small attribute.
fn operator(file: &mut File, random: &mut Random) {
    let at = random.below(nodes(file).len());
    let Some(node) = nodes(file).get_mut(at) else {
        return;
    };
    let small = random.below(12) as u16;
    match random.below(4) {
        0 => node.op.set(random.below(25) as u16),
        1 => node.activation.set(small),
        _ => node.ints[random.below(12)].set(small),
    }
}

/// Bytes of the whole file: header and section table among them.
fn damage<'b>(bytes: &'b mut [u8], random: &mut Random) -> &'b mut [u8] {
    let within = if random.chance(2) { 320 } else { bytes.len() };
    let length = bytes.len();
    match random.below(4) {
        0 => return &mut bytes[..random.below(length)],
        1 => bytes[random.below(within)] ^= 1 << random.below(8),
        2 => {
            // Never the byte that is there.
            let byte = &mut bytes[random.below(within)];
            *byte = byte.wrapping_add(1 + random.below(255) as u8);
        }
        _ => {
            let at = random.below(within / 4) * 4;
            let word = read(&bytes[at..at + 4]);
            let new = random.pick(&NUMBERS);
            let new = if new == word {
                word.wrapping_add(1)
            } else {
                new
            };
            bytes[at..at + 4].copy_from_slice(new.as_bytes());
        }
    }
    bytes
}
