//! Dumps as engines write them: any layout, any number type.

use std::path::Path;

use foveola::bisect::{Dump, Report, Subject, TOLERANCE, walk};
use foveola::graph::{InputType, Quant};
use foveola::photo::Photo;
use foveola_core::Shape;
use image::RgbImage;
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{WritableElement, write_npy};

use super::networks::Network;

/// How an engine writes its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Style {
    /// int8, NHWC.
    Plain,
    /// int8, NCHW.
    Planes,
    /// uint8, flat.
    Unsigned,
    /// f32, dequantised, NHWC.
    Real,
}

pub const STYLES: [Style; 4] = [Style::Plain, Style::Planes, Style::Unsigned, Style::Real];

fn write<T: WritableElement + Copy>(path: &Path, shape: &[usize], values: Vec<T>) {
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("the shape holds them");
    write_npy(path, &array).expect("it is written");
}

/// One tensor.
pub fn tensor(folder: &Path, name: &str, shape: Shape, quant: Quant, data: &[i8], style: Style) {
    let path = folder.join(format!("{name}.npy"));
    let Shape { h, w, c } = shape;
    match style {
        Style::Plain => write(&path, &[1, h, w, c], data.to_vec()),
        Style::Planes => {
            let area = h * w;
            let value = |i: usize| data[i % area * c + i / area];
            write(&path, &[1, c, h, w], (0..data.len()).map(value).collect());
        }
        Style::Unsigned => {
            let byte = |&q: &i8| (i16::from(q) + 128) as u8;
            write(&path, &[data.len()], data.iter().map(byte).collect());
        }
        Style::Real => {
            let real = |&q: &i8| (f32::from(q) - f32::from(quant.zero_point)) * quant.scale;
            write(&path, &[1, h, w, c], data.iter().map(real).collect());
        }
    }
}

/// A network's input.
pub fn input(folder: &Path, network: &Network, values: &[f32]) {
    let shape = network.intake().shape;
    let sides = [1, shape.h, shape.w, shape.c];
    let path = folder.join("input.npy");
    match network.graph.input_type {
        InputType::I8 => write(&path, &sides, values.iter().map(|&v| v as i8).collect()),
        _ => write(&path, &sides, values.to_vec()),
    }
}

/// A decoded photo.
pub fn decoded(folder: &Path, photo: &RgbImage) {
    let sides = [photo.height() as usize, photo.width() as usize, 3];
    write(&folder.join("decoded.npy"), &sides, photo.as_raw().clone());
}

/// Every layer. One in ten of those that a fault does not touch is left out
/// where `leave_out` says so.
pub fn layers(
    folder: &Path,
    network: &Network,
    values: &[Option<Vec<i8>>],
    style: Style,
    leave_out: impl Fn(usize) -> bool,
) {
    for (index, node) in network.graph.nodes.iter().enumerate() {
        let (Some(name), Some(data)) = (&network.files[index], &values[usize::from(node.output.0)])
        else {
            continue;
        };
        if leave_out(index) {
            continue;
        }
        let of = network.graph.tensor(node.output);
        let quant = of.quant.expect("an int8 tensor");
        tensor(folder, name, of.shape, quant, data, style);
    }
}

/// The picture's side of a comparison.
pub struct Shown<'a> {
    pub photo: &'a Photo,
    pub image: Option<&'a RgbImage>,
    pub previous: Option<&'a Photo>,
}

/// Compares a network with a dump.
pub fn compare(network: &Network, shown: &Shown<'_>, folder: &Path) -> Report {
    let model = network.file.model();
    let intake = network.intake();
    let names = &network.compiled.names;
    let mut dump = Dump::read(folder, intake, model, names, None).expect("the dump reads");
    let subject = Subject {
        model,
        intake,
        photo: shown.photo,
        file: &[],
        image: shown.image,
        previous: shown.previous,
        tolerance: TOLERANCE,
    };
    walk(&subject, &mut dump).expect("both sides can be compared")
}
