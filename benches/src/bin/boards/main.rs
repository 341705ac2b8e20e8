//! What networks and questions take on emulated boards, beside what is wanted
//! and what peers take: `cargo run --release -p foveola-benches --bin boards
//! [ZOO] [--record DIR] [--only WORD] [--board NAME]`, from the repository's root,
//! with QEMU and the boards' targets installed. Writes `boards-YYYY-MM-DD.csv` into
//! DIR (default `benches/record`); `--only` takes networks whose name has WORD.

mod ask;
mod every;
mod networks;
mod table;

use std::path::{Path, PathBuf};

use ask::Asker;
use networks::NETWORKS;
use table::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the command line says.
struct Arguments {
    zoo: PathBuf,
    record: PathBuf,
    only: Option<String>,
    board: Option<String>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut arguments = Self {
            zoo: "../shared/zoo".into(),
            record: "benches/record".into(),
            only: None,
            board: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} takes a value"));
            match word.as_str() {
                "--record" => arguments.record = value()?.into(),
                "--only" => arguments.only = Some(value()?),
                "--board" => arguments.board = Some(value()?),
                _ if word.starts_with('-') => return Err(format!("unknown: {word}").into()),
                _ => arguments.zoo = word.into(),
            }
        }
        Ok(arguments)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let asker = Asker::new(Path::new("firmware"), &arguments.zoo)?;
    let mut rows: Vec<Row> = Vec::new();
    for network in &NETWORKS {
        let only = arguments.only.as_deref();
        if only.is_some_and(|word| !network.name.contains(word)) {
            continue;
        }
        for board in networks::BOARDS {
            let wanted = arguments.board.as_deref();
            if wanted.is_some_and(|name| name != board) {
                continue;
            }
            eprintln!("{board}: {} ...", network.name);
            let measured = asker.ask(network, board)?;
            rows.extend(table::rows(network, board, &measured));
            if network.every && board == networks::BOARDS[0] {
                rows.extend(table::every(network, board, &asker.every(network, board)?));
            }
        }
    }
    let folder = &arguments.record;
    std::fs::create_dir_all(folder)?;
    let date = table::date()?;
    let path = folder.join(format!("boards-{date}.csv"));
    std::fs::write(&path, table::csv(&rows))?;
    print!("{}", table::text(&rows));
    println!("{}", path.display());
    Ok(())
}
