//! Whether a model and a method fit into a number of bytes, known when the
//! firmware is built.
//!
//! ```
//! use foveola_firmware::fits;
//! use foveola_firmware::fits::Question;
//!
//! const MODEL: &[u8] = include_bytes!(concat!(
//!     env!("CARGO_MANIFEST_DIR"),
//!     "/../core/fixtures/small.fov"
//! ));
//! const _: () = fits!(MODEL, Question::Rise, 1_908);
//! ```
//!
//! What does not fit does not build:
//!
//! ```compile_fail
//! # use foveola_firmware::fits;
//! # use foveola_firmware::fits::Question;
//! const MODEL: &[u8] = include_bytes!(concat!(
//!     env!("CARGO_MANIFEST_DIR"),
//!     "/../core/fixtures/small.fov"
//! ));
//! const _: () = fits!(MODEL, Question::Rise, 1_907);
//! ```

use core::mem::{offset_of, size_of};

use foveola_core::net::format::{
    Header, NetworkRecord, SectionRecord, TO_INPUT, TensorRecord, arena_len, pass, section,
};

/// A method with the parameters that decide its memory, for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Scores alone.
    Classify,
    /// Gradient, deconvolution, guided backpropagation.
    Gradient,
    /// Grad-CAM at the tensor of this id, which has a plan.
    GradCam(u16),
    /// Occlusion whose windows hide all channels.
    Occlusion,
    /// RISE without coverage.
    Rise,
    /// HOC, without its tree.
    Hoc,
}

/// Bytes that a question takes beside stack and picture: the arena of its
/// pass, one map, scratch. `None` if the file has no plan for it or is none.
#[must_use]
pub const fn memory(file: &[u8], question: Question) -> Option<usize> {
    let (code, to) = match question {
        Question::Gradient => (pass::BACKWARD, TO_INPUT),
        Question::GradCam(id) => (pass::BACKWARD, id),
        _ => (pass::FORWARD, TO_INPUT),
    };
    let Some(arena) = arena_len(file, code, to) else {
        return None;
    };
    let Some(floats) = floats(file, question) else {
        return None;
    };
    Some(arena + 4 * floats)
}

/// Elements of the map, and of scratch as `Method::cost` states it (without a
/// map, the scores).
const fn floats(file: &[u8], question: Question) -> Option<usize> {
    let Some([h, w, c]) = shape(file, network_id(file, offset_of!(NetworkRecord, input))) else {
        return None;
    };
    let logits = network_id(file, offset_of!(NetworkRecord, logits));
    let Some([_, _, classes]) = shape(file, logits) else {
        return None;
    };
    Some(match question {
        Question::Classify => classes,
        Question::Gradient => h * w * c,
        Question::GradCam(id) => match shape(file, Some(id as usize)) {
            Some([rows, columns, channels]) => rows * columns + channels,
            None => return None,
        },
        Question::Occlusion => h * w + classes + 1,
        Question::Rise => h * w + classes + w + 2,
        Question::Hoc => h * w + classes,
    })
}

/// Shape of a tensor.
const fn shape(file: &[u8], id: Option<usize>) -> Option<[usize; 3]> {
    let (Some(tensors), Some(id)) = (section_of(file, section::TENSORS), id) else {
        return None;
    };
    let at = tensors + id * size_of::<TensorRecord>() + offset_of!(TensorRecord, shape);
    if at + 12 > file.len() {
        return None;
    }
    Some([word(file, at), word(file, at + 4), word(file, at + 8)])
}

/// An id of the network record.
const fn network_id(file: &[u8], offset: usize) -> Option<usize> {
    match section_of(file, section::NETWORK) {
        Some(at) if at + offset + 4 <= file.len() => Some(word(file, at + offset) & 0xffff),
        _ => None,
    }
}

/// First byte of a section.
const fn section_of(file: &[u8], kind: u16) -> Option<usize> {
    let mut i = 0;
    while i < section::COUNT {
        let at = size_of::<Header>() + i * size_of::<SectionRecord>();
        if at + size_of::<SectionRecord>() > file.len() {
            return None;
        }
        if word(file, at) & 0xffff == kind as usize {
            return Some(word(file, at + offset_of!(SectionRecord, offset)));
        }
        i += 1;
    }
    None
}

const fn word(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize
}

/// Fails the build if the model, asked this [`fits::Question`](crate::fits::Question),
/// takes more than so many bytes: `const _: () = fits!(MODEL, Question::Rise, 50_000);`
/// Stack and picture are not counted.
#[macro_export]
macro_rules! fits {
    ($model:expr, $question:expr, $bytes:expr) => {
        match $crate::fits::memory($model, $question) {
            Some(need) if need <= $bytes => {}
            Some(_) => panic!("the model takes more memory than that"),
            None => panic!("the model has no plan for this question"),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use foveola_core::explain::hoc::Storage;
    use foveola_core::explain::{GradCam, Gradient, Hoc, HocMethod, Method, Occlusion, Rise};
    use foveola_core::net::arch::Isa;
    use foveola_core::net::format::Aligned;
    use foveola_core::net::model::{Model, Pass};
    use foveola_core::net::session::Session;
    use foveola_core::{At, Classifier};
    use std::cell::RefCell;

    static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("../../core/fixtures/small.fov"));

    /// What the methods themselves say, and the plans.
    #[test]
    fn as_the_methods_say() {
        let model = Model::from_bytes(&FILE.0).expect("it is sound");
        let mut arena = Aligned([0; 16]);
        let mut session = Session::new(&model, &mut arena.0, Isa::portable()).expect("aligned");
        let layer = model.passes().find_map(|pass| match pass {
            Pass::Backward(At::Tensor(id)) => Some(id),
            _ => None,
        });
        let layer = layer.expect("a layer with a plan");
        let at = At::Tensor(layer);
        let cam = GradCam {
            layer: Some(at),
            relu: true,
        };
        let hoc = HocMethod {
            hoc: Hoc::default(),
            storage: RefCell::new(Storage {
                steps: &mut [],
                boxes: &mut [],
            }),
        };
        let (occlusion, rise) = (Occlusion::default(), Rise::default());
        let cases: [(Question, &dyn Method, Pass); 5] = [
            (Question::Gradient, &Gradient, Pass::Backward(At::Input)),
            (Question::GradCam(layer.0), &cam, Pass::Backward(at)),
            (Question::Occlusion, &occlusion, Pass::Forward),
            (Question::Rise, &rise, Pass::Forward),
            (Question::Hoc, &hoc, Pass::Forward),
        ];
        for (question, method, pass) in cases {
            let map = method.map_shape(&mut session).expect("a shape").len();
            let scratch = method.cost(&mut session, 1).expect("a cost").scratch;
            let arena = model.plan(pass).expect("a plan").arena_len();
            let need = arena + 4 * (map + scratch);
            assert_eq!(memory(&FILE.0, question), Some(need), "{question:?}");
        }
        let forward = model.plan(Pass::Forward).expect("a plan").arena_len();
        let scores = 4 * session.classes();
        assert_eq!(memory(&FILE.0, Question::Classify), Some(forward + scores));
    }

    #[test]
    fn files_that_end_early() {
        for length in 0..400 {
            assert_eq!(memory(&FILE.0[..length], Question::Rise), None, "{length}");
        }
        assert_eq!(memory(&FILE.0, Question::GradCam(0)), None);
    }
}
