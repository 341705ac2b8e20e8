//! From stage to stage.

use foveola_core::net::model::{Model, NodeView};
use foveola_core::net::op::Op;
use foveola_core::{Masked, Shape};
use image::RgbImage;

use super::cause::{self, Cause, Kind, Prepared, RealScene, Scene, Source};
use super::difference::{Difference, difference};
use super::network::{Data, Tensors, compute, integer_node, run};
use super::witness::{Layer, Witness};
use super::{BisectError, Fault, Report, Rung, Stage, Standing, Verdict};
use crate::graph::InputType;
use crate::photo::variants::{Preparation, Variant};
use crate::photo::{Intake, Photo};

/// Largest difference of bytes that decoders of JPEG make.
const JPEG: f64 = 4.0;
/// Faults whose causes are looked for.
const MOST_FAULTS: usize = 6;

/// The host's side.
pub struct Subject<'a> {
    /// The network.
    pub model: &'a Model<'a>,
    /// How pictures get in.
    pub intake: Intake<'a>,
    /// The picture, ready for the network.
    pub photo: &'a Photo,
    /// Bytes of its file.
    pub file: &'a [u8],
    /// The decoded photo, if it is one.
    pub image: Option<&'a RgbImage>,
    /// The picture that was there before, if it is known.
    pub previous: Option<&'a Photo>,
    /// Relative difference of f32 tensors that counts as none.
    pub tolerance: f64,
}

struct Walk<'a> {
    subject: &'a Subject<'a>,
    rungs: Vec<Rung>,
    faults: Vec<Fault>,
}

/// Compares the two sides stage by stage.
///
/// # Errors
/// A side that does not answer, or values of another shape.
pub fn walk(subject: &Subject<'_>, witness: &mut dyn Witness) -> Result<Report, BisectError> {
    let mut walk = Walk {
        subject,
        rungs: Vec::new(),
        faults: Vec::new(),
    };
    walk.model(witness)?;
    walk.bytes(witness)?;
    let decoded = walk.decoded(witness)?;
    let input = walk.input(witness, decoded.as_ref())?;
    let other_model = walk.faults.iter().any(|fault| fault.rung == 0);
    if walk.faults.len() <= usize::from(other_model) || witness.is_patient() {
        walk.layers(witness, input)?;
    }
    let first = walk.faults.first();
    let verdict = first.map_or(Verdict::Equal, |f| Verdict::of(walk.rungs[f.rung].stage));
    Ok(Report {
        rungs: walk.rungs,
        faults: walk.faults,
        remarks: witness.remarks(),
        verdict,
    })
}

fn sides(shape: Shape) -> [usize; 3] {
    [shape.h, shape.w, shape.c]
}

fn of_photo(image: &RgbImage) -> (Data, Shape) {
    let values = image.as_raw().iter().map(|&p| f32::from(p)).collect();
    let shape = Shape::new(image.height() as usize, image.width() as usize, 3);
    (Data::Real(values), shape)
}

impl Walk<'_> {
    fn push(&mut self, stage: Stage, name: &str, op: &str, shape: Shape) -> &mut Rung {
        self.rungs.push(Rung {
            stage,
            name: name.to_owned(),
            op: op.to_owned(),
            shape: sides(shape),
            scale: None,
            zero_point: None,
            standing: Standing::Equal,
            end_to_end: None,
            alone: None,
            note: None,
        });
        let last = self.rungs.len() - 1;
        &mut self.rungs[last]
    }

    fn fault(&mut self, causes: Vec<Cause>) {
        let rung = self.rungs.len() - 1;
        self.faults.push(Fault { rung, causes });
    }

    fn model(&mut self, witness: &mut dyn Witness) -> Result<(), BisectError> {
        if let Some(text) = witness.other_model()? {
            let shape = self.subject.intake.shape;
            let rung = self.push(Stage::Model, "model file", "", shape);
            rung.standing = Standing::Differs;
            self.fault(vec![Cause {
                unexplained: 0,
                ..Cause::new(Kind::Unknown, text)
            }]);
        }
        Ok(())
    }

    fn bytes(&mut self, witness: &mut dyn Witness) -> Result<(), BisectError> {
        let Some(found) = witness.bytes()? else {
            return Ok(());
        };
        let expected = self.subject.file;
        let real = |bytes: &[u8]| Data::Real(bytes.iter().map(|&b| f32::from(b)).collect());
        let shape = Shape::new(1, 1, expected.len());
        let apart = difference(&real(expected), &real(&found), shape, 0.0);
        let rung = self.push(Stage::Bytes, "input bytes", "read", shape);
        if apart.is_none() && expected.len() == found.len() {
            return Ok(());
        }
        rung.standing = Standing::Differs;
        rung.end_to_end.clone_from(&apart);
        rung.alone = apart;
        let cause = bytes_cause(expected, &found);
        self.fault(vec![cause]);
        Ok(())
    }

    fn decoded(&mut self, witness: &mut dyn Witness) -> Result<Option<RgbImage>, BisectError> {
        let Some(found) = witness.decoded()? else {
            return Ok(None);
        };
        let Some(expected) = self.subject.image else {
            return Ok(None);
        };
        let (wanted, shape) = of_photo(expected);
        let (values, size) = of_photo(&found);
        let apart = difference(&wanted, &values, shape, 0.0);
        let jpeg = self.subject.file.starts_with(&[0xFF, 0xD8]);
        let rung = self.push(Stage::Decoding, "decoded photo", "decode", shape);
        if size != shape {
            rung.note = Some(format!("the other side has {} x {}", size.h, size.w));
        } else if apart.is_none() {
            return Ok(Some(found));
        }
        rung.end_to_end.clone_from(&apart);
        if size == shape && jpeg && apart.as_ref().is_some_and(|d| d.largest <= JPEG) {
            rung.standing = Standing::Follows;
            rung.note = Some("as far as JPEG decoders differ".to_owned());
            return Ok(Some(found));
        }
        rung.standing = Standing::Differs;
        rung.alone = apart;
        self.fault(cause::decoded(expected, &found));
        Ok(Some(found))
    }

    /// The input tensor; answers what the layers are computed from.
    fn input(
        &mut self,
        witness: &mut dyn Witness,
        decoded: Option<&RgbImage>,
    ) -> Result<Vec<f32>, BisectError> {
        let Subject { intake, photo, .. } = *self.subject;
        let shape = intake.shape;
        let own = photo.values(intake.input_type)?;
        let theirs = decoded.and_then(|image| Preparation::new(image, intake));
        let made = theirs.map(|mut preparation| preparation.input(&Variant::CARD));
        let expected = made.as_ref().unwrap_or(&own);
        let found = witness.input(expected)?;
        let tolerance = match intake.input_type {
            InputType::I8 | InputType::U8 => 0.0,
            _ => self.subject.tolerance,
        };
        let rung = self.push(Stage::Preprocessing, "input", "prepare", shape);
        let Some(found) = found else {
            rung.standing = Standing::Skipped;
            return Ok(match made {
                Some(made) => made,
                None => own,
            });
        };
        let data = Data::Real(found.clone());
        let apart = |from: &[f32]| difference(&Data::Real(from.to_vec()), &data, shape, tolerance);
        (rung.end_to_end, rung.alone) = (apart(&own), apart(expected));
        rung.standing = standing(rung);
        if rung.alone.is_some() {
            let causes = self.input_causes(expected, &found, decoded)?;
            self.fault(causes);
        }
        Ok(found)
    }

    fn input_causes(
        &self,
        expected: &[f32],
        found: &[f32],
        decoded: Option<&RgbImage>,
    ) -> Result<Vec<Cause>, BisectError> {
        let intake = self.subject.intake;
        let previous = self.subject.previous;
        let previous = previous.map(|photo| photo.values(intake.input_type));
        let previous = previous.transpose()?;
        let nothing = RgbImage::new(0, 0);
        Ok(cause::prepared(&Prepared {
            photo: decoded.or(self.subject.image).unwrap_or(&nothing),
            intake,
            expected,
            found,
            previous: previous.as_deref(),
        }))
    }

    fn layers(&mut self, witness: &mut dyn Witness, input: Vec<f32>) -> Result<(), BisectError> {
        let model = self.subject.model;
        let before = usize::from(self.faults.iter().any(|fault| fault.rung == 0));
        let layers = |photo: &Photo| run(model, &Masked::whole(photo.picture()));
        let reference = layers(self.subject.photo)?;
        let previous = self.subject.previous.map(layers).transpose()?;
        let known = [&reference, previous.as_deref().unwrap_or(&[])];
        let mut tensors = Tensors::new(model);
        tensors.set(model.input_id(), Data::Real(input));
        let mut missing = 0;
        for (index, own) in reference.iter().enumerate() {
            let Some(view) = model.node(index) else {
                break;
            };
            let mut made = compute(model, index, &tensors)?;
            let copies = witness.layer(model, index, &made)?;
            // Conversions change no value that an engine would show.
            let converts = matches!(view.op, Op::Quantise { .. } | Op::Dequantise);
            if copies.is_empty() && !converts {
                missing += 1;
                self.rung_of(&view, index).standing = Standing::Skipped;
            }
            for (number, copy) in copies.into_iter().enumerate() {
                let at = At {
                    index,
                    view: &view,
                    inputs: (number == 0).then_some(&tensors),
                    missing: std::mem::take(&mut missing),
                    known,
                };
                self.layer(&at, own, &made, &copy);
                made = copy.data;
            }
            tensors.set(view.output, made);
            if self.faults.len() > before && !witness.is_patient() {
                break;
            }
        }
        Ok(())
    }

    fn rung_of(&mut self, view: &NodeView<'_>, index: usize) -> &mut Rung {
        let model = self.subject.model;
        let tensor = model.tensor(view.output);
        let shape = model.shape(view.output);
        let rung = self.push(Stage::Layer(index), view.name, &op_name(view), shape);
        let quant = tensor.and_then(|t| t.quant.map(|q| (q, t.unsigned)));
        if let Some((quant, unsigned)) = quant {
            rung.scale = Some(quant.scale);
            let lower = if unsigned { 128 } else { 0 };
            rung.zero_point = Some(i32::from(quant.zero_point) + lower);
        }
        rung
    }

    fn layer(&mut self, at: &At<'_>, own: &Data, made: &Data, copy: &Layer) {
        let tolerance = self.subject.tolerance;
        let shape = self.subject.model.shape(at.view.output);
        let end_to_end = difference(own, &copy.data, shape, tolerance);
        let alone = difference(made, &copy.data, shape, tolerance);
        let rung = self.rung_of(at.view, at.index);
        (rung.end_to_end, rung.alone) = (end_to_end, alone);
        rung.standing = standing(rung);
        if at.inputs.is_none() {
            rung.note = Some(format!("again, as {}", copy.name));
        }
        if rung.standing != Standing::Differs {
            return;
        }
        if at.missing > 0 {
            let text = format!(
                "or one of the {} layers before it that are not there",
                at.missing
            );
            rung.note = Some(text);
        }
        let causes = match self.faults.len() < MOST_FAULTS {
            true => self.causes(at, made, &copy.data, shape),
            false => vec![Cause::new(Kind::Unknown, "not looked for after so many")],
        };
        self.fault(causes);
    }

    fn causes(&self, at: &At<'_>, made: &Data, found: &Data, shape: Shape) -> Vec<Cause> {
        let model = self.subject.model;
        let (Data::Stored(expected), Data::Stored(found)) = (made, found) else {
            return self.real_causes(at, made, found, shape);
        };
        let node = integer_node(model, at.view, 0);
        let (Some(node), Some(tensors)) = (node, at.inputs) else {
            let text = "a copy of a tensor that is not equal to it";
            return vec![Cause::new(Kind::StaleBuffer, text)];
        };
        let ids: Vec<_> = at.view.inputs().collect();
        let inputs = ids.iter().filter_map(|&id| tensors.get(id)?.stored());
        let inputs: Vec<&[i8]> = inputs.collect();
        let of_inputs = ids.iter().filter_map(|&id| {
            let tensor = model.tensor(id)?;
            Some((tensor.shape, i32::from(tensor.quant?.zero_point)))
        });
        let of_inputs: Vec<_> = of_inputs.collect();
        let named = at.sources(model);
        let sources = named.iter().map(|(name, data, shape)| Source {
            name,
            data,
            shape: *shape,
        });
        let sources: Vec<Source<'_>> = sources.collect();
        cause::layer(&Scene {
            node: &node,
            inputs: &inputs,
            of_inputs: &of_inputs,
            expected,
            found,
            sources: &sources,
        })
    }

    fn real_causes(&self, at: &At<'_>, made: &Data, found: &Data, shape: Shape) -> Vec<Cause> {
        let first = at.view.input(0);
        let input = first.and_then(|id| at.inputs?.get(id)?.real());
        let (Some(expected), Some(found)) = (made.real(), found.real()) else {
            return vec![Cause::new(Kind::Unknown, "another number type")];
        };
        let largest = expected.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        cause::real_layer(&RealScene {
            op: at.view.op,
            activation: at.view.activation,
            input: input.unwrap_or(&[]),
            shape,
            expected,
            found,
            slack: largest * self.subject.tolerance as f32,
        })
    }
}

/// A layer, and what is known around it.
struct At<'w> {
    index: usize,
    view: &'w NodeView<'w>,
    /// What it was computed from; `None` for another copy of its output.
    inputs: Option<&'w Tensors>,
    /// Layers before it that the other side does not show.
    missing: usize,
    /// Every layer for this picture and for the previous one.
    known: [&'w [Data]; 2],
}

impl At<'_> {
    /// Tensors that a buffer may still hold, the near ones first.
    fn sources<'s>(&'s self, model: &Model<'s>) -> Vec<(String, &'s [i8], Shape)> {
        let output = |index: usize| {
            let view = model.node(index)?;
            Some((view.output, view.name, model.shape(view.output)))
        };
        let mut all = Vec::new();
        for index in (0..model.node_count()).rev() {
            let Some((id, name, shape)) = output(index) else {
                continue;
            };
            if let Some(data) = self.inputs.and_then(|t| t.get(id)?.stored()) {
                all.push((name.to_owned(), data, shape));
            }
        }
        for (layers, of) in self
            .known
            .into_iter()
            .zip(["", " for the previous picture"])
        {
            for (index, layer) in layers.iter().enumerate() {
                let own = of.is_empty() && index == self.index;
                if let (Some((_, name, shape)), Some(data), false) =
                    (output(index), layer.stored(), own)
                {
                    all.push((format!("{name}{of}"), data, shape));
                }
            }
        }
        all
    }
}

fn standing(rung: &Rung) -> Standing {
    match (&rung.end_to_end, &rung.alone) {
        (_, Some(_)) => Standing::Differs,
        (Some(_), None) => Standing::Follows,
        (None, None) => Standing::Equal,
    }
}

/// The operator's name and what follows it.
fn op_name(view: &NodeView<'_>) -> String {
    let name = format!("{:?}", view.op);
    let name = name.split([' ', '(', '{']).next().unwrap_or("").to_owned();
    let name = match view.op {
        Op::Binary(arithmetic) => format!("{arithmetic:?}"),
        _ => name,
    };
    let activation = format!("{:?}", view.activation);
    match activation.split([' ', '{']).next() {
        Some("None") | None => name,
        Some(after) => format!("{name}+{after}"),
    }
}

fn bytes_cause(expected: &[u8], found: &[u8]) -> Cause {
    let pairs = expected
        .as_chunks::<2>()
        .0
        .iter()
        .zip(found.as_chunks::<2>().0);
    let swapped =
        expected.len() == found.len() && pairs.clone().all(|([a, b], [c, d])| (a, b) == (d, c));
    let first = expected.iter().zip(found).position(|(a, b)| a != b);
    let text = match (swapped, first) {
        (true, _) => "the bytes of every pair are swapped".to_owned(),
        (_, Some(first)) => format!(
            "byte {first} is the first of {} that differs; the other side has {}",
            expected.len(),
            found.len()
        ),
        (_, None) => format!("{} bytes of {}", found.len(), expected.len()),
    };
    Cause::new(Kind::Bytes, text)
}

/// The size of a difference in words.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [y, x, c] = self.first;
        write!(
            f,
            "{} of {} differ, by {:.4} at most; first at row {y}, column {x}, channel {c}: {} is {}",
            self.different, self.values, self.largest, self.expected, self.found
        )
    }
}
