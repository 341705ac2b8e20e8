//! Broken and hostile TFLite files: a typed error that says what and where,
//! never a panic, never a flood of memory, in little time.

use std::time::{Duration, Instant};

use foveola::import::tflite::TfliteError;
use foveola::import::{ImportError, Options, from_bytes};
use foveola_tests::malformed::tflite::{add, convolution, int8, weights, with, wrong};
use foveola_tests::tflite::{Piece, Step, folder, names};
use tract_tflite::tflite::BuiltinOperator;

fn error(bytes: &[u8]) -> ImportError {
    let start = Instant::now();
    let result = from_bytes(bytes, None, &Options::default());
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it takes too long"
    );
    result.map(|_| ()).expect_err("it must not load")
}

#[test]
fn files_made_wrong_say_what_is_wrong() {
    // The sound ones are sound: only that they have no vector of scores is said.
    // Some writers leave a dimension that does not exist beside a single scale.
    let odd = with(int8(), |f| f.tensors[3].dimension = 3);
    for sound in [convolution(), int8(), odd] {
        let text = error(&sound.bytes()).to_string();
        assert!(
            text.contains("no output serves as a vector of scores"),
            "{text}"
        );
    }
    let cases = wrong();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for (i, (_, (file, words))) in cases.iter().enumerate() {
        let text = error(&file.bytes()).to_string();
        for word in *words {
            assert!(text.contains(word), "case {i}: {word:?} is not in: {text}");
        }
        assert!(text.lines().count() < 20, "one screen");
    }
}

#[test]
fn what_is_cut_off_or_of_another_kind_is_named() {
    let bytes = convolution().bytes();
    assert!(matches!(
        error(&bytes[..bytes.len() / 2]),
        ImportError::Tflite(TfliteError::Decode { .. })
    ));
    let text = error(b"\x10\0\0\0TFL3").to_string();
    assert!(text.contains("not a TFLite model"), "{text}");
    let mut onnx = bytes;
    onnx[4..8].copy_from_slice(b"TFL2");
    assert!(matches!(error(&onnx), ImportError::Decode { .. }));
}

#[test]
fn every_truncation_is_an_error() {
    let path = folder().join("conv_int8.tflite");
    let bytes = std::fs::read(path).expect("the file is there");
    for length in 0..bytes.len() {
        error(&bytes[..length]);
    }
}

#[test]
fn changed_bytes_never_panic() {
    let start = Instant::now();
    let (mut files, mut errors) = (0, 0);
    for (i, name) in names("int8").iter().chain(&names("float")).enumerate() {
        let bytes = std::fs::read(folder().join(format!("{name}.tflite"))).expect("a file");
        for place in (i % 3..bytes.len()).step_by(3) {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[place] ^= flip;
                files += 1;
                errors += usize::from(from_bytes(&broken, None, &Options::default()).is_err());
            }
        }
    }
    assert!(errors > files / 10, "{errors} of {files} are noticed");
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{files} files took too long"
    );
}

#[test]
fn wild_offsets_never_panic() {
    let bytes = std::fs::read(folder().join("slices_int8.tflite")).expect("a file");
    for place in (0..bytes.len().saturating_sub(4)).step_by(4) {
        for wild in [
            0x7fff_ffff_u32,
            0x8000_0000,
            0xffff_fff0,
            bytes.len() as u32,
        ] {
            let mut broken = bytes.clone();
            broken[place..place + 4].copy_from_slice(&wild.to_le_bytes());
            let _ = from_bytes(&broken, None, &Options::default());
        }
    }
}

#[test]
fn one_constant_read_many_times_is_refused() {
    let mut file = convolution();
    let count = 60_000;
    let big = 1 << 14;
    file.tensors[0].shape = vec![1, 128, 128, 1];
    file.tensors[1].shape = vec![1, 128, 128, 1];
    file.tensors[2] = weights(&[1, 128, 128, 1]);
    file.tensors.truncate(3);
    assert_eq!(file.tensors[2].data.len(), 4 * big);
    file.operators.clear();
    for i in 0..count {
        file.tensors.push(Piece::float(&[1, 128, 128, 1]));
        let input = if i == 0 { 0 } else { i + 2 };
        file.operators.push(Step {
            code: BuiltinOperator::ADD,
            inputs: vec![input, 2],
            outputs: vec![i + 3],
            options: Some(add),
        });
    }
    file.outputs = vec![count + 2];
    let text = error(&file.bytes()).to_string();
    assert!(
        text.contains("more constants than its file can hold"),
        "{text}"
    );
}
