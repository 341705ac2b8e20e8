//! The metrics of faithfulness, held to stored curves and to Captum's
//! infidelity, and to the ranges that their rows promise.

mod faithfulness {
    pub mod captum;
    pub mod ranges;
}
