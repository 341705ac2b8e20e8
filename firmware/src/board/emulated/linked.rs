//! The model in the program's flash.
//!
//! It lies in a section of its own, the last one in flash: its length (`u32`), then
//! its bytes from the next multiple of 16 on. Code finds it by the section's
//! address and that length alone, so that the host can put another model into a
//! built program without linking it anew.

use foveola_core::net::format::Aligned;

const MODEL: &[u8] = include_bytes!(env!("FOVEOLA_MODEL_PATH"));

#[repr(C)]
struct Linked {
    length: u32,
    model: Aligned<[u8; MODEL.len()]>,
}

#[used]
#[unsafe(link_section = ".foveola_model")]
static LINKED: Linked = Linked {
    length: MODEL.len() as u32,
    model: Aligned(*include_bytes!(env!("FOVEOLA_MODEL_PATH"))),
};

/// Bytes before the model.
const HEAD: usize = core::mem::offset_of!(Linked, model);

unsafe extern "C" {
    static __foveola_model: u32;
}

/// The section: the model's length and the model.
pub(in crate::board) fn section() -> &'static [u8] {
    let start = &raw const __foveola_model;
    // SAFETY: the linker script puts the section there, which is never written
    // and begins with the length of what follows behind `HEAD` bytes.
    unsafe {
        let length = start.read() as usize;
        core::slice::from_raw_parts(start.cast(), HEAD + length)
    }
}

/// The model that is linked into the program.
pub fn linked_model() -> &'static [u8] {
    section().get(HEAD..).unwrap_or_default()
}
