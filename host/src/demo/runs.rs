//! The first scenes as runs, one a network, and the page that shows them.

use std::path::{Path, PathBuf};

use super::audit::SceneSet;
use super::scene::{SIDE, Scene};
use super::{NETWORKS, Network};
use crate::method_spec::MethodSpec;
use crate::metric_spec::MetricSpec;
use crate::report::page::{Entry, Lead, Limits, render};
use crate::run::data::{DataSet, Item, ItemBox, hash};
use crate::run::read::RunFolder;
use crate::run::view::Run;
use crate::run::{Observe, Part, RunError, Runner};

/// Scenes in the page, a third of each class.
pub const SHOWN: usize = 24;

const METHODS: [&str; 5] = [
    "grad-cam",
    "gradient",
    "guided-backprop",
    "occlusion:baseline=blur",
    "rise:masks=256,baseline=blur",
];
const METRICS: [&str; 4] = ["energy", "relevance-rank", "deletion", "insertion"];
const HOC: &str = "hoc:windows=32/16,strides=6/3";

/// A folder that is gone afterwards.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it inside `parent`.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn new(parent: &Path) -> Result<Self, RunError> {
        let path = parent.join(format!(".runs.{}.tmp", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| failed(&path, &e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> RunError {
    RunError::Write {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}

/// The page that begins with `lead`; `None` if it was stopped.
///
/// # Errors
/// A disk that is full; a network or method that fails.
pub fn page(
    lead: &Lead,
    set: &SceneSet,
    scratch: &Scratch,
    (workers, observe): (usize, &dyn Observe),
) -> Result<Option<String>, RunError> {
    let data = data(set, &scratch.0)?;
    let mut runs: Vec<(&str, Run, RunFolder)> = Vec::new();
    for network in &NETWORKS {
        let folder = scratch.0.join(network.name);
        let mut runner = runner(network, data.clone())?;
        runner.workers = workers;
        if runner.run(&folder, Part::WHOLE, observe)?.stopped {
            return Ok(None);
        }
        let folder = RunFolder::open(&folder)?;
        let mut run = folder.run()?;
        // The folder is gone when somebody reads this.
        run.provenance.data = format!("scenes 0 to {} of seed {}", data.items.len() - 1, set.seed);
        run.provenance.command = String::from("foveola demo");
        runs.push((network.name, run, folder));
    }
    let entries: Vec<Entry<'_>> = runs
        .iter()
        .map(|(name, run, pictures)| Entry {
            name,
            run,
            pictures,
        })
        .collect();
    Ok(Some(render(&entries, Some(lead), Limits::default()).html))
}

fn runner(network: &Network, data: DataSet) -> Result<Runner, RunError> {
    let wrong = |e: &dyn std::fmt::Display| RunError::Question(e.to_string());
    let mut runner = Runner::new(network.open()?, data);
    for method in METHODS {
        runner = runner.method(method.parse::<MethodSpec>().map_err(|e| wrong(&e))?);
    }
    for metric in METRICS {
        runner = runner.metric(metric.parse::<MetricSpec>().map_err(|e| wrong(&e))?);
    }
    Ok(runner.hoc(HOC.parse::<MethodSpec>().map_err(|e| wrong(&e))?))
}

/// The first scenes as files, with what the generator knows about them.
fn data(set: &SceneSet, folder: &Path) -> Result<DataSet, RunError> {
    let scenes = set.scenes.iter().take(SHOWN).enumerate();
    let items = scenes.map(|(i, scene)| item(i, scene, folder));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok(DataSet {
        path: folder.to_path_buf(),
        source: String::from("the generator of the scenes"),
        hash: hash(&items),
        items,
        notes: Vec::new(),
    })
}

fn item(index: usize, scene: &Scene, folder: &Path) -> Result<Item, RunError> {
    let path = folder.join(format!("{index}.png"));
    let side = SIDE as u32;
    let png = image::ExtendedColorType::Rgb8;
    image::save_buffer(&path, &scene.pixels, side, side, png).map_err(|e| failed(&path, &e))?;
    let pole = scene.pole;
    let label = scene.kind as usize;
    let snow = if scene.snow { "snow" } else { "no snow" };
    Ok(Item {
        name: format!("{index:03} {}, {snow}", scene.kind.label()),
        path,
        truth: Some(vec![label]),
        boxes: vec![ItemBox {
            label,
            area: [pole.x, pole.y, pole.w, pole.h].map(|v| v as f32),
            polygons: Vec::new(),
        }],
    })
}
