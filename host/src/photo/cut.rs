//! A picture cut into segments.

use std::collections::BTreeSet;
use std::path::Path;

use foveola_core::segment::{
    Colours, MAX_SEGMENTS, Quickshift, Segments, Slic, Workspace, flatten_pixels, flatten_scratch,
    flatten_tensor, grid, grid_of, quickshift, slic,
};
use foveola_core::{Error, Shape};

use super::hide::Hidden;
use super::{Content, Photo, PhotoError, read, read_any};
use crate::method_spec::Cutting;

impl Photo {
    /// The segment of each pixel; the inner error says what does not fit.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn cut(&self, cutting: &Cutting) -> Result<Result<Vec<u16>, String>, PhotoError> {
        if let Cutting::File(path) = cutting {
            return labels(path, self.shape);
        }
        let shape = Shape::new(self.shape.h, self.shape.w, 3);
        let colours = Colours {
            shape,
            data: self.display.as_raw(),
        };
        let mut labels = vec![0; shape.area()];
        let done = match *cutting {
            Cutting::Grid(count) => grid(shape, grid_of(shape, count), &mut labels),
            Cutting::Slic(count) => {
                let parameters = Slic {
                    count,
                    ..Slic::default()
                };
                let numbers = parameters.numbers(shape);
                with_workspace(shape, numbers, |workspace| {
                    slic(&colours, &parameters, workspace, &mut labels)
                })
            }
            _ => with_workspace(shape, Quickshift::numbers(shape), |workspace| {
                quickshift(&colours, &Quickshift::default(), workspace, &mut labels)
            }),
        };
        Ok(done.map(|_| labels).map_err(|error| error.to_string()))
    }

    /// Each segment in its mean colour.
    pub fn flattened(&self, labels: &[u16]) -> Hidden {
        let segments = Segments::new(labels);
        let c = self.shape.c;
        let mut scratch = vec![0.0; flatten_scratch(segments.count(), c)];
        let content = match &self.content {
            Content::Pixels(data) => {
                let mut out = vec![0; data.len()];
                let done = flatten_pixels(&segments, c, data, &mut scratch, &mut out);
                done.map(|()| Content::Pixels(out))
            }
            Content::Tensor(data) => {
                let mut out = vec![0.0; data.len()];
                let done = flatten_tensor(&segments, c, data, &mut scratch, &mut out);
                done.map(|()| Content::Tensor(out))
            }
        };
        // The scratch is as long as it has to be, so there is no other error.
        let content = content.unwrap_or_else(|_| self.content.clone());
        Hidden::picture(Self {
            content,
            ..self.clone()
        })
    }
}

fn with_workspace(
    shape: Shape,
    numbers: usize,
    work: impl FnOnce(&mut Workspace<'_>) -> Result<usize, Error>,
) -> Result<usize, Error> {
    work(&mut Workspace {
        numbers: &mut vec![0.0; numbers],
        places: &mut vec![0; 2 * shape.area()],
    })
}

/// Labels of a file, renumbered from 0 in the order of their numbers.
fn labels(path: &Path, shape: Shape) -> Result<Result<Vec<u16>, String>, PhotoError> {
    let (values, _) = read_any(&read(path)?).map_err(|reason| PhotoError::Decode {
        path: path.to_path_buf(),
        reason,
    })?;
    if values.shape() != [shape.h, shape.w] {
        return Ok(Err(format!(
            "its segments are {:?}, the picture is {}x{}",
            values.shape(),
            shape.h,
            shape.w
        )));
    }
    if values.iter().any(|v| v.fract() != 0.0 || !v.is_finite()) {
        return Ok(Err(String::from("its segments are not whole numbers")));
    }
    let numbers: BTreeSet<i64> = values.iter().map(|v| *v as i64).collect();
    if numbers.len() > MAX_SEGMENTS {
        return Ok(Err(String::from("it has more than 65536 segments")));
    }
    let numbers: Vec<i64> = numbers.into_iter().collect();
    let place = |v: &f32| numbers.binary_search(&(*v as i64)).unwrap_or(0) as u16;
    Ok(Ok(values.iter().map(place).collect()))
}
