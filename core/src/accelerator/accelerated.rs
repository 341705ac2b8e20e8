//! A program on an NPU as a black box.

use super::ethos_u::{EthosU, Fault, Lent, Registers, Settings};
use super::program::{Program, Scores};
use crate::classifier::{Classifier, Score};
use crate::error::Error;
use crate::mask::Masked;
use crate::tensor::Shape;

/// A network whose forward passes an NPU runs. Masked pictures are stored as
/// the int8 session of the same network stores them, so where the NPU computes
/// the same integers, maps have the same bits.
#[derive(Debug)]
pub struct Accelerated<'f, 'a, R> {
    program: &'f Program<'f>,
    npu: EthosU<R>,
    scratch: &'a mut [u8],
    fast: &'a mut [u8],
    row: &'a mut [f32],
    fault: Option<Fault>,
}

impl<'f, 'a, R: Registers> Accelerated<'f, 'a, R> {
    /// With memory for the regions 1 and 2, both on a multiple of 16, as long as
    /// [`super::program::Facts`] says, and one row of the input.
    ///
    /// # Errors
    /// What [`EthosU::new`] reports.
    pub fn new(
        program: &'f Program<'f>,
        (registers, settings): (R, Settings),
        (scratch, fast): (&'a mut [u8], &'a mut [u8]),
        row: &'a mut [f32],
    ) -> Result<Self, Fault> {
        Ok(Self {
            program,
            npu: EthosU::new(registers, settings, program)?,
            scratch,
            fast,
            row,
            fault: None,
        })
    }

    /// What the NPU reported last: why a call ended with [`Error::Backend`].
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The registers.
    pub const fn registers(&mut self) -> &mut R {
        self.npu.registers()
    }

    /// Stores the masked picture as the input.
    fn store(&mut self, x: &Masked<'_>) -> Result<(), Error> {
        let facts = self.program.facts();
        let (need, have) = (facts.input.row(), self.row.len());
        let row = self.row.get_mut(..need);
        let row = row.ok_or(Error::BufferTooSmall { need, have })?;
        let (need, have) = (facts.scratch, self.scratch.len());
        let input = self.scratch.get_mut(facts.input_at..);
        let input = input.ok_or(Error::BufferTooSmall { need, have })?;
        let rows = input.chunks_exact_mut(facts.input.row().max(1));
        for (y, stored) in rows.take(facts.input.h).enumerate() {
            x.row(y, row)?;
            for (to, real) in stored.iter_mut().zip(row.iter()) {
                *to = facts.input_as.stored(*real).cast_unsigned();
            }
        }
        Ok(())
    }

    /// Reads the output as real numbers.
    fn load(&self, out: &mut [f32]) -> Result<(), Error> {
        let facts = self.program.facts();
        let output = self.scratch.get(facts.output_at..);
        let output = output.and_then(|output| output.get(..facts.classes));
        for (real, stored) in out.iter_mut().zip(output.ok_or(Error::Internal)?) {
            *real = facts.output_as.real(stored.cast_signed());
        }
        Ok(())
    }
}

impl<R: Registers> Classifier for Accelerated<'_, '_, R> {
    fn input(&self) -> Shape {
        self.program.facts().input
    }

    fn classes(&self) -> usize {
        self.program.facts().classes
    }

    /// # Errors
    /// [`Error::Backend`] where the NPU reports a fault, see [`Accelerated::fault`];
    /// [`Error::BadParameter`] for logits that stay inside the NPU.
    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        let facts = self.program.facts();
        if (facts.scores, score) == (Scores::Probabilities, Score::Logit) {
            return Err(Error::BadParameter("logits: the NPU gives probabilities"));
        }
        x.check(facts.input)?;
        let (need, have) = (facts.classes, out.len());
        let out = out.get_mut(..need);
        let out = out.ok_or(Error::BufferTooSmall { need, have })?;
        self.store(x)?;
        let mut lent = Lent {
            scratch: self.scratch,
            fast: self.fast,
        };
        self.fault = self.npu.run(self.program, &mut lent).err();
        if self.fault.is_some() {
            return Err(Error::Backend);
        }
        self.load(out)?;
        match (facts.scores, score) {
            (Scores::Softmax, Score::Probability) => softmax(out),
            (Scores::Sigmoid, Score::Probability) => {
                for x in out {
                    *x = 1.0 / (1.0 + libm::expf(-*x));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// In the order of the network's own softmax, so that its bits are the same.
fn softmax(x: &mut [f32]) {
    let larger = |max: f32, x: &f32| if *x > max { *x } else { max };
    let max = x.iter().fold(f32::NEG_INFINITY, larger);
    let mut sum = 0.0;
    for x in x.iter_mut() {
        *x = libm::expf(*x - max);
        sum += *x;
    }
    for x in x {
        *x /= sum;
    }
}
