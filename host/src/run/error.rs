//! Why a run does not go on.

use std::path::{Path, PathBuf};

use super::data::DataError;
use super::nearest::NearestError;
use super::view::FetchError;
use crate::explainer::ExplainError;
use crate::model::ModelError;

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A method or metric that cannot run on this model.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// A folder without a run.
    #[error("{} holds no run: there is no manifest.json", .0.display())]
    NoRun(PathBuf),
    /// A file that is not what it should be.
    #[error("{what}: {reason}")]
    Damaged {
        /// The file.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that cannot be written, moved or removed.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A folder that holds another run.
    #[error("{} holds another run: {difference}; give another folder", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// A shard that was computed twice and is not the same.
    #[error("shard {shard} is there already and differs: {reason}")]
    ShardDiffers {
        /// Number of the shard.
        shard: u64,
        /// Which file, and how.
        reason: String,
    },
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The training pictures.
    #[error(transparent)]
    Nearest(#[from] NearestError),
    /// What was asked does not fit together.
    #[error("{0}")]
    Question(String),
}

impl From<FetchError> for RunError {
    fn from(error: FetchError) -> Self {
        Self::Damaged {
            what: error.what,
            reason: error.reason,
        }
    }
}

impl RunError {
    pub(super) fn write(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Write {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }
}
