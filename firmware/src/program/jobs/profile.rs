//! Instructions of each node.

use foveola_core::net::arch::Isa;
use foveola_core::net::model::Pass;
use foveola_core::net::session::Session;
use foveola_core::{Error, Masked, Rule, Score};

use super::{Failure, Work};
use crate::board::Board;
use crate::board::pool::Pool;
use crate::program::meter::Meter;

/// Takes the counter's difference whenever a node is done.
struct Laps<'l, B> {
    meter: &'l mut Meter<B>,
    last: u64,
    nodes: &'l mut [u64],
}

impl<B: Board> Laps<'_, B> {
    fn begin(&mut self) {
        self.nodes.fill(0);
        self.last = 0;
        self.meter.begin();
    }

    fn take(&mut self, node: usize) -> Result<(), Error> {
        let now = self.meter.read();
        *self.nodes.get_mut(node).ok_or(Error::Internal)? += now - self.last;
        self.last = now;
        Ok(())
    }
}

impl<B: Board> Work<'_, '_, B> {
    /// Says what each node of a plain forward pass costs.
    pub(super) fn profile(&mut self, pool: &mut Pool<'_>) -> Result<(), Failure> {
        let mut pool = pool.scope();
        let nodes = pool.take(self.model.node_count(), 0u64)?;
        let arena = self.arena(&mut pool, &[Pass::Forward])?;
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let mut laps = Laps {
            meter: self.meter,
            last: 0,
            nodes,
        };
        laps.begin();
        let x = Masked::whole(self.picture);
        session.forward_tapped(&x, &mut |node, _, _| laps.take(node))?;
        for (node, instructions) in nodes.iter().enumerate() {
            self.answer
                .line(format_args!("forward.{node}={instructions}"))?;
        }
        Ok(())
    }

    /// Says what each node costs on the way forth and back that method `number`
    /// takes; other methods have no such way.
    pub(super) fn profile_gradient(
        &mut self,
        mut pool: Pool<'_>,
        number: usize,
        (pass, rule): (Pass, Rule),
        target: usize,
    ) -> Result<(), Failure> {
        let Pass::Backward(at) = pass else {
            return Ok(());
        };
        let nodes = pool.take(self.model.node_count(), 0u64)?;
        let arena = self.arena(&mut pool, &[pass])?;
        let mut session = Session::new(self.model, arena, Isa::detect())?;
        let mut laps = Laps {
            meter: self.meter,
            last: 0,
            nodes,
        };
        laps.begin();
        let x = Masked::whole(self.picture);
        session.run_tapped(&x, at, rule, &mut |node, _, _| laps.take(node))?;
        for (node, instructions) in laps.nodes.iter().enumerate() {
            self.answer
                .line(format_args!("forward.{number}.{node}={instructions}"))?;
        }
        laps.begin();
        let score = self.job.score.unwrap_or(Score::Logit);
        session.backward_tapped(&[(target, 1.0)], score, &mut |node, _, _| laps.take(node))?;
        for (node, instructions) in laps.nodes.iter().enumerate() {
            self.answer
                .line(format_args!("backward.{number}.{node}={instructions}"))?;
        }
        Ok(())
    }
}
