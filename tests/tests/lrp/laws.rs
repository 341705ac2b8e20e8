//! What holds without a peer: LRP-0 is input times gradient where nothing has
//! a bias, and nothing is lost.

use foveola::card::OutputActivation;
use foveola::graph::Graph;
use foveola::import;
use foveola_core::explain::{Gradient, Lrp, Method, Outcome, Query, Silent};
use foveola_core::relevance::{LayerRule, RelevanceRules};
use foveola_core::{Classifier, Error, Picture, Score};
use foveola_tests::{Golden, to_hwc};

use super::{backend, logit, relevance, sum};

/// A golden network without any bias, and a picture of it.
fn unbiased(net: &str, file: &str) -> (Graph, Vec<f32>) {
    let mut golden = Golden::open(net);
    let options = import::Options::default();
    let loaded = import::load(&golden.folder.join(file), &options);
    let mut graph = loaded.expect("it imports").graph;
    for node in &mut graph.nodes {
        node.bias.clear();
    }
    (graph, to_hwc(&golden.picture(0)))
}

/// Convolutions, maxima, means, sums, concatenations, windows of odd shapes,
/// a picture of 40 x 56: all are of degree 1, so Euler's theorem holds.
#[test]
fn lrp_0_is_input_times_gradient_without_bias() {
    for (net, file) in [
        ("n1", "model.onnx"),
        ("n3", "model.onnx"),
        ("n5", "model.onnx"),
    ] {
        let (graph, hwc) = unbiased(net, file);
        let mut backend = backend(graph, OutputActivation::None);
        let shape = backend.input();
        for target in 0..2 {
            let rules = RelevanceRules::uniform(LayerRule::Epsilon, 0.0);
            let (map, layers) = relevance(&mut backend, &hwc, target, rules).expect("a map");
            let query = Query {
                picture: Picture::Tensor { shape, data: &hwc },
                targets: &[target],
                score: None,
                seed: 0,
            };
            let (mut gradient, mut outcome) = (vec![0.0; shape.len()], [Outcome::Flat]);
            let asked = Gradient.explain(
                &mut backend,
                &query,
                &mut gradient,
                &mut outcome,
                &mut [],
                &mut Silent,
            );
            asked.expect("a gradient");
            let most = map.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(most > 1e-3, "{net}: nothing to compare");
            for ((r, x), g) in map.iter().zip(&hwc).zip(&gradient) {
                assert!((r - x * g).abs() <= 2e-5 * most, "{net}: {r} {}", x * g);
            }
            let score = logit(&mut backend, &hwc, target);
            assert!(
                (sum(&map) - score).abs() < 1e-4 * score.abs().max(1.0),
                "{net}"
            );
            let lost: f64 = layers.iter().map(|l| l.bias.abs() + l.epsilon.abs()).sum();
            assert!(lost == 0.0, "{net}: {lost}");
        }
    }
}

/// Without biases every conserving rule hands on the whole logit.
#[test]
fn nothing_is_lost_without_bias() {
    for (net, file) in [
        ("n1", "model.onnx"),
        ("n3", "model.onnx"),
        ("n5", "model.onnx"),
    ] {
        let (graph, hwc) = unbiased(net, file);
        let mut backend = backend(graph, OutputActivation::None);
        let score = logit(&mut backend, &hwc, 1);
        let usual = RelevanceRules::default();
        let rules = [
            RelevanceRules {
                epsilon: 0.0,
                ..usual
            },
            RelevanceRules {
                first: LayerRule::WSquare,
                epsilon: 0.0,
                ..usual
            },
            RelevanceRules {
                first: LayerRule::Flat,
                epsilon: 0.0,
                ..usual
            },
            RelevanceRules::uniform(LayerRule::Gamma(0.25), 0.0),
        ];
        for rules in rules {
            let (map, _) = relevance(&mut backend, &hwc, 1, rules).expect("a map");
            let all = sum(&map);
            let most = map.iter().map(|v| f64::from(v.abs())).sum::<f64>();
            assert!(
                (all - score).abs() < 1e-4 * most.max(1.0),
                "{net} {rules:?}: {all} {score}"
            );
        }
    }
}

#[test]
fn what_cannot_be_asked_is_an_error() {
    let (graph, hwc) = unbiased("n1", "model.onnx");
    let rules = RelevanceRules::default();
    let mut backend = backend(graph.clone(), OutputActivation::None);
    for wrong in [
        RelevanceRules {
            epsilon: -1.0,
            ..rules
        },
        RelevanceRules {
            dense: LayerRule::Gamma(f32::NAN),
            ..rules
        },
        RelevanceRules {
            first: LayerRule::AlphaBeta(0.5),
            ..rules
        },
    ] {
        let found = relevance(&mut backend, &hwc, 0, wrong).expect_err("a bad number");
        assert!(matches!(found, Error::BadParameter(_)), "{found:?}");
    }
    let layers = backend.layers().expect("a white box");
    let order = layers
        .relevance(&[(0, 1.0)], &rules, &mut |_| Ok(()))
        .map(|_| ());
    // The last run was a relevance run, so it answers; a gradient run ends that.
    assert_eq!(order, Ok(()));
    let shape = backend.input();
    let picture = Picture::Tensor { shape, data: &hwc };
    let x = foveola_core::Masked::whole(picture);
    let layers = backend.layers().expect("a white box");
    layers
        .run(&x, foveola_core::At::Input, foveola_core::Rule::Gradient)
        .expect("it runs");
    let order = layers
        .relevance(&[(0, 1.0)], &rules, &mut |_| Ok(()))
        .map(|_| ());
    assert_eq!(order, Err(Error::BadOrder));
    layers.run_relevance(&x).expect("it runs");
    let back = layers.backward(&[(0, 1.0)], Score::Logit).map(|_| ());
    assert_eq!(back, Err(Error::BadOrder));
    let query = Query {
        picture,
        targets: &[0],
        score: Some(Score::Probability),
        seed: 0,
    };
    let (mut map, mut outcome) = (vec![0.0; shape.len()], [Outcome::Flat]);
    let asked = Lrp::default().explain(
        &mut backend,
        &query,
        &mut map,
        &mut outcome,
        &mut [],
        &mut Silent,
    );
    assert_eq!(asked, Err(Error::BadParameter("score")));
}
