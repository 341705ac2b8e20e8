//! Maps of pictures that hardly differ from the one that was explained.

use super::pass::{Passes, cut};
use super::subject::{NO_EVIDENCE, NO_MAP, Refusal};
use super::table::parameter;
use super::{Explain, Subject, Witness};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::{Cost, Parameter};
use crate::picture::Picture;
use crate::rng::{Purpose, unit, words};
use crate::tensor::Shape;

/// What is added to a picture in model space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise<'a> {
    /// Each element is drawn evenly between minus this and this.
    pub radius: f32,
    /// Pictures that are made.
    pub samples: u32,
    /// Noise to use instead, one picture after the other, HWC.
    pub stored: Option<&'a [f32]>,
}

/// Parameters of the metrics that draw noise.
pub(super) const fn parameters(radius: &'static str) -> [Parameter; 2] {
    let help = "largest change of an input element, in model space";
    [
        parameter("radius", radius, help),
        parameter("samples", "10", "changed pictures that are explained"),
    ]
}

impl Noise<'_> {
    /// Random noise.
    #[must_use]
    pub const fn random(radius: f32, samples: u32) -> Self {
        Self {
            radius,
            samples,
            stored: None,
        }
    }

    /// What explanations of all samples cost, and room for a picture and a map.
    pub(super) fn cost(&self, input: Shape, explanation: Cost) -> Cost {
        let samples = u64::from(self.samples);
        Cost {
            forward: samples * explanation.forward,
            backward: samples * explanation.backward,
            scratch: input.len() + input.area(),
        }
    }

    fn check(&self, input: Shape) -> Result<(), Error> {
        if self.samples == 0 {
            return Err(Error::BadParameter("number of perturbed pictures"));
        }
        let need = self.samples as usize * input.len();
        match self.stored.map(<[f32]>::len) {
            Some(have) if have < need => Err(Error::BufferTooSmall { need, have }),
            None if !(self.radius > 0.0 && self.radius.is_finite()) => {
                Err(Error::BadParameter("radius of the noise"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the picture of `sample` into `out`, and returns the length of the noise.
    pub(super) fn add(
        &self,
        subject: &Subject<'_>,
        (sample, draw): (u32, u32),
        out: &mut [f32],
    ) -> Result<f64, Error> {
        let shape = subject.picture.shape();
        let mut index = 0;
        let mut squares = 0.0;
        for (block, elements) in (0..).zip(out.chunks_mut(4)) {
            let words = words(subject.seed, sample, draw, block, Purpose::Perturbation);
            for (element, word) in elements.iter_mut().zip(words) {
                let value = element_of(&subject.picture, shape, index)?;
                *element = value + self.at(sample, shape.len(), index, word);
                let moved = f64::from(*element) - f64::from(value);
                squares += moved * moved;
                index += 1;
            }
        }
        Ok(libm::sqrt(squares))
    }

    fn at(&self, sample: u32, len: usize, index: usize, word: u32) -> f32 {
        match self.stored {
            Some(stored) => {
                let place = sample as usize * len + index;
                stored.get(place).copied().unwrap_or(0.0)
            }
            None => (2.0 * unit(word) - 1.0) * self.radius,
        }
    }
}

/// Element number `index`, HWC, in model space.
fn element_of(picture: &Picture<'_>, shape: Shape, index: usize) -> Result<f32, Error> {
    let pixel = index / shape.c.max(1);
    let (y, x) = (pixel / shape.w.max(1), pixel % shape.w.max(1));
    picture.value(y, x, index % shape.c.max(1))
}

/// How far a changed picture and its map are from the original ones, by
/// Euclid's norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Distance of the maps.
    pub map: f64,
    /// Length of the original map.
    pub length: f64,
    /// Distance of the pictures.
    pub picture: f64,
}

/// Chooses among pictures: draws sample number `.0` into the buffer and
/// returns the length of its noise.
pub(super) type Draw<'d> =
    dyn FnMut(&mut dyn Classifier, u32, &mut [f32]) -> Result<f64, Error> + 'd;

/// Explains all samples as `draw` makes them and hands each change to `sink`.
/// A map has as many weights as the subject's evidence, and as only distances
/// matter, they may be negative.
pub(super) fn changes(
    noise: &Noise<'_>,
    (classifier, explain): (&mut dyn Classifier, &mut dyn Explain),
    subject: &Subject<'_>,
    scratch: &mut [f32],
    witness: &mut dyn Witness,
    (draw, sink): (&mut Draw<'_>, &mut dyn FnMut(Change)),
) -> Result<(), Refusal> {
    let input = super::pass::check(classifier, subject)?;
    noise.check(input)?;
    let own = subject.evidence;
    measurable(own)?;
    let (data, rest) = cut(scratch, input.len())?;
    let (map, _) = cut(rest, own.len())?;
    let length = distance(own, core::iter::repeat(&0.0));
    let mut passes = Passes::new(witness, noise.samples as usize);
    for sample in 0..noise.samples {
        let picture = draw(classifier, sample, data)?;
        let shape = input;
        let changed = Picture::Tensor { shape, data };
        if !explain.evidence(classifier, changed, subject.target, map)? {
            return Err(Refusal::Undefined(NO_MAP));
        }
        sink(Change {
            map: distance(own, map.iter()),
            length,
            picture,
        });
        passes.step()?;
    }
    Ok(())
}

/// Whether a map has a length.
fn measurable(map: &[f32]) -> Result<(), Refusal> {
    if !map.iter().all(|v| v.is_finite()) {
        Err(Refusal::Undefined("the evidence is not finite"))
    } else if map.iter().all(|v| *v == 0.0) {
        Err(Refusal::Undefined(NO_EVIDENCE))
    } else {
        Ok(())
    }
}

/// Euclid's distance.
pub(super) fn distance<'v>(a: &[f32], b: impl Iterator<Item = &'v f32>) -> f64 {
    let square = |(a, b): (&f32, &f32)| {
        let d = f64::from(*a) - f64::from(*b);
        d * d
    };
    libm::sqrt(a.iter().zip(b).map(square).sum())
}

/// As [`changes`], with each sample's first draw.
pub(super) fn plain(
    noise: &Noise<'_>,
    asked: (&mut dyn Classifier, &mut dyn Explain),
    subject: &Subject<'_>,
    scratch: &mut [f32],
    witness: &mut dyn Witness,
    sink: &mut dyn FnMut(Change),
) -> Result<(), Refusal> {
    let mut draw =
        |_: &mut dyn Classifier, sample, out: &mut [f32]| noise.add(subject, (sample, 0), out);
    changes(noise, asked, subject, scratch, witness, (&mut draw, sink))
}
