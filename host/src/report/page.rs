//! `report.html`: a run to look at, one file that opens from disk.
//!
//! The file asks for nothing: style, scripts, data, pictures and maps are
//! inside, and its content policy allows nothing else. Maps are 8-bit grey
//! PNGs at the method's own resolution with their range beside them; the page
//! colours them. The same run gives the same bytes.
//!
//! Of runs that are too large for one file, [`render_split`] keeps pictures,
//! maps and curves in scripts beside the page: what opens from a disk may load
//! scripts and nothing else. Each hands JSON to the page, `[name, [[picture,
//! [[[[map, curves], ..], [training picture, ..]], ..]], ..]]`, where pictures
//! and maps are `data:` addresses.
//!
//! * `select`: which pictures fit in. `encode`: pictures and maps as text.
//! * `data`: what the scripts read. `statistics`: numbers of the whole run.
//! * `shell`: the page around it.

mod data;
mod encode;
mod select;
mod shell;
mod statistics;

use crate::run::view::{Pictures, Run};

/// A run, and what to call it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Name in the page's run switch.
    pub name: &'a str,
    /// The run.
    pub run: &'a Run,
    /// Its maps and pictures.
    pub pictures: &'a dyn Pictures,
}

/// How much goes into a page, all of its runs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pictures of a run.
    pub samples: usize,
    /// Most bytes of pictures and maps.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples: 500,
            bytes: 25 << 20,
        }
    }
}

/// What a page begins with, if it has something to say about its runs.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Lead {
    /// The heading.
    pub title: String,
    /// A sentence or two.
    pub text: String,
    /// One a run, in their order.
    pub cards: Vec<Card>,
}

/// The verdict on one run.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Card {
    /// Whom it is about.
    pub title: String,
    /// Whether it is good.
    pub passes: bool,
    /// In one word.
    pub word: String,
    /// In one sentence.
    pub sentence: String,
    /// Names and values.
    pub facts: Vec<(String, String)>,
}

/// A page and how much it shows.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file.
    pub html: String,
    /// Pictures in it, run by run.
    pub shown: Vec<usize>,
}

/// Folder of the files beside a page that is split.
pub const DATA: &str = "data";

/// Writes the page of one or more runs. A map or a picture that cannot be
/// fetched is shown as such, with its reason.
pub fn render(entries: &[Entry<'_>], lead: Option<&Lead>, limits: Limits) -> Page {
    let share = Limits {
        bytes: limits.bytes / entries.len().max(1),
        ..limits
    };
    let runs: Vec<data::RunData<'_>> = entries.iter().map(|e| data::collect(e, share)).collect();
    Page {
        shown: runs.iter().map(|r| r.samples.len()).collect(),
        html: shell::html(&runs, lead, false),
    }
}

/// Takes a file beside a page: its name and its bytes.
pub type PutFile<'p, E> = dyn FnMut(&str, &[u8]) -> Result<(), E> + 'p;

/// Writes the page of one or more runs that keeps its pictures, maps and curves
/// in files beside it, and loads each when it is looked at: [`DATA`] says where.
/// `put` gets each file's name and bytes. Of `limits` only the number of
/// pictures counts.
///
/// # Errors
/// What `put` reports.
pub fn render_split<E>(
    entries: &[Entry<'_>],
    lead: Option<&Lead>,
    limits: Limits,
    put: &mut PutFile<'_, E>,
) -> Result<Page, E> {
    let mut part = |name: &str, held: &[data::Beside<'_>]| {
        put(&format!("{name}.js"), shell::part(name, &held).as_bytes())
    };
    let runs = entries.iter().enumerate();
    let runs = runs.map(|(i, entry)| data::collect_split((i, entry), limits, &mut part));
    let runs: Vec<data::RunData<'_>> = runs.collect::<Result<_, E>>()?;
    Ok(Page {
        shown: runs.iter().map(|r| r.samples.len()).collect(),
        html: shell::html(&runs, lead, true),
    })
}
