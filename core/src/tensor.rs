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
