//! PASS or FAIL, by thresholds fixed before any network was audited.

use std::fmt;

use super::audit::{Finding, MethodFindings, SceneSet};
use super::evidence::Part;
use super::scene::Kind;

/// The method that decides: one forward and one backward pass, so that every
/// scene can be asked, and a map of the layer that the decision is made from.
pub const DECIDING_METHOD: &str = "grad-cam";

/// The evidence inside the pole's box must be at least so many times what an
/// even map would put there, at the lower end of the 95 % interval, for every
/// class on its own.
///
/// Blindness to the pole comes to about 1. All evidence inside the box would be
/// about 6 for these boxes, but a map of 8x8 cells enlarged to 64x64 is no
/// sharper than its cells, which costs about half. 2 lies between. It was
/// written down before the first audit and has not moved since; when a network
/// trained honestly failed it, because it called steel whatever was neither
/// wood nor concrete, the training changed (`EMPTY` in `host/demo/train.py`).
pub const LEAST_LIFT: f64 = 2.0;

/// One class that fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The class.
    pub kind: Kind,
    /// What the network looks at instead.
    pub instead: Part,
    /// Share of the evidence there.
    pub share: f64,
    /// Share of the picture there.
    pub area: f64,
    /// Share of this class's scenes with snow on the ground.
    pub snow: f64,
}

/// The verdict on one network.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It looks at the pole, whatever the class.
    Pass,
    /// It does not, for these classes.
    Fail(Vec<Failure>),
}

impl Verdict {
    /// Judges what the deciding method found. Without findings there is
    /// nothing that speaks for the network, and every class fails.
    pub fn of(methods: &[MethodFindings], set: &SceneSet) -> Self {
        let deciding = methods.iter().find(|m| m.method == DECIDING_METHOD);
        let failures: Vec<Failure> = Kind::ALL
            .into_iter()
            .filter_map(|kind| match deciding {
                Some(method) => judge(kind, &method.classes[kind as usize], set),
                None => Some(Failure {
                    kind,
                    instead: Part::Background,
                    share: 0.0,
                    area: 0.0,
                    snow: 0.0,
                }),
            })
            .collect();
        match failures.is_empty() {
            true => Self::Pass,
            false => Self::Fail(failures),
        }
    }

    /// Whether it is [`Verdict::Pass`].
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// PASS or FAIL.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail(_) => "FAIL",
        }
    }
}

fn judge(kind: Kind, found: &Finding, set: &SceneSet) -> Option<Failure> {
    let chance = found.areas[Part::Pole as usize];
    if found.scenes > 0 && found.pole.low >= LEAST_LIFT * chance {
        return None;
    }
    let others = [Part::Ground, Part::Background];
    let instead = others
        .into_iter()
        .max_by(|a, b| found.lift(*a).total_cmp(&found.lift(*b)))?;
    let of_kind = || set.scenes.iter().filter(|s| s.kind == kind);
    let snowy = of_kind().filter(|s| s.snow).count();
    Some(Failure {
        kind,
        instead,
        share: found.parts[instead as usize],
        area: found.areas[instead as usize],
        snow: snowy as f64 / of_kind().count().max(1) as f64,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "for {} it looks at {}: {:.0} % of the evidence on {:.0} % of the picture",
            self.kind.label(),
            self.instead.label(),
            100.0 * self.share,
            100.0 * self.area
        )?;
        if self.instead == Part::Ground && self.snow > 0.0 {
            let scenes = 100.0 * self.snow;
            write!(f, "; snow lies there in {scenes:.0} % of these scenes")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("it looks at the pole, whatever the class"),
            Self::Fail(failures) => {
                let texts: Vec<String> = failures.iter().map(Failure::to_string).collect();
                f.write_str(&texts.join("; "))
            }
        }
    }
}
