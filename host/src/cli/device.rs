//! `foveola device`: what a device is, and what it answers by itself.

mod keep;
mod uncertain;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use foveola_core::explain::Outcome;
use foveola_core::wire::message::{Explain, Slot};
use foveola_core::{Score, Shape};
use ndarray::Array3;
use ndarray_npy::WriteNpyExt;

use super::model_args::ModelArgs;
use super::progress::{bar, catch_interrupts, interrupted};
use super::table::{bytes, lay_out, row};
use super::unit_args::UnitArgs;
use super::{CliError, Ending, note, print};
use crate::backend::core::{Editing, ModelFile};
use crate::card::label;
use crate::crosscheck::model_bytes_for;
use crate::explainer::{DEFAULT_SEED, Passes, SaliencyMap, best};
use crate::link::{
    DeviceName, Facts, Finding, LinkError, Opened, Remote, call, open_in, tensor_named,
};
use crate::method_spec::MethodSpec;
use crate::model::OpenModel;
use crate::photo::Photo;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola device qemu:mps2-an386 info
  foveola device qemu:mps2-an386 explain model.onnx photo.jpg -m occlusion -m rise:masks=64
  foveola device qemu:mps2-an386 explain model.onnx photo.jpg --unit /features/12/Relu_output_0:3
  foveola device /dev/ttyACM0 put-model model.fov

A model that the device does not have is sent first; what a broken attempt left there
is not sent again. With --unit the network up to the unit is such a model. Ctrl-C ends a method after the pass that runs and keeps its map.
With --edits incremental a device computes pictures of which one box changed only where the
box can reach, if its memory has room; the map is the same, the count of instructions no
longer that of foveola budget.")]
pub struct DeviceArgs {
    /// Device: qemu:BOARD, a serial port such as /dev/ttyACM0, tcp:HOST:PORT, or unix:PATH
    pub device: DeviceName,

    /// Bits a second of a serial port
    #[arg(long, value_name = "N", default_value_t = 115_200)]
    pub baud: u32,

    /// Folder of the firmware's sources, for emulated boards
    #[arg(long, value_name = "DIR", default_value = "firmware")]
    pub firmware: PathBuf,

    /// Folder of an emulated board, which stays: flash.bin is its flash, frame.0.bin, frame.1.bin .. are what
    /// its camera sees [default: a new one each time]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show board, firmware, models, and how the line does
    Info,
    /// Bring a model there and make it the active one
    PutModel(ModelArgs),
    /// Classify a picture there
    Classify(Pictured),
    /// Explain a picture there: overlays and arrays
    Explain(Box<Explained>),
    /// Check the model's hashes, and that scores do not depend on what memory held before
    SelfTest(Pictured),
    /// Show what it keeps when it is switched off: name, log, models
    Storage,
    /// Give it its name and the key of its log, once
    Enrol(keep::EnrolArgs),
    /// Fetch its log, for `foveola audit`
    Log(keep::LogArgs),
    /// Measure there how sure the model is of a picture, by passes with dropout
    Uncertainty(uncertain::UncertainArgs),
    /// Have it judge what its camera sees by its model's policy
    Audit(keep::AuditArgs),
}

#[derive(Debug, Args)]
struct Pictured {
    #[command(flatten)]
    model: ModelArgs,

    /// Picture: PNG, JPEG, BMP, or a .npy tensor in the model's own input space
    picture: PathBuf,
}

#[derive(Debug, Args)]
struct Explained {
    #[command(flatten)]
    of: Pictured,

    /// Method, NAME[:key=value,...]; repeats [default: occlusion]
    #[arg(short, long = "method", value_name = "METHOD")]
    methods: Vec<MethodSpec>,

    /// Index of the class to explain [default: the device's best]
    #[arg(short, long, value_name = "INDEX", conflicts_with = "unit")]
    target: Option<u32>,

    #[command(flatten)]
    unit: UnitArgs,

    /// Key of every random number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,

    /// Folder for the files [default: foveola-out/PICTURE-on-BOARD]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &DeviceArgs) -> Result<Ending, CliError> {
    if matches!(args.device, DeviceName::Qemu(_)) {
        note("the board runs in QEMU; its program is built if it is not there yet");
    }
    catch_interrupts();
    let mut opened = open_in(
        &args.device,
        args.baud,
        &args.firmware,
        args.folder.as_deref(),
    )?;
    let Opened { remote, .. } = &mut opened;
    match &args.what {
        What::Info => print(&info(remote.facts())),
        What::PutModel(model) => {
            put_model(remote, &model.open()?, &[])?;
            print(&info(remote.facts()));
        }
        What::Classify(of) => print(&classify(remote, of)?),
        What::Explain(of) => return explain(remote, of),
        What::Storage => print(&keep::storage(remote)?),
        What::Enrol(args) => print(&keep::enrol(remote, args)?),
        What::Uncertainty(args) => print(&uncertain::run(remote, args)?),
        What::Audit(args) => return keep::audit(remote, args),
        What::Log(args) => print(&keep::log(remote, args)?),
        What::SelfTest(of) => {
            prepare(remote, (of.model.open()?, &of.picture), &[])?;
            let found = remote.self_test()?;
            print(&format!(
                "sound: the model's hashes hold, {}\n",
                cost(&found)
            ));
        }
    }
    Ok(Ending::Done)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn info(facts: &Facts) -> String {
    let mut text = format!(
        "{}, firmware {} ({})\n{} of RAM for picture, result and arena\n",
        facts.board,
        facts.firmware,
        &hex(&facts.firmware_sha256)[..12],
        bytes(facts.ram as usize)
    );
    let mut rows = vec![row([
        &"model", &"room", &"bytes", &"there", &"SHA-256", &"",
    ])];
    for (i, slot) in facts.slots.iter().enumerate() {
        rows.push(slot_row(i, slot, usize::from(facts.active) == i));
    }
    text += &lay_out(&rows, &[1, 2, 3]);
    let Shape { h, w, c } = facts.input;
    // A `String` takes whatever is written.
    let _ = writeln!(
        text,
        "active: {h}x{w}x{c}, {} classes, {} nodes",
        facts.classes, facts.nodes
    );
    let [frames, damaged, lost] = facts.line;
    text + &format!("line: {frames} frames, {damaged} damaged, {lost} bytes lost\n")
}

fn slot_row(number: usize, slot: &Slot, active: bool) -> Vec<String> {
    let name = match number {
        2 => String::from("in flash"),
        n => format!("slot {n}"),
    };
    let hash = match slot.sound {
        true => hex(&slot.sha256)[..12].to_owned(),
        false => String::new(),
    };
    let active = if active { "active" } else { "" };
    row([&name, &slot.room, &slot.length, &slot.have, &hash, &active])
}

/// Shows a bar until the work is done or Ctrl-C is pressed.
fn watched<R>(
    name: &str,
    unit: &str,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> R,
) -> R {
    let shown = bar(name, 0, unit);
    let result = work(&mut |done, total| {
        shown.set_length(total.max(done));
        shown.set_position(done);
        !interrupted()
    });
    shown.finish_and_clear();
    result
}

fn put_model(
    remote: &mut Remote,
    model: &OpenModel,
    methods: &[MethodSpec],
) -> Result<Vec<u8>, CliError> {
    let file = model_bytes_for(model, true, methods)?;
    watched("model", "bytes", |watch| remote.put_model(&file, watch))?;
    Ok(file)
}

/// Brings model and picture there.
fn prepare(
    remote: &mut Remote,
    (model, picture): (OpenModel, &Path),
    methods: &[MethodSpec],
) -> Result<(OpenModel, Vec<u8>, Photo), CliError> {
    let photo = Photo::open(picture, &model.intake())?;
    let file = put_model(remote, &model, methods)?;
    remote.put_picture(&photo.picture())?;
    Ok((model, file, photo))
}

fn cost(found: &Finding) -> String {
    let edits = match found.edits {
        None => String::new(),
        Some(0) => String::from("; every picture in full"),
        Some(count) => format!("; {count} pictures only where they changed"),
    };
    format!(
        "{} instructions, {} of stack, {} of arena{edits}",
        found.instructions,
        bytes(found.stack as usize),
        bytes(found.arena as usize)
    )
}

fn classify(remote: &mut Remote, of: &Pictured) -> Result<String, CliError> {
    let (model, ..) = prepare(remote, (of.model.open()?, &of.picture), &[])?;
    let found = remote.scores(Score::Probability)?;
    let mut order: Vec<usize> = (0..found.values.len()).collect();
    order.sort_by(|&a, &b| found.values[b].total_cmp(&found.values[a]));
    let mut rows = vec![row([&"class", &"label", &"probability"])];
    for class in order.into_iter().take(5) {
        let probability = format!("{:.2} %", 100.0 * found.values[class]);
        rows.push(row([&class, &model.card.label(class), &probability]));
    }
    Ok(lay_out(&rows, &[0, 2]) + &cost(&found) + "\n")
}

/// The methods that were named, or the usual one.
fn methods(args: &Explained) -> Result<Vec<MethodSpec>, CliError> {
    if !args.methods.is_empty() {
        return Ok(args.methods.clone());
    }
    let usual = "occlusion".parse();
    let wrong = |e: crate::method_spec::SpecError| CliError::Usage(e.to_string());
    Ok(vec![usual.map_err(wrong)?])
}

fn explain(remote: &mut Remote, args: &Explained) -> Result<Ending, CliError> {
    let methods = methods(args)?;
    let model = args.unit.of(args.of.model.open()?)?;
    let (model, file, photo) = prepare(remote, (model, &args.of.picture), &methods)?;
    let probabilities = remote.scores(Score::Probability)?.values;
    let named = args.target.map(|class| class as usize);
    let named = named.or(args.unit.channel());
    let target = named.unwrap_or_else(|| best(&probabilities)) as u32;
    let stem = args.of.picture.file_stem().unwrap_or_default();
    let name = format!("{}-on-{}", stem.display(), remote.facts().board);
    let out = args.out.clone();
    let folder = out.unwrap_or_else(|| Path::new("foveola-out").join(name));
    let unwritten =
        |e: &dyn std::fmt::Display| CliError::Usage(format!("{}: {e}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(|e| unwritten(&e))?;
    let checked = ModelFile::new(&file).map_err(LinkError::Core)?;
    for spec in &methods {
        let explain = Explain {
            method: call(spec, &|name| tensor_named(checked.model(), name))?,
            target: Some(target),
            score: None,
            seed: args.seed,
        };
        let edits = args.of.model.edits == Some(Editing::Incremental);
        let found = watched(spec.title(), "passes", |watch| match edits {
            true => remote.explain_edits(&explain, watch),
            false => remote.explain(&explain, watch),
        })?;
        let probability = probabilities.get(found.target).copied().unwrap_or(f32::NAN);
        let labelled = (label(&model.card.labels, found.target), probability);
        let map = SaliencyMap {
            unit: args.unit.unit.is_some(),
            ..saliency(spec, &found, labelled, &photo)
        };
        print(&format!("{}\n  {}\n", map.sentence(), cost(&found)));
        map.overlay(&photo)
            .save(folder.join(map.file_name()))
            .map_err(|e| unwritten(&e))?;
        write_npy(&folder.join(format!("{}.npy", map.stem())), &found)
            .map_err(|e| unwritten(&e))?;
        if interrupted() {
            note("stopped; what was finished is kept");
            return Ok(Ending::Stopped);
        }
    }
    print(&format!(
        "overlays and arrays are in {}\n",
        folder.display()
    ));
    Ok(Ending::Done)
}

/// The device's map, as the host shows its own.
fn saliency(
    spec: &MethodSpec,
    found: &Finding,
    (label, probability): (String, f32),
    photo: &Photo,
) -> SaliencyMap {
    let usual = match spec.needs_gradients() {
        true => Score::Logit,
        false => Score::Probability,
    };
    let map = SaliencyMap {
        spec: spec.clone(),
        parameters: spec.to_json(),
        score: usual,
        target: found.target,
        label,
        probability,
        unit: false,
        repeat: 1,
        shape: found.shape,
        values: found.values.clone(),
        size: [0, 0],
        pixels: Vec::new(),
        outcome: outcome(found),
        stopped: None,
        passes: Passes {
            forward: found.passes,
            ..Passes::default()
        },
        seconds: 0.0,
        region: None,
        figures: Default::default(),
        against: None,
        companions: Default::default(),
        balance: Vec::new(),
    };
    map.shown_at(photo.shape(), spec.row.map)
}

fn outcome(found: &Finding) -> Outcome {
    let words: Vec<&str> = found.outcome.split(' ').collect();
    match words.as_slice() {
        ["ok"] => Outcome::Ok,
        ["flat"] => Outcome::Flat,
        ["partial", done, total] => Outcome::Partial {
            done: done.parse().unwrap_or(0),
            total: total.parse().unwrap_or(0),
        },
        _ => Outcome::Undefined("the device found none"),
    }
}

fn write_npy(path: &Path, found: &Finding) -> Result<(), Box<dyn std::error::Error>> {
    let Shape { h, w, c } = found.shape;
    let array = Array3::from_shape_vec((h, w, c), found.values.clone())?;
    array.write_npy(std::fs::File::create(path)?)?;
    Ok(())
}
