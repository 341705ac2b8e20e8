//! The backend `gpu` for an opened model.

#[cfg(feature = "gpu")]
mod with {
    use std::sync::Arc;

    use foveola_core::Classifier;

    use crate::backend::core::{Editing, ModelFile};
    use crate::backend::gpu::{Gpu, GpuBackend, GpuError, Preparation, Storage, list};
    use crate::model::{Engine, ModelError, OpenModel, Precision};

    /// A device that a model runs on.
    pub type Device = Arc<Gpu>;

    impl From<GpuError> for ModelError {
        fn from(error: GpuError) -> Self {
            Self::Gpu(error.to_string())
        }
    }

    /// Opens an adapter: by number, by a part of its name, or the best one.
    pub fn open(adapter: Option<&str>) -> Result<Device, ModelError> {
        Ok(Gpu::open(adapter)?)
    }

    /// The network on a device.
    pub fn start(
        device: &Device,
        file: Arc<ModelFile>,
        precision: Precision,
        editing: Editing,
    ) -> Result<Box<dyn Classifier>, ModelError> {
        let storage = match precision {
            Precision::Full => Storage::Full,
            Precision::Half => Storage::Half,
        };
        let backend = GpuBackend::new(Arc::clone(device), file, storage)?;
        Ok(Box::new(backend.editing(editing)))
    }

    impl OpenModel {
        /// Runs the model on a GPU where there is one that is hardware and that
        /// takes the network; otherwise a note says why `core` runs it.
        pub fn prefer_gpu(&mut self, adapter: Option<&str>) {
            if matches!(self.engine, Engine::Tract(_)) {
                return;
            }
            let adapters = list();
            if adapter.is_none() && adapters.iter().all(|a| a.software) {
                let why =
                    "no GPU within reach that is hardware (`foveola gpus` lists what there is)";
                self.notes
                    .push(format!("{why}: the backend core runs the model"));
                return;
            }
            let opened = Gpu::open(adapter).map_err(ModelError::from);
            let started = opened.and_then(|gpu| {
                self.gpu = Some(gpu);
                self.start(&[], 1)
            });
            if let Err(error) = started {
                self.gpu = None;
                self.notes
                    .push(format!("{error}; the backend core runs the model"));
            }
        }

        /// Why the device failed, after a call that ended with
        /// [`foveola_core::Error::Backend`].
        pub fn failure(&self) -> Option<ModelError> {
            let gpu = self.gpu.as_ref()?;
            gpu.failure().map(ModelError::from)
        }

        /// Fails if the device went away or ran out of memory; what it computed
        /// is then worth nothing.
        ///
        /// # Errors
        /// What went wrong.
        pub fn sound(&self) -> Result<(), ModelError> {
            match &self.gpu {
                Some(gpu) => Ok(gpu.check()?),
                None => Ok(()),
            }
        }

        /// What the model runs on, in one line; nothing for the processor.
        pub fn device_line(&self) -> Option<String> {
            let gpu = self.gpu.as_ref()?;
            let Preparation {
                pipelines,
                time,
                kept,
            } = gpu.preparation();
            let before = match kept {
                true => "with what an earlier run kept",
                false => "faster next time where the driver keeps them",
            };
            let time = time.as_secs_f64();
            let storage = match self.precision {
                Precision::Full => String::new(),
                Precision::Half => format!(", stored in f16, matrices {}", gpu.matrices()),
            };
            Some(format!(
                "on {gpu}{storage}: {pipelines} pipelines made in {time:.2} s, {before}"
            ))
        }
    }
}

#[cfg(not(feature = "gpu"))]
mod with {
    use std::sync::Arc;

    use foveola_core::Classifier;

    use crate::backend::core::{Editing, ModelFile};
    use crate::model::{ModelError, OpenModel, Precision};

    /// There is none in this build.
    pub type Device = std::convert::Infallible;

    /// What a program without the feature says.
    const WITHOUT: &str = "this program was built without the feature `gpu`";

    /// Fails: there is no such backend in this build.
    pub fn open(_adapter: Option<&str>) -> Result<Device, ModelError> {
        Err(ModelError::Gpu(String::from(WITHOUT)))
    }

    /// Never called.
    pub fn start(
        device: &Device,
        _file: Arc<ModelFile>,
        _precision: Precision,
        _editing: Editing,
    ) -> Result<Box<dyn Classifier>, ModelError> {
        match *device {}
    }

    impl OpenModel {
        /// Notes that `core` runs the model.
        pub fn prefer_gpu(&mut self, _adapter: Option<&str>) {
            self.notes.push(format!("{WITHOUT}: core runs the model"));
        }

        /// Nothing: there is no device.
        pub const fn failure(&self) -> Option<ModelError> {
            None
        }

        /// Always: there is no device.
        ///
        /// # Errors
        /// None.
        pub const fn sound(&self) -> Result<(), ModelError> {
            Ok(())
        }

        /// Nothing: there is no device.
        pub const fn device_line(&self) -> Option<String> {
            None
        }
    }
}

pub use with::Device;
pub(super) use with::{open, start};
