//! How many masks RISE needs: agreement with a map of 14,000 masks, of the raw
//! estimator with so many masks and, with an eighth of them, of the centred one,
//! stopping, and of the adjusted one; and of the adjusted one that stops by itself.
//!
//! `cargo run --release -p foveola-benches --bin agreement -- [ZOO] [--quick]
//! [--backend gpu]` with the folder of models and pictures (default
//! `../shared/zoo`). MobileNetV2; those of the zoo's photos whose best class
//! scores highest. Agreement is Pearson's correlation with the raw map of
//! 14,000 masks of another seed, and Spearman's beside it. Does an eighth agree
//! no less, at the medians over the photos, and for how many of the photos? For the
//! adjusted one that is held to every photo.

use std::path::{Path, PathBuf};

use foveola::explainer::{Explainer, Question};
use foveola::model::{BackendKind, OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_benches::{Result, median};

/// Masks of the reference, and its seed.
const REFERENCE: u32 = 14_000;
const REFERENCE_SEED: u64 = 1;
/// Masks of the raw estimator, and the seed of both that are compared.
const MASKS: [u32; 2] = [2000, 4000];
const SEED: u64 = 2;
/// Photos.
const PHOTOS: usize = 4;
/// Tolerance at which the centred one stops.
const TOLERANCE: f32 = 0.1;
/// The adjusted one that stops by itself.
const STOPPING: &str = "rise:estimator=adjusted,tolerance=0.05";
/// Those that have an eighth of the masks.
const FEWER: [&str; 2] = ["centred", "adjusted"];

/// Correlations of a map with the reference, and the masks that it took.
struct Agreement {
    pearson: f64,
    spearman: f64,
    masks: u64,
}

struct Bench {
    explainer: Explainer,
    photo: Photo,
}

impl Bench {
    fn map(&mut self, method: &str, seed: u64) -> Result<(Vec<f32>, u64)> {
        let question = Question {
            seed,
            ..Question::of([method])?
        };
        let mut answer = self.explainer.explain(&self.photo, &question)?;
        let map = answer.maps.pop().ok_or("no map")?;
        Ok((map.values, map.passes.total()))
    }

    fn compare(&mut self, method: &str, reference: &[f32]) -> Result<Agreement> {
        let (map, masks) = self.map(method, SEED)?;
        let ranks = |map: &[f32]| {
            let mut order: Vec<usize> = (0..map.len()).collect();
            order.sort_by(|a, b| map[*a].total_cmp(&map[*b]));
            let mut ranks = vec![0.0; map.len()];
            for (rank, at) in order.into_iter().enumerate() {
                ranks[at] = rank as f32;
            }
            ranks
        };
        Ok(Agreement {
            pearson: pearson(&map, reference),
            spearman: pearson(&ranks(&map), &ranks(reference)),
            masks,
        })
    }
}

fn pearson(a: &[f32], b: &[f32]) -> f64 {
    let mean = |x: &[f32]| x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        let pairs = a.iter().zip(b);
        pairs
            .map(|(a, b)| f(f64::from(*a) - mean_a, f64::from(*b) - mean_b))
            .sum()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

/// The photos whose best class scores highest, with that probability.
fn surest(explainer: &mut Explainer, folder: &Path) -> Result<Vec<(f32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(photo) = explainer.photo(&path) else {
            continue;
        };
        let (_, probabilities) = explainer.classify(&photo)?;
        let best = probabilities.into_iter().fold(0.0, f32::max);
        found.push((best, path));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.truncate(PHOTOS);
    Ok(found)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick");
    let gpu = words.windows(2).any(|w| w == ["--backend", "gpu"]);
    let path = words.first().filter(|word| !word.starts_with("--"));
    let zoo = PathBuf::from(path.map_or("../shared/zoo", String::as_str));
    let share = if quick { 20 } else { 1 };
    let model = zoo.join("models/imagenet/mobilenet_v2_100_224_float_nchw.onnx");
    let options = OpenOptions {
        backend: gpu.then_some(BackendKind::Gpu),
        ..OpenOptions::default()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let open =
        || -> Result<Explainer> { Ok(Explainer::new(OpenModel::open(&model, &options)?, threads)) };
    let mut explainer = open()?;
    let photos = surest(&mut explainer, &zoo.join("images/imagenet"))?;
    println!("| photo | probability | masks | Pearson | Spearman |\n|---|---|---|---|---|");
    let mut found: Vec<Vec<[f64; 3]>> = vec![Vec::new(); MASKS.len()];
    for (probability, path) in photos {
        let photo = explainer.photo(&path)?;
        let mut bench = Bench {
            explainer: open()?,
            photo,
        };
        let (reference, _) =
            bench.map(&format!("rise:masks={}", REFERENCE / share), REFERENCE_SEED)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut agreement = |kind: &str, method: &str| -> Result<f64> {
            let found = bench.compare(method, &reference)?;
            let (masks, pearson, spearman) = (found.masks, found.pearson, found.spearman);
            println!(
                "| {name} | {probability:.4} | {kind} {masks} | {pearson:.3} | {spearman:.3} |"
            );
            Ok(pearson)
        };
        for (masks, found) in MASKS.iter().zip(&mut found) {
            let (all, eighth) = (masks / share, masks / share / 8);
            found.push([
                agreement("raw", &format!("rise:masks={all}"))?,
                agreement(
                    "centred",
                    &format!("rise:estimator=centred,masks={eighth},tolerance={TOLERANCE}"),
                )?,
                agreement(
                    "adjusted",
                    &format!("rise:estimator=adjusted,masks={eighth}"),
                )?,
            ]);
        }
        agreement("adjusted, stopping", STOPPING)?;
    }
    for (masks, found) in MASKS.iter().zip(found) {
        for (i, kind) in FEWER.iter().enumerate() {
            verdict(kind, masks / share, &found, i + 1);
        }
    }
    Ok(())
}

/// Whether estimator `kind`, number `at` of each photo's, agrees no less than the first.
fn verdict(kind: &str, masks: u32, found: &[[f64; 3]], at: usize) {
    let of = |i: usize| median(found.iter().map(|each| each[i]).collect());
    let better = found.iter().filter(|each| each[at] >= each[0]).count();
    let holds = match kind {
        "adjusted" => better == found.len(),
        _ => of(at) >= of(0),
    };
    println!(
        "{kind} with an eighth of {masks} masks: {:.3}, raw with all: {:.3}, \
         no less for {better} of {} photos: {}",
        of(at),
        of(0),
        found.len(),
        if holds { "holds" } else { "MISSED" }
    );
}
