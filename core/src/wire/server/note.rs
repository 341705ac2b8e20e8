//! What a work leaves in the log.

use super::{Desk, Job, Platform, Task};
use crate::audit::record::Event;
use crate::wire::message::{End, Ended, Format};
use crate::wire::question::{ROOM, spell};

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
            Task::Explain(explain) | Task::ExplainEdits(explain) if !failed => {
                let mut text = [0; ROOM];
                let method = spell(&explain, &mut text);
                platform.note(&Event::Explanation { class, method }, input, output);
            }
            _ => {}
        }
    }
}
