//! The table, to read and to record.

use std::fmt::Write as _;
use std::process::Command;

use foveola::crosscheck::Cost;

use super::Result;
use super::ask::Measured;
use super::every::Method;
use super::networks::{BOARDS, Figures, Network, OPEN, PEER};

/// One figure.
pub struct Row {
    board: &'static str,
    network: &'static str,
    what: String,
    unit: &'static str,
    value: f64,
    figures: Figures,
    verdict: String,
}

fn at_most(wanted: f64, asked: bool) -> Figures {
    Figures {
        wanted: asked.then_some(wanted),
        peer: None,
    }
}

/// All figures of a network on a board.
pub fn rows(network: &Network, board: &'static str, measured: &Measured) -> Vec<Row> {
    let place = BOARDS.iter().position(|b| *b == board).unwrap_or(0);
    let inference = measured.inference;
    let over = |cost: Cost| cost.instructions as f64 / inference.instructions as f64;
    let asked = network.explained;
    let bytes = |n: u64| n as f64;
    let mut list = vec![
        (
            "inference",
            "M instructions",
            inference.instructions as f64 / 1e6,
            network.inference[place],
        ),
        ("arena", "B", bytes(inference.arena), network.arena),
        ("stack", "B", bytes(inference.stack), OPEN),
        (
            "Grad-CAM at the last convolution",
            "inferences",
            over(measured.last),
            at_most(1.01, asked),
        ),
        ("its arena", "B", bytes(measured.last.arena), OPEN),
    ];
    if let Some(large) = measured.large {
        list.push((
            "Grad-CAM at the last large tensor",
            "inferences",
            over(large),
            at_most(1.30, asked),
        ));
        list.push(("its arena", "B", bytes(large.arena), OPEN));
    }
    let program = (measured.model + measured.program) as f64;
    list.extend([
        (
            "guided backpropagation",
            "inferences",
            over(measured.guided),
            at_most(2.2, asked),
        ),
        (
            "its arena and stack",
            "B",
            bytes(measured.guided.arena + measured.guided.stack),
            at_most(96_000.0, asked),
        ),
        ("model", "B", measured.model as f64, OPEN),
        ("program of all methods", "B", measured.program as f64, OPEN),
        ("program and model", "B", program, network.flash),
    ]);
    let row = |(what, unit, value, figures)| Row {
        board,
        network: network.name,
        what: String::from(what),
        unit,
        value,
        figures,
        verdict: measured.verdict.clone(),
    };
    list.into_iter().map(row).collect()
}

/// Instructions, steps and RAM of every method of a network on a board.
pub fn every(network: &Network, board: &'static str, methods: &[Method]) -> Vec<Row> {
    let three = |method: &Method| {
        let instructions = method.instructions as f64 / 1e6;
        let row = |what: &str, unit, value| Row {
            board,
            network: network.name,
            what: what.replace(',', " "),
            unit,
            value,
            figures: OPEN,
            verdict: method.verdict.clone(),
        };
        [
            row(&method.text, "M instructions", instructions),
            row("its steps", "steps", method.steps as f64),
            row(
                "its RAM, stack and picture included",
                "B",
                method.ram as f64,
            ),
        ]
    };
    methods.iter().flat_map(three).collect()
}

/// A number with as many digits as its unit deserves.
fn number(value: f64, unit: &str) -> String {
    match unit {
        "B" | "steps" => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

fn optional(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(String::new, |value| number(value, unit))
}

impl Row {
    /// Whether the figure is as wanted.
    fn met(&self) -> &'static str {
        match self.figures.wanted {
            Some(wanted) if self.value <= wanted => "met",
            Some(_) => "missed",
            None => "",
        }
    }
}

/// To read.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut head = ("", "");
    for row in rows {
        if head != (row.board, row.network) {
            head = (row.board, row.network);
            let verdict = &row.verdict;
            let _ = writeln!(
                text,
                "\n{} on {} (host and board: {verdict})",
                row.network, row.board
            );
            let _ = writeln!(
                text,
                "  {:36}{:>14} {:14}{:>12}{:>12}",
                "", "measured", "", "wanted <=", "peer"
            );
        }
        let _ = writeln!(
            text,
            "  {:36}{:>14} {:14}{:>12}{:>12}  {}",
            row.what,
            number(row.value, row.unit),
            row.unit,
            optional(row.figures.wanted, row.unit),
            optional(row.figures.peer, row.unit),
            row.met()
        );
    }
    let _ = writeln!(text, "\npeer: {PEER}");
    text
}

/// To record.
pub fn csv(rows: &[Row]) -> String {
    let mut text =
        String::from("board,network,what,unit,measured,wanted at most,met,peer,whose,verdict\n");
    for row in rows {
        let peer = optional(row.figures.peer, row.unit);
        let whose = if peer.is_empty() { "" } else { PEER };
        let _ = writeln!(
            text,
            "{},\"{}\",{},{},{},{},{},{peer},{whose},\"{}\"",
            row.board,
            row.network,
            row.what,
            row.unit,
            number(row.value, row.unit),
            optional(row.figures.wanted, row.unit),
            row.met(),
            row.verdict,
        );
    }
    text
}

/// Today's, as YYYY-MM-DD.
pub fn date() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
