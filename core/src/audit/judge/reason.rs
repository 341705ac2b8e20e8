//! Why something fails: one list for log, panel and command line.

/// Why a judgement, a self-test or a model fails. The numbers stand in logs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Reason {
    /// Too little of the evidence lies inside the region.
    Outside = 1,
    /// Too much of the evidence lies in the border.
    Border = 2,
    /// The map is too unlike the stored one.
    Disagrees = 3,
    /// The map has no evidence.
    Flat = 4,
    /// The method has no map to give.
    Undefined = 5,
    /// The map holds NaN or infinity, or is too large to be summed.
    NotFinite = 6,
    /// The method was stopped before its end.
    Stopped = 7,
    /// It took more time or instructions than the policy allows.
    Slow = 8,
    /// It takes more memory than the policy allows, or there is.
    Memory = 9,
    /// The method or the network failed.
    Error = 10,
    /// The self-test's scores are not those expected.
    Scores = 11,
    /// The self-test's map is not the one expected.
    Map = 12,
    /// The answer depends on what the memory held before: something reads what
    /// nobody wrote.
    Unwritten = 13,
    /// The model file is damaged.
    Model = 14,
    /// The model file is not signed by a key that is known.
    Signature = 15,
    /// The model file is signed by a key that was revoked.
    Revoked = 16,
    /// The model file is older than one that ran before.
    Release = 17,
    /// The policy is malformed or does not fit the model.
    Policy = 18,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Outside,
        Self::Border,
        Self::Disagrees,
        Self::Flat,
        Self::Undefined,
        Self::NotFinite,
        Self::Stopped,
        Self::Slow,
        Self::Memory,
        Self::Error,
        Self::Scores,
        Self::Map,
        Self::Unwritten,
        Self::Model,
        Self::Signature,
        Self::Revoked,
        Self::Release,
        Self::Policy,
    ];

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The reason with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// One or two words, for a panel.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Border => "border",
            Self::Disagrees => "other map",
            Self::Flat => "no evidence",
            Self::Undefined => "no map",
            Self::NotFinite => "not finite",
            Self::Stopped => "stopped",
            Self::Slow => "too slow",
            Self::Memory => "memory",
            Self::Error => "error",
            Self::Scores => "scores",
            Self::Map => "map",
            Self::Unwritten => "unwritten",
            Self::Model => "damaged",
            Self::Signature => "signature",
            Self::Revoked => "revoked key",
            Self::Release => "old release",
            Self::Policy => "policy",
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Outside => "too little of the evidence lies inside the region",
            Self::Border => "too much of the evidence lies in the border",
            Self::Disagrees => "the map is too unlike the stored one",
            Self::Flat => "the map has no evidence",
            Self::Undefined => "the method has no map to give",
            Self::NotFinite => "the map is not finite",
            Self::Stopped => "the method was stopped before its end",
            Self::Slow => "it took longer than the policy allows",
            Self::Memory => "it takes more memory than is allowed",
            Self::Error => "the method or the network failed",
            Self::Scores => "the scores are not those expected",
            Self::Map => "the map is not the one expected",
            Self::Unwritten => "something reads memory that nobody wrote",
            Self::Model => "the model file is damaged",
            Self::Signature => "the model file is not signed by a known key",
            Self::Revoked => "the model file is signed by a revoked key",
            Self::Release => "the model file is older than one that ran before",
            Self::Policy => "the policy is malformed or does not fit the model",
        })
    }
}

/// What stands in a log for a failed rule (its number from 1; 0 for none): the
/// rule in the low byte, the reason in the high one.
pub const fn verdict_code(rule: u16, reason: Reason) -> u16 {
    let rule = if rule > 255 { 255 } else { rule };
    (reason as u16) << 8 | rule
}

/// Rule and reason of a log's verdict; `None` for a reason that is not told.
pub fn split_code(code: u16) -> (u16, Option<Reason>) {
    let [rule, reason] = code.to_le_bytes();
    (rule.into(), Reason::from_number(reason))
}
