//! What a method borrows on a board besides map, scratch and arena, and which
//! passes its arena serves.

use foveola_core::explain::anchors::Arm;
use foveola_core::explain::{Anchors, KernelShap, Lime};
use foveola_core::net::model::{Model, Pass};
use foveola_core::segment::{flatten_scratch, grid_of};
use foveola_core::{At, Picture};

use super::memory::{ALIGNMENT, blurring_bytes};
use super::picture_bytes;
use crate::method_spec::{Asking, Baseline, Cutting, Hiding, LayerMethod, MethodSpec, Parameters};

// A set of segments holds no pointers, so it is as long on a board.
const _: () = assert!(size_of::<Arm>() == 40);

/// Bytes that a method borrows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// A second picture, which hides parts of the first.
    pub other: usize,
    /// What making it takes besides the result, before the question is asked.
    pub making: usize,
    /// The segment of each pixel.
    pub labels: usize,
    /// Sums over the segments, sets of them.
    pub sums: usize,
}

/// The passes whose plans a method needs whose layer is `at`.
pub fn passes(spec: &MethodSpec, at: Option<At>) -> Vec<Pass> {
    let down = Pass::Backward(at.unwrap_or(At::Input));
    match &spec.parameters {
        Parameters::Relevance(_) => vec![Pass::Relevance],
        Parameters::OnLayer { kind, .. } => match kind {
            LayerMethod::Guided { .. } => vec![down, Pass::Backward(At::Input)],
            LayerMethod::Score { .. } => vec![down, Pass::Forward],
            _ => vec![down],
        },
        Parameters::GradCam { .. } => vec![down],
        Parameters::MeaningfulPerturbation { .. } => vec![Pass::Backward(At::Input)],
        _ if spec.needs_gradients() => vec![Pass::Backward(At::Input)],
        _ => vec![Pass::Forward],
    }
}

/// Bytes of an arena that serves all of them.
pub fn arena(model: &Model<'_>, passes: &[Pass]) -> usize {
    let plans = passes.iter().filter_map(|pass| model.plan(*pass));
    plans.map(|plan| plan.arena_len()).max().unwrap_or(0)
}

/// The one picture that hides, if the method has one.
fn baseline(spec: &MethodSpec) -> Option<Baseline> {
    match &spec.parameters {
        Parameters::Occlusion { baseline, .. }
        | Parameters::Rise { baseline, .. }
        | Parameters::Hoc { baseline, .. }
        | Parameters::MeaningfulPerturbation { baseline, .. }
        | Parameters::Aise { baseline, .. }
        | Parameters::OnLayer {
            kind: LayerMethod::Score { baseline, .. },
            ..
        } => Some(*baseline),
        Parameters::Path { baselines, .. } => baselines.first().copied(),
        Parameters::Segmented(segmented) => match segmented.hiding {
            Hiding::Baseline(baseline) => Some(baseline),
            Hiding::Mean => None,
        },
        _ => None,
    }
}

const fn up(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

impl Lent {
    /// What the method borrows for a picture.
    pub fn of(spec: &MethodSpec, picture: &Picture<'_>) -> Self {
        let shape = picture.shape();
        let mut lent = Self::default();
        if baseline(spec) == Some(Baseline::Blur) {
            (lent.other, lent.making) = (picture_bytes(picture), blurring_bytes(shape));
        }
        let Parameters::Segmented(segmented) = &spec.parameters else {
            return lent;
        };
        let Cutting::Grid(count) = segmented.cutting else {
            return lent;
        };
        let [rows, columns] = grid_of(shape, count);
        let pieces = rows * columns;
        lent.labels = 2 * shape.area();
        if segmented.hiding == Hiding::Mean {
            lent.other = picture_bytes(picture);
            lent.making = 8 * flatten_scratch(pieces, shape.c);
        }
        lent.sums = match segmented.asking {
            Asking::Lime { .. } => 8 * Lime::storage(pieces, 1),
            Asking::KernelShap { .. } => 8 * KernelShap::storage(pieces, 1),
            Asking::Sobol { .. } => 16,
            Asking::Anchors { beam, .. } => size_of::<Arm>() * Anchors::arms(pieces, beam),
            _ => 0,
        };
        lent
    }

    /// All of it while the question is asked, each as the firmware rounds it.
    pub const fn asking(&self) -> usize {
        up(self.other) + up(self.labels) + up(self.sums)
    }

    /// All of it while the second picture is made.
    pub const fn preparing(&self) -> usize {
        up(self.other) + up(self.labels) + up(self.making)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foveola_core::Shape;
    use foveola_core::picture::Normalisation;

    /// By hand: 96 x 96 pixels of 3 channels in 7 x 7 pieces.
    #[test]
    fn lime_on_a_picture_of_96() {
        let data = vec![0; 96 * 96 * 3];
        let normalisation = Normalisation::IDENTITY;
        let picture = Picture::Pixels {
            shape: Shape::new(96, 96, 3),
            data: &data,
            normalisation: &normalisation,
        };
        let spec: MethodSpec = "lime:segments=grid,count=49".parse().expect("a method");
        let lent = Lent::of(&spec, &picture);
        assert_eq!((lent.other, lent.labels), (27_648, 18_432));
        assert_eq!(lent.making, 8 * 49 * 4);
    }
}
