//! What a work leaves in the log.

use super::{Desk, Job, Platform, Task};
use crate::audit::record::Event;
use crate::wire::message::{Call, End, Ended, Explain, Format};

/// Most bytes of a method with its question, as [`Event::Explanation`] keeps them.
pub const ROOM: usize = 128;

impl Desk<'_> {
    /// Tells the log of a work that has ended. Tensors in model space are
    /// questions of a host that works by itself; only pictures are told.
    pub(super) fn note(&self, job: &Job, ended: &Ended<'_>, platform: &mut dyn Platform) {
        let picture = self.picture.filter(|p| p.format == Format::Pixels);
        let Some(picture) = picture else { return };
        let input = self.work.get(..picture.length).unwrap_or_default();
        let output = self.work.get(self.result.clone()).unwrap_or_default();
        let class = u16::try_from(ended.target).unwrap_or(u16::MAX);
        let failed = matches!(ended.end, End::Failed(_));
        match job.task {
            Task::SelfTest => {
                let failed = u16::from(failed);
                platform.note(&Event::SelfTest { cases: 1, failed }, input, output);
            }
            Task::Classify(_) if !failed => {
                let score = output.as_chunks().0.get(usize::from(class));
                let score = score.map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
                platform.note(&Event::Answer { class, score }, input, output);
            }
            Task::Explain(explain) if !failed => {
                let mut text = [0; ROOM];
                let method = spell(&explain, &mut text);
                platform.note(&Event::Explanation { class, method }, input, output);
            }
            _ => {}
        }
    }
}

/// The method's name, a space, and the question as it came over the line, in
/// hexadecimal digits; what is longer than there is room for is left out.
pub fn spell<'t>(explain: &Explain, text: &'t mut [u8; ROOM]) -> &'t str {
    let name: &[u8] = match explain.method {
        Call::Gradient => b"gradient ",
        Call::Deconvolution => b"deconvolution ",
        Call::GuidedBackprop => b"guided-backprop ",
        Call::GradCam { .. } => b"grad-cam ",
        Call::Occlusion { .. } => b"occlusion ",
        Call::Rise { .. } => b"rise ",
        Call::Hoc { .. } => b"hoc ",
    };
    let mut question = [0; ROOM];
    let question = postcard::to_slice(explain, &mut question).unwrap_or_default();
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let digits = question.iter().flat_map(|b| [b >> 4, b & 15].map(digit));
    let mut length = 0;
    for (to, from) in text.iter_mut().zip(name.iter().copied().chain(digits)) {
        *to = from;
        length += 1;
    }
    let said = text.get(..length).unwrap_or_default();
    str::from_utf8(said).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_as_it_came() {
        let explain = Explain {
            method: Call::GradCam {
                layer: Some(300),
                relu: true,
            },
            target: None,
            score: None,
            seed: 16,
        };
        // 3: grad-cam; 1 and 300 as a varint: the layer; 1; no target; no score; 16.
        assert_eq!(spell(&explain, &mut [0; ROOM]), "grad-cam 0301ac0201000010");
    }
}
