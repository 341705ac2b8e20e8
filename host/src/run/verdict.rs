//! Is the label right, and for the right reason?
//!
//! **Flag.** A class is predicted if its probability is above the run's
//! threshold. True and predicted is TP, predicted alone FP, true alone FN.
//!
//! **Evidence and boxes.** What decides is the evidence of the run's *first
//! method*. A region is all that the boxes (or outlines) of one label cover of
//! the picture as the network sees it. It has a share of the evidence, and a
//! share of the pixels: what an even map would have there.
//!
//! **Looked at.** The label whose region has most evidence beyond an even map's,
//! that is the largest difference of the two shares; the first label among
//! equals. If all regions together have less than an even map's, the network
//! looked at the background. A large box therefore does not win by its size,
//! nor a small one by a few bright pixels.
//!
//! **Verdict.** FP and FN are WRONG. TP is RIGHT-WRONG-REASON if the label's own
//! region has less evidence than an even map would put there; else, also where
//! there is no evidence or no such region, nothing speaks against it: RIGHT.
//!
//! An even map is the plainest rival: a method whose evidence on the object does
//! not beat it found no reason there. Maps much coarser than the object blur
//! evidence over its edge, which makes the verdict milder, never harsher.

use std::collections::BTreeMap;

use foveola_core::Error;
use foveola_core::explain::Outcome;

use super::data::ItemBox;
use super::view::{Answer, Flag, LabelledBox, Run, Sample, Verdict};
use crate::photo::Frame;

/// Margin of the two highest probabilities below which an answer is doubtful.
pub const LOW_MARGIN: f64 = 0.1;

/// Where the labels of a picture are, in the network's input.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    /// A mask a label, one byte a pixel, row by row, not 0 inside.
    by_label: BTreeMap<usize, Vec<u8>>,
}

/// Share of the evidence in a region, and of the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shares {
    evidence: f64,
    area: f64,
}

impl Shares {
    fn excess(self) -> f64 {
        self.evidence - self.area
    }
}

impl Regions {
    /// The regions of a picture's boxes. Labels of which the network sees
    /// nothing have none.
    ///
    /// # Errors
    /// A box that is none; [`super::data::DataSet::open`] gives no such.
    pub fn new(boxes: &[ItemBox], frame: &Frame) -> Result<Self, Error> {
        let mut by_label = BTreeMap::new();
        for one in boxes {
            if by_label.contains_key(&one.label) {
                continue;
            }
            let own = boxes.iter().filter(|b| b.label == one.label);
            let (plain, outlined): (Vec<_>, Vec<_>) = own.partition(|b| b.polygons.is_empty());
            let areas: Vec<[f32; 4]> = plain.iter().map(|b| b.area).collect();
            let corners = outlined.iter().flat_map(|b| &b.polygons);
            let polygons: Vec<&[[f32; 2]]> = corners.map(Vec::as_slice).collect();
            let mask = frame.region(&areas, &polygons)?;
            if mask.contains(&1) {
                by_label.insert(one.label, mask);
            }
        }
        Ok(Self { by_label })
    }

    /// The region of a label: one byte a pixel of the input, not 0 inside.
    pub fn of(&self, label: usize) -> Option<&[u8]> {
        self.by_label.get(&label).map(Vec::as_slice)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_label.is_empty()
    }

    /// The label that the evidence lies on, and its share of the evidence, 0 to
    /// 1; `None` on the background, without evidence, and without regions.
    pub fn looked_at(&self, evidence: &[f32]) -> Option<(usize, f64)> {
        let mut all = vec![0; evidence.len()];
        for mask in self.by_label.values() {
            for (all, &inside) in all.iter_mut().zip(mask) {
                *all |= inside;
            }
        }
        if shares(evidence, &all)?.excess() < 0.0 {
            return None;
        }
        let mut best: Option<(usize, Shares)> = None;
        for (&label, mask) in &self.by_label {
            let own = shares(evidence, mask)?;
            if best.is_none_or(|(_, best)| own.excess() > best.excess()) {
                best = Some((label, own));
            }
        }
        best.map(|(label, own)| (label, own.evidence))
    }

    /// Whether the evidence for a label avoids the label's own region.
    pub fn is_avoided(&self, label: usize, evidence: &[f32]) -> bool {
        let shares = self.of(label).and_then(|mask| shares(evidence, mask));
        shares.is_some_and(|own| own.excess() < 0.0)
    }
}

/// The shares of a region; `None` without evidence.
fn shares(evidence: &[f32], mask: &[u8]) -> Option<Shares> {
    let total: f64 = evidence.iter().map(|&v| f64::from(v)).sum();
    if !(total > 0.0 && total.is_finite()) || evidence.len() != mask.len() {
        return None;
    }
    let inside = evidence.iter().zip(mask).filter(|(_, m)| **m != 0);
    let (sum, count) = inside.fold((0.0, 0usize), |(sum, count), (v, _)| {
        (sum + f64::from(*v), count + 1)
    });
    Some(Shares {
        evidence: sum / total,
        area: count as f64 / mask.len() as f64,
    })
}

/// The boxes that the network sees, as shares of its picture.
pub fn seen(boxes: &[ItemBox], frame: &Frame) -> Vec<LabelledBox> {
    let seen = |one: &ItemBox| {
        let area = frame.share(one.area)?;
        let label = one.label;
        Some(LabelledBox { label, area })
    };
    boxes.iter().filter_map(seen).collect()
}

/// Prediction against truth; `truth` is `None` where nobody said.
pub fn flag(label: usize, predicted: bool, truth: Option<&[usize]>) -> Flag {
    let Some(truth) = truth else {
        return Flag::Unknown;
    };
    match (truth.contains(&label), predicted) {
        (true, true) => Flag::TruePositive,
        (true, false) => Flag::FalseNegative,
        (false, _) => Flag::FalsePositive,
    }
}

/// Prediction and evidence in one word; `evidence` is the first method's, one
/// weight a pixel of the input, empty where it has none.
pub fn verdict(flag: Flag, label: usize, evidence: &[f32], regions: &Regions) -> Option<Verdict> {
    match flag {
        Flag::Unknown => None,
        Flag::FalsePositive | Flag::FalseNegative => Some(Verdict::Wrong),
        Flag::TruePositive => Some(match regions.is_avoided(label, evidence) {
            true => Verdict::RightWrongReason,
            false => Verdict::Right,
        }),
    }
}

/// Whether an answer is worth a second look: not RIGHT, or hardly ahead of
/// another class.
pub fn is_doubtful(verdict: Option<Verdict>, margin: Option<f64>) -> bool {
    let not_right = matches!(verdict, Some(Verdict::Wrong | Verdict::RightWrongReason));
    not_right || margin.is_some_and(|margin| margin < LOW_MARGIN)
}

/// What the evidence of an answer lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Boxes of this label.
    Label(usize),
    /// Outside of all boxes.
    Background,
}

/// What an answer's evidence lies on; `None` without boxes or without a map.
pub fn place(sample: &Sample, answer: &Answer) -> Option<Place> {
    let first = answer.maps.first()?;
    let has_map = matches!(first.outcome, Outcome::Ok | Outcome::Partial { .. });
    match answer.looked_at {
        Some((label, _)) => Some(Place::Label(label)),
        None => (has_map && !sample.boxes.is_empty()).then_some(Place::Background),
    }
}

/// How often each predicted label was read off which place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceMatrix {
    /// The labels predicted, ascending.
    pub labels: Vec<usize>,
    /// The places looked at, ascending, the background last.
    pub places: Vec<Place>,
    /// For each label a count for each place.
    pub counts: Vec<Vec<u64>>,
}

impl EvidenceMatrix {
    /// Counts the predicted answers of all pictures with boxes.
    pub fn of(run: &Run) -> Self {
        let mut counted: BTreeMap<usize, BTreeMap<Place, u64>> = BTreeMap::new();
        for sample in &run.samples {
            for answer in &sample.answers {
                if answer.flag == Flag::FalseNegative {
                    continue;
                }
                if let Some(place) = place(sample, answer) {
                    let row = counted.entry(answer.label).or_default();
                    *row.entry(place).or_default() += 1;
                }
            }
        }
        let mut places: Vec<Place> = counted.values().flat_map(BTreeMap::keys).copied().collect();
        places.sort_unstable();
        places.dedup();
        let row = |row: &BTreeMap<Place, u64>| -> Vec<u64> {
            let count = |place| row.get(place).copied().unwrap_or(0);
            places.iter().map(count).collect()
        };
        Self {
            labels: counted.keys().copied().collect(),
            counts: counted.values().map(row).collect(),
            places,
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The table for people, at most `most` labels: those with most evidence
    /// away from their own boxes first.
    pub fn rows(&self, labels: &[String], most: usize) -> Vec<Vec<String>> {
        let name = |label: usize| crate::card::label(labels, label);
        let away = |i: usize| -> u64 {
            let counts = self.places.iter().zip(&self.counts[i]);
            let elsewhere = counts.filter(|(place, _)| **place != Place::Label(self.labels[i]));
            elsewhere.map(|(_, n)| n).sum()
        };
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(away(i)));
        order.truncate(most);
        let used = |p: usize| order.iter().any(|&i| self.counts[i][p] > 0);
        let shown: Vec<usize> = (0..self.places.len()).filter(|&p| used(p)).collect();
        let heading = shown.iter().map(|&p| match self.places[p] {
            Place::Label(label) => name(label),
            Place::Background => String::from("background"),
        });
        let mut rows = vec![
            std::iter::once(String::from("predicted \\ looked at"))
                .chain(heading)
                .collect::<Vec<_>>(),
        ];
        for &i in &order {
            let counts = shown.iter().map(|&p| self.counts[i][p].to_string());
            rows.push(
                std::iter::once(name(self.labels[i]))
                    .chain(counts)
                    .collect(),
            );
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(label: usize, area: [f32; 4]) -> ItemBox {
        let polygons = Vec::new();
        ItemBox {
            label,
            area,
            polygons,
        }
    }

    /// Two labels on a 10 x 10 picture: 0 on the upper half, 1 on the left
    /// lower quarter of it all.
    fn regions() -> Regions {
        let boxes = [
            boxed(0, [0.0, 0.0, 10.0, 5.0]),
            boxed(1, [0.0, 5.0, 5.0, 5.0]),
        ];
        Regions::new(&boxes, &Frame::whole([10, 10])).unwrap()
    }

    /// Evidence of these sums on label 0, on label 1 and elsewhere.
    fn evidence(on: [f32; 3]) -> Vec<f32> {
        let weight = |i: usize| match (i / 10 < 5, i % 10 < 5) {
            (true, _) => on[0] / 50.0,
            (false, true) => on[1] / 25.0,
            (false, false) => on[2] / 25.0,
        };
        (0..100).map(weight).collect()
    }

    /// Shares of the area are 0.5 and 0.25.
    #[test]
    fn the_label_with_most_beyond_an_even_map() {
        let looked_at = |on| regions().looked_at(&evidence(on));
        let near = |found: Option<(usize, f64)>, label, share: f64| {
            let (at, own) = found.unwrap();
            assert!(at == label && (own - share).abs() < 1e-6, "{at} {own}");
        };
        // 0.55 is more than 0.45, but only 0.05 beyond an even map, not 0.2.
        near(looked_at([0.55, 0.45, 0.0]), 1, 0.45);
        near(looked_at([0.9, 0.1, 0.0]), 0, 0.9);
        assert_eq!(
            looked_at([0.4, 0.3, 0.3]),
            None,
            "0.7 of the boxes is less than 0.75"
        );
        assert_eq!(looked_at([0.0, 0.0, 0.0]), None);
        assert_eq!(
            Regions::default().looked_at(&evidence([1.0, 1.0, 1.0])),
            None
        );
    }

    #[test]
    fn a_box_of_the_whole_picture_is_always_looked_at() {
        let whole = [boxed(3, [0.0, 0.0, 10.0, 10.0])];
        let regions = Regions::new(&whole, &Frame::whole([10, 10])).unwrap();
        assert_eq!(
            regions.looked_at(&evidence([0.1, 0.7, 0.3])),
            Some((3, 1.0))
        );
        assert!(!regions.is_avoided(3, &evidence([0.1, 0.7, 0.3])));
    }

    #[test]
    fn verdicts() {
        let of = |flag, label, on| verdict(flag, label, &evidence(on), &regions());
        let (right, reason) = (Some(Verdict::Right), Some(Verdict::RightWrongReason));
        assert_eq!(of(Flag::TruePositive, 0, [0.6, 0.0, 0.4]), right);
        assert_eq!(of(Flag::TruePositive, 0, [0.4, 0.0, 0.6]), reason);
        assert_eq!(of(Flag::TruePositive, 1, [0.6, 0.2, 0.2]), reason);
        assert_eq!(
            of(Flag::TruePositive, 7, [0.0, 0.0, 1.0]),
            right,
            "it has no box"
        );
        assert_eq!(of(Flag::TruePositive, 0, [0.0; 3]), right, "no evidence");
        assert_eq!(
            of(Flag::FalsePositive, 0, [1.0, 0.0, 0.0]),
            Some(Verdict::Wrong)
        );
        assert_eq!(
            of(Flag::FalseNegative, 0, [1.0, 0.0, 0.0]),
            Some(Verdict::Wrong)
        );
        assert_eq!(of(Flag::Unknown, 0, [1.0, 0.0, 0.0]), None);
        assert_eq!(flag(2, true, None), Flag::Unknown);
        assert_eq!(flag(2, true, Some(&[])), Flag::FalsePositive);
        assert_eq!(flag(2, true, Some(&[1, 2])), Flag::TruePositive);
        assert_eq!(flag(2, false, Some(&[1, 2])), Flag::FalseNegative);
        assert!(is_doubtful(reason, None) && is_doubtful(right, Some(0.05)));
        assert!(!is_doubtful(right, Some(0.5)) && !is_doubtful(None, None));
    }

    #[test]
    fn outlines_come_before_their_box() {
        let mut outlined = boxed(0, [0.0, 0.0, 10.0, 10.0]);
        outlined.polygons = vec![vec![[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 5.0]]];
        let far = boxed(1, [20.0, 0.0, 5.0, 5.0]);
        let regions = Regions::new(&[outlined, far], &Frame::whole([10, 10])).unwrap();
        let inside: usize = regions.of(0).unwrap().iter().map(|&m| usize::from(m)).sum();
        assert_eq!(inside, 25);
        assert!(regions.of(1).is_none(), "the network does not see it");
    }
}
