//! Asks one network about all scenes.

use super::evidence::{Estimate, Part, Shares, areas, estimate, mean, shares};
use super::scene::{Kind, SIDE, Scene, Snow, draw};
use super::threads::each;
use super::verdict::Verdict;
use super::{COSTLY_METHODS, COSTLY_SCENES, Network, QUICK_METHODS};
use crate::explainer::{ExplainError, Explainer, Explanation, Question, SaliencyMap};
use crate::photo::Photo;
use image::{DynamicImage, RgbImage};

/// Scenes with one rule for snow.
#[derive(Clone, Debug)]
pub struct SceneSet {
    /// Seed of all of them.
    pub seed: u64,
    /// The rule.
    pub snow: Snow,
    /// The scenes, by number.
    pub scenes: Vec<Scene>,
}

impl SceneSet {
    /// Draws scenes 0 to `count` - 1.
    pub fn new(seed: u64, count: u32, snow: Snow, threads: usize) -> Self {
        Self {
            seed,
            snow,
            scenes: each(
                threads,
                count as usize,
                || (),
                |(), i| draw(seed, i as u32, snow),
            ),
        }
    }
}

/// Share of scenes whose class a network names, 0 to 1.
///
/// # Errors
/// A network that fails.
pub fn accuracy(explainer: &mut Explainer, set: &SceneSet) -> Result<f64, ExplainError> {
    let mut right = 0;
    for scene in &set.scenes {
        let (scores, _) = explainer.classify(&photo(explainer, scene)?)?;
        let own = scores[scene.kind as usize];
        let at_least = scores.iter().filter(|s| **s >= own).count();
        right += usize::from(at_least == 1);
    }
    Ok(right as f64 / set.scenes.len().max(1) as f64)
}

/// A scene as the network takes it.
///
/// # Errors
/// A network that takes other pictures.
pub fn photo(explainer: &Explainer, scene: &Scene) -> Result<Photo, ExplainError> {
    let misfit = |reason| crate::photo::PhotoError::Misfit {
        path: "the scene".into(),
        reason,
    };
    let side = SIDE as u32;
    let image = RgbImage::from_raw(side, side, scene.pixels.clone())
        .ok_or_else(|| misfit(String::from("its pixels are too few")))?;
    let image = DynamicImage::ImageRgb8(image);
    Ok(Photo::from_image(&image, &explainer.model().intake()).map_err(misfit)?)
}

/// What a method found in some scenes.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Number of scenes.
    pub scenes: usize,
    /// Share of the evidence inside the pole's box.
    pub pole: Estimate,
    /// Mean share of each part.
    pub parts: Shares,
    /// Mean area of each part: what a map that knows nothing would have.
    pub areas: Shares,
}

impl Finding {
    fn of(found: &[(Shares, Shares)]) -> Self {
        let column = |part: Part, pick: fn(&(Shares, Shares)) -> &Shares| -> Vec<f64> {
            found.iter().map(|f| pick(f)[part as usize]).collect()
        };
        Self {
            scenes: found.len(),
            pole: estimate(&column(Part::Pole, |f| &f.0)),
            parts: Part::ALL.map(|p| mean(&column(p, |f| &f.0))),
            areas: Part::ALL.map(|p| mean(&column(p, |f| &f.1))),
        }
    }

    /// How many times more evidence lies on a part than an even map would put there.
    pub fn lift(&self, part: Part) -> f64 {
        self.parts[part as usize] / self.areas[part as usize].max(f64::MIN_POSITIVE)
    }
}

/// One method on one network.
#[derive(Clone, Debug)]
pub struct MethodFindings {
    /// Name as in the method table.
    pub method: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// All classes.
    pub all: Finding,
    /// Each class.
    pub classes: [Finding; 3],
}

/// What scenes are asked.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The first so many scenes.
    pub first: usize,
    /// What these are asked; begins with the methods of `rest`.
    pub thorough: Question,
    /// What the rest is asked.
    pub rest: Question,
}

impl Questions {
    /// `quick` methods for every scene, `costly` ones besides for the `first`.
    ///
    /// # Errors
    /// A method that does not exist.
    pub fn new(quick: &[&str], costly: &[&str], first: u32) -> Result<Self, ExplainError> {
        let both = quick.iter().chain(costly);
        Ok(Self {
            first: first as usize,
            thorough: Question::of(both.copied())?,
            rest: Question::of(quick.iter().copied())?,
        })
    }

    /// The demo's.
    ///
    /// # Errors
    /// As [`Questions::new`].
    pub fn demo() -> Result<Self, ExplainError> {
        Self::new(&QUICK_METHODS, &COSTLY_METHODS, COSTLY_SCENES)
    }
}

/// All methods on one network, method by method, with a number of threads;
/// `None` if it was stopped.
///
/// # Errors
/// A method or network that fails.
pub fn evidence(
    network: &Network,
    set: &SceneSet,
    questions: &Questions,
    (threads, tick): (usize, &Tick<'_>),
) -> Result<Option<Vec<MethodFindings>>, ExplainError> {
    let ask = |own: &mut Option<Explainer>, i: usize| {
        let question = match i < questions.first {
            true => &questions.thorough,
            false => &questions.rest,
        };
        if !tick() {
            return Ok(None);
        }
        let explainer = match own {
            Some(explainer) => explainer,
            None => own.insert(network.explainer()?),
        };
        let scene = &set.scenes[i];
        let explanation = explainer.explain(&photo(explainer, scene)?, question)?;
        Ok(Some(measure(&explanation, scene)))
    };
    let found = each(threads, set.scenes.len(), || None, ask);
    let found: Result<Vec<Option<Vec<Measured>>>, ExplainError> = found.into_iter().collect();
    let found: Option<Vec<Vec<Measured>>> = found?.into_iter().collect();
    Ok(found.map(|found| summarise(&found, &set.scenes)))
}

/// Told that another scene begins; answers whether to go on.
pub type Tick<'a> = dyn Fn() -> bool + Sync + 'a;

struct Measured {
    method: &'static str,
    title: &'static str,
    shares: Shares,
}

fn measure(explanation: &Explanation, scene: &Scene) -> Vec<Measured> {
    let measured = |map: &SaliencyMap| Measured {
        method: map.spec.row.name,
        title: map.spec.title(),
        shares: match map.reason() {
            Some(_) => [0.0; 3],
            None => shares(&map.evidence().weigh(&map.pixels), scene),
        },
    };
    explanation.maps.iter().map(measured).collect()
}

fn summarise(found: &[Vec<Measured>], scenes: &[Scene]) -> Vec<MethodFindings> {
    let methods = found.first().map_or(&[][..], Vec::as_slice);
    let summary = |(m, first): (usize, &Measured)| {
        let rows = found.iter().zip(scenes);
        let rows = rows.filter_map(|(maps, scene)| Some((maps.get(m)?, scene)));
        let rows: Vec<(Kind, (Shares, Shares))> = rows
            .map(|(map, scene)| (scene.kind, (map.shares, areas(scene))))
            .collect();
        let of = |kinds: &[Kind]| {
            let chosen = rows.iter().filter(|(kind, _)| kinds.contains(kind));
            Finding::of(&chosen.map(|(_, f)| *f).collect::<Vec<_>>())
        };
        MethodFindings {
            method: first.method,
            title: first.title,
            all: of(&Kind::ALL),
            classes: Kind::ALL.map(|kind| of(&[kind])),
        }
    };
    methods.iter().enumerate().map(summary).collect()
}

/// Everything that is known about one network.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The network.
    pub network: Network,
    /// Share of right answers with snow as in its training.
    pub own: f64,
    /// With snow exactly under concrete poles.
    pub cue: f64,
    /// With snow exactly where there is no concrete pole.
    pub swapped: f64,
    /// Where the evidence lies.
    pub methods: Vec<MethodFindings>,
    /// The judgement.
    pub verdict: Verdict,
}

/// The same scenes with each rule for snow.
#[derive(Clone, Debug)]
pub struct Scenes {
    /// Snow anywhere.
    pub anywhere: SceneSet,
    /// Snow exactly under concrete poles: the scenes whose evidence is measured.
    pub cue: SceneSet,
    /// Snow exactly where there is no concrete pole.
    pub swapped: SceneSet,
}

impl Scenes {
    /// Draws them all.
    pub fn new(seed: u64, count: u32, threads: usize) -> Self {
        let set = |snow| SceneSet::new(seed, count, snow, threads);
        Self {
            anywhere: set(Snow::Anywhere),
            cue: set(Snow::WithConcrete),
            swapped: set(Snow::Swapped),
        }
    }
}

/// Audits one network with a number of threads; `None` if it was stopped.
///
/// # Errors
/// A network or method that fails.
pub fn audit(
    network: &Network,
    scenes: &Scenes,
    questions: &Questions,
    run: (usize, &Tick<'_>),
) -> Result<Option<Audit>, ExplainError> {
    let Some(methods) = evidence(network, &scenes.cue, questions, run)? else {
        return Ok(None);
    };
    let mut explainer = network.explainer()?;
    let cue = accuracy(&mut explainer, &scenes.cue)?;
    Ok(Some(Audit {
        network: *network,
        own: match network.snow {
            Snow::WithConcrete => cue,
            _ => accuracy(&mut explainer, &scenes.anywhere)?,
        },
        cue,
        swapped: accuracy(&mut explainer, &scenes.swapped)?,
        verdict: Verdict::of(&methods, &scenes.cue),
        methods,
    }))
}
