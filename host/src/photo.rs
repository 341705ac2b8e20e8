//! The picture to explain: a photo brought to the network's input as the card
//! says, or a tensor in the model's own input space.

mod cut;
mod frame;
mod hide;
mod npy;
pub mod variants;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveola_core::{Error, Masked, Normalisation, Picture, Shape};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};

use crate::card::{Card, Channels, OutputActivation, Resize};
use crate::graph::{InputType, Layout};
use crate::report::overlay::luma;

pub use frame::Frame;
pub use hide::Hidden;
pub use npy::{Numbers, read_any, read_masks, read_noise};

/// Longest side of a photo, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Memory that decoding may take, in bytes.
const MAX_DECODED: u64 = 1 << 30;
/// Largest file, in bytes.
const MAX_FILE: u64 = 1 << 28;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a picture that this program reads.
    #[error("{} is not a picture: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A picture that the network cannot take.
    #[error("{} does not fit the network: {reason}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What the network takes.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// Height, width, channels.
    pub shape: Shape,
    /// Where the model file expects the axes, for tensors.
    pub layout: Layout,
    /// Number type of the model's input, for tensors.
    pub input_type: InputType,
    /// How photos are prepared.
    pub card: &'a Card,
}

/// What a network takes, kept: for pictures that are read later.
#[derive(Debug)]
struct Terms {
    shape: Shape,
    layout: Layout,
    input_type: InputType,
    card: Card,
}

impl Terms {
    /// All but the labels, of which there may be many.
    fn of(intake: &Intake<'_>) -> Arc<Self> {
        let Card {
            size,
            resize,
            channels,
            activation,
            ..
        } = *intake.card;
        Arc::new(Self {
            shape: intake.shape,
            layout: intake.layout,
            input_type: intake.input_type,
            card: Card {
                size,
                resize,
                channels,
                mean: intake.card.mean.clone(),
                scale: intake.card.scale.clone(),
                activation,
                labels: Vec::new(),
            },
        })
    }

    const fn intake(&self) -> Intake<'_> {
        Intake {
            shape: self.shape,
            layout: self.layout,
            input_type: self.input_type,
            card: &self.card,
        }
    }
}

/// A picture, ready for the network.
#[derive(Clone, Debug)]
pub struct Photo {
    terms: Arc<Terms>,
    shape: Shape,
    content: Content,
    normalisation: Normalisation,
    display: RgbImage,
    frame: Frame,
    /// Whether baselines in numbers are meant in units of pixels.
    in_pixels: bool,
    /// Whether the model's first channel is blue.
    blue_first: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Pixels(Vec<u8>),
    Tensor(Vec<f32>),
}

impl Photo {
    /// Reads PNG, JPEG or BMP (told by content), or a `.npy` tensor (told by
    /// its first bytes).
    ///
    /// # Errors
    /// A file that cannot be read or decoded, or that does not fit the network.
    pub fn open(path: &Path, intake: &Intake<'_>) -> Result<Self, PhotoError> {
        Self::from_bytes(&read(path)?, path, intake)
    }

    /// As [`Photo::open`], from the file's bytes; `path` is for messages.
    ///
    /// # Errors
    /// As [`Photo::open`].
    pub fn from_bytes(bytes: &[u8], path: &Path, intake: &Intake<'_>) -> Result<Self, PhotoError> {
        if npy::is_npy(bytes) {
            let values = npy::read_tensor(bytes, intake).map_err(|reason| misfit(path, reason))?;
            return Ok(Self::from_tensor(values, intake));
        }
        let image = decode(bytes).map_err(|reason| PhotoError::Decode {
            path: path.to_path_buf(),
            reason,
        })?;
        Self::from_image(&image, intake).map_err(|reason| misfit(path, reason))
    }

    /// Prepares a decoded photo: resize rule, channel order.
    ///
    /// # Errors
    /// A network that takes no photos, with the reason in words.
    pub fn from_image(image: &DynamicImage, intake: &Intake<'_>) -> Result<Self, String> {
        let card = intake.card;
        let shape = intake.shape;
        if shape.c != card.channels.count() || intake.layout == Layout::Flat && shape.area() == 1 {
            return Err(format!(
                "it takes {}x{}x{} (height, width, channels), not a photo; give a .npy tensor",
                shape.h, shape.w, shape.c
            ));
        }
        let whole = raw_pixels(image, card.channels);
        let source = Shape::new(image.height() as usize, image.width() as usize, shape.c);
        let mut pixels = frame::fit(whole, source, [shape.h, shape.w], card.resize)
            .map_err(|e| e.to_string())?;
        let display = shown(&pixels, shape);
        if card.channels.blue_first() {
            swap_red_and_blue(&mut pixels, shape.c);
        }
        Ok(Self {
            terms: Terms::of(intake),
            shape,
            content: Content::Pixels(pixels),
            normalisation: card.normalisation(),
            display,
            frame: Frame::new([source.h, source.w], [shape.h, shape.w], card.resize),
            in_pixels: true,
            blue_first: card.channels.blue_first(),
        })
    }

    /// Pixels as a device took them: HWC, channels in the model's order; `None`
    /// if they are more or fewer than the network takes.
    pub fn from_pixels(pixels: Vec<u8>, intake: &Intake<'_>) -> Option<Self> {
        let (card, shape) = (intake.card, intake.shape);
        if pixels.len() != shape.len() || shape.c != card.channels.count() {
            return None;
        }
        let mut seen = pixels.clone();
        if card.channels.blue_first() {
            swap_red_and_blue(&mut seen, shape.c);
        }
        Some(Self {
            terms: Terms::of(intake),
            shape,
            display: shown(&seen, shape),
            content: Content::Pixels(pixels),
            normalisation: card.normalisation(),
            frame: Frame::whole([shape.h, shape.w]),
            in_pixels: true,
            blue_first: card.channels.blue_first(),
        })
    }

    /// A tensor in model space, HWC, `shape.len()` values, for a classifier
    /// without a card.
    ///
    /// # Panics
    /// If there are more or fewer values.
    pub fn tensor(shape: Shape, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape.len(), "one value an element");
        let channels = Channels::usual(shape.c).unwrap_or(Channels::Rgb);
        let card = Card {
            size: [shape.h, shape.w],
            resize: Resize::Squash,
            channels,
            mean: vec![0.0; channels.count()],
            scale: vec![1.0; channels.count()],
            activation: OutputActivation::None,
            labels: Vec::new(),
        };
        Self::from_tensor(
            values,
            &Intake {
                shape,
                layout: Layout::Nhwc,
                input_type: InputType::F32,
                card: &card,
            },
        )
    }

    /// A tensor in model space, HWC; `values` must have the network's length.
    pub fn from_tensor(values: Vec<f32>, intake: &Intake<'_>) -> Self {
        let normalisation = intake.card.normalisation();
        let display = tensor_display(
            &values,
            intake.shape,
            &normalisation,
            intake.card.channels.blue_first(),
        );
        Self {
            terms: Terms::of(intake),
            shape: intake.shape,
            content: Content::Tensor(values),
            normalisation,
            display,
            frame: Frame::whole([intake.shape.h, intake.shape.w]),
            in_pixels: false,
            blue_first: intake.card.channels.blue_first(),
        }
    }

    /// Another input of this network, HWC in model space, for people.
    pub fn paint(&self, values: &[f32]) -> RgbImage {
        tensor_display(values, self.shape, &self.normalisation, self.blue_first)
    }

    /// The same, a tensor that was made from pixels: baselines in numbers are
    /// meant in their units, and black is pixel 0.
    #[must_use]
    pub(crate) fn in_pixel_units(mut self) -> Self {
        self.in_pixels = true;
        self
    }

    /// The network's input in model space, HWC, as a network that takes `kind` stores it.
    ///
    /// # Errors
    /// What [`Masked::row`] reports.
    pub fn values(&self, kind: InputType) -> Result<Vec<f32>, Error> {
        let x = Masked::whole(self.picture());
        let mut values = vec![0.0; self.shape.len()];
        for (y, row) in values.chunks_mut(self.shape.row().max(1)).enumerate() {
            x.row(y, row)?;
        }
        values
            .iter_mut()
            .for_each(|v| *v = variants::stored(*v, kind));
        Ok(values)
    }

    /// The picture as `core` takes it.
    pub fn picture(&self) -> Picture<'_> {
        match &self.content {
            Content::Pixels(data) => Picture::Pixels {
                shape: self.shape,
                data,
                normalisation: &self.normalisation,
            },
            Content::Tensor(data) => Picture::Tensor {
                shape: self.shape,
                data,
            },
        }
    }

    /// Height, width, channels.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether it came as a tensor in model space.
    pub const fn is_tensor(&self) -> bool {
        matches!(self.content, Content::Tensor(_))
    }

    /// What the network sees, in colours for people, at the network's size.
    pub const fn display(&self) -> &RgbImage {
        &self.display
    }

    /// Where places of the file lie in the network's input. A tensor is its own file.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// From pixel to model space; the card's.
    pub const fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }
}

fn misfit(path: &Path, reason: String) -> PhotoError {
    PhotoError::Misfit {
        path: path.to_path_buf(),
        reason,
    }
}

/// Reads a file that is not larger than a picture may be.
///
/// # Errors
/// A file that cannot be read, or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, PhotoError> {
    let failed = |source| PhotoError::Read {
        path: path.to_path_buf(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(PhotoError::Decode {
            path: path.to_path_buf(),
            reason: format!("{size} bytes are more than the {MAX_FILE} that are read"),
        });
    }
    std::fs::read(path).map_err(failed)
}

/// Decodes a photo and turns it as its EXIF orientation says.
///
/// # Errors
/// What is wrong with the bytes, in words.
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    if bytes.is_empty() {
        return Err(String::from("the file is empty"));
    }
    let mut reader = ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err(String::from("neither PNG, JPEG, BMP nor .npy"));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    image.apply_orientation(orientation);
    match image.width() > 0 && image.height() > 0 {
        true => Ok(image),
        false => Err(String::from("it has no pixels")),
    }
}

/// Pixels as grey, RGB or RGBA bytes. Alpha is dropped where the network does
/// not take it, as Pillow's `convert` does.
fn raw_pixels(image: &DynamicImage, channels: Channels) -> Vec<u8> {
    match channels {
        Channels::Gray if image.color().has_color() => {
            image.to_rgb8().pixels().map(|p| luma(*p)).collect()
        }
        Channels::Gray => image.to_luma8().into_raw(),
        Channels::Rgb | Channels::Bgr => image.to_rgb8().into_raw(),
        Channels::Rgba | Channels::Bgra => image.to_rgba8().into_raw(),
    }
}

fn swap_red_and_blue(pixels: &mut [u8], channels: usize) {
    for pixel in pixels.chunks_exact_mut(channels) {
        pixel.swap(0, 2);
    }
}

/// Grey, RGB or RGBA bytes as an RGB picture.
fn shown(pixels: &[u8], shape: Shape) -> RgbImage {
    RgbImage::from_fn(shape.w as u32, shape.h as u32, |x, y| {
        let at = (y as usize * shape.w + x as usize) * shape.c;
        match pixels.get(at..at + shape.c) {
            Some([grey]) => Rgb([*grey; 3]),
            Some([r, g, b, ..]) => Rgb([*r, *g, *b]),
            _ => Rgb([0; 3]),
        }
    })
}

/// A tensor for people: back to pixels where the card fits its range, else
/// stretched from its least to its largest value.
fn tensor_display(values: &[f32], shape: Shape, n: &Normalisation, blue_first: bool) -> RgbImage {
    let colours = [1, 3, 4].contains(&shape.c);
    let back = |i: usize, v: f32| {
        let c = (i % shape.c.max(1)).min(3);
        v / n.scale[c] + n.mean[c]
    };
    let pixels: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(i, v)| back(i, *v))
        .collect();
    let fits = colours && pixels.iter().all(|p| (-0.75..255.75).contains(p));
    let bytes: Vec<u8> = match fits {
        true => pixels
            .iter()
            .map(|p| p.round().clamp(0.0, 255.0) as u8)
            .collect(),
        false => stretch(values),
    };
    let mut bytes = match colours {
        true => bytes,
        false => bytes.chunks_exact(shape.c.max(1)).map(average).collect(),
    };
    let shape = Shape::new(shape.h, shape.w, if colours { shape.c } else { 1 });
    if blue_first && shape.c >= 3 {
        swap_red_and_blue(&mut bytes, shape.c);
    }
    shown(&bytes, shape)
}

fn stretch(values: &[f32]) -> Vec<u8> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = if high > low { high - low } else { 1.0 };
    values
        .iter()
        .map(|v| ((v - low) / range * 255.0).round() as u8)
        .collect()
}

fn average(pixel: &[u8]) -> u8 {
    let sum: u32 = pixel.iter().map(|&v| u32::from(v)).sum();
    (sum / pixel.len().max(1) as u32) as u8
}

#[cfg(test)]
mod tests;
