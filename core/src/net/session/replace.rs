//! A pass in which one tensor has values of the caller.

use super::{Session, carve, floats_mut, integers_mut};
use crate::classifier::At;
use crate::error::Error;
use crate::mask::Masked;
use crate::net::model::{Pass, Plan};
use crate::tensor::TensorId;

impl Session<'_, '_> {
    /// Runs forward with the tensor `id` replaced, in the plan of the backward
    /// pass that ends there: it keeps this tensor whole, so `id` ends its group.
    /// Begins behind the tensor where nothing later reads around it.
    pub(super) fn run_replaced(
        &mut self,
        x: &Masked<'_>,
        id: TensorId,
        activation: &[f32],
    ) -> Result<(), Error> {
        self.last = None;
        let plan = self.plan(Pass::Backward(At::Tensor(id)))?;
        let nodes = 0..self.model.node_count();
        let mut makers = nodes.clone();
        let made = makers.find(|i| self.model.node(*i).is_some_and(|node| node.output == id));
        let made = made.ok_or(Error::NoPlan)?;
        if self.model.is_short(&plan, id) {
            return Err(Error::NoPlan);
        }
        if self.is_gone_around(made)? {
            self.run_nodes(&plan, x, 0..made + 1, None, None)?;
        }
        self.put(&plan, id, (made, activation))?;
        self.run_nodes(&plan, x, made + 1..nodes.end, None, None)
    }

    /// Whether a node behind `made` reads something that is made before it.
    fn is_gone_around(&self, made: usize) -> Result<bool, Error> {
        for index in made + 1..self.model.node_count() {
            for id in self.view(index)?.inputs() {
                let constant = self.model.tensor(id).is_some_and(|t| t.constant.is_some());
                let mut since = (made..index).filter_map(|i| self.model.node(i));
                if !constant && !since.any(|node| node.output == id) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Writes values into a tensor.
    fn put(
        &mut self,
        plan: &Plan<'_>,
        id: TensorId,
        (node, values): (usize, &[f32]),
    ) -> Result<(), Error> {
        let tensor = self.model.tensor(id).ok_or(Error::Internal)?;
        let (need, have) = (tensor.shape.len(), values.len());
        let values = values.get(..need);
        let values = values.ok_or(Error::BufferTooSmall { need, have })?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(Error::NotFinite { node });
        }
        let [bytes] = carve(self.arena, [plan.value(id).range()])?;
        match tensor.quant {
            None => {
                let places = floats_mut(bytes)?;
                let have = places.len();
                let places = places.get_mut(..need);
                let places = places.ok_or(Error::BufferTooSmall { need, have })?;
                places.copy_from_slice(values);
            }
            Some(quant) => {
                for (place, value) in integers_mut(bytes)?.iter_mut().zip(values) {
                    *place = quant.stored(*value);
                }
            }
        }
        Ok(())
    }
}
