//! Asks a board as `foveola crosscheck` does.

use std::path::{Path, PathBuf};

use foveola::compile::{CompileOptions, Compiled};
use foveola::crosscheck::{self, Answer, Asked, Cost, Device, Host, Inquiry};
use foveola::explainer::DEFAULT_SEED;
use foveola::method_spec::MethodSpec;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_benches::elf::sizes;
use foveola_core::net::model::Model;
use foveola_core::net::op::Op;

use super::Result;
use super::networks::Network;

/// The picture that every network is shown.
const PICTURES: &str = "images/coco";

/// Where questions are asked from.
pub struct Asker {
    firmware: PathBuf,
    pub(super) zoo: PathBuf,
    pub(super) picture: PathBuf,
}

/// What was measured.
pub struct Measured {
    pub inference: Cost,
    /// Grad-CAM at the last convolution, at the last large tensor, and guided
    /// backpropagation.
    pub last: Cost,
    pub large: Option<Cost>,
    pub guided: Cost,
    /// Bytes of the model and of the program without one.
    pub model: usize,
    pub program: usize,
    /// Whether host and board agree, in the words of the cross-check.
    pub verdict: String,
}

impl Asker {
    pub fn new(firmware: &Path, zoo: &Path) -> Result<Self> {
        let folder = zoo.join(PICTURES);
        let pictures = std::fs::read_dir(&folder).map_err(|e| format!("{folder:?}: {e}"))?;
        let pictures: std::io::Result<Vec<PathBuf>> =
            pictures.map(|entry| entry.map(|e| e.path())).collect();
        let picture = pictures?.into_iter().min().ok_or("no picture")?;
        Ok(Self {
            firmware: firmware.canonicalize()?,
            zoo: zoo.to_owned(),
            picture,
        })
    }

    /// Inference, Grad-CAM and guided backpropagation of a network on a board.
    pub fn ask(&self, network: &Network, board: &str) -> Result<Measured> {
        let path = self.zoo.join("models").join(network.file);
        let model = OpenModel::open(&path, &OpenOptions::default())?;
        let photo = Photo::open(&self.picture, &model.intake())?;
        let compile = |layers: &[String]| -> Result<Compiled> {
            Ok(model.compile(&CompileOptions::shipped(layers, network.prune))?)
        };
        let shipped = compile(&[])?.bytes;
        let methods = ["grad-cam".parse()?, "guided-backprop".parse()?];
        let (answer, verdict) = self.run(&shipped, &photo, &methods, board)?;
        let mut measured = Measured {
            inference: answer.cost("classify")?,
            last: answer.cost("cost.0")?,
            guided: answer.cost("cost.1")?,
            large: None,
            model: shipped.len(),
            program: self.program(board)?,
            verdict,
        };
        if let Some(side) = network.side {
            let layer = last_of_side(&shipped, side)?;
            eprintln!("{board}: {}, Grad-CAM at {layer} ...", network.name);
            let bytes = compile(std::slice::from_ref(&layer))?.bytes;
            let methods = [format!("grad-cam:layer={layer}").parse()?];
            let (answer, verdict) = self.run(&bytes, &photo, &methods, board)?;
            measured.large = Some(answer.cost("cost.0")?);
            if verdict != measured.verdict {
                measured.verdict = format!("{}, {verdict}", measured.verdict);
            }
        }
        Ok(measured)
    }

    pub(super) fn run(
        &self,
        bytes: &[u8],
        photo: &Photo,
        methods: &[MethodSpec],
        board: &str,
    ) -> Result<(Answer, String)> {
        let folder = tempfile::tempdir()?;
        let device: Device = format!("qemu:{board}").parse()?;
        let inquiry = Inquiry {
            methods,
            target: None,
            seed: DEFAULT_SEED,
            layers: false,
        };
        let asked = Asked {
            device: &device,
            firmware: &self.firmware,
            folder: folder.path(),
            elf: None,
        };
        let host = Host::run(bytes, photo, &inquiry)?;
        let report = crosscheck::run(bytes, photo, &host, &inquiry, &asked)?;
        let answer = Answer::read(folder.path())?;
        Ok((answer, report.verdict.word().to_owned()))
    }

    /// Bytes of flash that a board's program takes without its linked model.
    fn program(&self, board: &str) -> Result<usize> {
        let target = match board {
            "mps2-an386" => "thumbv7em-none-eabihf",
            _ => "thumbv8m.main-none-eabihf",
        };
        let elf = ["target", target, "release", board];
        let elf = elf
            .iter()
            .fold(self.firmware.clone(), |p, part| p.join(part));
        let (flash, _) = sizes(&elf)?;
        let linked = self.firmware.join("../core/fixtures/small.fov");
        Ok(flash - std::fs::metadata(linked)?.len() as usize)
    }
}

/// Name of the last convolution's output that has so many rows and columns.
fn last_of_side(bytes: &[u8], side: usize) -> Result<String> {
    let file = foveola::backend::core::ModelFile::new(bytes)?;
    let model: &Model<'_> = file.model();
    let nodes = (0..model.node_count()).filter_map(|i| model.node(i));
    let mut named = nodes.filter_map(|node| {
        let shape = model.shape(node.output);
        let layer = matches!(node.op, Op::Conv { .. } | Op::Depthwise { .. });
        let fits = layer && (shape.h, shape.w) == (side, side);
        fits.then(|| model.tensor(node.output).map(|t| t.name.to_owned()))
    });
    let last = named.next_back().flatten();
    last.ok_or_else(|| format!("no layer of {side} rows").into())
}
