//! NaN and infinity, in a picture and inside a network: on every board the same
//! error with the same node as on this machine, never a NaN in an answer.

use foveola::backend::core::ModelFile;
use foveola::compile::{CompileOptions, compile};
use foveola::graph::Graph;
use foveola_core::Picture;
use foveola_core::net::op::{Activation, Arithmetic, Op};
use foveola_tests::small;

use super::board::{BOARDS, Files, available, run_batch};
use super::compare::differences;
use super::host::{Ask, Asked, Truth};

struct Case {
    name: &'static str,
    file: ModelFile,
    job: Files,
    truth: Truth,
}

const METHODS: [Ask; 1] = [Ask::Gradient];

fn case(name: &'static str, error: &str, graph: Graph, picture: &[f32]) -> Case {
    let compiled = compile(graph, &small::card(), &CompileOptions::default());
    let bytes = compiled.expect("it compiles").bytes;
    let file = ModelFile::new(&bytes).expect("it is sound");
    let asked = Asked {
        model: file.model(),
        picture: Picture::Tensor {
            shape: file.model().input(),
            data: picture,
        },
        methods: &METHODS,
    };
    let truth = asked.truth();
    assert_eq!(truth.error.as_deref(), Some(error), "{name}");
    let job = format!("model=n.fov\npicture=p.bin\nformat=f32\n{}", asked.job());
    let picture = picture.iter().flat_map(|v| v.to_le_bytes()).collect();
    let job = vec![
        ("n.fov", bytes),
        ("p.bin", picture),
        ("job.txt", job.into_bytes()),
    ];
    Case {
        name,
        file,
        job,
        truth,
    }
}

/// The small network, its first layer +infinity, and its second, which has
/// that many times `weight`.
fn infinite(weight: f32) -> Graph {
    let mut graph = small::graph();
    graph.nodes[0].weights.fill(3e38);
    graph.nodes[1].weights.fill(weight);
    graph
}

fn cases() -> Vec<Case> {
    let numbers = [2.0; 7 * 6 * 3];
    let with = |value: f32| {
        let mut numbers = numbers;
        numbers[50] = value;
        numbers
    };
    let in_picture = "the picture holds NaN or infinity";
    let mut difference = infinite(1.0);
    difference.nodes[2].op = Op::Binary(Arithmetic::Sub);
    let mut leaky = infinite(-1.0);
    leaky.nodes[1].activation = Activation::LeakyRelu { slope: 0.0 };
    let mut times_zero = infinite(1.0);
    times_zero.nodes[1].weights[7] = 0.0;
    let mut score = infinite(1.0);
    score.nodes[5].weights.fill(1.0);
    let small = small::graph;
    vec![
        case("NaN in the picture", in_picture, small(), &with(f32::NAN)),
        case(
            "+inf in the picture",
            in_picture,
            small(),
            &with(f32::INFINITY),
        ),
        case(
            "-inf in the picture",
            in_picture,
            small(),
            &with(-f32::INFINITY),
        ),
        case(
            "inf - inf behind a ReLU",
            "node 2 produced NaN",
            difference,
            &numbers,
        ),
        case(
            "0 * -inf of an activation",
            "node 1 produced NaN",
            leaky,
            &numbers,
        ),
        case(
            "0 * inf of a weight",
            "node 1 produced NaN",
            times_zero,
            &numbers,
        ),
        case(
            "inf - inf of a softmax",
            "node 6 produced NaN",
            score,
            &numbers,
        ),
    ]
}

#[test]
fn the_same_error_on_every_board() {
    if !available() {
        return;
    }
    let cases = cases();
    let jobs = cases.iter().enumerate();
    let jobs: Vec<_> = jobs
        .map(|(i, case)| (format!("{i}"), case.job.clone()))
        .collect();
    let mut report = String::new();
    for board in BOARDS {
        let answers = run_batch(board, &jobs);
        assert_eq!(answers[0].code, 1, "{board}: {}", answers[0].log);
        for (case, answer) in cases.iter().zip(&answers) {
            for line in differences(case.file.model(), &METHODS, answer, &case.truth) {
                report += &format!("{}: {board}: {line}\n", case.name);
            }
            assert!(answer.bits("map0.bin").is_empty(), "{board}: {}", case.name);
        }
    }
    assert!(report.is_empty(), "{report}");
}
