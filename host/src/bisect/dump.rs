//! Arrays that somebody's own engine wrote: a folder of `.npy` files, or an
//! `.npz` file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use foveola_core::TensorId;
use foveola_core::net::model::Model;
use image::RgbImage;
use ndarray::{ArrayD, Axis, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

use super::BisectError;
use super::fit::{Habit, Tensor, fit};
use super::network::Data;
use super::witness::{Layer, Witness};
use crate::graph::{InputType, Layout};
use crate::photo::{Intake, Numbers, read_any};

/// Names of the stages before the network.
const BYTES: &str = "input_bytes";
const DECODED: &str = "decoded";
const INPUT: &str = "input";

/// An array of a dump.
struct Array {
    values: ArrayD<f32>,
    numbers: Numbers,
    path: PathBuf,
}

/// A dump.
pub struct Dump<'a> {
    intake: Intake<'a>,
    bytes: Option<Array>,
    decoded: Option<Array>,
    input: Option<Array>,
    /// Arrays by node, in the order of their names.
    layers: BTreeMap<usize, Vec<(String, Array)>>,
    /// The order in which the layers lie.
    habit: Habit,
    remarks: BTreeSet<String>,
}

impl<'a> Dump<'a> {
    /// Reads a folder or an `.npz` file. `names` are the model's tensors by
    /// every name they have; `item` chooses among inputs that were dumped
    /// together.
    ///
    /// # Errors
    /// Files that cannot be read, or none that belongs to the model.
    pub fn read(
        path: &Path,
        intake: Intake<'a>,
        model: &Model<'_>,
        names: &BTreeMap<String, TensorId>,
        item: Option<usize>,
    ) -> Result<Self, BisectError> {
        let arrays = match path.is_dir() {
            true => folder(path)?,
            false => npz(path)?,
        };
        let mut dump = Self {
            intake,
            bytes: None,
            decoded: None,
            input: None,
            layers: BTreeMap::new(),
            habit: Habit::default(),
            remarks: BTreeSet::new(),
        };
        let known = Names::new(model, names);
        let mut strangers = Vec::new();
        for (name, mut array) in arrays {
            if !matches!(name.as_str(), BYTES | DECODED) {
                array.choose(item, &known, &name)?;
            }
            match (name.as_str(), known.find(&name)) {
                (BYTES, _) => dump.bytes = Some(array),
                (DECODED, _) => dump.decoded = Some(array),
                (INPUT, _) | (_, Some(Found::Input)) => dump.input = Some(array),
                (_, Some(Found::Node(node))) => {
                    dump.layers.entry(node).or_default().push((name, array));
                }
                (_, None) => strangers.push(name),
            }
        }
        dump.accept(path, strangers)?;
        Ok(dump)
    }

    fn accept(&mut self, path: &Path, strangers: Vec<String>) -> Result<(), BisectError> {
        let nothing = self.bytes.is_none() && self.decoded.is_none() && self.input.is_none();
        if nothing && self.layers.is_empty() {
            return Err(BisectError::NothingKnown {
                path: path.to_owned(),
                names: some(&strangers),
            });
        }
        if !strangers.is_empty() {
            let text = format!("no tensor of the model is called {}", some(&strangers));
            self.remarks.insert(text);
        }
        Ok(())
    }
}

/// The first few names.
fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What an array is of.
#[derive(Clone, Copy)]
enum Found {
    Input,
    Node(usize),
}

/// Tensors by name.
struct Names {
    exact: BTreeMap<String, Found>,
    /// Names with all but letters, digits, dot and minus made `_`, as files have them.
    plain: BTreeMap<String, Found>,
    sizes: BTreeMap<usize, usize>,
    input: usize,
}

fn plain(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect()
}

impl Names {
    fn new(model: &Model<'_>, names: &BTreeMap<String, TensorId>) -> Self {
        let mut exact = BTreeMap::new();
        let mut makers = BTreeMap::new();
        let mut sizes = BTreeMap::new();
        for index in 0..model.node_count() {
            let Some(node) = model.node(index) else {
                continue;
            };
            makers.insert(node.output, index);
            sizes.insert(index, model.shape(node.output).len());
            exact.insert(node.name.to_owned(), Found::Node(index));
        }
        let of = |id: TensorId| match id == model.input_id() {
            true => Some(Found::Input),
            false => makers.get(&id).map(|&index| Found::Node(index)),
        };
        for id in (0..model.tensor_count()).map(|i| TensorId(i as u16)) {
            let name = model.tensor(id).map_or("", |t| t.name);
            if let Some(found) = of(id).filter(|_| !name.is_empty()) {
                exact.insert(name.to_owned(), found);
            }
        }
        let given = names.iter();
        exact.extend(given.filter_map(|(name, id)| Some((name.clone(), of(*id)?))));
        let plain = exact.iter().map(|(name, f)| (plain(name), *f)).collect();
        Self {
            exact,
            plain,
            sizes,
            input: model.input().len(),
        }
    }

    /// A tensor by name, by `#` and its number in a `.tflite` file, or as
    /// `INDEX.OPERATOR.TENSOR`.
    fn find(&self, name: &str) -> Option<Found> {
        let of = |name: &str| {
            let exact = self.exact.get(name);
            exact.or_else(|| self.plain.get(&plain(name))).copied()
        };
        let number = |name: &str| {
            let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| of(&format!("#{name}"))).flatten()
        };
        let (tensor, is_numbered) = match name.splitn(3, '.').collect::<Vec<_>>()[..] {
            [index, _, tensor] => (tensor, index.bytes().all(|b| b.is_ascii_digit())),
            _ => (name, false),
        };
        let last = || is_numbered.then(|| number(tensor).or_else(|| of(tensor)));
        of(name).or_else(|| number(name)).or_else(|| last()?)
    }

    fn size(&self, name: &str) -> Option<usize> {
        match (name, self.find(name)) {
            (INPUT, _) | (_, Some(Found::Input)) => Some(self.input),
            (_, Some(Found::Node(index))) => self.sizes.get(&index).copied(),
            _ => None,
        }
    }
}

impl Array {
    /// Keeps one of several inputs that were dumped together.
    fn choose(
        &mut self,
        item: Option<usize>,
        names: &Names,
        name: &str,
    ) -> Result<(), BisectError> {
        let Some(size) = names.size(name) else {
            return Ok(());
        };
        let items = self.values.shape().first().copied().unwrap_or(1);
        if size == 0 || items < 2 || self.values.len() != items * size {
            return Ok(());
        }
        let item = item.filter(|&item| item < items);
        let item = item.ok_or_else(|| BisectError::Items {
            path: self.path.clone(),
            items,
        })?;
        self.values = self.values.index_axis(Axis(0), item).to_owned();
        Ok(())
    }

    fn misfit(&self, reason: String) -> BisectError {
        BisectError::Array {
            path: self.path.clone(),
            reason,
        }
    }
}

fn folder(path: &Path) -> Result<Vec<(String, Array)>, BisectError> {
    let failed = |source| BisectError::Read {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.sort();
    let mut arrays = Vec::new();
    for file in files {
        match file.extension().and_then(|e| e.to_str()) {
            Some("npy") => arrays.push(npy(file)?),
            Some("npz") => arrays.extend(npz(&file)?),
            _ => {}
        }
    }
    Ok(arrays)
}

fn npy(path: PathBuf) -> Result<(String, Array), BisectError> {
    let name = path.file_stem().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let read = std::fs::read(&path).map_err(|source| BisectError::Read {
        path: path.clone(),
        source,
    })?;
    match read_any(&read) {
        Ok((values, numbers)) => {
            let array = Array {
                values,
                numbers,
                path,
            };
            Ok((name, array))
        }
        Err(reason) => Err(BisectError::Array { path, reason }),
    }
}

fn npz(path: &Path) -> Result<Vec<(String, Array)>, BisectError> {
    let file = File::open(path).map_err(|source| BisectError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |reason: String| BisectError::Array {
        path: path.to_owned(),
        reason,
    };
    let mut reader = NpzReader::new(file).map_err(|e| wrong(e.to_string()))?;
    let mut names = reader.names().map_err(|e| wrong(e.to_string()))?;
    names.sort();
    let mut arrays = Vec::new();
    for name in names {
        let (values, numbers) = member(&mut reader, &name)
            .ok_or_else(|| wrong(format!("{name} is no array of integers or floats")))?;
        let path = path.join(&name);
        let name = name.trim_end_matches(".npy").to_owned();
        arrays.push((
            name,
            Array {
                values,
                numbers,
                path,
            },
        ));
    }
    Ok(arrays)
}

/// An array of an `.npz` file, whose reader wants to know the type.
fn member(reader: &mut NpzReader<File>, name: &str) -> Option<(ArrayD<f32>, Numbers)> {
    fn get<T: ReadableElement>(reader: &mut NpzReader<File>, name: &str) -> Option<ArrayD<T>> {
        reader.by_name::<OwnedRepr<T>, IxDyn>(name).ok()
    }
    let mut found = get::<i8>(reader, name).map(|a| (a.mapv(f32::from), Numbers::I8));
    let mut or = |other: &mut dyn FnMut() -> Option<(ArrayD<f32>, Numbers)>| {
        if found.is_none() {
            found = other();
        }
    };
    or(&mut || get::<u8>(reader, name).map(|a| (a.mapv(f32::from), Numbers::U8)));
    or(&mut || get::<f32>(reader, name).map(|a| (a, Numbers::Float)));
    or(&mut || get::<f64>(reader, name).map(|a| (a.mapv(|v| v as f32), Numbers::Float)));
    or(&mut || get::<i16>(reader, name).map(|a| (a.mapv(f32::from), Numbers::Wide)));
    or(&mut || get::<i32>(reader, name).map(|a| (a.mapv(|v| v as f32), Numbers::Wide)));
    or(&mut || get::<i64>(reader, name).map(|a| (a.mapv(|v| v as f32), Numbers::Wide)));
    found
}

impl Witness for Dump<'_> {
    fn other_model(&mut self) -> Result<Option<String>, BisectError> {
        Ok(None)
    }

    fn bytes(&mut self) -> Result<Option<Vec<u8>>, BisectError> {
        let Some(array) = &self.bytes else {
            return Ok(None);
        };
        let byte = |v: &f32| match array.numbers {
            Numbers::I8 => (*v as i8).cast_unsigned(),
            _ => *v as u8,
        };
        Ok(Some(array.values.iter().map(byte).collect()))
    }

    fn decoded(&mut self) -> Result<Option<RgbImage>, BisectError> {
        let Some(array) = &self.decoded else {
            return Ok(None);
        };
        let shape: Vec<usize> = array.values.shape().to_vec();
        let bare = match shape.as_slice() {
            [1, rest @ ..] if rest.len() >= 2 => rest,
            all => all,
        };
        let ([h, w], c, planes) = match *bare {
            [h, w] => ([h, w], 1, false),
            [h, w, c @ (1 | 3 | 4)] => ([h, w], c, false),
            [c @ (1 | 3), h, w] => ([h, w], c, true),
            _ => {
                let reason = format!("its shape is {shape:?}, not that of a photo");
                return Err(array.misfit(reason));
            }
        };
        let values: Vec<f32> = array.values.iter().copied().collect();
        let at = |y: usize, x: usize, channel: usize| {
            let channel = channel.min(c - 1);
            let i = match planes {
                true => (channel * h + y) * w + x,
                false => (y * w + x) * c + channel,
            };
            values[i].round().clamp(0.0, 255.0) as u8
        };
        let pixel = |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| at(y as usize, x as usize, c)));
        Ok(Some(RgbImage::from_fn(w as u32, h as u32, pixel)))
    }

    fn input(&mut self, expected: &[f32]) -> Result<Option<Vec<f32>>, BisectError> {
        let Some(array) = &self.input else {
            return Ok(None);
        };
        let integers = matches!(self.intake.input_type, InputType::I8 | InputType::U8);
        let unsigned = self.intake.input_type == InputType::U8;
        let tensor = Tensor {
            shape: self.intake.shape,
            quant: integers.then_some((1.0, if unsigned { -128 } else { 0 })),
            unsigned,
            planes_first: self.intake.layout == Layout::Nchw,
        };
        let lower = if unsigned { 128.0 } else { 0.0 };
        let stored = |v: &f32| (v - lower).round().clamp(-128.0, 127.0) as i8;
        let wanted = match integers {
            true => Data::Stored(expected.iter().map(stored).collect()),
            false => Data::Real(expected.to_vec()),
        };
        let habit = &mut Habit::default();
        let (data, remarks) = fit(&array.values, array.numbers, &tensor, &wanted, habit)
            .map_err(|reason| array.misfit(reason))?;
        self.remarks.extend(remarks);
        Ok(Some(match data {
            Data::Real(values) => values,
            Data::Stored(values) => values.iter().map(|&q| f32::from(q) + lower).collect(),
        }))
    }

    fn layer(
        &mut self,
        model: &Model<'_>,
        node: usize,
        expected: &Data,
    ) -> Result<Vec<Layer>, BisectError> {
        let Some(arrays) = self.layers.get(&node) else {
            return Ok(Vec::new());
        };
        let view = model.node(node).and_then(|node| model.tensor(node.output));
        let Some(view) = view else {
            return Ok(Vec::new());
        };
        let tensor = Tensor {
            shape: view.shape,
            quant: view.quant.map(|q| (q.scale, q.zero_point)),
            unsigned: view.unsigned,
            planes_first: self.intake.layout == Layout::Nchw,
        };
        let mut layers = Vec::new();
        for (name, array) in arrays {
            let habit = &mut self.habit;
            let (data, remarks) = fit(&array.values, array.numbers, &tensor, expected, habit)
                .map_err(|reason| array.misfit(reason))?;
            self.remarks.extend(remarks);
            let name = name.clone();
            layers.push(Layer { name, data });
        }
        Ok(layers)
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.iter().cloned().collect()
    }
}
