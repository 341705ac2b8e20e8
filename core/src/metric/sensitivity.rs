//! Tests of the metrics that ask for other maps, and of those that look at one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic

use std::vec;
use std::vec::Vec;

use super::perturb::distance;
use super::subject::NO_MAP;
use super::*;
use crate::explain::nets::{Net, read};
use crate::mask::Masked;
use crate::picture::MAX_CHANNELS;

/// Makes maps by a function of the picture and the class, and those of random
/// networks by the depth.
struct Maps<F, G>(F, G);

type Map = Option<Vec<f32>>;

impl<F: FnMut(&[f32], usize) -> Map, G: FnMut(usize, bool) -> Option<Map>> Explain for Maps<F, G> {
    fn evidence(
        &mut self,
        _classifier: &mut dyn Classifier,
        picture: Picture<'_>,
        target: usize,
        evidence: &mut [f32],
    ) -> Result<bool, Error> {
        let found = self.0(&read(&Masked::whole(picture))?, target);
        if let Some(map) = &found {
            evidence.copy_from_slice(map);
        }
        Ok(found.is_some())
    }

    fn randomised(
        &mut self,
        depth: usize,
        cascading: bool,
        _seed: u64,
        _picture: Picture<'_>,
        _target: usize,
        evidence: &mut [f32],
    ) -> Result<Option<bool>, Error> {
        let Some(found) = self.1(depth, cascading) else {
            return Ok(None);
        };
        if let Some(map) = &found {
            evidence.copy_from_slice(map);
        }
        Ok(Some(found.is_some()))
    }
}

/// What a metric showed.
#[derive(Default)]
struct Seen(Vec<(&'static str, f64, f64)>, Vec<(&'static str, f64)>);

impl Progress for Seen {
    fn step(&mut self, _: u64, _: u64) -> bool {
        true
    }
}

impl Witness for Seen {
    fn point(&mut self, curve: &'static str, share: f64, score: f64) {
        self.0.push((curve, share, score));
    }
    fn part(&mut self, name: &'static str, value: f64) {
        self.1.push((name, value));
    }
}

const ONCE: Cost = Cost {
    forward: 1,
    backward: 1,
    scratch: 0,
};

/// Scores a map of a picture of one channel.
fn score(
    metric: &dyn Metric,
    net: &mut Net<'_>,
    (x, evidence): (&[f32], &[f32]),
    explain: &mut dyn Explain,
    seen: &mut Seen,
) -> Result<Scored, Error> {
    let subject = Subject {
        picture: Picture::Tensor {
            shape: net.shape,
            data: x,
        },
        fill: Fill::Colour([0.0; MAX_CHANNELS]),
        target: 0,
        evidence,
        attribution: Attribution {
            shape: net.shape,
            values: evidence,
            score: Score::Logit,
        },
        region: None,
        backgrounds: &[],
        seed: 3,
    };
    let cost = metric.cost(net.shape, net.classes, ONCE);
    let mut scratch = vec![0.0; cost.scratch];
    metric.score(net, &subject, explain, &mut scratch, seen)
}

fn near(found: Result<Scored, Error>, expected: f64) {
    let found = found.unwrap().value().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
}

fn none(reason: &'static str) -> Result<Scored, Error> {
    Ok(Scored::Undefined(reason))
}

fn no_weights(_: usize, _: bool) -> Option<Map> {
    None
}

/// Logits 1, 3, 2, 0 whatever the picture.
fn four(shape: Shape) -> Net<'static> {
    Net::new(shape, 4, |_, k| [1.0, 3.0, 2.0, 0.0][k])
}

/// `spec/vectors.md`: the same maps 0, negated ones 1; 0.2096553 is SciPy's `pearsonr`.
#[test]
fn class_sensitivity_compares_best_and_worst() {
    let a = vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    let b = vec![2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];
    let negated: Vec<f32> = a.iter().map(|v| 9.0 - v).collect();
    let shape = Shape::new(2, 4, 1);
    let mut asked = Vec::new();
    let mut of = |worst: Map, mindspore| {
        let map = |_: &[f32], class| {
            asked.push(class);
            if class == 1 {
                Some(a.clone())
            } else {
                worst.clone()
            }
        };
        let metric = ClassSensitivity { mindspore };
        let explain = &mut Maps(map, no_weights);
        score(
            &metric,
            &mut four(shape),
            (&a, &[]),
            explain,
            &mut Seen::default(),
        )
    };
    near(of(Some(a.clone()), false), 0.0);
    near(of(Some(negated), false), 1.0);
    near(of(Some(b), false), (1.0 - 0.209_655_319_073_021_1) / 2.0);
    assert_eq!(of(Some(vec![1.0; 8]), false), none(agreement::FLAT));
    assert_eq!(of(None, false), none(NO_MAP));
    near(of(None, true), 0.5);
    assert_eq!(asked, [1, 3].repeat(6));
    let one = score(
        &ClassSensitivity::default(),
        &mut Net::new(shape, 1, |_, _| 5.0),
        (&a, &[]),
        &mut Finished,
        &mut Seen::default(),
    );
    assert_eq!(one, none("all classes have the same score"));
}

/// `spec/vectors.md`: S = (3, 4), then (3.3, 4.4), (3, 4.5), (2.4, 3.2).
#[test]
fn robustness_of_the_vectors() {
    let maps = [[3.3, 4.4], [3.0, 4.5], [2.4, 3.2]];
    let mut next = maps.iter();
    let map = |_: &[f32], _| next.next().map(|m| m.to_vec());
    let metric = Robustness {
        noise: Noise::random(0.2, 3),
        mindspore: true,
    };
    let mut net = four(Shape::new(1, 2, 1));
    let explain = &mut Maps(map, no_weights);
    let seen = &mut Seen::default();
    let found = score(&metric, &mut net, (&[0.0; 2], &[3.0, 4.0]), explain, seen);
    near(found, (-0.2_f64).exp());
    assert_eq!(net.passes, 0);
}

/// The prediction turns where the first element turns negative: half of the
/// draws are drawn again, and of 3 draws an eighth stays turned.
#[test]
fn draws_that_turn_the_prediction_are_drawn_again() {
    let shape = Shape::new(1, 2, 1);
    let mut net = Net::new(
        shape,
        2,
        |x, k| {
            if (x[0] >= 0.0) == (k == 0) { 1.0 } else { 0.0 }
        },
    );
    let mut turned = 0;
    let map = |x: &[f32], _| {
        turned += usize::from(x[0] < 0.0);
        assert!(x.iter().all(|v| v.abs() <= 0.2));
        Some(vec![1.0, 2.0])
    };
    let metric = Robustness {
        noise: Noise::random(0.2, 400),
        mindspore: false,
    };
    let explain = &mut Maps(map, no_weights);
    let seen = &mut Seen::default();
    near(
        score(&metric, &mut net, (&[0.0; 2], &[1.0, 2.0]), explain, seen),
        1.0,
    );
    assert_eq!(seen.1, [("moved", turned as f64)]);
    // 400/8 and 1 + 400 (1 + 1/2 + 1/4), within four standard deviations.
    assert!((24..=76).contains(&turned), "{turned}");
    assert!((641..=761).contains(&net.passes), "{}", net.passes);
    let cost = metric.cost(shape, 2, ONCE);
    assert_eq!((cost.forward, cost.backward), (1601, 400));
}

/// Evidence that is the picture itself moves as the picture does.
#[test]
fn a_map_that_is_the_picture_moves_with_it() {
    let x = [3.0, 4.0, 12.0];
    // Lengths 1.3, 2.6 and 0 against 13.
    let stored = [0.3, 0.4, 1.2, -0.6, -0.8, -2.4, 0.0, 0.0, 0.0];
    let noise = Noise {
        stored: Some(&stored),
        ..Noise::random(0.1, 3)
    };
    let metrics: [(&dyn Metric, f64); 3] = [
        (&MaxSensitivity { noise }, 0.2),
        (&AverageSensitivity { noise }, 0.1),
        (&Lipschitz { noise }, 1.0 / 13.0),
    ];
    for (metric, expected) in metrics {
        let explain = &mut Maps(|x: &[f32], _| Some(x.to_vec()), no_weights);
        let mut net = four(Shape::new(1, 3, 1));
        near(
            score(metric, &mut net, (&x, &x), explain, &mut Seen::default()),
            expected,
        );
        let mut nothing = Maps(|_: &[f32], _| None, no_weights);
        let seen = &mut Seen::default();
        let found = score(metric, &mut net, (&x, &x), &mut nothing, seen);
        assert_eq!(found, none(NO_MAP));
        let found = score(metric, &mut net, (&x, &[0.0; 3]), &mut nothing, seen);
        assert_eq!(found, none("there is no evidence"));
    }
}

/// Mean square of numbers even in -r..r: r^2 / 3.
#[test]
fn noise_is_even_and_its_own_for_every_sample() {
    let noise = Noise::random(0.5, 2);
    let shape = Shape::new(40, 50, 2);
    let zeros = vec![0.0; shape.len()];
    let subject = Subject {
        picture: Picture::Tensor {
            shape,
            data: &zeros,
        },
        fill: Fill::Colour([0.0; MAX_CHANNELS]),
        target: 0,
        evidence: &[],
        attribution: Attribution {
            shape,
            values: &[],
            score: Score::Logit,
        },
        region: None,
        backgrounds: &[],
        seed: 3,
    };
    let mut drawn = [(0, 0), (0, 1), (1, 0)].map(|place| {
        let mut out = zeros.clone();
        let length = noise.add(&subject, place, &mut out).unwrap();
        assert!((length - distance(&out, zeros.iter())).abs() < 1e-9);
        let square = length * length / shape.len() as f64;
        assert!((square - 0.25 / 3.0).abs() < 0.005, "{square}");
        let mean: f32 = out.iter().sum::<f32>() / shape.len() as f32;
        assert!(mean.abs() < 0.02, "{mean}");
        out
    });
    drawn.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]));
}

/// SciPy's `spearmanr` of the two is 0.1988537, scikit-image has no window in 2 x 4.
#[test]
fn randomisation_follows_the_layers() {
    let a = vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    let b = vec![2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];
    let negated: Vec<f32> = a.iter().map(|v| 9.0 - v).collect();
    let maps = [Some(a.clone()), Some(negated), None, Some(b)];
    let shape = Shape::new(2, 4, 1);
    let of = |cascading, similarity, layers| {
        let random = |depth: usize, asked| {
            assert_eq!(asked, cascading);
            maps.get(depth).cloned()
        };
        let metric = Randomisation {
            cascading,
            similarity,
            layers,
        };
        let mut seen = Seen::default();
        let explain = &mut Maps(|_: &[f32], _| None, random);
        let found = score(&metric, &mut four(shape), (&a, &a), explain, &mut seen);
        (found, seen)
    };
    const RHO: f64 = 0.198_853_681_209_924_67;
    let (found, seen) = of(true, Similarity::Spearman, 64);
    near(found, RHO);
    let places: Vec<_> = seen.0.iter().map(|(curve, at, _)| (*curve, *at)).collect();
    let curve = "spearman";
    assert_eq!(places, [(curve, 0.25), (curve, 0.5), (curve, 1.0)]);
    let scores: Vec<_> = seen.0.iter().map(|(_, _, score)| *score as f32).collect();
    assert_eq!(scores, [1.0, -1.0, RHO as f32]);
    assert!(seen.1.contains(&("layers", 4.0)) && seen.1.contains(&("flat", 1.0)));
    near(of(false, Similarity::Spearman, 64).0, RHO / 3.0);
    near(of(true, Similarity::Spearman, 2).0, -1.0);
    let (found, _) = of(true, Similarity::Ssim, 64);
    assert_eq!(found, none("no random network gives a map"));
    let bad = Err(Error::BadParameter("layers to randomise"));
    assert_eq!(of(true, Similarity::Spearman, 0).0, bad);
}

#[test]
fn weights_that_cannot_change_are_named() {
    let found = score(
        &Randomisation::default(),
        &mut four(Shape::new(1, 2, 1)),
        (&[0.0; 2], &[1.0, 2.0]),
        &mut Finished,
        &mut Seen::default(),
    );
    let reason = "the weights cannot be changed here: give the ONNX or TFLite file";
    assert_eq!(found, none(reason));
}

/// SciPy 1.17.1 `stats.entropy`; NumPy: half the relative mean difference of all pairs.
#[test]
fn entropy_and_gini() {
    let map: Vec<f32> = (0..120)
        .map(|i| ((i * 37 + 11) % 101) as f32 / 4.0)
        .collect();
    let of = |metric: &dyn Metric, map: &[f32]| {
        let mut net = four(Shape::new(1, map.len(), 1));
        score(
            metric,
            &mut net,
            (map, map),
            &mut Finished,
            &mut Seen::default(),
        )
    };
    near(of(&Complexity, &map), 4.592_578_688_970_928);
    near(of(&Sparseness, &map), 0.334_437_351_461_891_35);
    near(of(&Complexity, &[2.5; 120]), 120.0_f64.ln());
    near(of(&Sparseness, &[2.5; 120]), 0.0);
    let mut one = [0.0; 120];
    one[7] = 3.0;
    near(of(&Complexity, &one), 0.0);
    near(of(&Sparseness, &one), 1.0 - 1.0 / 120.0);
    near(of(&Complexity, &[3.0]), 0.0);
    near(of(&Sparseness, &[3.0]), 0.0);
    for metric in [&Complexity as &dyn Metric, &Sparseness] {
        assert_eq!(of(metric, &[0.0; 4]), none("there is no evidence"));
        assert_eq!(of(metric, &[f32::NAN]), none("the evidence is not finite"));
    }
}

/// Input times gradient of a linear network adds up to the score; the gradient does not.
#[test]
fn a_linear_attribution_is_complete() {
    let weights = vec![vec![0.5, -2.0, 3.0], vec![0.0; 3]];
    let x = [4.0, 1.0, 0.5];
    let of = |map: &[f32], weights: &[Vec<f32>]| {
        let mut net = Net::linear(Shape::new(1, 3, 1), weights);
        score(
            &Completeness,
            &mut net,
            (&x, map),
            &mut Finished,
            &mut Seen::default(),
        )
    };
    near(of(&[2.0, -2.0, 1.5], &weights), 0.0);
    // What sums to half of the score lacks half.
    near(of(&[0.25, -1.0, 1.5], &weights), 0.5);
    let flat = [vec![0.0; 3], vec![0.0; 3]];
    let same = none("the fill has the picture's score");
    assert_eq!(of(&[1.0; 3], &flat), same);
    let nan = none("the attribution is not finite");
    assert_eq!(of(&[f32::NAN; 3], &weights), nan);
}
