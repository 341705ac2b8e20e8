//! Masked pictures: views that are written straight into the input, never stored.

mod enlarged;
mod grid;
mod row;
mod spot;
#[cfg(target_arch = "x86_64")]
mod strip;
mod sums;

use crate::error::Error;
use crate::picture::{MAX_CHANNELS, Picture};
use crate::tensor::Shape;

pub use enlarged::Enlarged;
pub(crate) use grid::block;
pub use grid::{Grid, MAX_CELLS, Points, Sequence};
pub use spot::Spot;
pub use sums::MaskSums;

/// A box of the input: rows `y..y+h`, columns `x..x+w`, channels `c..c+d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
    /// First channel.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub d: usize,
}

impl Window {
    /// All rows, columns and channels of a picture of this shape.
    #[must_use]
    pub const fn whole(shape: Shape) -> Self {
        Self {
            y: 0,
            x: 0,
            c: 0,
            h: shape.h,
            w: shape.w,
            d: shape.c,
        }
    }

    /// The part of the box that lies inside a picture of this shape.
    #[must_use]
    pub fn cut(&self, shape: Shape) -> Self {
        let inside = |begin: usize, length: usize, side: usize| {
            let begin = begin.min(side);
            (begin, length.min(side - begin))
        };
        let (y, h) = inside(self.y, self.h, shape.h);
        let (x, w) = inside(self.x, self.w, shape.w);
        let (c, d) = inside(self.c, self.d, shape.c);
        Self { y, x, c, h, w, d }
    }

    /// Whether the box has rows, columns and channels, and row `y` is one of them.
    #[must_use]
    pub const fn touches(&self, y: usize) -> bool {
        y >= self.y && y - self.y < self.h && self.w > 0 && self.d > 0
    }
}

/// What shows where the mask is 0.
#[derive(Clone, Copy, Debug)]
pub enum Fill<'a> {
    /// One value a channel, in model space; a single-channel value for tensors
    /// with more channels than [`MAX_CHANNELS`] is `colour[0]` for all of them.
    Colour([f32; MAX_CHANNELS]),
    /// Another picture of the same shape.
    Picture(Picture<'a>),
}

/// Which part of the picture shows: 1 = kept, 0 = the fill.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// All of it.
    Keep,
    /// Boxes, and one more. Inside them the picture shows if `reveal`, the
    /// fill otherwise; outside the other way round.
    Windows {
        /// The boxes.
        boxes: &'a [Window],
        /// One more box.
        extra: Option<Window>,
        /// Whether boxes reveal or cover the picture.
        reveal: bool,
    },
    /// A RISE mask.
    Grid(Grid),
    /// One weight a pixel, row by row, 0..1.
    Soft(&'a [f32]),
    /// One weight a pixel, row by row, as byte / 255.
    SoftBytes(&'a [u8]),
    /// The pixels of some ranks. They show the picture if `reveal`, the fill
    /// otherwise; all others the other way round.
    Ranked {
        /// The rank of each pixel, row by row; 0 is the first.
        ranks: &'a [u32],
        /// First rank.
        from: u32,
        /// The rank behind the last.
        to: u32,
        /// Whether these pixels are revealed or covered.
        reveal: bool,
    },
    /// The same weight for every pixel, 0..1: a point between fill and picture.
    Even(f32),
    /// A channel of a layer, brought to 0..1 and enlarged to the picture.
    Enlarged(Enlarged<'a>),
    /// One weight a segment.
    Segments {
        /// The segment of each pixel, row by row.
        labels: &'a [u16],
        /// The weight of each segment, 0..1.
        weights: &'a [f32],
    },
    /// A Gaussian window.
    Spot(Spot),
}

/// A picture behind a mask, with a fill for what the mask hides:
/// `m * picture + (1 - m) * fill` in model space.
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a> {
    /// The picture.
    pub picture: Picture<'a>,
    /// What shows where it is hidden.
    pub fill: Fill<'a>,
    /// Where it is hidden.
    pub mask: Mask<'a>,
}

impl<'a> Masked<'a> {
    /// The picture as it is.
    pub const fn whole(picture: Picture<'a>) -> Self {
        Self {
            picture,
            fill: Fill::Colour([0.0; MAX_CHANNELS]),
            mask: Mask::Keep,
        }
    }

    /// Whether [`Masked::edited`] may be called: the mask is `Keep`, or
    /// `Windows` without an extra box.
    ///
    /// # Errors
    /// [`Error::BadParameter`] otherwise.
    pub fn editable(&self) -> Result<(), Error> {
        match self.mask {
            Mask::Keep | Mask::Windows { extra: None, .. } => Ok(()),
            _ => Err(Error::BadParameter("mask of an edited picture")),
        }
    }

    /// This picture with one more box: covered if the mask is `Keep`,
    /// else revealed or covered as the mask's other boxes are.
    #[must_use]
    pub fn edited(mut self, window: Window) -> Self {
        self.mask = match self.mask {
            Mask::Windows { boxes, reveal, .. } => Mask::Windows {
                boxes,
                extra: Some(window),
                reveal,
            },
            _ => Mask::Windows {
                boxes: &[],
                extra: Some(window),
                reveal: false,
            },
        };
        self
    }
}
