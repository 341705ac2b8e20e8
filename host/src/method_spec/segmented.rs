//! Methods over segments: how the picture is cut, what hides a piece, and each
//! method's own numbers.

use std::path::PathBuf;

use super::parse::Given;
use super::values::Values;
use super::{Baseline, Parameters, SpecError};

/// How a picture is cut into segments.
#[derive(Clone, Debug, PartialEq)]
pub enum Cutting {
    /// About so many rectangles.
    Grid(usize),
    /// About so many SLIC superpixels.
    Slic(usize),
    /// Quickshift with LIME's parameters.
    Quickshift,
    /// Whole numbers, rows by columns, in a `.npy` file.
    File(PathBuf),
}

/// What hides a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hiding {
    /// The segment's own mean colour.
    Mean,
    /// One for the whole picture.
    Baseline(Baseline),
}

/// The method and its own numbers; `None` leaves the choice to the method.
#[derive(Clone, Debug, PartialEq)]
pub enum Asking {
    /// Feature ablation: none.
    FeatureAblation,
    /// LIME.
    Lime {
        /// Number of masks.
        samples: u32,
        /// Width of the kernel.
        kernel: f64,
        /// Weight of the ridge.
        alpha: f64,
        /// Stored masks of segments.
        design: Option<PathBuf>,
    },
    /// Kernel SHAP.
    KernelShap {
        /// Most coalitions.
        samples: Option<u32>,
        /// Stored coalitions.
        design: Option<PathBuf>,
    },
    /// Anchors.
    Anchors {
        /// Precision sought.
        threshold: f64,
        /// Share of wrong bounds.
        delta: f64,
        /// Overlap at which two sets count as equal.
        tau: f64,
        /// Masks a set and round.
        batch: u32,
        /// Sets that grow at once.
        beam: usize,
        /// Most masks a class.
        passes: u32,
    },
    /// Sobol indices.
    Sobol {
        /// Rows of the design.
        designs: u32,
        /// Stored rows.
        design: Option<PathBuf>,
    },
    /// HSIC.
    Hsic {
        /// Number of masks.
        samples: u32,
        /// Stored masks of segments.
        design: Option<PathBuf>,
    },
}

/// A method over segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmented {
    /// How the picture is cut.
    pub cutting: Cutting,
    /// What hides a segment.
    pub hiding: Hiding,
    /// The method.
    pub asking: Asking,
}

impl Segmented {
    /// Whether negative values of the map speak against the class.
    pub const fn is_signed(&self) -> bool {
        matches!(
            self.asking,
            Asking::FeatureAblation | Asking::Lime { .. } | Asking::KernelShap { .. }
        )
    }

    /// Whether the map depends on the seed. (Kernel SHAP's may not, where there
    /// are so few segments that all coalitions are asked.)
    pub fn is_sampled(&self) -> bool {
        self.asking != Asking::FeatureAblation && self.design().is_none()
    }

    /// The file with the design.
    pub fn design(&self) -> Option<&PathBuf> {
        match &self.asking {
            Asking::Lime { design, .. }
            | Asking::KernelShap { design, .. }
            | Asking::Sobol { design, .. }
            | Asking::Hsic { design, .. } => design.as_ref(),
            Asking::FeatureAblation | Asking::Anchors { .. } => None,
        }
    }

    /// Parameters by name.
    pub(super) fn put(&self, values: Values) -> Values {
        let values = match &self.cutting {
            Cutting::Grid(count) => values.put("segments", "grid").put("count", count),
            Cutting::Slic(count) => values.put("segments", "slic").put("count", count),
            Cutting::Quickshift => values.put("segments", "quickshift"),
            Cutting::File(path) => values.put("segments", path),
        };
        let values = match self.hiding {
            Hiding::Mean => values.put("baseline", "segment"),
            Hiding::Baseline(baseline) => values.baseline(baseline),
        };
        match &self.asking {
            Asking::FeatureAblation => values,
            Asking::Lime {
                samples,
                kernel,
                alpha,
                design,
            } => values
                .put("samples", samples)
                .put("kernel", kernel)
                .put("alpha", alpha)
                .may("design", design.as_ref()),
            Asking::KernelShap { samples, design } => values
                .may("samples", *samples)
                .may("design", design.as_ref()),
            Asking::Anchors {
                threshold,
                delta,
                tau,
                batch,
                beam,
                passes,
            } => values
                .put("threshold", threshold)
                .put("delta", delta)
                .put("tau", tau)
                .put("batch", batch)
                .put("beam", beam)
                .put("passes", passes),
            Asking::Sobol { designs, design } => values
                .put("designs", designs)
                .may("design", design.as_ref()),
            Asking::Hsic { samples, design } => values
                .put("samples", samples)
                .may("design", design.as_ref()),
        }
    }
}

/// Segments without a word: LIME's usual 50, or the cells of Sobol's paper.
const PIECES: usize = 50;
const CELLS: usize = 64;

impl Given<'_> {
    /// A method over segments, if `name` is one.
    pub(super) fn segmented(&self, name: &str) -> Result<Option<Parameters>, SpecError> {
        let asking = match name {
            "feature-ablation" => Asking::FeatureAblation,
            "lime" => Asking::Lime {
                samples: self
                    .count("samples", "a whole number from 1")?
                    .unwrap_or(1000),
                kernel: self.real("kernel", 0.25, "a number above 0", |x| x > 0.0)?,
                alpha: self.real("alpha", 1.0, "a number from 0", |x| x >= 0.0)?,
                design: self.values.get("design").map(PathBuf::from),
            },
            "kernel-shap" => Asking::KernelShap {
                samples: self.count("samples", "a whole number from 1")?,
                design: self.values.get("design").map(PathBuf::from),
            },
            "anchors" => self.anchors()?,
            "sobol" => Asking::Sobol {
                designs: self
                    .count("designs", "a whole number from 2")?
                    .unwrap_or(32),
                design: self.values.get("design").map(PathBuf::from),
            },
            "hsic" => Asking::Hsic {
                samples: self
                    .count("samples", "a whole number from 4")?
                    .unwrap_or(500),
                design: self.values.get("design").map(PathBuf::from),
            },
            _ => return Ok(None),
        };
        let (even, by_mean) = match asking {
            Asking::Sobol { .. } | Asking::Hsic { .. } => (true, false),
            Asking::Lime { .. } | Asking::Anchors { .. } => (false, true),
            _ => (false, false),
        };
        Ok(Some(Parameters::Segmented(Segmented {
            cutting: self.cutting(even)?,
            hiding: self.hiding(by_mean)?,
            asking,
        })))
    }

    fn cutting(&self, even: bool) -> Result<Cutting, SpecError> {
        let count = self.count("count", "a whole number from 1")?;
        let usual = if even { "grid" } else { "slic" };
        let cutting = match self.values.get("segments").map_or(usual, String::as_str) {
            "grid" => Cutting::Grid(count.unwrap_or(if even { CELLS } else { PIECES })),
            "slic" => Cutting::Slic(count.unwrap_or(PIECES)),
            "quickshift" => Cutting::Quickshift,
            "" => return Err(self.wrong("segments", "it takes grid, slic, quickshift or a file")),
            path => Cutting::File(PathBuf::from(path)),
        };
        match (&cutting, count) {
            (Cutting::Quickshift | Cutting::File(_), Some(_)) => {
                Err(self.wrong("count", "only grid and slic take it"))
            }
            _ => Ok(cutting),
        }
    }

    fn hiding(&self, by_mean: bool) -> Result<Hiding, SpecError> {
        match self.values.get("baseline").map(String::as_str) {
            Some("segment") => Ok(Hiding::Mean),
            None if by_mean => Ok(Hiding::Mean),
            _ => Ok(Hiding::Baseline(self.baseline(Baseline::Black)?)),
        }
    }

    fn anchors(&self) -> Result<Asking, SpecError> {
        let share = |key, usual| {
            self.real(key, usual, "a share above 0, below 1", |x| {
                x > 0.0 && x < 1.0
            })
        };
        Ok(Asking::Anchors {
            threshold: share("threshold", 0.95)?,
            delta: share("delta", 0.1)?,
            tau: share("tau", 0.15)?,
            batch: self.count("batch", "a whole number from 1")?.unwrap_or(100),
            beam: self.count("beam", "1 to 8")?.unwrap_or(1),
            passes: self
                .count("passes", "a whole number from 1")?
                .unwrap_or(20_000),
        })
    }

    fn real(
        &self,
        key: &str,
        usual: f64,
        takes: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<f64, SpecError> {
        let value = self.number(key, takes)?.unwrap_or(usual);
        match value.is_finite() && fits(value) {
            true => Ok(value),
            false => Err(self.wrong(key, format!("it takes {takes}"))),
        }
    }
}
