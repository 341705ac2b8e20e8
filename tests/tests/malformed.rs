//! Every malformed model, put to the program as a person would: exit code 2,
//! one screen that names the file and what is wrong, within seconds and half a
//! gigabyte, nothing left behind, nothing read outside the model's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foveola_tests::malformed::{Case, cases};
use foveola_tests::root;

/// Most processor time of one run, in seconds.
const PROCESSOR: &str = "2";
/// Most time by the clock, where many others run.
const LIMIT: Duration = Duration::from_secs(30);
/// Most address space, in KB: resident memory cannot be more.
const MEMORY: &str = "500000";

/// Every path below a folder.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            paths.extend(listing(&path));
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

/// Runs the program in `folder` with so much memory.
fn run(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_foveola-under-test");
    let limited = format!("ulimit -v {MEMORY}; ulimit -t {PROCESSOR}; exec \"$0\" \"$@\"");
    let run = Command::new("sh")
        .args(["-c", &limited, program])
        .args(args)
        .current_dir(folder)
        .output();
    run.expect("the program starts")
}

/// What is not as it must be about one run.
fn faults(case: &Case, command: &str, folder: &Path) -> Vec<String> {
    let picture = root().join("host/demo/scene.png");
    let picture = picture.to_str().expect("a path");
    let mut args = vec![command, case.model];
    if command == "classify" {
        args.push(picture);
    }
    args.extend(&case.flags);
    let start = Instant::now();
    let output = run(folder, &args);
    let took = start.elapsed();
    let error = String::from_utf8_lossy(&output.stderr);
    let mut faults = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!(
                "{command}, {}: {}: {what}: {:?} {error}",
                case.kind,
                case.what,
                output.status.code()
            ));
        }
    };
    require(output.status.code() == Some(2), "exit code 2");
    require(output.stdout.is_empty(), "no output");
    require(took < LIMIT, "little time");
    require(error.contains(case.model), "the file's name");
    let message = error.lines().count() <= 26 && error.len() <= 6000;
    require(message, "one screen");
    let panic = [
        "panicked",
        "internal fault",
        "internal error",
        "allocation",
        "please report",
    ];
    require(
        !panic.iter().any(|p| error.contains(p)),
        "no internal fault",
    );
    for word in &case.says {
        require(error.contains(word), &format!("{word:?}"));
    }
    faults
}

/// One case, put to one command.
fn check(case: &Case, command: &str) -> Vec<String> {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("model");
    std::fs::create_dir(&folder).expect("a folder");
    case.write(&folder).expect("the case is written");
    let before = listing(home.path());
    let mut all = faults(case, command, &folder);
    if listing(home.path()) != before {
        let Case { kind, what, .. } = case;
        all.push(format!("{command}, {kind}: {what}: files are left behind"));
    }
    all
}

#[test]
fn every_malformed_model_is_refused_in_words() {
    let cases = cases();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(i) else {
                        break;
                    };
                    // Each kind of fault has many cases: all commands meet it.
                    let command = ["inspect", "compile", "classify"][i % 3];
                    let faults = check(case, command);
                    faults.iter().for_each(|fault| println!("{fault}"));
                    all.lock().expect("no panic").extend(faults);
                }
            });
        }
    });
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *kinds.entry(case.kind).or_default() += 1;
    }
    for (kind, count) in &kinds {
        println!("{count:>4}  {kind}");
    }
    println!("{:>4}  in all", cases.len());
    let all = all.into_inner().expect("no panic");
    assert!(all.is_empty(), "{} faults\n{}", all.len(), all.join("\n"));
}

/// The same files without their fault are taken: what is refused is the fault.
#[test]
fn the_sound_ones_are_taken() {
    let sound = foveola_tests::malformed::tflite::sound();
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(home.path().join("model.tflite"), sound).expect("a file");
    for case in foveola_tests::malformed::sound() {
        case.write(home.path()).expect("the case is written");
    }
    for (model, flags) in [
        ("model.tflite", &[][..]),
        ("plain.onnx", &[]),
        ("external.onnx", &["--allow-external"]),
        ("qdq.onnx", &[]),
        ("qlinear.onnx", &[]),
    ] {
        let output = run(home.path(), &[&["inspect", model], flags].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{model}: {error}");
    }
}
