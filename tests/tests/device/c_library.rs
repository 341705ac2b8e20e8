//! A firmware in C (`tests/c`) asks `libfoveola.a` about a classifier of its
//! own in QEMU; the methods on this machine ask the same formula, written again
//! in Rust, and must get the same bits. What is refused gets its code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foveola_core::explain::hoc::{Mode, Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{
    Hoc, HocMethod, Method, Occlusion, Outcome, Progress, Query, Rise, Silent,
};
use foveola_core::{Classifier, Error, Fill, Masked, Normalisation, Picture, Score, Shape};
use foveola_tests::root;
use tempfile::TempDir;

use super::board::available;

const SHAPE: Shape = Shape::new(24, 20, 3);
const CLASSES: usize = 3;
const STEPS: usize = 64;
const TARGETS: [usize; 2] = [1, 0];
const SEED: u64 = 0x1234_5678_9abc_def0;

/// Whether there is a compiler of C for Arm. Where `CI` is set it must be there.
fn compiler() -> bool {
    let there = Command::new("arm-none-eabi-gcc").arg("--version").output();
    assert!(
        there.is_ok() || std::env::var_os("CI").is_none(),
        "CI is set and arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi"
    );
    if there.is_err() {
        println!("skipped: arm-none-eabi-gcc is not there (apt-get install gcc-arm-none-eabi)");
    }
    there.is_ok()
}

fn done(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

/// `libfoveola.a`.
fn library() -> PathBuf {
    let firmware = root().join("firmware");
    let target = "thumbv7em-none-eabihf";
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--release", "-p", "foveola-c"])
        .args(["--target", target])
        .current_dir(&firmware)
        .env_remove("RUSTFLAGS")
        .output();
    done(&built.expect("cargo runs"));
    firmware
        .join("target")
        .join(target)
        .join("release/libfoveola.a")
}

/// Compiles and links `main` with the library; a panic that could be reached
/// would leave an undefined symbol. Optimised as a firmware is, without fusing
/// products into sums, which this machine does not do either.
fn program(main: &Path, elf: &Path) {
    let (tests, header) = (root().join("tests/c"), root().join("firmware/c/include"));
    let built = Command::new("arm-none-eabi-gcc")
        .args(["-std=c99", "-O2", "-ffreestanding", "-ffp-contract=off"])
        .args(["-Wall", "-Wextra", "-Werror"])
        .args(["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16"])
        .args(["-mfloat-abi=hard", "-nostdlib", "-I"])
        .args([&header, Path::new("-I"), &tests])
        .args([main, &tests.join("start.c"), &library()])
        .args(["-lgcc", "-Wl,--gc-sections,-z,noexecstack", "-T"])
        .args([&tests.join("link.ld"), Path::new("-o"), elf])
        .output();
    done(&built.expect("the compiler runs"));
}

/// What the program printed: names and the rest of their lines.
fn emulated(elf: &Path) -> BTreeMap<String, String> {
    let ran = Command::new("timeout")
        .args(["300", "qemu-system-arm", "-M", "mps2-an386"])
        .args(["-display", "none", "-monitor", "none", "-serial", "null"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(elf)
        .output();
    let said = done(&ran.expect("QEMU runs"));
    assert!(said.ends_with("end\n"), "{said}");
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What the engine stores.
#[derive(Clone, Copy)]
enum Element {
    Real,
    Signed,
    Unsigned,
}

/// The classifier of `tests/c/main.c`.
struct Engine(Element);

fn weight(i: usize, k: usize) -> i32 {
    const BOXES: [[usize; 4]; CLASSES] = [[2, 2, 8, 9], [10, 8, 20, 16], [4, 12, 12, 19]];
    let (y, x) = (i / 60, i / 3 % 20);
    let [top, left, bottom, right] = BOXES[k];
    let inside = (top..bottom).contains(&y) && (left..right).contains(&x);
    (if inside { 6 } else { -1 }) + ((i * 7 + k * 3) % 5) as i32 - 2
}

/// Rounded with halves away from zero, stored, and read again without its zero point.
fn steps(real: f32, zero_point: i32, (least, most): (i32, i32)) -> i32 {
    let stored = (real / (1.0 / 64.0)).round() as i32 + zero_point;
    stored.clamp(least, most)
}

impl Engine {
    fn logit(&self, input: &[f32], k: usize) -> f32 {
        let integers = |zero_point, range, offset| {
            let terms = input.iter().enumerate();
            let terms = terms.map(|(i, x)| (steps(*x, zero_point, range) - offset) * weight(i, k));
            terms.sum::<i32>() as f32 / 65536.0
        };
        match self.0 {
            Element::Signed => integers(-3, (-128, 127), 0),
            Element::Unsigned => integers(121, (0, 255), 121),
            Element::Real => {
                let terms = input.iter().enumerate();
                let sum = terms.fold(0.25, |sum, (i, x)| sum + x * weight(i, k) as f32);
                sum / 64.0
            }
        }
    }
}

impl Classifier for Engine {
    fn input(&self) -> Shape {
        SHAPE
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let mut input = vec![0.0; SHAPE.len()];
        for (y, row) in input.chunks_exact_mut(SHAPE.row()).enumerate() {
            x.row(y, row)?;
        }
        for (k, out) in out.iter_mut().enumerate().take(CLASSES) {
            let logit = self.logit(&input, k);
            *out = match score {
                Score::Logit => logit,
                Score::Probability => 0.5 + 0.5 * (logit / (1.0 + logit.abs())),
            };
        }
        Ok(())
    }
}

/// The pictures of `tests/c/main.c`.
struct Pictures {
    pixels: Vec<u8>,
    tensor: Vec<f32>,
    other: Vec<f32>,
    normalisation: Normalisation,
}

impl Pictures {
    fn new() -> Self {
        let pixel = |i: usize| {
            let (y, x) = (i / 60, i / 3 % 20);
            let bright = (9..21).contains(&y) && (7..17).contains(&x);
            (if bright { 180 } else { 60 }) + (i * 37 % 59) as u8
        };
        let pixels: Vec<u8> = (0..SHAPE.len()).map(pixel).collect();
        let real = |p: &u8| f32::from(i16::from(*p) - 110) / 80.0;
        Self {
            tensor: pixels.iter().map(real).collect(),
            other: (0..SHAPE.len())
                .map(|i| (i as i32 * 11 % 23 - 11) as f32 / 16.0)
                .collect(),
            pixels,
            normalisation: Normalisation {
                mean: [100.0, 110.0, 120.0, 0.0],
                scale: [0.0125, 0.0125, 0.0125, 0.0],
            },
        }
    }

    fn pixels(&self) -> Picture<'_> {
        Picture::Pixels {
            shape: SHAPE,
            data: &self.pixels,
            normalisation: &self.normalisation,
        }
    }
}

const fn tensor(data: &[f32]) -> Picture<'_> {
    Picture::Tensor { shape: SHAPE, data }
}

fn words(words: &[u32]) -> String {
    words.iter().map(|word| format!("{word:08x} ")).collect()
}

fn bits(values: &[f32]) -> String {
    values
        .iter()
        .map(|v| format!("{:08x} ", v.to_bits()))
        .collect()
}

/// One question, answered here.
struct Question<'q> {
    picture: Picture<'q>,
    targets: &'q [usize],
    score: Score,
    /// Stops there, if it should.
    most: Option<u64>,
}

struct StopAt(u64);

impl Progress for StopAt {
    fn step(&mut self, done: u64, _total: u64) -> bool {
        done < self.0
    }
}

/// The line that the program prints after a name.
fn answer(element: Element, method: &dyn Method, question: &Question<'_>) -> String {
    let mut engine = Engine(element);
    let count = question.targets.len();
    let shape = method.map_shape(&mut engine).expect("a shape");
    let scratch = method.cost(&mut engine, count).expect("a cost").scratch;
    let query = Query {
        picture: question.picture,
        targets: question.targets,
        score: Some(question.score),
        seed: SEED,
    };
    let (mut maps, mut scratch) = (vec![0.0; shape.len() * count], vec![0.0; scratch]);
    let mut outcomes = vec![Outcome::Flat; count];
    let mut stop = question.most.map(StopAt);
    let progress: &mut dyn Progress = match &mut stop {
        Some(stop) => stop,
        None => &mut Silent,
    };
    method
        .explain(
            &mut engine,
            &query,
            &mut maps,
            &mut outcomes,
            &mut scratch,
            progress,
        )
        .expect("an answer");
    let mut line = String::new();
    for outcome in outcomes {
        let (kind, done, total, reason) = match outcome {
            Outcome::Ok => (0, 0, 0, ""),
            Outcome::Flat => (1, 0, 0, ""),
            Outcome::Undefined(reason) => (2, 0, 0, reason),
            Outcome::Partial { done, total } => (3, done as u32, total as u32, ""),
        };
        line += &format!("{}{reason}|", words(&[kind, done, total]));
    }
    line + &bits(&maps)
}

/// The two lines of a search.
fn searched(picture: Picture<'_>, mode: Mode, threshold: f32) -> [String; 2] {
    let hoc = Hoc {
        mode,
        threshold,
        windows: &[10, 4],
        strides: &[5, 2],
        fill: FILL,
        ..Hoc::default()
    };
    let (mut steps, mut boxes) = ([Step::UNUSED; STEPS], [UNUSED_WINDOW; STEPS]);
    let question = Question {
        picture,
        targets: &TARGETS[..1],
        score: Score::Probability,
        most: None,
    };
    let storage = RefCell::new(Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    });
    let first = answer(Element::Signed, &HocMethod { hoc, storage }, &question);
    let mut storage = Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    };
    let asked = (picture, TARGETS[0], Score::Probability);
    let mut engine = Engine(Element::Signed);
    let found = hoc.search(
        &mut engine,
        asked,
        &mut storage,
        &mut [0.0; CLASSES],
        &mut Silent,
    );
    let Ok(region) = found.expect("an answer") else {
        return [first, words(&[0; 4])];
    };
    let head = [
        region.passes as u32,
        region.steps as u32,
        region.layers as u32,
        1,
    ];
    let scores: Vec<f32> = region.probabilities().collect();
    let mut tree = words(&head) + &bits(&scores);
    for step in &steps[..region.steps] {
        let window = step.window;
        let sides = [step.layer, window.y, window.x, window.h, window.w];
        let parent = step.parent.map_or(u32::MAX, |parent| parent as u32);
        tree += &words(&sides.map(|side| side as u32));
        tree += &words(&[parent]);
        tree += &bits(&[step.probability, step.change]);
    }
    [first, tree]
}

const FILL: Fill<'static> = Fill::Colour([0.0, -0.25, -0.5, 0.0]);

/// What this machine answers to the questions of `tests/c/main.c`.
fn expected() -> BTreeMap<String, String> {
    let pictures = Pictures::new();
    let occlusion = |channels: usize, fill| Occlusion {
        window: (channels > 0).then_some([channels, 5, 4]),
        stride: (channels > 0).then_some([0, 3, 3]),
        fill,
        mindspore: false,
    };
    let rise = |by_coverage, fill| Rise {
        masks: 60,
        grid: 5,
        by_coverage,
        fill,
        ..Rise::default()
    };
    let question = |picture, score, most| Question {
        picture,
        targets: &TARGETS,
        score,
        most,
    };
    let pixels = question(pictures.pixels(), Score::Probability, None);
    let stopped = question(pictures.pixels(), Score::Probability, Some(17));
    let reals = question(tensor(&pictures.tensor), Score::Logit, None);
    let other = Fill::Picture(tensor(&pictures.other));
    let (signed, unsigned) = (Element::Signed, Element::Unsigned);
    let mut lines = BTreeMap::new();
    let mut ask = |name: &str, element, method: &dyn Method, question: &Question<'_>| {
        lines.insert(name.to_owned(), answer(element, method, question));
    };
    ask("occlusion_i8", signed, &occlusion(0, FILL), &pixels);
    ask("occlusion_u8", unsigned, &occlusion(3, FILL), &pixels);
    ask("occlusion_f32", Element::Real, &occlusion(1, FILL), &pixels);
    ask("rise_i8", signed, &rise(false, FILL), &pixels);
    ask("rise_u8", unsigned, &rise(true, FILL), &pixels);
    ask(
        "tensor_occlusion",
        Element::Real,
        &occlusion(0, other),
        &reals,
    );
    ask("tensor_rise", Element::Real, &rise(false, other), &reals);
    ask("stopped_rise", signed, &rise(false, FILL), &stopped);
    ask("stopped_occlusion", signed, &occlusion(0, FILL), &stopped);
    for (name, mode, threshold) in [
        ("reveal", Mode::Reveal, 0.6),
        ("cover", Mode::Cover, 0.4),
        ("unreached", Mode::Reveal, 0.999),
    ] {
        let [map, tree] = searched(pictures.pixels(), mode, threshold);
        lines.insert(name.to_owned(), map);
        lines.insert(format!("{name}.tree"), tree);
    }
    lines
}

/// Name, code, and what comes with it, of every call that is refused, between
/// calls of the same kind that are not. Codes up to 25 are rows of the table of
/// errors in `host/docs/link.md`, the others those of `foveola.h`.
const REFUSED: [(&str, i32, i32, [u32; 3], &str); 52] = [
    ("fine", 0, 0, [0; 3], ""),
    ("no_height", 21, 0, [0; 3], "sides of the engine's input"),
    ("huge", 21, 0, [0; 3], "sides of the engine's input"),
    ("wrapping", 21, 0, [0; 3], "sides of the engine's input"),
    ("classes", 21, 0, [0; 3], "classes of the engine"),
    ("engine_element", 21, 0, [0; 3], "element of the engine"),
    (
        "engine_scale",
        21,
        0,
        [0; 3],
        "scale or zero point of the engine",
    ),
    (
        "zero_point",
        21,
        0,
        [0; 3],
        "scale or zero point of the engine",
    ),
    ("no_input", 64, 0, [0; 3], "input of the engine"),
    ("no_scores", 64, 0, [0; 3], "scores of the engine"),
    ("no_picture", 64, 0, [0; 3], "picture"),
    ("element", 21, 0, [0; 3], "element of the picture"),
    ("forgotten_scale", 21, 0, [0; 3], "scale of the picture"),
    ("nan_scale", 17, 0, [0; 3], ""),
    ("nan_fill", 17, 0, [0; 3], ""),
    ("no_targets", 21, 0, [0; 3], "number of targets"),
    ("many_targets", 21, 0, [0; 3], "number of targets"),
    ("target", 16, 0, [3, 3, 0], ""),
    ("score", 21, 0, [0; 3], "kind of score"),
    ("masks", 21, 0, [0; 3], "number of masks"),
    ("grid", 21, 0, [0; 3], "cells of a RISE mask"),
    ("wide_grid", 21, 0, [0; 3], "cells of a RISE mask"),
    ("keep", 21, 0, [0; 3], "share of kept cells"),
    ("flag", 21, 0, [0; 3], "by_coverage"),
    ("map", 14, 0, [960, 959, 0], ""),
    ("outcomes", 14, 0, [2, 1, 0], ""),
    ("scratch", 14, 0, [348, 344, 0], "scratch"),
    ("little_scratch", 14, 0, [240, 8, 0], "scratch"),
    ("no_map", 64, 0, [0; 3], "maps"),
    ("odd_map", 65, 0, [0; 3], "maps"),
    ("endless_map", 21, 0, [0; 3], "maps"),
    ("overlap", 66, 0, [0; 3], ""),
    ("own_input", 66, 0, [0; 3], ""),
    ("engine_fails", 24, -7, [0; 3], ""),
    ("engine_forgets", 19, 0, [1, 0, 0], ""),
    ("no_engine", 64, 0, [0; 3], "engine"),
    ("no_question", 64, 0, [0; 3], "question"),
    ("no_parameters", 64, 0, [0; 3], "parameters"),
    ("no_answer", 64, 0, [0; 3], ""),
    ("occlusion_scratch", 14, 0, [260, 256, 0], "scratch"),
    ("window", 21, 0, [0; 3], "window of occlusion"),
    ("hoc_targets", 21, 0, [0; 3], "number of targets"),
    ("hoc_fine", 0, 0, [0; 3], ""),
    ("no_region", 64, 0, [0; 3], "region"),
    ("hoc_scratch", 14, 0, [5116, 5112, 0], "scratch"),
    ("small_tree", 14, 0, [2, 1, 0], ""),
    ("layers", 21, 0, [0; 3], "layers of HOC"),
    ("windows", 21, 0, [0; 3], "windows of HOC"),
    ("mode", 21, 0, [0; 3], "mode of HOC"),
    ("tree_overlap", 66, 0, [0; 3], ""),
    ("region_overlap", 66, 0, [0; 3], ""),
    ("odd_tree", 65, 0, [0; 3], "tree"),
];

#[test]
fn a_firmware_in_c_gets_the_same_bits_and_codes() {
    if !(available() && compiler()) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let elf = folder.path().join("c.elf");
    program(&root().join("tests/c/main.c"), &elf);
    let mut found = emulated(&elf);
    for (name, line) in expected() {
        let there = found.remove(&name).unwrap_or_default();
        assert_eq!(there.trim_end(), line.trim_end(), "{name}");
        assert!(line.contains('|') || name.ends_with(".tree"), "{name}");
    }
    for (name, code, engine, numbers, text) in REFUSED {
        let head = words(&[code as u32, engine as u32]);
        let line = format!("{head}{}|{text}", words(&numbers));
        assert_eq!(found.remove(name).unwrap_or_default(), line, "{name}");
    }
    assert!(found.is_empty(), "not compared: {found:?}");
}

/// C99 and C++ take the header without a word, also twice.
#[test]
fn the_header_compiles_as_c_and_cpp() {
    if !compiler() {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let includes = "#include \"foveola.h\"\n#include \"foveola.h\"\n\
        foveola_rise_parameters r = FOVEOLA_RISE_DEFAULT;\n\
        foveola_occlusion_parameters o = FOVEOLA_OCCLUSION_DEFAULT;\n\
        foveola_hoc_parameters h = FOVEOLA_HOC_DEFAULT;\n\
        unsigned char scratch[FOVEOLA_RISE_SCRATCH(9, 9, 3, 2, 1, 1)];\n";
    for (program, standard, file) in [
        ("arm-none-eabi-gcc", "-std=c99", "header.c"),
        ("arm-none-eabi-gcc", "-std=c17", "header.c"),
        ("arm-none-eabi-g++", "-std=c++98", "header.cpp"),
        ("arm-none-eabi-g++", "-std=c++17", "header.cpp"),
    ] {
        let file = folder.path().join(file);
        std::fs::write(&file, includes).expect("a file");
        let checked = Command::new(program)
            .args([standard, "-ffreestanding", "-fsyntax-only"])
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
            .args([&root().join("firmware/c/include"), &file])
            .output();
        assert_eq!(done(&checked.expect("the compiler runs")), "", "{standard}");
    }
}
