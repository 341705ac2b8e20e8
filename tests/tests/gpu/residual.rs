//! Additions that convolutions do as they store: the same scores as with all
//! tensors kept, where nothing is merged, and as `core`; and where they must not.

use std::sync::Arc;

use foveola::backend::core::{CoreBackend, ModelFile};
use foveola::backend::gpu::{Gpu, GpuBackend, ShaderKind, Storage};
use foveola::compile::{CompileOptions, compile};
use foveola_core::net::op::{Activation, Arithmetic, Op};
use foveola_core::{At, Classifier, Masked, Picture, Rule, Score, Shape, TensorId};

use super::device;
use super::kernels::{CLASSES, Draft, card, close, geometry, values};

/// Of the largest score: products are contracted.
const TOLERANCE: f32 = 4e-6;

const PICTURES: usize = 5;

fn conv(side: u16, groups: u16) -> Op {
    let pad = side / 2;
    Op::Conv {
        geometry: geometry([side; 2], [1; 2], [1; 2], [pad; 2]),
        groups,
    }
}

/// The operands of the addition behind a trunk of so many channels.
enum Arms {
    /// The trunk and a convolution of it.
    Identity,
    /// Two convolutions of the trunk.
    Projection,
    /// A convolution of the trunk behind a ReLU.
    Rectified,
    /// A convolution of the trunk, twice.
    Twice,
    /// A convolution of the trunk and its mean over the picture.
    Mean,
}

struct Block {
    arms: Arms,
    channels: usize,
    groups: u16,
    /// Whether the convolution is the second operand.
    second: bool,
}

impl Block {
    fn arms(&self, draft: &mut Draft, trunk: TensorId, shape: Shape) -> [TensorId; 2] {
        let own = |draft: &mut Draft, activation| {
            draft.node(conv(3, self.groups), activation, &[trunk], shape)
        };
        match self.arms {
            Arms::Identity => [own(draft, Activation::None), trunk],
            Arms::Projection => {
                let other = draft.node(conv(1, 1), Activation::None, &[trunk], shape);
                [own(draft, Activation::None), other]
            }
            Arms::Rectified => [own(draft, Activation::Relu), trunk],
            Arms::Twice => [own(draft, Activation::None); 2],
            Arms::Mean => {
                let axes = [true, true, false];
                let flat = Shape::new(1, 1, shape.c);
                let mean = draft.node(Op::Mean { axes }, Activation::None, &[trunk], flat);
                [own(draft, Activation::None), mean]
            }
        }
    }

    fn file(&self) -> Arc<ModelFile> {
        let (input, shape) = (Shape::new(7, 9, 3), Shape::new(7, 9, self.channels));
        let mut draft = Draft::default();
        let picture = draft.tensor(input);
        let trunk = draft.node(conv(1, 1), Activation::Relu, &[picture], shape);
        let mut arms = self.arms(&mut draft, trunk, shape);
        if self.second {
            arms.reverse();
        }
        let add = Op::Binary(Arithmetic::Add);
        let sum = draft.node(add, Activation::Relu, &arms, shape);
        // The sum's room is used again, and so is the trunk's.
        let last = draft.node(conv(3, 1), Activation::None, &[sum], shape);
        let graph = draft.finish(picture, last);
        let compiled = compile(graph, &card(input), &CompileOptions::default());
        let compiled = compiled.expect("it compiles");
        Arc::new(ModelFile::new(&compiled.bytes).expect("it is sound"))
    }

    /// Whether a convolution does the addition.
    const fn merges(&self) -> bool {
        matches!(self.arms, Arms::Identity | Arms::Projection)
    }

    fn check(&self, gpu: &Arc<Gpu>) {
        let file = self.file();
        let mut core = CoreBackend::new(Arc::clone(&file), 1).expect("core starts");
        let mut ours = GpuBackend::new(Arc::clone(gpu), file, Storage::Full).expect("gpu starts");
        let steps: Vec<_> = ours.shaders().collect();
        let alone = steps.contains(&ShaderKind::Binary);
        assert_eq!(alone, !self.merges(), "{steps:?}");
        let adds = [ShaderKind::ConvScalarAdd, ShaderKind::ConvVectorAdd];
        let kind = adds[usize::from((self.channels / usize::from(self.groups)).is_multiple_of(4))];
        assert_eq!(steps.contains(&kind), self.merges(), "{steps:?}");
        let shape = core.input();
        let pictures: Vec<_> = (0..PICTURES).map(|i| values(shape.len(), i)).collect();
        let view = |i: usize| {
            let data = &pictures[i];
            Masked::whole(Picture::Tensor { shape, data })
        };
        let [expected, found] = [&mut core as &mut dyn Classifier, &mut ours].map(|classifier| {
            let mut all = Vec::new();
            let mut scratch = vec![0.0; CLASSES];
            let mut sink = |_: usize, scores: &[f32]| {
                all.push(scores.to_vec());
                Ok(())
            };
            classifier
                .classify_batch(PICTURES, &view, Score::Logit, &mut scratch, &mut sink)
                .expect("it runs");
            all
        });
        let layers = ours.layers().expect("a white box");
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            close(a, b, TOLERANCE, &format!("picture {i}"));
            layers
                .run(&view(i), At::Input, Rule::Gradient)
                .expect("it runs");
            let kept = layers.scores(Score::Logit).expect("scores");
            assert_eq!(a, kept, "picture {i}");
        }
    }
}

#[test]
fn additions_are_merged_where_they_may_be() {
    let Some(gpu) = device() else { return };
    for [channels, groups] in [[5, 1], [8, 1], [70, 1], [12, 3], [6, 2]] {
        for second in [false, true] {
            for arms in [
                Arms::Identity,
                Arms::Projection,
                Arms::Rectified,
                Arms::Twice,
                Arms::Mean,
            ] {
                let block = Block {
                    arms,
                    channels,
                    groups: groups as u16,
                    second,
                };
                block.check(&gpu);
            }
        }
    }
}
