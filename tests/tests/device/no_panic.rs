//! No panic can be reached from checking a model, running and explaining it.

use std::process::Command;

use foveola_tests::root;

use super::board::available;

/// `firmware/no-panic` links only if that is so. A program that lost its work
/// to the optimiser would prove nothing, hence the size.
#[test]
fn links_without_a_panic() {
    if !available() {
        return;
    }
    for (target, profile) in [
        ("thumbv6m-none-eabi", "small"),
        ("thumbv7em-none-eabihf", "release"),
        ("thumbv8m.main-none-eabihf", "release"),
        ("riscv32imc-unknown-none-elf", "release"),
    ] {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--profile", profile])
            .args(["-p", "no-panic", "--target", target])
            .current_dir(root().join("firmware"))
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{target}: {log}");
        let elf = format!("firmware/target/{target}/{profile}/no-panic");
        let size = std::fs::metadata(root().join(elf))
            .expect("the program")
            .len();
        assert!(size > 150_000, "{target}: only {size} bytes");
    }
}
