//! `foveola methods`: the method table.

use foveola_core::explain::{METHODS, MapKind, MethodRow, Needs};

use super::table::{lay_out, row};

/// Runs the command.
pub fn run() -> String {
    let mut text =
        String::from("Methods, for --method NAME[:key=value,...]; lists are written with `/`.\n\n");
    for method in METHODS {
        text += &describe(method);
        text.push('\n');
    }
    text +=
        "Every method also takes max-passes=N and deadline=SECONDS: it stops there and says so.\n";
    text += "`foveola budget MODEL` gives the passes and the memory of each method for a model.\n";
    text
}

fn describe(method: &MethodRow) -> String {
    let needs = match method.needs {
        Needs::Scores => "scores only: any backend",
        Needs::Gradients => "gradients: the core backend",
    };
    let map = match method.map {
        MapKind::Elements => "one value an input element",
        MapKind::Pixels => "one value a pixel",
        MapKind::Layer => "one value a place of a layer",
    };
    let mut rows = vec![
        row([&"  cost", &cost(method.name)]),
        row([&"  needs", &needs]),
        row([&"  map", &map]),
        row([&"  paper", &method.paper]),
    ];
    for p in method.parameters {
        let value = format!("{} [default: {}]", p.help, p.default);
        rows.push(row([&format!("  {}=", p.key), &value]));
    }
    format!(
        "{}: {}\n{}",
        method.name,
        method.summary,
        lay_out(&rows, &[])
    )
}

/// Passes, as far as they do not depend on the model.
fn cost(name: &str) -> &'static str {
    match name {
        "gradient" | "deconvolution" | "guided-backprop" | "grad-cam" => {
            "1 forward pass, and 1 backward pass a class"
        }
        "input-x-gradient" | "full-grad" | "grad-cam-plus-plus" | "hires-cam" | "x-grad-cam"
        | "layer-cam" => "1 forward pass, and 1 backward pass a class",
        "cam" => "2 forward passes, and 1 backward pass a class",
        "guided-grad-cam" => "2 forward passes, and 2 backward passes a class",
        "smooth-grad" | "var-grad" | "square-grad" => {
            "1 forward pass a sample, and 1 backward pass a sample and class"
        }
        "integrated-gradients" => {
            "1 forward pass a step and baseline, and 1 backward pass for each of these and class"
        }
        "lrp" => "1 forward pass, and 1 relevance pass of a few gradients a class",
        "eigen-cam" => "1 forward pass, for all classes together",
        "score-cam" => "1 forward pass a channel of the layer, for all classes together",
        "ablation-cam" => "the network from the layer on, once a channel, for all classes together",
        "recipro-cam" => "the network from the layer on, once a place, for all classes together",
        "occlusion" => "1 forward pass a window, for all classes together",
        "rise" => "1 forward pass a mask, for all classes together",
        "hoc" => "tens to thousands of forward passes a class, as the picture has it",
        "feature-ablation" => "1 forward pass a segment and 1, for all classes together",
        "lime" | "hsic" => "1 forward pass a sample, for all classes together",
        "kernel-shap" => "1 forward pass a coalition and 2, for all classes together",
        "anchors" => "hundreds to thousands of forward passes a class, as the picture has it",
        "meaningful-perturbation" => {
            "1 forward and 1 backward pass a step and class; without gradients 2 a pair"
        }
        "sobol" => "1 forward pass a design and segment and 1 a design, for all classes together",
        "aise" => "2 forward passes a sample, width and class",
        "activation-maximisation" => "1 forward and 1 backward pass a step and class",
        _ => "see `foveola budget`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_cost() {
        for method in METHODS {
            assert!(!cost(method.name).starts_with("see"), "{}", method.name);
        }
    }
}
