//! Pipelines on disk: what the driver made of the shaders in an earlier run.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// Bytes of the digest that a file begins with.
const DIGEST: usize = 32;

/// The driver's own cache, and the file that it is read from and written to.
#[derive(Debug)]
pub(super) struct DiskCache {
    pipelines: wgpu::PipelineCache,
    file: PathBuf,
    kept: Option<Vec<u8>>,
}

/// The user's cache folder.
fn folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let home = || of("HOME").map(PathBuf::from);
    let base = if cfg!(target_os = "windows") {
        of("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        of("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| home().map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("foveola"))
}

/// What the file holds, if its digest is right.
fn content(bytes: &[u8]) -> Option<Vec<u8>> {
    let (digest, data) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(data)[..] == *digest).then(|| data.to_vec())
}

impl DiskCache {
    /// The cache of an adapter; `None` where its driver has none.
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder()?.join(wgpu::util::pipeline_cache_key(info)?);
        let kept = std::fs::read(&file).ok().and_then(|bytes| content(&bytes));
        let asked = wgpu::PipelineCacheDescriptor {
            label: Some("foveola"),
            data: kept.as_deref(),
            fallback: true,
        };
        // SAFETY: the data must come from `PipelineCache::get_data`. The file
        // lies in the user's own folder, is written by `save` alone, whole
        // (written aside and renamed), and its digest proves that it is what
        // `save` wrote; the driver further checks device and version.
        #[allow(unsafe_code)]
        let pipelines = unsafe { device.create_pipeline_cache(&asked) };
        Some(Self {
            pipelines,
            file,
            kept,
        })
    }

    /// What pipelines are made with.
    pub const fn pipelines(&self) -> &wgpu::PipelineCache {
        &self.pipelines
    }

    /// Whether an earlier run left something.
    pub const fn was_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Writes what is new.
    pub fn save(&self) {
        let Some(data) = self.pipelines.get_data() else {
            return;
        };
        if self.kept.as_ref() == Some(&data) {
            return;
        }
        let mut bytes = Sha256::digest(&data).to_vec();
        bytes.extend(data);
        let beside = self.file.with_extension(std::process::id().to_string());
        let written = self.file.parent().map(std::fs::create_dir_all);
        if matches!(written, Some(Ok(()))) && std::fs::write(&beside, bytes).is_ok() {
            let _ = std::fs::rename(&beside, &self.file);
        }
    }
}
