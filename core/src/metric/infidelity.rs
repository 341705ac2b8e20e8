//! Infidelity: the attribution should say what a perturbation does to the score
//! (Yeh et al. 2019, arXiv 1901.09392).
//!
//! The mean, over perturbations I, of `(I . map - (f(x) - f(x - I)))^2`, with
//! the raw signed map. Scaled, the map is first multiplied by the factor that
//! makes this least, as maps have units of their own.

use super::pass::{Answer, Ask, Passes, check, cut, enough};
use super::signed::{elements, silent};
use super::table::{SCORE, baseline, parameter};
use super::{Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::explain::Cost;
use crate::mask::{Mask, Masked, Window};
use crate::picture::Picture;
use crate::rng::{self, Purpose};
use crate::tensor::Shape;

pub(super) const ROW: MetricRow = MetricRow {
    name: "infidelity",
    summary: "mean square of what the map says of a perturbation less what the score does",
    family: Family::Faithfulness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Scores,
    per_class: true,
    paper: "Yeh et al. 2019, arXiv 1901.09392",
    parameters: &[
        parameter("samples", "64", "perturbations"),
        parameter(
            "perturbation",
            "square",
            "square: a square goes; gaussian: noise on all of the picture",
        ),
        parameter(
            "size",
            "0.2",
            "side of the square by the short side, or deviation of the noise by the range",
        ),
        parameter(
            "scale",
            "true",
            "true: the map times the factor that suits it best",
        ),
        SCORE,
        baseline("black"),
    ],
};

/// Pictures that are ready at a time.
const BATCH: usize = 8;

/// How a picture is perturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Perturbation<'a> {
    /// A square shows the fill; its side is this share of the short side.
    Square(f32),
    /// Noise on every element; its deviation is this share of the picture's range.
    Gaussian(f32),
    /// These, one after the other, HWC, in model space; x - I is what is asked.
    Stored(&'a [f32]),
}

/// Mean square error of what a map says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Infidelity<'a> {
    /// Perturbations; of stored ones, no more than there are.
    pub samples: usize,
    /// How the picture is perturbed.
    pub perturbation: Perturbation<'a>,
    /// Whether the map is brought to the scale that suits it best.
    pub scale: bool,
    /// Score that moves.
    pub score: Score,
}

impl Default for Infidelity<'_> {
    fn default() -> Self {
        Self {
            samples: 64,
            perturbation: Perturbation::Square(0.2),
            scale: true,
            score: Score::Probability,
        }
    }
}

/// Sums over the perturbations: of what the map says, and what the score does.
#[derive(Default)]
struct Sums {
    count: usize,
    said: f64,
    both: f64,
    done: f64,
}

impl Sums {
    fn add(&mut self, said: f64, done: f64) {
        self.count += 1;
        self.said += said * said;
        self.both += said * done;
        self.done += done * done;
    }

    fn settle(&self, scale: bool) -> Scored {
        if self.done == 0.0 {
            return Scored::Undefined("the score never moves");
        }
        let factor = match scale {
            false => 1.0,
            true if self.said == 0.0 => {
                return Scored::Undefined("the map says nothing of any perturbation");
            }
            true => self.both / self.said,
        };
        let sum = factor * factor * self.said - 2.0 * factor * self.both + self.done;
        // Rounding may leave a perfect map a little below 0.
        Scored::finite(if sum > 0.0 {
            sum / self.count as f64
        } else {
            0.0
        })
    }
}

impl Infidelity<'_> {
    fn count(&self, input: Shape) -> usize {
        match self.perturbation {
            Perturbation::Stored(all) => self.samples.min(all.len() / input.len().max(1)),
            _ => self.samples,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let good = match self.perturbation {
            Perturbation::Square(share) => share > 0.0 && share <= 1.0,
            Perturbation::Gaussian(share) => share > 0.0 && share.is_finite(),
            Perturbation::Stored(_) => true,
        };
        match good && self.samples > 0 {
            true => Ok(()),
            false => Err(Error::BadParameter("perturbations of infidelity")),
        }
    }
}

/// One question, ready to be asked.
struct Desk<'d> {
    input: Shape,
    subject: &'d Subject<'d>,
    ask: Ask<'d>,
    /// One signed value an element.
    map: &'d mut [f32],
    /// Perturbed pictures.
    pictures: &'d mut [f32],
}

impl Desk<'_> {
    /// The window that goes in perturbation `i`.
    fn square(&self, share: f32, i: usize) -> Window {
        square(self.input, share, self.subject.seed, i)
    }

    /// Multiplies the map by what a hidden element loses.
    fn weigh(&mut self) -> Result<(), Error> {
        let row = self.input.row().max(1);
        let whole = Masked::whole(self.subject.picture);
        let hidden = Masked {
            fill: self.subject.fill,
            mask: Mask::Windows {
                boxes: &[],
                extra: None,
                reveal: true,
            },
            ..whole
        };
        let (shown, rest) = cut(self.pictures, row)?;
        let (gone, _) = cut(rest, row)?;
        for (y, map) in self.map.chunks_exact_mut(row).enumerate() {
            whole.row(y, shown)?;
            hidden.row(y, gone)?;
            for (map, (shown, gone)) in map.iter_mut().zip(shown.iter().zip(gone.iter())) {
                *map *= shown - gone;
            }
        }
        Ok(())
    }

    /// What the map says of a square that goes, once it is weighed.
    fn said(&self, window: Window) -> f64 {
        let rows = self.map.chunks_exact(self.input.row().max(1));
        let mut sum = 0.0;
        for row in rows.skip(window.y).take(window.h) {
            let pixels = row.iter().skip(window.x * self.input.c);
            let inside = pixels.take(window.w * self.input.c);
            sum += inside.map(|value| f64::from(*value)).sum::<f64>();
        }
        sum
    }

    /// Takes squares away.
    fn squares(
        &mut self,
        classifier: &mut dyn Classifier,
        (share, count, whole): (f32, usize, f64),
        passes: &mut Passes<'_>,
        sums: &mut Sums,
    ) -> Result<(), Error> {
        self.weigh()?;
        let (input, subject) = (self.input, self.subject);
        let view = |i: usize| Masked {
            picture: subject.picture,
            fill: subject.fill,
            mask: Mask::Windows {
                boxes: &[],
                extra: Some(square(input, share, subject.seed, i)),
                reveal: false,
            },
        };
        let said = |desk: &Self, i: usize| desk.said(desk.square(share, i));
        let mut done = [0.0; BATCH];
        let mut first = 0;
        while first < count {
            let batch = BATCH.min(count - first);
            let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
                if let Some(place) = done.get_mut(i) {
                    *place = whole - answer.score;
                }
            };
            let view = |i: usize| view(first + i);
            self.ask.all(classifier, batch, &view, passes, &mut sink)?;
            for (i, done) in done.iter().take(batch).enumerate() {
                sums.add(said(self, first + i), *done);
            }
            first += batch;
        }
        Ok(())
    }

    /// Writes `x - I` of one perturbation into its place; what the map says of it.
    fn perturb(&mut self, by: &Noise<'_>, place: usize, i: usize) -> Result<f64, Error> {
        let len = self.input.len();
        let picture = self.pictures.iter_mut().skip(place * len).take(len);
        let whole = Masked::whole(self.subject.picture);
        let mut said = 0.0;
        let mut elements = picture.zip(self.map.iter()).enumerate();
        let mut noise = by.values(self.subject.seed, i, len);
        for y in 0..self.input.h {
            for x in 0..self.input.w {
                for c in 0..self.input.c {
                    let own = whole.picture.value(y, x, c)?;
                    let (Some((_, (out, map))), Some(noise)) = (elements.next(), noise.next())
                    else {
                        return Err(Error::Internal);
                    };
                    *out = own - noise;
                    said += f64::from(noise) * f64::from(*map);
                }
            }
        }
        Ok(said)
    }

    /// Adds noise.
    fn noises(
        &mut self,
        classifier: &mut dyn Classifier,
        (by, count, whole): (Noise<'_>, usize, f64),
        passes: &mut Passes<'_>,
        sums: &mut Sums,
    ) -> Result<(), Error> {
        let mut first = 0;
        while first < count {
            let batch = BATCH.min(count - first);
            let (mut said, mut done) = ([0.0; BATCH], [0.0; BATCH]);
            for (i, said) in said.iter_mut().take(batch).enumerate() {
                *said = self.perturb(&by, i, first + i)?;
            }
            let (input, pictures) = (self.input, &*self.pictures);
            let view = |i: usize| {
                Masked::whole(Picture::Tensor {
                    shape: input,
                    data: pictures.get(i * input.len()..).unwrap_or_default(),
                })
            };
            let mut sink = |i: usize, answer: Answer, _: &mut dyn Witness| {
                if let Some(place) = done.get_mut(i) {
                    *place = whole - answer.score;
                }
            };
            self.ask.all(classifier, batch, &view, passes, &mut sink)?;
            for (said, done) in said.iter().zip(&done).take(batch) {
                sums.add(*said, *done);
            }
            first += batch;
        }
        Ok(())
    }
}

/// The square that goes in perturbation `i`.
fn square(input: Shape, share: f32, seed: u64, i: usize) -> Window {
    let short = input.h.min(input.w);
    let side = libm::roundf(share * short as f32) as usize;
    let side = side.max(1).min(short);
    let [y, x, ..] = rng::words(seed, i as u32, 0, 0, Purpose::PerturbationSquare);
    let place = |word, length: usize| rng::below(word, (length - side + 1) as u32) as usize;
    Window {
        y: place(y, input.h),
        x: place(x, input.w),
        c: 0,
        h: side,
        w: side,
        d: input.c,
    }
}

/// Noise of known deviation, or stored.
enum Noise<'a> {
    Gaussian(f32),
    Stored(&'a [f32]),
}

impl Noise<'_> {
    /// The elements of perturbation `i`.
    fn values(&self, seed: u64, i: usize, len: usize) -> impl Iterator<Item = f32> + '_ {
        (0..len).map(move |element| match self {
            Self::Stored(all) => all.get(i * len + element).copied().unwrap_or(0.0),
            Self::Gaussian(deviation) => {
                let (index, place) = ((element / 4) as u32, element % 4);
                let purpose = Purpose::PerturbationNoise;
                let normals = rng::four_normals(rng::words(seed, i as u32, index, 0, purpose));
                deviation * normals.get(place).copied().unwrap_or(0.0)
            }
        })
    }
}

impl Metric for Infidelity<'_> {
    fn cost(&self, input: Shape, classes: usize, _explanation: Cost) -> Cost {
        let pictures = match self.perturbation {
            Perturbation::Square(_) => 2 * input.row(),
            _ => BATCH.min(self.count(input)) * input.len(),
        };
        Cost {
            forward: self.count(input) as u64 + 1,
            backward: 0,
            scratch: classes + input.len() + pictures,
        }
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        self.check()?;
        let input = check(classifier, subject)?;
        let (scores, scratch) = cut(scratch, classifier.classes())?;
        let (map, pictures) = cut(scratch, input.len())?;
        elements(&subject.attribution, input, map)?;
        if let Some(reason) = silent(map) {
            return Ok(Scored::Undefined(reason));
        }
        let count = self.count(input);
        if count == 0 {
            return Err(Error::BadParameter("perturbations of infidelity"));
        }
        let mut passes = Passes::new(witness, count + 1);
        let mut ask = Ask {
            score: self.score,
            target: subject.target,
            scores,
        };
        let whole = ask.one(classifier, &Masked::whole(subject.picture), &mut passes)?;
        let mut desk = Desk {
            input,
            subject,
            ask,
            map,
            pictures,
        };
        let mut sums = Sums::default();
        let noise = match self.perturbation {
            Perturbation::Square(share) => {
                desk.squares(classifier, (share, count, whole), &mut passes, &mut sums)?;
                return Ok(sums.settle(self.scale));
            }
            Perturbation::Gaussian(share) => Noise::Gaussian(share * range(subject.picture)?),
            Perturbation::Stored(all) => Noise::Stored(all),
        };
        enough(BATCH.min(count) * input.len(), desk.pictures.len())?;
        desk.noises(classifier, (noise, count, whole), &mut passes, &mut sums)?;
        Ok(sums.settle(self.scale))
    }
}

/// Difference of a picture's greatest and least value.
fn range(picture: Picture<'_>) -> Result<f32, Error> {
    let shape = picture.shape();
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for y in 0..shape.h {
        for x in 0..shape.w {
            for c in 0..shape.c {
                let value = picture.value(y, x, c)?;
                least = if value < least { value } else { least };
                most = if value > most { value } else { most };
            }
        }
    }
    Ok(most - least)
}
