//! What a person gets: overlays, sentences, a contact sheet, files.

pub mod activation_sheet;
pub mod canvas;
pub mod colour;
pub mod files;
pub mod folder;
pub mod html;
pub(crate) mod json;
pub mod overlay;
pub mod page;
pub mod regions;
pub mod sentence;
pub mod sheet;
