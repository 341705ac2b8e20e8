//! What RISE makes of its masks and their scores.

/// Most cells along each side of a mask that `adjusted` can have.
pub(super) const MOST_ADJUSTED_CELLS: u16 = 12;

/// An estimator of RISE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// The paper's sum.
    #[default]
    Raw,
    /// By coverage, less the mean score.
    Centred,
    /// Centred, by a regression on the masks.
    Adjusted,
}

impl Estimator {
    /// All of them, in the order of [`Estimator::NAMES`].
    pub(super) const ALL: [Self; 3] = [Self::Raw, Self::Centred, Self::Adjusted];
    /// What they are called.
    pub(super) const NAMES: [&str; 3] = ["raw", "centred", "adjusted"];

    /// Its name, unless it is the usual one.
    pub(super) fn unusual(self) -> Option<&'static str> {
        (self != Self::default()).then(|| Self::NAMES[self as usize])
    }
}
