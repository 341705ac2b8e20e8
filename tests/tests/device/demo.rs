//! The demo's three networks on every board: every layer, both scores and the
//! maps of one scene. All seven methods where the memory is there; Grad-CAM,
//! occlusion and RISE on the 64 KB board, with the network in its flash. Boards
//! without floating point, which take 20 times as many instructions, make 8
//! masks instead of 64, and HOC's boxes lie half a side apart there.

use foveola::backend::core::ModelFile;
use foveola::card::{Card, Channels, OutputActivation, Resize};
use foveola::compile::{CompileOptions, compile};
use foveola::demo::NETWORKS;
use foveola::demo::scene::{Snow, draw};
use foveola::import;
use foveola_core::Picture;
use foveola_core::explain::hoc::Mode;
use foveola_tests::root;

use super::board::{Answer, Files, Folder, available, run_batch, with_model};
use super::compare::{costs, differences};
use super::host::{Ask, Asked, Truth, seven};

/// A scene that training never used and of which every map says something.
const SCENE: (u64, u32) = (2026, 5);

/// A network with its scene.
struct Subject {
    name: &'static str,
    bytes: Vec<u8>,
    file: ModelFile,
    pixels: Vec<u8>,
    /// Between what the network says of the scene and of black.
    threshold: f32,
}

impl Subject {
    fn new(name: &'static str) -> Self {
        let path = root().join(format!("host/demo/{name}.onnx"));
        let graph = import::load(&path, &import::Options::default()).expect("it imports");
        let card = Card {
            size: [64, 64],
            resize: Resize::Squash,
            channels: Channels::Rgb,
            mean: vec![127.5; 3],
            scale: vec![2.0 / 255.0; 3],
            activation: OutputActivation::Softmax,
            labels: ["wood", "concrete", "steel"].map(str::to_owned).to_vec(),
        };
        let options = CompileOptions::default();
        let bytes = compile(graph.graph, &card, &options)
            .expect("it compiles")
            .bytes;
        let mut subject = Self {
            name,
            file: ModelFile::new(&bytes).expect("it is sound"),
            bytes,
            pixels: draw(SCENE.0, SCENE.1, Snow::WithConcrete).pixels,
            threshold: 0.0,
        };
        subject.threshold = subject.ask(&[], |asked| asked.halfway());
        subject
    }

    fn all() -> [Self; 3] {
        NETWORKS.map(|network| Self::new(network.name))
    }

    fn ask<T>(&self, methods: &[Ask], then: impl FnOnce(&Asked<'_>) -> T) -> T {
        let model = self.file.model();
        let normalisation = model.normalisation();
        then(&Asked {
            model,
            picture: Picture::Pixels {
                shape: model.input(),
                data: &self.pixels,
                normalisation: &normalisation,
            },
            methods,
        })
    }

    /// The host's answer, every map of which must say something, and the job.
    fn answer(&self, methods: &[Ask]) -> (Truth, String) {
        let (truth, job) = self.ask(methods, |asked| (asked.truth(), asked.job()));
        assert_eq!(truth.error, None, "{}", self.name);
        for (answered, method) in truth.answered.iter().zip(methods) {
            assert_eq!(answered.outcome, "ok", "{}: {method}", self.name);
        }
        (truth, format!("picture=p.bin\n{job}"))
    }

    /// All methods as the demo has them, or fewer passes of them.
    fn methods(&self, few: bool) -> Vec<Ask> {
        let (masks, strides) = if few { (8, [16, 8]) } else { (64, [6, 3]) };
        let hoc: (Mode, &[usize], &[usize], f32) =
            (Mode::Reveal, &[32, 16], &strides, self.threshold);
        seven(([16, 20], [16, 12]), masks, hoc)
    }

    /// What differs on a board.
    fn compare(&self, board: &str, methods: &[Ask], answer: &Answer, truth: &Truth) -> String {
        let lines = differences(self.file.model(), methods, answer, truth);
        let lines = lines.iter();
        lines
            .map(|line| format!("{}: {board}: {line}\n", self.name))
            .collect()
    }
}

fn seven_methods_on(board: &str, few: bool) {
    if !available() {
        return;
    }
    let subjects = Subject::all();
    let (mut truths, mut jobs) = (Vec::new(), Vec::new());
    for subject in &subjects {
        let (truth, job) = subject.answer(&subject.methods(few));
        let files: Files = vec![
            ("n.fov", subject.bytes.clone()),
            ("p.bin", subject.pixels.clone()),
            ("job.txt", format!("model=n.fov\n{job}").into_bytes()),
        ];
        truths.push(truth);
        jobs.push((subject.name.to_owned(), files));
    }
    let mut report = String::new();
    let answers = run_batch(board, &jobs);
    for ((subject, truth), answer) in subjects.iter().zip(&truths).zip(answers) {
        report += &subject.compare(board, &subject.methods(few), &answer, truth);
        costs(board, &answer);
        answer.done(board);
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn on_mps2_an386() {
    seven_methods_on("mps2-an386", false);
}

#[test]
fn on_mps2_an500() {
    seven_methods_on("mps2-an500", false);
}

#[test]
fn on_mps2_an505() {
    seven_methods_on("mps2-an505", false);
}

#[test]
fn on_mps3_an547() {
    seven_methods_on("mps3-an547", false);
}

#[test]
fn on_netduinoplus2() {
    seven_methods_on("netduinoplus2", false);
}

#[test]
fn on_riscv32_virt() {
    seven_methods_on("riscv32-virt", true);
}

/// From the flash of a Cortex-M3 with 64 KB of RAM and no floating point.
#[test]
fn in_64_kilobytes() {
    if !available() {
        return;
    }
    let board = "lm3s6965evb";
    let mut report = String::new();
    for subject in Subject::all() {
        let methods = &subject.methods(true)[3..6];
        let (truth, job) = subject.answer(methods);
        let folder = Folder::new().file("p.bin", &subject.pixels);
        let elf = folder.path().join("program.elf");
        with_model(board, &subject.bytes, &elf);
        let answer = folder.run_program(board, &job, Some(&elf)).done(board);
        report += &subject.compare(board, methods, &answer, &truth);
        costs(board, &answer);
        let digest = subject.file.model().digest().iter();
        let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(answer.get("model"), digest, "the model in flash");
    }
    assert!(report.is_empty(), "{report}");
}
