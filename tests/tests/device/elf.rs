//! What the shipped programs of all boards contain, read from their machine code.
//!
//! `no_panic` proves that no panic is reachable from `core`, whatever is called
//! through which pointer, in a program of its own. This looks at the programs
//! themselves. It follows direct calls, from every function of `core` that was
//! not merged into its caller; so what `core` calls through `dyn` is covered
//! where it is `core`'s own. Not covered are `core` functions merged into the
//! firmware's, and what the firmware hands in: progress, taps, the platform.

use std::collections::BTreeSet;

use foveola_tests::elf::Program;

use super::board::{BOARDS, available, program};

/// Functions of `core` that check, run and explain: all but those that print.
fn is_core(name: &str) -> bool {
    name.contains("foveola_core") && !name.contains("foveola_firmware") && !name.contains("fmt")
}

/// Where ed25519-compact is merged into `core`. It indexes tables of fixed size
/// by counters of fixed range, and the compiler keeps some of those checks:
/// panics that the search finds and no signature reaches.
const SIGNED: &str = "5audit9signature9PublicKey6signed";

/// Where every panic ends.
fn is_panic(name: &str) -> bool {
    [
        "9panicking",
        "rust_begin_unwind",
        "13unwrap_failed",
        "13expect_failed",
    ]
    .iter()
    .any(|part| name.contains(part))
}

fn is_allocator(name: &str) -> bool {
    let exact = ["malloc", "calloc", "realloc", "free", "_sbrk"];
    exact.contains(&name)
        || name.contains("__rust_alloc")
        || name.contains("__rust_realloc")
        || name.contains("5alloc")
}

/// What is found in each program; the methods' entries, which are called
/// through `dyn`, must be among `core`'s functions, or there is nothing to say.
fn check(board: &str, program: &Program) -> Vec<String> {
    let core = program.named(is_core);
    let types = [
        "Gradient",
        "Deconvolution",
        "GuidedBackprop",
        "GradCam",
        "Occlusion",
        "Rise",
        "HocMethod",
    ];
    for name in
        types.map(|name| format!("..{name}$u20$as$u20$foveola_core..explain..Method$GT$7explain"))
    {
        let there = |i: &usize| {
            program.functions[*i]
                .names
                .iter()
                .any(|n| n.contains(&name))
        };
        assert!(core.iter().any(there), "{board}: no {name}");
    }
    let (panics, none) = (program.named(is_panic), BTreeSet::new());
    // What the firmware hands in is its own, whether it is called through `dyn`
    // or, where there is one such type, directly.
    let not_core = program.named(|name| name.contains(SIGNED) || name.contains("foveola_firmware"));
    let own = program.named(|name| name.contains("foveola_firmware"));
    // The firmware's reading of jobs has panics that it never meets: they show
    // that the search finds what is there.
    assert!(
        program.path(&own, &panics, &none).is_some(),
        "{board}: no panic at all"
    );
    let mut found = Vec::new();
    let core: BTreeSet<usize> = core.difference(&not_core).copied().collect();
    if let Some(path) = program.path(&core, &panics, &not_core) {
        found.push(format!("{board}: a panic can be reached: {path:#?}"));
    }
    // A panic is logged before the program ends, and logging may panic.
    let all: BTreeSet<usize> = core.union(&own).copied().collect();
    if let Some(cycle) = program.recursion(&all, &panics) {
        found.push(format!("{board}: recursion: {cycle:#?}"));
    }
    for i in program.named(is_allocator) {
        found.push(format!(
            "{board}: an allocator: {:?}",
            program.functions[i].names
        ));
    }
    let indirect = program
        .reach(&core)
        .into_iter()
        .filter(|i| program.functions[*i].indirect);
    println!(
        "{board}: {} functions, {} of core, {} of what they reach call through registers",
        program.functions.len(),
        core.len(),
        indirect.count()
    );
    found
}

/// The same of a program that no emulator runs.
pub fn no_surprises(board: &str, program: &Program) {
    let found = check(board, program);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// No panic and no recursion below `core`, no heap anywhere.
#[test]
fn programs_of_all_boards() {
    if !available() {
        return;
    }
    let mut found = Vec::new();
    for board in BOARDS {
        let elf = std::fs::read(program(board)).expect("the program");
        found.extend(check(board, &Program::read(&elf)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
