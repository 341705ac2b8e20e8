//! The same questions, answered by `core` on this machine in the order in which
//! a board answers them.

use std::cell::RefCell;
use std::fmt;

use foveola::aligned::AlignedBytes;
use foveola_core::explain::hoc::{Mode, Step, Storage, UNUSED_WINDOW};
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise, Silent,
};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::rng::DEFAULT_SEED;
use foveola_core::{At, Classifier, Error, Fill, Mask, Masked, Picture, Score, Values};

/// Most steps and boxes of a tree, as the firmware has it.
const TREE: usize = 128;

/// One method with its parameters; what it hides becomes black.
#[derive(Clone, Debug)]
pub enum Ask {
    Gradient,
    Deconvolution,
    GuidedBackprop,
    GradCam {
        relu: bool,
    },
    /// Rows and columns.
    Occlusion {
        window: [usize; 2],
        stride: [usize; 2],
    },
    Rise {
        masks: u32,
        by_coverage: bool,
    },
    /// No windows: the method's own choice.
    Hoc {
        mode: Mode,
        windows: Vec<usize>,
        strides: Vec<usize>,
        threshold: f32,
    },
}

fn list(of: &[usize]) -> String {
    let items: Vec<String> = of.iter().map(usize::to_string).collect();
    items.join("/")
}

/// The method as a job has it.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gradient => write!(f, "gradient"),
            Self::Deconvolution => write!(f, "deconvolution"),
            Self::GuidedBackprop => write!(f, "guided-backprop"),
            Self::GradCam { relu } => write!(f, "grad-cam:relu={relu}"),
            Self::Occlusion { window, stride } => {
                let (window, stride) = (list(window), list(stride));
                write!(f, "occlusion:window={window},stride={stride}")
            }
            Self::Rise { masks, by_coverage } => {
                let divisor = if *by_coverage { "coverage" } else { "keep" };
                write!(f, "rise:masks={masks},divisor={divisor}")
            }
            Self::Hoc {
                mode,
                windows,
                strides,
                threshold,
            } => {
                let mode = match mode {
                    Mode::Reveal => "reveal",
                    Mode::Cover => "cover",
                };
                write!(f, "hoc:mode={mode},threshold={threshold},baseline=black")?;
                if windows.is_empty() {
                    return Ok(());
                }
                write!(f, ",windows={},strides={}", list(windows), list(strides))
            }
        }
    }
}

/// What a method answered, besides its map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// As a board states it.
    pub outcome: String,
    /// Bytes of arena.
    pub arena: usize,
    /// Bytes of scratch.
    pub scratch: usize,
}

/// Every layer, both scores and the maps, as bits, by the names of the files
/// that a board writes; up to the error, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub files: Vec<(String, Vec<u32>)>,
    pub target: Option<usize>,
    pub answered: Vec<Answered>,
    /// The error in words.
    pub error: Option<String>,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// What is asked of a host and of boards: every layer, the scores, some maps.
pub struct Asked<'a> {
    pub model: &'a Model<'a>,
    pub picture: Picture<'a>,
    pub methods: &'a [Ask],
}

impl Asked<'_> {
    /// The part of a job that says so.
    pub fn job(&self) -> String {
        let lines = self.methods.iter().map(|ask| format!("method={ask}\n"));
        format!("layers=1\n{}", lines.collect::<String>())
    }

    /// The answers, the same ones with vectors of any width.
    pub fn truth(&self) -> Truth {
        let (detected, portable) = (self.run(Isa::detect()), self.run(Isa::portable()));
        assert!(detected == portable, "vector width changes bits");
        detected
    }

    fn run(&self, isa: Isa) -> Truth {
        let mut truth = Truth::default();
        let result = self.answer(isa, &mut truth);
        truth.error = result.err().map(|error| error.to_string());
        truth
    }

    fn answer(&self, isa: Isa, truth: &mut Truth) -> Result<(), Error> {
        self.forward(isa, truth)?;
        for ask in self.methods {
            self.ask(isa, ask, truth)?;
        }
        Ok(())
    }

    /// Black pixels in model space.
    fn black(&self) -> Fill<'static> {
        let mut colour = [0.0; 4];
        if let Picture::Pixels { normalisation, .. } = self.picture {
            for (c, out) in colour.iter_mut().enumerate() {
                *out = (0.0 - normalisation.mean[c]) * normalisation.scale[c];
            }
        }
        Fill::Colour(colour)
    }

    /// A threshold for a search: halfway between the probability of the best
    /// class and what a black picture leaves of it, or a bit below it where
    /// black scores more. 0.5 where the network reports an error.
    pub fn halfway(&self) -> f32 {
        let hidden = Masked {
            fill: self.black(),
            mask: Mask::Windows {
                boxes: &[],
                extra: None,
                reveal: true,
            },
            ..Masked::whole(self.picture)
        };
        let scores = |x: &Masked<'_>| {
            let mut arena = self.arena(Pass::Forward)?;
            let mut session = Session::new(self.model, &mut arena, Isa::portable())?;
            let mut scores = vec![0.0; self.model.classes()];
            session.classify(x, Score::Probability, &mut scores)?;
            Ok::<_, Error>(scores)
        };
        let (Ok(whole), Ok(hidden)) = (scores(&Masked::whole(self.picture)), scores(&hidden))
        else {
            return 0.5;
        };
        let best = whole.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let target = whole.iter().position(|s| *s == best).expect("a class");
        if hidden[target] < whole[target] {
            0.5 * whole[target] + 0.5 * hidden[target]
        } else {
            0.9 * whole[target]
        }
    }

    fn arena(&self, pass: Pass) -> Result<AlignedBytes, Error> {
        let plan = self.model.plan(pass).ok_or(Error::NoPlan)?;
        Ok(AlignedBytes::zeros(plan.arena_len()))
    }

    fn forward(&self, isa: Isa, truth: &mut Truth) -> Result<(), Error> {
        let mut arena = self.arena(Pass::Forward)?;
        let mut session = Session::new(self.model, &mut arena, isa)?;
        let x = Masked::whole(self.picture);
        let files = &mut truth.files;
        session.forward_tapped(&x, &mut |index: usize, first: usize, values: Values<'_>| {
            let name = format!("layer{index}.bin");
            if first == 0 {
                files.push((name.clone(), Vec::new()));
            }
            let file = files.iter_mut().find(|(file, _)| *file == name);
            let file = file.expect("rows come in order");
            file.1.extend(values.iter().map(f32::to_bits));
            Ok(())
        })?;
        let mut scores = vec![0.0; self.model.classes()];
        for (score, name) in [
            (Score::Logit, "logits.bin"),
            (Score::Probability, "probabilities.bin"),
        ] {
            session.classify(&x, score, &mut scores)?;
            truth.files.push((name.into(), bits(&scores)));
        }
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        truth.target = scores.iter().position(|s| *s == best);
        Ok(())
    }

    fn ask(&self, isa: Isa, ask: &Ask, truth: &mut Truth) -> Result<(), Error> {
        let (input, forward) = (Pass::Backward(At::Input), Pass::Forward);
        let fill = self.black();
        let mut map = |pass, method: &dyn Method| self.map(isa, pass, method, truth);
        match ask {
            Ask::Gradient => map(input, &Gradient),
            Ask::Deconvolution => map(input, &Deconvolution),
            Ask::GuidedBackprop => map(input, &GuidedBackprop),
            Ask::GradCam { relu } => {
                let planned = self.model.passes().filter(|pass| *pass != input);
                let layer = planned.filter_map(|pass| match pass {
                    Pass::Backward(at) => Some(at),
                    _ => None,
                });
                let layer = layer.last().ok_or(Error::NoPlan)?;
                let (relu, pass) = (*relu, Pass::Backward(layer));
                let layer = Some(layer);
                map(pass, &GradCam { layer, relu })
            }
            Ask::Occlusion { window, stride } => {
                let occlusion = Occlusion {
                    window: Some([0, window[0], window[1]]),
                    stride: Some([0, stride[0], stride[1]]),
                    fill,
                    ..Occlusion::default()
                };
                map(forward, &occlusion)
            }
            &Ask::Rise { masks, by_coverage } => {
                let rise = Rise {
                    masks,
                    by_coverage,
                    fill,
                    ..Rise::default()
                };
                map(forward, &rise)
            }
            Ask::Hoc {
                mode,
                windows,
                strides,
                threshold,
            } => {
                let (mut steps, mut boxes) = (vec![Step::UNUSED; TREE], vec![UNUSED_WINDOW; TREE]);
                let storage = RefCell::new(Storage {
                    steps: &mut steps,
                    boxes: &mut boxes,
                });
                let hoc = Hoc {
                    mode: *mode,
                    threshold: *threshold,
                    windows,
                    strides,
                    fill,
                    ..Hoc::default()
                };
                map(forward, &HocMethod { hoc, storage })
            }
        }
    }

    fn map(
        &self,
        isa: Isa,
        pass: Pass,
        method: &dyn Method,
        truth: &mut Truth,
    ) -> Result<(), Error> {
        let mut arena = self.arena(pass)?;
        let bytes = arena.len();
        let mut session = Session::new(self.model, &mut arena, isa)?;
        let shape = method.map_shape(&mut session)?;
        let scratch = method.cost(&mut session, 1)?.scratch;
        let query = Query {
            picture: self.picture,
            targets: &[truth.target.expect("the scores come first")],
            score: None,
            seed: DEFAULT_SEED,
        };
        let (mut map, mut outcomes) = (vec![0.0; shape.len()], [Outcome::Flat]);
        let mut buffer = vec![0.0; scratch];
        method.explain(
            &mut session,
            &query,
            &mut map,
            &mut outcomes,
            &mut buffer,
            &mut Silent,
        )?;
        let name = format!("map{}.bin", truth.answered.len());
        truth.files.push((name, bits(&map)));
        let outcome = match outcomes[0] {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Flat => "flat".to_owned(),
            Outcome::Undefined(why) => format!("undefined {why}"),
            Outcome::Partial { done, total } => format!("partial {done} {total}"),
        };
        truth.answered.push(Answered {
            outcome,
            arena: bytes,
            scratch: 4 * scratch,
        });
        Ok(())
    }
}

/// All seven methods.
pub fn seven(
    occlusion: ([usize; 2], [usize; 2]),
    masks: u32,
    (mode, windows, strides, threshold): (Mode, &[usize], &[usize], f32),
) -> Vec<Ask> {
    let (window, stride) = occlusion;
    vec![
        Ask::Gradient,
        Ask::Deconvolution,
        Ask::GuidedBackprop,
        Ask::GradCam { relu: false },
        Ask::Occlusion { window, stride },
        Ask::Rise {
            masks,
            by_coverage: false,
        },
        Ask::Hoc {
            mode,
            windows: windows.to_vec(),
            strides: strides.to_vec(),
            threshold,
        },
    ]
}
