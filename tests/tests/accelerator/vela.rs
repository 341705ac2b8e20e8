//! Arm's compiler, where it is installed (`pip install ethos-u-vela==5.2.0`).

use std::path::Path;
use std::process::Command;

use foveola::accelerate::{AccelerateError, accelerate};
use foveola::aligned::AlignedBytes;
use foveola::model::{OpenModel, OpenOptions};
use foveola_core::accelerator::program::{Program, Scores};
use foveola_tests::zoo;

use super::methods::Real;

fn vela() -> bool {
    let there = Command::new("vela").arg("--version").output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: vela is not there (pip install ethos-u-vela==5.2.0)");
    }
    there
}

/// VWW and ResNet-8 lie on the NPU as a whole. CONFIG is log2 of the multipliers,
/// then KiB of memory in bits 8 to 15, then the product in bits 28 to 31.
#[test]
fn real_networks_become_programs_whose_maps_have_the_bits_of_the_session() {
    if !vela() {
        return;
    }
    for (name, npu, config, fast) in [
        ("vww96_int8", "ethos-u55-128", 0x1807, false),
        ("resnet8_cifar10_int8", "ethos-u65-256", 0x1000_3008, true),
    ] {
        let Some(real) = Real::open(name) else {
            return;
        };
        let made = accelerate(&real.model, npu, "vela", &[]).expect("it compiles");
        let file = AlignedBytes::copy_of(&made.file);
        let program = Program::from_bytes(&file).expect("a program");
        let facts = program.facts();
        assert_eq!(facts, &made.facts);
        assert_eq!((facts.config, facts.id >> 16), (config, 0x1006), "{name}");
        assert_eq!(facts.scores, Scores::Probabilities);
        assert_eq!(facts.fast > 0, fast, "{name} {npu}");
        assert!(program.weights().len() > 60_000, "{name}");
        assert_eq!(made.made.counts.processor, Some(0));
        println!(
            "{name} {npu}: {} operators, {:?} cycles, stream {}, weights {}, scratch {} + {}",
            made.made.counts.npu.unwrap_or(0),
            made.made.counts.cycles,
            program.commands().len(),
            program.weights().len(),
            facts.scratch,
            facts.fast
        );
        real.same(&made.file, facts.output_as);
    }
}

/// What vela leaves to the processor is named.
#[test]
fn operators_on_the_processor_are_named() {
    let (true, Some(real)) = (vela(), Real::open("vww96_int8")) else {
        return;
    };
    let arguments = ["--ignore-ops".to_owned(), "SOFTMAX".to_owned()];
    let refused = accelerate(&real.model, "ethos-u55-64", "vela", &arguments);
    let refused = refused.expect_err("softmax is left");
    assert!(matches!(&refused, AccelerateError::Processor(these) if these == &["SOFTMAX"]));
}

#[test]
fn without_vela_the_package_is_named() {
    let Some(real) = Real::open("vww96_int8") else {
        return;
    };
    let error = accelerate(&real.model, "ethos-u55-128", "no-such-vela", &[]);
    let said = error.expect_err("it is not there").to_string();
    assert!(said.contains("no-such-vela is not there"), "{said}");
    assert!(said.contains("pip install ethos-u-vela==5.2.0"), "{said}");
    let failed = accelerate(&real.model, "ethos-u55-128", "false", &[]);
    assert!(matches!(failed, Err(AccelerateError::Failed { .. })));
}

#[test]
fn other_models_are_refused() {
    let Some(zoo) = zoo() else {
        return;
    };
    let refused = |path: &Path| {
        let model = OpenModel::open(path, &OpenOptions::default()).expect("a model");
        accelerate(&model, "ethos-u55-128", "no-such-vela", &[]).expect_err("refused")
    };
    let tiny = zoo.join("models/tinyml");
    let onnx = refused(&tiny.join("vww96_int8_qdq.onnx"));
    assert!(matches!(onnx, AccelerateError::NotTflite(_)));
    let float = refused(&tiny.join("vww96_float.tflite"));
    assert!(matches!(float, AccelerateError::NotInt8(_)));
}
