//! What a person gets: overlays, sentences, a contact sheet.

pub mod canvas;
pub mod colour;
pub mod overlay;
pub mod regions;
pub mod sentence;
pub mod sheet;
