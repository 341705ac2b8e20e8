//! A proof by the linker.
#![allow(unsafe_code, reason = "names a function that does not exist")]

unsafe extern "C" {
    fn foveola_a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the function does not exist, so no program that calls it does.
    unsafe { foveola_a_panic_is_reachable() }
}
