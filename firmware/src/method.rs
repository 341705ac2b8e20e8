//! A method as text: `NAME[:key=value,...]`, lists with `/`, as the host's
//! command line takes it, except where only a host can know:
//!
//! * `grad-cam`: `layer` is a tensor's id in the model file, or its name;
//!   absent, the layer of the model's last plan for gradients of a layer.
//! * `rise`: no `file`.
//! * `baseline`: `black`, `blur`, or a number: in pixel units for u8 pictures,
//!   in model units for tensors.
//!
//! Methods beyond the first seven come as the link's `Explain` instead, of which
//! only the method counts: `NAME HEX` ([`foveola_core::wire::question`]).

use core::str::FromStr;

use foveola_core::ask::ALL_METHODS;
use foveola_core::explain::hoc::MAX_LAYERS;
use foveola_core::wire::message::{Baseline, Call};
use foveola_core::wire::question;
use heapless::Vec;

use crate::decimal;

/// Whether it comes as the link's `Explain`.
pub fn is_sent(text: &str) -> bool {
    text.contains(' ')
}

/// Reads a method; `layer` finds the id of a tensor by its id in words or its
/// name. `None` if it cannot be read. Ranges are checked by the method itself.
pub fn parse(text: &str, layer: &dyn Fn(&str) -> Option<u16>) -> Option<Call> {
    if ALL_METHODS && is_sent(text) {
        return question::read(text).map(|explain| explain.method);
    }
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
        "gradient" => Call::Gradient,
        "deconvolution" => Call::Deconvolution,
        "guided-backprop" => Call::GuidedBackprop,
        "grad-cam" => Call::GradCam {
            layer: match given.value("layer") {
                Some(text) => Some(layer(text)?),
                None => None,
            },
            relu: given.choice("relu", ["true", "false"])?,
        },
        "occlusion" => given.occlusion()?,
        "rise" => given.rise()?,
        _ => given.hoc()?,
    })
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

    fn lengths<T: FromStr, const N: usize>(self, key: &str) -> Option<Vec<T, N>> {
        let mut lengths = Vec::new();
        if let Some(text) = self.value(key) {
            for length in text.split('/') {
                lengths.push(length.parse().ok()?).ok()?;
            }
        }
        Some(lengths)
    }

    /// One side for both, H/W or C/H/W; all channels are 0.
    fn window(self, key: &str) -> Option<Option<[u32; 3]>> {
        Some(match *self.lengths::<u32, 3>(key)?.as_slice() {
            [] => None,
            [side] => Some([0, side, side]),
            [h, w] => Some([0, h, w]),
            [c, h, w] => Some([c, h, w]),
            _ => return None,
        })
    }

    /// Lengths of HOC's boxes, then zeros, which end them.
    fn boxes(self, key: &str) -> Option<[u16; MAX_LAYERS]> {
        let lengths = self.lengths::<u16, MAX_LAYERS>(key)?;
        let mut out = [0; MAX_LAYERS];
        for (place, length) in out.iter_mut().zip(&lengths) {
            *place = Some(*length).filter(|length| *length > 0)?;
        }
        Some(out)
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

    fn occlusion(self) -> Option<Call> {
        Some(Call::Occlusion {
            window: self.window("window")?,
            stride: self.window("stride")?,
            baseline: self.baseline(Baseline::Number(0.0))?,
            mindspore: self.mindspore()?,
        })
    }

    fn rise(self) -> Option<Call> {
        Some(Call::Rise {
            masks: self.number("masks")?,
            grid: self.number("grid")?,
            keep: self.real("keep")?.unwrap_or(0.5),
            baseline: self.baseline(Baseline::Number(0.0))?,
            by_coverage: !self.choice("divisor", ["keep", "coverage"])?,
            mindspore: self.mindspore()?,
        })
    }

    fn hoc(self) -> Option<Call> {
        let reveal = self.choice("mode", ["reveal", "cover"])?;
        Some(Call::Hoc {
            cover: !reveal,
            threshold: self.real("threshold")?.unwrap_or(0.5),
            windows: self.boxes("windows")?,
            strides: self.boxes("strides")?,
            baseline: self.baseline(Baseline::Blur)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows one name.
    fn layer(text: &str) -> Option<u16> {
        if text == "conv/relu" {
            Some(12)
        } else {
            text.parse().ok()
        }
    }

    #[test]
    fn parameters() {
        let black = Baseline::Number(0.0);
        let cases = [
            ("guided-backprop", Call::GuidedBackprop),
            (
                "grad-cam:layer=conv/relu,relu=false",
                Call::GradCam {
                    layer: Some(12),
                    relu: false,
                },
            ),
            (
                "occlusion:window=2/4/5,stride=3,compat=mindspore",
                Call::Occlusion {
                    window: Some([2, 4, 5]),
                    stride: Some([0, 3, 3]),
                    baseline: black,
                    mindspore: true,
                },
            ),
            (
                "rise:masks=64,keep=0.25,baseline=127.5,divisor=coverage",
                Call::Rise {
                    masks: Some(64),
                    grid: None,
                    keep: 0.25,
                    baseline: Baseline::Number(127.5),
                    by_coverage: true,
                    mindspore: false,
                },
            ),
            ("full-grad 0a000000", Call::FullGrad),
            (
                "hoc:windows=32/16,strides=6/3,mode=cover",
                Call::Hoc {
                    cover: true,
                    threshold: 0.5,
                    windows: [32, 16, 0, 0, 0, 0, 0, 0],
                    strides: [6, 3, 0, 0, 0, 0, 0, 0],
                    baseline: Baseline::Blur,
                },
            ),
        ];
        for (text, method) in cases {
            assert_eq!(parse(text, &layer), Some(method), "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for text in [
            "",
            "gradcam",
            "gradient:layer=1",
            "grad-cam:layer=nowhere",
            "occlusion:window",
            "occlusion:window=1/2/3/4",
            "rise:masks=-1",
            "rise:masks=4,,",
            "rise:baseline=inf",
            "hoc:mode=hide",
            "hoc:windows=9/0",
            "full-grad 0a",
            "full-grad 0a000000001",
            "hoc:windows=9/8/7/6/5/4/3/2/1",
        ] {
            assert_eq!(parse(text, &layer), None, "{text}");
        }
    }
}
