//! Maps made anew: of changed pictures, and of networks with random weights.

use foveola::explainer::{Again, DEFAULT_SEED, Explainer, Question, SaliencyMap};
use foveola::import;
use foveola::method_spec::MethodSpec;
use foveola::metric_spec::MetricSpec;
use foveola::model::{OpenModel, OpenOptions, randomise};
use foveola_core::explain::Cost;
use foveola_core::metric::{Attribution, Explain, Scored, Subject};
use foveola_core::net::op::Op;
use foveola_core::{Error, Fill, Masked, Picture, Score};
use foveola_tests::root;

const METHODS: [&str; 5] = [
    "gradient",
    "guided-backprop",
    "grad-cam",
    "occlusion:baseline=12",
    "rise:masks=50",
];

fn scene() -> OpenModel {
    let path = root().join("host/demo/scene.onnx");
    OpenModel::open(&path, &OpenOptions::default()).expect("it opens")
}

/// The maps of the scene's picture, as `explain` makes them.
fn maps(methods: &[&str]) -> Vec<SaliencyMap> {
    let mut explainer = Explainer::new(scene(), 1);
    let photo = explainer
        .photo(root().join("host/demo/scene.png"))
        .expect("a photo");
    let question = Question::of(methods.iter().copied()).expect("methods");
    explainer
        .explain(&photo, &question)
        .expect("it explains")
        .maps
}

fn weights(map: &SaliencyMap) -> Vec<f32> {
    let weights = map.evidence().weigh(&map.pixels);
    weights.iter().map(|&w| w as f32).collect()
}

fn again<'m>(model: &'m OpenModel, spec: &MethodSpec) -> Again<'m> {
    Again::new(model, spec, 1, (None, DEFAULT_SEED)).expect("the method runs")
}

/// The same picture gives the evidence of `explain`, as pixels and as the
/// tensor that they become; what hides is black, in pixel units, in both.
#[test]
fn the_same_picture_has_the_same_map() {
    let model = scene();
    let explainer = Explainer::new(scene(), 1);
    let photo = explainer
        .photo(root().join("host/demo/scene.png"))
        .expect("a photo");
    let picture = photo.picture();
    let shape = picture.shape();
    let mut data = vec![0.0; shape.len()];
    for (y, row) in data.chunks_exact_mut(shape.row()).enumerate() {
        Masked::whole(picture).row(y, row).expect("a row");
    }
    let tensor = Picture::Tensor { shape, data: &data };
    for map in maps(&METHODS) {
        let mut running = model.start(&[], 1).expect("it runs");
        let mut again = again(&model, &map.spec);
        for picture in [picture, tensor] {
            let mut evidence = vec![0.0; shape.area()];
            let found = again
                .evidence(&mut *running.classifier, picture, map.target, &mut evidence)
                .expect("a map");
            assert!(found);
            assert_eq!(evidence, weights(&map), "{}", map.spec);
        }
    }
}

/// Weight layers are counted from the output, and only the chosen ones change.
#[test]
fn layers_change_from_the_output_down() {
    let path = root().join("host/demo/scene.onnx");
    let graph = import::load(&path, &import::Options::default())
        .expect("it imports")
        .graph;
    let weighted = |op| matches!(op, Op::Conv { .. } | Op::Depthwise { .. } | Op::Dense);
    let layers: Vec<usize> = (0..graph.nodes.len())
        .rev()
        .filter(|&i| weighted(graph.nodes[i].op))
        .collect();
    assert_eq!(scene().weight_layers(), layers.len());
    assert!(layers.len() >= 3);
    for cascading in [true, false] {
        let mut changed = graph.clone();
        randomise(&mut changed, 2, cascading, 1);
        let different: Vec<usize> = (0..graph.nodes.len())
            .rev()
            .filter(|&i| graph.nodes[i].weights != changed.nodes[i].weights)
            .collect();
        let expected = if cascading {
            &layers[..3]
        } else {
            &layers[2..3]
        };
        assert_eq!(different, expected);
    }
}

#[test]
fn random_networks_have_maps_of_their_own() {
    let model = scene();
    let map = maps(&["grad-cam"]).remove(0);
    let explainer = Explainer::new(scene(), 1);
    let photo = explainer
        .photo(root().join("host/demo/scene.png"))
        .expect("a photo");
    let mut again = again(&model, &map.spec);
    let mut of = |depth, cascading, seed| {
        let mut evidence = vec![0.0; photo.shape().area()];
        let found = again.randomised(
            depth,
            cascading,
            seed,
            photo.picture(),
            map.target,
            &mut evidence,
        );
        found.expect("it runs").map(|there| (there, evidence))
    };
    let first = of(0, true, 1);
    assert_eq!(first, of(0, false, 1), "the last layer alone, either way");
    assert_eq!(first, of(0, true, 1), "kept");
    let distinct = [of(0, true, 2), of(1, true, 1), of(1, false, 1)];
    assert!(distinct.iter().all(|other| *other != first));
    assert_eq!(of(model.weight_layers(), true, 1), None);
}

/// int8 weights that change places keep every promise of the model file.
#[test]
fn int8_networks_become_random() {
    for file in ["model_int8.onnx", "model_int8_u8.onnx"] {
        let path = root().join("tests/golden/n3").join(file);
        let card = "mean = [0.0, 0.0, 0.0]\nscale = [1.0, 1.0, 1.0]\n";
        let options = OpenOptions::with_card(card).expect("a card");
        let model = OpenModel::open(&path, &options).expect("it opens");
        let spec: MethodSpec = "gradient".parse().expect("a method");
        let shape = model.facts.input;
        let data: Vec<f32> = (0..shape.len())
            .map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0)
            .collect();
        let picture = Picture::Tensor { shape, data: &data };
        let mut again = again(&model, &spec);
        assert!(again.layers() > 3);
        for depth in 0..again.layers() {
            let mut evidence = vec![0.0; shape.area()];
            let found = again.randomised(depth, true, 5, picture, 0, &mut evidence);
            assert!(
                matches!(found, Ok(Some(_))),
                "{depth}: {:?}",
                again.failure()
            );
        }
    }
}

fn randomisation(model: &OpenModel, map: &SaliencyMap, metric: &str) -> Scored {
    let explainer = Explainer::new(scene(), 1);
    let photo = explainer
        .photo(root().join("host/demo/scene.png"))
        .expect("a photo");
    let evidence = weights(map);
    let subject = Subject {
        picture: photo.picture(),
        fill: Fill::Colour([0.0; 4]),
        target: map.target,
        evidence: &evidence,
        attribution: Attribution {
            shape: map.shape,
            values: &map.values,
            score: Score::Logit,
        },
        region: None,
        backgrounds: &[],
        seed: 9,
    };
    let once = Cost {
        forward: 1,
        backward: 1,
        scratch: 0,
    };
    let spec: MetricSpec = metric.parse().expect("a metric");
    let mut classifier = model.start(&[], 1).expect("it runs").classifier;
    let mut again = again(model, &map.spec);
    spec.with_metric(|metric| {
        let cost = metric.cost(photo.shape(), classifier.classes(), once);
        let mut scratch = vec![0.0; cost.scratch];
        let silent = &mut foveola_core::explain::Silent;
        metric
            .score(&mut *classifier, &subject, &mut again, &mut scratch, silent)
            .expect("a score")
    })
}

/// Adebayo et al. 2018, arXiv 1810.03292: guided backpropagation hardly sees
/// that the upper layers have become random; the gradient does.
#[test]
fn guided_backprop_is_less_sensitive_to_weights() {
    let model = scene();
    let scores: Vec<f64> = maps(&["gradient", "guided-backprop"])
        .iter()
        .map(|map| randomisation(&model, map, "randomisation:layers=3"))
        .map(|scored| scored.value().expect("a number"))
        .collect();
    println!(
        "gradient {:.3}, guided backpropagation {:.3}",
        scores[0], scores[1]
    );
    assert!(scores[1] > scores[0] + 0.1, "{scores:?}");
}

#[test]
fn a_fov_file_says_what_to_give_instead() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scene.fov");
    let compiled = scene().compile(&foveola::compile::CompileOptions::default());
    std::fs::write(&path, compiled.expect("it compiles").bytes).expect("written");
    let model = OpenModel::open(&path, &OpenOptions::default()).expect("it opens");
    let map = maps(&["gradient"]).remove(0);
    let reason = "the weights cannot be changed here: give the ONNX or TFLite file";
    assert_eq!(
        randomisation(&model, &map, "randomisation"),
        Scored::Undefined(reason)
    );
    let mut again = again(&model, &map.spec);
    let picture = Picture::Pixels {
        shape: model.facts.input,
        data: &vec![0; model.facts.input.len()],
        normalisation: &model.card.normalisation(),
    };
    let found = again.randomised(0, true, 0, picture, 0, &mut []);
    assert_eq!(found, Err(Error::NotWhiteBox));
}
