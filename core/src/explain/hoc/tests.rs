#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // tests may panic

use super::*;
use crate::explain::Silent;
use crate::explain::nets::{Net, StopAfter, explain, read, tensor};
use crate::mask::{Mask, Masked};
use crate::picture::blur::{blur_radius, blur_scratch, blur_tensor};
use std::vec;
use std::vec::Vec;

fn search_until(
    hoc: &Hoc<'_>,
    net: &mut Net<'_>,
    x: &[f32],
    progress: &mut dyn Progress,
) -> (Result<Region, NoRegion>, Vec<Step>) {
    let (mut steps, mut boxes) = (vec![Step::UNUSED; 900], vec![UNUSED_WINDOW; 900]);
    let mut storage = Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    };
    let question = (tensor(net.shape, x), 0, Score::Probability);
    let mut scratch = [0.0];
    let found = hoc.search(net, question, &mut storage, &mut scratch, progress);
    let found = found.unwrap();
    steps.truncate(found.map_or(0, |region| region.steps));
    (found, steps)
}

fn search(hoc: &Hoc<'_>, net: &mut Net<'_>, x: &[f32]) -> (Result<Region, NoRegion>, Vec<Step>) {
    search_until(hoc, net, x, &mut Silent)
}

/// x, y, side.
fn corner(window: &Window) -> [usize; 3] {
    assert_eq!(window.h, window.w);
    [window.x, window.y, window.h]
}

#[test]
fn positions_snap_to_the_end() {
    let all = |begin, length, window: usize, stride| -> Vec<usize> {
        let levels = Levels::new([(window, stride)].into_iter());
        let count = levels.positions(0, length);
        let at = |i| position(begin, length, (window, stride), i, count);
        (0..count).map(at).collect()
    };
    assert_eq!(all(0, 10, 5, 2), [0, 2, 4, 5]);
    assert_eq!(all(0, 224, 112, 22), [0, 22, 44, 66, 88, 110, 112]);
    assert_eq!(all(7, 5, 5, 1), [7]);
    assert_eq!(all(7, 6, 4, 2), [7, 9]);
}

#[test]
fn automatic_windows() {
    let auto = |side: usize| {
        let levels = Hoc::default()
            .levels(Shape::new(side + 9, side, 3))
            .unwrap();
        levels.map(|l| (l.windows[..l.count].to_vec(), l.strides[..l.count].to_vec()))
    };
    assert_eq!(auto(56), Some((vec![28], vec![5])));
    assert_eq!(auto(96), Some((vec![48], vec![9])));
    assert_eq!(auto(112), Some((vec![56, 28], vec![11, 5])));
    assert_eq!(auto(224), Some((vec![112, 56, 28], vec![22, 11, 5])));
    assert_eq!(auto(55), None);
}

/// The mean of two blocks' means: rows 0-1 of columns 0-3, rows 8-9 of columns 6-9.
fn net_p() -> Net<'static> {
    Net::new(Shape::new(10, 10, 3), 1, |x, _| {
        let block = |y: usize, x0: usize| -> f64 {
            let places = (y..y + 2).flat_map(|y| (x0..x0 + 4).map(move |x| y * 10 + x));
            let elements = places.flat_map(|p| p * 3..p * 3 + 3);
            elements.map(|i| f64::from(x[i])).sum::<f64>() / 24.0
        };
        f64::midpoint(block(0, 0), block(8, 6))
    })
}

const P: Hoc<'_> = Hoc {
    mode: Mode::Cover,
    threshold: 0.01,
    windows: &[5, 2],
    strides: &[2, 1],
    fill: Fill::Colour([0.0; MAX_CHANNELS]),
    beam: 1,
    minimal: false,
};

#[test]
fn covering_two_blocks() {
    let (region, steps) = search(&P, &mut net_p(), &[1.0; 300]);
    let region = region.unwrap();
    let layer = |k| -> Vec<_> {
        let steps = steps.iter().filter(|step| step.layer == k);
        steps.map(|step| corner(&step.window)).collect()
    };
    assert_eq!(layer(0), [[0, 0, 5], [5, 5, 5]]);
    assert_eq!(layer(1), [[0, 0, 2], [2, 0, 2], [6, 8, 2], [8, 8, 2]]);
    assert_eq!(region.probabilities().collect::<Vec<_>>(), [0.0, 0.0]);
    assert_eq!((region.layers, region.steps, region.complete), (2, 6, true));
    let parents: Vec<_> = steps.iter().map(|step| step.parent).collect();
    assert_eq!(parents, [None, None, Some(0), Some(0), Some(1), Some(1)]);
    let children: Vec<_> = steps.iter().map(|s| (s.first_child, s.children)).collect();
    assert_eq!(children[..2], [(2, 2), (4, 2)]);
    let changes: Vec<_> = steps.iter().map(|step| step.change).collect();
    assert_eq!(changes, [-0.5, -0.5, -0.25, -0.25, -0.25, -0.25]);
    let shown = |k| region.layer(&steps, k).count();
    assert_eq!((shown(0), shown(1)), (2, 4));
}

#[test]
fn map_is_the_deepest_layer() {
    let x = [1.0; 300];
    let (mut steps, mut boxes) = (vec![Step::UNUSED; 50], vec![UNUSED_WINDOW; 50]);
    let method = HocMethod {
        hoc: P,
        storage: RefCell::new(Storage {
            steps: &mut steps,
            boxes: &mut boxes,
        }),
    };
    let query = Query {
        picture: tensor(Shape::new(10, 10, 3), &x),
        targets: &[0],
        score: None,
        seed: 0,
    };
    let mut net = net_p();
    let (maps, outcomes) = explain(&method, &mut net, &query, &mut Silent).unwrap();
    assert_eq!(outcomes, [Outcome::Ok]);
    for (i, value) in maps[0].iter().enumerate() {
        let (y, x) = (i / 10, i % 10);
        let fine = (y < 2 && x < 4) || (y >= 8 && x >= 6);
        let coarse = (y < 5 && x < 5) || (y >= 5 && x >= 5);
        assert_eq!(*value, f32::from(u8::from(fine) + u8::from(coarse)));
    }
    let cost = method.cost(&mut net, 1).unwrap();
    assert!(cost.forward >= net.passes as u64);
    let range = Query {
        targets: &[1],
        ..query
    };
    let error = Error::TargetOutOfRange {
        target: 1,
        classes: 1,
    };
    assert_eq!(explain(&method, &mut net, &range, &mut Silent), Err(error));
}

/// A soft spot at (38, 17) of 56 x 56 through a steep sigmoid.
fn net_l() -> Net<'static> {
    let mut g = vec![0.0; 56 * 56];
    for (i, g) in g.iter_mut().enumerate() {
        let (dx, dy) = ((i % 56) as f64 - 38.0, (i / 56) as f64 - 17.0);
        *g = (-(dx * dx + dy * dy) / 72.0).exp();
    }
    let total: f64 = g.iter().sum();
    Net::new(Shape::new(56, 56, 3), 1, move |x, _| {
        let mean = |p: &[f32]| p.iter().map(|v| f64::from(*v)).sum::<f64>() / 3.0;
        let t: f64 = x.chunks(3).zip(&g).map(|(p, g)| mean(p) * g / total).sum();
        1.0 / (1.0 + (6.0 - 12.0 * t).exp())
    })
}

#[test]
fn revealing_a_spot() {
    let x = vec![1.0; 56 * 56 * 3];
    let (region, steps) = search(&Hoc::default(), &mut net_l(), &x);
    let region = region.unwrap();
    assert_eq!((region.layers, region.steps), (1, 1));
    assert_eq!(corner(&steps[0].window), [25, 5, 28]);
    assert!((region.probabilities[0] - 0.996_037).abs() < 1e-5);
}

#[test]
fn reasons_for_no_region() {
    let shape = Shape::new(56, 56, 3);
    let x = vec![0.7; shape.len()];
    let mut constant = Net::new(shape, 1, |_, _| 0.4);
    let (found, _) = search(&Hoc::default(), &mut constant, &x);
    assert_eq!(found, Err(NoRegion::OriginalNotAboveThreshold));
    // Blurring a flat picture hides nothing.
    let mut blurred = vec![0.0; x.len()];
    let sigma = blur_radius(56) as f32;
    let mut scratch = vec![0.0; blur_scratch(shape, sigma)];
    blur_tensor(shape, &x, sigma, &mut scratch, &mut blurred).unwrap();
    let hoc = Hoc {
        fill: Fill::Picture(tensor(shape, &blurred)),
        ..Hoc::default()
    };
    let (found, _) = search(&hoc, &mut net_l(), &x);
    assert_eq!(found, Err(NoRegion::NotFound));
    // Only the whole picture would do, and boxes of one layer leave nothing out
    // only if they tile it: here the last score stays below.
    let mut whole = Net::new(shape, 1, |x, _| {
        f64::from(u8::from(x[0] + x[1] > 1.3)) * 0.9
    });
    let never = Hoc {
        fill: Fill::Colour([-1.0; 4]),
        threshold: 0.95,
        ..Hoc::default()
    };
    let (found, _) = search(&never, &mut whole, &x);
    assert_eq!(found, Err(NoRegion::OriginalNotAboveThreshold));
    let mut small = Net::new(Shape::new(60, 55, 1), 1, |_, _| 1.0);
    let (found, _) = search(&Hoc::default(), &mut small, &vec![0.0; 60 * 55]);
    assert_eq!(found, Err(NoRegion::TooSmall));
}

/// A tree as the description has it: explicit lists of what comes before a job,
/// every picture evaluated from nothing.
mod reference {
    use super::*;

    #[derive(Clone)]
    pub(super) struct Node {
        pub(super) layer: usize,
        pub(super) at: [usize; 3],
        pub(super) p: f32,
        pub(super) change: f32,
        pub(super) parent: Option<usize>,
        pub(super) children: Vec<usize>,
    }

    pub(super) struct Search<'a, 'f> {
        pub(super) hoc: Hoc<'a>,
        pub(super) net: &'a mut Net<'f>,
        pub(super) x: &'a [f32],
        pub(super) nodes: Vec<Node>,
    }

    /// Nodes, whether they count, and the nodes before each that wants a job.
    type Found = (Vec<usize>, bool, Vec<(usize, Vec<usize>)>);

    impl Search<'_, '_> {
        fn p(&self, corners: &[[usize; 3]]) -> f32 {
            let (s, Fill::Colour(colour)) = (self.net.shape, self.hoc.fill) else {
                return f32::NAN;
            };
            let inside = |i: usize| {
                let (y, x) = (i / s.row(), i / s.c % s.w);
                corners
                    .iter()
                    .any(|c| (c[0]..c[0] + c[2]).contains(&x) && (c[1]..c[1] + c[2]).contains(&y))
            };
            let reveal = self.hoc.mode == Mode::Reveal;
            let value = |i: usize| {
                if inside(i) == reveal {
                    self.x[i]
                } else {
                    colour[i % s.c]
                }
            };
            let picture: Vec<f32> = (0..s.len()).map(value).collect();
            (self.net.score)(&picture, 0) as f32
        }

        fn leaves(&self, node: usize) -> Vec<usize> {
            let node_children = &self.nodes[node].children;
            if node_children.is_empty() {
                return vec![node];
            }
            node_children.iter().flat_map(|c| self.leaves(*c)).collect()
        }

        fn corners(&self, nodes: &[usize]) -> Vec<[usize; 3]> {
            nodes.iter().map(|n| self.nodes[*n].at).collect()
        }

        fn sign(&self) -> f32 {
            if self.hoc.mode == Mode::Reveal {
                1.0
            } else {
                -1.0
            }
        }

        fn job(
            &mut self,
            (layer, x, y, w, h): (usize, usize, usize, usize, usize),
            before: &[usize],
            parent: Option<usize>,
        ) -> Found {
            let sign = self.sign();
            let leaves: Vec<usize> = before.iter().flat_map(|n| self.leaves(*n)).collect();
            let mut shown = self.corners(&leaves);
            let (side, stride) = (self.hoc.windows[layer], self.hoc.strides[layer]);
            let axis = |begin: usize, length: usize| {
                let mut at: Vec<usize> = (begin..begin + length - side).step_by(stride).collect();
                at.push(begin + length - side);
                at
            };
            let start = self.p(&shown);
            let (mut last, mut found, mut jobs) = (start, vec![], vec![]);
            loop {
                if sign * last >= sign * self.hoc.threshold {
                    return (found, true, jobs);
                }
                let mut best: Option<([usize; 3], f32)> = None;
                for cx in axis(x, w) {
                    for cy in axis(y, h) {
                        let at = [cx, cy, side];
                        if found.iter().any(|n: &usize| self.nodes[*n].at == at) {
                            continue;
                        }
                        let mut with = shown.clone();
                        with.push(at);
                        let p = self.p(&with);
                        if best.is_none_or(|(_, b)| sign * p > sign * b) {
                            best = Some((at, p));
                        }
                    }
                }
                let Some((at, p)) = best else {
                    return (found, false, jobs);
                };
                let node = self.nodes.len();
                if layer + 1 < self.hoc.windows.len() && sign * (p - last) > 0.0 {
                    jobs.push((node, [before, &found].concat()));
                }
                self.nodes.push(Node {
                    layer,
                    at,
                    p,
                    change: p - last,
                    parent,
                    children: vec![],
                });
                found.push(node);
                shown.push(at);
                let needed = parent.map(|parent| sign * self.nodes[parent].change);
                if needed.is_some_and(|needed| sign * (p - start) >= needed) {
                    return (found, true, jobs);
                }
                last = p;
            }
        }

        /// Steps in the order of the queue and the layers' scores; none if no layer will do.
        pub(super) fn run(&mut self) -> Option<(Vec<usize>, Vec<f32>)> {
            let shape = self.net.shape;
            let (roots, met, jobs) = self.job((0, 0, 0, shape.w, shape.h), &[], None);
            if !met || roots.is_empty() {
                return None;
            }
            let mut queue: std::collections::VecDeque<_> = jobs.into();
            let mut order = roots;
            while let Some((node, before)) = queue.pop_front() {
                let Node { layer, at, .. } = self.nodes[node];
                let field = (layer + 1, at[0], at[1], at[2], at[2]);
                let (found, met, jobs) = self.job(field, &before, Some(node));
                if met {
                    self.nodes[node].children.clone_from(&found);
                    order.extend(found);
                    queue.extend(jobs);
                }
            }
            let deepest = order.iter().map(|n| self.nodes[*n].layer).max()?;
            let sign = self.sign();
            let mut scores = vec![];
            for k in 0..=deepest {
                let shows = |n: &&usize| {
                    let node = &self.nodes[**n];
                    node.layer == k || (node.layer < k && node.children.is_empty())
                };
                let shown: Vec<usize> = order.iter().filter(shows).copied().collect();
                scores.push(self.p(&self.corners(&shown)));
            }
            let good = |p: &f32| sign * *p >= sign * self.hoc.threshold;
            let last = scores.iter().rposition(good)?;
            scores.truncate(last + 1);
            order.retain(|n| self.nodes[*n].layer <= last);
            Some((order, scores))
        }
    }
}

/// Bumps and dips in random places and a wave across them, through a sigmoid, so
/// that boxes help, hinder and depend on each other.
fn random_net(seed: u32, shape: Shape) -> Net<'static> {
    let random = move |i: u32| {
        let [word, ..] = crate::rng::philox4x32_10([i, seed, 0, 0], [5, 6]);
        f64::from(crate::rng::unit(word))
    };
    let mut weights = vec![0.0; shape.area()];
    for bump in 0..4 {
        let at = |k: u32| random(bump * 4 + k);
        let (cy, cx) = (at(0) * shape.h as f64, at(1) * shape.w as f64);
        let height = if bump == 3 { -0.7 } else { 0.4 + at(3) };
        for (i, w) in weights.iter_mut().enumerate() {
            let (dy, dx) = ((i / shape.w) as f64 - cy, (i % shape.w) as f64 - cx);
            *w += height * (-(dy * dy + dx * dx) / (2.0 + 6.0 * at(2))).exp();
        }
    }
    let total: f64 = weights.iter().sum();
    Net::new(shape, 1, move |x, _| {
        let pixels = x.chunks(shape.c).zip(&weights);
        let t: f64 = pixels.map(|(p, w)| f64::from(p[0]) * w / total).sum();
        let columns = x.chunks(shape.c).enumerate();
        let u: f64 = columns
            .map(|(i, p)| f64::from(p[0]) * ((i % 7) as f64))
            .sum();
        let logit = (5.0 + 5.0 * random(99)) * t - 4.0 + (u * 0.03).sin();
        1.0 / (1.0 + (-logit).exp())
    })
}

#[test]
fn trees_of_random_networks() {
    let shape = Shape::new(14, 19, 2);
    let x = vec![1.0; shape.len()];
    let (mut deep, mut cut, mut none) = (0, 0, 0);
    for seed in 0..120 {
        let mut net = random_net(seed, shape);
        let hoc = Hoc {
            mode: if seed % 2 == 0 {
                Mode::Reveal
            } else {
                Mode::Cover
            },
            threshold: 0.5 + 0.1 * (seed % 5) as f32,
            windows: &[8, 4, 2],
            strides: &[3, 2, 1],
            fill: Fill::Colour([0.0, 0.3, 0.0, 0.0]),
            ..Hoc::default()
        };
        let (found, steps) = search(&hoc, &mut net, &x);
        let whole = (net.score)(&x, 0) as f32;
        let mut search = reference::Search {
            hoc,
            net: &mut net,
            x: &x,
            nodes: vec![],
        };
        let Some((order, scores)) = search.run().filter(|_| whole > hoc.threshold) else {
            assert!(found.is_err(), "{seed}");
            none += 1;
            continue;
        };
        let region = found.unwrap();
        deep += usize::from(region.layers == 3);
        cut += usize::from(search.nodes.len() > order.len());
        assert_eq!(region.probabilities().collect::<Vec<_>>(), scores, "{seed}");
        assert_eq!(steps.len(), order.len());
        for (step, n) in steps.iter().zip(&order) {
            let node = &search.nodes[*n];
            let parent = node
                .parent
                .map(|p| order.iter().position(|n| *n == p).unwrap());
            assert_eq!(
                (step.layer, corner(&step.window)),
                (node.layer, node.at),
                "{seed}"
            );
            assert_eq!((step.probability, step.change), (node.p, node.change));
            assert_eq!(step.parent, parent);
        }
    }
    assert!(
        deep > 10 && cut > 10 && none > 0 && none < 60,
        "{deep} {cut} {none}"
    );
}

#[test]
fn stopped_searches_keep_layer_0() {
    let x = [1.0; 300];
    let (whole, steps) = search(&P, &mut net_p(), &x);
    let (whole, mut kept) = (whole.unwrap(), 0);
    for passes in 1..=whole.passes {
        let (found, partial) = search_until(&P, &mut net_p(), &x, &mut StopAfter(passes));
        match found {
            Err(reason) => assert_eq!((reason, kept), (NoRegion::Stopped, 0), "{passes}"),
            Ok(region) if region.complete => assert_eq!((region, &partial), (whole, &steps)),
            Ok(region) => {
                kept += 1;
                assert_eq!((region.steps, region.layers), (2, 1));
                assert_eq!(region.probabilities[0], 0.0);
                assert_eq!(partial[1].window, steps[1].window);
                assert!(partial.iter().all(|step| step.children == 0));
            }
        }
    }
    assert!(kept > 10);
}

#[test]
fn bad_parameters_and_small_storage() {
    let shape = Shape::new(10, 12, 1);
    let x = vec![1.0; 120];
    let error = |windows: &[usize], strides: &[usize], threshold, steps: usize, boxes: usize| {
        let mut net = Net::new(shape, 1, |x, _| f64::from(x.iter().sum::<f32>()) / 120.0);
        let hoc = Hoc {
            windows,
            strides,
            threshold,
            ..Hoc::default()
        };
        let mut storage = Storage {
            steps: &mut vec![Step::UNUSED; steps],
            boxes: &mut vec![UNUSED_WINDOW; boxes],
        };
        let question = (tensor(shape, &x), 0, Score::Logit);
        hoc.search(&mut net, question, &mut storage, &mut [0.0], &mut Silent)
    };
    let windows = Err(Error::BadParameter("windows of HOC"));
    for bad in [
        &[10][..],
        &[0],
        &[4, 4],
        &[4, 5],
        &[9, 8, 7, 6, 5, 4, 3, 2, 1],
    ] {
        assert_eq!(error(bad, &[], 0.5, 9, 9), windows, "{bad:?}");
    }
    let strides = Err(Error::BadParameter("strides of HOC"));
    for bad in [&[1][..], &[0, 1], &[2, 3], &[1, 1, 1]] {
        assert_eq!(error(&[4, 2], bad, 0.5, 9, 9), strides, "{bad:?}");
    }
    let alone = Err(Error::BadParameter("strides of HOC without windows"));
    assert_eq!(error(&[], &[1], 0.5, 9, 9), alone);
    let threshold = Err(Error::BadParameter("threshold of HOC"));
    assert_eq!(error(&[4], &[4], f32::NAN, 9, 9), threshold);
    let short = |need, have| Err(Error::BufferTooSmall { need, have });
    assert_eq!(error(&[4], &[4], 0.9, 3, 9), short(4, 3));
    assert_eq!(error(&[4], &[4], 0.9, 9, 4), short(5, 4));
    assert!(error(&[4], &[4], 0.9, 9, 9).unwrap().is_ok());
}

/// What a layer's picture scores is what the classifier says of its boxes.
#[test]
fn layers_can_be_shown_again() {
    let x = [1.0; 300];
    let (region, steps) = search(&P, &mut net_p(), &x);
    let region = region.unwrap();
    let boxes: Vec<Window> = region.layer(&steps, 1).map(|step| step.window).collect();
    let masked = Masked {
        picture: tensor(Shape::new(10, 10, 3), &x),
        fill: P.fill,
        mask: Mask::Windows {
            boxes: &boxes,
            extra: None,
            reveal: false,
        },
    };
    let hidden = read(&masked).unwrap().iter().filter(|v| **v == 0.0).count();
    assert_eq!(hidden, 4 * 4 * 3);
}

/// A picture of 4 x 6 in six boxes of 2 x 2; the score is a table of the sets of
/// boxes that show, most of it chance, all of them together 1.
fn table(seed: u64) -> Vec<f64> {
    let mut scores: Vec<f64> = (0..64)
        .map(|set| {
            let [word, ..] = crate::rng::words(seed, set, 0, 0, crate::rng::Purpose::RiseCells);
            0.9 * f64::from(crate::rng::unit(word))
        })
        .collect();
    scores[0] = 0.0;
    scores[63] = 1.0;
    scores
}

/// The set of boxes that show, of a picture of ones over zeros.
fn set_of(x: &[f32]) -> usize {
    let shows = |i: usize| x[2 * (i / 3) * 6 + 2 * (i % 3)] > 0.5;
    (0..6).filter(|i| shows(*i)).map(|i| 1 << i).sum()
}

fn set_of_steps(steps: &[Step]) -> usize {
    let bit = |step: &Step| 1 << (step.window.y / 2 * 3 + step.window.x / 2);
    steps.iter().map(bit).sum()
}

/// Against every set there is: a beam as wide as there are sets of a size finds a
/// smallest one; a minimal result loses the threshold with any of its boxes.
#[test]
fn beam_and_minimality_against_all_sets() {
    let (mut fewer, mut dropped) = (0, 0);
    for seed in 0..60 {
        let scores = table(seed);
        let run = |beam, minimal| {
            let hoc = Hoc {
                threshold: 0.8,
                windows: &[2],
                strides: &[2],
                beam,
                minimal,
                ..Hoc::default()
            };
            let mut net = Net::new(Shape::new(4, 6, 1), 1, |x, _| scores[set_of(x)]);
            let (region, steps) = search(&hoc, &mut net, &[1.0; 24]);
            let region = region.unwrap();
            assert_eq!((region.steps, region.layers), (steps.len(), 1));
            let set = set_of_steps(&steps);
            assert!(scores[set] >= 0.8 && region.probabilities[0] == scores[set] as f32);
            assert_eq!(region.passes, net.passes as u64);
            assert!(region.passes <= hoc.most_passes(net.shape).unwrap());
            set
        };
        let enough = (0..64usize).filter(|set| scores[*set] >= 0.8);
        let smallest = enough.map(usize::count_ones).min().unwrap();
        assert_eq!(run(20, false).count_ones(), smallest, "{seed}");
        let greedy = run(1, false);
        fewer += usize::from(greedy.count_ones() > smallest);
        for beam in [1, 3] {
            let minimal = run(beam, true);
            for i in (0..6).filter(|i| minimal >> i & 1 == 1) {
                assert!(scores[minimal ^ 1 << i] < 0.8, "{seed} {minimal:b}");
            }
            dropped += usize::from(minimal != run(beam, false));
        }
        assert_eq!(run(1, true) & !greedy, 0);
    }
    // The tables are such that a greedy search is not enough.
    assert!(fewer > 9 && dropped > 9, "{fewer} {dropped}");
}

/// Where only five boxes or all are enough, and a greedy search came to all, the box
/// goes without which the score is best.
#[test]
fn the_least_needed_box_goes() {
    let mut choices = 0;
    for seed in 0..60 {
        let mut scores = table(seed);
        for (set, score) in scores.iter_mut().enumerate().take(63) {
            *score = match set.count_ones() {
                5 => 0.6 + 0.4 * *score,
                _ => 0.5 * *score,
            };
        }
        let run = |minimal| {
            let hoc = Hoc {
                threshold: 0.8,
                windows: &[2],
                strides: &[2],
                minimal,
                ..Hoc::default()
            };
            let mut net = Net::new(Shape::new(4, 6, 1), 1, |x, _| scores[set_of(x)]);
            set_of_steps(&search(&hoc, &mut net, &[1.0; 24]).1)
        };
        if run(false) != 63 {
            continue;
        }
        let fives = || {
            (0..6)
                .map(|i| 63 ^ 1 << i)
                .filter(|set| scores[*set] >= 0.8)
        };
        let best = fives().max_by(|a: &usize, b| scores[*a].total_cmp(&scores[*b]));
        assert_eq!(run(true), best.unwrap_or(63), "{seed}");
        choices += usize::from(fives().count() > 1);
    }
    assert!(choices > 3, "{choices}");
}

/// Two layers: what is left is needed, and the tree is one.
#[test]
fn minimal_trees() {
    // Sixteen blocks of 2 x 2 with weights; windows of 4, then of 2.
    let weights: Vec<f64> = (0..16)
        .map(|i| [0.02, 0.11, 0.05, 0.08][i * 7 % 4])
        .collect();
    let score = |x: &[f32]| -> f64 {
        let shown = |i: usize| f64::from(x[2 * (i / 4) * 8 + 2 * (i % 4)]);
        (0..16).map(|i| weights[i] * shown(i)).sum()
    };
    let mut net = Net::new(Shape::new(8, 8, 1), 1, |x, _| score(x));
    let hoc = Hoc {
        threshold: 0.45,
        windows: &[4, 2],
        strides: &[2, 1],
        beam: 2,
        minimal: true,
        ..Hoc::default()
    };
    let (region, steps) = search(&hoc, &mut net, &[1.0; 64]);
    let region = region.unwrap();
    let value = |without: usize| {
        let mut x = vec![0.0; 64];
        for (i, step) in steps.iter().enumerate() {
            if i != without && step.shown_in(region.layers - 1) {
                for p in 0..4 {
                    x[(step.window.y % 8 + p / step.window.w.min(2)) * 8 + step.window.x + p % 2] =
                        1.0;
                }
            }
        }
        score(&x)
    };
    assert_eq!(region.layers, 2);
    assert!((value(usize::MAX) - f64::from(region.probabilities[1])).abs() < 1e-6);
    for (i, step) in steps.iter().enumerate() {
        let children = step.first_child..step.first_child + step.children;
        for child in children {
            assert_eq!(steps[child].parent, Some(i));
            assert_eq!(steps[child].layer, step.layer + 1);
        }
        if step.layer == 1 {
            let parent = steps[step.parent.unwrap()];
            assert!((parent.first_child..parent.first_child + parent.children).contains(&i));
            assert!(value(i) < 0.45, "{step:?}");
        }
    }
    let leaves = steps.iter().filter(|step| step.shown_in(1));
    assert!(leaves.clone().count() > 2 && leaves.clone().all(|step| step.layer == 1));
    let wrong = Hoc { beam: 0, ..hoc };
    let (mut steps, mut boxes) = (vec![Step::UNUSED; 9], vec![UNUSED_WINDOW; 9]);
    let mut storage = Storage {
        steps: &mut steps,
        boxes: &mut boxes,
    };
    let x = [1.0; 64];
    let question = (tensor(net.shape, &x), 0, Score::Probability);
    let error = wrong.search(&mut net, question, &mut storage, &mut [0.0], &mut Silent);
    assert_eq!(error, Err(Error::BadParameter("beam of HOC")));
}
