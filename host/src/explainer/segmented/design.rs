//! Designs that someone made: which segments each mask keeps, or how much of each.

use std::path::Path;

use crate::method_spec::{Asking, Segmented as Parameters};
use crate::photo::{PhotoError, read, read_any};

/// Rows as the method takes them, one after another.
pub enum Design {
    /// One byte a segment, 0 hides and 1 keeps.
    Masks(Vec<u8>),
    /// Weights 0 to 1, two a segment: A's and then B's.
    Points(Vec<f32>),
}

impl Design {
    /// Reads the file that a method names, if it names one; the inner error says
    /// what does not fit a picture of `count` segments.
    pub fn of(
        parameters: &Parameters,
        count: usize,
    ) -> Result<Result<Option<Self>, String>, PhotoError> {
        let Some(path) = parameters.design() else {
            return Ok(Ok(None));
        };
        let (rows, width, values) = table(path)?;
        let (is_sobol, least) = match parameters.asking {
            Asking::Sobol { .. } => (true, 2),
            Asking::Hsic { .. } => (false, 4),
            _ => (false, 1),
        };
        let (each, need) = match is_sobol {
            true => (", two columns each", 2 * count),
            false => ("", count),
        };
        if width != need {
            return Ok(Err(format!(
                "its design has {width} columns, the picture {count} segments{each}"
            )));
        }
        if rows < least {
            return Ok(Err(format!(
                "its design has {rows} rows, and it takes {least} or more"
            )));
        }
        let fits = |value: &f32| match is_sobol {
            true => (0.0..=1.0).contains(value),
            false => *value == 0.0 || *value == 1.0,
        };
        if !values.iter().all(fits) {
            let reason = match is_sobol {
                true => "it holds numbers that are not from 0 to 1",
                false => "it holds numbers other than 0 and 1",
            };
            return Err(wrong(path, reason));
        }
        Ok(Ok(Some(match is_sobol {
            true => Self::Points(values),
            false => Self::Masks(values.iter().map(|v| u8::from(*v == 1.0)).collect()),
        })))
    }
}

/// Rows, columns and values of a file.
fn table(path: &Path) -> Result<(usize, usize, Vec<f32>), PhotoError> {
    let (values, _) = read_any(&read(path)?).map_err(|reason| wrong(path, reason))?;
    let &[rows, width] = values.shape() else {
        return Err(wrong(path, "its shape is not masks, segments"));
    };
    Ok((rows, width, values.iter().copied().collect()))
}

fn wrong(path: &Path, reason: impl Into<String>) -> PhotoError {
    PhotoError::Decode {
        path: path.to_path_buf(),
        reason: reason.into(),
    }
}
