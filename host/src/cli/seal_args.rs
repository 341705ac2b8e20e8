//! The flags that give a model file a policy, a release and a signature, and
//! what `inspect` says of them.

use std::path::{Path, PathBuf};

use clap::Args;
use foveola_core::audit::policy::Policy;
use foveola_core::net::model::Model;

use super::CliError;
use super::table::{lay_out, row};
use crate::audit::bench::Bench;
use crate::audit::policy::{self, PolicyError};
use crate::audit::seal::{Seal, public_key, seal, signed, signing_key};
use crate::backend::core::ModelFile;
use crate::model::{Engine, ModelError, OpenModel, OpenOptions};

const HEADING: &str = "Audit";

#[derive(Debug, Default, Args)]
pub struct SealArgs {
    /// What the device holds itself to; see below
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Release, from 1: a device refuses one lower than the highest it has run
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub release: Option<u32>,

    /// Private key to sign with; `foveola audit keygen` makes one
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    pub sign: Option<PathBuf>,
}

impl SealArgs {
    /// Whether anything is asked for.
    pub const fn any(&self) -> bool {
        self.policy.is_some() || self.release.is_some() || self.sign.is_some()
    }

    /// The file with what was asked for; pictures of the policy are prepared as
    /// `model` says.
    ///
    /// # Errors
    /// A policy or key that cannot be read or does not fit.
    pub fn apply(&self, bytes: &[u8], model: &OpenModel) -> Result<Vec<u8>, CliError> {
        if !self.any() {
            return Ok(bytes.to_vec());
        }
        let wrong = |source| ModelError::File {
            path: model.path.clone(),
            source,
        };
        let file = ModelFile::new(bytes).map_err(wrong)?;
        let policy = match &self.policy {
            Some(path) => {
                let mut compiled =
                    OpenModel::from_bytes(bytes, Path::new("model.fov"), &OpenOptions::default())?;
                compiled.card = model.card.clone();
                Some(policy::compile(path, &mut Bench::new(compiled)?)?)
            }
            None => None,
        };
        let key = self.sign.as_deref().map(signing_key).transpose()?;
        let release = self.release;
        let sealed = Seal {
            policy,
            release,
            key,
        };
        Ok(seal(file.model(), &sealed))
    }
}

/// Policy, release and signature of a file.
///
/// # Errors
/// A key or policy that cannot be read.
pub fn state(model: &Model<'_>, signer: Option<&Path>) -> Result<String, CliError> {
    let release = match model.release() {
        0 => String::from("none"),
        n => n.to_string(),
    };
    let signature = match (model.signature(), signer) {
        (None, _) => String::from("none"),
        (Some(_), None) => String::from("there; --signer checks it"),
        (Some(signature), Some(path)) => {
            match signed(&public_key(path)?, model.digest(), signature) {
                true => format!("right, by {}", path.display()),
                false => format!("WRONG: not by {}", path.display()),
            }
        }
    };
    let policy = Policy::of(model).map_err(PolicyError::Check)?;
    let mut rows = vec![
        row([&"release", &release]),
        row([&"signature", &signature]),
        row([&"policy", &policy.as_ref().map_or("none", |_| "there")]),
    ];
    if let Some(policy) = policy {
        rows.extend(policy_rows(&policy));
    }
    Ok(lay_out(&rows, &[]))
}

fn policy_rows(policy: &Policy<'_>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for rule in policy.rules() {
        let mut says = vec![rule.call.to_string()];
        if !rule.boxes.is_empty() {
            let least = 100.0 * rule.least_inside;
            says.push(format!(
                "at least {least:.0} % inside {} boxes",
                rule.boxes.len()
            ));
        }
        if rule.border.is_some() {
            says.push(format!(
                "at most {:.0} % in the border",
                100.0 * rule.most_border
            ));
        }
        if let Some(agreement) = rule.agreement {
            let [rows, columns] = agreement.grid;
            says.push(format!(
                "{:?} with a map of {rows}x{columns} at least {}",
                agreement.measure, agreement.least
            ));
        }
        rows.push(row([&format!("  rule {}", rule.number), &says.join("; ")]));
    }
    let limits = policy.limits();
    let limit = |name: &str, limit: Option<u64>| limit.map(|n| format!("{n} {name}"));
    let limits: Vec<String> = [
        limit("instructions", limits.instructions),
        limit("ms", limits.milliseconds.map(u64::from)),
        limit("bytes", limits.ram.map(u64::from)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !limits.is_empty() {
        rows.push(row([&"  limits", &limits.join(", ")]));
    }
    let failure = format!("{:?}", policy.on_failure()).to_lowercase();
    rows.push(row([&"  on failure", &failure]));
    rows.push(row([
        &"  self-test",
        &format!("{} pictures", policy.case_count()),
    ]));
    rows
}

/// Opens the compiled model of a flag, for a bench.
pub fn bench(model: OpenModel) -> Result<Bench, CliError> {
    match &model.engine {
        Engine::File(_) => Ok(Bench::new(model)?),
        _ => Err(PolicyError::NotCompiled(model.path).into()),
    }
}
