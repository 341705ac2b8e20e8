//! Every gated entry of Captum 0.9 and Zennit 0.5, in f64: batch normalisation
//! as a layer of its own, and folded before or on the fly.

use foveola::card::OutputActivation;
use foveola::import;
use foveola_core::relevance::{LayerRule, NormRule, RelevanceRules, SumRule};
use foveola_tests::{Golden, all_golden, max_difference, to_chw, to_hwc};
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

/// Entries that a file can answer: one without batch normalisations has none
/// of its own.
fn check(net: &str, file: &str, has_norms: bool) -> usize {
    let Some(folder) = all_golden() else {
        return usize::MAX;
    };
    let mut golden = Golden::in_folder(folder.join(net));
    let options = import::Options::default();
    let graph = import::load(&golden.folder.join(file), &options).expect("it imports");
    let activation = match net {
        "n5" => OutputActivation::None,
        _ => OutputActivation::Softmax,
    };
    let mut backend = backend(graph.graph, activation);
    let (mut compared, mut failures) = (0, Vec::new());
    for (key, entry) in golden.entries() {
        let parts: Vec<&str> = key.splitn(3, '.').collect();
        let [picture, target, method] = parts[..] else {
            continue;
        };
        let Some(rules) = rules(method, &entry).filter(|_| entry["gate"] == true) else {
            continue;
        };
        let twins = golden.entries().contains_key(&format!("{key}_fused"));
        if rules.norm == NormRule::Own && twins && !has_norms {
            continue;
        }
        let number = |text: &str| text[1..].parse().expect("a number");
        let hwc = to_hwc(&golden.picture(number(picture)));
        let found = relevance(&mut backend, &hwc, number(target), rules);
        let (map, _) = found.expect("it explains");
        let shape = foveola_core::Classifier::input(&backend);
        let ours = to_chw(&map, shape.h, shape.w, shape.c);
        let reference = golden.reference(&key);
        let difference = match ours.shape() == reference.shape() {
            true => max_difference(&ours, &reference),
            false => f64::INFINITY,
        };
        compared += 1;
        let atol = entry["atol"].as_f64().expect("a tolerance");
        if difference > atol {
            failures.push(format!("{key}: {difference:.3e}, allowed {atol:.3e}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{net}/{file}: {} of {compared}\n{}",
        failures.len(),
        failures.join("\n")
    );
    compared
}

macro_rules! golden {
    ($($name:ident: $net:literal $file:literal $norms:literal $entries:literal;)*) => {
        $(#[test]
        fn $name() {
            let compared = check($net, $file, $norms);
            assert!(compared == $entries || compared == usize::MAX, "{compared}");
        })*
    };
}

golden! {
    n1: "n1" "model.onnx" false 36;
    n2: "n2" "model.onnx" true 48;
    n2_folded_elsewhere: "n2" "model_fused.onnx" false 36;
    n3: "n3" "model_bn.onnx" true 24;
    n3_folded_elsewhere: "n3" "model.onnx" false 12;
    n4: "n4" "model.onnx" true 6;
    n4_folded_elsewhere: "n4" "model_fused.onnx" false 6;
    n5: "n5" "model.onnx" false 30;
}
