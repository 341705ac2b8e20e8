//! `foveola gpus`: adapters, and what they can do.

#[cfg(feature = "gpu")]
pub fn run() -> String {
    use crate::backend::gpu::{GpuError, list};

    let adapters = list();
    if adapters.is_empty() {
        return format!("{}\n", GpuError::NoAdapter);
    }
    adapters.iter().map(described).collect()
}

#[cfg(feature = "gpu")]
fn described(adapter: &crate::backend::gpu::AdapterFacts) -> String {
    let software = match adapter.software {
        true => ": the processor computes, so this is for tests; `--backend auto` does not take it",
        false => "",
    };
    let half = if adapter.f16 { "yes" } else { "no" };
    let subgroups = match adapter.subgroups {
        Some([least, most]) if least == most => format!("{most} threads"),
        Some([least, most]) => format!("{least} to {most} threads"),
        None => String::from("no"),
    };
    let cooperative = match adapter.cooperative.is_empty() {
        true => String::new(),
        false => format!(" ({})", adapter.cooperative.join(", ")),
    };
    let matrices = matrices(adapter);
    format!(
        "{index}  {name}\n   type       {kind}{software}\n   backend    {api}\n   driver     {driver}\n   \
         limits     {binding} MiB a buffer, {shared} KiB shared by {threads} threads\n   \
         f16        {half}\n   subgroups  {subgroups}\n   matrices   {matrices}{cooperative}\n",
        index = adapter.index,
        name = adapter.name,
        kind = adapter.kind,
        api = adapter.api,
        driver = adapter.driver,
        binding = adapter.binding >> 20,
        shared = adapter.shared >> 10,
        threads = adapter.threads,
    )
}

/// Whether the adapter's cooperative matrices multiply, tried on it.
#[cfg(feature = "gpu")]
fn matrices(adapter: &crate::backend::gpu::AdapterFacts) -> String {
    use crate::backend::gpu::{Gpu, Matrices};

    if !adapter.matrices {
        return Matrices::NotOffered.to_string();
    }
    match Gpu::open(Some(&adapter.index.to_string())) {
        Ok(gpu) => gpu.matrices().to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(not(feature = "gpu"))]
pub fn run() -> String {
    String::from("this program was built without the feature `gpu`\n")
}
