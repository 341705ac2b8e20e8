//! What takes the place of a part of the picture.

use foveola_core::picture::MAX_CHANNELS;
use foveola_core::picture::blur::{blur_pixels, blur_radius, blur_scratch, blur_tensor};
use foveola_core::{Error, Fill, Picture};

use super::{Content, Photo};
use crate::method_spec::Baseline;

/// A baseline made for one picture.
#[derive(Clone, Debug)]
pub struct Hidden(Choice);

#[derive(Clone, Debug)]
enum Choice {
    Colour([f32; MAX_CHANNELS]),
    Other(Box<Photo>),
}

impl Hidden {
    /// A whole picture.
    pub(super) fn picture(photo: Photo) -> Self {
        Self(Choice::Other(Box::new(photo)))
    }

    /// As `core` takes it.
    pub fn fill(&self) -> Fill<'_> {
        match &self.0 {
            Choice::Colour(colour) => Fill::Colour(*colour),
            Choice::Other(photo) => Fill::Picture(photo.picture()),
        }
    }
}

impl Photo {
    /// Makes a baseline. Numbers are in pixel units for photos and in model
    /// units for tensors; black is pixel 0, or 0 in model units.
    ///
    /// # Errors
    /// A picture too small to be blurred, or a file that is no picture for this
    /// network, in words.
    pub fn hidden(&self, baseline: Baseline) -> Result<Hidden, String> {
        let choice = match baseline {
            Baseline::Black => Choice::Colour(self.colour(0.0)),
            Baseline::Number(number) => Choice::Colour(self.colour(number)),
            Baseline::Mean => Choice::Colour(self.mean_colour()),
            Baseline::Blur => Choice::Other(Box::new(self.blurred()?)),
            Baseline::File(name) => {
                let opened = Self::open(name.path(), &self.terms.intake());
                Choice::Other(Box::new(opened.map_err(|e| e.to_string())?))
            }
        };
        Ok(Hidden(choice))
    }

    /// One number for all channels as a colour in model space.
    fn colour(&self, number: f32) -> [f32; MAX_CHANNELS] {
        let pixels = Picture::Pixels {
            shape: self.shape,
            data: &[],
            normalisation: &self.normalisation,
        };
        match self.in_pixels {
            true => pixels.colour(number),
            false => [number; MAX_CHANNELS],
        }
    }

    /// Mean of each channel in model space (of all of them, where there are
    /// more than a fill has room for).
    fn mean_colour(&self) -> [f32; MAX_CHANNELS] {
        let channels = if self.shape.c > MAX_CHANNELS {
            1
        } else {
            self.shape.c.max(1)
        };
        let values: Vec<f64> = match &self.content {
            Content::Pixels(data) => data.iter().map(|&v| f64::from(v)).collect(),
            Content::Tensor(data) => data.iter().map(|&v| f64::from(v)).collect(),
        };
        let mut mean = [0.0; MAX_CHANNELS];
        let each = (values.len() / channels).max(1) as f64;
        for (i, value) in values.into_iter().enumerate() {
            mean[i % channels] += value / each;
        }
        let n = &self.normalisation;
        std::array::from_fn(|c| match self.content {
            Content::Tensor(_) => mean[c] as f32,
            Content::Pixels(_) => (mean[c] as f32 - n.mean[c]) * n.scale[c],
        })
    }

    fn blurred(&self) -> Result<Self, String> {
        let radius = blur_radius(self.shape.h.min(self.shape.w));
        if radius == 0 {
            return Err(format!(
                "a picture of {}x{} pixels is too small to blur; choose baseline=black, mean or a number",
                self.shape.h, self.shape.w
            ));
        }
        let content = self.blur(radius as f32).map_err(|e| e.to_string())?;
        Ok(Self {
            content,
            ..self.clone()
        })
    }

    fn blur(&self, sigma: f32) -> Result<Content, Error> {
        let mut scratch = vec![0.0; blur_scratch(self.shape, sigma)];
        match &self.content {
            Content::Pixels(data) => {
                let mut out = vec![0; data.len()];
                blur_pixels(self.shape, data, sigma, &mut scratch, &mut out)?;
                Ok(Content::Pixels(out))
            }
            Content::Tensor(data) => {
                let mut out = vec![0.0; data.len()];
                blur_tensor(self.shape, data, sigma, &mut scratch, &mut out)?;
                Ok(Content::Tensor(out))
            }
        }
    }
}
