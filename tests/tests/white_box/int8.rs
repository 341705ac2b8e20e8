//! The methods on the int8 twins of trained networks: nearly the maps of the
//! float networks, which are held to their peers.

use foveola::card::OutputActivation;
use foveola_core::explain::{
    AblationCam, Cam, EigenCam, GradCamPlusPlus, GuidedBackprop, GuidedGradCam, HiResCam,
    InputXGradient, IntegratedGradients, LayerCam, Method, Noise, Outcome, Query, ReciproCam,
    ScoreCam, Silent, SmoothGrad, XGradCam,
};
use foveola_core::{At, Classifier, Picture};
use foveola_tests::trained::Trained;
use foveola_tests::{Golden, to_hwc};

fn map(trained: &mut Trained, method: &dyn Method, hwc: &[f32], target: usize) -> Vec<f32> {
    let backend = &mut trained.backend;
    let query = Query {
        picture: Picture::Tensor {
            shape: backend.input(),
            data: hwc,
        },
        targets: &[target],
        score: None,
        seed: 3,
    };
    let length = method.map_shape(backend).expect("a shape").len();
    let cost = method.cost(backend, 1).expect("a cost");
    let (mut map, mut scratch) = (vec![0.0; length], vec![0.0; cost.scratch]);
    let mut outcome = [Outcome::Flat];
    method
        .explain(
            backend,
            &query,
            &mut map,
            &mut outcome,
            &mut scratch,
            &mut Silent,
        )
        .expect("it explains");
    assert_eq!(outcome, [Outcome::Ok]);
    map
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let of = |x: &[f32], mx: f64, y: &[f32], my: f64| -> f64 {
        let pairs = x.iter().zip(y);
        pairs
            .map(|(x, y)| (f64::from(*x) - mx) * (f64::from(*y) - my))
            .sum()
    };
    of(a, ma, b, mb) / (of(a, ma, a, ma) * of(b, mb, b, mb)).sqrt()
}

#[test]
fn int8_twins_give_nearly_the_same_maps() {
    for (net, target) in [("n3", 2), ("n4", 5)] {
        let mut golden = Golden::open(net);
        let hwc = to_hwc(&golden.picture(0));
        let last = golden.layer("last");
        let mut found = ["model.onnx", "model_int8.onnx"].map(|model| {
            let path = golden.folder.join(model);
            let mut trained = Trained::open(&path, OutputActivation::Softmax, &|name| name == last);
            let id = trained.compiled.names.get(&last).copied();
            let id = id.or(trained.compiled.cam_layer).expect("a layer");
            let (layer, relu) = (Some(At::Tensor(id)), true);
            let noise = Noise {
                samples: 20,
                ..Noise::default()
            };
            let methods: [(&str, &dyn Method, f64); 13] = [
                ("guided", &GuidedBackprop, 0.8),
                (
                    "guided cam",
                    &GuidedGradCam {
                        layer,
                        nearest: false,
                    },
                    0.8,
                ),
                ("input", &InputXGradient, 0.8),
                ("smooth", &SmoothGrad { noise }, 0.8),
                ("path", &IntegratedGradients::default(), 0.8),
                ("cam", &Cam { layer }, 0.95),
                (
                    "plus",
                    &GradCamPlusPlus {
                        layer,
                        relu,
                        epsilon: 0.0,
                    },
                    0.95,
                ),
                ("hires", &HiResCam { layer, relu }, 0.95),
                ("xgrad", &XGradCam { layer, relu }, 0.95),
                ("layer", &LayerCam { layer, relu }, 0.95),
                (
                    "eigen",
                    &EigenCam {
                        layer,
                        ..EigenCam::default()
                    },
                    0.95,
                ),
                ("ablation", &AblationCam { layer, relu }, 0.95),
                ("recipro", &ReciproCam { layer }, 0.9),
            ];
            let mut all: Vec<_> = methods
                .into_iter()
                .map(|(name, method, least)| (name, map(&mut trained, method, &hwc, target), least))
                .collect();
            let score = ScoreCam {
                layer,
                ..ScoreCam::default()
            };
            all.push(("score", map(&mut trained, &score, &hwc, target), 0.9));
            all
        });
        let [float, int8] = &mut found;
        let pairs = float.iter().zip(int8.iter());
        let far = pairs.filter_map(|((name, float, least), (_, int8, _))| {
            let r = correlation(float, int8);
            (r.is_nan() || r < *least).then(|| format!("{name} {r:.3}"))
        });
        let far: Vec<String> = far.collect();
        assert!(far.is_empty(), "{net}: {}", far.join(", "));
    }
}
