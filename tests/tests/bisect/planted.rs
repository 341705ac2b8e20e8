//! Twelve kinds of faults, drawn by a seed and planted in dumps: the right
//! kind and layer are named, and dumps without a fault are EQUAL.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use foveola::bisect::{Report, Stage, Verdict};
use foveola::photo::Photo;
use foveola_tests::tflite::Reference;
use foveola_tests::zoo;
use image::DynamicImage;

use super::dumps::{self, STYLES, Shown};
use super::engine::{Deviation, run};
use super::faults::{Plant, draw};
use super::networks::{Network, Random};
use super::pictures::{Rule, Wrong, input, photo, pixels, size_for};

/// Plants of a kind.
const PLANTS: usize = 20;
/// Those of them in real networks, where they are there.
const IN_REAL: usize = 8;
/// Made-up networks without a fault.
const UNPLANTED: usize = 24;

/// A real network, with every tensor for some inputs by TFLite's own kernels.
struct Real {
    network: Network,
    inputs: Vec<Vec<f32>>,
    /// By input, then by tensor.
    tensors: Vec<Vec<Option<Vec<i8>>>>,
}

fn real(zoo: &Path, name: &str) -> Real {
    let mut reference = Reference::open(&zoo.join(format!("layers/{name}.npz")));
    let mut keys = reference.keys("");
    keys.sort();
    let network = Network::real(zoo, name, &keys);
    let inputs = reference.get::<i8>("input");
    let flat = |values: ndarray::ArrayViewD<'_, i8>| -> Vec<f32> {
        values.iter().map(|&v| f32::from(v)).collect()
    };
    let inputs: Vec<Vec<f32>> = inputs.outer_iter().map(flat).collect();
    let mut tensors = vec![vec![None; network.graph.tensors.len()]; inputs.len()];
    for (node, file) in network.graph.nodes.iter().zip(&network.files) {
        let Some(key) = file else { continue };
        let all = reference.get::<i8>(key);
        for (item, values) in all.outer_iter().enumerate() {
            tensors[item][usize::from(node.output.0)] = Some(values.iter().copied().collect());
        }
    }
    let first = network.graph.nodes.first().expect("a node").output;
    for (tensors, input) in tensors.iter_mut().zip(&inputs) {
        tensors[usize::from(first.0)] = Some(input.iter().map(|&v| v as i8).collect());
    }
    Real {
        network,
        inputs,
        tensors,
    }
}

/// What was found of a plant.
#[derive(Debug)]
struct Outcome {
    plant: Plant,
    what: String,
    right: bool,
    said: String,
}

fn said(report: &Report) -> String {
    let Some(fault) = report.faults.first() else {
        return report.verdict.word().to_owned();
    };
    let cause = &fault.causes[0];
    let name = &report.rungs[fault.rung].name;
    format!("{name}: {:?}: {}", cause.kind, cause.text)
}

/// Whether the first fault is of the right stage and kind, nothing else being
/// named before it.
fn is_named(report: &Report, plant: Plant, stage: &dyn Fn(Stage, &str) -> bool) -> bool {
    report.faults.first().is_some_and(|fault| {
        let rung = &report.rungs[fault.rung];
        stage(rung.stage, &rung.name) && fault.causes[0].kind == plant.kind()
    })
}

/// A fault before the network.
fn plant_before(plant: Plant, seed: u64, folder: &Path) -> Outcome {
    let mut random = Random(seed);
    let network = Network::made_up(random.word());
    let shape = network.intake().shape;
    loop {
        let wrong = match plant {
            Plant::ByteSwap => Wrong::ByteSwap {
                widen: random.below(2) == 0,
            },
            Plant::Bgr => Wrong::Bgr,
            Plant::Mean => wrong_mean(&network, &mut random),
            _ => Wrong::Resize(random.pick(&[
                Rule::Nearest,
                Rule::NearestCentre,
                Rule::HalfPixel,
                Rule::Aligned,
                Rule::Corner,
                Rule::Crop,
                Rule::Letterbox,
            ])),
        };
        let (width, height) = match wrong {
            Wrong::Resize(rule) => size_for(&mut random, shape, rule),
            _ => (shape.w as u32, shape.h as u32),
        };
        let image = photo(&mut random, width, height);
        let made = pixels(&image, shape, wrong);
        let prepared = Photo::from_image(&DynamicImage::from(image.clone()), &network.intake());
        let prepared = prepared.expect("a photo");
        let values = input(&network, &made, Some(wrong));
        if values == right_input(&network, &prepared) {
            continue;
        }
        let decoding = matches!(wrong, Wrong::ByteSwap { .. } | Wrong::Bgr) && random.below(2) == 0;
        if decoding {
            dumps::decoded(folder, &made);
        }
        dumps::input(folder, &network, &values);
        let tensors = run(&network.graph, &values, usize::MAX, &Deviation::None);
        dumps::layers(folder, &network, &tensors, random.pick(&STYLES), |_| false);
        let shown = Shown {
            photo: &prepared,
            image: Some(&image),
            previous: None,
        };
        let report = dumps::compare(&network, &shown, folder);
        let wanted = if decoding {
            Stage::Decoding
        } else {
            Stage::Preprocessing
        };
        let right =
            is_named(&report, plant, &|stage, _| stage == wanted) && report.faults.len() == 1;
        return Outcome {
            plant,
            what: format!("{} {wrong:?} at {wanted:?}", network.name),
            right,
            said: said(&report),
        };
    }
}

fn wrong_mean(network: &Network, random: &mut Random) -> Wrong {
    let (mean, scale) = (network.card.mean[0], network.card.scale[0]);
    match random.below(4) {
        0 => Wrong::Mean([0.0; 3], [scale; 3]),
        1 => Wrong::Mean([mean; 3], [scale * 0.5; 3]),
        2 => Wrong::Mean([103.0, 117.0, 124.0], [scale; 3]),
        _ => Wrong::Mean([0, 1, 2].map(|_| random.within(90, 150) as f32), [scale; 3]),
    }
}

/// The input of a photo of the network's own pixels, from what `core` is given.
fn right_input(network: &Network, photo: &Photo) -> Vec<f32> {
    let image = photo.display();
    input(network, image, None)
}

/// A fault in a layer of a made-up network.
fn plant_in_made_up(plant: Plant, seed: u64, folder: &Path) -> Outcome {
    let mut random = Random(seed);
    let network = Network::made_up(random.word());
    let shape = network.intake().shape;
    let mut shot = || photo(&mut random, shape.w as u32, shape.h as u32);
    let images = [shot(), shot()];
    let photos = images.each_ref().map(|image| {
        let image = DynamicImage::from(image.clone());
        Photo::from_image(&image, &network.intake()).expect("a photo")
    });
    let inputs = images.each_ref().map(|image| input(&network, image, None));
    let tensors = inputs
        .each_ref()
        .map(|input| run(&network.graph, input, usize::MAX, &Deviation::None));
    let planted = Planted {
        network: &network,
        input: &inputs[0],
        right: &tensors[0],
        previous: &tensors[1],
    };
    let shown = Shown {
        photo: &photos[0],
        image: Some(&images[0]),
        previous: Some(&photos[1]),
    };
    planted.plant(plant, &shown, &mut random, folder)
}

/// A fault in a layer of a real network: all before it is TFLite's own.
fn plant_in_real(plant: Plant, seed: u64, real: &Real, folder: &Path) -> Outcome {
    let mut random = Random(seed);
    let items = real.inputs.len();
    let item = random.below(items);
    let before = (item + 1 + random.below(items - 1)) % items;
    let photos = [item, before].map(|item| {
        let values = real.inputs[item].clone();
        Photo::from_tensor(values, &real.network.intake())
    });
    let planted = Planted {
        network: &real.network,
        input: &real.inputs[item],
        right: &real.tensors[item],
        previous: &real.tensors[before],
    };
    let shown = Shown {
        photo: &photos[0],
        image: None,
        previous: Some(&photos[1]),
    };
    planted.plant(plant, &shown, &mut random, folder)
}

struct Planted<'a> {
    network: &'a Network,
    input: &'a [f32],
    right: &'a [Option<Vec<i8>>],
    previous: &'a [Option<Vec<i8>>],
}

impl Planted<'_> {
    fn plant(
        &self,
        plant: Plant,
        shown: &Shown<'_>,
        random: &mut Random,
        folder: &Path,
    ) -> Outcome {
        let (at, deviation, values) = self.draw(plant, random);
        let network = self.network;
        let style = random.pick(&STYLES);
        dumps::input(folder, network, self.input);
        // Some dumps lack layers, but not the one before the fault.
        let thin = random.below(3) == 0;
        let skipped: Vec<bool> = network
            .graph
            .nodes
            .iter()
            .map(|_| thin && random.below(5) == 0)
            .collect();
        let kept = |index: usize| index == at || self.feeds(index, at);
        dumps::layers(folder, network, &values, style, |index| {
            skipped[index] && !kept(index)
        });
        // Whether the previous picture is known.
        let known = random.below(2) == 0;
        let shown = Shown {
            previous: shown.previous.filter(|_| known),
            ..*shown
        };
        let report = dumps::compare(network, &shown, folder);
        let name = &network.graph.nodes[at].name;
        let right = is_named(&report, plant, &|_, found| found == name);
        let mut words = format!("{deviation:?}");
        words.truncate(90);
        Outcome {
            plant,
            what: format!("{} {name}: {words} ({style:?})", network.name),
            right: right && report.faults.len() == 1,
            said: format!("{} faults; {}", report.faults.len(), said(&report)),
        }
    }

    /// Whether the fault's node reads this node's output.
    fn feeds(&self, index: usize, at: usize) -> bool {
        let nodes = &self.network.graph.nodes;
        nodes[at].inputs.contains(&nodes[index].output)
    }

    /// Draws until something changes.
    fn draw(&self, plant: Plant, random: &mut Random) -> (usize, Deviation, Vec<Option<Vec<i8>>>) {
        let network = self.network;
        loop {
            let drawn = draw(plant, network, self.right, self.previous, random);
            let Some((at, deviation)) = drawn else {
                continue;
            };
            let output = usize::from(network.graph.nodes[at].output.0);
            let node = &network.graph.nodes[at];
            let wrong = super::engine::compute(&network.graph, node, self.right, &deviation);
            if Some(&wrong) == self.right[output].as_ref() {
                continue;
            }
            let values = run(&network.graph, self.input, at, &deviation);
            return (at, deviation, values);
        }
    }
}

/// Without a fault: everything is EQUAL, whoever computed it and however it is
/// written.
fn unplanted(seed: u64, folder: &Path) -> Option<String> {
    let mut random = Random(seed);
    let network = Network::made_up(random.word());
    let shape = network.intake().shape;
    let (width, height) = match random.below(2) {
        0 => (shape.w as u32, shape.h as u32),
        _ => (random.within(20, 60) as u32, random.within(20, 60) as u32),
    };
    let image = photo(&mut random, width, height);
    let dynamic = DynamicImage::from(image.clone());
    let prepared = Photo::from_image(&dynamic, &network.intake()).expect("a photo");
    let values = right_input(&network, &prepared);
    dumps::input(folder, &network, &values);
    if random.below(2) == 0 {
        dumps::decoded(folder, &image);
    }
    let tensors = run(&network.graph, &values, usize::MAX, &Deviation::None);
    dumps::layers(folder, &network, &tensors, random.pick(&STYLES), |_| false);
    let shown = Shown {
        photo: &prepared,
        image: Some(&image),
        previous: None,
    };
    let report = dumps::compare(&network, &shown, folder);
    (report.verdict != Verdict::Equal).then(|| format!("{}: {}", network.name, said(&report)))
}

/// TFLite's own tensors, one input.
fn unplanted_real(real: &Real, item: usize, folder: &Path) -> Option<String> {
    let prepared = Photo::from_tensor(real.inputs[item].clone(), &real.network.intake());
    let style = STYLES[item % STYLES.len()];
    dumps::input(folder, &real.network, &real.inputs[item]);
    dumps::layers(folder, &real.network, &real.tensors[item], style, |_| false);
    let shown = Shown {
        photo: &prepared,
        image: None,
        previous: None,
    };
    let report = dumps::compare(&real.network, &shown, folder);
    (report.verdict != Verdict::Equal)
        .then(|| format!("{} {item}: {}", real.network.name, said(&report)))
}

/// Runs `count` jobs on as many threads as there are processors.
fn in_parallel<T: Send>(count: usize, job: impl Fn(usize, &Path) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            let folder = tempfile::tempdir().expect("a folder");
            done.push((index, job(index, folder.path())));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|t| t.join().expect("no panic"));
        joined.flatten().collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, t)| t).collect()
}

/// Of the faults: `BISECT_SEED`, for runs that no hypothesis was tuned on.
fn first_seed() -> u64 {
    let given = std::env::var("BISECT_SEED").ok();
    given.map_or(1_000_000, |seed| seed.parse().expect("a number"))
}

fn real_networks() -> Vec<Real> {
    let names = ["resnet8_cifar10_int8", "vww96_int8"];
    zoo().map_or_else(Vec::new, |zoo| {
        names.iter().map(|name| real(&zoo, name)).collect()
    })
}

#[test]
fn dumps_without_a_fault_are_equal() {
    let real = real_networks();
    let items: Vec<(usize, usize)> = real
        .iter()
        .enumerate()
        .flat_map(|(network, real)| (0..real.inputs.len()).map(move |item| (network, item)))
        .collect();
    let alarms = in_parallel(UNPLANTED + items.len(), |index, folder| {
        match index.checked_sub(UNPLANTED) {
            None => unplanted(7000 + index as u64, folder),
            Some(i) => unplanted_real(&real[items[i].0], items[i].1, folder),
        }
    });
    println!("{} dumps without a fault", alarms.len());
    let alarms: Vec<String> = alarms.into_iter().flatten().collect();
    assert!(alarms.is_empty(), "false alarms: {alarms:#?}");
}

#[test]
fn planted_faults_are_named() {
    let real = real_networks();
    let outcomes = in_parallel(Plant::ALL.len() * PLANTS, |index, folder| {
        let plant = Plant::ALL[index / PLANTS];
        let (number, seed) = (index % PLANTS, first_seed() + 977 * index as u64);
        if plant.is_before_network() {
            return plant_before(plant, seed, folder);
        }
        match number < IN_REAL && !real.is_empty() {
            true => plant_in_real(plant, seed, &real[number % real.len()], folder),
            false => plant_in_made_up(plant, seed, folder),
        }
    });
    for plant in Plant::ALL {
        let of_kind = outcomes.iter().filter(|o| o.plant == plant);
        let right = of_kind.clone().filter(|o| o.right).count();
        println!("{plant:?}: {right} of {}", of_kind.count());
    }
    for miss in outcomes.iter().filter(|o| !o.right) {
        println!(
            "missed {:?}: {}\n    said: {}",
            miss.plant, miss.what, miss.said
        );
    }
    let right = outcomes.iter().filter(|o| o.right).count();
    println!("{right} of {} named", outcomes.len());
    assert!(right * 100 >= outcomes.len() * 95, "95 % are named");
}

#[test]
fn every_style_of_dump_reads_alike() {
    for (number, style) in STYLES.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut random = Random(number as u64);
        let network = Network::made_up(random.word());
        let shape = network.intake().shape;
        let image = photo(&mut random, shape.w as u32, shape.h as u32);
        let prepared = Photo::from_image(&DynamicImage::from(image.clone()), &network.intake());
        let prepared = prepared.expect("a photo");
        let values = input(&network, &image, None);
        let mut tensors = run(&network.graph, &values, usize::MAX, &Deviation::None);
        // One value of one tensor that nothing explains.
        let node = &network.graph.nodes[3];
        let out = tensors[usize::from(node.output.0)].as_mut().expect("int8");
        out[5] = out[5].wrapping_add(77);
        dumps::input(folder.path(), &network, &values);
        dumps::layers(folder.path(), &network, &tensors, style, |_| false);
        let shown = Shown {
            photo: &prepared,
            image: Some(&image),
            previous: None,
        };
        let report = dumps::compare(&network, &shown, folder.path());
        assert_eq!(report.verdict, Verdict::LayerDiffers, "{style:?}");
        let rung = &report.rungs[report.faults[0].rung];
        let alone = rung.alone.as_ref().expect("a difference");
        assert_eq!((&rung.name, alone.different), (&node.name, 1), "{style:?}");
    }
}
