//! `foveola doctor`: which preprocessing does a model expect?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::model_args::ModelArgs;
use super::progress::{bar, catch_interrupts, interrupted};
use super::table::{lay_out, row};
use super::{CliError, Ending, note, print};
use crate::card::Card;
use crate::doctor::{Diagnosis, Labelled, Ranked, diagnose, prescription};
use crate::model::OpenModel;
use crate::report::folder::write_file;

/// Characters of a card's line that are shown.
const LONGEST: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foveola doctor model.onnx pictures/ --labels classes.txt    pictures/CLASS/*.jpg
  foveola doctor model.onnx pictures/ --table labels.csv -o model.card.toml

Tries the usual ways to prepare a photo: channel order, range, mean and scale, layout,
squash, crop and letterbox, signed and unsigned bytes. Twenty pictures tell most of them
apart; ways that nearly tie are named. Exit code 0 if the card at hand is the best way or
ties with it, 1 if another one is better, 130 if it was stopped.")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Folder of pictures, in it one folder a class, named by label or index
    pub pictures: PathBuf,

    /// File names and classes: CSV with a heading, COCO or own JSON
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,

    /// The column of classes [default: the first in which every cell names one]
    #[arg(long, value_name = "NAME", requires = "table")]
    pub column: Option<String>,

    /// Most pictures that are used
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Ways shown
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub top: usize,

    /// Where the card is written [default: MODEL.card.toml, unless that is there]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Print the ranking as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &DoctorArgs) -> Result<Ending, CliError> {
    let model = args.model.open()?;
    let data = data(args, &model)?;
    if data.classes() < 2 {
        note("all pictures are of one class, so a way that always answers it looks right");
    }
    catch_interrupts();
    let shown = bar("trying", data.samples.len() as u64, "pictures");
    let found = diagnose(&model, &data, args.model.threads(), &mut |done, _| {
        shown.set_position(done as u64);
        !interrupted()
    });
    shown.finish_and_clear();
    let found = found?;
    if let Some(first) = found.skipped.first() {
        note(&format!(
            "{} pictures cannot be read; the first: {}",
            found.skipped.len(),
            first.reason
        ));
    }
    let card = prescription(&found, &model);
    let written = match &card {
        Some((_, card)) => Some(write(args, &model, card)?),
        None => None,
    };
    print(&match args.json {
        true => json(&found),
        false => text(args, &model, &data, &found) + &written.unwrap_or_default(),
    });
    Ok(ending(&found))
}

fn data(args: &DoctorArgs, model: &OpenModel) -> Result<Labelled, CliError> {
    let (labels, classes) = (&model.card.labels, model.facts.classes);
    let (folder, most) = (&args.pictures, args.limit as usize);
    Ok(match &args.table {
        None => Labelled::folder(folder, labels, classes, most)?,
        Some(table) => {
            let column = args.column.as_deref();
            Labelled::table(table, folder, column, (labels, classes), most)?
        }
    })
}

fn ending(found: &Diagnosis) -> Ending {
    let stated = found.ranked.iter().find(|r| r.candidate.stated);
    match (found.stopped, stated.is_some_and(Ranked::ties)) {
        (true, _) => Ending::Stopped,
        (_, true) => Ending::Done,
        _ => Ending::Differs,
    }
}

/// Writes the card, unless that would overwrite one that nobody named.
fn write(args: &DoctorArgs, model: &OpenModel, card: &Card) -> Result<String, CliError> {
    let beside = model.path.with_extension("card.toml");
    let path = args.out.as_deref().unwrap_or(&beside);
    let toml = toml::to_string(&Written::of(card, &args.model.card.labels))
        .map_err(|e| CliError::Usage(format!("the card cannot be written: {e}")))?;
    let shown = shown(&toml);
    if args.out.is_none() && path.exists() {
        return Ok(format!(
            "\n{} is there and stays as it is; with -o FILE this would be written:\n\n{shown}",
            path.display()
        ));
    }
    write_file(path, toml.as_bytes())?;
    Ok(format!("\nwritten to {}:\n\n{shown}", path.display()))
}

/// The card without a list of labels too long to read.
fn shown(toml: &str) -> String {
    let line = |line: &str| match line.chars().count() > LONGEST {
        true => line.chars().take(LONGEST).chain(" ..\n".chars()).collect(),
        false => line.to_owned() + "\n",
    };
    toml.lines().map(line).collect()
}

/// A card as it is written: labels by the name of their file.
#[derive(serde::Serialize)]
struct Written<'c> {
    size: [usize; 2],
    resize: crate::card::Resize,
    channels: crate::card::Channels,
    mean: &'c [f32],
    scale: &'c [f32],
    activation: crate::card::OutputActivation,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<toml::Value>,
}

impl<'c> Written<'c> {
    fn of(card: &'c Card, file: &Option<PathBuf>) -> Self {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or(path.clone());
        let list = || {
            let names = card.labels.iter().cloned().map(toml::Value::String);
            (!card.labels.is_empty()).then(|| toml::Value::Array(names.collect()))
        };
        let file = file.as_ref().map(absolute);
        let named = file.map(|path| toml::Value::String(path.display().to_string()));
        Self {
            size: card.size,
            resize: card.resize,
            channels: card.channels,
            mean: &card.mean,
            scale: &card.scale,
            activation: card.activation,
            labels: named.or_else(list),
        }
    }
}

fn text(args: &DoctorArgs, model: &OpenModel, data: &Labelled, found: &Diagnosis) -> String {
    let mut text = format!(
        "{} of {} pictures, {} classes ({}); {} ways tried\n\n",
        found.pictures,
        data.found,
        data.classes(),
        data.source,
        found.ranked.len()
    );
    if found.stopped {
        text += "stopped: the ranking is that of the pictures done\n\n";
    }
    let heading: [&dyn std::fmt::Display; 5] =
        [&"", &"right", &"mean log probability", &"chance", &"way"];
    let mut rows = vec![row(heading)];
    let shown = |(place, ranked): &(usize, &Ranked)| *place < args.top || ranked.candidate.stated;
    let ranked = found.ranked.iter().enumerate().filter(shown);
    rows.extend(ranked.map(|(place, ranked)| line(place, ranked)));
    text += &lay_out(&rows, &[0, 1, 2, 3]);
    text + &verdict(model, found)
}

fn line(place: usize, ranked: &Ranked) -> Vec<String> {
    let stated = match ranked.candidate.stated {
        true => "  <- the card at hand",
        false => "",
    };
    row([
        &(place + 1),
        &format!("{}/{}", ranked.right, ranked.pictures),
        &format!("{:.3}", ranked.likelihood),
        &format!("{:.2}", ranked.chance),
        &format!("{}{stated}", ranked.candidate.words),
    ])
}

/// What a person should do now.
fn verdict(model: &OpenModel, found: &Diagnosis) -> String {
    let Some(best) = found.ranked.first() else {
        return String::new();
    };
    let mut text = format!("\nbest: {}\n", best.candidate.words);
    let rivals: Vec<&str> = found.ranked[1..]
        .iter()
        .filter(|ranked| ranked.pictures == best.pictures && ranked.ties())
        .map(|ranked| ranked.candidate.words.as_str())
        .collect();
    if !rivals.is_empty() {
        text += &format!(
            "nearly ties with it, so more pictures must decide: {}\n",
            rivals.join("; ")
        );
    }
    if let Some(channels) = agreed(&found.ranked, best) {
        text += &format!("all of these agree on {channels}\n");
    }
    let guess = 1.0 / model.facts.classes.max(1) as f64;
    let share = best.right as f64 / best.pictures.max(1) as f64;
    if share < 2.0 * guess {
        text +=
            "even the best way is hardly better than guessing: are labels and class order right?\n";
    }
    match found.ranked.iter().find(|r| r.candidate.stated) {
        Some(stated) if !stated.ties() => {
            text += &format!(
                "the card at hand ({}) says otherwise: {}\n",
                model.card_source, stated.candidate.words
            );
        }
        _ => {}
    }
    text
}

/// What the best way and those that tie with it agree on, if there are any.
fn agreed<'d>(ranked: &'d [Ranked], best: &'d Ranked) -> Option<&'d str> {
    let channels = |r: &'d Ranked| r.candidate.words.split(", ").next();
    let mut tied = ranked
        .iter()
        .skip(1)
        .filter(|r| r.pictures == best.pictures && r.ties())
        .peekable();
    tied.peek()?;
    tied.all(|r| channels(r) == channels(best))
        .then(|| channels(best))?
}

fn json(found: &Diagnosis) -> String {
    let one = |ranked: &Ranked| {
        json!({
            "way": ranked.candidate.words,
            "stated": ranked.candidate.stated,
            "pictures": ranked.pictures,
            "right": ranked.right,
            "mean_log_probability": ranked.likelihood,
            "chance": ranked.chance,
        })
    };
    let ranking: Vec<_> = found.ranked.iter().map(one).collect();
    let record = json!({
        "pictures": found.pictures,
        "skipped": found.skipped,
        "stopped": found.stopped,
        "ranking": ranking,
    });
    format!("{record}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_card_is_read_again() {
        let card = Card {
            size: [3, 4],
            resize: crate::card::Resize::Letterbox,
            channels: crate::card::Channels::Bgr,
            mean: vec![103.53, 116.28, 123.675],
            scale: vec![1.0, 0.5, 0.25],
            activation: crate::card::OutputActivation::None,
            labels: vec!["cat \"x\"".into(), "dog".into()],
        };
        let text = toml::to_string(&Written::of(&card, &None)).unwrap();
        let read = crate::card::PartialCard::from_toml(&text, "card".as_ref()).unwrap();
        assert_eq!(read.mean.as_deref(), Some(&card.mean[..]));
        assert_eq!(read.channels, Some(card.channels));
        assert_eq!(read.resize, Some(card.resize));
        let labels = crate::card::Labels::List(card.labels);
        assert_eq!(read.labels, Some(labels));
    }
}
