//! Intervals of numbers.

/// All numbers from `lo` to `hi`. A tensor in int8 has the stored integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub lo: f64,
    pub hi: f64,
}

impl Interval {
    /// Every real number.
    pub const ALL: Self = Self {
        lo: f64::NEG_INFINITY,
        hi: f64::INFINITY,
    };
    /// Every int8.
    pub const STORED: Self = Self {
        lo: -128.0,
        hi: 127.0,
    };

    pub const fn one(value: f64) -> Self {
        Self {
            lo: value,
            hi: value,
        }
    }

    pub fn of_stored([lo, hi]: [i8; 2]) -> Self {
        Self {
            lo: lo.into(),
            hi: hi.into(),
        }
    }

    /// From the smallest to the largest of some numbers; all numbers if there
    /// are none or one is NaN.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values = values.into_iter();
        let Some(first) = values.next().filter(|v| !v.is_nan()) else {
            return Self::ALL;
        };
        values.fold(Self::one(first), |all, v| match v.is_nan() {
            true => Self::ALL,
            false => all.with(Self::one(v)),
        })
    }

    /// The smallest interval with both.
    pub const fn with(self, other: Self) -> Self {
        Self {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
        }
    }

    /// The one value, if there is only one.
    pub fn fixed(self) -> Option<f64> {
        (self.lo == self.hi).then_some(self.lo)
    }

    /// The stored integers.
    pub const fn stored(self) -> [i32; 2] {
        [self.lo as i32, self.hi as i32]
    }

    pub fn limited(self, low: f64, high: f64) -> Self {
        Self {
            lo: self.lo.clamp(low, high),
            hi: self.hi.clamp(low, high),
        }
    }

    /// What `f` makes of both ends, for a function that never falls.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            lo: f(self.lo),
            hi: f(self.hi),
        }
    }

    /// Wider by so much at both ends.
    pub fn widened(self, by: f64) -> Self {
        Self::around([self.lo - by, self.hi + by])
    }

    /// Products with a number: 0 times any finite number is 0.
    pub fn times(self, factor: f64) -> Self {
        match factor == 0.0 {
            true => Self::one(0.0),
            false => Self::around([self.lo * factor, self.hi * factor]),
        }
    }

    /// Largest absolute value.
    pub const fn magnitude(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }
}
