//! `foveola demo`: all methods on a built-in network and scene.

use std::path::{Path, PathBuf};

use clap::Args;
use foveola_core::explain::METHODS;

use super::progress::{Terminal, catch_interrupts};
use super::table::{lay_out, row};
use super::{CliError, Ending, print};
use crate::explainer::{Explainer, Explanation, Question, SaliencyMap};
use crate::model::{OpenModel, OpenOptions, sha256};
use crate::photo::Photo;
use crate::report::colour::ColourScale;
use crate::report::files::{FileRecord, Run, layer_picture, png, write};
use crate::report::folder::OutputFolder;
use crate::report::overlay::{blend, enlarge, enlargement};
use crate::report::sheet::{Cell, draw};

const MODEL: &[u8] = include_bytes!("../../demo/scene.onnx");
const CARD: &str = include_str!("../../demo/scene.card.toml");
const SCENE: &[u8] = include_bytes!("../../demo/scene.png");

/// Name of the contact sheet's file.
const SHEET: &str = "contact-sheet.png";

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for the files
    #[arg(short, long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub out: PathBuf,

    /// Threads; results do not depend on it [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

const DEFAULT_OUT: &str = "foveola-out/demo";

impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            out: PathBuf::from(DEFAULT_OUT),
            threads: None,
        }
    }
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Result<Ending, CliError> {
    let folder = OutputFolder::open(&args.out)?;
    let model = OpenModel::from_bytes(
        MODEL,
        Path::new("scene.onnx"),
        &OpenOptions::with_card(CARD)?,
    )?;
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    let mut explainer = Explainer::new(model, args.threads.map_or_else(all, usize::from));
    let photo = Photo::from_bytes(SCENE, Path::new("scene.png"), &explainer.model().intake())?;
    let names = METHODS.iter().map(|m| m.name);
    let question = Question::of(names).map_err(|e| CliError::Usage(e.to_string()))?;
    print("A small network that tells six shapes apart, and a noisy scene:\n");
    catch_interrupts();
    let explanation = explainer.explain_watched(&photo, &question, &mut Terminal::new())?;
    keep(&explainer, &photo, &question, &explanation, folder)?;
    print(&table(&explanation));
    print(&format!(
        "\nOverlays and {SHEET} are in {}. Now your own:\n  foveola explain MODEL.onnx PHOTO.jpg\n",
        args.out.display()
    ));
    Ok(match explanation.stopped {
        true => Ending::Stopped,
        false => Ending::Done,
    })
}

/// Writes what `explain` writes, the scene and the contact sheet.
fn keep(
    explainer: &Explainer,
    photo: &Photo,
    question: &Question,
    explanation: &Explanation,
    mut folder: OutputFolder,
) -> Result<(), CliError> {
    folder.stage("scene.png", SCENE)?;
    folder.stage(SHEET, &png(&sheet(explanation, photo)))?;
    let run = Run {
        command: &[String::from("demo")],
        model: explainer.model(),
        picture: &FileRecord {
            path: String::from("scene.png"),
            sha256: sha256(SCENE),
        },
        photo,
        question,
        explanation,
        raw: false,
    };
    Ok(write(&run, folder)?)
}

/// Method, passes, time and sentence of each map.
fn table(explanation: &Explanation) -> String {
    let mut rows = vec![row([&"method", &"passes", &"time", &"what it says"])];
    for map in &explanation.maps {
        let time = match map.seconds {
            s if s < 0.1 => format!("{:.1} ms", 1e3 * s),
            s => format!("{s:.2} s"),
        };
        rows.push(row([
            &map.spec.row.name,
            &map.passes.total(),
            &time,
            &map.statement(),
        ]));
    }
    let heading = explanation.maps.first().map(SaliencyMap::heading);
    format!(
        "it says {}.\n\n{}",
        heading.unwrap_or_default(),
        lay_out(&rows, &[1, 2])
    )
}

/// The scene, every map on it, and HOC's finest layer.
fn sheet(explanation: &Explanation, photo: &Photo) -> image::RgbImage {
    let display = photo.display();
    let (w, h) = display.dimensions();
    let heading = explanation
        .maps
        .first()
        .map(SaliencyMap::heading)
        .unwrap_or_default();
    let mut cells = vec![Cell {
        panel: enlarge(display, enlargement(w, h)),
        title: String::from("the scene"),
        caption: heading.clone(),
    }];
    for map in &explanation.maps {
        let panel = match &map.region {
            Some(region) => {
                let last = region.layers.len().saturating_sub(1);
                layer_picture(map, region, last, photo).panel()
            }
            None => {
                let scale = ColourScale::of(&map.pixels).filter(|_| map.reason().is_none());
                blend(display, &map.pixels, scale.as_ref())
            }
        };
        cells.push(Cell {
            panel,
            title: format!("{}, {} passes", map.spec.title(), map.passes.total()),
            caption: map.statement(),
        });
    }
    draw(&format!("What a network looks at: {heading}"), &cells, 4)
}
