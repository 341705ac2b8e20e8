//! The same questions, answered by `core` on this machine.

use std::cell::RefCell;

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
use foveola_core::{At, Classifier, Masked, Picture, Score};

/// Every layer, both scores and the maps, as bits, with names of the files
/// that a board writes.
pub struct Truth {
    pub files: Vec<(String, Vec<u32>)>,
    pub target: usize,
    /// Arena and scratch of each method, in bytes.
    pub memory: Vec<(usize, usize)>,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// What is asked of a host and of boards.
pub struct Asked<'a> {
    pub model: &'a Model<'a>,
    pub picture: Picture<'a>,
    /// Whether all seven methods are asked, or only those that fit into 64 KB:
    /// Grad-CAM, occlusion and RISE.
    pub seven: bool,
    /// Window and stride of occlusion.
    pub occlusion: ([usize; 3], [usize; 3]),
    /// HOC's boxes, and what they do.
    pub mode: Mode,
    pub windows: &'a [usize],
    pub strides: &'a [usize],
    pub threshold: f32,
}

impl Asked<'_> {
    /// The methods as a job has them.
    pub fn job(&self) -> String {
        let list = |of: &[usize]| {
            let items: Vec<String> = of.iter().map(usize::to_string).collect();
            items.join("/")
        };
        let mode = match self.mode {
            Mode::Reveal => "reveal",
            Mode::Cover => "cover",
        };
        let gradients = "method=gradient\nmethod=deconvolution\nmethod=guided-backprop\n";
        let few = format!(
            "method=grad-cam:relu=false\nmethod=occlusion:window={},stride={}\n\
             method=rise:masks=64\n",
            list(&self.occlusion.0[1..]),
            list(&self.occlusion.1[1..]),
        );
        if !self.seven {
            return format!("layers=1\n{few}");
        }
        format!(
            "layers=1\n{gradients}{few}\
             method=hoc:mode={mode},windows={},strides={},threshold={},baseline=black\n",
            list(self.windows),
            list(self.strides),
            self.threshold
        )
    }

    /// The answers, computed with `isa`.
    pub fn truth(&self, isa: Isa) -> Truth {
        let (files, target) = self.forward(isa);
        let mut truth = Truth {
            files,
            target,
            memory: Vec::new(),
        };
        let input = Pass::Backward(At::Input);
        let layer = self.model.passes().filter_map(|pass| match pass {
            Pass::Backward(at @ At::Tensor(_)) => Some(at),
            _ => None,
        });
        let layer = layer.last();
        let relu = false;
        let occlusion = Occlusion {
            window: Some(self.occlusion.0),
            stride: Some(self.occlusion.1),
            fill: self.black(),
            ..Occlusion::default()
        };
        let rise = Rise {
            masks: 64,
            fill: self.black(),
            ..Rise::default()
        };
        let layer_pass = Pass::Backward(layer.expect("a layer with a plan"));
        let methods: [(Pass, &dyn Method); 6] = [
            (input, &Gradient),
            (input, &Deconvolution),
            (input, &GuidedBackprop),
            (layer_pass, &GradCam { layer, relu }),
            (Pass::Forward, &occlusion),
            (Pass::Forward, &rise),
        ];
        let skipped = if self.seven { 0 } else { 3 };
        for (pass, method) in methods.into_iter().skip(skipped) {
            self.map(isa, pass, method, &mut truth);
        }
        if self.seven {
            self.hoc(isa, &mut truth);
        }
        truth
    }

    /// Black pixels in model space.
    fn black(&self) -> foveola_core::Fill<'static> {
        let mut colour = [0.0; 4];
        if let Picture::Pixels { normalisation, .. } = self.picture {
            for (c, out) in colour.iter_mut().enumerate() {
                *out = (0.0 - normalisation.mean[c]) * normalisation.scale[c];
            }
        }
        foveola_core::Fill::Colour(colour)
    }

    fn arena(&self, pass: Pass) -> AlignedBytes {
        let plan = self.model.plan(pass).expect("a plan");
        AlignedBytes::zeros(plan.arena_len())
    }

    fn forward(&self, isa: Isa) -> (Vec<(String, Vec<u32>)>, usize) {
        let mut arena = self.arena(Pass::Forward);
        let mut session = Session::new(self.model, &mut arena, isa).expect("a session");
        let x = Masked::whole(self.picture);
        let mut files = Vec::new();
        let mut tap = |index: usize, values: &[f32]| {
            files.push((format!("layer{index}.bin"), bits(values)));
            Ok(())
        };
        session.forward_tapped(&x, &mut tap).expect("it runs");
        let mut scores = vec![0.0; self.model.classes()];
        session
            .classify(&x, Score::Logit, &mut scores)
            .expect("it runs");
        files.push(("logits.bin".into(), bits(&scores)));
        session
            .classify(&x, Score::Probability, &mut scores)
            .expect("it runs");
        files.push(("probabilities.bin".into(), bits(&scores)));
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let target = scores.iter().position(|s| *s == best).expect("a class");
        (files, target)
    }

    fn hoc(&self, isa: Isa, truth: &mut Truth) {
        let (mut steps, mut boxes) = (vec![Step::UNUSED; 128], vec![UNUSED_WINDOW; 128]);
        let storage = RefCell::new(Storage {
            steps: &mut steps,
            boxes: &mut boxes,
        });
        let hoc = Hoc {
            mode: self.mode,
            threshold: self.threshold,
            windows: self.windows,
            strides: self.strides,
            fill: self.black(),
        };
        self.map(isa, Pass::Forward, &HocMethod { hoc, storage }, truth);
    }

    fn map(&self, isa: Isa, pass: Pass, method: &dyn Method, truth: &mut Truth) {
        let mut arena = self.arena(pass);
        let bytes = arena.len();
        let mut session = Session::new(self.model, &mut arena, isa).expect("a session");
        let shape = method.map_shape(&mut session).expect("a shape");
        let scratch = method.cost(&mut session, 1).expect("a cost").scratch;
        let query = Query {
            picture: self.picture,
            targets: &[truth.target],
            score: None,
            seed: DEFAULT_SEED,
        };
        let (mut map, mut outcome) = (vec![0.0; shape.len()], [Outcome::Flat]);
        let mut buffer = vec![0.0; scratch];
        method
            .explain(
                &mut session,
                &query,
                &mut map,
                &mut outcome,
                &mut buffer,
                &mut Silent,
            )
            .expect("it explains");
        assert_eq!(outcome, [Outcome::Ok], "the picture says something");
        let name = format!("map{}.bin", truth.memory.len());
        truth.files.push((name, bits(&map)));
        truth.memory.push((bytes, 4 * scratch));
    }
}
