//! Edits of a held base: whatever box an edit changes, every layer has the bits
//! that it has when the edited picture is run in full.

use std::collections::BTreeSet;

use foveola::aligned::AlignedBytes;
use foveola::compile::{CompileOptions, Goal, compile};
use foveola_core::classifier::Edit;
use foveola_core::mask::{Fill, Mask, Window};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::{Held, Session, Slot, held_len};
use foveola_core::tensor::Values;
use foveola_core::{Classifier, Error, Masked, Normalisation, Picture, Score, Shape};
use foveola_tests::random::coverage::{OPS, name};
use foveola_tests::random::number::Random;
use foveola_tests::random::{Drawn, Numbers};
use foveola_tests::small;

/// Draws of each kind.
const NETWORKS: u64 = 400;

/// Edits of each base.
const EDITS: usize = 6;

/// The bits of each layer, or none where it meets NaN.
type Layers = Option<Vec<Vec<u32>>>;

fn bits(values: Values<'_>) -> Vec<u32> {
    match values {
        Values::Real(data) => data.iter().map(|v| v.to_bits()).collect(),
        Values::Stored { data, .. } => data.iter().map(|&v| v as u32).collect(),
    }
}

/// Every layer of a run in full.
fn in_full(model: &Model<'_>, x: &Masked<'_>, isa: Isa) -> Layers {
    let plan = model.plan(Pass::Forward).expect("a plan");
    let mut arena = AlignedBytes::zeros(plan.arena_len());
    let mut session = Session::new(model, &mut arena, isa).expect("a session");
    let mut layers = vec![Vec::new(); model.node_count()];
    let ends = session.forward_tapped(x, &mut |i, _, values| {
        layers[i].extend(bits(values));
        Ok(())
    });
    match ends {
        Ok(()) => Some(layers),
        Err(Error::NotFinite { .. }) => None,
        Err(other) => panic!("it runs: {other}"),
    }
}

fn held_bytes(model: &Model<'_>) -> usize {
    let mut slots = vec![Slot::default(); model.tensor_count()];
    held_len(model, &mut slots).expect("a small model")
}

/// Boxes at the borders and anywhere, of one pixel and of all, of some channels
/// and of none, inside and outside.
fn window(shape: Shape, i: usize, random: &mut Random) -> Window {
    let whole = Window::whole(shape);
    let mut some = |size: usize| {
        let length = random.within(1, size.div_ceil(3));
        let from = match random.below(4) {
            0 => 0,
            1 => size - length,
            _ => random.within(0, size - length),
        };
        (from, length)
    };
    let ((y, h), (x, w), (c, d)) = (some(shape.h), some(shape.w), some(shape.c));
    match i {
        0 => Window {
            y: shape.h - 1,
            x: shape.w - 1,
            h: 9,
            w: 9,
            ..whole
        },
        1 => Window {
            y,
            x,
            h: 1,
            w: 1,
            ..whole
        },
        2 => Window { y, x, c, h, w, d },
        3 if random.chance(3) => Window {
            y: shape.h,
            ..whole
        },
        3 if random.chance(3) => Window { d: 0, ..whole },
        3 if random.chance(3) => whole,
        _ => Window {
            y,
            x,
            h,
            w,
            ..whole
        },
    }
}

/// One network, and what has been seen of all.
struct Case<'a> {
    name: String,
    model: &'a Model<'a>,
    isa: Isa,
    seen: &'a mut Seen,
}

#[derive(Default)]
struct Seen {
    /// Operators of which a part was computed.
    parts: BTreeSet<String>,
    edits: usize,
    nan: usize,
}

impl Case<'_> {
    /// Holds `base` and edits it; `classify` and layers must have the bits of runs in full.
    fn hold(&mut self, base: &Masked<'_>, windows: &[Window]) {
        let scratch = [0, 1 << 16][windows.len() % 2];
        let mut arena = AlignedBytes::zeros(held_bytes(self.model) + scratch);
        arena.fill(0x5A);
        let mut session = Session::new(self.model, &mut arena, self.isa).expect("a session");
        let mut held = match session.hold(base) {
            Ok(held) => held,
            Err(Error::NotFinite { .. }) => {
                self.seen.nan += 1;
                return;
            }
            Err(other) => panic!("{}: {other}", self.name),
        };
        let nothing = Window {
            y: 0,
            x: 0,
            c: 0,
            h: 0,
            w: 0,
            d: 0,
        };
        for &window in [nothing].iter().chain(windows) {
            let expected = in_full(self.model, &base.edited(window), self.isa);
            self.compare(&mut held, window, &expected);
            self.note(&held);
        }
    }

    /// Fails at the first layer that differs, and if the scores do.
    fn compare(&self, held: &mut Held<'_, '_, '_, '_>, window: Window, expected: &Layers) {
        let name = format!("{} {window:?}", self.name);
        let tapped = held.tap(&Edit { window }, &mut |i, _, values| {
            let expected = expected.as_ref().map_or(&[][..], |layers| &layers[i]);
            // Rows that nobody reads are not made where a layer is made row by row.
            let same = bits(values).starts_with(expected);
            assert!(same, "{name}: node {i}: {:?}", self.model.node(i));
            Ok(())
        });
        match tapped {
            Ok(()) => assert!(expected.is_some(), "{name}: NaN was not seen"),
            Err(Error::NotFinite { .. }) => assert!(expected.is_none(), "{name}: NaN was seen"),
            Err(other) => panic!("{name}: {other}"),
        }
        let mut scores = vec![0.0; self.model.classes()];
        match held.classify(&Edit { window }, Score::Logit, &mut scores) {
            Ok(()) => {
                let id = self.model.score_id(Score::Logit);
                let maker = (0..self.model.node_count())
                    .find(|&i| self.model.node(i).is_some_and(|node| node.output == id));
                let expected = expected.as_ref().expect("it met no NaN");
                let expected = maker.map(|i| &expected[i]);
                assert_eq!(Some(&bits(Values::Real(&scores))), expected, "{name}");
            }
            Err(Error::NotFinite { .. }) => assert!(expected.is_none(), "{name}"),
            Err(Error::ScoreNotFinite { .. }) => {}
            Err(other) => panic!("{name}: {other}"),
        }
    }

    fn note(&mut self, held: &Held<'_, '_, '_, '_>) {
        self.seen.edits += 1;
        for i in 0..self.model.node_count() {
            let share = held.share(i);
            if share > 0.0 && share < 1.0 {
                let node = self.model.node(i).expect("a node");
                let kind = if node.integers.is_some() { "int8 " } else { "" };
                self.seen.parts.insert(format!("{kind}{}", name(node.op)));
            }
        }
    }
}

fn compiled(drawn: &Drawn, goal: Goal) -> Option<AlignedBytes> {
    let options = CompileOptions {
        goal,
        ..drawn.options.clone()
    };
    let compiled = compile(drawn.graph.clone(), &drawn.card, &options).ok()?;
    Some(AlignedBytes::copy_of(&compiled.bytes))
}

fn picture<'a>(drawn: &'a Drawn, normalisation: &'a Normalisation) -> Picture<'a> {
    let shape = drawn.graph.tensor(drawn.graph.input).shape;
    match &drawn.picture {
        Numbers::Pixels(data) => Picture::Pixels {
            shape,
            data,
            normalisation,
        },
        Numbers::Tensor(data) => Picture::Tensor { shape, data },
    }
}

/// Bases of every kind of mask that can be edited.
fn check(seed: u64, drawn: &Drawn, case: &mut Case<'_>) {
    let shape = case.model.input();
    let mut random = Random::new(seed, 1 << 20);
    let normalisation = case.model.normalisation();
    let data: Vec<f32> = (0..shape.len()).map(|i| (i as f32 * 0.7).sin()).collect();
    let other = Picture::Tensor { shape, data: &data };
    let boxes = [0, 1].map(|_| window(shape, 4, &mut random));
    let reveal = random.chance(2);
    let mask = match random.below(3) {
        0 => Mask::Keep,
        some => Mask::Windows {
            boxes: &boxes[..usize::from(some == 1)],
            extra: None,
            reveal,
        },
    };
    let fill = match random.below(2) {
        0 => Fill::Colour([0.5, -1.0, 0.25, 0.0]),
        _ => Fill::Picture(other),
    };
    let base = Masked {
        picture: picture(drawn, &normalisation),
        fill,
        mask,
    };
    let windows: Vec<Window> = (0..EDITS + usize::from(seed.is_multiple_of(2)))
        .map(|i| window(shape, i, &mut random))
        .collect();
    case.hold(&base, &windows);
}

fn isa(seed: u64) -> Isa {
    match seed % 3 {
        0 => Isa::portable(),
        1 => Isa::detect(),
        _ => Isa::detect().fused(),
    }
}

#[test]
fn every_edit_has_the_bits_of_a_run_in_full() {
    let mut seen = Seen::default();
    for seed in 0..NETWORKS {
        let kinds = [
            ("f32", Drawn::real(seed, 7)),
            ("int8", Drawn::int8(seed, 7)),
        ];
        for (kind, drawn) in kinds {
            let goal = if seed % 2 == 0 {
                Goal::Fast
            } else {
                Goal::Small
            };
            let Some(bytes) = compiled(&drawn, goal) else {
                continue;
            };
            let model = Model::from_bytes(&bytes).expect("it is sound");
            let mut case = Case {
                name: format!("{kind} {seed}"),
                model: &model,
                isa: isa(seed),
                seen: &mut seen,
            };
            check(seed, &drawn, &mut case);
        }
    }
    println!(
        "{} edits, {} bases with NaN: parts of {:?}",
        seen.edits, seen.nan, seen.parts
    );
    let whole = ["Dense", "GlobalMaxPool"];
    let wanted = OPS
        .iter()
        .filter(|op| !op.contains(' ') && !whole.contains(op));
    let missing: Vec<_> = wanted.filter(|&&op| !seen.parts.contains(op)).collect();
    assert!(missing.is_empty(), "no part of {missing:?} was computed");
    for op in [
        "Conv",
        "Depthwise",
        "Add",
        "Mul",
        "Concat",
        "Pad",
        "MaxPool",
        "AveragePool",
    ] {
        let op = format!("int8 {op}");
        assert!(seen.parts.contains(&op), "no part of {op} was computed");
    }
    assert!(seen.edits > 3000, "{}", seen.edits);
}

/// What is used wrongly says so, and nothing is computed.
#[test]
fn wrong_use_is_an_error() {
    let drawn = Drawn::real(3, 7);
    let bytes = compiled(&drawn, Goal::Fast).expect("it compiles");
    let model = Model::from_bytes(&bytes).expect("it is sound");
    let normalisation = model.normalisation();
    let base = Masked::whole(picture(&drawn, &normalisation));
    let need = held_bytes(&model);
    let short = held_len(&model, &mut []);
    let need_slots = model.tensor_count();
    assert_eq!(
        short,
        Err(Error::BufferTooSmall {
            need: need_slots,
            have: 0
        })
    );
    let mut arena = AlignedBytes::zeros(need);
    let mut small = Session::new(&model, &mut arena[..need - 16], Isa::portable()).expect("it");
    let have = need - 16;
    let held = small.hold(&base).map(|_| ());
    assert_eq!(held, Err(Error::ArenaTooSmall { need, have }));
    let mut session = Session::new(&model, &mut arena, Isa::portable()).expect("a session");
    let extra = base.edited(Window::whole(model.input()));
    assert!(matches!(session.hold(&extra), Err(Error::BadParameter(_))));
    let shape = Shape {
        h: model.input().h + 1,
        ..model.input()
    };
    let data = vec![0.0; shape.len()];
    let tall = Masked::whole(Picture::Tensor { shape, data: &data });
    assert!(matches!(
        session.hold(&tall),
        Err(Error::ShapeMismatch { .. })
    ));
    let mut held = session.hold(&base).expect("it holds");
    let window = Window::whole(model.input());
    let classes = model.classes();
    let failed = held.classify(&Edit { window }, Score::Logit, &mut []);
    assert_eq!(
        failed,
        Err(Error::BufferTooSmall {
            need: classes,
            have: 0
        })
    );
}

/// Scores of edits are the same whether they are incremental or in full, and so
/// is the error of a picture that shows NaN.
#[test]
fn a_session_answers_edits_alike() {
    let compiled = compile(small::graph(), &small::card(), &CompileOptions::default());
    let bytes = AlignedBytes::copy_of(&compiled.expect("it compiles").bytes);
    let model = Model::from_bytes(&bytes).expect("it is sound");
    let shape = model.input();
    let mut data = vec![0.25; shape.len()];
    let all = |data: &[f32], incremental: bool| {
        let mut arena = AlignedBytes::zeros(held_bytes(&model));
        let mut session = Session::new(&model, &mut arena, Isa::portable()).expect("a session");
        session.set_incremental(incremental);
        let base = Masked::whole(Picture::Tensor { shape, data });
        let edit = |i: usize| Edit {
            window: Window {
                y: i,
                x: 0,
                c: 0,
                h: 1,
                w: 1,
                d: shape.c,
            },
        };
        let mut scores = vec![0.0; model.classes()];
        let mut found = Vec::new();
        let ends =
            session.classify_edits(&base, 4, &edit, Score::Logit, &mut scores, &mut |i, s| {
                found.push((i, s.iter().map(|v| v.to_bits()).collect::<Vec<_>>()));
                Ok(())
            });
        (ends, found)
    };
    let (ends, found) = all(&data, true);
    assert_eq!(ends, Ok(()));
    assert_eq!(found.len(), 4);
    assert_eq!((ends, found), all(&data, false));
    data[0] = f32::NAN;
    let (ends, found) = all(&data, true);
    assert_eq!(ends, Err(Error::PictureNotFinite));
    assert_eq!((ends, found), all(&data, false));
}
