//! The files that a board answers with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a board's answer lacks.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A file that is not there.
    #[error("the board left no {path}: {source}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file or line that is not as the page of the job says.
    #[error("the board's {what} is malformed")]
    Malformed {
        /// Which.
        what: String,
    },
}

/// What a question cost on the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Executed instructions.
    pub instructions: u64,
    /// Deepest stack, bytes.
    pub stack: u64,
    /// Arena, bytes.
    pub arena: u64,
}

/// A board's answer.
#[derive(Debug)]
pub struct Answer {
    folder: PathBuf,
    lines: BTreeMap<String, String>,
    /// Why it ended early, if it did.
    pub error: Option<String>,
}

impl Answer {
    /// Reads `answer.txt` of a folder.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(folder: &Path) -> Result<Self, AnswerError> {
        let path = folder.join("answer.txt");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| AnswerError::Missing { path, source })?;
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let lines: BTreeMap<_, _> = lines.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Ok(Self {
            folder: folder.to_owned(),
            error: lines.get("error").cloned(),
            lines,
        })
    }

    /// The value of a key.
    ///
    /// # Errors
    /// If it is not there.
    pub fn text(&self, key: &str) -> Result<&str, AnswerError> {
        let what = || AnswerError::Malformed {
            what: format!("answer.txt, key {key},"),
        };
        self.lines.get(key).map(String::as_str).ok_or_else(what)
    }

    /// A cost.
    ///
    /// # Errors
    /// If it is not there.
    pub fn cost(&self, key: &str) -> Result<Cost, AnswerError> {
        let text = self.text(key)?;
        let field = |name: &str| {
            let mut pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(k, _)| *k == name)
                .and_then(|(_, v)| v.parse().ok())
                .unwrap_or(0)
        };
        Ok(Cost {
            instructions: field("instructions"),
            stack: field("stack"),
            arena: field("arena"),
        })
    }

    /// The little-endian f32 of a file.
    ///
    /// # Errors
    /// If it is not there or of odd length.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, AnswerError> {
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| AnswerError::Missing { path, source })?;
        let (values, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(AnswerError::Malformed {
                what: name.to_owned(),
            });
        }
        Ok(values.iter().map(|v| f32::from_le_bytes(*v)).collect())
    }
}
