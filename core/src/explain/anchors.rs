//! Anchors (Ribeiro et al. 2018, AAAI, "Anchors: high-precision model-agnostic
//! explanations"; the numbers of alibi 0.9.6).
//!
//! An anchor is a set A of segments that, when they are kept, decide the class
//! whatever a fair coin does to each of the others: prec(A) = P(the class stays
//! the prediction | A kept). Sought is the anchor of largest coverage
//! cov(A) = P(A kept by the coins) with P(prec >= threshold) >= 1 - delta. The
//! coins are independent, so cov(A) = 2^-|A| exactly; alibi estimates it from
//! 10 000 draws. The class is predicted where its score is the largest (of one
//! class: where its probability is above a half).
//!
//! From the empty set on, the best `beam` sets grow by one segment. Which ones
//! are best is told by KL-LUCB (Kaufmann and Kalyanakrishnan 2013, COLT): bounds
//! q with n kl(p, q) <= beta, beta = z + ln z, z = ln(405.5 K t^1.1 / delta) of K
//! sets in round t; the worst of the best and the best of the rest are sampled
//! until their bounds overlap by less than `tau`. A set is accepted if its
//! precision reaches the threshold and its lower bound (beta = ln((1 + (beam - 1)
//! d) / delta)) comes within `slack` of it; none is turned down before it has had
//! one batch (alibi may turn it down after one mask). If none is, the set with the highest
//! lower bound is given and flagged (`qualifies` 0).
//!
//! The map is 1 on the anchor, 0 elsewhere (flat for an empty anchor: then
//! nothing that was hidden mattered). Beside it: `precision` with its bounds
//! `precision_low` and `precision_high` (level delta), `coverage`, `qualifies`,
//! `segments`, `samples` of the set. Always explains the prediction; the kind
//! of score makes no difference. Cost: depends on the picture, `most` forward a target at
//! most; scratch: 32 rows of one weight a segment, the classes; storage:
//! beam x segments [`Arm`]s.

use core::cell::{Cell, RefCell};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use super::pass::{NOTHING_YET, Passes, judge, prepare, score_of};
use super::segmented::{Cut, coins};
use super::{Cost, Method, Outcome, Progress, Query};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::Fill;
use crate::metric::order::sort;
use crate::segment::Segments;
use crate::tensor::Shape;

/// Most segments of a picture.
pub const MAX_ANCHOR_SEGMENTS: usize = 256;

/// Most sets that grow at once.
pub const MAX_BEAM: usize = 8;

type Set = [u64; MAX_ANCHOR_SEGMENTS / 64];

const fn word(segment: usize) -> (usize, u64) {
    (segment / 64, 1 << (segment % 64))
}

fn has(set: &Set, segment: usize) -> bool {
    let (at, bit) = word(segment);
    set.get(at).is_some_and(|word| word & bit != 0)
}

fn with(mut set: Set, segment: usize) -> Set {
    let (at, bit) = word(segment);
    if let Some(word) = set.get_mut(at) {
        *word |= bit;
    }
    set
}

fn size(set: &Set) -> u32 {
    set.iter().map(|word| word.count_ones()).sum()
}

/// A set of segments and how often the class stayed.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Arm {
    set: Set,
    samples: Cell<u32>,
    hits: Cell<u32>,
}

impl Arm {
    fn of(set: Set) -> Self {
        Self {
            set,
            ..Self::default()
        }
    }

    fn mean(&self) -> f64 {
        f64::from(self.hits.get()) / f64::from(self.samples.get().max(1))
    }

    /// Lower and upper bound of the precision at a level of divergence.
    fn bounds(&self, beta: f64) -> [f64; 2] {
        if self.samples.get() == 0 {
            return [0.0, 1.0];
        }
        bounds(self.mean(), beta / f64::from(self.samples.get()))
    }
}

/// Kullback-Leibler divergence of two coins.
fn divergence(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| {
        if p > 0.0 {
            p * libm::log(p / if q > 1e-300 { q } else { 1e-300 })
        } else {
            0.0
        }
    };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The least and largest q whose divergence from p is at most `level`.
fn bounds(p: f64, level: f64) -> [f64; 2] {
    let bisect = |mut inside: f64, mut outside: f64| {
        for _ in 0..48 {
            let middle = 0.5 * (inside + outside);
            if divergence(p, middle) <= level {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        inside
    };
    [bisect(p, 0.0), bisect(p, 1.0)]
}

/// The level of KL-LUCB for `arms` sets in round `t`.
fn beta(arms: usize, t: u32, delta: f64) -> f64 {
    let z = libm::log(405.5 * arms as f64 * libm::pow(f64::from(t), 1.1) / delta);
    z + libm::log(z)
}

/// Segments that decide the class.
#[derive(Debug)]
pub struct Anchors<'a, 's> {
    /// The segments, 1 to [`MAX_ANCHOR_SEGMENTS`].
    pub segments: Segments<'a>,
    /// What hides them; alibi's is each segment's mean colour.
    pub fill: Fill<'a>,
    /// Precision sought, above 0, up to 1; alibi's is 0.95.
    pub threshold: f64,
    /// Share of wrong bounds, above 0, below 1; alibi's is 0.1.
    pub delta: f64,
    /// Overlap at which two sets count as equal, above 0; alibi's is 0.15.
    pub tau: f64,
    /// How far below the threshold a lower bound may lie, at least 0; alibi's is 0.05.
    pub slack: f64,
    /// Masks a set and round, at least 1; alibi's is 100.
    pub batch: u32,
    /// Sets that grow at once, 1 to [`MAX_BEAM`]; alibi's is 1.
    pub beam: usize,
    /// Most masks a target, at least 1.
    pub most: u32,
    /// `beam` x segments sets, at least 1.
    pub storage: RefCell<&'s mut [Arm]>,
}

/// The numbers of alibi, for what is not the picture's own.
impl<'a, 's> Anchors<'a, 's> {
    /// alibi's parameters, 20 000 masks a target at most.
    #[must_use]
    pub const fn new(segments: Segments<'a>, fill: Fill<'a>, storage: &'s mut [Arm]) -> Self {
        Self {
            segments,
            fill,
            threshold: 0.95,
            delta: 0.1,
            tau: 0.15,
            slack: 0.05,
            batch: 100,
            beam: 1,
            most: 20_000,
            storage: RefCell::new(storage),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let inside = |x: f64, least: f64, most: f64| x > least && x < most;
        let fits = inside(self.threshold, 0.0, 1.0 + 1e-12)
            && inside(self.delta, 0.0, 1.0)
            && inside(self.tau, 0.0, 1.0)
            && (0.0..1.0).contains(&self.slack);
        if !fits || self.batch == 0 || self.most == 0 || !(1..=MAX_BEAM).contains(&self.beam) {
            return Err(Error::BadParameter("parameters of Anchors"));
        }
        if self.segments.count() > MAX_ANCHOR_SEGMENTS {
            return Err(Error::BadParameter("number of segments"));
        }
        Ok(())
    }

    /// Sets that compete at most.
    #[must_use]
    pub const fn arms(segments: usize, beam: usize) -> usize {
        if segments == 0 { beam } else { segments * beam }
    }
}

/// The set that was found.
struct Found {
    arm: Arm,
    qualifies: bool,
}

struct Search<'r, 'q, 's, 'p> {
    parameters: &'r Anchors<'q, 's>,
    cut: Cut<'r>,
    classifier: &'r mut dyn Classifier,
    scratch: &'r mut [f32],
    passes: &'r mut Passes<'p>,
    target: usize,
    seed: u64,
    draws: u32,
    /// The set with the highest lower bound so far.
    best: Option<(f64, Arm)>,
}

/// Whether a class is the prediction.
fn predicted(scores: &[f32], target: usize) -> Result<bool, Error> {
    let own = score_of(scores, target)?;
    if scores.len() == 1 {
        return Ok(own > 0.5);
    }
    let mut before = scores.iter().take(target);
    let mut after = scores.iter().skip(target + 1);
    Ok(before.all(|other| *other < own) && after.all(|other| *other <= own))
}

impl Search<'_, '_, '_, '_> {
    /// Shows `count` more masks; mask i keeps the set of arm `pick(i)`.
    fn pull(
        &mut self,
        arms: &[Arm],
        count: usize,
        pick: &dyn Fn(usize) -> usize,
    ) -> Result<(), Error> {
        let left = self.parameters.most.saturating_sub(self.draws) as usize;
        let begin = self.draws as usize;
        let (seed, target) = (self.seed, self.target);
        let mut row = |i: usize, weights: &mut [f32]| {
            coins(seed, i as u32, weights);
            let arm = arms.get(pick(i - begin)).ok_or(Error::Internal)?;
            for (s, weight) in weights.iter_mut().enumerate() {
                *weight = if has(&arm.set, s) { 1.0 } else { *weight };
            }
            Ok(())
        };
        let passes = &mut *self.passes;
        let draws = &mut self.draws;
        let mut sink = |i: usize, _: &[f32], scores: &[f32]| {
            let arm = arms.get(pick(i - begin)).ok_or(Error::Internal)?;
            let hit = u32::from(predicted(scores, target)?);
            arm.samples.set(arm.samples.get() + 1);
            arm.hits.set(arm.hits.get() + hit);
            *draws += 1;
            passes.step()
        };
        let range = (begin, begin + count.min(left));
        self.cut
            .ask(self.classifier, range, &mut row, self.scratch, &mut sink)?;
        if count > left {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }

    fn batch(&mut self, arms: &[Arm], arm: usize) -> Result<(), Error> {
        self.pull(arms, self.parameters.batch as usize, &|_| arm)
    }

    /// The level of the bounds that accept a set.
    fn level(&self) -> f64 {
        let Anchors { beam, delta, .. } = *self.parameters;
        let rivals = (beam - 1) * self.parameters.segments.count();
        libm::log((1 + rivals) as f64 / delta)
    }

    /// Samples a set until it is clear whether it qualifies.
    fn qualifies(&mut self, arms: &[Arm], at: usize) -> Result<bool, Error> {
        let Anchors {
            threshold, slack, ..
        } = *self.parameters;
        let arm = arms.get(at).ok_or(Error::Internal)?;
        loop {
            let [low, high] = arm.bounds(self.level());
            let (reached, mean) = (low > threshold - slack, arm.mean());
            self.note(arm, low);
            if mean >= threshold && reached {
                return Ok(true);
            }
            let sampled = arm.samples.get() >= self.parameters.batch;
            if sampled && mean < threshold && high < threshold + slack {
                return Ok(false);
            }
            self.batch(arms, at)?;
        }
    }

    fn note(&mut self, arm: &Arm, low: f64) {
        if self.best.as_ref().is_none_or(|(best, _)| low > *best) {
            self.best = Some((low, arm.clone()));
        }
    }

    /// KL-LUCB: brings the best `top` of the arms to the front, best first.
    fn select(&mut self, arms: &mut [Arm], top: usize) -> Result<(), Error> {
        let count = arms.len();
        self.pull(arms, count, &|i| i)?;
        let mut round = 1;
        loop {
            sort(arms, &|a: &Arm, b: &Arm| {
                let by_mean = b.mean().total_cmp(&a.mean());
                by_mean.then_with(|| a.set.cmp(&b.set)).is_lt()
            });
            let level = beta(count, round, self.parameters.delta);
            let Some((chosen, rest)) = arms.split_at_checked(top).filter(|(_, r)| !r.is_empty())
            else {
                return Ok(());
            };
            let low = |arm: &Arm| arm.bounds(level)[0];
            let high = |arm: &Arm| arm.bounds(level)[1];
            let weakest = extreme(chosen, |arm| -low(arm));
            let rival = extreme(rest, high);
            let overlap = rest.get(rival).map_or(0.0, high) - chosen.get(weakest).map_or(0.0, low);
            if overlap <= self.parameters.tau {
                return Ok(());
            }
            self.batch(arms, weakest)?;
            self.batch(arms, top + rival)?;
            round += 1;
        }
    }

    fn run(&mut self, arms: &mut [Arm]) -> Result<Found, Error> {
        let (count, beam) = (self.parameters.segments.count(), self.parameters.beam);
        let mut beams = [Set::default(); MAX_BEAM];
        let mut grown = 1;
        if let Some(first) = arms.first_mut() {
            *first = Arm::of(Set::default());
        }
        if self.qualifies(arms, 0)? {
            return found(arms.first(), true);
        }
        for _ in 0..count {
            let rivals = grow(beams.get(..grown).unwrap_or_default(), count, arms)?;
            let rivals = arms.get_mut(..rivals).ok_or(Error::Internal)?;
            let top = beam.min(rivals.len());
            self.select(rivals, top)?;
            let mut accepted: Option<&Arm> = None;
            for at in 0..top {
                if self.qualifies(rivals, at)? {
                    let arm = rivals.get(at).ok_or(Error::Internal)?;
                    if accepted.is_none_or(|best| arm.mean() > best.mean()) {
                        accepted = Some(arm);
                    }
                }
            }
            if accepted.is_some() {
                return found(accepted, true);
            }
            grown = top;
            for (beam, arm) in beams.iter_mut().zip(rivals.iter().take(top)) {
                *beam = arm.set;
            }
        }
        found(self.best.as_ref().map(|(_, arm)| arm), false)
    }
}

fn found(arm: Option<&Arm>, qualifies: bool) -> Result<Found, Error> {
    let arm = arm.ok_or(Error::Internal)?.clone();
    Ok(Found { arm, qualifies })
}

/// The first arm for which a number is largest.
fn extreme(arms: &[Arm], number: impl Fn(&Arm) -> f64) -> usize {
    let mut best = (f64::NEG_INFINITY, 0);
    for (i, arm) in arms.iter().enumerate() {
        let value = number(arm);
        if value > best.0 {
            best = (value, i);
        }
    }
    best.1
}

/// All sets with one more segment, each once; their number.
fn grow(beams: &[Set], segments: usize, arms: &mut [Arm]) -> Result<usize, Error> {
    let mut count = 0;
    for beam in beams {
        for segment in (0..segments).filter(|s| !has(beam, *s)) {
            let set = with(*beam, segment);
            let known = arms.get(..count).unwrap_or_default();
            if known.iter().any(|arm| arm.set == set) {
                continue;
            }
            *arms.get_mut(count).ok_or(Error::Internal)? = Arm::of(set);
            count += 1;
        }
    }
    Ok(count)
}

impl Method for Anchors<'_, '_> {
    fn map_shape(&self, classifier: &mut dyn Classifier) -> Result<Shape, Error> {
        let input = classifier.input();
        self.segments.check(input)?;
        Ok(Shape::new(input.h, input.w, 1))
    }

    fn cost(&self, classifier: &mut dyn Classifier, targets: usize) -> Result<Cost, Error> {
        self.segments.check(classifier.input())?;
        self.check()?;
        let most = u64::from(self.most).saturating_mul(targets as u64);
        Ok(Cut::cost(classifier, self.segments.count(), most))
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
        let shape = self.map_shape(classifier)?;
        self.check()?;
        let (maps, outcomes) = prepare(query, classifier.classes(), shape, maps, outcomes)?;
        let mut storage = self.storage.try_borrow_mut().map_err(|_| Error::BadOrder)?;
        let (need, have) = (Self::arms(self.segments.count(), self.beam), storage.len());
        let arms = storage
            .get_mut(..need)
            .ok_or(Error::BufferTooSmall { need, have })?;
        let total = u64::from(self.most) * query.targets.len() as u64;
        let mut passes = Passes::new(progress, total);
        let mut cut = Cut::new(query, self.fill, self.segments);
        cut.score = Score::Probability;
        let each = maps.chunks_exact_mut(shape.len().max(1)).zip(outcomes);
        for (t, ((map, outcome), &target)) in each.zip(query.targets).enumerate() {
            let before = passes.done;
            let mut search = Search {
                parameters: self,
                cut,
                classifier: &mut *classifier,
                scratch: &mut *scratch,
                passes: &mut passes,
                target,
                seed: query.seed,
                draws: 0,
                best: None,
            };
            let (found, stopped) = match search.run(arms) {
                Err(Error::Stopped) => (search.best.take().map(|(_, arm)| arm), true),
                found => {
                    let found = found?;
                    passes.note(t, "qualifies", f64::from(u8::from(found.qualifies)));
                    (Some(found.arm), false)
                }
            };
            if let Some(arm) = &found {
                self.segments
                    .paint(|s| if has(&arm.set, s) { 1.0 } else { 0.0 }, map);
                self.report(&mut passes, t, arm);
            }
            let done = passes.done - before;
            *outcome = match judge(map) {
                _ if found.is_none() => NOTHING_YET,
                _ if stopped => Outcome::Partial {
                    done,
                    total: u64::from(self.most).max(done + 1),
                },
                outcome => outcome,
            };
        }
        Ok(())
    }
}

impl Anchors<'_, '_> {
    fn report(&self, passes: &mut Passes<'_>, t: usize, arm: &Arm) {
        let [low, high] = arm.bounds(libm::log(1.0 / self.delta));
        let size = f64::from(size(&arm.set));
        passes.note(t, "precision", arm.mean());
        passes.note(t, "precision_low", low);
        passes.note(t, "precision_high", high);
        passes.note(t, "coverage", libm::pow(0.5, size));
        passes.note(t, "segments", size);
        passes.note(t, "samples", f64::from(arm.samples.get()));
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;
    use crate::explain::nets::{Figures, Net, StopAfter, explain, tensor};
    use std::vec;
    use std::vec::Vec;

    const SHAPE: Shape = Shape::new(3, 4, 1);

    fn labels() -> Vec<u16> {
        (0..12).map(|i| i * 5 % 6).collect()
    }

    /// Whether a segment shows, in a picture of ones.
    fn shows(x: &[f32], segment: u16) -> bool {
        let at = labels().iter().position(|l| *l == segment).unwrap();
        x[at] == 1.0
    }

    /// Class 1 is predicted where the rule holds.
    fn rule(holds: impl Fn(&[f32]) -> bool + 'static) -> Net<'static> {
        Net::new(SHAPE, 2, move |x, k| {
            f64::from(u8::from(holds(x) == (k == 1)))
        })
    }

    fn query(x: &[f32], target: usize) -> Query<'_> {
        Query {
            picture: tensor(SHAPE, x),
            targets: if target == 0 { &[0] } else { &[1] },
            score: None,
            seed: 11,
        }
    }

    fn run(
        net: &mut Net<'_>,
        target: usize,
        change: impl Fn(&mut Anchors<'_, '_>),
    ) -> (Vec<u16>, Outcome, Figures) {
        let (labels, x) = (labels(), [1.0; 12]);
        let mut arms = vec![Arm::default(); 24];
        let mut method = Anchors::new(Segments::new(&labels), Fill::Colour([0.0; 4]), &mut arms);
        change(&mut method);
        let mut figures = Figures::default();
        let query = query(&x, target);
        let (map, outcomes) = explain(&method, net, &query, &mut figures).unwrap();
        let mut kept: Vec<u16> = (0..12)
            .filter(|i| map[0][*i] == 1.0)
            .map(|i| labels[i])
            .collect();
        kept.sort_unstable();
        kept.dedup();
        (kept, outcomes[0], figures)
    }

    /// spec: 10 arms, t 1, delta 0.1; p 0.8 of 100.
    #[test]
    fn bounds_in_closed_form() {
        let beta = beta(10, 1, 0.1);
        assert!((beta - 12.972_115_4).abs() < 1e-6, "{beta}");
        let [low, high] = bounds(0.8, beta / 100.0);
        // alibi's bisection stops earlier.
        assert!((low - 0.557_878_5).abs() < 4e-6 && (high - 0.946_682_7).abs() < 4e-6);
        // At p = 1 the lower bound is exp(-level), at p = 0 the upper 1 - exp(-level).
        let [low, high] = bounds(1.0, 0.25);
        assert!((low - (-0.25f64).exp()).abs() < 1e-9 && high == 1.0);
        assert!((bounds(0.0, 0.25)[1] - 1.0 + (-0.25f64).exp()).abs() < 1e-9);
    }

    /// A known rule is found: these segments and no other.
    #[test]
    fn known_rules() {
        for beam in [1, 4] {
            let mut both = rule(|x| shows(x, 1) && shows(x, 4));
            let (kept, outcome, figures) = run(&mut both, 1, |m| m.beam = beam);
            assert_eq!((kept, outcome), (vec![1, 4], Outcome::Ok));
            let of = |name| figures.of(0, name);
            assert_eq!(
                (of("qualifies"), of("precision"), of("coverage")),
                (1.0, 1.0, 0.25)
            );
            assert!(of("precision_low") > 0.9 && of("precision_high") == 1.0);
            assert_eq!(of("segments"), 2.0);
        }
        let mut one = rule(|x| shows(x, 3) || (shows(x, 0) && shows(x, 2)));
        assert_eq!(run(&mut one, 1, |_| {}).0, [3]);
        // Whatever is hidden: nothing needs to be kept.
        let mut always = rule(|_| true);
        let (kept, outcome, figures) = run(&mut always, 1, |_| {});
        assert_eq!((kept, outcome), (vec![], Outcome::Flat));
        assert_eq!(
            (figures.of(0, "coverage"), figures.of(0, "qualifies")),
            (1.0, 1.0)
        );
    }

    /// A class that is seldom predicted has no anchor: the best is given, flagged.
    #[test]
    fn the_best_candidate_is_flagged() {
        // Class 0: predicted unless segments 1 and 4 both show.
        let mut net = rule(|x| shows(x, 1) && shows(x, 4));
        let (_, outcome, figures) = run(&mut net, 0, |m| m.threshold = 0.999);
        assert!(matches!(outcome, Outcome::Ok | Outcome::Flat));
        assert_eq!(figures.of(0, "qualifies"), 0.0);
        // Nothing kept is best: P(not both) = 3/4.
        assert!(figures.of(0, "precision_low") < 0.8);
        assert!((figures.of(0, "precision") - 0.75).abs() < 0.15);
    }

    #[test]
    fn limits_seeds_and_bad_parameters() {
        let both = || rule(|x| shows(x, 1) && shows(x, 4));
        let (_, outcome, _) = run(&mut both(), 1, |m| m.most = 150);
        assert_eq!(
            outcome,
            Outcome::Partial {
                done: 150,
                total: 151
            }
        );
        let (labels, x) = (labels(), [1.0; 12]);
        let mut arms = vec![Arm::default(); 6];
        let segments = Segments::new(&labels);
        let fill = Fill::Colour([0.0; 4]);
        let query = query(&x, 1);
        let method = Anchors::new(segments, fill, &mut arms);
        let (_, outcomes) = explain(&method, &mut both(), &query, &mut StopAfter(7)).unwrap();
        assert_eq!(
            outcomes,
            [Outcome::Partial {
                done: 7,
                total: 20_000
            }]
        );
        let again = || {
            let mut net = both();
            net.backwards = true;
            explain(&method, &mut net, &query, &mut Figures::default()).unwrap()
        };
        assert_eq!(again(), again());
        let error = |change: &dyn Fn(&mut Anchors<'_, '_>)| {
            let mut arms = vec![Arm::default(); 5];
            let mut method = Anchors::new(segments, fill, &mut arms);
            change(&mut method);
            explain(&method, &mut both(), &query, &mut Figures::default()).unwrap_err()
        };
        let bad = Error::BadParameter("parameters of Anchors");
        assert_eq!(error(&|m| m.threshold = 1.5), bad);
        assert_eq!(error(&|m| m.delta = 0.0), bad);
        assert_eq!(error(&|m| m.tau = f64::NAN), bad);
        assert_eq!(error(&|m| m.beam = 9), bad);
        assert_eq!(error(&|m| m.batch = 0), bad);
        assert_eq!(error(&|_| {}), Error::BufferTooSmall { need: 6, have: 5 });
    }
}
