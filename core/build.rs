//! Says which instruction sets the target has beyond what `cfg` tells, and what
//! is left out for its size.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(foveola_dsp)");
    println!("cargo:rustc-check-cfg=cfg(foveola_dsp_optional)");
    println!("cargo:rustc-check-cfg=cfg(foveola_helium)");
    println!("cargo:rustc-check-cfg=cfg(foveola_dropout)");
    println!("cargo:rustc-check-cfg=cfg(foveola_relevance)");
    println!("cargo:rustc-check-cfg=cfg(foveola_edits)");
    println!("cargo:rustc-check-cfg=cfg(foveola_inside)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Programs for Armv6-M go into flashes that have no room for it.
    if !target.starts_with("thumbv6m") {
        println!("cargo:rustc-cfg=foveola_dropout");
    }
    // Nor does one for Armv6-M or Armv7-M have room for the methods beyond the
    // first seven; a method that nobody calls would be kept by the table of the
    // trait that it belongs to.
    let roomy = ["thumbv7em", "thumbv8m.main", "riscv32"];
    let bare = std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none");
    if !bare || roomy.iter().any(|name| target.starts_with(name)) {
        println!("cargo:rustc-cfg=foveola_relevance");
        println!("cargo:rustc-cfg=foveola_edits");
        println!("cargo:rustc-cfg=foveola_inside");
    }
    // The DSP extension is part of Armv7E-M. In Armv8-M it is an option, which
    // `Isa::detect` asks the processor about.
    let optional = target.starts_with("thumbv8m.main");
    if optional {
        println!("cargo:rustc-cfg=foveola_dsp_optional");
    }
    // Helium is an option of Armv8.1-M, asked about in the same way. Its
    // registers are those of floating point.
    if optional && target.ends_with("eabihf") {
        println!("cargo:rustc-cfg=foveola_helium");
    }
    if optional || target.starts_with("thumbv7em") {
        println!("cargo:rustc-cfg=foveola_dsp");
    }
}
