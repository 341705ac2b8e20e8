//! Values that another computation left: a run of memory that holds another
//! tensor, or a pattern, in place of the result.

use foveola_core::Shape;

use super::{Cause, Kind, Ranking, Scene};

/// Values that must agree before they are no accident.
const LEAST: usize = 8;

/// Index in the other order of memory: planes, element by element.
fn planes(shape: Shape) -> Vec<usize> {
    let area = shape.area();
    let place = |i: usize| i % area * shape.c + i / area;
    (0..shape.len()).map(place).collect()
}

/// Looks for the run of wrong values in other tensors and among patterns, with
/// memory in both orders.
pub(super) fn try_all(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    if ranking.wrong().is_empty() {
        return;
    }
    let shape = scene.node.output;
    let plain: Vec<usize> = (0..shape.len()).collect();
    for (order, words) in [(plain, ""), (planes(shape), " (NCHW)")] {
        let found: Vec<i8> = order.iter().map(|&i| scene.found[i]).collect();
        let expected: Vec<i8> = order.iter().map(|&i| scene.expected[i]).collect();
        let Some(run) = Run::of(&expected, &found) else {
            continue;
        };
        if let Some(text) = run.pattern().or_else(|| run.copied(scene, words)) {
            let place = format!(
                "elements {} to {}{words} of {} hold {text}",
                run.first, run.last, run.length
            );
            ranking.add_exact(Cause::new(Kind::StaleBuffer, place));
            return;
        }
    }
}

/// The run of memory from the first to the last value that differs.
struct Run<'a> {
    values: &'a [i8],
    first: usize,
    last: usize,
    length: usize,
    wrong: usize,
}

impl<'a> Run<'a> {
    fn of(expected: &[i8], found: &'a [i8]) -> Option<Self> {
        let apart = |i: &usize| expected[*i] != found[*i];
        let first = (0..found.len()).find(apart)?;
        let last = (0..found.len()).rfind(apart)?;
        let wrong = (first..=last).filter(apart).count();
        let values = &found[first..=last];
        let whole = values.len() == found.len();
        (values.len() >= LEAST || whole).then_some(Self {
            values,
            first,
            last,
            length: found.len(),
            wrong,
        })
    }

    /// Nearly all of the run must differ for a pattern: rightful values may
    /// equal it by chance, but not often.
    fn pattern(&self) -> Option<String> {
        if self.values.len() < LEAST || self.wrong * 2 < self.values.len() {
            return None;
        }
        let repeats = |period: &usize| self.values.windows(period + 1).all(|w| w[0] == w[*period]);
        let period = [1, 2, 4].into_iter().find(repeats)?;
        let bytes = self.values[..period].iter().map(|b| format!("{b:02X}"));
        Some(format!(
            "the bytes {} again and again: memory that nobody wrote",
            bytes.collect::<Vec<_>>().join(" ")
        ))
    }

    fn copied(&self, scene: &Scene<'_>, words: &str) -> Option<String> {
        let varied = self.values.windows(2).filter(|w| w[0] != w[1]).count();
        if varied < LEAST / 2 {
            return None;
        }
        for source in scene.sources {
            let data: Vec<i8> = match words.is_empty() {
                true => source.data.to_vec(),
                false => planes(source.shape)
                    .iter()
                    .map(|&i| source.data[i])
                    .collect(),
            };
            // At the same place first.
            let same = data.get(self.first..=self.last) == Some(self.values);
            let at = match same {
                true => Some(self.first),
                false => position(&data, self.values),
            };
            if let Some(at) = at {
                return Some(format!("elements from {at} on of {}", source.name));
            }
        }
        None
    }
}

fn position(data: &[i8], values: &[i8]) -> Option<usize> {
    let &first = values.first()?;
    let last = data.len().checked_sub(values.len())?;
    (0..=last).find(|&i| data[i] == first && data[i..i + values.len()] == *values)
}

/// The last resort: what differs is one dense run of memory that spans
/// channels, and nothing else explains it.
pub(super) fn contiguous(scene: &Scene<'_>, ranking: &mut Ranking<'_>) {
    if ranking.is_explained() {
        return;
    }
    let Some(run) = Run::of(scene.expected, scene.found) else {
        return;
    };
    let part = run.values.len() * 10 < run.length * 9;
    let dense = run.wrong * 5 >= run.values.len();
    if part && dense && run.values.len() >= LEAST {
        let text = format!(
            "elements {} to {} of {} are not of this picture or not of this layer; everything \
             outside is right",
            run.first, run.last, run.length
        );
        let unexplained = run.wrong;
        ranking.add_vague(Cause {
            unexplained,
            ..Cause::new(Kind::StaleBuffer, text)
        });
    }
}
