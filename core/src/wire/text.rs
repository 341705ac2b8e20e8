//! A method in words: `NAME[:key=value,...]`, lists with `/`, as the host's
//! command line takes it. `layer` is a tensor's id, `baseline` a number or `blur`.

mod inside;

use core::fmt::{Display, Formatter, Result, Write};

use super::message::{Baseline, Call};
use crate::explain::hoc::MAX_LAYERS;

/// Writes keys and values behind each other.
struct Pairs<'f, 'g> {
    to: &'f mut Formatter<'g>,
    any: bool,
}

impl Pairs<'_, '_> {
    fn put(&mut self, key: &str, value: &dyn Display) -> Result {
        self.to.write_char(if self.any { ',' } else { ':' })?;
        self.any = true;
        write!(self.to, "{key}={value}")
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = impl Display>) -> Result {
        let mut first = true;
        for value in values {
            match first {
                true => self.put(key, &value)?,
                false => write!(self.to, "/{value}")?,
            }
            first = false;
        }
        Ok(())
    }

    /// Rows and columns, with the channels where they are not all.
    fn sides(&mut self, key: &str, sides: Option<[u32; 3]>) -> Result {
        let all = sides.into_iter().flatten().enumerate();
        let shown = all.filter(|(i, side)| *i > 0 || *side > 0);
        self.list(key, shown.map(|(_, side)| side))
    }

    fn baseline(&mut self, baseline: Baseline) -> Result {
        match baseline {
            Baseline::Number(number) => self.put("baseline", &number),
            Baseline::Blur => self.put("baseline", &"blur"),
        }
    }

    fn flag(&mut self, set: bool, key: &str, value: &str) -> Result {
        if set { self.put(key, &value) } else { Ok(()) }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.name())?;
        let mut pairs = Pairs { to: f, any: false };
        match *self {
            Self::Gradient | Self::Deconvolution | Self::GuidedBackprop => Ok(()),
            Self::GradCam { layer, relu } => {
                pairs.list("layer", layer.into_iter().map(u32::from))?;
                pairs.flag(!relu, "relu", "false")
            }
            Self::Occlusion {
                window,
                stride,
                baseline,
                mindspore,
            } => {
                pairs.sides("window", window)?;
                pairs.sides("stride", stride)?;
                pairs.baseline(baseline)?;
                pairs.flag(mindspore, "compat", "mindspore")
            }
            Self::Rise {
                masks,
                grid,
                keep,
                baseline,
                by_coverage,
                mindspore,
            } => {
                pairs.list("masks", masks.into_iter())?;
                pairs.list("grid", grid.into_iter().map(u32::from))?;
                pairs.put("keep", &keep)?;
                pairs.baseline(baseline)?;
                pairs.flag(by_coverage, "divisor", "coverage")?;
                pairs.flag(mindspore, "compat", "mindspore")
            }
            Self::Hoc {
                cover,
                threshold,
                windows,
                strides,
                baseline,
            } => {
                let used = |list: [u16; MAX_LAYERS]| list.into_iter().take_while(|side| *side > 0);
                pairs.flag(cover, "mode", "cover")?;
                pairs.put("threshold", &threshold)?;
                pairs.list("windows", used(windows).map(u32::from))?;
                pairs.list("strides", used(strides).map(u32::from))?;
                pairs.baseline(baseline)
            }
            _ => pairs.other(self),
        }
    }
}
