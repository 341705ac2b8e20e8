//! Pictures and maps as text: base64 of small files.

use foveola_core::explain::Outcome;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde::{Serialize, Serializer};

use crate::explainer::evidence_of;
use crate::report::colour::ColourScale;
use crate::report::html::base64;
use crate::report::sentence::{Evidence, Whereabouts};
use crate::run::view::{FetchError, MapValues};

/// A picture up to this many bytes stays a PNG.
const SMALL: usize = 6 << 10;
/// Quality of the JPEGs of larger ones.
const QUALITY: u8 = 88;

/// Where the bytes of a picture or a map are.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// In the page: a `data:` address.
    Here(String),
    /// In a file of data beside the page.
    Beside,
}

impl Source {
    /// Puts the bytes aside: what is left says that they lie beside the page.
    pub fn take(place: &mut Option<Self>) -> Option<String> {
        match place.take() {
            Some(Self::Here(address)) => {
                *place = Some(Self::Beside);
                Some(address)
            }
            other => {
                *place = other;
                None
            }
        }
    }

    /// Bytes in the page.
    pub fn len(place: Option<&Self>) -> usize {
        match place {
            Some(Self::Here(address)) => address.len(),
            _ => 0,
        }
    }
}

impl Serialize for Source {
    /// An address, or `true`.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Here(address) => to.serialize_str(address),
            Self::Beside => to.serialize_bool(true),
        }
    }
}

/// What the network saw.
#[derive(Serialize)]
pub struct PictureData {
    /// Width and height in pixels; 0 where there is none.
    size: [u32; 2],
    /// `None` if there is none.
    pub src: Option<Source>,
    /// Why there is none.
    why: Option<String>,
}

impl PictureData {
    /// A picture, or why it is missing.
    pub fn new(picture: &Result<RgbImage, FetchError>) -> Self {
        match picture {
            Ok(picture) => Self {
                size: [picture.width(), picture.height()],
                src: Some(Source::Here(picture_address(picture))),
                why: None,
            },
            Err(error) => Self::missing(error.to_string()),
        }
    }

    /// No picture, for this reason.
    pub const fn missing(why: String) -> Self {
        Self {
            size: [0, 0],
            src: None,
            why: Some(why),
        }
    }

    /// Bytes in the page.
    pub fn len(&self) -> usize {
        Source::len(self.src.as_ref())
    }
}

/// Longest side of a training picture's thumbnail, in pixels.
const THUMBNAIL: u32 = 96;

/// A training picture, small; `None` if it is gone.
pub fn thumbnail(picture: &Result<RgbImage, FetchError>) -> Option<Source> {
    let picture = picture.as_ref().ok()?;
    let longest = picture.width().max(picture.height());
    let small = match longest > THUMBNAIL {
        true => {
            let side = |side: u32| (side * THUMBNAIL / longest).max(1);
            let (w, h) = (side(picture.width()), side(picture.height()));
            picture_address(&image::imageops::thumbnail(picture, w, h))
        }
        false => picture_address(picture),
    };
    Some(Source::Here(small))
}

/// PNG keeps small pictures exact; photos are JPEGs where that is shorter.
fn picture_address(picture: &RgbImage) -> String {
    let png = crate::report::files::png(picture);
    if png.len() > SMALL {
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
        let written = encoder.write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        );
        if written.is_ok() && jpeg.len() < png.len() {
            return format!("data:image/jpeg;base64,{}", base64(&jpeg));
        }
    }
    format!("data:image/png;base64,{}", base64(&png))
}

/// A map: 8-bit grey at its own resolution.
#[derive(Default, Serialize)]
pub struct MapData {
    /// Rows and columns.
    grid: [usize; 2],
    /// Value of grey 0, or of grey 1 if signed.
    low: f32,
    /// Value of grey 255.
    high: f32,
    /// Whether grey 128 is 0.
    signed: bool,
    /// Where colours end if few values outshine all others.
    clip: Option<[f32; 2]>,
    /// `None` if there is nothing to see.
    pub src: Option<Source>,
    /// `ok`, `flat`, `undefined`, `partial`, `missing`.
    outcome: &'static str,
    /// More about the outcome.
    why: Option<String>,
    /// The part of the picture with the largest share of the evidence, that
    /// share, and the border's.
    place: Option<(&'static str, f64, f64)>,
}

impl MapData {
    /// A map of a method called `spec`, or why there is none.
    pub fn new(
        (spec, signed): (&str, bool),
        outcome: &Outcome,
        values: Result<MapValues, FetchError>,
    ) -> Self {
        let (word, why) = state(outcome);
        let blank = |word, why| Self {
            outcome: word,
            why,
            ..Self::default()
        };
        match (outcome, values) {
            (Outcome::Undefined(_), _) => blank(word, why),
            (_, Err(error)) => blank("missing", Some(error.to_string())),
            (_, Ok(map)) => match Range::of(&map.values, signed) {
                _ if word == "flat" => Self {
                    grid: map.grid,
                    ..blank(word, why)
                },
                Seen::Nothing => blank(
                    "undefined",
                    Some(String::from("the map holds NaN or infinity")),
                ),
                Seen::Flat => Self {
                    grid: map.grid,
                    ..blank("flat", why)
                },
                Seen::Range(range) => Self::coded(&map, spec, &range, (word, why)),
            },
        }
    }

    /// The map of a baseline.
    pub fn not_kept() -> Self {
        Self {
            outcome: "missing",
            ..Self::default()
        }
    }

    fn coded(
        map: &MapValues,
        spec: &str,
        range: &Range,
        (outcome, why): (&'static str, Option<String>),
    ) -> Self {
        let grey: Vec<u8> = map.values.iter().map(|v| range.grey(*v)).collect();
        let [h, w] = map.grid;
        let place = Whereabouts::of(&map.values, h, w, evidence(spec));
        Self {
            grid: map.grid,
            low: range.low,
            high: range.high,
            signed: range.signed,
            clip: clip(&map.values, range.signed),
            src: Some(Source::Here(format!(
                "data:image/png;base64,{}",
                base64(&grey_png(&grey, map.grid))
            ))),
            outcome,
            why,
            place: place.map(|p| (p.region, p.share, p.border)),
        }
    }

    /// Bytes in the page.
    pub fn len(&self) -> usize {
        Source::len(self.src.as_ref())
    }
}

fn state(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Flat => ("flat", None),
        Outcome::Undefined(reason) => ("undefined", Some(String::from(*reason))),
        Outcome::Partial { done, total } => ("partial", Some(format!("{done} / {total}"))),
    }
}

/// What counts as evidence in a method's maps.
fn evidence(spec: &str) -> Evidence {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let end = spec.find(|c| !name(c)).unwrap_or(spec.len());
    evidence_of(&spec[..end])
}

/// Whether the magnitude of a method's maps is evidence.
pub fn is_magnitude(spec: &str) -> bool {
    evidence(spec) == Evidence::Magnitude
}

/// The ends of the colours of a map with outliers.
fn clip(values: &[f32], signed: bool) -> Option<[f32; 2]> {
    let scale = ColourScale::of(values).filter(|s| s.clipped)?;
    Some(match signed {
        true => [-scale.high.abs(), scale.high.abs()],
        false => [scale.low, scale.high],
    })
}

/// The values that 8 bits stand for.
#[derive(Debug, PartialEq)]
struct Range {
    low: f32,
    high: f32,
    signed: bool,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Nothing,
    Flat,
    Range(Range),
}

impl Range {
    fn of(values: &[f32], signed: bool) -> Seen {
        if values.iter().any(|v| !v.is_finite()) {
            return Seen::Nothing;
        }
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if low >= high {
            return Seen::Flat;
        }
        let size = low.abs().max(high.abs());
        Seen::Range(match signed {
            true => Self {
                low: -size,
                high: size,
                signed,
            },
            false => Self { low, high, signed },
        })
    }

    fn grey(&self, value: f32) -> u8 {
        // In f64 the ends of any finite range have a finite difference.
        let (value, low, high) = (f64::from(value), f64::from(self.low), f64::from(self.high));
        match self.signed {
            true => (128.0 + (127.0 * value / high).round()) as u8,
            false => (255.0 * (value - low) / (high - low)).round() as u8,
        }
    }
}

fn grey_png(grey: &[u8], [h, w]: [usize; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    // Encoding into memory has nothing that can fail.
    let _ = encoder.write_image(grey, w as u32, h as u32, ExtendedColorType::L8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[f32], signed: bool) -> MapData {
        let values = Ok(MapValues {
            grid: [1, values.len()],
            values: values.to_vec(),
        });
        MapData::new(("grad-cam", signed), &Outcome::Ok, values)
    }

    /// The bytes that a PNG decoder of others reads back.
    fn read_back(data: &MapData) -> Vec<u8> {
        let Some(Source::Here(text)) = &data.src else {
            panic!("a map in the page");
        };
        let coded = text.strip_prefix("data:image/png;base64,").unwrap();
        let digit = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut bytes = Vec::new();
        for four in coded.as_bytes().chunks(4) {
            let kept = four.iter().filter(|c| **c != b'=').count();
            let bits = four.iter().fold(0u32, |b, c| b << 6 | u32::from(digit(*c)));
            bytes.extend(&bits.to_be_bytes()[1..kept]);
        }
        let picture = image::load_from_memory(&bytes).unwrap();
        assert_eq!(picture.color(), image::ColorType::L8);
        picture.into_luma8().into_raw()
    }

    #[test]
    fn a_map_of_one_sign_spans_all_greys() {
        let data = map(&[2.0, 3.0, 4.0], false);
        assert_eq!((data.low, data.high, data.outcome), (2.0, 4.0, "ok"));
        assert_eq!(read_back(&data), [0, 128, 255]);
    }

    #[test]
    fn zero_of_a_signed_map_is_128() {
        let data = map(&[-1.0, 0.0, 4.0, -4.0], true);
        assert_eq!((data.low, data.high), (-4.0, 4.0));
        assert_eq!(read_back(&data), [96, 128, 255, 1]);
    }

    #[test]
    fn greys_survive_the_largest_numbers() {
        let data = map(&[f32::MIN, 0.0, f32::MAX], false);
        assert_eq!(read_back(&data), [0, 128, 255]);
    }

    #[test]
    fn flat_and_broken_maps_are_no_pictures() {
        let flat = map(&[0.3; 4], false);
        assert_eq!((flat.outcome, flat.src.is_none()), ("flat", true));
        let broken = map(&[0.3, f32::NAN], false);
        assert_eq!((broken.outcome, broken.src.is_none()), ("undefined", true));
    }

    #[test]
    fn outliers_do_not_hide_the_rest() {
        let mut values = vec![0.0; 1000];
        for (i, v) in values.iter_mut().enumerate() {
            *v = if i % 2 == 0 { 1.0 } else { -1.0 };
        }
        assert_eq!(map(&values, true).clip, None);
        values[3] = 50.0;
        let data = map(&values, true);
        assert_eq!((data.clip, data.high), (Some([-1.0, 1.0]), 50.0));
    }

    #[test]
    fn the_evidence_is_the_methods() {
        assert_eq!(evidence("rise:masks=9"), Evidence::AboveLeast);
        assert_eq!(evidence("gradient"), Evidence::Magnitude);
        assert_eq!(evidence("grad-cam@x"), Evidence::Positive);
    }
}
