//! What is wrong is named, with numbers, and ends the program: no hang, no panic.

use foveola::aligned::AlignedBytes;
use foveola_core::net::model::Model;
use foveola_tests::root;

use super::board::{Answer, Folder, available, run_batch};

const PIXELS: [u8; 7 * 6 * 3] = [90; 7 * 6 * 3];

fn small() -> Vec<u8> {
    std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture")
}

fn fails(folder: Folder, job: &str, words: &str) {
    let answer = folder.run("mps2-an386", job);
    let error = answer.get("error");
    assert_eq!((answer.code, error), (1, words), "{job}\n{}", answer.log);
}

#[test]
fn jobs_that_cannot_be() {
    if !available() {
        return;
    }
    let picture = || Folder::new().file("p.bin", &PIXELS);
    let fails = |job: &str, words: &str| fails(picture(), job, words);
    fails("", "line 0 of the job is wrong: picture=FILE");
    fails("picture=q.bin\n", "file q.bin cannot be read or written");
    fails("picture=p.bin\nmethod=x\n", "method 0 of the job is wrong");
    let shape = "shape 7x6x3 (height, width, channels) expected, 6x7x3 found";
    fails("picture=p.bin\nshape=6/7/3\n", shape);
    let arena = "the arena is too small: 1696 bytes needed, 1680 there";
    fails("picture=p.bin\narena=1680\n", arena);
    let target = "target 3 is out of range: the network has 3 classes";
    fails("picture=p.bin\ntarget=3\n", target);
    fails(
        "picture=job.txt\n",
        "a buffer is too small: 126 elements needed, 16 there",
    );
    let window = "parameter out of range: window of occlusion";
    fails("picture=p.bin\nmethod=occlusion:window=9\n", window);
    // The pool, less the job, the picture and the scores, each a multiple of 16.
    let large = "picture=p.bin\narena=99999999\n";
    fails(
        large,
        "a buffer is too small: 99999999 elements needed, 3145552 there",
    );
}

/// Jobs of one run: a failing one, also one whose folder is not there, says so
/// and does not end the others.
#[test]
fn batches_outlast_a_failing_job() {
    if !available() {
        return;
    }
    let job = |name: &str, text: &str| {
        let files = vec![("p.bin", PIXELS.to_vec()), ("job.txt", text.into())];
        (name.to_owned(), files)
    };
    let mut jobs = vec![
        job("a", "picture=p.bin\nmethod=gradient\n"),
        job("b", "picture=p.bin\nmethod=x\n"),
        job(&"n".repeat(60), "picture=p.bin\n"),
        job("c", "picture=p.bin\nlayers=1\n"),
    ];
    let answers = run_batch("mps2-an386", &jobs);
    let ends: Vec<_> = answers
        .iter()
        .map(|a| (a.get("done"), a.get("error")))
        .collect();
    let wrong = "method 0 of the job is wrong";
    assert_eq!(ends, [("1", ""), ("", wrong), ("", ""), ("1", "")]);
    assert_eq!(answers[0].code, 1, "one failed: {}", answers[0].log);
    assert_eq!(answers[0].bits("map0.bin").len(), PIXELS.len());
    assert_eq!(answers[3].bits("logits.bin"), answers[3].bits("layer5.bin"));
    jobs.retain(|(name, _)| ["a", "c"].contains(&name.as_str()));
    assert_eq!(run_batch("mps2-an386", &jobs)[0].code, 0, "none failed");
}

/// One byte of a model changed: the board says what this machine says.
#[test]
fn corrupt_models() {
    if !available() {
        return;
    }
    let sound = small();
    for at in [0, 4, 8, 40, 130, 133, 200, 700, 1500, sound.len() - 1] {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        let wanted = Model::from_bytes(&AlignedBytes::copy_of(&bytes)).expect_err("it is corrupt");
        let folder = Folder::new().file("p.bin", &PIXELS).file("m.fov", &bytes);
        fails(folder, "model=m.fov\npicture=p.bin\n", &wanted.to_string());
    }
    let folder = Folder::new()
        .file("p.bin", &PIXELS)
        .file("m.fov", &sound[..900]);
    let short = format!(
        "the model file ends early: {} bytes needed, 900 there",
        sound.len()
    );
    fails(folder, "model=m.fov\npicture=p.bin\n", &short);
}

/// A method that takes too long is stopped and says so.
#[test]
fn limit_of_instructions() {
    if !available() {
        return;
    }
    let job = "picture=p.bin\nlimit=2\nmethod=rise:masks=100000\n";
    let folder = Folder::new().file("p.bin", &PIXELS);
    let answer: Answer = folder.run("mps2-an386", job).done("mps2-an386");
    let words: Vec<&str> = answer.get("outcome.0").split(' ').collect();
    assert_eq!((words[0], words[2]), ("partial", "100000"));
    let taken = answer.cost("cost.0", "instructions").expect("a cost");
    let a_pass = 4 * answer.cost("classify", "instructions").expect("a cost");
    assert!((2_000_000..2_000_000 + a_pass).contains(&taken), "{taken}");
}
