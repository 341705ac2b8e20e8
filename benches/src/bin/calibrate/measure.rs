//! Networks run on an emulated board, and what the firmware itself takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use foveola::budget::{Budget, Counts, WAYS, Work, stand_in};
use foveola::compile::{CompileOptions, Goal, compile};
use foveola::crosscheck::{Answer, worded};
use foveola::method_spec::MethodSpec;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola::quantise::pictures::Album;
use foveola::quantise::{FloatNetwork, RangeRule};
use foveola_core::Picture;
use foveola_tests::random::RandomNetwork;

use super::fit::Row;
use super::nets::Net;

pub use foveola_benches::elf::sizes;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Deepest stacks by method.
type Stacks = Vec<(&'static str, usize)>;

/// A board's program.
pub struct Program {
    pub board: &'static str,
    target: &'static str,
    profile: &'static str,
    /// Whether its processor has no floating point.
    pub soft: bool,
    /// The way that it takes through convolutions of integers.
    pub way: &'static str,
    /// A board that executes the same instructions, where one is measured.
    pub like: Option<&'static str>,
}

const fn program(board: &'static str, target: &'static str) -> Program {
    Program {
        board,
        target,
        profile: "release",
        soft: false,
        way: "dsp",
        like: None,
    }
}

/// All boards that QEMU emulates, as `firmware/board.sh` has them.
pub const PROGRAMS: [Program; 7] = [
    program("mps2-an386", "thumbv7em-none-eabihf"),
    Program {
        like: Some("mps2-an386"),
        ..program("mps2-an500", "thumbv7em-none-eabihf")
    },
    program("mps2-an505", "thumbv8m.main-none-eabihf"),
    Program {
        way: "helium",
        ..program("mps3-an547", "thumbv8m.main-none-eabihf")
    },
    Program {
        like: Some("mps2-an386"),
        ..program("netduinoplus2", "thumbv7em-none-eabihf")
    },
    Program {
        profile: "small",
        soft: true,
        way: "scalar",
        ..program("lm3s6965evb", "thumbv6m-none-eabi")
    },
    Program {
        soft: true,
        way: "scalar",
        ..program("riscv32-virt", "riscv32imc-unknown-none-elf")
    },
];

impl Program {
    /// Whether what counts say under this name happens there.
    pub fn does(&self, name: &str) -> bool {
        let way = name.split('.').next().unwrap_or_default();
        let own = !WAYS.contains(&way) || way == self.way;
        own && (self.soft || !name.contains("soft."))
    }

    /// Whether it has methods beyond the first seven.
    pub fn has_all_methods(&self) -> bool {
        self.profile == "release"
    }

    /// Builds it.
    pub fn build(&self, firmware: &Path) -> Result<PathBuf> {
        let mut cargo = Command::new("cargo");
        // As run.sh: what is compiled in parts has other counts.
        cargo.env("CARGO_INCREMENTAL", "0");
        cargo.args(["build", "--locked", "--quiet", "--profile", self.profile]);
        cargo.args(["--target", self.target, "--bin", self.board]);
        cargo.current_dir(firmware).env_remove("FOVEOLA_MODEL");
        if !cargo.status()?.success() {
            return Err(format!("{} does not build", self.board).into());
        }
        let folder = firmware.join("target").join(self.target);
        Ok(folder.join(self.profile).join(self.board))
    }
}

/// A picture's elements as the network takes them.
fn in_model_space(picture: Picture<'_>) -> Result<Vec<f32>> {
    let shape = picture.shape();
    let pixels = (0..shape.h).flat_map(|y| (0..shape.w).map(move |x| (y, x)));
    let elements = pixels.flat_map(|(y, x)| (0..shape.c).map(move |c| (y, x, c)));
    let values = elements.map(|(y, x, c)| picture.value(y, x, c));
    Ok(values.collect::<std::result::Result<_, _>>()?)
}

fn open(bytes: &[u8]) -> Result<OpenModel> {
    let options = OpenOptions::default();
    Ok(OpenModel::from_bytes(
        bytes,
        Path::new("model.fov"),
        &options,
    )?)
}

/// The network in int8, as seen on one picture.
fn quantised(net: &Net, mut model: OpenModel, goal: Goal) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let [h, w] = net.card.size;
    let wave = |i: u32, step: f32| (127.5 + 120.0 * (i as f32 * step).sin()) as u8;
    let picture = image::RgbImage::from_fn(w as u32, h as u32, |x, y| {
        image::Rgb([wave(x, 0.9), wave(y, 0.7), wave(x * y, 0.5)])
    });
    picture.save(folder.path().join("waves.png"))?;
    model.goal = goal;
    let network = FloatNetwork::of_graph(net.graph.clone(), &[])?;
    let album = Album::open(folder.path(), 1)?;
    let seen = network.calibrate(&model, &album, 1, &|_| true)?;
    let quantised = network.quantise(&seen, RangeRule::Minmax, &model, &[], false)?;
    Ok(quantised.compiled.bytes)
}

/// The network as it ships.
pub fn compiled(net: &Net) -> Result<OpenModel> {
    let bytes = compile(net.graph.clone(), &net.card, &CompileOptions::default())?.bytes;
    let model = open(&bytes)?;
    match net.int8 {
        Some(goal) => open(&quantised(net, model, goal)?),
        None => Ok(model),
    }
}

/// A network, compiled, and what is asked of it.
pub struct Case {
    pub name: String,
    /// Whether it computes with integers.
    pub int8: bool,
    /// Whether it checks prices instead of making them.
    pub held: bool,
    model: Vec<u8>,
    picture: Vec<u8>,
    format: &'static str,
    /// Whether each node is measured as well.
    pub laps: bool,
    pub budget: Budget,
}

/// Methods that are measured on every network.
const GRADIENTS: [&str; 4] = ["gradient", "deconvolution", "guided-backprop", "grad-cam"];

impl Case {
    pub fn new(name: String, net: &Net) -> Result<Self> {
        let model = compiled(net)?;
        let mut photo = stand_in(&model);
        if net.tensor {
            photo = Photo::tensor(photo.shape(), in_model_space(photo.picture())?);
        }
        let specs: Vec<&str> = GRADIENTS.iter().chain(net.masks).copied().collect();
        Self::of(name, &model, &photo, (&specs, net.int8.is_some()))
    }

    /// A random network in int8.
    pub fn drawn(seed: u64, held: bool) -> Result<Self> {
        let model = open(&RandomNetwork::int8(seed).bytes)?;
        let case = Self::of(
            format!("drawn{seed}"),
            &model,
            &stand_in(&model),
            (&GRADIENTS, true),
        )?;
        Ok(Self { held, ..case })
    }

    /// A model that is there.
    pub fn of(
        name: String,
        model: &OpenModel,
        photo: &Photo,
        (specs, int8): (&[&str], bool),
    ) -> Result<Self> {
        let (picture, format) = match photo.picture() {
            Picture::Pixels { data, .. } => (data.to_vec(), "u8"),
            Picture::Tensor { data, .. } => {
                (data.iter().flat_map(|v| v.to_le_bytes()).collect(), "f32")
            }
        };
        let specs = specs.iter().map(|text| text.parse());
        let specs: Vec<MethodSpec> = specs.collect::<std::result::Result<_, _>>()?;
        let budget = Budget::of(model, &specs, photo, int8)?;
        Ok(Self {
            name,
            int8,
            held: false,
            picture,
            format,
            model: budget.file.model().bytes().to_vec(),
            laps: true,
            budget,
        })
    }

    /// Runs it on a board; `None` if it does not fit there.
    pub fn run(&self, firmware: &Path, program: &Program, elf: &Path) -> Result<Option<Answer>> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("m.fov"), &self.model)?;
        fs::write(path("p.bin"), &self.picture)?;
        let mut job = format!(
            "model=m.fov\npicture=p.bin\nprofile={}\nformat={}\n",
            u8::from(self.laps),
            self.format
        );
        // Of networks drawn at random, some have no layer for Grad-CAM.
        for method in self.budget.methods.iter().flatten() {
            let words = worded(&method.spec, self.budget.file.model())?;
            job += &format!("method={words}\n");
        }
        fs::write(path("job.txt"), job)?;
        let output = Command::new("sh")
            .arg(firmware.join("run.sh"))
            .arg(program.board)
            .arg(folder.path())
            .arg(elf)
            .output()?;
        let answer = Answer::read(folder.path())?;
        match (&answer.error, output.status.success()) {
            (None, true) => Ok(Some(answer)),
            (Some(error), _) if error.contains("too small") => Ok(None),
            (error, _) => Err(format!("{} on {}: {error:?}", self.name, program.board).into()),
        }
    }

    /// What was measured, and the deepest stack by method.
    pub fn rows(&self, answer: &Answer) -> Result<(Vec<Row>, Stacks)> {
        let mut rows = Vec::new();
        let cost = answer.cost("classify")?;
        let mut stacks = vec![("classify", cost.stack as usize)];
        rows.push(self.row("classify", &self.budget.work.counts, cost.instructions));
        self.laps(&mut rows, answer, "forward", &self.budget.work.ways[0])?;
        for (k, method) in self.budget.methods.iter().flatten().enumerate() {
            let cost = answer.cost(&format!("cost.{k}"))?;
            stacks.push((method.spec.row.name, cost.stack as usize));
            let Work { counts, ways, .. } = &method.work;
            rows.push(self.row(&method.spec.to_string(), counts, cost.instructions));
            self.laps(&mut rows, answer, &format!("forward.{k}"), &ways[0])?;
            self.laps(&mut rows, answer, &format!("backward.{k}"), &ways[1])?;
        }
        Ok((rows, stacks))
    }

    fn row(&self, what: &str, counts: &Counts, instructions: u64) -> Row {
        Row {
            name: format!("{} {what}", self.name),
            counts: counts.clone(),
            instructions: instructions as f64,
        }
    }

    /// Rows of a profile. Taking a lap costs something itself.
    fn laps(
        &self,
        rows: &mut Vec<Row>,
        answer: &Answer,
        key: &str,
        nodes: &[Counts],
    ) -> Result<()> {
        let mut first = true;
        let order: Vec<usize> = match key.starts_with("backward") {
            true => (0..nodes.len()).rev().collect(),
            false => (0..nodes.len()).collect(),
        };
        for node in order {
            let key = format!("{key}.{node}");
            let instructions: u64 = answer.text(&key)?.parse()?;
            if instructions == 0 {
                continue;
            }
            let mut counts = nodes[node].clone();
            let is_row = |name: &str| name == "stream.row" || name == "stream8.row";
            let streamed = counts.iter().find(|(name, _)| is_row(name));
            let taken = streamed.map_or(1.0, |(_, rows)| rows);
            let lap = if self.int8 { "lap8" } else { "lap" };
            counts.add(lap, taken);
            if std::mem::take(&mut first) {
                counts.add(
                    format!(
                        "{lap}.{}",
                        if key.starts_with('b') {
                            "back"
                        } else {
                            "forth"
                        }
                    ),
                    1.0,
                );
            }
            rows.push(self.row(&key, &counts, instructions));
        }
        Ok(())
    }
}

/// The real networks in int8, as far as they are there: with what a small
/// program asks of them, to check prices.
pub fn zoo() -> Result<Vec<Case>> {
    let Some(zoo) = foveola_tests::zoo() else {
        return Ok(Vec::new());
    };
    let tinyml = zoo.join("models/tinyml");
    let mut all = Vec::new();
    for (name, goal) in [
        ("vww96", Goal::Fast),
        ("resnet8_cifar10", Goal::Fast),
        ("resnet8_cifar10", Goal::Small),
    ] {
        let path = tinyml.join(format!("{name}_int8.tflite"));
        let mut model = OpenModel::open(&path, &OpenOptions::default())?;
        model.goal = goal;
        let specs = ["gradient", "grad-cam"];
        let case = Case::of(
            format!("{name}-{goal:?}"),
            &model,
            &stand_in(&model),
            (&specs, true),
        )?;
        all.push(Case { held: true, ..case });
    }
    Ok(all)
}
