//! The firmware on emulated boards: the same bits as on this machine, and
//! errors instead of hangs.
//!
//! Needs `qemu-system-arm` and `qemu-system-riscv32` (Debian packages
//! `qemu-system-arm`, `qemu-system-misc`) and the targets of `tests/ci.sh`;
//! without them the tests say so and pass, unless `CI` is set.

mod device {
    mod audit;
    mod awkward;
    mod bits;
    mod board;
    mod budget;
    mod c_library;
    mod chips;
    mod compare;
    mod crosscheck;
    mod demo;
    mod display;
    mod edits;
    mod elf;
    mod failures;
    mod host;
    mod no_panic;
    mod not_finite;
    mod panel;
    mod random_int8;
    mod random_networks;
    mod robust;
    mod zoo_int8;
}
