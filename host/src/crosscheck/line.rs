//! A device at the other end of a line.

use foveola_core::Error;
use foveola_core::Score;

use super::compare::{Comparison, Kind};
use super::halves::{self, When};
use super::host::first_best;
use super::{CrosscheckError, Host, Identity, Inquiry, Report};
use crate::backend::core::ModelFile;
use crate::link::{Finding, LinkError, Remote};
use crate::method_spec::MethodSpec;
use crate::model::sha256;
use crate::photo::Photo;

/// How a device is asked, and what counts as the same.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest difference within tolerance, relative to the largest value.
    pub tolerance: f64,
    /// When the halves are asked apart.
    pub halves: When,
    /// Whether the device is asked about the model that it has, instead of
    /// being sent this one.
    pub keep_model: bool,
    /// Whether a method for which the device has too little memory is an error.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tolerance: super::compare::TOLERANCE,
            halves: When::Auto,
            keep_model: false,
            strict: true,
        }
    }
}

/// A question to a device.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The model file.
    pub bytes: &'a [u8],
    /// The picture.
    pub photo: &'a Photo,
    /// What the host says of them.
    pub host: &'a Host,
    /// What is asked.
    pub inquiry: Inquiry<'a>,
    /// How.
    pub options: Options,
    /// Whether the answer is still wanted.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asking({:?}, {:?})", self.inquiry, self.options)
    }
}

/// Asks a device over its line and compares it with the host. Layers are
/// walked, up to the first that differs, only where scores or a map differ.
///
/// # Errors
/// A line that fails, a device that cannot answer, [`LinkError::Stopped`].
pub fn over_line(remote: &mut Remote, asking: &Asking<'_>) -> Result<Report, CrosscheckError> {
    let Asking { host, options, .. } = *asking;
    let device = prepare(remote, asking)?;
    let mut report = Report::new(host, device);
    if report.device.has_input_of(host) && report.device.model == host.digest {
        report.comparisons = scores(remote, host, &mut report.device)?;
        let file = ModelFile::new(asking.bytes)?;
        for spec in asking.inquiry.methods {
            match map(remote, asking, &file, spec) {
                Ok(map) => report.comparisons.extend(map),
                Err(LinkError::Core(e)) if !options.strict && is_room(e) => {
                    report.left_out.push((spec.to_string(), e.to_string()));
                }
                Err(LinkError::Core(error)) => {
                    let reason = format!("the device says: {error}");
                    let method = spec.to_string();
                    return Err(CrosscheckError::Method { method, reason });
                }
                Err(other) => return Err(other.into()),
            }
        }
        if !report.comparisons.iter().all(Comparison::is_exact) {
            walk(remote, asking, &mut report)?;
        }
    }
    report.judge(host, options.tolerance);
    if report.wants_halves(options.halves) {
        report.halves = apart(remote, asking, &report)?;
    }
    Ok(report)
}

/// Asks both mixtures, with the model and the picture there already.
pub(super) fn apart(
    remote: &mut Remote,
    asking: &Asking<'_>,
    report: &Report,
) -> Result<Vec<super::Halves>, CrosscheckError> {
    let kind = |kind| report.comparisons.iter().filter(move |c| c.kind == kind);
    let maps: Vec<&Comparison> = kind(Kind::Map).collect();
    let scores = kind(Kind::Scores).all(Comparison::is_exact);
    halves::ask(remote, asking, &maps, scores)
}

/// Brings model and picture there, and reads what is there now.
pub(super) fn prepare(
    remote: &mut Remote,
    asking: &Asking<'_>,
) -> Result<Identity, CrosscheckError> {
    match asking.options.keep_model {
        true => remote.refresh().map(drop)?,
        false => remote.put_model(asking.bytes, &mut |_, _| (asking.go_on)())?,
    }
    remote.put_picture(&asking.photo.picture())?;
    let input = sha256(&remote.picture()?);
    let facts = remote.facts();
    let active = facts.slots.get(usize::from(facts.active));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok(Identity {
        board: facts.board.clone(),
        firmware: facts.firmware.clone(),
        firmware_sha256: hex(&facts.firmware_sha256),
        model: active.map_or_else(String::new, |slot| hex(&slot.sha256)),
        input: Some(input),
        best: None,
    })
}

fn scores(
    remote: &mut Remote,
    host: &Host,
    device: &mut Identity,
) -> Result<Vec<Comparison>, CrosscheckError> {
    let logits = remote.scores(Score::Logit)?;
    device.best = Some(first_best(&logits.values));
    let probabilities = remote.scores(Score::Probability)?;
    let mut both = host.scores(&logits.values, &probabilities.values);
    both[0].cost = Some(cost(&logits));
    Ok(both.to_vec())
}

fn cost(found: &Finding) -> super::Cost {
    super::Cost {
        instructions: found.instructions,
        stack: u64::from(found.stack),
        arena: u64::from(found.arena),
    }
}

fn map(
    remote: &mut Remote,
    asking: &Asking<'_>,
    file: &ModelFile,
    spec: &MethodSpec,
) -> Result<Option<Comparison>, LinkError> {
    let explain = halves::explain(file, spec, asking)?;
    let found = remote.explain(&explain, &mut |_, _| (asking.go_on)())?;
    if !(asking.go_on)() {
        return Err(LinkError::Stopped);
    }
    let compared = asking.host.map(spec, &found.values, &found.outcome);
    Ok(compared.map(|c| Comparison {
        cost: Some(cost(&found)),
        ..c
    }))
}

/// Whether memory is what is missing.
const fn is_room(error: Error) -> bool {
    matches!(
        error,
        Error::BufferTooSmall { .. } | Error::ArenaTooSmall { .. }
    )
}

/// Compares layers until one differs; what the device has no memory for is passed over.
fn walk(
    remote: &mut Remote,
    asking: &Asking<'_>,
    report: &mut Report,
) -> Result<(), CrosscheckError> {
    for index in 0..asking.host.layers.len() {
        if !(asking.go_on)() {
            return Err(LinkError::Stopped.into());
        }
        let values = match remote.tensor(index as u32) {
            Ok(found) => found.values,
            Err(LinkError::Core(e)) if is_room(e) => {
                report
                    .left_out
                    .push((format!("layer {index}"), e.to_string()));
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        let compared = asking.host.layer(index, &values);
        let differs = compared.as_ref().is_some_and(|c| !c.is_exact());
        report.comparisons.extend(compared);
        if differs {
            break;
        }
    }
    Ok(())
}
