//! Foveola on the host: takes ONNX files, explains pictures, shows what came out.
//!
//! Explain a file:
//!
//! ```
//! use foveola::explainer::{Explainer, Question};
//!
//! let mut explainer = Explainer::open("demo/scene.onnx")?;
//! let photo = explainer.photo("demo/scene.png")?;
//! let question = Question::of(["grad-cam", "occlusion"])?;
//! for map in explainer.explain(&photo, &question)?.maps {
//!     println!("{}", map.sentence());
//!     map.overlay(&photo).save(std::env::temp_dir().join(map.file_name()))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Bring your own classifier: any engine that gives scores can be asked by
//! RISE, HOC and Occlusion. This one sees how red the picture is:
//!
//! ```
//! use foveola::explainer::{Question, Unwatched, explain_running};
//! use foveola::model::Running;
//! use foveola::photo::Photo;
//! use foveola_core::{Classifier, Error, Masked, Score, Shape};
//!
//! struct Redness;
//!
//! impl Classifier for Redness {
//!     fn input(&self) -> Shape {
//!         Shape::new(32, 32, 3)
//!     }
//!     fn classes(&self) -> usize {
//!         2
//!     }
//!     fn classify(&mut self, x: &Masked<'_>, _: Score, out: &mut [f32]) -> Result<(), Error> {
//!         let (mut row, mut red) = ([0.0; 32 * 3], 0.0);
//!         for y in 0..32 {
//!             x.row(y, &mut row)?;
//!             red += row.iter().step_by(3).sum::<f32>() / (32.0 * 32.0);
//!         }
//!         out[..2].copy_from_slice(&[red, 1.0 - red]);
//!         Ok(())
//!     }
//! }
//!
//! let mut pixels = vec![0.0; 32 * 32 * 3];
//! pixels[..12 * 3].fill(1.0); // the left of the first row is white
//! let photo = Photo::tensor(Shape::new(32, 32, 3), pixels);
//! let (labels, mut own) = ([], Running::new(Box::new(Redness)));
//! let mut question = Question::of(["occlusion:window=4", "rise:masks=200"])?;
//! question.targets = vec!["0".parse()?];
//! let seen = (&photo, &labels[..], Score::Probability);
//! let explanation = explain_running(&mut own, seen, &question, &mut Unwatched)?;
//! let found = explanation.maps[0].whereabouts().expect("evidence");
//! assert_eq!((found.region, found.share), ("upper left quarter", 1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The parts:
//!
//! * [`graph`]: the network as the host sees it. [`import`] makes it from
//!   ONNX; [`compile`] simplifies it, plans its memory and writes a `.fov` file.
//! * [`card`]: how a photo becomes the network's input.
//! * [`backend`]: what runs a network; each one a `Classifier`.
//! * [`model`]: a model file, opened. [`photo`]: a picture for it.
//! * [`quantise`]: a float network becomes int8, and what that changes.
//! * [`budget`]: what all that takes on a board.
//! * [`method_spec`]: methods as people write them.
//! * [`metric_spec`]: metrics as people write them.
//! * [`accelerate`]: a TFLite file becomes a program for an NPU.
//! * [`audit`]: the log of a device, read and held to its rules.
//! * [`explainer`]: model and picture in, maps out.
//! * [`link`]: a device at the other end of a serial line.
//! * [`uncertainty`]: how sure a network is.
//! * [`run`]: whole data sets.
//! * [`report`]: overlays, sentences, files. [`cli`]: the `foveola` program.

pub mod accelerate;
pub mod activations;
pub mod aligned;
pub mod audit;
pub mod backend;
pub mod bisect;
pub mod budget;
pub mod card;
pub mod cli;
pub mod compile;
pub mod crosscheck;
pub mod demo;
pub mod doctor;
pub mod explainer;
pub mod graph;
pub mod import;
pub mod link;
pub mod method_spec;
pub mod metric_spec;
pub mod model;
pub mod photo;
pub mod quantise;
pub mod report;
pub mod run;
pub mod suggest;
pub mod uncertainty;
