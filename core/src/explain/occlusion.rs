//! Occlusion (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2).
//!
//! A window slides over the picture and hides what lies under it; each input
//! element gets f(x) - f(occluded), averaged over the windows that cover it.
//! The last window of each axis is cut at the border (as Captum does), so that
//! nothing stays uncovered. Default score: probability.
//! Cost: 1 forward a window and one more; scratch: classes + targets.
//!
//! `mindspore` reproduces MindSpore XAI: only windows that lie wholly inside,
//! the mean divides by one more than the windows that cover, magnitudes.

use super::pass::{Passes, fronts, prepare, score_of, unless_stopped};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Edit, Score};
use crate::error::Error;
use crate::mask::{Fill, Masked, Window};
use crate::picture::MAX_CHANNELS;
use crate::tensor::Shape;

/// What the score loses when a window hides a part of the picture.
#[derive(Clone, Copy, Debug)]
pub struct Occlusion<'a> {
    /// Channels, rows and columns of the window; 0 channels are all of them.
    /// `None`: all channels and a seventh of each side, rounded up.
    pub window: Option<[usize; 3]>,
    /// Distance of neighbouring windows along the same axes; 0 channels are the
    /// window's. `None`: half the window's rows and columns, rounded up.
    pub stride: Option<[usize; 3]>,
    /// What hides the picture.
    pub fill: Fill<'a>,
    /// MindSpore's numbers and its default window: a 32nd of a side above 32
    /// pixels without overlap, else 3 pixels in steps of 1.
    pub mindspore: bool,
}

impl Default for Occlusion<'_> {
    fn default() -> Self {
        Self {
            window: None,
            stride: None,
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            mindspore: false,
        }
    }
}

/// The windows along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    window: usize,
    stride: usize,
    count: usize,
}

impl Axis {
    fn new(side: usize, window: usize, stride: usize, whole_only: bool) -> Result<Self, Error> {
        if window == 0 || window > side {
            return Err(Error::BadParameter("window of occlusion"));
        }
        if stride == 0 {
            return Err(Error::BadParameter("stride of occlusion"));
        }
        let stride = stride.min(side);
        let steps = if whole_only {
            (side - window) / stride
        } else {
            (side - window).div_ceil(stride)
        };
        // With gaps between the windows the last one may begin past the border.
        let count = (steps + 1).min(side.div_ceil(stride));
        Ok(Self {
            window,
            stride,
            count,
        })
    }

    /// How many of the windows `0..end` cover `at`, and whether window `end` does.
    fn covering(&self, at: usize, end: usize) -> (usize, bool) {
        let stride = self.stride.max(1);
        let first = (at + 1).saturating_sub(self.window).div_ceil(stride);
        let after = (at / stride + 1).min(self.count);
        let before = after.min(end).saturating_sub(first);
        (before, first <= end && end < after)
    }
}

/// All windows: channels innermost, then columns, then rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiling {
    c: Axis,
    y: Axis,
    x: Axis,
}

impl Tiling {
    fn count(&self) -> usize {
        self.c.count * self.y.count * self.x.count
    }

    /// Place of window `i` along rows, columns and channels.
    fn place(&self, i: usize) -> [usize; 3] {
        let (columns, channels) = (self.x.count.max(1), self.c.count.max(1));
        let pixel = i / channels;
        [pixel / columns, pixel % columns, i % channels]
    }

    fn edit(&self, i: usize) -> Edit {
        Edit {
            window: self.window(i),
        }
    }

    fn window(&self, i: usize) -> Window {
        let [y, x, c] = self.place(i);
        Window {
            y: y * self.y.stride,
            x: x * self.x.stride,
            c: c * self.c.stride,
            h: self.y.window,
            w: self.x.window,
            d: self.c.window,
        }
    }

    /// How many of the windows `0..end` cover an element.
    fn covering(&self, [y, x, c]: [usize; 3], end: usize) -> usize {
        let [end_y, end_x, end_c] = self.place(end);
        let (rows, in_row) = self.y.covering(y, end_y);
        let (columns, in_column) = self.x.covering(x, end_x);
        let (channels, _) = self.c.covering(c, end_c);
        let (all_columns, _) = self.x.covering(x, self.x.count);
        let (all_channels, _) = self.c.covering(c, self.c.count);
        let mut covering = rows * all_columns * all_channels;
        if in_row {
            covering += columns * all_channels;
            if in_column {
                covering += channels;
            }
        }
        covering
    }
}

impl Occlusion<'_> {
    /// Channels, rows and columns of the default window and its stride.
    fn defaults(&self, input: Shape) -> ([usize; 3], [usize; 3]) {
        let side = |side: usize| match (self.mindspore, side > 32) {
            (true, true) => (side / 32, side / 32),
            (true, false) => (3, 1),
            (false, _) => (side.div_ceil(7), 0),
        };
        let ((h, sy), (w, sx)) = (side(input.h), side(input.w));
        let window = self.window.unwrap_or([0, h, w]);
        let [_, h, w] = window;
        let stride = if self.mindspore && self.window.is_none() {
            [0, sy, sx]
        } else {
            [0, h.div_ceil(2), w.div_ceil(2)]
        };
        (window, self.stride.unwrap_or(stride))
    }

    fn tiling(&self, input: Shape) -> Result<Tiling, Error> {
        let ([d, h, w], [sc, sy, sx]) = self.defaults(input);
        let d = if d == 0 { input.c } else { d };
        let sc = if sc == 0 { d } else { sc };
        let axis = |side, window, stride| Axis::new(side, window, stride, self.mindspore);
        Ok(Tiling {
            c: axis(input.c, d, sc)?,
            y: axis(input.h, h, sy)?,
            x: axis(input.w, w, sx)?,
        })
    }

    /// Sums of differences become means over the windows that were evaluated.
    fn average(&self, tiling: &Tiling, shape: Shape, windows: usize, map: &mut [f32]) {
        let extra = usize::from(self.mindspore);
        let mut elements = map.iter_mut();
        for y in 0..shape.h {
            for x in 0..shape.w {
                for (c, value) in elements.by_ref().take(shape.c).enumerate() {
                    let covering = tiling.covering([y, x, c], windows) + extra;
                    if covering > 0 {
                        *value /= covering as f32;
                    }
                    if self.mindspore {
                        *value = libm::fabsf(*value);
                    }
                }
            }
        }
    }
}

/// One channel if all of them always change together.
fn map_shape(tiling: &Tiling, input: Shape) -> Shape {
    let channels = if tiling.c.window < input.c {
        input.c
    } else {
        1
    };
    Shape::new(input.h, input.w, channels)
}

/// Adds to every element under the window.
fn add(map: &mut [f32], shape: Shape, window: Window, value: f32) {
    let rows = map.chunks_exact_mut(shape.row().max(1));
    for row in rows.skip(window.y).take(window.h) {
        let pixels = row.chunks_exact_mut(shape.c.max(1));
        for pixel in pixels.skip(window.x).take(window.w) {
            for element in pixel.iter_mut().skip(window.c).take(window.d) {
                *element += value;
            }
        }
    }
}

/// The targets' scores.
fn pick(scores: &[f32], targets: &[usize], out: &mut [f32]) -> Result<(), Error> {
    for (out, &target) in out.iter_mut().zip(targets) {
        *out = score_of(scores, target)?;
    }
    Ok(())
}

/// Adds what each target lost under the window to its map: `before` has one score
/// a target, `after` one a class.
fn add_losses(
    maps: &mut [f32],
    shape: Shape,
    window: Window,
    targets: &[usize],
    (before, after): (&[f32], &[f32]),
) -> Result<(), Error> {
    let targets = targets.iter().zip(before);
    let maps = maps.chunks_exact_mut(shape.len().max(1));
    for (map, (&target, before)) in maps.zip(targets) {
        add(map, shape, window, before - score_of(after, target)?);
    }
    Ok(())
}

impl Method for Occlusion<'_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        Ok(map_shape(&self.tiling(input)?, input))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        let tiling = self.tiling(classifier.input())?;
        Ok(Cost {
            forward: 1 + tiling.count() as u64,
            backward: 0,
            scratch: classifier.classes() + targets,
        })
    }

    fn explain(
        &self,
        classifier: &mut dyn Classifier,
        query: &Query<'_>,
        maps: &mut [f32],
        outcomes: &mut [Outcome],
        scratch: &mut [f32],
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let (input, classes) = (classifier.input(), classifier.classes());
        let tiling = self.tiling(input)?;
        let shape = map_shape(&tiling, input);
        let (maps, outcomes) = prepare(query, classes, shape, maps, outcomes)?;
        let (scores, before) = fronts(scratch, classes, query.targets.len())?;
        let whole = Masked {
            fill: self.fill,
            ..Masked::whole(query.picture)
        };
        let score = query.score.unwrap_or(Score::Probability);
        let mut passes = Passes::new(progress, 1 + tiling.count() as u64);
        classifier.classify(&whole, score, scores)?;
        pick(scores, query.targets, before)?;
        let swept = passes.step().and_then(|()| {
            let edit = |i: usize| tiling.edit(i);
            let mut sink = |i: usize, after: &[f32]| {
                let window = tiling.window(i).cut(input);
                add_losses(maps, shape, window, query.targets, (before, after))?;
                passes.step()
            };
            classifier.classify_edits(&whole, tiling.count(), &edit, score, scores, &mut sink)
        });
        unless_stopped(swept)?;
        let windows = passes.done as usize - 1;
        let maps = maps.chunks_exact_mut(shape.len().max(1));
        for (map, outcome) in maps.zip(outcomes) {
            self.average(&tiling, shape, windows, map);
            *outcome = passes.judge(map);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::Silent;
    use crate::explain::nets::{Net, StopAfter, close, explain, maps, read, tensor};
    use crate::mask::Mask;
    use crate::picture::Picture;
    use std::vec;
    use std::vec::Vec;

    const X: [f32; 16] = [
        0.2, 0.9, 0.4, 0.1, 0.7, 1.0, 0.8, 0.3, 0.1, 0.6, 0.5, 0.2, 0.0, 0.3, 0.2, 0.1,
    ];
    const W: [f32; 16] = [
        0.1, 0.8, 0.2, 0.0, 0.6, 1.2, 0.5, 0.1, 0.2, 0.4, 0.3, 0.0, 0.0, 0.1, 0.1, 0.0,
    ];

    #[test]
    fn linear_four_by_four() {
        let shape = Shape::new(4, 4, 1);
        let weights = [W.to_vec()];
        let mut net = Net::linear(shape, &weights);
        let mut method = Occlusion {
            window: Some([0, 3, 3]),
            stride: Some([0, 1, 1]),
            ..Occlusion::default()
        };
        let found = maps(&method, &mut net, tensor(shape, &X), &[0]);
        let expected = [
            3.25, 3.035, 3.035, 2.82, 2.865, 2.655, 2.655, 2.445, 2.865, 2.655, 2.655, 2.445, 2.48,
            2.275, 2.275, 2.07,
        ];
        close(&found[0], &expected, 1e-5);
        method.mindspore = true;
        let found = maps(&method, &mut net, tensor(shape, &X), &[0]);
        close(
            &found[0][..4],
            &[1.625, 2.023_333_3, 2.023_333_3, 1.41],
            1e-5,
        );
    }

    /// The definition, element by element, for a linear model: the mean over the
    /// covering windows (cut at the border) of sum w (x - fill) inside them.
    fn reference(shape: Shape, x: &[f32], w: &[f32], fill: &[f32], o: &Occlusion) -> Vec<f32> {
        let ([d, h, wd], [sc, sy, sx]) = (o.window.unwrap(), o.stride.unwrap());
        let steps = |side: usize, window: usize, stride: usize| -> Vec<(usize, usize)> {
            let last = if o.mindspore {
                (side - window) / stride
            } else {
                (side - window).div_ceil(stride)
            };
            let ends = |i: usize| (i * stride, (i * stride + window).min(side));
            (0..=last).map(ends).collect()
        };
        let (mut sum, mut n) = (vec![0.0f64; x.len()], vec![0.0; x.len()]);
        for (y0, y1) in steps(shape.h, h, sy) {
            for (x0, x1) in steps(shape.w, wd, sx) {
                for (c0, c1) in steps(shape.c, d, sc) {
                    let inside: Vec<usize> = (0..x.len())
                        .filter(|i| {
                            let (r, q, c) = (i / shape.row(), i / shape.c % shape.w, i % shape.c);
                            (y0..y1).contains(&r) && (x0..x1).contains(&q) && (c0..c1).contains(&c)
                        })
                        .collect();
                    let lost = |i: &usize| f64::from(w[*i]) * f64::from(x[*i] - fill[*i]);
                    let loss: f64 = inside.iter().map(lost).sum();
                    for i in inside {
                        sum[i] += loss;
                        n[i] += 1.0;
                    }
                }
            }
        }
        let mean = |(s, n): (f64, f64)| match (o.mindspore, n == 0.0) {
            (true, _) => (s / (n + 1.0)).abs() as f32,
            (false, true) => 0.0,
            (false, false) => (s / n) as f32,
        };
        sum.into_iter().zip(n).map(mean).collect()
    }

    #[test]
    fn linear_model_in_closed_form() {
        let shape = Shape::new(7, 10, 3);
        let wave =
            |a: f32, b: f32| -> Vec<f32> { (0..210).map(|i| (i as f32 * a + b).sin()).collect() };
        let (x, fill) = (wave(0.7, 0.1), wave(1.3, 2.0));
        let weights = [wave(2.1, 0.5), wave(0.9, 0.2)];
        let cases = [
            ([3, 3, 4], [3, 2, 3]),
            ([1, 2, 3], [1, 2, 2]),
            ([2, 7, 5], [1, 3, 5]),
            ([1, 1, 1], [3, 4, 3]),
            ([2, 3, 3], [2, 3, 3]),
        ];
        for (window, stride) in cases {
            for mindspore in [false, true] {
                for other in [
                    Fill::Picture(tensor(shape, &fill)),
                    Fill::Colour([0.5, -1.0, 0.25, 0.0]),
                ] {
                    let values: Vec<f32> = match other {
                        Fill::Picture(_) => fill.clone(),
                        Fill::Colour(c) => (0..210).map(|i| c[i % 3]).collect(),
                    };
                    let method = Occlusion {
                        window: Some(window),
                        stride: Some(stride),
                        fill: other,
                        mindspore,
                    };
                    let mut net = Net::linear(shape, &weights);
                    let found = maps(&method, &mut net, tensor(shape, &x), &[1, 0]);
                    let passes = method.cost(&mut net, 2).unwrap().forward;
                    assert_eq!(net.passes as u64, passes);
                    for (map, k) in found.iter().zip([1, 0]) {
                        let expected = reference(shape, &x, &weights[k], &values, &method);
                        if map.len() == 210 {
                            close(map, &expected, 2e-5);
                        } else {
                            let first: Vec<f32> = expected.iter().step_by(3).copied().collect();
                            close(map, &first, 2e-5);
                        }
                    }
                }
            }
        }
    }

    /// Default windows: 169 on a large square, MindSpore's 32 x 32 on 224.
    #[test]
    fn default_windows() {
        let forward = |h, w, mindspore| {
            let mut net = Net::new(Shape::new(h, w, 3), 1, |_, _| 0.0);
            let method = Occlusion {
                mindspore,
                ..Occlusion::default()
            };
            method.cost(&mut net, 1).unwrap().forward
        };
        assert_eq!(forward(224, 224, false), 1 + 13 * 13);
        assert_eq!(forward(40, 56, false), 1 + 13 * 13);
        assert_eq!(forward(224, 224, true), 1 + 32 * 32);
        assert_eq!(forward(100, 32, true), 1 + 33 * 30);
    }

    /// A run that is stopped gives the mean over the windows that were done.
    #[test]
    fn stopped_in_the_middle() {
        let shape = Shape::new(5, 6, 2);
        let x: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
        let weights = [(0..60)
            .map(|i| (i as f32 * 1.1).cos())
            .collect::<Vec<f32>>()];
        let method = Occlusion {
            window: Some([1, 3, 2]),
            stride: Some([1, 1, 2]),
            ..Occlusion::default()
        };
        let query = Query {
            picture: tensor(shape, &x),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let tiling = method.tiling(shape).unwrap();
        let total = 1 + tiling.count() as u64;
        for done in 1..=total {
            let mut net = Net::linear(shape, &weights);
            let (found, outcomes) =
                explain(&method, &mut net, &query, &mut StopAfter(done)).unwrap();
            if done < total && done > 1 {
                assert_eq!(outcomes[0], Outcome::Partial { done, total });
            }
            let (mut sum, mut n) = ([0.0; 60], [0.0; 60]);
            for window in (0..done as usize - 1).map(|i| tiling.window(i)) {
                for i in 0..60 {
                    let (y, x, c) = (i / 12, i / 2 % 6, i % 2);
                    let masked = Masked {
                        picture: query.picture,
                        fill: method.fill,
                        mask: Mask::Keep,
                    };
                    let hidden = read(&masked.edited(window)).unwrap();
                    let loss: f32 = (0..60)
                        .map(|i| weights[0][i] * (query_value(&query, i) - hidden[i]))
                        .sum();
                    let w = window;
                    if (w.y..w.y + w.h).contains(&y) && (w.x..w.x + w.w).contains(&x) && w.c == c {
                        sum[i] += loss;
                        n[i] += 1.0;
                    }
                }
            }
            let mean: Vec<f32> = sum
                .iter()
                .zip(n)
                .map(|(s, n)| if n > 0.0 { s / n } else { 0.0 })
                .collect();
            close(&found[0], &mean, 2e-5);
        }
    }

    fn query_value(query: &Query<'_>, i: usize) -> f32 {
        match query.picture {
            Picture::Tensor { data, .. } => data[i],
            Picture::Pixels { .. } => f32::NAN,
        }
    }

    #[test]
    fn flat_pictures_and_bad_parameters() {
        let shape = Shape::new(4, 4, 1);
        let mut net = Net::new(shape, 1, |_, _| 0.5);
        let query = Query {
            picture: tensor(shape, &X),
            targets: &[0],
            score: None,
            seed: 0,
        };
        let with = |window, stride| Occlusion {
            window: Some(window),
            stride: Some(stride),
            ..Occlusion::default()
        };
        let (_, outcomes) = explain(&Occlusion::default(), &mut net, &query, &mut Silent).unwrap();
        assert_eq!(outcomes, [Outcome::Flat]);
        let mut bad = |window, stride| {
            explain(&with(window, stride), &mut net, &query, &mut Silent).unwrap_err()
        };
        let window = Error::BadParameter("window of occlusion");
        assert_eq!(bad([0, 0, 2], [0, 1, 1]), window);
        assert_eq!(bad([0, 2, 5], [0, 1, 1]), window);
        assert_eq!(bad([2, 2, 2], [0, 1, 1]), window);
        assert_eq!(
            bad([0, 2, 2], [0, 1, 0]),
            Error::BadParameter("stride of occlusion")
        );
        let mut nan = Net::new(shape, 1, |x, _| if x[0] == 0.0 { f64::NAN } else { 1.0 });
        let error = explain(&Occlusion::default(), &mut nan, &query, &mut Silent);
        assert_eq!(error, Err(Error::ScoreNotFinite { class: 0 }));
    }
}
