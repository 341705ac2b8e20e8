//! Small networks that differ in one thing, a picture, and the command.

use std::path::{Path, PathBuf};
use std::process::Command;

use foveola::backend::core::ModelFile;
use foveola::crosscheck::model_bytes;
use foveola::model::{OpenModel, OpenOptions};
use foveola_tests::onnx::{Attribute, Onnx, floats, numbers};
use image::RgbImage;
use serde_json::Value;
use tempfile::TempDir;

/// What is different from the first network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Same,
    /// A weight of the second convolution, by a little.
    OneWeight,
    /// The classes have changed places.
    OtherClasses,
}

pub fn network(kind: Network) -> Vec<u8> {
    let mut onnx = Onnx::new(13, &[1, 3, 8, 8]);
    onnx.weights("first", &[4, 3, 3, 3]);
    let mut second = numbers(6 * 4 * 9, 77);
    if kind == Network::OneWeight {
        second[20] += 0.03;
    }
    onnx.tensor(floats("second", &[6, 4, 3, 3], &second));
    let mut last = numbers(6 * 3, 5);
    if kind == Network::OtherClasses {
        last.chunks_mut(3).for_each(|row| row.rotate_left(1));
    }
    onnx.tensor(floats("last", &[6, 3], &last));
    let pads = [("pads", Attribute::Ints(vec![1; 4]))];
    onnx.node("Conv", "x first", "a", &pads);
    onnx.node("Relu", "a", "b", &[]);
    onnx.node("Conv", "b second", "c", &pads);
    onnx.node("GlobalAveragePool", "c", "d", &[]);
    onnx.node("Flatten", "d", "e", &[]);
    onnx.node("MatMul", "e last", "scores", &[])
        .output("scores");
    onnx.bytes()
}

/// As crosscheck makes it of the ONNX file.
pub fn compiled(kind: Network) -> Vec<u8> {
    let options = OpenOptions::default();
    let model = OpenModel::from_bytes(&network(kind), Path::new("n.onnx"), &options);
    model_bytes(&model.expect("a model"), true).expect("it compiles")
}

pub fn digest(file: &[u8]) -> [u8; 32] {
    *ModelFile::new(file).expect("a model").model().digest()
}

/// A folder with the networks and pictures.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let write = |name: &str, kind| {
            std::fs::write(bench.at(name), network(kind)).expect("a model");
        };
        write("n.onnx", Network::Same);
        write("other.onnx", Network::OneWeight);
        std::fs::create_dir(bench.at("pictures")).expect("a folder");
        for k in 0..2 {
            let path = bench.at(&format!("pictures/{k}<&>.png"));
            picture(k).save(path).expect("a picture");
        }
        bench
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.at(name).to_str().expect("a path").to_owned()
    }

    /// Runs the command: exit code, what it said, and the JSON that it wrote.
    pub fn crosscheck(&self, pictures: &str, args: &[&str]) -> (i32, String, Value) {
        let json = self.at("out.json");
        let _ = std::fs::remove_file(&json);
        let output = Command::new(env!("CARGO_BIN_EXE_foveola-under-test"))
            .arg("crosscheck")
            .args([self.at("n.onnx"), self.at(pictures)])
            .args(args)
            .arg("--json")
            .arg(&json)
            .output()
            .expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("UTF-8");
        let text = std::fs::read_to_string(&json).unwrap_or_else(|_| String::from("null"));
        let value = serde_json::from_str(&text).expect("JSON");
        (output.status.code().expect("a code"), said, value)
    }
}

pub fn picture(k: u32) -> RgbImage {
    RgbImage::from_fn(8, 8, |x, y| {
        image::Rgb([x * 31, y * 29, (x * y * 3 + 90 * k) % 256].map(|v| v as u8))
    })
}
