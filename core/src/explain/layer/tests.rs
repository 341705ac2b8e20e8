//! The methods on layers, on networks whose answers follow by hand or from the
//! definitions: a ReLU and a dense layer.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use crate::explain::nets::{StopAfter, Tiny, close, explain, maps, tensor};
use crate::explain::{
    AblationCam, Cam, EigenCam, GradCam, GradCamPlusPlus, GuidedBackprop, GuidedGradCam, HiResCam,
    LayerCam, Method, ReciproCam, ScoreCam, Sign, Silent, XGradCam,
};
use crate::tensor::TensorId;
use std::vec;
use std::vec::Vec;

const LAYER: Option<At> = Some(At::Tensor(TensorId(0)));
const SHAPE: Shape = Shape::new(2, 3, 2);
const X: [f32; 12] = [
    1.0, 0.5, 2.0, 0.25, 0.75, 3.0, 0.5, 1.5, 1.25, 0.0, 4.0, 2.5,
];

fn head() -> Vec<Vec<f32>> {
    let class = |k: usize| (0..12).map(|i| ((i * k) % 7) as f32 / 2.0 - 1.25).collect();
    vec![class(3), class(5)]
}

/// Global average pooling and a dense layer: the same weights at every place.
fn even_head() -> Vec<Vec<f32>> {
    [[1.5, -0.5], [-2.0, 0.75]]
        .map(|[a, b]| [a / 6.0, b / 6.0].repeat(6))
        .to_vec()
}

fn net(weights: Vec<Vec<f32>>) -> Tiny {
    let mut net = Tiny::new(SHAPE, false, weights);
    net.bias = 0.875;
    net
}

/// Two places, activation 1 and 3, gradient 2 and -1: worked out by hand.
#[test]
fn two_places_by_hand() {
    let shape = Shape::new(1, 2, 1);
    let of = |method: &dyn Method| {
        let mut net = Tiny::new(shape, false, vec![vec![2.0, -1.0]]);
        maps(method, &mut net, tensor(shape, &[1.0, 3.0]), &[0]).remove(0)
    };
    let (layer, relu) = (LAYER, false);
    close(&of(&HiResCam { layer, relu }), &[2.0, -3.0], 0.0);
    close(&of(&LayerCam { layer, relu }), &[2.0, 0.0], 0.0);
    // (2 - 3) / 4.
    close(&of(&XGradCam { layer, relu }), &[-0.25, -0.75], 0.0);
    // 4 / (8 + 4 * 8) * 2; the negative gradient weighs nothing.
    let plus = |epsilon| GradCamPlusPlus {
        layer,
        relu,
        epsilon,
    };
    close(&of(&plus(0.0)), &[0.2, 0.6], 1e-7);
    close(&of(&plus(1.0)), &[8.0 / 41.0, 24.0 / 41.0], 1e-7);
    for method in [
        &HiResCam { layer, relu: true } as &dyn Method,
        &XGradCam { layer, relu: true },
    ] {
        assert!(of(method).iter().all(|v| *v >= 0.0));
    }
}

/// Followed by one linear layer, the signed map sums to the score minus the bias.
#[test]
fn hires_cam_is_complete() {
    let mut net = net(head());
    let method = HiResCam {
        layer: LAYER,
        relu: false,
    };
    let found = maps(&method, &mut net, tensor(SHAPE, &X), &[1, 0]);
    for (map, class) in found.iter().zip([1, 0]) {
        let rise: f32 = net.weights[class].iter().zip(X).map(|(w, x)| w * x).sum();
        assert!((map.iter().sum::<f32>() - rise).abs() < 1e-5);
    }
}

#[test]
fn cam_is_grad_cam_times_the_places() {
    let mut net = net(even_head());
    let cam = maps(&Cam { layer: LAYER }, &mut net, tensor(SHAPE, &X), &[0, 1]);
    let grad_cam = GradCam {
        layer: LAYER,
        relu: false,
    };
    let grad = maps(&grad_cam, &mut net, tensor(SHAPE, &X), &[0, 1]);
    for (k, (cam, grad)) in cam.iter().zip(&grad).enumerate() {
        let six: Vec<f32> = grad.iter().map(|v| 6.0 * v).collect();
        close(cam, &six, 1e-5);
        let [a, b] = [[1.5, -0.5], [-2.0, 0.75]][k];
        let by_hand: Vec<f32> = X.chunks(2).map(|p| a * p[0] + b * p[1]).collect();
        close(cam, &by_hand, 1e-5);
    }
}

#[test]
fn no_cam_on_other_heads() {
    let query = Query {
        picture: tensor(SHAPE, &X),
        targets: &[0],
        score: None,
        seed: 0,
    };
    let (maps, outcomes) =
        explain(&Cam { layer: LAYER }, &mut net(head()), &query, &mut Silent).unwrap();
    assert!(matches!(outcomes[0], Outcome::Undefined(_)));
    assert!(maps[0].iter().all(|v| *v == 0.0));
}

/// Two channels: the eigenvector of a symmetric 2 x 2 matrix in closed form.
#[test]
fn eigen_cam_of_two_channels() {
    for centred in [false, true] {
        let mean = |c: usize| X.iter().skip(c).step_by(2).sum::<f32>() / 6.0;
        let means = if centred {
            [mean(0), mean(1)]
        } else {
            [0.0; 2]
        };
        let rows: Vec<[f64; 2]> = X
            .chunks(2)
            .map(|p| [f64::from(p[0] - means[0]), f64::from(p[1] - means[1])])
            .collect();
        let gram = |i: usize, j: usize| rows.iter().map(|r| r[i] * r[j]).sum::<f64>();
        let (a, b, d) = (gram(0, 0), gram(0, 1), gram(1, 1));
        let value = (a + d) / 2.0 + (((a - d) / 2.0).powi(2) + b * b).sqrt();
        let length = (b * b + (value - a).powi(2)).sqrt();
        let v = [b / length, (value - a) / length];
        let projection: Vec<f64> = rows.iter().map(|r| r[0] * v[0] + r[1] * v[1]).collect();
        let average = projection.iter().sum::<f64>() / 6.0;
        let along: f64 = X
            .chunks(2)
            .zip(&projection)
            .map(|(p, m)| f64::from(p[0] + p[1]) * (m - average))
            .sum();
        for sign in [Sign::Activation, Sign::Weights] {
            let turn = match sign {
                Sign::Activation => along.signum(),
                Sign::Weights => (v[0] + v[1]).signum(),
            };
            let expected: Vec<f32> = projection.iter().map(|m| (turn * m) as f32).collect();
            let method = EigenCam {
                layer: LAYER,
                centred,
                sign,
            };
            let found = maps(&method, &mut net(head()), tensor(SHAPE, &X), &[0, 1]);
            close(&found[0], &expected, 2e-5);
            assert_eq!(found[0], found[1]);
        }
    }
}

/// Channels in opposition: no start may lie across the vector.
#[test]
fn eigen_cam_of_opposed_channels() {
    let shape = Shape::new(1, 3, 2);
    let x = [1.0, 3.0, 2.0, 2.0, 3.0, 1.0];
    let method = EigenCam {
        layer: LAYER,
        centred: true,
        sign: Sign::Weights,
    };
    let mut net = Tiny::new(shape, false, vec![vec![1.0; 6]]);
    let found = maps(&method, &mut net, tensor(shape, &x), &[0]).remove(0);
    let root = 2f32.sqrt();
    let turn = found[0].signum();
    close(&found, &[turn * root, 0.0, -turn * root], 1e-5);
}

/// Softmax over the scores behind the channels, from the definition.
#[test]
fn score_cam_by_the_definition() {
    // A third channel is constant.
    let shape = Shape::new(2, 3, 3);
    let x: Vec<f32> = X.chunks(2).flat_map(|p| [p[0], 2.0, p[1]]).collect();
    let weights: Vec<f32> = (0..18).map(|i| ((i * 5) % 7) as f32 / 4.0 - 0.5).collect();
    let mut net = Tiny::new(shape, false, vec![weights.clone()]);
    for constant in [false, true] {
        let behind = |c: usize| -> f64 {
            let channel: Vec<f32> = x.iter().skip(c).step_by(3).copied().collect();
            let least = channel.iter().copied().fold(f32::INFINITY, f32::min);
            let most = channel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let spread = if most > least { most - least } else { 1.0 };
            let places = x.iter().zip(&weights).enumerate();
            places
                .map(|(i, (x, w))| f64::from(x * w * (channel[i / 3] - least) / spread))
                .sum()
        };
        let takes: Vec<usize> = (0..3).filter(|c| constant || *c != 1).collect();
        let total: f64 = takes.iter().map(|c| behind(*c).exp()).sum();
        let expected: Vec<f32> = x
            .chunks(3)
            .map(|p| {
                takes
                    .iter()
                    .map(|c| behind(*c).exp() / total * f64::from(p[*c]))
                    .sum::<f64>() as f32
            })
            .collect();
        let method = ScoreCam {
            layer: LAYER,
            constant,
            ..ScoreCam::default()
        };
        let found = maps(&method, &mut net, tensor(shape, &x), &[0]);
        close(&found[0], &expected, 1e-5);
    }
}

/// Without a bias the weights are each channel's share of the score.
#[test]
fn ablation_cam_weighs_shares() {
    let mut net = Tiny::new(SHAPE, false, head());
    let method = AblationCam {
        layer: LAYER,
        relu: false,
    };
    let found = maps(&method, &mut net, tensor(SHAPE, &X), &[1, 0]);
    for (map, class) in found.iter().zip([1, 0]) {
        let share = |c: usize| -> f32 {
            let products = net.weights[class].iter().zip(X);
            products.skip(c).step_by(2).map(|(w, x)| w * x).sum()
        };
        let score = share(0) + share(1);
        let place = |p: &[f32]| (share(0) * p[0] + share(1) * p[1]) / score;
        let expected: Vec<f32> = X.chunks(2).map(place).collect();
        close(map, &expected, 1e-5);
    }
}

/// One place at a time through a linear head: HiResCAM plus the bias, which is
/// CAM / (H * W) plus the bias behind average pooling.
#[test]
fn recipro_cam_of_linear_heads() {
    for weights in [head(), even_head()] {
        let mut net = net(weights);
        let found = maps(
            &ReciproCam { layer: LAYER },
            &mut net,
            tensor(SHAPE, &X),
            &[0, 1],
        );
        for (map, weights) in found.iter().zip(&net.weights) {
            let places = X.chunks(2).zip(weights.chunks(2));
            let expected: Vec<f32> = places
                .map(|(x, w)| x[0] * w[0] + x[1] * w[1] + 0.875)
                .collect();
            close(map, &expected, 1e-5);
        }
    }
}

#[test]
fn guided_grad_cam_is_the_product() {
    let shape = Shape::new(4, 6, 1);
    let x: Vec<f32> = (0..24).map(|i| ((i * 7) % 24) as f32 - 3.0).collect();
    let mut net = Tiny::new(shape, true, vec![vec![1.0, -2.0, 0.5, 4.0, 3.0, 1.0]]);
    let guided = maps(&GuidedBackprop, &mut net, tensor(shape, &x), &[0]).remove(0);
    let cam = GradCam {
        layer: LAYER,
        relu: true,
    };
    let cam = maps(&cam, &mut net, tensor(shape, &x), &[0]).remove(0);
    let method = GuidedGradCam {
        layer: LAYER,
        nearest: true,
    };
    let found = maps(&method, &mut net, tensor(shape, &x), &[0]);
    let expected: Vec<f32> = (0..24)
        .map(|i| guided[i] * cam[i / 12 * 3 + i % 6 / 2])
        .collect();
    close(&found[0], &expected, 1e-6);
    let query = Query {
        picture: tensor(shape, &x),
        targets: &[0],
        score: None,
        seed: 0,
    };
    let (maps, outcomes) = explain(&method, &mut net, &query, &mut StopAfter(2)).unwrap();
    assert!(matches!(outcomes[0], Outcome::Undefined(_)));
    assert!(maps[0].iter().all(|v| *v == 0.0));
}

/// Stopped after two questions: the map holds what these gave, and says so.
#[test]
fn stopped_runs_and_missing_layers() {
    let query = Query {
        picture: tensor(SHAPE, &X),
        targets: &[0],
        score: None,
        seed: 0,
    };
    let cases: [(&dyn Method, u64); 3] = [
        (
            &ScoreCam {
                layer: LAYER,
                ..ScoreCam::default()
            },
            3,
        ),
        (
            &AblationCam {
                layer: LAYER,
                relu: false,
            },
            3,
        ),
        (&ReciproCam { layer: LAYER }, 7),
    ];
    for (method, total) in cases {
        let mut net = net(head());
        let (maps, outcomes) = explain(method, &mut net, &query, &mut StopAfter(2)).unwrap();
        assert_eq!(outcomes, [Outcome::Partial { done: 2, total }]);
        assert!(maps[0].iter().any(|v| *v != 0.0));
    }
    let wrong = Err(Error::BadParameter("layer"));
    assert_eq!(HiResCam::default().map_shape(&mut net(head())), wrong);
    assert_eq!(ScoreCam::default().map_shape(&mut net(head())), wrong);
}
