//! `foveola compile --int8`: quantises, compares, reports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::super::progress::{bar, catch_interrupts, interrupted};
use super::super::table::{bytes, lay_out, row};
use super::super::{CliError, note};
use super::CompileArgs;
use crate::backend::core::ModelFile;
use crate::compile::CompileOptions;
use crate::compile::prune::Report as Removed;
use crate::method_spec::MethodSpec;
use crate::model::{ModelError, OpenModel};
use crate::quantise::compare::{Answers, Evidence, Pair, Size};
use crate::quantise::pictures::{Album, Skipped};
use crate::quantise::{Calibration, FloatNetwork, Quantised, RangeRule};
use crate::report::folder::write_file;
use crate::report::json::readable;

/// Methods whose maps are compared without `--method`.
const DEFAULT_METHODS: [&str; 2] = ["grad-cam", "occlusion"];
/// Unreadable pictures that are named.
const NAMED: usize = 3;
const HEADING: &str = "Quantisation";

#[derive(Debug, Args)]
pub struct Int8Args {
    /// Quantise a float network to int8
    #[arg(long, help_heading = HEADING, requires = "calibrate", conflicts_with = "no_fold")]
    pub int8: bool,

    /// Folder of pictures, as the network will see them, that its ranges are taken from
    #[arg(long, help_heading = HEADING, value_name = "DIR", requires = "int8")]
    pub calibrate: Option<PathBuf>,

    /// How a tensor's range follows from its values
    #[arg(long, help_heading = HEADING, value_enum, default_value_t, requires = "int8")]
    pub calibration: RangeRule,

    /// Folder of pictures to compare both networks on [default: those of --calibrate]
    #[arg(long, help_heading = HEADING, value_name = "DIR", requires = "int8")]
    pub validate: Option<PathBuf>,

    /// Most pictures of a folder that are used
    #[arg(long, help_heading = HEADING, value_name = "N", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..), requires = "int8")]
    pub pictures: u32,

    /// Most pictures whose evidence is compared; 0 leaves it out
    #[arg(long, help_heading = HEADING, value_name = "N", default_value_t = 10, requires = "int8")]
    pub evidence: u32,

    /// Method whose maps are compared; repeats [default: grad-cam and occlusion]
    #[arg(short, long = "method", help_heading = HEADING, value_name = "METHOD", requires = "int8")]
    pub methods: Vec<MethodSpec>,

    /// Print the report as JSON
    #[arg(long, help_heading = HEADING, requires = "int8")]
    pub json: bool,
}

/// What is reported.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    calibration: RangeRule,
    calibrated_on: usize,
    skipped: Vec<Skipped>,
    integer_nodes: usize,
    float_nodes: &'a [String],
    float: Size,
    int8: Size,
    answers: Answers,
    evidence: Vec<Evidence>,
    removed: &'a Removed,
}

/// Runs the command.
pub fn run(args: &CompileArgs, model: &OpenModel, out: &Path) -> Result<String, CliError> {
    let flags = &args.int8;
    let most = flags.pictures as usize;
    let Some(folder) = &flags.calibrate else {
        let reason = "--int8 needs --calibrate DIR";
        return Err(CliError::Usage(String::from(reason)));
    };
    let network = FloatNetwork::of(model, &args.layers)?;
    let album = Album::open(folder, most)?;
    let validation = flags.validate.as_ref().unwrap_or(folder);
    let validation = Album::open(validation, most)?;
    catch_interrupts();
    let threads = args.model.threads();
    let seen = shown("calibrating", album.pictures.len(), |step| {
        Ok(network.calibrate(model, &album, threads, step)?)
    })?;
    let quantised = network.quantise(
        &seen,
        flags.calibration,
        model,
        &args.layers,
        !args.no_prune,
    )?;
    let float = CompileOptions::shipped(&args.layers, !args.no_prune);
    let float = file(&model.compile(&float)?.bytes, &model.path)?;
    let int8 = file(&quantised.compiled.bytes, out)?;
    let mut report = Report::new(out, flags.calibration, &seen, &quantised);
    (report.float, report.int8) = (Size::of(float.model()), Size::of(int8.model()));
    let mut pair = Pair::new(model, float, Arc::clone(&int8), threads);
    report.compare(flags, &mut pair, &validation)?;
    write_file(out, &args.seal.apply(&quantised.compiled.bytes, model)?)?;
    report.remark();
    Ok(match flags.json {
        true => String::from_utf8_lossy(&readable(&report)).into_owned(),
        false => {
            let removed = super::pruned(report.removed, args.verbose);
            report.text() + "\n" + &removed + &super::plans(int8.model())
        }
    })
}

fn file(bytes: &[u8], path: &Path) -> Result<Arc<ModelFile>, CliError> {
    let failed = |source| ModelError::File {
        path: path.to_path_buf(),
        source,
    };
    Ok(Arc::new(ModelFile::new(bytes).map_err(failed)?))
}

/// Does work on pictures behind a bar.
fn shown<T>(
    name: &str,
    total: usize,
    work: impl FnOnce(&(dyn Fn(usize) -> bool + Sync)) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let bar = bar(name, total as u64, "pictures");
    let done = work(&|_| {
        bar.inc(1);
        !interrupted()
    });
    bar.finish_and_clear();
    done
}

fn evidence(flags: &Int8Args, pair: &mut Pair, album: &Album) -> Result<Vec<Evidence>, CliError> {
    let most = flags.evidence as usize;
    if most == 0 {
        return Ok(Vec::new());
    }
    let usual = || DEFAULT_METHODS.iter().filter_map(|m| m.parse().ok());
    let methods: Vec<MethodSpec> = match flags.methods.is_empty() {
        true => usual().collect(),
        false => flags.methods.clone(),
    };
    shown("explaining", most.min(album.pictures.len()), |step| {
        Ok(pair.evidence(album, most, &methods, step)?)
    })
}

impl<'a> Report<'a> {
    /// Before anything is compared.
    fn new(out: &Path, rule: RangeRule, seen: &Calibration, quantised: &'a Quantised) -> Self {
        Self {
            file: out.display().to_string(),
            calibration: rule,
            calibrated_on: seen.pictures,
            skipped: seen.skipped.clone(),
            integer_nodes: quantised.integer_nodes,
            float_nodes: &quantised.float_nodes,
            float: Size::default(),
            int8: Size::default(),
            answers: Answers::default(),
            evidence: Vec::new(),
            removed: &quantised.compiled.pruned,
        }
    }

    fn compare(
        &mut self,
        flags: &Int8Args,
        pair: &mut Pair,
        album: &Album,
    ) -> Result<(), CliError> {
        self.answers = shown("comparing", album.pictures.len(), |step| {
            Ok(pair.answers(album, step)?)
        })?;
        self.evidence = evidence(flags, pair, album)?;
        Ok(())
    }

    /// What a person should know besides the report.
    fn remark(&self) {
        let mut seen: Vec<&Skipped> = Vec::new();
        for skipped in self.skipped.iter().chain(&self.answers.skipped) {
            if !seen.contains(&skipped) {
                seen.push(skipped);
            }
        }
        for skipped in seen.iter().take(NAMED) {
            note(&format!("left out: {}", skipped.reason));
        }
        if seen.len() > NAMED {
            note(&format!(
                "and {} more pictures left out",
                seen.len() - NAMED
            ));
        }
        let float = self.float_nodes;
        if !float.is_empty() {
            let named: Vec<_> = float.iter().take(4).map(|n| format!("\"{n}\"")).collect();
            let more = if float.len() > 4 { ", .." } else { "" };
            note(&format!(
                "{} nodes stay f32, as no int8 kernel computes them: {}{more}",
                float.len(),
                named.join(", ")
            ));
        }
    }

    fn text(&self) -> String {
        let sizes = |name: &str, float, int8| row([&name, &bytes(float), &bytes(int8)]);
        let mut rows = vec![
            row([&"", &"float", &"int8"]),
            sizes("model file", self.float.file, self.int8.file),
            sizes("arena, forward", self.float.arena, self.int8.arena),
        ];
        let answers = &self.answers;
        if answers.labelled > 0 {
            let right = |n: usize| {
                format!(
                    "{n}/{} ({})",
                    answers.labelled,
                    percent(n, answers.labelled)
                )
            };
            let [float, int8] = [answers.float_right, answers.int8_right].map(right);
            rows.push(row([&"right answers", &float, &int8]));
        }
        let mut text = format!(
            "{}: {} int8 nodes, calibrated on {} pictures ({})\n\n",
            self.file,
            self.integer_nodes,
            self.calibrated_on,
            self.calibration.name()
        );
        text += &lay_out(&rows, &[1, 2]);
        text += &format!(
            "\nSame answer on {} of {} pictures ({}); its probability differs by {:.4} in the mean, {:.4} at most\n",
            answers.agreeing,
            answers.pictures,
            percent(answers.agreeing, answers.pictures),
            answers.probability_difference,
            answers.largest_difference
        );
        text + &self.evidence()
    }

    fn evidence(&self) -> String {
        if self.evidence.is_empty() {
            return String::new();
        }
        let mut rows = vec![row([
            &"evidence, int8 against float",
            &"pictures",
            &"rank correlation",
            &"least",
            &"top 10 % in common",
            &"least",
        ])];
        let hundred = |share: f64| format!("{:.1} %", share * 100.0);
        rows.extend(self.evidence.iter().map(|e| {
            row([
                &e.method,
                &e.pictures,
                &format!("{:.3}", e.mean_rank_correlation),
                &format!("{:.3}", e.least_rank_correlation),
                &hundred(e.mean_top_tenth_overlap),
                &hundred(e.least_top_tenth_overlap),
            ])
        }));
        let flat: usize = self.evidence.iter().map(|e| e.flat).sum();
        let flat = match flat {
            0 => String::new(),
            n => format!(
                "{n} pairs of maps are not compared, as one has the same value everywhere\n"
            ),
        };
        format!("\n{}{flat}", lay_out(&rows, &[1, 2, 3, 4, 5]))
    }
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}
