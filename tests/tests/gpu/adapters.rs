//! Adapters are found by number and by a part of their name; what is not there
//! is said.

use foveola::backend::gpu::{Gpu, GpuError, list};

use super::device;

#[test]
fn adapters_have_numbers_and_names() {
    let Some(gpu) = device() else { return };
    let all = list();
    for (i, adapter) in all.iter().enumerate() {
        assert_eq!(adapter.index, i);
        assert!(adapter.binding < 1 << 31, "bindings stay below 2 GiB");
    }
    let best = gpu.facts();
    let hardware = all.iter().any(|a| !a.software);
    assert!(!best.software || !hardware, "hardware goes before software");
    for wanted in [best.index.to_string(), best.name.to_uppercase()] {
        let opened = Gpu::open(Some(&wanted)).expect("it is there");
        assert_eq!(opened.facts().index, best.index);
    }
    let missing = Gpu::open(Some("no such adapter")).expect_err("nothing has this name");
    let GpuError::NoSuchAdapter { have, .. } = missing else {
        panic!("{missing}");
    };
    assert!(have.contains(&best.name), "{have}");
}
