//! On every board: what is wrong is an error with numbers, in the answer, the
//! log and on the display, after few instructions; nothing hangs.

use foveola::aligned::AlignedBytes;
use foveola::crosscheck::Device;
use foveola_core::Error;
use foveola_core::net::model::Model;
use foveola_tests::root;

use super::board::{Answer, BOARDS, Files, Folder, available, program, run_batch};
use super::display::{COLUMNS, ROWS, failure, shown};

const PIXELS: [u8; 7 * 6 * 3] = [90; 7 * 6 * 3];

/// Instructions after which a program that found an error has ended: about
/// three times what hashing itself, reading, checking and running the small
/// network takes.
const SOON: u64 = 300_000_000;

fn small() -> Vec<u8> {
    std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture")
}

/// A model with one bit changed, and what this machine says of it.
fn corrupt() -> (Vec<u8>, Error) {
    let mut bytes = small();
    bytes[1500] ^= 0x10;
    let error = Model::from_bytes(&AlignedBytes::copy_of(&bytes)).expect_err("it is corrupt");
    (bytes, error)
}

/// The answer, the log and the picture of the display name the error.
fn named(board: &str, answer: &Answer, wanted: &Error, numbers: &[&str]) {
    let words = wanted.to_string();
    assert_eq!(answer.get("error"), words, "{board}: {}", answer.log);
    let ended: u64 = answer.get("ended").parse().expect("instructions");
    assert!((1_000..SOON).contains(&ended), "{board}: {words}: {ended}");
    // Without defmt-print the log is not readable.
    if answer.log.contains("INFO") {
        let lines = answer.log.lines().filter(|line| line.contains("ERROR"));
        let line = |line: &str| numbers.iter().all(|n| line.contains(n));
        assert!(
            lines.clone().any(line),
            "{board}: {numbers:?}: {}",
            answer.log
        );
    }
    let file = answer.file("fail.ppm");
    let pixels = file.strip_prefix(b"P6 128 64 255\n").expect("the header");
    assert_eq!(pixels.len(), 3 * COLUMNS * ROWS);
    let white: Vec<bool> = pixels.chunks(3).map(|p| p == [255; 3]).collect();
    let drawn = failure(&words);
    assert!(
        white == drawn,
        "{board}:\n{}\n{}",
        shown(&white),
        shown(&drawn)
    );
}

fn job(text: &str, files: &[(&'static str, &[u8])]) -> Files {
    let text = format!("picture=p.bin\nscreen=1\n{text}");
    let mut all = vec![("job.txt", text.into_bytes()), ("p.bin", PIXELS.to_vec())];
    all.extend(files.iter().map(|(name, bytes)| (*name, bytes.to_vec())));
    all
}

/// One emulation a board; the last job still gets its answer.
#[test]
fn errors_on_every_board() {
    if !available() {
        return;
    }
    let (bytes, corrupt) = corrupt();
    let mut tensor = vec![0.25f32; PIXELS.len()];
    tensor[50] = f32::NAN;
    let tensor: Vec<u8> = tensor.iter().flat_map(|v| v.to_le_bytes()).collect();
    let jobs = [
        ("size", job("shape=6/7/3\n", &[])),
        ("arena", job("arena=1680\n", &[])),
        ("model", job("model=m.fov\n", &[("m.fov", &bytes)])),
        ("short", job("model=m.fov\n", &[("m.fov", &small()[..900])])),
        (
            "nan",
            job("format=f32\npicture=t.bin\n", &[("t.bin", &tensor)]),
        ),
        (
            "endless",
            job("limit=20\nmethod=rise:masks=4000000000,baseline=0\n", &[]),
        ),
    ];
    let jobs = jobs.map(|(name, files)| (name.to_owned(), files));
    for board in BOARDS {
        let answers = run_batch(board, &jobs);
        let [size, arena, model, short, nan, endless] = answers.as_slice() else {
            panic!("{board}: {} answers", answers.len());
        };
        assert_eq!(size.code, 1, "{board}: {}", size.log);
        let shapes = Error::ShapeMismatch {
            expected: foveola_core::Shape::new(7, 6, 3),
            found: foveola_core::Shape::new(6, 7, 3),
        };
        named(board, size, &shapes, &["7", "6"]);
        let need = Error::ArenaTooSmall {
            need: 1696,
            have: 1680,
        };
        named(board, arena, &need, &["1696", "1680"]);
        named(board, model, &corrupt, &[]);
        let ends = Model::from_bytes(&AlignedBytes::copy_of(&small()[..900])).expect_err("short");
        named(board, short, &ends, &["900"]);
        named(board, nan, &Error::PictureNotFinite, &[]);
        let words: Vec<&str> = endless.get("outcome.0").split(' ').collect();
        assert_eq!((words[0], words[2]), ("partial", "4000000000"), "{board}");
        assert_eq!(endless.get("done"), "1", "{board}");
    }
}

/// One bit of the linked model flipped in the program's file.
#[test]
fn corrupt_model_in_flash() {
    if !available() {
        return;
    }
    let sound = small();
    let (corrupt, error) = corrupt();
    for board in BOARDS {
        let mut elf = std::fs::read(program(board)).expect("the program");
        let places: Vec<usize> = (0..elf.len() - sound.len())
            .filter(|at| elf[*at..].starts_with(&sound))
            .collect();
        let [at] = places.as_slice() else {
            panic!("{board}: the model lies at {places:?}");
        };
        elf[*at..*at + corrupt.len()].copy_from_slice(&corrupt);
        let folder = Folder::new().file("p.bin", &PIXELS).file("program", &elf);
        let elf = folder.path().join("program");
        let answer = folder.run_program(board, "picture=p.bin\nscreen=1\n", Some(&elf));
        assert_eq!(answer.code, 1, "{board}: {}", answer.log);
        named(board, &answer, &error, &[]);
    }
}

/// RAM and flash as `crosscheck` believes them, in the board's own words and
/// in the linker's script.
#[test]
fn sizes_of_boards() {
    if !available() {
        return;
    }
    assert_eq!(Device::ALL.map(|device| device.board), BOARDS);
    for device in Device::ALL {
        let job = "picture=p.bin\narena=99999999\n";
        let answer = Folder::new().file("p.bin", &PIXELS).run(device.board, job);
        let taken: usize = [job.len(), PIXELS.len(), 3 * 4]
            .map(|n| n.next_multiple_of(16))
            .iter()
            .sum();
        let there = device.pool - taken;
        let words = format!("a buffer is too small: 99999999 elements needed, {there} there");
        assert_eq!(answer.get("error"), words, "{}", device.board);
        let script = format!("firmware/memory/{}/memory.x", device.board);
        let script = std::fs::read_to_string(root().join(script)).expect("the script");
        let flash = script
            .lines()
            .find(|line| line.contains("FLASH :"))
            .expect("flash");
        // What lies below the program is not all flash: a hole, but for the vectors.
        let hole = script.lines().find_map(|line| {
            let at = line.strip_prefix("_stext = 0x")?.strip_suffix(";")?;
            usize::from_str_radix(at, 16).ok()
        });
        let region = device.flash + hole.unwrap_or(0);
        let length = match region >> 20 {
            0 => format!("LENGTH = {}K", region >> 10),
            megabytes => format!("LENGTH = {megabytes}M"),
        };
        assert!(
            flash.ends_with(&length),
            "{}: {flash}, not {length}",
            device.board
        );
    }
}
