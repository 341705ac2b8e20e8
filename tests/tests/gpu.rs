//! The backend `gpu` against `core`. It runs where an adapter is found; with
//! `CI` set there must be one.

#[path = "gpu/adapters.rs"]
mod adapters;
#[path = "gpu/edits.rs"]
mod edits;
#[path = "gpu/first.rs"]
mod first;
#[path = "gpu/kernels.rs"]
mod kernels;
#[path = "gpu/networks.rs"]
mod networks;
#[path = "gpu/residual.rs"]
mod residual;
#[path = "gpu/shaders.rs"]
mod shaders;
#[path = "gpu/trouble.rs"]
mod trouble;

use std::sync::{Arc, OnceLock};

use foveola::backend::gpu::{Gpu, GpuError};

/// One device for all tests; `None` without an adapter, with a line that says so.
fn device() -> Option<Arc<Gpu>> {
    static DEVICE: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || match Gpu::open(None) {
        Ok(gpu) => Some(gpu),
        Err(GpuError::NoAdapter) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI is set and there is no GPU adapter"
            );
            println!("skipped: no GPU adapter is within reach");
            None
        }
        Err(other) => panic!("{other}"),
    };
    DEVICE.get_or_init(open).clone()
}
