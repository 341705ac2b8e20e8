//! How deep the stack was: what lies below it is painted, then searched for
//! the deepest place where the paint is gone.

use core::ptr;

const PAINT: u32 = 0xcccc_cccc;

/// Bytes below the painter's own frame that are left alone.
const MARGIN: usize = 128;

unsafe extern "C" {
    /// End of static memory: the lowest address that the stack may reach.
    static __sheap: u32;
    /// The stack's top: its first address is below it.
    static _stack_start: u32;
}

fn bottom() -> usize {
    (&raw const __sheap).addr()
}

/// Paints everything between static memory and the current frame.
#[inline(never)]
pub fn paint() {
    let here = 0u32;
    let end = ((&raw const here).addr() & !3).saturating_sub(MARGIN);
    let mut at = bottom();
    while at < end {
        // SAFETY: the address lies between the end of static memory and the
        // live part of the stack, is a multiple of 4, and belongs to nobody.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(at), PAINT) };
        at += 4;
    }
}

/// Bytes from the stack's top to the deepest place that was written since it was painted.
#[inline(never)]
pub fn depth() -> usize {
    let top = (&raw const _stack_start).addr();
    let mut at = bottom();
    // SAFETY: every address up to the stack's top is readable memory, and all
    // of it was written, by `paint` or as part of the stack.
    while at < top
        && unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u32>(at)) } == PAINT
    {
        at += 4;
    }
    top - at
}
