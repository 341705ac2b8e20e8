//! `.fvu` files: what is written is read, and nothing else is.

use foveola::accelerate::file;
use foveola::aligned::AlignedBytes;
use foveola_core::accelerator::program::{Program, ProgramError, Scores};

use super::mock::{COMMANDS, facts, program};

fn error(bytes: &[u8]) -> Option<ProgramError> {
    Program::from_bytes(&AlignedBytes::copy_of(bytes)).err()
}

/// CRC-32C bit by bit (RFC 3720, appendix B.4).
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn stream(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_file_is_read_as_it_was_written() {
    for scores in [
        Scores::Probabilities,
        Scores::Softmax,
        Scores::Sigmoid,
        Scores::Plain,
    ] {
        let facts = facts(scores);
        let file = program(&facts);
        let read = Program::from_bytes(&file).expect("a program");
        assert_eq!(read.facts(), &facts);
        assert_eq!(read.commands(), stream(&COMMANDS));
        assert_eq!(read.weights(), [7; 40]);
        assert_eq!(sealed(file.to_vec()), file.to_vec());
    }
}

#[test]
fn every_truncation_is_an_error() {
    let file = program(&facts(Scores::Plain));
    for length in 0..file.len() {
        let found = error(&file[..length]);
        let need = if length < 128 { 128 } else { file.len() };
        let expected = ProgramError::Truncated { need, have: length };
        assert_eq!(found, Some(expected), "{length}");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(error(&longer), Some(ProgramError::BadLength));
}

#[test]
fn every_changed_byte_is_an_error() {
    let file = program(&facts(Scores::Plain));
    for at in 0..file.len() {
        for change in [1, 0x80, 0xFF] {
            let mut bytes = file.to_vec();
            bytes[at] ^= change;
            assert!(error(&bytes).is_some(), "byte {at} ^ {change:#x}");
        }
    }
}

/// With a checksum that is right, what is still a program keeps its promises.
#[test]
fn a_changed_byte_with_a_right_checksum_never_leads_outside() {
    let file = program(&facts(Scores::Plain));
    let mut refused = 0;
    for at in 0..128 {
        for value in 0..=255 {
            let mut bytes = file.to_vec();
            bytes[at] = value;
            let bytes = AlignedBytes::copy_of(&sealed(bytes));
            let Ok(read) = Program::from_bytes(&bytes) else {
                refused += 1;
                continue;
            };
            let facts = read.facts();
            assert!(
                facts.input_at + facts.input.len() <= facts.scratch,
                "byte {at}"
            );
            assert!(
                facts.output_at + facts.classes <= facts.scratch,
                "byte {at}"
            );
            assert!(facts.classes > 0 && !facts.input.is_empty(), "byte {at}");
            assert!(facts.input_as.scale > 0.0 && facts.output_as.scale.is_finite());
            assert!(read.commands().as_ptr().addr().is_multiple_of(16));
            assert!(read.weights().as_ptr().addr().is_multiple_of(16));
            assert!(read.commands().ends_with(&[0, 0, 0xFF, 0xFF]));
        }
    }
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn each_rule_has_its_error() {
    let good = program(&facts(Scores::Plain)).to_vec();
    let with = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        error(&sealed(bytes))
    };
    use ProgramError as E;
    assert_eq!(with(0, 0), Some(E::BadMagic));
    assert_eq!(with(4, 2 | 128 << 16), Some(E::BadVersion { found: 2 }));
    assert_eq!(with(4, 1 | 112 << 16), Some(E::BadVersion { found: 1 }));
    for (at, word) in [
        (24, 16),
        (24, 132),
        (28, 0),
        (28, 5000),
        (32, u32::MAX),
        (36, 41),
    ] {
        assert_eq!(with(at, word), Some(E::BadSection), "{at}");
    }
    assert_eq!(with(28, 12), Some(E::BadCommands));
    for (at, word) in [
        (40, 1471),
        (48, 609),
        (52, 2046),
        (56, 0),
        (68, 0),
        (56, 1 << 31),
    ] {
        assert_eq!(with(at, word), Some(E::BadShape), "{at}");
    }
    let nan = f32::NAN.to_bits();
    for (at, word) in [
        (72, 0),
        (72, nan),
        (80, (-1.0_f32).to_bits()),
        (76, 128),
        (84, 1 << 20),
    ] {
        assert_eq!(with(at, word), Some(E::BadQuantisation), "{at}");
    }
    assert_eq!(with(120, 4), Some(E::BadScores));
    assert_eq!(with(124, 1), Some(E::BadScores));
    assert_eq!(with(120, 3), None);
    let lying = AlignedBytes::copy_of(&[&[0; 4][..], &good].concat());
    let found = Program::from_bytes(&lying[4..]).err();
    assert_eq!(found, Some(E::Misaligned { offset: 4 }));
}

/// A stream that does not stop, stops early, or is cut inside a command.
#[test]
fn only_whole_command_streams_are_read() {
    let facts = facts(Scores::Plain);
    for (words, whole) in [
        (&[0xFFFF_0000][..], true),
        (&[0x4030, 0, 0xFFFF_0000], true),
        (&[0x4030, 0xFFFF_0000], false),
        (&[0xFFFF_0000, 0xFFFF_0000], false),
        (&[0x105], false),
        (&[0x0000_0000], false),
        (&[0x8030, 0, 0xFFFF_0000], false),
    ] {
        let bytes = file(&facts, &stream(words), &[7; 40]);
        let expected = (!whole).then_some(ProgramError::BadCommands);
        assert_eq!(error(&bytes), expected, "{words:x?}");
    }
    let mut odd = stream(&COMMANDS);
    odd.push(0);
    let bytes = file(&facts, &odd, &[7; 40]);
    assert_eq!(error(&bytes), Some(ProgramError::BadCommands));
}
