//! A method as text: `NAME[:key=value,...]`, lists with `/`, as the host's
//! command line takes it, except where only a host can know:
//!
//! * `grad-cam`: `layer` is a tensor's id in the model file, or its name;
//!   absent, the layer of the model's last plan for gradients of a layer.
//! * `rise`: no `file`.
//! * `baseline`: `black`, `blur`, or a number: in pixel units for u8 pictures,
//!   in model units for tensors.

use core::str::FromStr;

use foveola_core::explain::hoc::{MAX_LAYERS, Mode};
use heapless::Vec;

use crate::decimal;

/// What hides a part of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// This number for all channels.
    Number(f32),
    /// The picture, blurred.
    Blur,
}

/// Sides or distances of HOC's boxes, layer by layer.
pub type Lengths = Vec<usize, MAX_LAYERS>;

/// A method with its parameters; `None` leaves the choice to the method.
#[derive(Clone, Debug, PartialEq)]
pub enum MethodText<'t> {
    /// Gradient.
    Gradient,
    /// Deconvolution.
    Deconvolution,
    /// Guided backpropagation.
    GuidedBackprop,
    /// Grad-CAM.
    GradCam {
        /// Id or name of a tensor.
        layer: Option<&'t str>,
        /// Whether only the positive part counts.
        relu: bool,
    },
    /// Occlusion.
    Occlusion {
        /// Channels (0: all), rows, columns.
        window: Option<[usize; 3]>,
        /// Along the same axes.
        stride: Option<[usize; 3]>,
        /// What hides.
        baseline: Baseline,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// RISE.
    Rise {
        /// Number of masks.
        masks: Option<u32>,
        /// Cells along each side.
        grid: Option<u16>,
        /// Share of kept cells.
        keep: f32,
        /// What hides.
        baseline: Baseline,
        /// Whether each pixel is divided by its own coverage.
        by_coverage: bool,
        /// MindSpore's numbers.
        mindspore: bool,
    },
    /// HOC.
    Hoc {
        /// What boxes do.
        mode: Mode,
        /// Score that decides.
        threshold: f32,
        /// Side of the boxes of each layer.
        windows: Lengths,
        /// Distance of the boxes of each layer.
        strides: Lengths,
        /// What hides.
        baseline: Baseline,
    },
}

impl<'t> MethodText<'t> {
    /// Reads a method; `None` if it cannot be read. Ranges are checked by the
    /// method itself.
    pub fn parse(text: &'t str) -> Option<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let keys = keys(name)?;
        let known = |part: &str| {
            let key = part.split_once('=').map(|(key, _)| key);
            key.is_some_and(|key| keys.contains(&key))
        };
        if !rest.is_empty() && !rest.split(',').all(known) {
            return None;
        }
        let given = Given(rest);
        Some(match name {
            "gradient" => Self::Gradient,
            "deconvolution" => Self::Deconvolution,
            "guided-backprop" => Self::GuidedBackprop,
            "grad-cam" => Self::GradCam {
                layer: given.value("layer"),
                relu: given.choice("relu", ["true", "false"])?,
            },
            "occlusion" => given.occlusion()?,
            "rise" => given.rise()?,
            _ => given.hoc()?,
        })
    }

    /// What hides a part of the picture, if anything does.
    pub const fn baseline(&self) -> Option<Baseline> {
        match self {
            Self::Occlusion { baseline, .. }
            | Self::Rise { baseline, .. }
            | Self::Hoc { baseline, .. } => Some(*baseline),
            _ => None,
        }
    }
}

/// Parameters of a method.
fn keys(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "gradient" | "deconvolution" | "guided-backprop" => &[],
        "grad-cam" => &["layer", "relu"],
        "occlusion" => &["window", "stride", "baseline", "compat"],
        "rise" => &["masks", "grid", "keep", "baseline", "divisor", "compat"],
        "hoc" => &["mode", "threshold", "windows", "strides", "baseline"],
        _ => return None,
    })
}

/// The keys and values of one method.
#[derive(Clone, Copy)]
struct Given<'t>(&'t str);

impl<'t> Given<'t> {
    fn value(self, key: &str) -> Option<&'t str> {
        let mut parts = self.0.split(',').filter_map(|part| part.split_once('='));
        parts.find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// A value, `Some(None)` if it is absent.
    fn number<T: FromStr>(self, key: &str) -> Option<Option<T>> {
        match self.value(key) {
            None => Some(None),
            Some(text) => text.parse().ok().map(Some),
        }
    }

    fn real(self, key: &str) -> Option<Option<f32>> {
        match self.value(key) {
            None => Some(None),
            Some(text) => decimal::parse(text).map(Some),
        }
    }

    /// Whether the first of two words was chosen, which is the default.
    fn choice(self, key: &str, [first, second]: [&str; 2]) -> Option<bool> {
        match self.value(key) {
            Some(text) if text == second => Some(false),
            Some(text) if text != first => None,
            _ => Some(true),
        }
    }

    fn lengths(self, key: &str) -> Option<Lengths> {
        let mut lengths = Lengths::new();
        if let Some(text) = self.value(key) {
            for length in text.split('/') {
                lengths.push(length.parse().ok()?).ok()?;
            }
        }
        Some(lengths)
    }

    /// One side for both, H/W or C/H/W; all channels are 0.
    fn window(self, key: &str) -> Option<Option<[usize; 3]>> {
        Some(match *self.lengths(key)?.as_slice() {
            [] => None,
            [side] => Some([0, side, side]),
            [h, w] => Some([0, h, w]),
            [c, h, w] => Some([c, h, w]),
            _ => return None,
        })
    }

    fn baseline(self, usual: Baseline) -> Option<Baseline> {
        match self.value("baseline") {
            None => Some(usual),
            Some("black") => Some(Baseline::Number(0.0)),
            Some("blur") => Some(Baseline::Blur),
            Some(text) => decimal::parse(text).map(Baseline::Number),
        }
    }

    fn mindspore(self) -> Option<bool> {
        self.choice("compat", ["none", "mindspore"])
            .map(|none| !none)
    }

    fn occlusion(self) -> Option<MethodText<'t>> {
        Some(MethodText::Occlusion {
            window: self.window("window")?,
            stride: self.window("stride")?,
            baseline: self.baseline(Baseline::Number(0.0))?,
            mindspore: self.mindspore()?,
        })
    }

    fn rise(self) -> Option<MethodText<'t>> {
        Some(MethodText::Rise {
            masks: self.number("masks")?,
            grid: self.number("grid")?,
            keep: self.real("keep")?.unwrap_or(0.5),
            baseline: self.baseline(Baseline::Number(0.0))?,
            by_coverage: !self.choice("divisor", ["keep", "coverage"])?,
            mindspore: self.mindspore()?,
        })
    }

    fn hoc(self) -> Option<MethodText<'t>> {
        let reveal = self.choice("mode", ["reveal", "cover"])?;
        Some(MethodText::Hoc {
            mode: if reveal { Mode::Reveal } else { Mode::Cover },
            threshold: self.real("threshold")?.unwrap_or(0.5),
            windows: self.lengths("windows")?,
            strides: self.lengths("strides")?,
            baseline: self.baseline(Baseline::Blur)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(of: &[usize]) -> Lengths {
        Lengths::from_slice(of).expect("few")
    }

    #[test]
    fn parameters() {
        let black = Baseline::Number(0.0);
        let cases = [
            ("guided-backprop", MethodText::GuidedBackprop),
            (
                "grad-cam:layer=12,relu=false",
                MethodText::GradCam {
                    layer: Some("12"),
                    relu: false,
                },
            ),
            (
                "occlusion:window=2/4/5,stride=3,compat=mindspore",
                MethodText::Occlusion {
                    window: Some([2, 4, 5]),
                    stride: Some([0, 3, 3]),
                    baseline: black,
                    mindspore: true,
                },
            ),
            (
                "rise:masks=64,keep=0.25,baseline=127.5,divisor=coverage",
                MethodText::Rise {
                    masks: Some(64),
                    grid: None,
                    keep: 0.25,
                    baseline: Baseline::Number(127.5),
                    by_coverage: true,
                    mindspore: false,
                },
            ),
            (
                "hoc:windows=32/16,strides=6/3,mode=cover",
                MethodText::Hoc {
                    mode: Mode::Cover,
                    threshold: 0.5,
                    windows: lengths(&[32, 16]),
                    strides: lengths(&[6, 3]),
                    baseline: Baseline::Blur,
                },
            ),
        ];
        for (text, method) in cases {
            assert_eq!(MethodText::parse(text), Some(method), "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for text in [
            "",
            "gradcam",
            "gradient:layer=1",
            "occlusion:window",
            "occlusion:window=1/2/3/4",
            "rise:masks=-1",
            "rise:masks=4,,",
            "rise:baseline=inf",
            "hoc:mode=hide",
            "hoc:windows=9/8/7/6/5/4/3/2/1",
        ] {
            assert_eq!(MethodText::parse(text), None, "{text}");
        }
    }
}
