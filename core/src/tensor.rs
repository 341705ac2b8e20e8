//! Shapes and names of tensors. Everything is NHWC with N = 1.

/// Height, width and channels of one tensor; elements lie row by row, pixel
/// by pixel, channels innermost. A vector of n features is 1 x 1 x n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// A shape of `h` rows, `w` columns and `c` channels.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// Number of elements.
    pub const fn len(&self) -> usize {
        self.h * self.w * self.c
    }

    /// Whether there is no element at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels: rows times columns.
    pub const fn area(&self) -> usize {
        self.h * self.w
    }

    /// Elements of one row.
    pub const fn row(&self) -> usize {
        self.w * self.c
    }
}

/// Index of a tensor in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TensorId(pub u16);

/// Values of a tensor or of a part of it, HWC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Real numbers as they are.
    Real(&'a [f32]),
    /// Stored as int8: real = (stored - zero_point) * scale.
    Stored {
        /// The stored numbers.
        data: &'a [i8],
        /// Real distance of neighbouring stored numbers.
        scale: f32,
        /// The stored number that means 0.
        zero_point: i8,
    },
}

impl<'a> Values<'a> {
    /// Number of elements.
    pub const fn len(&self) -> usize {
        match self {
            Self::Real(data) => data.len(),
            Self::Stored { data, .. } => data.len(),
        }
    }

    /// Whether there is no element at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Real number `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<f32> {
        match *self {
            Self::Real(data) => data.get(index).copied(),
            Self::Stored {
                data,
                scale,
                zero_point,
            } => data
                .get(index)
                .map(|&q| (i16::from(q) - i16::from(zero_point)) as f32 * scale),
        }
    }

    /// All as real numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = f32> + 'a {
        let all = *self;
        (0..all.len()).map_while(move |i| all.get(i))
    }
}
