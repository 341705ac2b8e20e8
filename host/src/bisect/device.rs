//! A device on the link as the other side.

use foveola_core::Shape;
use foveola_core::net::model::Model;
use image::RgbImage;

use super::BisectError;
use super::network::Data;
use super::witness::{Layer, Witness};
use crate::link::Remote;
use crate::photo::Intake;
use crate::photo::variants::stored;

/// A device, and the model that it should run.
pub struct Board<'a> {
    remote: &'a mut Remote,
    intake: Intake<'a>,
    digest: [u8; 32],
}

impl<'a> Board<'a> {
    /// `digest` is the model file's. The picture must be there already.
    pub const fn new(remote: &'a mut Remote, intake: Intake<'a>, digest: [u8; 32]) -> Self {
        Self {
            remote,
            intake,
            digest,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

impl Witness for Board<'_> {
    fn other_model(&mut self) -> Result<Option<String>, BisectError> {
        let facts = self.remote.refresh()?;
        let active = facts.slots.get(usize::from(facts.active));
        let Some(slot) = active else {
            return Err(BisectError::NoModel);
        };
        if facts.input != self.intake.shape {
            let Shape { h, w, c } = facts.input;
            let reason = format!("its input is {h} x {w} x {c}");
            return Err(BisectError::OtherNetwork { reason });
        }
        Ok((slot.sha256 != self.digest).then(|| {
            format!(
                "the device runs the model file {}, not {}",
                hex(&slot.sha256),
                hex(&self.digest)
            )
        }))
    }

    fn bytes(&mut self) -> Result<Option<Vec<u8>>, BisectError> {
        Ok(None)
    }

    fn decoded(&mut self) -> Result<Option<RgbImage>, BisectError> {
        Ok(None)
    }

    fn input(&mut self, expected: &[f32]) -> Result<Option<Vec<f32>>, BisectError> {
        let bytes = self.remote.picture()?;
        let count = self.intake.shape.c.max(1);
        let n = self.intake.card.normalisation();
        let number = |(i, &p): (usize, &u8)| {
            let c = (i % count).min(3);
            stored(
                (f32::from(p) - n.mean[c]) * n.scale[c],
                self.intake.input_type,
            )
        };
        if bytes.len() == expected.len() {
            return Ok(Some(bytes.iter().enumerate().map(number).collect()));
        }
        if bytes.len() == 4 * expected.len() {
            let values = bytes.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v));
            let values = values.map(|v| stored(v, self.intake.input_type));
            return Ok(Some(values.collect()));
        }
        let reason = format!("it holds a picture of {} bytes", bytes.len());
        Err(BisectError::OtherNetwork { reason })
    }

    fn layer(
        &mut self,
        model: &Model<'_>,
        node: usize,
        expected: &Data,
    ) -> Result<Vec<Layer>, BisectError> {
        let found = self.remote.tensor(node as u32)?;
        if found.values.len() != expected.len() {
            let reason = format!("layer {node} has {} values", found.values.len());
            return Err(BisectError::OtherNetwork { reason });
        }
        let output = model.node(node).and_then(|node| model.tensor(node.output));
        let quant = output.as_ref().and_then(|tensor| tensor.quant);
        let data = match quant {
            Some(quant) => {
                let zero = f32::from(quant.zero_point);
                let steps = |v: &f32| ((v / quant.scale).round() + zero) as i8;
                Data::Stored(found.values.iter().map(steps).collect())
            }
            None => Data::Real(found.values),
        };
        let name = output.map_or("", |tensor| tensor.name).to_owned();
        Ok(vec![Layer { name, data }])
    }

    /// Every layer is a pass on the device.
    fn is_patient(&self) -> bool {
        false
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}
