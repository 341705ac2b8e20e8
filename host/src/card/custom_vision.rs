//! What Azure Custom Vision and Windows ML write about a model's input.
//!
//! `Image.BitmapPixelFormat` and `Image.NominalPixelRange` stand in the ONNX
//! metadata; Custom Vision's export puts them, and `CustomVision.Preprocess.*`,
//! into `metadata_properties.json` beside the model, and the labels into
//! `labels.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use super::partial::{Labels, PartialCard, read_labels};
use super::{Channels, Resize};

const PIXEL_FORMAT: &str = "Image.BitmapPixelFormat";

impl PartialCard {
    /// Reads the metadata in the model file and beside it. Empty if there is none.
    pub fn from_metadata(metadata: &BTreeMap<String, String>, model: &Path) -> Self {
        let mut all = beside(model);
        all.extend(metadata.iter().map(|(k, v)| (k.clone(), v.clone())));
        if !all.contains_key(PIXEL_FORMAT) {
            return Self::default();
        }
        let (mean, scale) = normalisation(&all);
        Self {
            resize: Some(resize(&all)),
            channels: all.get(PIXEL_FORMAT).and_then(|f| channels(f)),
            mean: Some(mean),
            scale: Some(scale),
            labels: custom_labels(&all, model),
            ..Self::default()
        }
    }
}

fn beside(model: &Path) -> BTreeMap<String, String> {
    let path = model.with_file_name("metadata_properties.json");
    std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// `labels.txt` belongs to the model only if Custom Vision's own metadata lie there too.
fn custom_labels(all: &BTreeMap<String, String>, model: &Path) -> Option<Labels> {
    all.keys().find(|k| k.starts_with("CustomVision."))?;
    read_labels(&model.with_file_name("labels.txt"))
        .ok()
        .map(Labels::List)
}

fn channels(format: &str) -> Option<Channels> {
    match format {
        "Gray8" => Some(Channels::Gray),
        "Rgb8" => Some(Channels::Rgb),
        "Bgr8" => Some(Channels::Bgr),
        "Rgba8" => Some(Channels::Rgba),
        "Bgra8" => Some(Channels::Bgra),
        _ => None,
    }
}

fn resize(all: &BTreeMap<String, String>) -> Resize {
    match all
        .get("CustomVision.Preprocess.CropMethod")
        .map(String::as_str)
    {
        Some("FullImageShorterSide" | "CenterCrop") => Resize::Crop,
        _ => Resize::Squash,
    }
}

/// Mean and scale in pixel units: the nominal range first, then Custom
/// Vision's mean and standard deviation, which are in units of that range.
fn normalisation(all: &BTreeMap<String, String>) -> (Vec<f32>, Vec<f32>) {
    let (low, per_pixel) = match all.get("Image.NominalPixelRange").map(String::as_str) {
        Some("Normalized_0_1") => (0.0, 1.0 / 255.0),
        Some("Normalized_1_1") => (127.5, 1.0 / 127.5),
        _ => (0.0, 1.0),
    };
    let mean = numbers(all, "CustomVision.Preprocess.NormalizeMean").unwrap_or(vec![0.0]);
    let std = numbers(all, "CustomVision.Preprocess.NormalizeStd").unwrap_or(vec![1.0]);
    (
        mean.iter().map(|m| low + m / per_pixel).collect(),
        std.iter().map(|s| per_pixel / s).collect(),
    )
}

fn numbers(all: &BTreeMap<String, String>, key: &str) -> Option<Vec<f32>> {
    let list: Vec<f32> = serde_json::from_str(all.get(key)?).ok()?;
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn windows_ml_metadata() {
        let all = metadata(&[(PIXEL_FORMAT, "Bgr8")]);
        let card = PartialCard::from_metadata(&all, Path::new("m.onnx"));
        assert_eq!(card.channels, Some(Channels::Bgr));
        assert_eq!((card.mean, card.scale), (Some(vec![0.0]), Some(vec![1.0])));
        let none = PartialCard::from_metadata(&metadata(&[("x", "y")]), Path::new("m.onnx"));
        assert_eq!(none, PartialCard::default());
    }

    #[test]
    fn range_mean_and_deviation_become_pixel_units() {
        let all = metadata(&[
            (PIXEL_FORMAT, "Rgb8"),
            ("Image.NominalPixelRange", "Normalized_0_1"),
            ("CustomVision.Preprocess.NormalizeMean", "[0.5, 0.25, 0.0]"),
            ("CustomVision.Preprocess.NormalizeStd", "[0.5, 0.5, 1.0]"),
        ]);
        let card = PartialCard::from_metadata(&all, Path::new("m.onnx"));
        // Pixel 255 is 1 in the nominal range: (1 - 0.5) / 0.5 = 1.
        let (mean, scale) = (card.mean.unwrap(), card.scale.unwrap());
        assert!(((255.0 - mean[0]) * scale[0] - 1.0).abs() < 1e-6);
        assert!(((255.0 - mean[1]) * scale[1] - 1.5).abs() < 1e-6);
        assert!(((255.0 - mean[2]) * scale[2] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_export_folder_gives_labels() {
        let folder = tempfile::tempdir().unwrap();
        let json = r#"{"Image.BitmapPixelFormat": "Rgb8", "CustomVision.Metadata.Version": "1.2",
                       "CustomVision.Preprocess.CropMethod": "FullImageShorterSide"}"#;
        std::fs::write(folder.path().join("metadata_properties.json"), json).unwrap();
        std::fs::write(folder.path().join("labels.txt"), "cat\ndog\n").unwrap();
        let model = folder.path().join("model.onnx");
        let card = PartialCard::from_metadata(&BTreeMap::new(), &model);
        assert_eq!(
            card.labels,
            Some(Labels::List(vec!["cat".into(), "dog".into()]))
        );
        assert_eq!(card.resize, Some(Resize::Crop));
    }
}
