//! `foveola layers`: the sum that it states is the layer's own value, in every
//! layer that is a sum, f32 and int8; and what a picture's layers look like.

use std::path::Path;

use foveola::activations::{ActivationError, Activations, Sum};
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::net::op::Activation;
use foveola_tests::{Golden, root, to_hwc};

fn open(path: &Path) -> OpenModel {
    OpenModel::open(path, &OpenOptions::default()).expect("a model")
}

/// A golden network's first picture, every layer of it.
fn activations(net: &str, file: &str) -> Activations {
    let mut golden = Golden::open(net);
    let values = to_hwc(&golden.picture(0));
    let model = open(&root().join("tests/golden").join(net).join(file));
    let photo = Photo::tensor(model.facts.input, values);
    Activations::of(&model, &photo, &[]).expect("layers")
}

/// The activation in f64, as its definition says.
fn activated(activation: Activation, x: f64) -> Option<f64> {
    match activation {
        Activation::None => Some(x),
        Activation::Relu => Some(if x > 0.0 { x } else { 0.0 }),
        Activation::Clip { lo, hi } => Some(x.clamp(lo.into(), hi.into())),
        Activation::LeakyRelu { slope } => Some(if x > 0.0 { x } else { x * f64::from(slope) }),
        _ => None,
    }
}

/// Places spread over a layer, its corners among them.
fn places(shape: foveola_core::Shape) -> Vec<[usize; 3]> {
    let spread = |n: usize| [0, n / 3, n / 2, n - 1];
    let rows = spread(shape.h).into_iter();
    let all = rows.flat_map(|y| spread(shape.w).into_iter().map(move |x| (y, x)));
    let all = all.flat_map(|(y, x)| spread(shape.c).into_iter().map(move |c| [c, y, x]));
    all.collect()
}

/// Calls `check` for every sum of every layer; gives the number of layers.
fn each_sum(all: &Activations, mut check: impl FnMut(&str, [usize; 3], &Sum)) -> usize {
    let mut layers = 0;
    for layer in all.all() {
        let mut sums = 0;
        for place in places(layer.shape) {
            match all.sum(&layer.name, place) {
                Ok(sum) => {
                    let [c, y, x] = place;
                    let at = (y * layer.shape.w + x) * layer.shape.c + c;
                    assert_eq!(sum.value, layer.values[at], "{} {place:?}", layer.name);
                    check(&layer.name, place, &sum);
                    sums += 1;
                }
                Err(ActivationError::NoSum { .. }) => break,
                Err(error) => panic!("{}: {error}", layer.name),
            }
        }
        layers += usize::from(sums > 0);
    }
    layers
}

#[test]
fn a_real_sum_is_the_layers_value() {
    let mut layers = 0;
    for net in ["n1", "n2", "n3", "n4", "n5"] {
        let all = activations(net, "model.onnx");
        layers += each_sum(&all, |name, place, sum| {
            let products: f64 = sum.terms.iter().map(|t| t.value * t.weight).sum();
            let parts: f64 = sum.terms.iter().map(|t| (t.value * t.weight).abs()).sum();
            let rounding = 1e-6 * (parts + sum.bias.abs()) + 1e-30;
            let off = (sum.bias + products - sum.total).abs();
            assert!(off <= rounding, "{net} {name} {place:?}: {off}");
            let Some(value) = activated(sum.activation, sum.total) else {
                return;
            };
            let off = (value - f64::from(sum.value)).abs();
            assert!(off <= rounding, "{net} {name} {place:?}: {off}");
        });
    }
    assert!(layers > 20, "{layers} layers");
}

/// The stored number is the exact sum times the factor, rounded, within the
/// output's range; the two roundings of the reference may differ by one step.
#[test]
fn an_integer_sum_is_the_layers_number() {
    let mut linear = 0;
    let all = activations("n3", "model_int8.onnx");
    each_sum(&all, |name, place, sum| {
        let products: f64 = sum.terms.iter().map(|t| t.value * t.weight).sum();
        let (Some(factor), Some(stored)) = (sum.factor, sum.stored) else {
            return;
        };
        assert_eq!(sum.total, sum.bias + products, "{name} {place:?}");
        linear += 1;
        let zero = sum.zero_point.map_or(0.0, f64::from);
        let expected = (sum.total * factor + zero).round().clamp(-128.0, 127.0);
        let off = (expected - f64::from(stored)).abs();
        let cut = sum.activation != Activation::None && f64::from(stored) >= expected;
        assert!(
            off <= 1.0 || cut,
            "{name} {place:?}: {stored}, not {expected}"
        );
    });
    assert!(linear > 100, "{linear} sums");
}

#[test]
fn wrong_places_and_names_are_said() {
    let all = activations("n1", "model.onnx");
    let layer = &all.all()[0];
    let outside = all.sum(&layer.name, [layer.shape.c, 0, 0]);
    assert!(matches!(outside, Err(ActivationError::Place { .. })));
    assert!(matches!(
        all.sum("nothing", [0; 3]),
        Err(ActivationError::Model(_))
    ));
}
