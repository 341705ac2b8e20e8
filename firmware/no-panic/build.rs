//! The program has no start-up code: it is linked, never run.

fn main() {
    println!("cargo:rustc-link-arg-bins=--entry=every_path");
}
