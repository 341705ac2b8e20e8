//! The driver of the Ethos-U against a mock of its registers, which checks the
//! order in which they are used; the files of programs, also damaged ones; and
//! whole methods through both.

mod accelerator {
    mod files;
    mod methods;
    mod mock;
    mod sequence;
    mod vela;
}
