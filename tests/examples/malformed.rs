//! Writes every malformed model of the tests into a folder, each into one of
//! its own, and says what is wrong with them.
//!
//! `cargo run --release -p foveola-tests --example malformed DIR`

use std::path::PathBuf;

use foveola_tests::malformed::cases;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: malformed DIR");
        std::process::exit(2);
    };
    for (i, case) in cases().iter().enumerate() {
        // What is out of bounds for a model lies in the folder above its own.
        let place = folder.join(format!("{i:03}/model"));
        std::fs::create_dir_all(&place)?;
        case.write(&place)?;
        println!(
            "{i:03} {}: {} {}",
            case.kind,
            case.what,
            case.flags.join(" ")
        );
    }
    Ok(())
}
