//! The structures of `include/foveola.h`, field by field. What they mean is
//! written there.

use core::ffi::{c_char, c_void};

use foveola_core::explain::hoc::MAX_LAYERS;
use foveola_core::picture::MAX_CHANNELS;

/// `foveola_scores`.
pub type Scores = unsafe extern "C" fn(user: *mut c_void, score: u32, out: *mut f32) -> i32;

/// `foveola_progress`.
pub type Step = unsafe extern "C" fn(user: *mut c_void, done: u64, total: u64) -> i32;

/// `foveola_engine`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Engine {
    pub height: u32,
    pub width: u32,
    pub channels: u32,
    pub classes: u32,
    pub element: u32,
    pub scale: f32,
    pub zero_point: i32,
    pub input: *mut c_void,
    pub scores: Option<Scores>,
    pub user: *mut c_void,
}

/// `foveola_question`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Question {
    pub seed: u64,
    pub picture: *const c_void,
    pub picture_element: u32,
    pub mean: [f32; MAX_CHANNELS],
    pub scale: [f32; MAX_CHANNELS],
    pub fill: [f32; MAX_CHANNELS],
    pub fill_picture: *const c_void,
    pub targets: *const usize,
    pub target_count: usize,
    pub score: u32,
    pub progress: Option<Step>,
    pub user: *mut c_void,
}

/// `foveola_outcome`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Outcome {
    pub done: u64,
    pub total: u64,
    pub kind: u32,
    pub reason_length: u32,
    pub reason: *const c_char,
}

/// `foveola_failure`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Failure {
    pub engine: i32,
    pub numbers: [u32; 6],
    pub text_length: u32,
    pub text: *const c_char,
}

/// `foveola_answer`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Answer {
    pub maps: *mut f32,
    pub map_elements: usize,
    pub outcomes: *mut Outcome,
    pub outcome_count: usize,
    pub scratch: *mut c_void,
    pub scratch_bytes: usize,
    pub failure: Failure,
}

/// `foveola_rise_parameters`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Rise {
    pub masks: u32,
    pub grid: u32,
    pub keep: f32,
    pub by_coverage: u32,
    pub mindspore: u32,
}

/// `foveola_occlusion_parameters`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Occlusion {
    pub window: [u32; 3],
    pub stride: [u32; 3],
    pub mindspore: u32,
}

/// `foveola_hoc_parameters`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Hoc {
    pub mode: u32,
    pub threshold: f32,
    pub layers: u32,
    pub windows: [u32; MAX_LAYERS],
    pub strides: [u32; MAX_LAYERS],
    pub tree: *mut TreeStep,
    pub tree_steps: usize,
}

/// `foveola_step`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TreeStep {
    pub layer: u32,
    pub y: u32,
    pub x: u32,
    pub height: u32,
    pub width: u32,
    pub score: f32,
    pub change: f32,
    pub parent: i32,
}

/// `foveola_region`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Region {
    pub passes: u64,
    pub steps: u32,
    pub layers: u32,
    pub complete: u32,
    pub scores: [f32; MAX_LAYERS],
}

/// The header states the same sizes.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(
    size_of::<Engine>() == 40
        && size_of::<Question>() == 88
        && size_of::<Outcome>() == 32
        && size_of::<Failure>() == 36
        && size_of::<Answer>() == 60
        && size_of::<Rise>() == 20
        && size_of::<Occlusion>() == 28
        && size_of::<Hoc>() == 84
        && size_of::<TreeStep>() == 32
        && size_of::<Region>() == 56
);
