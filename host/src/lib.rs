//! Foveola on the host: takes ONNX files, explains pictures, shows what came out.
//!
//! * [`graph`]: the network as the host sees it. [`import`] makes it from
//!   ONNX; [`compile`] simplifies it, plans its memory and writes a `.fov` file.
//! * [`card`]: how a photo becomes the network's input.
//! * [`backend`]: what runs a network; each one a `Classifier`.
//! * [`explainer`]: model file and picture in, maps out.
//! * [`report`]: overlays, sentences, files. [`cli`]: the `foveola` program.

pub mod aligned;
pub mod backend;
pub mod card;
pub mod cli;
pub mod compile;
pub mod explainer;
pub mod graph;
pub mod import;
pub mod method_spec;
pub mod model;
pub mod photo;
pub mod report;
pub mod suggest;
