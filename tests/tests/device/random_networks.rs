//! 200 random small networks on every board: every layer, both scores, two maps
//! each, bit for bit; where the host reports an error, the same error.
//!
//! A network is a function of its seed. One alone:
//! `FOVEOLA_SEED=17 cargo test --release -p foveola-tests --test device random_networks`

use std::sync::OnceLock;

use foveola::backend::core::ModelFile;
use foveola_core::Picture;
use foveola_core::explain::hoc::Mode;
use foveola_core::net::model::Model;
use foveola_tests::random::coverage::{Coverage, OPS, operators, wanted};
use foveola_tests::random::{Numbers, RandomNetwork};

use super::board::{Answer, Files, available, run_batch};
use super::compare::differences;
use super::host::{Ask, Asked, Truth, seven};

/// How many networks.
const NETWORKS: u64 = 200;

/// Most bytes of stack: on the 64 KB board what is left beside its pool; where
/// the DSP extension's kernels keep patches on the stack, half of what the next
/// smallest board has left.
fn most_stack(board: &str) -> u64 {
    match board {
        "lm3s6965evb" => 10_208,
        _ => 16_000,
    }
}

/// What the layers and answers of all networks must show among them.
const SEEN: [&str; 10] = [
    "layer -0",
    "layer subnormal",
    "layer huge",
    "layer infinite",
    "outcome ok",
    "outcome flat",
    "outcome undefined",
    "error of a layer",
    "error of a score",
    "no error",
];

/// A network, what is asked of it, and the host's answer.
pub struct Case {
    pub network: RandomNetwork,
    pub file: ModelFile,
    pub methods: Vec<Ask>,
    job: String,
    pub truth: Truth,
}

impl Case {
    /// A network, asked by methods of these numbers.
    pub fn new(network: RandomNetwork, chosen: &[usize]) -> Self {
        let file = ModelFile::new(&network.bytes).expect("it is sound");
        let (methods, truth, job) = answer(file.model(), &network, chosen);
        Self {
            network,
            file,
            methods,
            job,
            truth,
        }
    }

    /// What a board needs.
    fn files(&self) -> (String, Files) {
        let picture = match &self.network.picture {
            Numbers::Pixels(pixels) => pixels.clone(),
            Numbers::Tensor(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let files = vec![
            ("n.fov", self.network.bytes.clone()),
            ("p.bin", picture),
            ("job.txt", self.job.clone().into_bytes()),
        ];
        (format!("seed{}", self.network.seed), files)
    }
}

/// What is asked, the host's answer, and the job.
fn answer(
    model: &Model<'_>,
    network: &RandomNetwork,
    chosen: &[usize],
) -> (Vec<Ask>, Truth, String) {
    let (shape, normalisation) = (network.shape, model.normalisation());
    let (picture, format) = match &network.picture {
        Numbers::Pixels(data) => (
            Picture::Pixels {
                shape,
                data,
                normalisation: &normalisation,
            },
            "u8",
        ),
        Numbers::Tensor(data) => (Picture::Tensor { shape, data }, "f32"),
    };
    let mut asked = Asked {
        model,
        picture,
        methods: &[],
    };
    let all = methods(network, asked.halfway());
    let methods: Vec<Ask> = chosen.iter().map(|&number| all[number].clone()).collect();
    asked.methods = &methods;
    let job = asked.job();
    let job = format!("model=n.fov\npicture=p.bin\nformat={format}\n{job}");
    let truth = asked.truth();
    (methods, truth, job)
}

/// All methods. Parameters fit the picture.
fn methods(network: &RandomNetwork, threshold: f32) -> Vec<Ask> {
    let (seed, shape) = (network.seed, network.shape);
    let short = shape.h.min(shape.w);
    let [window, stride] = [2, 4].map(|part| [shape.h, shape.w].map(|side| side.div_ceil(part)));
    let windows = match short {
        1 => vec![],
        2 | 3 => vec![short - 1],
        _ => vec![short - 1, short / 2],
    };
    let strides: Vec<usize> = windows.iter().map(|w| w.div_ceil(2)).collect();
    let mode = if seed.is_multiple_of(2) {
        Mode::Reveal
    } else {
        Mode::Cover
    };
    let mut all = seven((window, stride), 8, (mode, &windows, &strides, threshold));
    all[3] = Ask::GradCam {
        relu: seed.is_multiple_of(2),
    };
    all[5] = Ask::Rise {
        masks: 8,
        by_coverage: seed.is_multiple_of(2),
    };
    all
}

/// Two of the seven methods; 21 seeds in a row have all pairs.
fn pair(seed: u64) -> Vec<usize> {
    let mut pairs = (0..7).flat_map(|a| (a + 1..7).map(move |b| [a, b]));
    let pair = pairs.nth(seed as usize % 21).expect("21 pairs");
    pair.to_vec()
}

/// Cases of the seeds of this run: the first so many, or as many as
/// `FOVEOLA_NETWORKS` says, or the one that `FOVEOLA_SEED` names.
pub fn draw(
    network: fn(u64) -> RandomNetwork,
    methods: fn(u64) -> Vec<usize>,
    usual: u64,
) -> Vec<Case> {
    let number = |name| {
        let text: Option<String> = std::env::var(name).ok();
        text.map(|text| text.parse::<u64>().expect("a number"))
    };
    let seeds = match number("FOVEOLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FOVEOLA_NETWORKS").unwrap_or(usual),
    };
    let case = |seed| Case::new(network(seed), &methods(seed));
    seeds.map(case).collect()
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| draw(RandomNetwork::new, pair, NETWORKS))
}

fn same_bits_on(board: &str) {
    same_bits(board, cases());
}

/// Asks a board about all cases.
pub fn same_bits(board: &str, cases: &[Case]) {
    if !available() {
        return;
    }
    let (mut report, mut stack) = (String::new(), 0);
    // An emulation has ten minutes.
    for cases in cases.chunks(200) {
        let jobs: Vec<(String, Files)> = cases.iter().map(Case::files).collect();
        let answers = run_batch(board, &jobs);
        let failed = cases.iter().any(|case| case.truth.error.is_some());
        let log = &answers[0].log;
        assert_eq!(answers[0].code, i32::from(failed), "{board}: {log}");
        for (case, answer) in cases.iter().zip(&answers) {
            stack = stack.max(deepest(case, answer));
            for line in differences(case.file.model(), &case.methods, answer, &case.truth) {
                report += &format!("seed {}: {board}: {line}\n", case.network.seed);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    println!("{board}: {stack} bytes of stack at most");
    assert!(
        (1000..most_stack(board)).contains(&stack),
        "{board}: {stack} bytes of stack"
    );
}

/// The deepest stack of a job.
fn deepest(case: &Case, answer: &Answer) -> u64 {
    let costs = (0..case.methods.len()).map(|number| format!("cost.{number}"));
    let costs = costs.chain(["classify".to_owned()]);
    let stacks = costs.filter_map(|key| answer.cost(&key, "stack"));
    stacks.max().unwrap_or_default()
}

#[test]
fn on_mps2_an386() {
    same_bits_on("mps2-an386");
}

#[test]
fn on_mps2_an500() {
    same_bits_on("mps2-an500");
}

#[test]
fn on_mps2_an505() {
    same_bits_on("mps2-an505");
}

#[test]
fn on_mps3_an547() {
    same_bits_on("mps3-an547");
}

#[test]
fn on_netduinoplus2() {
    same_bits_on("netduinoplus2");
}

#[test]
fn on_lm3s6965evb() {
    same_bits_on("lm3s6965evb");
}

#[test]
fn on_riscv32_virt() {
    same_bits_on("riscv32-virt");
}

/// Every operator, activation and corner was drawn, and every method answered
/// through every operator.
#[test]
fn nothing_is_left_out() {
    if std::env::var_os("FOVEOLA_SEED").is_some() {
        return;
    }
    let mut coverage = Coverage::default();
    let mut names = std::collections::BTreeSet::new();
    for case in cases() {
        note(case, &mut coverage);
        names.extend(case.methods.iter().map(name));
    }
    let pairs = OPS.iter().flat_map(|op| {
        let names = names.iter();
        names.map(move |method| format!("{method} through {op}"))
    });
    let seen = SEEN.iter().map(|&seen| seen.to_owned());
    let missing = coverage.missing(wanted().chain(pairs).chain(seen));
    assert!(missing.is_empty(), "never drawn: {missing:#?}");
    let whole = cases().iter().filter(|case| case.truth.error.is_none());
    let whole = whole.count();
    assert!(whole >= 150, "only {whole} networks run to their end");
}

pub fn name(ask: &Ask) -> String {
    let text = ask.to_string();
    text.split(':').next().unwrap_or_default().to_owned()
}

pub fn note(case: &Case, coverage: &mut Coverage) {
    let (model, truth) = (case.file.model(), &case.truth);
    let pixels = matches!(case.network.picture, Numbers::Pixels(_));
    coverage.network(model, pixels);
    let layers = truth
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("layer"));
    for (_, bits) in layers {
        coverage.layer(bits);
    }
    for (ask, answered) in case.methods.iter().zip(&truth.answered) {
        let outcome = answered.outcome.split(' ').next().unwrap_or_default();
        coverage.note(format!("outcome {outcome}"));
        if ["ok", "partial"].contains(&outcome) {
            for op in operators(model) {
                coverage.note(format!("{} through {op}", name(ask)));
            }
        }
    }
    coverage.note(match truth.error.as_deref() {
        None => "no error",
        Some(error) if error.contains("produced NaN") => "error of a layer",
        Some(error) if error.contains("score of class") => "error of a score",
        Some(_) => "error of another kind",
    });
}
