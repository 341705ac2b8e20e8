//! Every method that boards run, with fewer passes than by default where those
//! would take a board hours.

use foveola::budget::Lent;
use foveola::crosscheck::{Answer, model_bytes_for};
use foveola::link::call;
use foveola::method_spec::MethodSpec;
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::Picture;
use foveola_core::explain::METHODS;

use super::Result;
use super::ask::Asker;
use super::networks::Network;

/// Most methods of a job of the firmware's, less some.
const AT_ONCE: usize = 8;

/// What one method took.
pub struct Method {
    /// As it was asked.
    pub text: String,
    pub instructions: u64,
    /// As the method tells them: passes, or several at once.
    pub steps: u64,
    /// Arena, scratch, map, picture, what else it borrows, and stack.
    pub ram: u64,
    /// Whether host and board agree, in the words of the cross-check.
    pub verdict: String,
}

/// Parameters that keep a method short.
fn text(name: &'static str) -> &'static str {
    match name {
        "rise" => "rise:masks=500",
        "smooth-grad" => "smooth-grad:samples=10",
        "var-grad" => "var-grad:samples=10",
        "square-grad" => "square-grad:samples=10",
        "feature-ablation" => "feature-ablation:segments=grid",
        "lime" => "lime:segments=grid,samples=500",
        "kernel-shap" => "kernel-shap:segments=grid,samples=500",
        "anchors" => "anchors:segments=grid,passes=500",
        "sobol" => "sobol:designs=4",
        "hsic" => "hsic:samples=250",
        "meaningful-perturbation" => "meaningful-perturbation:steps=30",
        other => other,
    }
}

/// The methods of the table that boards run on a network: all but FullGrad on
/// integers, whose biases are merged with zero points.
fn specs(network: &Network) -> Result<Vec<MethodSpec>> {
    let names = METHODS.iter().map(|row| row.name);
    let apply = names.filter(|name| *name != "full-grad" || !network.name.contains("int8"));
    let specs = apply.map(|name| text(name).parse());
    let all: Vec<MethodSpec> = specs.collect::<std::result::Result<_, _>>()?;
    let sent = |spec: &MethodSpec| call(spec, &|_| None).is_ok();
    Ok(all.into_iter().filter(sent).collect())
}

impl Asker {
    /// Asks a board every method about a network.
    pub fn every(&self, network: &Network, board: &str) -> Result<Vec<Method>> {
        let path = self.zoo.join("models").join(network.file);
        let model = OpenModel::open(&path, &OpenOptions::default())?;
        let photo = Photo::open(&self.picture, &model.intake())?;
        let specs = specs(network)?;
        let bytes = model_bytes_for(&model, network.prune, &specs)?;
        let mut all = Vec::new();
        for some in specs.chunks(AT_ONCE) {
            let (answer, verdict) = self.run(&bytes, &photo, some, board)?;
            for (k, spec) in some.iter().enumerate() {
                eprintln!("{board}: {}, {spec} ...", network.name);
                all.push(method(spec, &photo, (&answer, k), &verdict)?);
            }
        }
        Ok(all)
    }
}

fn method(
    spec: &MethodSpec,
    photo: &Photo,
    (answer, k): (&Answer, usize),
    verdict: &str,
) -> Result<Method> {
    let cost = answer.text(&format!("cost.{k}"))?;
    let field = |name: &str| -> Result<u64> {
        let mut pairs = cost.split(' ').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name).ok_or("no such cost")?;
        Ok(value.parse()?)
    };
    let buffers = ["arena", "scratch", "map", "stack"].map(field);
    let buffers: u64 = buffers.into_iter().sum::<Result<u64>>()?;
    let picture = match photo.picture() {
        Picture::Pixels { data, .. } => data.len(),
        Picture::Tensor { data, .. } => 4 * data.len(),
    };
    let lent = Lent::of(spec, &photo.picture()).asking();
    Ok(Method {
        text: text(spec.row.name).to_owned(),
        instructions: field("instructions")?,
        steps: field("passes")?,
        ram: buffers + (picture + lent) as u64,
        verdict: verdict.to_owned(),
    })
}
