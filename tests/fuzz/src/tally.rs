//! How often each reason to reject a file was given.

use std::collections::BTreeMap;
use std::fmt::Write;

use foveola_core::Error;
use foveola_core::net::format::section;

use crate::file::{File, fields};
use crate::run::Ran;

/// Counts of what became of inputs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Inputs.
    pub inputs: u64,
    /// Accepted and run, all passes.
    pub ran: u64,
    /// Passes that ran.
    pub passes: u64,
    /// Accepted, run, and NaN met.
    pub not_finite: u64,
    /// Accepted and not run: too large, or not chosen.
    pub only_checked: u64,
    /// Rejected: error, what about it, how often.
    pub rejected: BTreeMap<(&'static str, u16), u64>,
}

impl Tally {
    /// Counts an accepted file.
    pub fn accept(&mut self, ran: Ran) {
        self.inputs += 1;
        match ran {
            Ran::OnlyChecked => self.only_checked += 1,
            Ran::NotFinite => self.not_finite += 1,
            Ran::Passes(n) => {
                self.ran += 1;
                self.passes += n as u64;
            }
        }
    }

    /// Counts a rejected one.
    pub fn reject(&mut self, file: &File, error: Error) {
        self.inputs += 1;
        *self.rejected.entry(reason(file, error)).or_insert(0) += 1;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.ran += other.ran;
        self.passes += other.passes;
        self.not_finite += other.not_finite;
        self.only_checked += other.only_checked;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(*reason).or_insert(0) += count;
        }
    }

    /// How many were accepted.
    pub const fn accepted(&self) -> u64 {
        self.ran + self.not_finite + self.only_checked
    }

    /// The counts, a line each.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, count: u64| {
            let share = 100.0 * count as f64 / self.inputs.max(1) as f64;
            let _ = writeln!(text, "{count:>11}  {share:6.2} %  {what}");
        };
        line("inputs", self.inputs);
        line("accepted and run", self.ran);
        line("accepted and run until NaN was met", self.not_finite);
        line("accepted, not run", self.only_checked);
        for (&(name, detail), &count) in &self.rejected {
            line(&format!("{name}{}", in_words(name, detail)), count);
        }
        let _ = writeln!(
            text,
            "{:>11}            passes run, each twice",
            self.passes
        );
        text
    }
}

/// An error, and what tells its cases apart.
fn reason(file: &File, error: Error) -> (&'static str, u16) {
    match error {
        Error::Truncated { .. } => ("Truncated", 0),
        Error::BadMagic => ("BadMagic", 0),
        Error::BadVersion { .. } => ("BadVersion", 0),
        Error::Misaligned { .. } => ("Misaligned", 0),
        Error::BadSection { kind } => ("BadSection", kind),
        Error::BadChecksum { kind } => ("BadChecksum", kind),
        Error::BadHash => ("BadHash", 0),
        Error::BadTensor { index } => ("BadTensor", number(file, section::TENSORS, index, 13, 1)),
        Error::BadNode { index } => ("BadNode", number(file, section::NODES, index, 0, 2)),
        Error::BadWeight { index } => ("BadWeight", number(file, section::NODES, index, 0, 2)),
        Error::BadPlan { plan, buffer } => ("BadPlan", role(file, plan, buffer)),
        Error::BadCard => ("BadCard", 0),
        Error::NoPlan => ("NoPlan", 0),
        _ => ("another error", 0),
    }
}

/// A number of a record.
fn number(file: &File, kind: u16, index: usize, at: usize, bytes: usize) -> u16 {
    let start = index * fields(kind).1 + at;
    let field = file.section(kind).get(start..start + bytes);
    let value = field.map_or(0xffff, |f| {
        f.iter().rev().fold(0, |n, &b| n << 8 | u16::from(b))
    });
    let known = if kind == section::NODES { 22 } else { 2 };
    value.min(known + 1)
}

/// What the buffer of a plan holds: 10 value, 20 gradient, 30 kept bytes; 1
/// more in a plan for a backward pass.
fn role(file: &File, plan: usize, buffer: usize) -> u16 {
    let tensors = file.section(section::TENSORS).len() / fields(section::TENSORS).1;
    let backward = number(file, section::PLANS, plan, 0, 2) == 2;
    let place = match buffer / tensors.max(1) {
        0 => 10,
        1 => 20,
        _ => 30,
    };
    place + u16::from(backward)
}

fn in_words(name: &str, detail: u16) -> String {
    let role = |role| match role {
        1 => "value",
        2 => "gradient",
        _ => "kept bytes",
    };
    match name {
        "BadSection" if detail == 0 => ", the table".to_owned(),
        "BadSection" | "BadChecksum" => format!(", section {detail}"),
        "BadTensor" if detail > 2 => ", unknown type".to_owned(),
        "BadTensor" => format!(", type {detail}"),
        "BadNode" | "BadWeight" if detail > 22 => ", unknown operator".to_owned(),
        "BadNode" | "BadWeight" => format!(", operator {detail}"),
        "BadPlan" if detail % 10 == 1 => format!(", backward, {}", role(detail / 10)),
        "BadPlan" => format!(", forward, {}", role(detail / 10)),
        _ => String::new(),
    }
}
