//! Occlusion, RISE and HOC through the driver and the mock have the bits that
//! the same network has without them.

use std::cell::RefCell;

use foveola::aligned::AlignedBytes;
use foveola::backend::core::ModelFile;
use foveola::compile::CompileOptions;
use foveola::model::{OpenModel, OpenOptions};
use foveola_core::accelerator::Accelerated;
use foveola_core::accelerator::program::{Facts, Program, Scores};
use foveola_core::explain::hoc::{Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{Hoc, HocMethod, Method, Occlusion, Outcome, Query, Rise, Silent};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::quant::Quantisation;
use foveola_core::net::session::Session;
use foveola_core::{Classifier, Error, Fill, Mask, Masked, Picture, Score, Shape};
use foveola_tests::zoo;

use super::mock::{CLASSES, Mock, Reference, SHAPE, facts, network, program, settings};

/// Maps and outcomes of the three methods.
type Maps = Vec<(Vec<u32>, Vec<Outcome>)>;

/// Asks all three methods about two classes (HOC about one).
pub fn maps(classifier: &mut dyn Classifier, picture: Picture<'_>, score: Score) -> Maps {
    let fill = Fill::Colour(match picture {
        Picture::Pixels { .. } => picture.colour(127.0),
        Picture::Tensor { .. } => [0.0; 4],
    });
    let shape = classifier.input();
    let side = shape.h.min(shape.w);
    let occlusion = Occlusion {
        fill,
        ..Occlusion::default()
    };
    let rise = Rise {
        masks: 24,
        fill,
        ..Rise::default()
    };
    let mut scores = |x: &Masked<'_>| {
        let mut out = vec![0.0; classifier.classes()];
        let asked = classifier.classify(x, score, &mut out);
        asked.expect("scores");
        out
    };
    let whole = scores(&Masked::whole(picture));
    let hidden = scores(&Masked {
        picture,
        fill,
        mask: Mask::Windows {
            boxes: &[],
            extra: None,
            reveal: true,
        },
    });
    // The class that the picture speaks for most.
    let gain = |k: usize| whole[k] - hidden[k];
    let best = (0..whole.len()).fold(0, |b, k| if gain(k) > gain(b) { k } else { b });
    let (windows, strides) = ([side / 2, side / 4], [side / 4, side / 8]);
    let hoc = Hoc {
        threshold: 0.4 * hidden[best] + 0.6 * whole[best],
        windows: &windows,
        strides: &strides,
        fill,
        ..Hoc::default()
    };
    let (mut steps, mut boxes) = ([Step::UNUSED; 128], [UNUSED_WINDOW; 128]);
    let storage = RefCell::new(Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    });
    let hoc = HocMethod { hoc, storage };
    let both = [best, (best + 1) % whole.len()];
    let methods: [(&dyn Method, &[usize]); 3] =
        [(&occlusion, &both), (&rise, &both), (&hoc, &both[..1])];
    let ask = |(method, targets): (&dyn Method, &[usize])| {
        let map = method.map_shape(classifier).expect("a shape");
        let cost = method.cost(classifier, targets.len()).expect("a cost");
        let query = Query {
            picture,
            targets,
            score: Some(score),
            seed: 3,
        };
        let mut maps = vec![0.0; map.len() * targets.len()];
        let mut outcomes = vec![Outcome::Flat; targets.len()];
        let mut scratch = vec![0.0; cost.scratch];
        let told = &mut Silent;
        let done = method.explain(
            classifier,
            &query,
            &mut maps,
            &mut outcomes,
            &mut scratch,
            told,
        );
        done.expect("an answer");
        (maps.iter().map(|v| v.to_bits()).collect(), outcomes)
    };
    methods.into_iter().map(ask).collect()
}

/// Runs `then` on a program behind the mock with a reference.
pub fn accelerated<T>(
    file: &[u8],
    reference: Reference<'_>,
    then: impl FnOnce(&mut Accelerated<'_, '_, Mock<'_>>) -> T,
) -> T {
    let file = AlignedBytes::copy_of(file);
    let program = Program::from_bytes(&file).expect("a program");
    let facts = *program.facts();
    let mut mock = Mock::new(facts, program.commands().len(), reference);
    mock.config = facts.config;
    let mut scratch = AlignedBytes::zeros(facts.scratch);
    let mut fast = AlignedBytes::zeros(facts.fast);
    let mut row = vec![0.0; facts.input.row()];
    let memory = (&mut scratch[..], &mut fast[..]);
    let made = Accelerated::new(&program, (mock, settings()), memory, &mut row);
    then(&mut made.expect("it starts"))
}

/// The small network without an NPU: quantised, computed, read, in f64 where
/// f32 would not be exact.
struct Plain(Scores);

impl Classifier for Plain {
    fn input(&self) -> Shape {
        SHAPE
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let mut input = vec![0.0; SHAPE.len()];
        for (y, row) in input.chunks_exact_mut(SHAPE.row()).enumerate() {
            x.row(y, row)?;
        }
        let stored = input.iter().map(|x| {
            let steps = (f64::from(*x) * 64.0).round() as i32 - 3;
            steps.clamp(-128, 127) as i8 as u8
        });
        let output = network(&stored.collect::<Vec<u8>>());
        let logits: Vec<f32> = output
            .iter()
            .map(|q| (f32::from(q.cast_signed()) - 5.0) / 16.0)
            .collect();
        let exponentials: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        for (k, out) in out.iter_mut().enumerate().take(CLASSES) {
            *out = match (self.0, score) {
                (Scores::Softmax, Score::Probability) => (exponentials[k] / sum) as f32,
                (Scores::Sigmoid, Score::Probability) => {
                    (exponentials[k] / (1.0 + exponentials[k])) as f32
                }
                _ => logits[k],
            };
        }
        Ok(())
    }
}

fn tensor() -> Vec<f32> {
    (0..SHAPE.len())
        .map(|i| ((i * 37 % 101) as f32 - 40.0) / 64.0)
        .collect()
}

#[test]
fn a_small_network_has_the_bits_that_it_has_without_an_npu() {
    let data = tensor();
    let picture = Picture::Tensor {
        shape: SHAPE,
        data: &data,
    };
    let file = program(&facts(Scores::Plain));
    let found = accelerated(&file, Box::new(network), |npu| {
        let found = maps(npu, picture, Score::Probability);
        assert!(npu.registers().runs > 100);
        found
    });
    let expected = maps(&mut Plain(Scores::Plain), picture, Score::Probability);
    assert_eq!(found, expected);
    assert!(
        expected
            .iter()
            .all(|(_, outcomes)| outcomes[0] == Outcome::Ok)
    );
}

/// Softmax and sigmoid by the card; logits that stay inside the NPU are not made up.
#[test]
fn scores_are_what_the_card_says() {
    let data = tensor();
    let picture = Picture::Tensor {
        shape: SHAPE,
        data: &data,
    };
    let x = Masked::whole(picture);
    for scores in [Scores::Plain, Scores::Softmax, Scores::Sigmoid] {
        let file = program(&facts(scores));
        accelerated(&file, Box::new(network), |npu| {
            for score in [Score::Logit, Score::Probability] {
                let (mut found, mut expected) = ([0.0; CLASSES], [0.0; CLASSES]);
                npu.classify(&x, score, &mut found).expect("scores");
                let plain = Plain(scores).classify(&x, score, &mut expected);
                plain.expect("scores");
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "{scores:?} {score:?}");
                }
            }
        });
    }
    let file = program(&facts(Scores::Probabilities));
    accelerated(&file, Box::new(network), |npu| {
        let refused = npu.classify(&x, Score::Logit, &mut [0.0; CLASSES]);
        assert!(matches!(refused, Err(Error::BadParameter(_))));
        assert_eq!(npu.registers().runs, 0);
        let mut short = [0.0; CLASSES - 1];
        let short = npu.classify(&x, Score::Probability, &mut short);
        assert_eq!(short, Err(Error::BufferTooSmall { need: 3, have: 2 }));
    });
}

/// A network of the zoo, opened and compiled.
pub struct Real {
    pub model: OpenModel,
    pub file: ModelFile,
}

impl Real {
    pub fn open(name: &str) -> Option<Self> {
        let path = zoo()?.join(format!("models/tinyml/{name}.tflite"));
        let model = OpenModel::open(&path, &OpenOptions::default()).expect("a model");
        let compiled = model
            .compile(&CompileOptions::default())
            .expect("it compiles");
        let file = ModelFile::new(&compiled.bytes).expect("a file");
        Some(Self { model, file })
    }

    /// The session of `core`, asked as an NPU is: integers in, integers out.
    pub fn reference<'r>(&'r self, arena: &'r mut AlignedBytes, by: Quantisation) -> Reference<'r> {
        let mut session = session(self.file.model(), arena);
        Box::new(move |stored| {
            let data: Vec<f32> = stored.iter().map(|q| f32::from(q.cast_signed())).collect();
            let shape = session.input();
            let picture = Picture::Tensor { shape, data: &data };
            let mut out = vec![0.0; session.classes()];
            let x = Masked::whole(picture);
            let done = session.classify(&x, Score::Probability, &mut out);
            done.expect("scores");
            let store = |p: &f32| {
                let q = (f64::from(*p) / f64::from(by.scale)).round() as i32;
                (q + i32::from(by.zero_point)).clamp(-128, 127) as i8 as u8
            };
            out.iter().map(store).collect()
        })
    }

    /// Whether the three methods have the same bits on the NPU and in `core`.
    pub fn same(&self, file: &[u8], by: Quantisation) {
        let model = self.file.model();
        let shape = model.input();
        let normalisation = model.normalisation();
        let pixels: Vec<u8> = (0..shape.len())
            .map(|i| {
                let (y, x) = (i / shape.row(), i / shape.c % shape.w);
                (y * 255 / shape.h / 2 + (x * x * 7 + y * 3) % 128) as u8
            })
            .collect();
        let picture = Picture::Pixels {
            shape,
            data: &pixels,
            normalisation: &normalisation,
        };
        let mut arena = arena(model);
        let expected = maps(&mut session(model, &mut arena), picture, Score::Probability);
        let mut arena = self::arena(model);
        let reference = self.reference(&mut arena, by);
        let found = accelerated(file, reference, |npu| {
            maps(npu, picture, Score::Probability)
        });
        assert_eq!(found, expected);
        assert!(
            expected
                .iter()
                .any(|(_, outcomes)| outcomes[0] == Outcome::Ok)
        );
    }
}

fn arena(model: &Model<'_>) -> AlignedBytes {
    let plan = model.plan(Pass::Forward).expect("a plan");
    AlignedBytes::zeros(plan.arena_len())
}

fn session<'m>(model: &'m Model<'m>, arena: &'m mut AlignedBytes) -> Session<'m, 'm> {
    Session::new(model, arena, Isa::portable()).expect("a session")
}

/// MLPerf Tiny's int8 networks: the driver's input and output are the session's.
#[test]
fn real_int8_networks_have_the_bits_of_the_session() {
    let by = Quantisation {
        scale: 1.0 / 256.0,
        zero_point: -128,
    };
    for name in ["resnet8_cifar10_int8", "vww96_int8"] {
        let Some(real) = Real::open(name) else {
            return;
        };
        let model = real.file.model();
        let input = model.input();
        let made = Facts {
            scratch: input.len() + 64,
            fast: 0,
            input_at: 48,
            output_at: 0,
            input,
            classes: model.classes(),
            input_as: Quantisation {
                scale: 1.0,
                zero_point: 0,
            },
            output_as: by,
            normalisation: model.normalisation(),
            ..facts(Scores::Probabilities)
        };
        real.same(&program(&made), by);
    }
}
