//! Where each board's program lies in memory, which model is linked in, and
//! the colours of heat maps.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Binaries, each with a folder of the same name in `memory/`.
const BOARDS: [&str; 7] = [
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
    "netduinoplus2",
    "lm3s6965evb",
    "riscv32-virt",
];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    link(&root);
    model(&root);
    fs::write(Path::new(&out).join("viridis.rs"), viridis()).expect("the colours are written");
    println!("cargo:rerun-if-changed=build.rs");
}

fn link(root: &str) {
    println!("cargo:rerun-if-changed=memory/model.x");
    for board in BOARDS {
        let argument = |text: &str| println!("cargo:rustc-link-arg-bin={board}={text}");
        argument(&format!("-L{root}/memory/{board}"));
        if board == "riscv32-virt" {
            argument("-Tmemory.x");
        } else {
            argument("--nmagic");
        }
        argument("-Tlink.x");
        argument("-Tdefmt.x");
        argument(&format!("-T{root}/memory/model.x"));
        println!("cargo:rerun-if-changed=memory/{board}/memory.x");
    }
}

/// The linked model: `FOVEOLA_MODEL`, or a small network.
fn model(root: &str) {
    println!("cargo:rerun-if-env-changed=FOVEOLA_MODEL");
    let small = format!("{root}/../core/fixtures/small.fov");
    let path = env::var("FOVEOLA_MODEL").unwrap_or(small);
    let path = fs::canonicalize(&path).unwrap_or_else(|e| panic!("FOVEOLA_MODEL={path}: {e}"));
    println!("cargo:rustc-env=FOVEOLA_MODEL_PATH={}", path.display());
    println!("cargo:rerun-if-changed={}", path.display());
}

/// The viridis colours as RGB565, 256 of them.
fn viridis() -> String {
    let mut text = String::from("[");
    for i in 0..256 {
        let colour = colorous::VIRIDIS.eval_rational(i, 256);
        let [r, g, b] = [colour.r, colour.g, colour.b].map(u16::from);
        let (r, g, b) = (r >> 3, g >> 2, b >> 3);
        write!(text, "0x{:04x},", r << 11 | g << 5 | b).expect("text grows");
    }
    text.push(']');
    text
}
