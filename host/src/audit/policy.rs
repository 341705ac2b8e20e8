//! A policy as people write it: a TOML file, which becomes the bytes that
//! [`foveola_core::audit::policy`] specifies.
//!
//! ```toml
//! on-failure = "withhold"          # or "report" (the default), "halt"
//!
//! [limits]                         # of one judgement; all optional
//! instructions = 500_000_000
//! milliseconds = 2000
//! ram = 300_000                    # bytes of arena, map and scratch
//!
//! [[rule]]
//! method = "grad-cam"              # as `foveola methods` lists them
//! target = "top"                   # or a class, or a list of classes
//! inside = [[0.3, 0.1, 0.4, 0.8]]  # boxes: x, y, width, height
//! least-inside = 0.5               # least share of the evidence in the boxes
//! border = 0.05                    # width of the border
//! most-border = 0.3                # most share of the evidence in it
//! unit = "fractions"               # of the picture (the default), or "pixels"
//! like = ["good.png"]              # pictures whose mean map is the stored one
//! grid = [8, 8]                    # its rows and columns
//! measure = "spearman"             # or "top-tenth"
//! least-agreement = 0.6
//!
//! [[self-test]]
//! picture = "good.png"
//! rule = 1                         # also hash the map of this rule's method
//! ```
//!
//! Paths count from the policy file's folder. Scores, hashes and stored maps
//! are those that the host computes with the compiled model.

mod text;

use std::path::{Path, PathBuf};

use foveola_core::audit::policy::Policy;
use foveola_core::audit::policy::layout::{
    BoxRecord, CaseRecord, Head, MAGIC, MAX_CELLS, NO_RULE, RuleRecord,
};
use foveola_core::audit::{judge, output_hash};
use foveola_core::wire::message::{Call, Explain, call_bytes};
use foveola_core::{At, Error, Picture, Score};
use zerocopy::little_endian::{F32, U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use text::{CaseText, Measure, PolicyText, RuleText, ScoreText, TargetText, Unit};

use super::bench::Bench;
use crate::aligned::AlignedBytes;
use crate::explainer::{ExplainError, best};
use crate::link::{LinkError, call};
use crate::method_spec::MethodSpec;
use crate::photo::{Photo, PhotoError};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a policy.
    #[error("{} is not a policy: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A rule or case that cannot be.
    #[error("{what} of the policy: {reason}")]
    Part {
        /// Which.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The policy does not pass the check of its reader.
    #[error("the policy does not fit the model: {0}")]
    Check(Error),
    /// A model that was not compiled.
    #[error("{} is no .fov file; `foveola compile` makes one", .0.display())]
    NotCompiled(PathBuf),
    /// A model without a policy.
    #[error("{} has no policy; `foveola compile --policy` adds one", .0.display())]
    None(PathBuf),
    /// A method or the network.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A picture.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// A method that devices do not know.
    #[error(transparent)]
    Method(#[from] LinkError),
}

/// The tables and the data, while they are filled.
struct Draft<'b> {
    bench: &'b mut Bench,
    folder: PathBuf,
    rules: Vec<RuleRecord>,
    calls: Vec<Explain>,
    boxes: Vec<BoxRecord>,
    cases: Vec<CaseRecord>,
    classes: Vec<U16>,
    data: Vec<u8>,
}

/// Reads a policy file and makes its bytes for a compiled model.
///
/// # Errors
/// A file that says something else, pictures or methods that do not fit.
pub fn compile(path: &Path, bench: &mut Bench) -> Result<Vec<u8>, PolicyError> {
    let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let text: PolicyText = toml::from_str(&text).map_err(|source| PolicyError::Toml {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let handle = bench.handle();
    let mut draft = Draft {
        bench,
        folder: path.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        rules: Vec::new(),
        calls: Vec::new(),
        boxes: Vec::new(),
        cases: Vec::new(),
        classes: Vec::new(),
        data: Vec::new(),
    };
    for (number, rule) in (1..).zip(&text.rule) {
        draft.rule(rule).map_err(|e| named(e, "rule", number))?;
    }
    for (number, case) in (1..).zip(&text.self_test) {
        draft
            .case(case)
            .map_err(|e| named(e, "self-test", number))?;
    }
    let bytes = draft.assemble(&text);
    let aligned = AlignedBytes::copy_of(&bytes);
    let policy = Policy::from_bytes(&aligned).map_err(PolicyError::Check)?;
    policy.fits(handle.model()).map_err(PolicyError::Check)?;
    Ok(bytes)
}

/// Says which rule or case an error is about.
fn named(error: PolicyError, kind: &str, number: usize) -> PolicyError {
    match error {
        PolicyError::Part { what, reason } if what.is_empty() => PolicyError::Part {
            what: format!("{kind} {number}"),
            reason,
        },
        other => other,
    }
}

fn wrong(reason: impl Into<String>) -> PolicyError {
    PolicyError::Part {
        what: String::new(),
        reason: reason.into(),
    }
}

const fn code(score: Option<ScoreText>) -> u8 {
    match score {
        None => 0,
        Some(ScoreText::Logit) => 1,
        Some(ScoreText::Probability) => 2,
    }
}

impl Draft<'_> {
    fn rule(&mut self, text: &RuleText) -> Result<(), PolicyError> {
        let call = self.call(&text.method)?;
        let classes = self.targets(text.target.as_ref())?;
        let score = text.score.map(|score| match score {
            ScoreText::Logit => Score::Logit,
            ScoreText::Probability => Score::Probability,
        });
        let explain = Explain {
            method: call,
            target: None,
            score,
            seed: text.seed,
        };
        let mut record = RuleRecord {
            target: u8::from(!classes.is_empty()),
            score: code(text.score),
            first_class: count(self.classes.len())?,
            classes: count(classes.len())?,
            first_box: count(self.boxes.len())?,
            boxes: count(text.inside.len())?,
            unit: u8::from(matches!(text.unit, Unit::Fractions)),
            border: F32::new(text.border),
            most_border: F32::new(text.most_border),
            least_inside: F32::new(text.least_inside),
            least_agreement: F32::new(text.least_agreement),
            seed: U64::new(text.seed),
            ..RuleRecord::new_zeroed()
        };
        let (bytes, length) = call_bytes(&call).ok_or_else(|| wrong("its method is too long"))?;
        record.call_length = count(length)?;
        record.call = self.put(&bytes[..length]);
        self.classes.extend(classes.into_iter().map(U16::new));
        let boxes = text.inside.iter().map(|sides| {
            let [x, y, w, h] = sides.map(F32::new);
            BoxRecord { x, y, w, h }
        });
        self.boxes.extend(boxes);
        if !text.like.is_empty() {
            self.reference(text, &explain, &mut record)?;
        }
        self.rules.push(record);
        self.calls.push(explain);
        Ok(())
    }

    /// The method as devices know it, its layer named.
    fn call(&self, text: &str) -> Result<Call, PolicyError> {
        let spec: MethodSpec = text.parse().map_err(ExplainError::Spec)?;
        let spec = match self.bench.default_layer() {
            Some(name) => spec.with_layer(&name),
            None => spec,
        };
        if !spec.runs_on_every_board() {
            return Err(PolicyError::Method(LinkError::Method {
                method: spec.to_string(),
                reason: "policies know the methods that every board has",
            }));
        }
        let planned = |name: &str| match self.bench.layer(name) {
            Some(At::Tensor(id)) => Some(id.0),
            _ => None,
        };
        Ok(call(&spec, &planned)?)
    }

    /// The classes; none for the best one.
    fn targets(&self, text: Option<&TargetText>) -> Result<Vec<u16>, PolicyError> {
        match text {
            None => Ok(Vec::new()),
            Some(TargetText::Name(name)) if name == "top" => Ok(Vec::new()),
            Some(TargetText::Several(list)) => list.iter().map(|one| self.class(one)).collect(),
            Some(one) => Ok(vec![self.class(one)?]),
        }
    }

    fn class(&self, text: &TargetText) -> Result<u16, PolicyError> {
        let labels = &self.bench.model.card.labels;
        let found = match text {
            TargetText::Number(class) => Some(*class),
            TargetText::Name(name) => labels
                .iter()
                .position(|label| label.eq_ignore_ascii_case(name))
                .and_then(|class| u16::try_from(class).ok()),
            TargetText::Several(_) => None,
        };
        let classes = self.bench.file().classes();
        found
            .filter(|class| usize::from(*class) < classes)
            .ok_or_else(|| {
                wrong(format!(
                    "{text:?} is not one of the model's {classes} classes"
                ))
            })
    }

    fn photo(&self, path: &Path) -> Result<Photo, PolicyError> {
        let path = self.folder.join(path);
        Ok(Photo::open(&path, &self.bench.model.intake())?)
    }

    /// The class that a photo is asked about: this one, or the best.
    fn asked(&self, photo: &Photo, class: Option<u16>) -> Result<u16, PolicyError> {
        if let Some(class) = class {
            return Ok(class);
        }
        let scores = self.bench.scores(photo, Score::Probability, 0);
        let scores = scores.map_err(ExplainError::Classifier)?;
        Ok(best(&scores) as u16)
    }

    /// Stores the mean of the maps of the pictures, each with evidence 1.
    fn reference(
        &mut self,
        text: &RuleText,
        explain: &Explain,
        record: &mut RuleRecord,
    ) -> Result<(), PolicyError> {
        let grid = text.grid.map(usize::from);
        let count = grid[0] * grid[1];
        if !(2..=MAX_CELLS).contains(&count) {
            return Err(wrong(format!("grid takes 2 to {MAX_CELLS} cells")));
        }
        let input = self.bench.file().input();
        let mut mean = vec![0.0; count];
        for path in &text.like {
            let photo = self.photo(path)?;
            let first = self.targets(text.target.as_ref())?.first().copied();
            let target = Some(u32::from(self.asked(&photo, first)?));
            let map = self.bench.map(&photo, &Explain { target, ..*explain }, 0)?;
            let mut cells = vec![0.0; count];
            let shapes = (map.shape, input);
            judge::cells(&explain.method, &map.values, shapes, grid, &mut cells)
                .map_err(ExplainError::Classifier)?;
            let total: f32 = cells.iter().sum();
            if !(total > 0.0 && total.is_finite()) {
                return Err(wrong(format!("the map of {} is flat", path.display())));
            }
            for (to, from) in mean.iter_mut().zip(cells) {
                *to += from / total / text.like.len() as f32;
            }
        }
        record.measure = match text.measure {
            Measure::Spearman => 1,
            Measure::TopTenth => 2,
        };
        [record.rows, record.columns] = text.grid;
        record.reference = self.put(mean.as_bytes());
        Ok(())
    }

    fn case(&mut self, text: &CaseText) -> Result<(), PolicyError> {
        let photo = self.photo(&text.picture)?;
        let (score, kind) = match text.score {
            Some(ScoreText::Logit) => (Score::Logit, 0),
            _ => (Score::Probability, 1),
        };
        let scores = self.bench.scores(&photo, score, 0);
        let scores = scores.map_err(ExplainError::Classifier)?;
        let shape = photo.shape();
        let mut record = CaseRecord {
            shape: [shape.h, shape.w, shape.c].map(|side| U32::new(side as u32)),
            score: kind,
            rule: U16::new(NO_RULE),
            classes: count(scores.len())?,
            ..CaseRecord::new_zeroed()
        };
        if let Some(number) = text.rule {
            let index = usize::from(number).checked_sub(1);
            let explain = index.and_then(|index| self.calls.get(index)).copied();
            let explain = explain.ok_or_else(|| wrong(format!("there is no rule {number}")))?;
            let class = self.targets(text.target.as_ref())?.first().copied();
            let class = self.asked(&photo, class)?;
            let target = Some(u32::from(class));
            let map = self.bench.map(&photo, &Explain { target, ..explain }, 0)?;
            record.rule = U16::new(number - 1);
            record.target = U16::new(class);
            record.map = output_hash(&map.values);
        }
        record.scores = self.put(scores.as_bytes());
        let bytes = match photo.picture() {
            Picture::Pixels { data, .. } => data.to_vec(),
            Picture::Tensor { data, .. } => {
                record.format = 1;
                data.as_bytes().to_vec()
            }
        };
        record.picture_length = U32::new(bytes.len() as u32);
        record.picture = self.put(&bytes);
        self.cases.push(record);
        Ok(())
    }

    /// Adds data on a multiple of 4; answers where, from the first byte of the data.
    fn put(&mut self, bytes: &[u8]) -> U32 {
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        U32::new(start as u32)
    }

    fn assemble(mut self, text: &PolicyText) -> Vec<u8> {
        let mut head = Head {
            magic: MAGIC,
            rules: U16::new(self.rules.len() as u16),
            boxes: U16::new(self.boxes.len() as u16),
            classes: U16::new(self.classes.len() as u16),
            cases: U16::new(self.cases.len() as u16),
            on_failure: text.on_failure as u8,
            ram: U32::new(text.limits.ram.unwrap_or(0)),
            milliseconds: U32::new(text.limits.milliseconds.unwrap_or(0)),
            instructions: U64::new(text.limits.instructions.unwrap_or(0)),
            ..Head::new_zeroed()
        };
        let tables = size_of::<Head>()
            + self.rules.as_bytes().len()
            + self.boxes.as_bytes().len()
            + self.cases.as_bytes().len()
            + self.classes.as_bytes().len();
        let start = tables.next_multiple_of(16);
        let shift = |at: &mut U32| *at = U32::new(at.get() + start as u32);
        for rule in &mut self.rules {
            shift(&mut rule.call);
            shift(&mut rule.reference);
        }
        for case in &mut self.cases {
            shift(&mut case.picture);
            shift(&mut case.scores);
        }
        head.length = U32::new((start + self.data.len()) as u32);
        let parts = [
            head.as_bytes(),
            self.rules.as_bytes(),
            self.boxes.as_bytes(),
            self.cases.as_bytes(),
            self.classes.as_bytes(),
        ];
        let mut bytes = parts.concat();
        bytes.resize(start, 0);
        bytes.extend(self.data);
        bytes
    }
}

fn count(count: usize) -> Result<U16, PolicyError> {
    u16::try_from(count)
        .map(U16::new)
        .map_err(|_| wrong("it has too many parts"))
}
