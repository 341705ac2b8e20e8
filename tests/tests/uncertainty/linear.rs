//! Linear networks have closed forms: with independent masks the mean of the
//! passes is the score itself and its variance `sum (w h)^2 (1 - keep) / keep`.

use std::sync::Arc;

use foveola::backend::core::CoreBackend;
use foveola::compile::CompileOptions;
use foveola::photo::Photo;
use foveola::uncertainty::{Dropout, Setting, of};
use foveola_core::uncertainty::measure;
use foveola_core::{Classifier, Masked, Score};
use foveola_tests::onnx::{Onnx, numbers};

use super::{file, import};

#[test]
fn mean_and_variance_approach_the_closed_form() {
    const PASSES: usize = 20_000;
    let (inputs, hidden, classes) = (12, 9, 4);
    let mut m = Onnx::new(13, &[1, 3, 2, 2]);
    m.weights("w", &[inputs, hidden])
        .weights("b", &[hidden])
        .weights("v", &[hidden, classes])
        .node("Flatten", "x", "f", &[])
        .node("Gemm", "f w b", "h", &[])
        .node("Gemm", "h v", "y", &[])
        .output("y");
    let graph = import(&m);
    let file = Arc::new(file(&graph, &CompileOptions::default()));
    let mut backend = CoreBackend::new(Arc::clone(&file), 2).expect("threads");
    let shape = file.model().input();
    let x = numbers(inputs, 5);
    // C,H,W as ONNX flattens it.
    let chw: Vec<f64> = (0..inputs)
        .map(|i| f64::from(x[i % 4 * 3 + i / 4]))
        .collect();
    let seed_of = |name: &str| name.bytes().map(u32::from).sum();
    let [w, b, v] = [
        ("w", inputs * hidden),
        ("b", hidden),
        ("v", hidden * classes),
    ]
    .map(|(name, count)| numbers(count, seed_of(name)));
    let h: Vec<f64> = (0..hidden)
        .map(|j| {
            let sum: f64 = (0..inputs)
                .map(|i| chw[i] * f64::from(w[i * hidden + j]))
                .sum();
            sum + f64::from(b[j])
        })
        .collect();
    let photo = Photo::tensor(shape, x);
    for keep in [0.5_f32, 0.8] {
        let dropout = Dropout { seed: 3, keep };
        let setting = Setting {
            passes: PASSES,
            dropout,
        };
        let (mut mean, mut variance) = (vec![0.0; classes], vec![0.0; classes]);
        let mut scores = vec![0.0; classes];
        let x = Masked::whole(photo.picture());
        measure(
            &mut backend,
            &x,
            &setting,
            &mut mean,
            &mut variance,
            &mut scores,
        )
        .expect("passes");
        let share = (1.0 - f64::from(keep)) / f64::from(keep);
        for k in 0..classes {
            let terms = h.iter().enumerate();
            let terms: Vec<f64> = terms
                .map(|(j, h)| h * f64::from(v[j * classes + k]))
                .collect();
            let score: f64 = terms.iter().sum();
            let wanted: f64 = terms.iter().map(|t| t * t).sum::<f64>() * share;
            let error = (wanted / PASSES as f64).sqrt();
            assert!((mean[k] - score).abs() < 5.0 * error, "{} {score}", mean[k]);
            let ratio = variance[k] / wanted;
            // A variance of n passes is off by about sqrt(2 / n) of itself, 1 %.
            assert!((ratio - 1.0).abs() < 0.06, "{ratio} of {wanted}");
        }
    }
}

/// The interval is around the probability without dropout, and everything
/// kept has no variance.
#[test]
fn the_interval_is_around_the_probability() {
    let mut m = Onnx::new(13, &[1, 3, 2, 2]);
    m.weights("w", &[12, 5])
        .node("Flatten", "x", "f", &[])
        .node("Gemm", "f w", "h", &[])
        .node("Softmax", "h", "y", &[])
        .output("y");
    let file = Arc::new(file(&import(&m), &CompileOptions::default()));
    let mut backend = CoreBackend::new(Arc::clone(&file), 1).expect("threads");
    let photo = Photo::tensor(file.model().input(), numbers(12, 5));
    let found = of(&mut backend, &photo, &Setting::default()).expect("passes");
    let mut scores = [0.0; 5];
    let x = Masked::whole(photo.picture());
    backend
        .classify(&x, Score::Probability, &mut scores)
        .expect("scores");
    for (class, &score) in found.classes.iter().zip(&scores) {
        assert_eq!(class.probability, score);
        let within = class.interval;
        assert!(within.low <= within.high && within.low >= 0.0 && within.high <= 1.0);
        assert!(within.deviation == class.variance.sqrt() || within.deviation == 0.0);
        assert!(class.variance > 0.0);
    }
    let mut sorted = scores;
    sorted.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(
        found.margin,
        Some(f64::from(sorted[0]) - f64::from(sorted[1]))
    );
    let entropy: f64 = scores
        .iter()
        .map(|&p| -f64::from(p) * f64::from(p).ln())
        .sum();
    assert!((found.entropy - entropy).abs() < 1e-12);
    let mut all = Setting::default();
    all.dropout.keep = 1.0;
    let found = of(&mut backend, &photo, &all).expect("passes");
    let same = |class: &foveola::uncertainty::OfClass| {
        let within = class.interval;
        class.variance == 0.0 && within.low == within.high && within.deviation == 0.0
    };
    assert!(found.classes.iter().all(same));
}
