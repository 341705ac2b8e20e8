//! How far the evidence of MLPerf Tiny's int8 networks agrees with that of
//! their float twins: Spearman's rank correlation of the maps of 50 zoo
//! pictures, for the class that the float network puts first.
//!
//! `cargo run --release -p foveola-tests --example float_twin`

use std::path::{Path, PathBuf};

use foveola::explainer::{Explainer, Question};

const PICTURES: usize = 50;
const METHODS: [&str; 4] = ["gradient", "guided-backprop", "deconvolution", "grad-cam"];

/// Every so many of a folder's pictures, by name.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("the zoo has pictures");
    let mut files: Vec<PathBuf> = files.map(|f| f.expect("a file").path()).collect();
    files.sort();
    let step = (files.len() / PICTURES).max(1);
    files.into_iter().step_by(step).take(PICTURES).collect()
}

/// Ranks from 0; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let first = order.partition_point(|&i| values[i] < values[equal[0]]);
        for &i in equal {
            ranks[i] = first as f64 + (equal.len() - 1) as f64 / 2.0;
        }
    }
    ranks
}

/// Pearson's correlation of the ranks; `None` where a map is flat.
fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// Maps of one picture, element-wise ones summed in magnitude over channels.
fn maps(explainer: &mut Explainer, picture: &Path, class: Option<usize>) -> (usize, Vec<Vec<f64>>) {
    let photo = explainer.photo(picture).expect("a picture");
    let mut question = Question::of(METHODS).expect("methods");
    if let Some(class) = class {
        question.targets = vec![class.to_string().parse().expect("a class")];
    }
    let answer = explainer.explain(&photo, &question).expect("maps");
    let flat = |map: &foveola::explainer::SaliencyMap| -> Vec<f64> {
        if map.spec.row.name == "grad-cam" {
            return map.values.iter().map(|&v| v.into()).collect();
        }
        let pixels = map.values.chunks_exact(map.shape.c);
        pixels
            .map(|p| p.iter().map(|v| f64::from(v.abs())).sum())
            .collect()
    };
    (answer.targets[0], answer.maps.iter().map(flat).collect())
}

fn row(name: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (median, tenth, count) = (at(0.5), at(0.1), values.len());
    println!("| {name} | {mean:.3} | {median:.3} | {tenth:.3} | {count} |");
}

fn main() {
    let Some(zoo) = foveola_tests::zoo() else {
        return;
    };
    println!(
        "| network, method | mean | median | lowest tenth | pictures |\n|---|---|---|---|---|"
    );
    for (network, folder) in [("resnet8_cifar10", "cifar10_jpeg"), ("vww96", "coco")] {
        let open = |kind: &str| {
            let path = zoo.join(format!("models/tinyml/{network}_{kind}.tflite"));
            Explainer::open(path).unwrap_or_else(|e| panic!("{network} {kind}: {e}"))
        };
        let (mut float, mut int8) = (open("float"), open("int8"));
        let (mut agree, mut found) = (0, vec![Vec::new(); METHODS.len()]);
        let pictures = pictures(&zoo.join("images").join(folder));
        for picture in &pictures {
            let (class, wanted) = maps(&mut float, picture, None);
            let (top, _) = maps(&mut int8, picture, None);
            let (_, maps) = maps(&mut int8, picture, Some(class));
            agree += usize::from(top == class);
            for (i, (a, b)) in wanted.iter().zip(&maps).enumerate() {
                found[i].extend(spearman(a, b));
            }
        }
        for (method, values) in METHODS.iter().zip(found) {
            row(&format!("{network} {method}"), values);
        }
        println!(
            "{network}: the same class first for {agree} of {}",
            pictures.len()
        );
    }
}
