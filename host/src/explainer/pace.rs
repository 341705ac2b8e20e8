//! Where a method stops before its end, and what stopped it.

use std::time::Instant;

use foveola_core::explain::Outcome;
use serde::Serialize;

use super::Figures;
use crate::method_spec::{Limits, MethodSpec};

/// What ended a method before all of its passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoppedBy {
    /// What it measures of itself was as good as it was asked to be.
    Tolerance,
    /// It had as many passes as it was given.
    Passes,
    /// Its time was up.
    Deadline,
    /// Whoever watched it.
    Interrupt,
}

impl StoppedBy {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Tolerance => "its tolerance was reached",
            Self::Passes => "its passes were used up",
            Self::Deadline => "its time was up",
            Self::Interrupt => "it was interrupted",
        }
    }
}

/// Counts the passes of a method and looks at the clock.
pub(super) struct Pace {
    limits: Limits,
    begun: Instant,
    /// Passes of searches that ended: methods that go through the classes one
    /// by one count from 1 for each.
    before: u64,
    last: u64,
    /// What stopped it first.
    stopped: Option<StoppedBy>,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            begun: Instant::now(),
            before: 0,
            last: 0,
            stopped: None,
        }
    }

    /// Whether to go on when `done` passes are done and whoever watches `wants` to.
    pub(super) fn goes_on(&mut self, done: u64, wants: bool) -> bool {
        if done < self.last {
            self.before += self.last;
        }
        self.last = done;
        let passes = self.before + done;
        let late = |deadline| self.begun.elapsed() >= deadline;
        let found = if !wants {
            Some(StoppedBy::Interrupt)
        } else if self.limits.passes.is_some_and(|most| passes >= most) {
            Some(StoppedBy::Passes)
        } else if self.limits.deadline().is_some_and(late) {
            Some(StoppedBy::Deadline)
        } else {
            None
        };
        self.stopped = self.stopped.or(found);
        found.is_none()
    }

    /// What ended a map's method early, if anything did.
    pub(super) fn stopped(
        &self,
        spec: &MethodSpec,
        outcome: &Outcome,
        figures: &Figures,
    ) -> Option<StoppedBy> {
        match outcome {
            Outcome::Partial { .. } | Outcome::Undefined(_) => self.stopped,
            _ => within_tolerance(spec, figures).then_some(StoppedBy::Tolerance),
        }
    }
}

/// Whether a method's own measure is within the tolerance that it was given.
fn within_tolerance(spec: &MethodSpec, figures: &Figures) -> bool {
    let error = match (figures.get("agreement"), figures.get("completeness_error")) {
        (Some(agreement), _) => 1.0 - agreement,
        (None, Some(error)) => error.abs(),
        (None, None) => return false,
    };
    // The tolerance is kept in single precision.
    let reached = |tolerance| error <= f64::from(tolerance) + 1e-7;
    spec.tolerance().is_some_and(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(passes: Option<u64>, seconds: Option<f64>) -> Pace {
        Pace::new(Limits { passes, seconds })
    }

    /// Passes of all classes count together, also where each counts from 1.
    #[test]
    fn passes_of_one_search_after_the_other() {
        let mut pace = pace(Some(5), None);
        let steps = [1, 2, 3, 1].map(|done| pace.goes_on(done, true));
        assert_eq!((steps, pace.stopped), ([true; 4], None));
        assert!(!pace.goes_on(2, true));
        assert_eq!(pace.stopped, Some(StoppedBy::Passes));
        assert!(!pace.goes_on(1, true), "nor does a later search begin");
    }

    #[test]
    fn what_stops_first_is_named() {
        let mut late = pace(Some(9), Some(0.0));
        assert!(!late.goes_on(1, true) && !late.goes_on(9, false));
        assert_eq!(late.stopped, Some(StoppedBy::Deadline));
        let mut free = pace(None, Some(1e6));
        assert!(free.goes_on(1, true) && !free.goes_on(2, false));
        assert_eq!(free.stopped, Some(StoppedBy::Interrupt));
    }

    #[test]
    fn a_tolerance_is_told_by_the_figures() {
        let stopped = |text: &str, name, value| {
            let spec: MethodSpec = text.parse().expect("a method");
            pace(None, None).stopped(&spec, &Outcome::Ok, &Figures::from([(name, value)]))
        };
        let rise = "rise:estimator=centred,tolerance=0.1";
        let reached = Some(StoppedBy::Tolerance);
        assert_eq!(stopped(rise, "agreement", 0.95), reached);
        assert_eq!(stopped(rise, "agreement", 0.85), None);
        let path = "integrated-gradients:tolerance=0.1";
        assert_eq!(stopped(path, "completeness_error", -0.1), reached);
        assert_eq!(stopped(path, "completeness_error", -0.2), None);
        let open = "integrated-gradients";
        assert_eq!(stopped(open, "completeness_error", 0.0), None);
    }
}
