//! Random small networks, each a function of its seed: what a kernel must get
//! right that no trained network asks for.

mod attributes;
mod corners;
mod corners8;
pub mod coverage;
pub mod coverage8;
mod draft;
mod integers;
pub mod number;

use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, Goal, compile};
use foveola::graph::Graph;
use foveola_core::Shape;
use foveola_core::net::model::Model;

use draft::Draft;
use integers::Integers;
use number::Random;

/// The first stream of random numbers for networks in int8; those in f32 begin at 0.
const INTEGERS: u32 = 1 << 16;

/// Most bytes of a model file and its largest arena: both lie in the RAM of a
/// 64 KB board, beside its stack, picture, map and the tree of HOC.
const MOST_BYTES: usize = 32 << 10;

/// The numbers of a picture.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Pixels.
    Pixels(Vec<u8>),
    /// A tensor in model space.
    Tensor(Vec<f32>),
}

/// A compiled network and a picture for it.
#[derive(Clone, Debug)]
pub struct RandomNetwork {
    /// The seed that it is a function of.
    pub seed: u64,
    /// The model file.
    pub bytes: Vec<u8>,
    /// Shape of the picture.
    pub shape: Shape,
    /// The picture.
    pub picture: Numbers,
}

impl RandomNetwork {
    /// The network in f32 of a seed: the first of its drafts that fits the
    /// smallest board.
    pub fn new(seed: u64) -> Self {
        let mut drafts =
            (0..100).filter_map(|attempt| Self::compiled(seed, Drawn::real(seed, attempt)));
        drafts.next().expect("one of 100 drafts fits")
    }

    /// The network in int8, or int8 and f32, of a seed.
    pub fn int8(seed: u64) -> Self {
        let mut drafts =
            (0..100).filter_map(|attempt| Self::compiled(seed, Drawn::int8(seed, attempt)));
        drafts.next().expect("one of 100 drafts fits")
    }

    /// One in three has a fast plan, the others a small one.
    fn compiled(seed: u64, drawn: Drawn) -> Option<Self> {
        let Drawn {
            graph,
            card,
            picture,
            options,
        } = drawn;
        let options = CompileOptions {
            goal: match seed % 3 {
                0 => Goal::Fast,
                _ => Goal::Small,
            },
            ..options
        };
        let shape = graph.tensor(graph.input).shape;
        let bytes = compile(graph, &card, &options).ok()?.bytes;
        let aligned = foveola::aligned::AlignedBytes::copy_of(&bytes);
        let model = Model::from_bytes(&aligned)
            .unwrap_or_else(|e| panic!("seed {seed}: the compiler's file is sound: {e}"));
        let arenas = model.passes().filter_map(|pass| model.plan(pass));
        let arena = arenas.map(|plan| plan.arena_len()).max()?;
        (bytes.len() + arena <= MOST_BYTES).then_some(Self {
            seed,
            bytes,
            shape,
            picture,
        })
    }
}

/// A network before it is compiled, and a picture for it.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The network.
    pub graph: Graph,
    /// Its card.
    pub card: Card,
    /// The picture.
    pub picture: Numbers,
    /// How it is compiled.
    pub options: CompileOptions,
}

impl Drawn {
    /// Draft number `attempt` in f32 of a seed.
    pub fn real(seed: u64, attempt: u32) -> Self {
        let mut random = Random::new(seed, attempt);
        let shape = picture_shape(&mut random);
        let card = card(shape, &mut random);
        let options = CompileOptions {
            fold: random.chance(3),
            ..CompileOptions::default()
        };
        let picture = picture(shape, &mut random);
        Self {
            graph: Draft::new(shape, random, None).finish(),
            card,
            picture,
            options,
        }
    }

    /// Draft number `attempt` in int8, or int8 and f32, of a seed.
    pub fn int8(seed: u64, attempt: u32) -> Self {
        let mut random = Random::new(seed, INTEGERS + attempt);
        // Tall pictures leave room for layers that run together, row by row.
        let shape = match random.chance(3) {
            true => Shape::new(
                random.within(12, 28),
                random.within(1, 4),
                random.pick(&[1, 3, 4]),
            ),
            false => picture_shape(&mut random),
        };
        let integers = Integers {
            unsigned: random.chance(3),
            integer_input: random.chance(2),
            mixed: random.chance(2),
        };
        let mut card = card(shape, &mut random);
        let mut picture = picture(shape, &mut random);
        if integers.integer_input {
            let middle = if integers.unsigned { 0.0 } else { 128.0 };
            (card.mean, card.scale) = (vec![middle; shape.c], vec![1.0; shape.c]);
            picture = whole_numbers(shape, middle, &mut random);
        }
        let graph = Draft::new(shape, random, Some(integers)).finish();
        Self {
            graph,
            card,
            picture,
            options: CompileOptions::default(),
        }
    }
}

/// A picture for a network that takes integers, some beyond their range.
fn whole_numbers(shape: Shape, middle: f32, random: &mut Random) -> Numbers {
    if random.chance(2) {
        let pixel = |_| random.below(256) as u8;
        return Numbers::Pixels((0..shape.len()).map(pixel).collect());
    }
    let number = |_| random.below(272) as f32 - 8.0 - middle;
    Numbers::Tensor((0..shape.len()).map(number).collect())
}

/// Small, often of one pixel, one row, one column or one channel.
fn picture_shape(random: &mut Random) -> Shape {
    let mut side = |most| {
        if random.chance(14) {
            1
        } else {
            random.within(1, most)
        }
    };
    let (h, w, c) = (side(9), side(9), side(4));
    if random.chance(16) {
        Shape::new(1, 1, c)
    } else {
        Shape::new(h, w, c)
    }
}

fn card(shape: Shape, random: &mut Random) -> Card {
    let activations = [
        OutputActivation::Softmax,
        OutputActivation::Sigmoid,
        OutputActivation::None,
    ];
    let mut few = |low: f32, high: f32| {
        let spread = high - low;
        let channels = 0..shape.c;
        channels.map(|_| low + spread * random.unit()).collect()
    };
    let (mean, scale) = (few(100.0, 140.0), few(0.005, 0.04));
    Card {
        size: [shape.h, shape.w],
        resize: Resize::Squash,
        channels: match shape.c {
            1 => Channels::Gray,
            4 => Channels::Rgba,
            _ => Channels::Rgb,
        },
        mean,
        scale,
        activation: random.pick(&activations),
        labels: Vec::new(),
    }
}

fn picture(shape: Shape, random: &mut Random) -> Numbers {
    if random.chance(4) {
        let pixel = |_| random.below(256) as u8;
        return Numbers::Pixels((0..shape.len()).map(pixel).collect());
    }
    let kind = random.kind();
    Numbers::Tensor(random.values(kind, shape.len(), 1.0))
}
