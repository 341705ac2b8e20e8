//! Units of a network as targets: their values are TFLite's, their gradients
//! those of finite differences, on networks in f32 and int8.

use std::fs::File;
use std::path::Path;

use foveola::activations::Activations;
use foveola::explainer::{Explainer, Question, Target};
use foveola::model::{OpenModel, OpenOptions, Unit};
use foveola::photo::Photo;
use foveola_core::Shape;
use foveola_tests::{Golden, root, to_hwc, zoo};
use ndarray::{Array4, Array5, Axis};
use ndarray_npy::NpzReader;

fn open(path: &Path) -> OpenModel {
    OpenModel::open(path, &OpenOptions::default()).expect("a model")
}

fn explainer(path: &Path, unit: &Unit) -> Explainer {
    Explainer::new(open(path).of_unit(unit).expect("a unit"), 1)
}

fn question(method: &str, channel: usize) -> Question {
    let mut question = Question::of([method]).expect("a method");
    question.targets = vec![Target::Named(channel.to_string())];
    question.units = true;
    question
}

/// The value of a channel: its mean, or that in a place.
fn value(values: &[f32], shape: Shape, channel: usize, place: Option<[usize; 2]>) -> f64 {
    let at = |y: usize, x: usize| f64::from(values[(y * shape.w + x) * shape.c + channel]);
    match place {
        Some([y, x]) => at(y, x),
        None => {
            let places = (0..shape.h).flat_map(|y| (0..shape.w).map(move |x| (y, x)));
            places.map(|(y, x)| at(y, x)).sum::<f64>() / shape.area() as f64
        }
    }
}

/// Along the gradient's own signs, over the whole picture and over every third
/// element, central differences of the value are the sum of the gradient's sizes.
#[test]
fn gradients_are_finite_differences() {
    let (mut units, mut kinks) = (0, 0);
    for net in ["n1", "n2", "n4"] {
        let path = root().join("tests/golden").join(net).join("model.onnx");
        let values = to_hwc(&Golden::open(net).picture(0));
        let model = open(&path);
        let shape = model.facts.input;
        let photo = Photo::tensor(shape, values.clone());
        let all = Activations::of(&model, &photo, &[]).expect("layers").all();
        let wide: Vec<_> = all.iter().filter(|layer| layer.shape.area() > 1).collect();
        for layer in [wide[0], wide[wide.len() / 2], wide[wide.len() - 1]] {
            let (s, channel) = (layer.shape, layer.shape.c / 2);
            for place in [None, Some([s.h / 2, s.w / 3])] {
                let tensor = layer.name.clone();
                let unit = Unit {
                    tensor,
                    channel,
                    place,
                };
                let mut explainer = explainer(&path, &unit);
                let expected = value(&layer.values, s, channel, place);
                let (scores, _) = explainer.classify(&photo).expect("values");
                assert_eq!(scores.len(), s.c);
                let size = 1.0 + expected.abs();
                assert!((f64::from(scores[channel]) - expected).abs() < 1e-4 * size);
                let asked = question("gradient", channel);
                let answer = explainer.explain(&photo, &asked).expect("a gradient");
                let gradient = &answer.maps[0].values;
                let total: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
                if total == 0.0 {
                    continue;
                }
                for every in [1, 3] {
                    let step = 2e-4f32;
                    let mut moved = |by: f32| {
                        let pairs = values.iter().zip(gradient).enumerate();
                        let x = pairs.map(|(i, (x, g))| match i % every {
                            0 if *g != 0.0 => x + by * g.signum(),
                            _ => *x,
                        });
                        let photo = Photo::tensor(shape, x.collect());
                        f64::from(explainer.classify(&photo).expect("values").0[channel])
                    };
                    let here = moved(0.0);
                    let (above, below) = (moved(step) - here, here - moved(-step));
                    // A kink lies between: there is no derivative to be found.
                    if (above - below).abs() > 0.01 * (above.abs() + below.abs()) {
                        kinks += 1;
                        continue;
                    }
                    let found = (above + below) / (2.0 * f64::from(step));
                    let sizes = gradient.iter().step_by(every).map(|g| f64::from(g.abs()));
                    let expected: f64 = sizes.sum();
                    let off = (found - expected).abs();
                    assert!(
                        off < 0.02 * expected + 2e-3,
                        "{net} {unit}: {found} {expected}"
                    );
                }
                units += 1;
            }
        }
    }
    assert!(units > 9, "{units}");
    assert!(kinks < 4, "{kinks}");
}

/// Every tensor of an int8 network has the values of TFLite's reference kernels;
/// methods that ask for gradients and for scores run on them.
#[test]
fn int8_units_have_tflites_values() {
    let Some(zoo) = zoo() else { return };
    let path = zoo.join("models/tinyml/resnet8_cifar10_int8.tflite");
    let table = std::fs::read_to_string(zoo.join("layers/resnet8_cifar10_int8.csv")).expect("csv");
    let file = File::open(zoo.join("layers/resnet8_cifar10_int8.npz")).expect("npz");
    let mut arrays = NpzReader::new(file).expect("npz");
    let input: Array4<i8> = arrays.by_name("input").expect("input");
    let mut checked = 0;
    for line in table.lines().skip(1).step_by(4) {
        let fields: Vec<&str> = line.split(',').collect();
        let [op, name, tensor, title, shape, _, scale, zero] = fields[..] else {
            panic!("{line}");
        };
        if shape.split('x').count() != 4 {
            continue;
        }
        let key = format!("{op:0>3}.{name}.{tensor}");
        let stored: Array5<i8> = arrays.by_name(&key).expect("a tensor");
        let (scale, zero): (f32, f32) = (scale.parse().unwrap(), zero.parse().unwrap());
        let one = stored.index_axis(Axis(0), 0);
        let one = one.index_axis(Axis(0), 0);
        let real: Vec<f32> = one.iter().map(|q| (f32::from(*q) - zero) * scale).collect();
        let (h, w, c) = one.dim();
        for place in [None, Some([h - 1, w / 2])] {
            let unit = Unit {
                tensor: title.to_string(),
                channel: c - 1,
                place,
            };
            let mut explainer = explainer(&path, &unit);
            let values = input.index_axis(Axis(0), 0);
            let values = values.iter().map(|q| f32::from(*q)).collect();
            let photo = Photo::tensor(explainer.model().facts.input, values);
            let (scores, _) = explainer.classify(&photo).expect("values");
            let expected = value(&real, Shape::new(h, w, c), c - 1, place);
            let off = (f64::from(scores[c - 1]) - expected).abs();
            assert!(off < 1e-5 * (1.0 + expected.abs()), "{unit}: {off}");
            for method in ["gradient", "occlusion:window=8,stride=8", "grad-cam"] {
                let answer = explainer.explain(&photo, &question(method, c - 1));
                let map = &answer.expect("a map").maps[0];
                assert!(map.sentence().contains("value"), "{}", map.sentence());
            }
            checked += 1;
        }
    }
    assert!(checked > 3, "{checked}");
}

#[test]
fn what_is_no_unit_is_said() {
    let path = root().join("tests/golden/n1/model.onnx");
    let fails = |text: &str| {
        let unit: Unit = text.parse().expect("a unit");
        open(&path).of_unit(&unit).expect_err("no unit").to_string()
    };
    let golden = Golden::open("n1");
    let layer = golden.layer("last");
    assert!(fails("nowhere:0").contains("no layer"));
    assert!(fails(&format!("{layer}:9999")).contains("channels, 0 to"));
    assert!(fails(&format!("{layer}:0,9999,0")).contains("rows"));
}
