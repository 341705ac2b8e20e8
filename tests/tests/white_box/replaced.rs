//! `forward_from`: the scores with one tensor replaced. With its own values
//! they are the plain pass's; along a direction they change as the gradient,
//! which is held to Captum, says, also where a path goes around the tensor.

use foveola::card::OutputActivation;
use foveola_core::net::model::Pass;
use foveola_core::{At, Classifier, Layers, Masked, Picture, Rule, Score, TensorId};
use foveola_tests::trained::Trained;
use foveola_tests::{Golden, to_hwc};

/// Tensors of a network to which a plan reaches.
fn planned(trained: &Trained) -> Vec<TensorId> {
    let model = trained.backend.file().model();
    let tensors = model.passes().filter_map(|pass| match pass {
        Pass::Backward(At::Tensor(id)) => Some(id),
        _ => None,
    });
    tensors.collect()
}

fn open(net: &str, model: &str) -> (Trained, Vec<f32>) {
    let mut golden = Golden::open(net);
    let kinds = [
        "Relu",
        "Clip",
        "Add",
        "Concat",
        "BatchNorm",
        "QuantizeLinear",
    ];
    let wants =
        |name: &str| kinds.iter().any(|kind| name.contains(kind)) && name.contains("output");
    let activation = OutputActivation::None;
    let trained = Trained::open(&golden.folder.join(model), activation, &wants);
    (trained, to_hwc(&golden.picture(0)))
}

struct Asked<'a> {
    trained: &'a mut Trained,
    x: Masked<'a>,
    at: At,
}

impl Asked<'_> {
    fn scores(&mut self, activation: &[f32]) -> Vec<f32> {
        let backend = &mut self.trained.backend;
        let mut out = vec![0.0; backend.classes()];
        backend
            .forward_from(&self.x, self.at, activation, Score::Logit, &mut out)
            .expect("it runs");
        out
    }

    /// The activation, and the gradient of class 1.
    fn run(&mut self) -> (Vec<f32>, Vec<f32>) {
        let backend = &mut self.trained.backend;
        backend
            .run(&self.x, self.at, Rule::Gradient)
            .expect("it runs");
        let activation = backend.activation().expect("it is there").iter().collect();
        let gradient = backend
            .backward(&[(1, 1.0)], Score::Logit)
            .expect("it runs");
        (activation, gradient.to_vec())
    }
}

fn check(net: &str, model: &str, slopes: bool) -> usize {
    let (mut trained, hwc) = open(net, model);
    let ids = planned(&trained);
    let mut plain = vec![0.0; trained.backend.classes()];
    let picture = Picture::Tensor {
        shape: trained.backend.input(),
        data: &hwc,
    };
    let x = Masked::whole(picture);
    trained
        .backend
        .classify(&x, Score::Logit, &mut plain)
        .expect("it runs");
    for id in &ids {
        let at = At::Tensor(*id);
        let mut asked = Asked {
            trained: &mut trained,
            x,
            at,
        };
        let (activation, gradient) = asked.run();
        assert_eq!(asked.scores(&activation), plain, "{net}/{model} {id:?}");
        if slopes {
            slope(
                &mut asked,
                &activation,
                &gradient,
                &format!("{net}/{model} {id:?}"),
            );
        }
    }
    ids.len()
}

/// The change along a direction of the values' own size, by differences.
fn slope(asked: &mut Asked<'_>, activation: &[f32], gradient: &[f32], name: &str) {
    let direction: Vec<f32> = (0..activation.len())
        .map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * (0.05 + activation[i].abs()))
        .collect();
    let step = 2e-3;
    let mut moved = |by: f32| {
        let pairs = activation.iter().zip(&direction);
        let values: Vec<f32> = pairs.map(|(a, d)| a + by * d).collect();
        f64::from(asked.scores(&values)[1])
    };
    let found = (moved(step) - moved(-step)) / f64::from(2.0 * step);
    let products = gradient.iter().zip(&direction);
    let products: Vec<f64> = products
        .map(|(g, d)| f64::from(*g) * f64::from(*d))
        .collect();
    let (exact, size) = (
        products.iter().sum::<f64>(),
        products.iter().map(|p| p * p).sum::<f64>().sqrt(),
    );
    let error = (found - exact).abs();
    assert!(
        error <= 0.03 * exact.abs() + 0.15 * size,
        "{name}: {found} {exact} {size}"
    );
}

#[test]
fn plain() {
    assert!(check("n1", "model.onnx", true) >= 3);
}

#[test]
fn residual() {
    assert!(check("n3", "model.onnx", true) >= 8);
    assert!(check("n4", "model.onnx", true) >= 8);
}

#[test]
fn concatenated() {
    assert!(check("n5", "model.onnx", true) >= 3);
}

/// Stored numbers come back as the same numbers.
#[test]
fn int8() {
    assert!(check("n3", "model_int8.onnx", false) >= 3);
    assert!(check("n4", "model_int8.onnx", false) >= 3);
}

/// A batch on several threads is the single questions, in order.
#[test]
fn batches_are_single_questions() {
    let (mut trained, hwc) = open("n3", "model.onnx");
    let id = planned(&trained)[0];
    let at = At::Tensor(id);
    let picture = Picture::Tensor {
        shape: trained.backend.input(),
        data: &hwc,
    };
    let x = Masked::whole(picture);
    let mut asked = Asked {
        trained: &mut trained,
        x,
        at,
    };
    let (activation, _) = asked.run();
    let part = |i: usize, out: &mut [f32]| {
        for (j, (out, value)) in out.iter_mut().zip(&activation).enumerate() {
            *out = if j % 23 == i { 0.0 } else { *value };
        }
    };
    let single: Vec<Vec<f32>> = (0..23)
        .map(|i| {
            let mut values = vec![0.0; activation.len()];
            part(i, &mut values);
            asked.scores(&values)
        })
        .collect();
    let mut found = Vec::new();
    let mut sink = |i: usize, scores: &[f32]| {
        assert_eq!(i, found.len());
        found.push(scores.to_vec());
        Ok(())
    };
    trained
        .backend
        .forward_from_batch(&x, at, (23, &part), Score::Logit, &mut [], &mut sink)
        .expect("it runs");
    assert_eq!(found, single);
    assert!(single.iter().any(|scores| scores != &single[0]));
}
