//! The same bytes for every map with 1, 2 and 16 threads and for any batch.

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::compile::{CompileOptions, compile};
use std::cell::RefCell;
use std::sync::Arc;

use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise, Silent,
};
use foveola_core::{At, Classifier, Error, Layers, Masked, Normalisation, Picture, Score, Shape};
use foveola_tests::{Golden, small};

/// A backend whose batches are the plain loop of the trait.
struct OneByOne(CoreBackend);

impl Classifier for OneByOne {
    fn input(&self) -> Shape {
        self.0.input()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        self.0.classify(x, score, out)
    }

    fn layers(&mut self) -> Option<&mut dyn Layers> {
        self.0.layers()
    }
}

/// Every method's map over two targets, as bits.
fn maps(classifier: &mut dyn Classifier, layer: At, pixels: &[u8]) -> Vec<Vec<u32>> {
    let normalisation = Normalisation {
        mean: [127.5; 4],
        scale: [1.0 / 63.75; 4],
    };
    let picture = Picture::Pixels {
        shape: classifier.input(),
        data: pixels,
        normalisation: &normalisation,
    };
    let query = Query {
        picture,
        targets: &[1, 0],
        score: None,
        seed: 7,
    };
    let (mut steps, mut boxes) = ([Step::UNUSED; 200], [UNUSED_WINDOW; 200]);
    let storage = Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    };
    let hoc = HocMethod {
        hoc: Hoc {
            windows: &[16, 8],
            strides: &[6, 3],
            threshold: 0.01,
            ..Hoc::default()
        },
        storage: RefCell::new(storage),
    };
    let methods: [&dyn Method; 7] = [
        &Gradient,
        &Deconvolution,
        &GuidedBackprop,
        &GradCam {
            layer: Some(layer),
            relu: false,
        },
        &Occlusion::default(),
        &Rise {
            masks: 61,
            ..Rise::default()
        },
        &hoc,
    ];
    let mut all = Vec::new();
    for method in methods {
        let shape = method.map_shape(classifier).expect("a shape");
        let cost = method.cost(classifier, 2).expect("a cost");
        let mut maps = vec![0.0; 2 * shape.len()];
        let mut scratch = vec![0.0; cost.scratch];
        let mut outcomes = [Outcome::Flat; 2];
        method
            .explain(
                classifier,
                &query,
                &mut maps,
                &mut outcomes,
                &mut scratch,
                &mut Silent,
            )
            .expect("it explains");
        all.push(maps.iter().map(|v| v.to_bits()).collect());
    }
    all
}

#[test]
fn threads_and_batches_change_no_bit() {
    let path = Golden::open("n3").folder.join("model.onnx");
    let graph = foveola::import::load(&path, &foveola::import::Options::default())
        .expect("it imports")
        .graph;
    let mut card = small::card();
    card.size = [32, 32];
    card.labels = Vec::new();
    let compiled = compile(graph, &card, &CompileOptions::default()).expect("it compiles");
    let file = Arc::new(ModelFile::new(&compiled.bytes).expect("a sound file"));
    let layer = At::Tensor(compiled.cam_layer.expect("a layer"));
    let pixels: Vec<u8> = (0..32 * 32 * 3_usize)
        .map(|i| (i * i / 7 % 256) as u8)
        .collect();
    let with = |threads| CoreBackend::new(Arc::clone(&file), threads).expect("it starts");
    let reference = maps(&mut OneByOne(with(1)), layer, &pixels);
    for map in &reference[..6] {
        assert!(
            map.iter().any(|&bits| bits != map[0]),
            "a flat map compares nothing"
        );
    }
    for threads in [1, 2, 16] {
        assert_eq!(
            maps(&mut with(threads), layer, &pixels),
            reference,
            "{threads} threads"
        );
    }
}
