//! Edits of a base that the adapter holds: whatever boxes change, scores are
//! those of the whole pictures on the same adapter.

use std::collections::BTreeSet;
use std::sync::Arc;

use foveola::backend::core::{Editing, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, Storage};
use foveola::compile::compile;
use foveola_core::classifier::Edit;
use foveola_core::mask::{Fill, Window};
use foveola_core::{Classifier, Error, Mask, Masked, Normalisation, Picture, Score, Shape};
use foveola_tests::random::coverage::name;
use foveola_tests::random::number::Random;
use foveola_tests::random::{Drawn, Numbers};

use super::device;
use super::networks::golden_file;

/// Random networks.
const NETWORKS: u64 = 60;

/// Scores of edits up to the first error.
type Answers = (Vec<Vec<f32>>, Result<(), Error>);

fn answers(backend: &mut GpuBackend, base: &Masked<'_>, windows: &[Window]) -> Answers {
    let mut all: Vec<Vec<f32>> = Vec::new();
    let mut sink = |i: usize, scores: &[f32]| {
        assert_eq!(i, all.len());
        all.push(scores.to_vec());
        Ok(())
    };
    let edit = |i: usize| Edit { window: windows[i] };
    let (mut scratch, count) = (vec![0.0; backend.classes()], windows.len());
    let score = Score::Logit;
    let ended = backend.classify_edits(base, count, &edit, score, &mut scratch, &mut sink);
    (all, ended)
}

/// Boxes of one size, at the corners, anywhere, and half outside.
fn windows(shape: Shape, [h, w]: [usize; 2], random: &mut Random) -> Vec<Window> {
    let whole = Window::whole(shape);
    let mut all = Vec::new();
    for i in 0..7 {
        let (y, x) = match i {
            0 => (0, 0),
            1 => (shape.h - h, shape.w - w),
            2 => (shape.h - h.div_ceil(2), 0),
            3 => (shape.h, shape.w),
            _ => (random.within(0, shape.h - h), random.within(0, shape.w - w)),
        };
        all.push(Window {
            y,
            x,
            h,
            w,
            ..whole
        });
    }
    // One of another size, and one of a single channel.
    all.push(Window {
        y: 0,
        x: 0,
        h: 1,
        w: 1,
        ..whole
    });
    all.push(Window {
        y: 1,
        x: 0,
        h,
        w,
        c: 0,
        d: 1,
    });
    all
}

fn base<'a>(picture: Picture<'a>, boxes: &'a [Window], kind: usize) -> Masked<'a> {
    Masked {
        picture,
        fill: Fill::Colour([0.5, -1.0, 0.25, 0.0]),
        mask: match kind {
            0 => Mask::Keep,
            _ => Mask::Windows {
                boxes,
                extra: None,
                reveal: kind == 1,
            },
        },
    }
}

/// In part and in full on one adapter: the same sums in the same order.
fn compare(
    gpu: &Arc<Gpu>,
    file: &Arc<ModelFile>,
    base: &Masked<'_>,
    windows: &[Window],
    name: &str,
) -> Option<f64> {
    let start = || GpuBackend::new(Arc::clone(gpu), Arc::clone(file), Storage::Full);
    let mut full = start().expect("it starts").editing(Editing::Full);
    let mut parts = start().expect("it starts");
    let expected = answers(&mut full, base, windows);
    let found = answers(&mut parts, base, windows);
    assert_eq!(full.computed_share(), None);
    assert_eq!(found, expected, "{name} {windows:?}");
    parts.computed_share()
}

#[test]
fn edits_have_the_scores_of_whole_pictures() {
    let Some(gpu) = device() else { return };
    let (mut seen, mut in_part) = (BTreeSet::new(), 0);
    for seed in 0..NETWORKS {
        let drawn = Drawn::real(seed, 7);
        let Ok(compiled) = compile(drawn.graph.clone(), &drawn.card, &drawn.options) else {
            continue;
        };
        let file = Arc::new(ModelFile::new(&compiled.bytes).expect("it is sound"));
        let shape = file.model().input();
        let mut random = Random::new(seed, 1 << 21);
        let normalisation: Normalisation = file.model().normalisation();
        let picture = match &drawn.picture {
            Numbers::Pixels(data) => Picture::Pixels {
                shape,
                data,
                normalisation: &normalisation,
            },
            Numbers::Tensor(data) => Picture::Tensor { shape, data },
        };
        let boxes = [Window {
            y: 0,
            x: 1,
            h: 2,
            w: 2,
            ..Window::whole(shape)
        }];
        let base = base(picture, &boxes, seed as usize % 3);
        for size in [[1, 1], [2.min(shape.h), 3.min(shape.w)]] {
            let windows = windows(shape, size, &mut random);
            let share = compare(&gpu, &file, &base, &windows, &format!("network {seed}"));
            let Some(share) = share else { continue };
            assert!(share > 0.0 && share < 1.0, "{seed}: {share}");
            in_part += 1;
            let nodes = (0..file.model().node_count()).filter_map(|i| file.model().node(i));
            seen.extend(nodes.map(|node| name(node.op).to_string()));
        }
    }
    println!("{in_part} batches in part, of networks with {seen:?}");
    assert!(in_part > 30, "{in_part}");
}

/// Many edits of a network with convolutions, pools and residuals: several
/// rounds, one base after another, and fewer edits than pay.
#[test]
fn edits_of_golden_networks() {
    let Some(gpu) = device() else { return };
    for net in ["n1", "n2", "n3", "n4"] {
        let (_, file) = golden_file(net);
        let shape = file.model().input();
        let data: Vec<f32> = (0..shape.len())
            .map(|i| (i * 29 % 97) as f32 / 97.0)
            .collect();
        let picture = Picture::Tensor { shape, data: &data };
        let windows: Vec<Window> = (0..70)
            .map(|i| Window {
                y: i * 3 % shape.h,
                x: i * 5 % shape.w,
                h: 3,
                w: 2,
                ..Window::whole(shape)
            })
            .collect();
        let base = base(picture, &[], 0);
        let share = compare(&gpu, &file, &base, &windows, net);
        println!("{net}: {share:?} of the elements");
        assert!(share.is_some(), "{net}");
        assert_eq!(compare(&gpu, &file, &base, &windows[..2], net), None);
    }
}
