//! The program as it lies in memory.

use sha2::{Digest, Sha256};

unsafe extern "C" {
    static __stext: u8;
    static __etext: u8;
    static __srodata: u8;
    static __erodata: u8;
}

/// SHA-256 of code, then constants, then the linked model where it lies apart from them.
pub fn digest() -> [u8; 32] {
    let mut hash = Sha256::new();
    for (start, end) in [
        (&raw const __stext, &raw const __etext),
        (&raw const __srodata, &raw const __erodata),
    ] {
        let length = end.addr().saturating_sub(start.addr());
        // SAFETY: the linker script puts `length` bytes of the program there,
        // which are never written.
        hash.update(unsafe { core::slice::from_raw_parts(start, length) });
    }
    #[cfg(feature = "emulator")]
    hash.update(super::section());
    hash.finalize().into()
}
