//! Relevance mass and relevance rank accuracy (Arras et al. 2022, Information
//! Fusion 81, arXiv 2003.07258): where the raw attribution lies, its channels
//! pooled to one relevance a pixel.

use super::pass::{cut, enough};
use super::subject::{FLAT, Refusal, region, settle, share_inside, sound, strongest_inside};
use super::table::parameter;
use super::{
    Attribution, Better, Explain, Family, Metric, MetricRow, Needs, Scored, Subject, Witness,
};
use crate::classifier::Classifier;
use crate::error::Error;
use crate::explain::{Cost, Parameter, upsample_bilinear};
use crate::tensor::Shape;

pub(super) const RANK: MetricRow = MetricRow {
    name: "relevance-rank",
    summary: "of as many most relevant pixels as the object has, the share on it",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "Arras et al. 2022, arXiv 2003.07258",
    parameters: &[POOLING],
};

const POOLING: Parameter = parameter(
    "pooling",
    "positive-sum",
    "positive-sum or squares: how the channels become one relevance",
);

pub(super) const MASS: MetricRow = MetricRow {
    name: "relevance-mass",
    summary: "share of the raw attribution that lies on the object",
    family: Family::Localization,
    range: [0.0, 1.0],
    better: Better::Higher,
    needs: Needs::Region,
    per_class: true,
    paper: "Arras et al. 2022, arXiv 2003.07258",
    parameters: &[POOLING],
};

/// How the channels of an attribution become one relevance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their sum where it is positive: what speaks for the class.
    #[default]
    PositiveSum,
    /// The sum of their squares: what matters either way.
    Squares,
}

impl Pooling {
    fn pool(self, pixel: &[f32]) -> f32 {
        match self {
            Self::PositiveSum => {
                let sum = pixel.iter().sum::<f32>();
                if sum <= 0.0 { 0.0 } else { sum }
            }
            Self::Squares => pixel.iter().map(|v| v * v).sum(),
        }
    }

    /// One relevance a pixel of the input; an attribution of another size is
    /// enlarged bilinearly. `scratch` begins with the relevances.
    fn relevance<'s>(
        self,
        attribution: &Attribution<'_>,
        input: Shape,
        scratch: &'s mut [f32],
    ) -> Result<(&'s [f32], &'s mut [f32]), Refusal> {
        let Attribution { shape, values, .. } = *attribution;
        enough(shape.len(), values.len())?;
        let pool = |values: &[f32], to: &mut [f32]| {
            for (to, pixel) in to.iter_mut().zip(values.chunks_exact(shape.c.max(1))) {
                *to = self.pool(pixel);
            }
        };
        let (relevance, rest) = cut(scratch, input.area())?;
        enough(input.area(), rest.len())?;
        if (shape.h, shape.w) == (input.h, input.w) {
            pool(values, relevance);
        } else {
            let (small, _) = cut(rest, shape.area())?;
            pool(values, small);
            let (from, to) = ([shape.h, shape.w], [input.h, input.w]);
            upsample_bilinear(small, from, to, relevance)?;
        }
        sound(relevance)?;
        Ok((relevance, rest))
    }
}

/// Scratch of both: relevances, and a map to enlarge or an order.
const fn cost(input: Shape) -> Cost {
    Cost {
        scratch: 2 * input.area(),
        ..super::FREE
    }
}

/// The relevance on the object by all relevance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelevanceMass {
    /// How channels become one relevance.
    pub pooling: Pooling,
}

impl RelevanceMass {
    fn share(
        self,
        subject: &Subject<'_>,
        input: Shape,
        scratch: &mut [f32],
    ) -> Result<f64, Refusal> {
        let (region, _) = region(subject, input)?;
        let pooling = self.pooling;
        let (relevance, _) = pooling.relevance(&subject.attribution, input, scratch)?;
        Ok(share_inside(relevance, region))
    }
}

impl Metric for RelevanceMass {
    fn cost(&self, input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        cost(input)
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        _witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.share(subject, classifier.input(), scratch))
    }
}

/// Of as many of the most relevant pixels as the object has, the share that
/// lies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelevanceRank {
    /// How channels become one relevance.
    pub pooling: Pooling,
}

impl RelevanceRank {
    fn share(
        self,
        subject: &Subject<'_>,
        input: Shape,
        scratch: &mut [f32],
    ) -> Result<f64, Refusal> {
        let (region, inside) = region(subject, input)?;
        let pooling = self.pooling;
        let (relevance, rest) = pooling.relevance(&subject.attribution, input, scratch)?;
        if super::agreement::is_flat(relevance) {
            return Err(Refusal::Undefined(FLAT));
        }
        Ok(strongest_inside(relevance, region, inside, rest)?)
    }
}

impl Metric for RelevanceRank {
    fn cost(&self, input: Shape, _classes: usize, _explanation: Cost) -> Cost {
        cost(input)
    }

    fn score(
        &self,
        classifier: &mut dyn Classifier,
        subject: &Subject<'_>,
        _explain: &mut dyn Explain,
        scratch: &mut [f32],
        _witness: &mut dyn Witness,
    ) -> Result<Scored, Error> {
        settle(self.share(subject, classifier.input(), scratch))
    }
}
