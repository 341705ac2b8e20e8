//! Tests of the metrics that ask where the evidence lies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic

use std::vec;
use std::vec::Vec;

use super::region::{Outline, rasterise};
use super::subject::{EMPTY_REGION, FLAT, NO_EVIDENCE, NO_REGION};
use super::*;
use crate::explain::Silent;
use crate::explain::nets::Net;
use crate::picture::MAX_CHANNELS;

/// Scores a map of a picture of `shape` (one channel where the map has one).
struct Stage {
    shape: Shape,
    evidence: Vec<f32>,
    region: Option<Vec<u8>>,
}

impl Stage {
    fn new([h, w]: [usize; 2], evidence: Vec<f32>) -> Self {
        let shape = Shape::new(h, w, 1);
        Self {
            shape,
            evidence,
            region: None,
        }
    }

    fn inside(mut self, outline: [f32; 4]) -> Self {
        let mut mask = vec![0; self.shape.area()];
        let outlines = [Outline::Box(outline)];
        rasterise(&outlines, [self.shape.h, self.shape.w], &mut mask).unwrap();
        self.region = Some(mask);
        self
    }

    fn score(&self, metric: &dyn Metric) -> Result<Scored, Error> {
        let pixels = vec![0.0; self.shape.len()];
        let subject = Subject {
            picture: Picture::Tensor {
                shape: self.shape,
                data: &pixels,
            },
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            target: 0,
            evidence: &self.evidence,
            attribution: Attribution {
                shape: self.shape,
                values: &self.evidence,
                score: Score::Logit,
            },
            region: self.region.as_deref(),
            backgrounds: &[],
            seed: 0,
        };
        let mut net = Net::new(self.shape, 2, |_, _| 0.0);
        let explanation = Cost {
            forward: 1,
            backward: 1,
            scratch: 0,
        };
        let cost = metric.cost(self.shape, 2, explanation);
        assert_eq!((cost.forward, cost.backward), (0, 0));
        let mut scratch = vec![0.0; cost.scratch];
        metric.score(&mut net, &subject, &mut Finished, &mut scratch, &mut Silent)
    }
}

/// One peak, as in `spec/vectors.md`.
fn peak([h, w]: [usize; 2], at: [usize; 2]) -> Stage {
    let mut evidence = vec![0.0; h * w];
    evidence[at[0] * w + at[1]] = 1.0;
    Stage::new([h, w], evidence)
}

#[test]
fn pointing_is_not_transposed() {
    let game = PointingGame::default();
    let score = |outline| peak([40, 40], [2, 30]).inside(outline).score(&game);
    assert_eq!(score([20.0, 0.0, 8.0, 10.0]), Ok(Scored::Value(1.0)));
    assert_eq!(score([0.0, 26.0, 8.0, 10.0]), Ok(Scored::Value(0.0)));
}

/// 9 and 12 pixels away are 15: not less.
#[test]
fn the_tolerance_is_strict() {
    let stage = peak([20, 20], [2, 3]).inside([12.0, 14.0, 1.0, 1.0]);
    let score = |tolerance| stage.score(&PointingGame { tolerance });
    assert_eq!(score(15.0), Ok(Scored::Value(0.0)));
    assert_eq!(score(15.001), Ok(Scored::Value(1.0)));
    let own = peak([20, 20], [2, 3]).inside([3.0, 2.0, 1.0, 1.0]);
    let very = PointingGame { tolerance: 1.0 };
    assert_eq!(own.score(&very), Ok(Scored::Value(1.0)));
    let next = peak([20, 20], [2, 3]).inside([4.0, 2.0, 1.0, 1.0]);
    assert_eq!(next.score(&very), Ok(Scored::Value(0.0)));
    let bad = Err(Error::BadParameter("tolerance of the pointing game"));
    for tolerance in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(stage.score(&PointingGame { tolerance }), bad);
    }
}

#[test]
fn energy_is_the_share_inside() {
    let evidence = (0..12).map(|i| i as f32).collect();
    let stage = Stage::new([3, 4], evidence).inside([1.0, 1.0, 2.0, 2.0]);
    // 5 + 6 + 9 + 10 of 66.
    assert_eq!(stage.score(&Energy), Ok(Scored::Value(30.0 / 66.0)));
    let even = Stage::new([3, 4], vec![0.3; 12]).inside([1.0, 1.0, 2.0, 2.0]);
    let share = even.score(&Energy).unwrap().value().unwrap();
    assert!((share - 1.0 / 3.0).abs() < 1e-12);
}

#[test]
fn what_has_no_score_says_why() {
    let all: [&dyn Metric; 4] = [
        &PointingGame::default(),
        &Energy,
        &Iosr::default(),
        &TopK::default(),
    ];
    let none = |reason| Ok(Scored::Undefined(reason));
    for metric in all {
        let nowhere = peak([4, 4], [1, 1]);
        assert_eq!(nowhere.score(metric), none(NO_REGION));
        let outside = peak([4, 4], [1, 1]).inside([9.0, 9.0, 1.0, 1.0]);
        assert_eq!(outside.score(metric), none(EMPTY_REGION));
        let zero = Stage::new([4, 4], vec![0.0; 16]).inside([0.0, 0.0, 2.0, 2.0]);
        assert_eq!(zero.score(metric), none(NO_EVIDENCE));
        let mut nan = peak([4, 4], [1, 1]).inside([0.0, 0.0, 2.0, 2.0]);
        nan.evidence[7] = f32::NAN;
        assert_eq!(nan.score(metric), none("the evidence is not finite"));
        nan.evidence[7] = -1.0;
        assert_eq!(
            nan.score(metric),
            none("the evidence is negative somewhere")
        );
        nan.evidence.pop();
        let short = Err(Error::BufferTooSmall { need: 16, have: 15 });
        assert_eq!(nan.score(metric), short);
    }
    let flat = Stage::new([4, 4], vec![0.5; 16]).inside([0.0, 0.0, 2.0, 2.0]);
    let rank = RelevanceRank::default();
    let ranks: [&dyn Metric; 3] = [&PointingGame::default(), &TopK::default(), &rank];
    for metric in ranks {
        assert_eq!(flat.score(metric), none(FLAT));
    }
    assert_eq!(flat.score(&Iosr::default()), Ok(Scored::Value(0.25)));
}

#[test]
fn the_salient_region_is_above_half() {
    let evidence = vec![0.0, 0.5, 0.51, 1.0, 0.2, 0.9];
    let stage = Stage::new([2, 3], evidence).inside([0.0, 0.0, 3.0, 1.0]);
    // 0.51 inside; 1.0 and 0.9 below it.
    assert_eq!(stage.score(&Iosr::default()), Ok(Scored::Value(1.0 / 3.0)));
    let all = Iosr {
        threshold: 0.0,
        ..Iosr::default()
    };
    assert_eq!(stage.score(&all), Ok(Scored::Value(2.0 / 5.0)));
    let zero = Stage::new([2, 3], vec![0.0; 6]).inside([0.0, 0.0, 3.0, 1.0]);
    let mindspore = Iosr {
        mindspore: true,
        ..Iosr::default()
    };
    assert_eq!(zero.score(&mindspore), Ok(Scored::Value(0.0)));
    let threshold = Iosr {
        threshold: 1.0,
        ..Iosr::default()
    };
    let bad = Err(Error::BadParameter("threshold of IoSR"));
    assert_eq!(stage.score(&threshold), bad);
}

#[test]
fn the_strongest_are_counted() {
    let evidence = (0..20).map(|i| (i * 7 % 20) as f32).collect();
    // Strongest first: 17 (19), 14 (18), 11 (17), 8 (16), 5 (15).
    let stage = Stage::new([4, 5], evidence).inside([0.0, 2.0, 5.0, 1.0]);
    let score = |share| stage.score(&TopK { share });
    assert_eq!(score(0.05), Ok(Scored::Value(0.0)));
    assert_eq!(score(0.1), Ok(Scored::Value(0.5)));
    assert_eq!(score(0.15), Ok(Scored::Value(2.0 / 3.0)));
    let rank = stage.score(&RelevanceRank::default());
    assert_eq!(rank, Ok(Scored::Value(2.0 / 5.0)));
}

/// Channels are pooled, negative relevance does not count, a small map is enlarged.
#[test]
fn relevance_is_pooled() {
    let signed = [1.0, 2.0, -4.0, 1.0, 0.5, -0.5, 3.0, 3.0];
    let shape = Shape::new(2, 2, 2);
    let (mut scratch, region) = ([0.0; 8], [1, 1, 0, 0]);
    let mut subject = Subject {
        picture: Picture::Tensor {
            shape,
            data: &signed,
        },
        fill: Fill::Colour([0.0; MAX_CHANNELS]),
        target: 0,
        evidence: &[],
        attribution: Attribution {
            shape,
            values: &signed,
            score: Score::Logit,
        },
        region: Some(&region),
        backgrounds: &[],
        seed: 0,
    };
    let mut net = Net::new(shape, 1, |_, _| 0.0);
    let mut score = |metric: &dyn Metric, subject: &Subject<'_>| {
        let value = metric.score(&mut net, subject, &mut Finished, &mut scratch, &mut Silent);
        value.unwrap().value().unwrap()
    };
    // Pooled: 3, 0, 0, 6; squares: 5, 17, 0.5, 18.
    let squares = RelevanceMass {
        pooling: Pooling::Squares,
    };
    assert_eq!(score(&RelevanceMass::default(), &subject), 3.0 / 9.0);
    assert_eq!(score(&squares, &subject), 22.0 / 40.5);
    assert_eq!(score(&RelevanceRank::default(), &subject), 0.5);
    subject.attribution = Attribution {
        shape: Shape::new(2, 1, 1),
        values: &[1.0, -7.0],
        score: Score::Logit,
    };
    assert_eq!(score(&RelevanceMass::default(), &subject), 1.0);
}
