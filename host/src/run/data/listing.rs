//! Pictures as files name them, one after another.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::{DataError, Item, ItemBox};
use crate::quantise::plain_label;
use crate::suggest;

/// Names of foreign classes that a note shows.
const SHOWN: usize = 5;

/// The network's classes by what files call them.
#[derive(Clone, Debug)]
pub struct Classes {
    by_label: HashMap<String, usize>,
    labels: Vec<String>,
    /// How many there are.
    pub count: usize,
    first: usize,
}

impl Classes {
    /// `first` is added to class numbers of files.
    pub fn new(labels: &[String], count: usize, first: usize) -> Self {
        let mut by_label = HashMap::new();
        for (class, label) in labels.iter().enumerate().take(count) {
            let parts = std::iter::once(label.as_str()).chain(label.split(','));
            for name in parts.map(plain_label).filter(|name| !name.is_empty()) {
                by_label.entry(name).or_insert(class);
            }
        }
        Self {
            by_label,
            labels: labels.to_vec(),
            count,
            first,
        }
    }

    /// The class that a text names, by label or by number.
    pub fn named(&self, text: &str) -> Option<usize> {
        let by_label = self.by_label.get(&plain_label(text)).copied();
        by_label.or_else(|| self.numbered(text.trim().parse().ok()?))
    }

    /// The class of a number in a file.
    pub fn numbered(&self, number: usize) -> Option<usize> {
        number
            .checked_add(self.first)
            .filter(|&class| class < self.count)
    }

    /// Why a text is no class, and what to do.
    pub fn refusal(&self, text: &str) -> String {
        let hint = match self.labels.is_empty() {
            true => String::from("the network has no labels: give them, or class numbers"),
            false => suggest::hint(text, self.labels.iter().map(String::as_str)),
        };
        let last = self.count.saturating_sub(1 + self.first);
        format!("`{text}` is no class: neither a label nor a number up to {last}; {hint}")
    }
}

/// Pictures in the order in which they were first named.
#[derive(Debug)]
pub(super) struct Listing {
    items: Vec<Item>,
    places: HashMap<String, usize>,
    source: String,
    boxes: usize,
    foreign: BTreeMap<String, usize>,
    empty: usize,
}

impl Listing {
    /// `source` says in words how labels and boxes are known.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            items: Vec::new(),
            places: HashMap::new(),
            source: source.into(),
            boxes: 0,
            foreign: BTreeMap::new(),
            empty: 0,
        }
    }

    /// The picture of this name, made if it is new.
    pub fn picture(&mut self, name: &str, root: &Path) -> &mut Item {
        let place = *self.places.entry(name.to_string()).or_insert_with(|| {
            self.items.push(Item {
                name: name.to_string(),
                path: root.join(name),
                truth: None,
                boxes: Vec::new(),
            });
            self.items.len() - 1
        });
        &mut self.items[place]
    }

    /// Says in other words how things are known.
    pub fn known_by(&mut self, source: String) {
        self.source = source;
    }

    /// Counts something of a class that the network does not have.
    pub fn foreign(&mut self, class: &str) {
        *self.foreign.entry(class.to_string()).or_default() += 1;
    }

    /// Adds a box to a picture, and its class to what the picture shows. One
    /// without area is left out and counted.
    ///
    /// # Errors
    /// Numbers that are no box, in words.
    pub fn add(&mut self, name: &str, root: &Path, one: ItemBox) -> Result<(), String> {
        check(&one)?;
        let [_, _, w, h] = one.area;
        let item = self.picture(name, root);
        item.show(one.label);
        match w > 0.0 && h > 0.0 {
            true => {
                item.boxes.push(one);
                self.boxes += 1;
            }
            false => self.empty += 1,
        }
        Ok(())
    }

    /// Fails if boxes are named and none is of a class of the network.
    pub fn check_foreign(&self, file: &Path, classes: &Classes) -> Result<(), DataError> {
        let known = self.items.iter().any(|item| item.truth.is_some());
        match self.foreign.keys().next() {
            Some(first) if !known => Err(DataError::whole(
                file,
                format!(
                    "none of its {} classes is one of the network; {}",
                    self.foreign.len(),
                    classes.refusal(first)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Adds the boxes of another list to the pictures of this one: by name, or
    /// by the file's name alone where only one picture has it.
    ///
    /// # Errors
    /// If no picture is in both.
    pub fn add_boxes(&mut self, other: Self, file: &Path) -> Result<(), DataError> {
        let mut by_file: HashMap<String, Option<usize>> = HashMap::new();
        for (place, item) in self.items.iter().enumerate() {
            let several = by_file.entry(file_name(&item.name).to_string());
            several.and_modify(|p| *p = None).or_insert(Some(place));
        }
        let mut strangers = 0;
        for item in &other.items {
            let by_name = self.places.get(&item.name).copied();
            let place = by_name.or_else(|| by_file.get(file_name(&item.name)).copied().flatten());
            let Some(own) = place.map(|place| &mut self.items[place]) else {
                strangers += 1;
                continue;
            };
            own.boxes.extend(item.boxes.iter().cloned());
            if own.truth.is_none() {
                own.truth.clone_from(&item.truth);
            }
        }
        if strangers == other.items.len() {
            let first = other.items.first().map_or("", |item| &item.name);
            let reason = format!("no picture of the data set is in it; its first is `{first}`");
            return Err(DataError::whole(file, reason));
        }
        self.boxes += other.boxes;
        self.empty += other.empty;
        self.foreign.extend(other.foreign);
        self.source = format!("{}; boxes: {}", self.source, other.source);
        Ok(())
    }

    /// The pictures, how things are known, and what was left out.
    pub fn finish(self) -> (Vec<Item>, String, Vec<String>) {
        let mut notes = Vec::new();
        let count: usize = self.foreign.values().sum();
        if count > 0 {
            let mut names: Vec<(&String, &usize)> = self.foreign.iter().collect();
            names.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            let shown: Vec<String> = names
                .iter()
                .take(SHOWN)
                .map(|(c, n)| format!("{c} {n}"))
                .collect();
            let more = match names.len().saturating_sub(SHOWN) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            notes.push(format!(
                "{count} objects are left out, of classes that the network does not have: {}{more}",
                shown.join(", ")
            ));
        }
        if self.empty > 0 {
            notes.push(format!("{} boxes without area are left out", self.empty));
        }
        (self.items, self.source, notes)
    }
}

impl Item {
    /// Notes that the picture shows a class.
    pub(super) fn show(&mut self, class: usize) {
        let truth = self.truth.get_or_insert_default();
        if let Err(place) = truth.binary_search(&class) {
            truth.insert(place, class);
        }
    }
}

fn check(one: &ItemBox) -> Result<(), String> {
    let [x, y, w, h] = one.area;
    if !one.area.iter().all(|v| v.is_finite()) || w < 0.0 || h < 0.0 {
        return Err(format!("{x}, {y}, {w}, {h} is no box: x, y, width, height"));
    }
    let corners = one.polygons.iter().flatten().flatten();
    if one.polygons.iter().any(|p| p.len() < 3) || !corners.clone().all(|v| v.is_finite()) {
        return Err(String::from("an outline has three corners or more"));
    }
    Ok(())
}

fn file_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}
