//! How often a program does each thing that takes instructions.

use std::collections::BTreeMap;

/// Numbers of repetitions by name, e.g. `conv.step2`: turns of the innermost
/// loop of a convolution for tiles of two pixels. A board has a price in
/// instructions for each; the sum of products is what the program takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts(BTreeMap<String, f64>);

impl Counts {
    /// Counts `n` more of `name`.
    pub fn add(&mut self, name: impl AsRef<str> + Into<String>, n: f64) {
        if n == 0.0 {
            return;
        }
        match self.0.get_mut(name.as_ref()) {
            Some(count) => *count += n,
            None => {
                self.0.insert(name.into(), n);
            }
        }
    }

    /// Counts everything of `other`, `times` over.
    pub fn merge(&mut self, other: &Self, times: f64) {
        for (name, n) in &other.0 {
            self.add(name.as_str(), n * times);
        }
    }

    /// Counts everything of `other` under names of its own.
    pub fn merge_as(&mut self, prefix: &str, other: &Self) {
        for (name, n) in &other.0 {
            self.add(format!("{prefix}.{name}"), *n);
        }
    }

    /// Names and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, n)| (name.as_str(), *n))
    }

    /// Instructions at these prices; what has no price is free.
    pub fn at(&self, prices: &BTreeMap<String, f64>) -> f64 {
        let price = |name: &str| prices.get(name).copied().unwrap_or(0.0);
        self.iter().map(|(name, n)| n * price(name)).sum()
    }
}

/// The counts of one kernel, under its name.
pub(super) struct Kernel<'c> {
    counts: &'c mut Counts,
    name: String,
}

impl<'c> Kernel<'c> {
    pub fn new(counts: &'c mut Counts, name: impl Into<String>) -> Self {
        Self {
            counts,
            name: name.into(),
        }
    }

    /// `n` more of `what`.
    pub fn n(&mut self, what: &str, n: usize) {
        self.counts.add(format!("{}.{what}", self.name), n as f64);
    }

    /// As [`Kernel::n`], for an average.
    pub fn add(&mut self, what: &str, n: f64) {
        self.counts.add(format!("{}.{what}", self.name), n);
    }

    /// A loop of `trips` turns that is entered `times` times. Compilers unroll
    /// short ones by four.
    pub fn each(&mut self, what: &str, times: usize, trips: usize) {
        self.n(what, times);
        self.n(&format!("{what}.four"), times * (trips / 4));
        self.n(&format!("{what}.one"), times * (trips % 4));
    }

    /// A loop over bits, eight a turn, and the rest.
    pub fn bits(&mut self, what: &str, len: usize) {
        self.n(what, 1);
        self.n(&format!("{what}.eight"), len / 8);
        self.n(&format!("{what}.one"), len % 8);
    }
}
